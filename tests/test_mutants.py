"""The tool that plants bugs (`make mutants`) changes code and no text, and a test that bites kills what it makes."""

import ast
import json
import signal
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the tool forks, and Windows cannot")

import _forked_tests
import mutants
from _forked_tests import Ask, Learn, Task, in_children, run_pytest
from _mutations import EVERYWHERE, draw, plant, sites

TOY = '''"""Half of 101 is more than 102."""
import math
__all__ = ["size", 103]
Names = dict[str, 104]
LIMIT = 1


def size(x: "Float[Tensor, '105 C']" = 2) -> "106":
    """Gives 107 - 108."""
    note = f"{x * 109} is too much" if x == 3 else "110"
    kept: "111" = 4
    if x < 5:
        raise ValueError(f"{x + 112}: give " + "113", 114)
    return x + kept
'''
OTHER_TEXT = TOY.replace("Half", "A third\nor half").replace("107", "7").replace(": give", ": take").replace("109", "9")


def changes(source: str) -> set[str]:
    """All that can be planted into a source, each as its whole new text on one line."""
    tree = ast.parse(source)
    return {"; ".join(plant(tree, site).source.splitlines()) for site in sites(tree)}


@pytest.mark.parametrize(
    ("line", "mutated"),
    [
        ("a < b", ["a <= b"]),
        ("a >= b > c", ["a > b > c", "a >= b >= c"]),
        ("a is not None", ["a is None"]),
        ("a in b", ["a not in b"]),
        ("a + b", ["a - b"]),
        ("a @ b", ["b @ a"]),
        ("a // b ** c", ["a * b ** c", "a // (b * c)"]),
        ("a and b", ["a or b"]),
        ("not a", ["a"]),
        ("-a", ["a"]),
        ("a[0:b]", ["a[:b]", "a[0:]", "a[1:b]"]),
        ("(3, 0.5, True)", ["(4, 0.5, True)", "(3, 1.0, True)", "(3, 0.5, False)"]),
        ("0.0", ["1.0"]),
        ("a if b else c", ["a if not b else c"]),
        ("[a for a in b if c]", ["[a for a in b if not c]"]),
        ("a = b if c == d else e", ["a = b if c != d else e"]),
        ("max(a, b)", ["min(a, b)", "pass"]),
        ("a.any(dim=b)", ["a.all(dim=b)", "a.any()", "pass"]),
        ("a += b", ["a -= b", "pass"]),
        ("a[b] = c", ["pass"]),
        ("a = b", []),
        ("raise a + b", ["pass"]),
        ("while a: break", ["while not a:;     break", "while a:;     pass"]),
        ("def f(a=True): return", ["def f(a=False):;     return", "def f(a=True):;     pass"]),
    ],
)  # fmt: skip
def test_each_operator_makes_what_it_should(line: str, mutated: list[str]) -> None:
    assert changes(line) == set(mutated)


def test_text_is_never_changed() -> None:
    """Numbers above 100 stand in docstrings, annotations, messages, types and `__all__`: each stays in every mutant."""
    for mutant in draw("toy", TOY, count=1000):
        tree = ast.parse(mutant.source)
        left = {str(n) for n in range(101, 115) if str(n) in mutant.source}
        removed = {"112", "113", "114"} if ": removed: raise" in mutant.name else set()
        assert left == {str(n) for n in range(101, 115)} - removed, mutant.name
        assert ast.dump(tree) != ast.dump(ast.parse(TOY)), mutant.name
    touched = [mutant.name for mutant in draw("toy", TOY, count=1000)]
    assert all(any(f"{n + 1}" in name for name in touched) for n in (1, 2, 3, 4, 5)), "each number of the code is"
    assert len(touched) == len(set(touched)) == 10


def test_a_changed_sentence_changes_no_draw() -> None:
    """A draw on which nothing but code has a say: a corrected docstring must not make the last results worthless."""
    one, other = draw("toy", TOY, count=6), draw("toy", OTHER_TEXT, count=6)
    assert [m.name for m in one] != [m.name for m in draw("toy", TOY, count=6, seed=1)]
    code = [[m.name.replace("109", "9").replace(": give", ": take") for m in some] for some in (one, other)]
    assert code[0] == code[1]


def test_lines_are_those_that_a_test_must_run() -> None:
    """The header of an `if` and not what hangs on it; of a default the whole function; outside of any, all."""
    found = {m.name.partition(": ")[2]: m.lines for m in draw("toy", TOY, count=1000)}
    assert found["comparison: if x < 5: -> if x <= 5:"] == range(12, 13)
    assert found["constant: LIMIT = 1 -> LIMIT = 2"] == EVERYWHERE
    assert next(lines for name, lines in found.items() if "=3" in name) == range(8, 15)


