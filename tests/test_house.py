"""The files around the code: pins, commands, the built package, line endings, and what `import gptlib` costs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PINS = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", CONSTRAINTS, re.MULTILINE))
TARGETS = ["setup", "lab", "test", "test-long", "check", "bench", "mutants", "export", "site", "model", "clean"]


def requirements(extras: Iterable[str]) -> Iterator[Requirement]:
    """What the package needs with these extras, those that name other extras of itself unfolded."""
    for line in [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]:
        needed = Requirement(line)
        if needed.name == "gptlib":
            yield from requirements(needed.extras)
        else:
            yield needed


def tracked() -> list[Path]:
    """The files that git knows and that are there; outside of a clone the question has no answer."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is not a git clone")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# ---- versions


def test_every_direct_requirement_has_a_pin_that_satisfies_it() -> None:
    for needed in requirements(EXTRAS):
        name = canonicalize_name(needed.name)
        assert name in PINS, f"{name} is not in constraints.txt: run `make constraints`"
        assert needed.specifier.contains(PINS[name]), f"{needed} does not allow {PINS[name]}"
        assert any(part.operator in (">=", "==") for part in needed.specifier), f"{needed} has no lower bound"


def test_every_indirect_requirement_has_a_pin_too() -> None:
    """Walked through what is installed here: each distribution that ours lead to, extras and markers respected."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = list(requirements(EXTRAS))
    while todo:
        needed = todo.pop()
        key = canonicalize_name(needed.name), frozenset(needed.extras)
        try:
            installed = metadata.distribution(needed.name)
        except metadata.PackageNotFoundError:
            continue
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in PINS, f"{key[0]} is installed for gptlib and not pinned: run `make constraints`"
        assert installed.version.partition("+")[0] == PINS[key[0]], (
            f"{key[0]} {installed.version} is not the pinned one"
        )
        for line in installed.requires or []:
            further = Requirement(line)
            wanted = [{"extra": extra} for extra in (needed.extras or {""})]
            if not further.marker or any(further.marker.evaluate(extra) for extra in wanted):
                todo.append(further)
    assert len(seen) > 100


def test_every_pin_fits_the_oldest_python() -> None:
    """Pins are made on one Python: one that began at 3.11.5 left pip on 3.11.2 without an answer."""
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    installed = [each for each in metadata.distributions() if canonicalize_name(each.metadata["Name"]) in PINS]
    needs = {each.metadata["Name"]: each.metadata.get("Requires-Python") or "" for each in installed}
    assert len(needs) > 100
    assert not {name: need for name, need in needs.items() if not SpecifierSet(need).contains(oldest)}


def test_constraints_fit_every_machine() -> None:
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#") and line]
    assert "torch==2.13.0" in lines
    assert len(PINS) == len(lines) > 100, "each line is NAME==VERSION, once"
    assert not [name for name in PINS if name.startswith(("nvidia", "cuda", "triton"))], (
        "these belong to one kind of torch"
    )
    assert not re.search(r"://|index-url|find-links|trusted-host|(?<!\w)/\w", CONSTRAINTS)
    assert "make constraints" in CONSTRAINTS.partition("==")[0], "the header says what made it"


def test_conda_installs_what_make_installs() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "gptlib"
    *plain, pip = environment["dependencies"]
    assert plain == [f"python{PROJECT['project']['requires-python']}", "pip"]
    constraint, editable = pip["pip"]
    made = re.search(r"pip install .*?-c (\S+) -e '\.\[([\w,]+)\]'", MAKEFILE)
    assert made and constraint == f"-c {made[1]}" and editable == f"-e .[{made[2]}]"
    installed = {needed.name for needed in requirements(made[2].split(","))}
    assert installed == {needed.name for needed in requirements(EXTRAS)}, "an extra is left out"


def test_the_oldest_python_is_said_alike_everywhere() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert "(3, 11)" in MAKEFILE and "3.11 or newer" in MAKEFILE


# ---- commands


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as from a fresh shell, although these tests run under `make test` themselves."""
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    return subprocess.run(["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target: str) -> None:
    assert re.search(rf"^{target}:.* ## \w", MAKEFILE, re.MULTILINE), "each target has its line of help"
    done = make("--dry-run", target)
    assert done.returncode == 0, done.stderr


def test_make_alone_lists_the_targets() -> None:
    listed = make().stdout
    assert all(re.search(rf"^  {target} +\w", listed, re.MULTILINE) for target in TARGETS)


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("version", "sentence"),
    [(None, "There is no python-that-is-not-there here"), ("3, 9", "is Python 3.9, and 3.11 or newer is needed")],
)
def test_a_missing_or_old_python_gets_a_sentence(tmp_path: Path, version: str | None, sentence: str) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    python = "python-that-is-not-there"
    if version:  # an interpreter that claims to be older: it runs the Makefile's own line with another version_info
        python = str(folder / "old python")
        old = f"import sys; sys.version_info = ({version}); exec(sys.argv[2])"
        Path(python).write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{old}" "$@"\n', encoding="utf-8")
        Path(python).chmod(0o755)
    done = make("setup", f"PYTHON={python}", cwd=folder)
    assert done.returncode != 0
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bit")
def test_the_ci_script_can_be_run_and_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-2:] == ["make test", "make test-long"]
    assert "missing+=(chromium)" in script.read_text(encoding="utf-8")
    assert any(line.startswith("export GPTLIB_BROWSER=required") for line in lines), "no browser must not go unnoticed"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make lab" in readme and "make test" in readme
    commands = set(re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"```.*?```|`[^`]+`", readme, re.DOTALL))))
    assert commands <= {*TARGETS, "constraints", "help"}, "the README names a command that is not there"


