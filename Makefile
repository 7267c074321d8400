# The commands of this project; `make` alone lists them. All paths are relative, so the folder's own name may hold spaces.
PYTHON ?= python3
PY := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-long check bench mutants export site model constraints clean

help: ## list these commands
	@echo 'usage: make COMMAND'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/installed ## create .venv and install the pinned packages (PYTHON=python3.12 picks another Python)

# Installed again when the pins or the package's needs change, and when the folder was moved: the stamp holds its place.
ifneq ($(shell cat .venv/installed 2>/dev/null),$(CURDIR))
.PHONY: .venv/installed
endif
.venv/installed: pyproject.toml constraints.txt
	@$(PY) -c 'import sys, pip; assert sys.version_info >= (3, 11)' 2>/dev/null || { \
	    command -v "$(PYTHON)" >/dev/null || { \
	        echo 'There is no $(PYTHON) here: install Python 3.11 or newer, or name it: make setup PYTHON=python3.12' >&2; exit 1; }; \
	    "$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(PYTHON) is Python %d.%d, and 3.11 or newer is needed: make setup PYTHON=python3.12" % sys.version_info[:2])' && \
	    "$(PYTHON)" -m venv --clear .venv; }
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@printf '%s\n' '$(subst ','\'',$(CURDIR))' > .venv/installed

lab: setup ## open JupyterLab on the first notebook (ARGS=--no-browser prints the address only)
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 --allow-root --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

# One thread per worker: two workers with two threads each would wait for one another on two cores. In the order that is
# asked for, notebooks first: a notebook is one piece of work, and a worker that begins one last keeps the other waiting.
PYTEST = OMP_NUM_THREADS=1 GPTLIB_DEVICE="$${GPTLIB_DEVICE:-cpu}" $(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test: setup ## check the style and run all tests in their short form, notebooks included
	$(PY) -m ruff check --no-cache .
	$(PY) -m ruff format --no-cache --check .
	$(PYTEST) $(ARGS)

test-long: setup ## run the same tests with their full counts
	$(PYTEST) --long $(ARGS)

check: setup ## after a change in one notebook: export it, run it and the tests of its module (NB=05)
	@ls notebooks/$(NB)_*.ipynb >/dev/null 2>&1 || { echo 'make check NB=05: the number of a notebook is wanted, 00 to 12' >&2; exit 2; }
	$(PY) -m gptlib._export $(NB)
	$(PY) -m gptlib._glossary
	$(PY) -m ruff check --no-cache notebooks/$(NB)_*.ipynb notebooks/exercises tests
	$(PYTEST) --lesson $(NB) $(ARGS) notebooks/$(NB)_*.ipynb tests

bench: setup ## measure, and keep the results under tests/bench/results
	@for script in tests/bench/bench_*.py; do echo "$$script"; $(PY) "$$script" $(ARGS) || exit 1; done

mutants: setup ## plant bugs in the modules and count how many the tests notice (ARGS='model --again')
	$(PY) tests/bench/mutants.py $(ARGS)

export: setup ## write the modules of gptlib and the glossary from the notebooks (ARGS='05 06' takes some modules)
	$(PY) -m gptlib._export $(ARGS)
	$(PY) -m gptlib._glossary

site: setup ## make pages of the series that a browser opens from disk: build/site/index.html (ARGS='05 06' takes some lessons)
	OMP_NUM_THREADS=1 $(PY) notebooks/web/build.py $(ARGS)

MODEL_FILES = model.safetensors config.json tokenizer.json log.csv
model: setup ## train the small model of data/model with the defaults
	rm -rf runs/data_model
	$(PY) -m gptlib train --run_dir runs/data_model $(ARGS)
	mkdir -p data/model
	for file in $(MODEL_FILES); do cp "runs/data_model/$$file" "data/model/$$file" || exit 1; done

# On Linux pip offers torch with or without CUDA; the pin is for both, so what belongs to one of them is left out.
constraints: setup ## write constraints.txt again (ARGS=--upgrade takes the newest versions)
	$(PY) -m pip install --disable-pip-version-check --quiet pip-tools
	CUSTOM_COMPILE_COMMAND='make constraints' $(PY) -m piptools compile --quiet --all-extras --strip-extras --allow-unsafe --no-annotate \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file=constraints.txt $(ARGS) pyproject.toml
	sed -e '/^gptlib @/d' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' -e 's/^\(torch==[0-9.]*\)+.*/\1/' \
	    -e '/^# The following packages are considered to be unsafe/d' -e '/^$$/d' constraints.txt > constraints.tmp
	mv constraints.tmp constraints.txt

clean: ## remove what building and testing leave behind; runs/ and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis constraints.tmp
	find gptlib data notebooks tests -name __pycache__ -prune -exec rm -rf {} +
	find notebooks tests -name .ipynb_checkpoints -prune -exec rm -rf {} +
