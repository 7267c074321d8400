"""Plant bugs in the generated modules, one at a time, and see how many the fast tests notice.

    python tests/bench/mutants.py [MODULE ...] [--own] [--again] [--table]      (or `make mutants`)

60 mutants of each module are drawn by a fixed seed (`_mutations.py`). A mutant is killed if a test fails, or takes more
than five times its time. First the module's own tests are asked, then those of other files. Of each file only the tests
that run the changed line, for no other can notice: a first run of all files, with nothing planted, learns which run
what. `--own` leaves the other files out, which is quicker; `--again` keeps what was killed before and asks the rest;
`--table` prints the last results. Mutants that change nothing a caller could see are listed in
`equivalent_mutants.json`, each with its reason.

Why not cosmic-ray or mutmut: they start a process per mutant, and torch takes 4 s to import. Here torch and what else
the tests need is imported once, and each mutant is a fork of that process. Python's own loader hands the changed source
to whoever imports the module, so that the types are checked as in every test (`tests/conftest.py`). A process that a
test starts reads the files instead and meets no mutant.
"""

import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from _forked_tests import BROKEN, KEPT, ROOT, Ask, Learn, Task, in_children, run_pytest
from _mutations import EVERYWHERE, Mutant, draw
from _results import keep

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
RESULTS, EQUIVALENT = HERE / "results" / "mutants.json", HERE / "equivalent_mutants.json"
MODULES = (  # each imports only from those before it
    "tokenizer", "data", "language", "autograd", "attention", "blocks",
    "model", "training", "sampling", "viz", "pretrained", "seq2seq",
)  # fmt: skip
MODULE_AT = {str(ROOT / "gptlib" / f"{name}.py"): name for name in MODULES}
HEAVY = (
    "numpy", "torch", "torch.utils.flop_counter", "torch.nn.attention", "hypothesis.extra.numpy", "beartype",
    "jaxtyping", "safetensors.torch", "regex", "tqdm", "tiktoken", "tokenizers", "matplotlib.pyplot", "anywidget",
    "IPython.display",
)  # fmt: skip
# They time, read notebooks and files, or start processes of their own, which meet no mutant.
BLIND = {"speed", "exercises", "kill", "processes", "house", "export", "notebooks", "cli", "errors_cli", "tales"}
BLIND |= {"shipped_model", "mutants", "docstrings", "site", "wheel", "links"}


def own_files(module: str) -> set[str]:
    return {f"test_{module}.py", f"test_errors_{module}.py"}