# ---- files


def test_the_licence_is_mit() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n\nCopyright (c) 2026 gptlib authors\n")
    assert PROJECT["project"]["license"] == "MIT"


def test_no_file_names_a_place_on_this_machine() -> None:
    places = {f"{ROOT}{os.sep}", f"{Path.home()}{os.sep}", f"{sys.prefix}{os.sep}"}
    wanted = [place.encode() for place in places if len(place) > 4]
    for path in tracked():
        content = path.read_bytes()
        assert not [place for place in wanted if place in content], f"{path.name} names a folder of this machine"


def test_text_files_end_their_lines_with_lf() -> None:
    tracked()
    done = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True)
    wrong = [line for line in done.stdout.splitlines() if line.split()[0] in ("i/crlf", "i/mixed")]
    assert not wrong


def test_nothing_stands_at_the_top_that_the_house_does_not_have() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in tracked()}
    files = {"README.md", "CONTRIBUTING.md", "LICENSE", "Makefile"}
    files |= {"environment.yml", "pyproject.toml", "constraints.txt"}
    assert tops <= files | {".ci", ".gitattributes", ".gitignore", "notebooks", "gptlib", "data", "tests"}
    assert files <= tops


def test_ruff_leaves_out_exactly_the_generated_modules() -> None:
    left_out = set(PROJECT["tool"]["ruff"]["extend-exclude"])
    generated = {f"gptlib/{path.name}" for path in (ROOT / "gptlib").glob("*.py") if not path.name.startswith("_")}
    assert generated - {"gptlib/cli.py"} <= left_out
    assert not any(name.startswith("gptlib/_") or name == "gptlib/cli.py" for name in left_out)


# ---- the checks at run time that conftest.py switches on


def test_shapes_and_types_are_checked_while_testing() -> None:
    from gptlib.attention import causal_mask, scaled_dot_product_attention

    q = torch.zeros(2, 3, 4)
    with pytest.raises(jaxtyping.TypeCheckError):
        scaled_dot_product_attention(q, torch.zeros(2, 3, 5), q)
    with pytest.raises(jaxtyping.TypeCheckError):
        causal_mask("3")


@pytest.mark.no_type_checks
def test_a_mark_lets_our_own_errors_speak() -> None:
    from gptlib.attention import scaled_dot_product_attention

    with pytest.raises(Exception) as raised:
        scaled_dot_product_attention(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5), torch.zeros(2, 3, 4))
    assert not isinstance(raised.value, jaxtyping.TypeCheckError)


def test_make_check_finds_the_tests_of_a_module(request: pytest.FixtureRequest) -> None:
    """Bug: a choice that leaves tests out says nothing, and `make check` is green."""
    conftest = request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    notebooks = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    modules = [module for path in notebooks if (module := conftest.default_exp(path))]
    about = {path.name: conftest.module_of(path, modules) for path in (ROOT / "tests").glob("test_*.py")}
    for module in modules:
        assert about[f"test_{module}.py"] == about[f"test_errors_{module}.py"] == module
    assert about["test_resume.py"] == "training", "the last that it imports"
    assert about["test_tales.py"] is None
    item = SimpleNamespace(path=ROOT / "tests" / "test_examples.py", name="test_it[model.GPT.forward]")
    mine = [path.name[:2] for path in notebooks if not conftest.about_another(path, item)]
    assert mine == ["07"]
    item = SimpleNamespace(path=ROOT / "tests" / "test_exercises.py", name="test_it[5.6b]")
    assert [path.name[:2] for path in notebooks if not conftest.about_another(path, item)] == ["05"]
