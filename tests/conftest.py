"""What all tests share: shape checks at run time, short and full counts, one lesson alone, one thread per worker."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings

# Every annotation of gptlib is checked at run time, shapes included. This stands before the first import of gptlib.
# `is_pep484_tower`: an int is a fine float.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
jaxtyping.install_import_hook("gptlib", CHECKER)
from gptlib import _export  # noqa: E402

TESTS = Path(__file__).resolve().parent
NOTEBOOKS = TESTS.parent / "notebooks"
LESSON = pytest.StashKey[Path | None]()
default_exp = cache(_export.default_exp)
OF_EVERY_LESSON = tuple(
    f"test_{what}.py" for what in ("notebooks", "export", "exercises", "links", "docstrings", "examples", "house")
)
FIRST = ("test_wheel.py", "test_processes.py", "test_seq2seq.py")  # long, and late in the alphabet
OF_THE_WHOLE = ("test_cli.py", "test_kill.py", "test_processes.py", "test_speed.py")  # they start whole trainings

settings.register_profile("short", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=1000, deadline=None, derandomize=True)  # a red run can be repeated


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="full counts: all kills, all random shapes, many examples")
    parser.addoption("--lesson", metavar="NN", help="one notebook, and the tests that are about what it exports")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "short")
    number = config.getoption("--lesson")
    try:
        config.stash[LESSON] = _export.choose(NOTEBOOKS, [number])[0] if number else None
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


def module_of(path: Path, modules: list[str]) -> str | None:
    """The module that a test file is about: the one it is named for, or else the last whose module it imports."""
    named = path.stem.removeprefix("test_").removeprefix("errors_")
    imports = r"^\s*(?:from|import) gptlib\.(\w+)|^from gptlib import (\w+)$"
    met = {a or b for a, b in re.findall(imports, path.read_text(encoding="utf-8"), re.MULTILINE)}
    return named if named in modules else max(met & {*modules}, key=modules.index, default=None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--lesson`, leave out what is neither about this lesson's module nor looks at every lesson."""
    lesson = config.stash[LESSON]
    if lesson is None or collection_path.suffix != ".py" or collection_path.name in OF_EVERY_LESSON:
        return None
    if collection_path.parent != TESTS or collection_path.name in OF_THE_WHOLE:
        return True
    modules = [module for notebook in _export.choose(NOTEBOOKS, []) if (module := default_exp(notebook))]
    about = module_of(collection_path, modules)
    return None if about and about == default_exp(lesson) else True


def about_another(lesson: Path, item: pytest.Item) -> bool:
    """Whether a test of every lesson is about another one, by the name in its brackets, or about how exercises work."""
    if item.path.name not in OF_EVERY_LESSON:
        return False
    if "[" not in item.name:
        return item.path.name == "test_exercises.py"
    mine = (lesson.stem, lesson.name[:2], default_exp(lesson))
    about = item.name.rpartition("[")[2].rstrip("]")
    return about not in mine and about.partition(".")[0] not in (default_exp(lesson), str(int(lesson.name[:2])))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if lesson := config.stash[LESSON]:
        items[:] = [item for item in items if not about_another(lesson, item)]
    items.sort(key=lambda item: item.path.name not in FIRST)  # what one worker begins last, the other waits for
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="a long test: make test-long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file on one worker, as `--dist loadscope` has it, but the exercises by lessons: they are a half of all."""
    from xdist.scheduler import LoadScopeScheduling

    class ByLesson(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            lesson = re.search(r"test_exercises\.py::\w+\[(\d+)\.\d", nodeid)
            return f"exercises of {lesson[1]}" if lesson else super()._split_scope(nodeid)

    return ByLesson(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Turn the checks off for tests of error sentences: files named `test_errors*.py` and `no_type_checks` marks.

    A hook rather than a fixture, so that fixtures of a wider scope see the same setting as their first test.
    """
    off = item.path.name.startswith("test_errors") or item.get_closest_marker("no_type_checks") is not None
    jaxtyping.config.update("jaxtyping_disable", off)


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`scale(short, long)`: the count to use, by whether `--long` was given."""
    return lambda short, long: long if request.config.getoption("--long") else short


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C as Python has it by default: what runs in the background of a shell is started with deaf ears."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
