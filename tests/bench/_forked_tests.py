"""Run tests in forks of this process: what is imported once serves them all, and each may meet a changed module."""

import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from math import ceil
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = Path(tempfile.gettempdir()) / "gptlib_mutants"  # the last output of each child, and what it left
WIDTH = 2  # children at once
BROKEN = 70  # the exit status of a child that did not get as far as the tests
PYTEST = ("-x", "-q", "--tb=short", "--no-header", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider")


@dataclass
class Task:
    name: str
    run: Callable[[], int]
    seconds: float  # of wall time before it is stopped; what a test may compute is limited more strictly
    done: Callable[[int], None]  # gets the exit status, negative for a signal


def in_children(tasks: deque[Task]) -> None:
    """Run each task in a fork of this process, `WIDTH` at a time; `done` may put further tasks into the queue."""
    running: dict[int, tuple[Any, Task, float]] = {}
    while tasks or running:
        while tasks and len(running) < WIDTH:
            process = multiprocessing.get_context("fork").Process(target=as_child, args=(task := tasks.popleft(),))
            process.start()
            running[process.sentinel] = process, task, monotonic() + task.seconds
        wait(list(running), timeout=1)
        for sentinel, (process, task, deadline) in list(running.items()):
            if process.is_alive() and monotonic() < deadline:
                continue
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that the tests have started
            process.join()
            del running[sentinel]
            task.done(process.exitcode)


def as_child(task: Task) -> None:
    """What a child does: everything it prints goes into a file."""
    os.setsid()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and to look for them takes a while
    log = os.open(KEPT / f"{task.name}.log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))  # a mutant may ask for all memory
    code = BROKEN
    try:
        code = int(task.run())
    except BaseException:  # of this tool: a failing test is none
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


class Fast:
    """Hypothesis as the tests have it, but a counterexample need not be made small before it counts."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutants", settings.get_profile("short"), phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")


class Learn(Fast):
    """Notes of each test which lines of some modules it runs, its seconds, and whether it passes."""

    def __init__(self, out: Path, modules: dict[str, str]) -> None:
        self.out, self.modules = out, modules  # the name of each path
        self.tests: dict[str, tuple[float, list[tuple[str, int]]]] = {}
        self.seen: set[tuple[str, int]] = set()
        self.shared: set[tuple[str, int]] = set()
        self.failed: set[str] = set()

    def trace(self, frame: Any, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename not in self.modules:
            return None
        self.seen.add((self.modules[frame.f_code.co_filename], frame.f_lineno))
        return self.trace

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.seen, began = set(), process_time()
        sys.settrace(self.trace)
        yield
        sys.settrace(None)
        self.tests[item.nodeid] = process_time() - began, sorted(self.seen)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        self.shared |= self.seen  # what a fixture runs may serve every test of the file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        tests = {name: found for name, found in self.tests.items() if name not in self.failed}
        result = {"tests": tests, "shared": sorted(self.shared), "left_out": sorted(self.failed)}
        self.out.write_text(json.dumps(result), encoding="utf-8", newline="\n")


class Ask(Fast):
    """Runs the chosen tests in this order, limits the processor time of each, and notes the one that is running."""

    SLACK = 5  # seconds that each may take in addition to five times its own

    def __init__(self, chosen: dict[str, float], note: Path) -> None:
        self.seconds, self.note = chosen, note
        self.places = {name: i for i, name in enumerate(chosen)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.places), key=lambda item: self.places[item.nodeid])

    def pytest_sessionstart(self) -> None:
        self.allow(60)  # until the first test: a module may never end already where it is imported

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.note.write_text(item.nodeid, encoding="utf-8", newline="\n")
        self.allow(self.SLACK + 5 * self.seconds[item.nodeid])

    def allow(self, seconds: float) -> None:
        """From now on, of the processor; then the system ends this process. The limit knows whole seconds only."""
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(process_time() + seconds), resource.RLIM_INFINITY))


def run_pytest(files: Iterable[Path], plugin: Fast, *options: str, path: Path | None = None, source: str = "") -> int:
    """pytest on these files; whoever imports the module at `path` gets `source` in its place."""
    read, stats = SourceFileLoader.get_data, SourceFileLoader.path_stats

    def read_mutant(loader: SourceFileLoader, name: str) -> bytes:
        return source.encode() if Path(name) == path else read(loader, name)

    def no_stats(loader: SourceFileLoader, name: str) -> Any:
        if Path(name) == path:
            raise OSError("a mutant is compiled each time and never kept")
        return stats(loader, name)

    SourceFileLoader.get_data, SourceFileLoader.path_stats = read_mutant, no_stats
    folder = f"--basetemp={KEPT / str(os.getpid())}"
    return pytest.main([*map(str, files), *PYTEST, folder, f"--rootdir={ROOT}", *options], plugins=[plugin])