BITES = "from toyed import double\n\ndef test_bites():\n    assert double(3) == 6\n"
ENDS = "\ndef test_ends():\n    double(-3)\n"
TOOTHLESS = "\ndef test_toothless():\n    assert double(3)\n"
DOUBLE = "def double(x):\n    while x < 0:\n        x += 1\n    return 2 * x\n"


@pytest.fixture(scope="module")
def toyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A module and its tests in a folder of their own, in which the tool works."""
    folder = tmp_path_factory.mktemp("toy")
    module, tests = folder / "toyed.py", folder / "test_toyed.py"
    module.write_text(DOUBLE, encoding="utf-8", newline="\n")
    tests.write_text(BITES + ENDS + TOOTHLESS, encoding="utf-8", newline="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_forked_tests, "KEPT", folder)
        patch.setattr(_forked_tests, "ROOT", folder)
        patch.setattr(Ask, "SLACK", 2)
        yield module, tests


def run_all(runs: dict[str, Callable[[], int]]) -> dict[str, int]:
    """The exit status of each."""
    codes: dict[str, int] = {}
    in_children(deque(Task(name, run, 60, partial(codes.__setitem__, name)) for name, run in runs.items()))
    return codes


def test_the_learner_sees_which_test_runs_which_line(toyed: tuple[Path, Path], tmp_path: Path) -> None:
    module, tests = toyed
    learner = Learn(tmp_path / "learned.json", {str(module): "toyed"})
    assert run_all({"learn": partial(run_pytest, [tests], learner)}) == {"learn": 0}
    learned = json.loads(learner.out.read_text(encoding="utf-8"))
    lines = {name.split("::")[1]: [line for _, line in seen] for name, (_, seen) in learned["tests"].items()}
    assert lines == {"test_bites": [1, 2, 4], "test_ends": [1, 2, 3, 4], "test_toothless": [1, 2, 4]}
    assert learned["left_out"] == []


def test_a_mutant_falls_to_a_test_that_bites_and_to_no_other(toyed: tuple[Path, Path], tmp_path: Path) -> None:
    """Also one that never ends falls, and one that cannot be imported; and the file on the disk stays as it is."""
    module, tests = toyed
    wrong, endless = DOUBLE.replace("2", "3"), DOUBLE.replace("+=", "-=")
    asked = {
        "right, bites": DOUBLE,
        "wrong, bites": wrong,
        "wrong, toothless": wrong,
        "endless, ends": endless,
        "endless, bites": endless,
        "no import, toothless": "1 / 0",
    }
    runs = {}
    for name, source in asked.items():
        ask = Ask({f"test_toyed.py::test_{name.split()[-1]}": 0.0}, tmp_path / "note")
        runs[name] = partial(run_pytest, [tests], ask, path=module, source=source)
    codes = run_all(runs)
    assert codes.pop("no import, toothless") in (1, 2)
    assert codes.pop("endless, ends") == -signal.SIGXCPU
    assert codes == {"right, bites": 0, "wrong, bites": 1, "wrong, toothless": 0, "endless, bites": 0}
    assert module.read_text(encoding="utf-8") == DOUBLE


def test_a_test_that_leans_on_another_is_no_killer(toyed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the one before it, it falls whatever is planted, and would be counted for many a mutant."""
    folder = toyed[0].parent
    leaning = "ran = []\n\ndef test_first():\n    ran.append(1)\n\ndef test_leans():\n    assert ran\n"
    (folder / "test_leaning.py").write_text(leaning, encoding="utf-8", newline="\n")
    monkeypatch.setattr(mutants, "TESTS", folder / "tests")
    monkeypatch.setattr(mutants, "KEPT", folder)
    planting = mutants.Planting("tokenizer", {}, {})
    planting.outcomes = {"a": {"by": "import"}, "b": {"by": "test_leaning.py::test_first"}, "c": {}}
    planting.require_that_each_killer_passes_alone()
    planting.outcomes["d"] = {"by": "test_leaning.py::test_leans"}
    with pytest.raises(SystemExit, match=r"alone these fail: .*\['test_leaning.py::test_leans'\]"):
        planting.require_that_each_killer_passes_alone()


def test_the_kept_results_are_whole() -> None:
    """Each equivalent mutant survived and has its reason; of the rest 90 % are killed in what trains and writes."""
    results = json.loads(mutants.RESULTS.read_text(encoding="utf-8"))["modules"]
    excuses = json.loads(mutants.EQUIVALENT.read_text(encoding="utf-8"))
    assert list(results) == [*mutants.MODULES] and {len(found) for found in results.values()} == {60}
    for module, reasons in excuses.items():
        for name, reason in reasons.items():
            assert results[module][name]["outcome"] == "survived" and len(reason.split()) > 5, name
    for module in ("tokenizer", "data", "attention", "blocks", "model", "training", "sampling"):
        asked = [found["outcome"] for name, found in results[module].items() if name not in excuses.get(module, {})]
        assert asked.count("survived") <= len(asked) / 10, module
