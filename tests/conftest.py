"""What all tests share: the shape checks at run time, short and full counts, one thread per worker."""

import os
import signal
from collections.abc import Callable, Iterator

import jaxtyping
import pytest
from hypothesis import settings

# Every annotation of gptlib is checked at run time, shapes included. This stands before the first import of gptlib.
# `is_pep484_tower`: an int is a fine float.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
jaxtyping.install_import_hook("gptlib", CHECKER)

settings.register_profile("short", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=1000, deadline=None, derandomize=True)  # a red run can be repeated


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="full counts: all kills, all random shapes, many examples")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "short")
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="a long test: make test-long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)


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