def learn(wanted: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    """What the tests of each file run; remembered as long as neither it nor the package changes."""
    package = b"".join(path.read_bytes() for path in [*sorted((ROOT / "gptlib").glob("*.py")), TESTS / "conftest.py"])
    kept = {}
    for path in sorted(TESTS.glob("test_*.py")):
        if path.stem.removeprefix("test_") not in BLIND and wanted(path.name):
            kept[path.name] = KEPT / (hashlib.sha256(package + path.read_bytes()).hexdigest()[:16] + ".json")
    tasks = deque()
    for name, out in kept.items():
        if not out.exists():
            run = partial(run_pytest, [TESTS / name], Learn(out, MODULE_AT), "--maxfail=1000")
            tasks.append(Task(f"learn-{name}", run, 3600, lambda code, name=name: print(f"{name}: {code}", flush=True)))
    in_children(tasks)
    return {name: json.loads(out.read_text(encoding="utf-8")) for name, out in kept.items()}


class Planting:
    """The mutants of one module, judged one by one."""

    def __init__(self, module: str, learned: dict[str, dict[str, Any]], before: dict[str, Any]) -> None:
        self.module, self.learned, self.before = module, learned, before
        self.path = ROOT / "gptlib" / f"{module}.py"
        self.kills: Counter[str] = Counter()
        self.outcomes: dict[str, dict[str, str]] = {}

    def write(self, out: Path) -> None:
        out.write_text(json.dumps(self.run()), encoding="utf-8", newline="\n")

    def run(self) -> dict[str, Any]:
        source = self.path.read_text(encoding="utf-8")
        for name in MODULES[: MODULES.index(self.module)]:
            importlib.import_module(f"gptlib.{name}")
        assert f"gptlib.{self.module}" not in sys.modules
        mutants = draw(self.module, source)
        control = Mutant("nothing planted", EVERYWHERE, source)
        self.outcomes = {m.name: self.before[m.name] for m in mutants if m.name in self.before}
        todo = [mutant for mutant in [control, *mutants] if mutant.name not in self.outcomes]
        self.tasks = deque(self.task(mutant, number, own=True) for number, mutant in enumerate(todo))
        in_children(self.tasks)
        if self.outcomes.pop(control.name)["outcome"] != "survived":
            raise SystemExit(f"a test of {self.module} fails with nothing planted: mend it first, see {KEPT}")
        self.require_that_each_killer_passes_alone()
        return {mutant.name: self.outcomes[mutant.name] for mutant in mutants}

    def require_that_each_killer_passes_alone(self) -> None:
        """A test that leans on those before it falls without them, whatever is planted: that is no kill."""
        failing: list[str] = []

        def done(test: str, code: int) -> None:
            if code:
                failing.append(test)

        tasks = deque()
        for test in sorted({found["by"] for found in self.outcomes.values() if "::" in found.get("by", "")}):
            ask = Ask({test: 60.0}, KEPT / f"{self.module}-alone.note")
            run = partial(run_pytest, [TESTS.parent / test.split("::")[0]], ask)
            tasks.append(Task(f"{self.module}-alone-{len(tasks)}", run, 1200, partial(done, test)))
        in_children(tasks)
        if failing:
            raise SystemExit(f"with nothing planted and alone these fail: mend them, then run all again: {failing}")

    def choose(self, mutant: Mutant, own: bool) -> dict[str, float]:
        """The tests that run the line, with their seconds: those that are quick and have killed others come first."""
        chosen = {}
        for file, found in self.learned.items():
            if (file in own_files(self.module)) == own:
                for test, (seconds, lines) in found["tests"].items():
                    seen = chain(found["shared"], lines)
                    if any(module == self.module and line in mutant.lines for module, line in seen):
                        chosen[test] = seconds
        return dict(sorted(chosen.items(), key=lambda item: item[1] / (1 + self.kills[item[0]]) ** 2))

    def task(self, mutant: Mutant, number: int, own: bool) -> Task:
        name = f"{self.module}-{number}"
        note = KEPT / f"{name}.note"
        note.write_text("import", encoding="utf-8")

        def run() -> int:
            chosen = self.choose(mutant, own)
            files = dict.fromkeys(TESTS.parent / test.split("::")[0] for test in chosen)
            ask = Ask(chosen, note)
            return run_pytest(files, ask, path=self.path, source=mutant.source) if chosen else 0

        def done(code: int) -> None:
            by = note.read_text(encoding="utf-8")
            if code in (3, 4, 5, BROKEN):
                raise SystemExit(f"pytest did not run: see {KEPT / name}.log")
            if code == 0 and own and mutant.name != "nothing planted":
                self.tasks.appendleft(self.task(mutant, number, own=False))
                return
            outcome = "survived" if code == 0 else "killed" if code > 0 or code == -signal.SIGSEGV else "timed out"
            self.outcomes[mutant.name] = {"outcome": outcome} | ({"by": by} if code else {})
            self.kills[by] += code != 0
            print(f"{self.module} {len(self.outcomes)}: {outcome}: {mutant.name}", flush=True)

        return Task(name, run, 1200, done)


def table(modules: dict[str, dict[str, dict[str, str]]]) -> str:
    """The results in markdown. A killed mutant that is listed as equivalent is no such thing."""
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.exists() else {}
    rows = ["| module | drawn | killed | of these timed out | equivalent | survived | killed of the rest |"]
    rows.append("| --- " + "| ---: " * 6 + "|")
    for module in [name for name in MODULES if name in modules]:
        excused = equivalent.get(module, {})
        wrong = [name for name, found in modules[module].items() if name in excused and found["outcome"] != "survived"]
        if wrong:
            raise SystemExit(f"{EQUIVALENT.name} calls a mutant of {module} equivalent that a test kills: {wrong[0]}")
        count = Counter("equivalent" if name in excused else f["outcome"] for name, f in modules[module].items())
        drawn, killed = count.total(), count["killed"] + count["timed out"]
        cells = module, drawn, killed, count["timed out"], count["equivalent"], count["survived"]
        rows.append(f"| {' | '.join(map(str, cells))} | {killed / (drawn - count['equivalent']):.0%} |")
    return "\n".join(rows)


def main(arguments: list[str]) -> None:
    names = [name for name in arguments if not name.startswith("--")] or list(MODULES)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["modules"] if RESULTS.exists() else {}
    if "--table" in arguments:
        print(table(results))
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "GPTLIB_DEVICE": "cpu"}
    KEPT.mkdir(exist_ok=True)
    sys.path[:0] = [str(ROOT), str(TESTS)]
    for name in HEAVY:
        importlib.import_module(name)
    importlib.import_module("transformers").GPT2LMHeadModel  # noqa: B018  it is imported by its name
    importlib.import_module("conftest")  # installs the checks of types, before the first import of gptlib
    mine = set().union(*map(own_files, names))
    learned = learn(lambda file: file in mine or "--own" not in arguments)
    for name in names:
        old = results.get(name, {}) if "--again" in arguments else {}
        planting = Planting(name, learned, {name: it for name, it in old.items() if it["outcome"] != "survived"})
        out = KEPT / f"{name}.json"
        run = partial(planting.write, out)
        process = multiprocessing.get_context("fork").Process(target=run)  # so that the next module is imported anew
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
        results[name] = json.loads(out.read_text(encoding="utf-8"))
        ordered = {name: results[name] for name in MODULES if name in results}
        keep("mutants", {"seed": 0, "modules": ordered}, table(ordered))


if __name__ == "__main__":
    main(sys.argv[1:])
