"""`check` tells right from wrong, every registered answer passes it, and every stub in a notebook is unattempted."""

import ast
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exercises import Exercise, _core, check
from exercises._core import load, verdict

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
FILES = sorted((ROOT / "notebooks" / "exercises").glob("nb*.py"))
REGISTERED = {number: entry for path in FILES for number, entry in load(f"{int(path.stem[2:])}.0").items()}
EVERY_EXERCISE = pytest.mark.parametrize("number", REGISTERED)


def spoiled(value: Any) -> Any:
    """Something of the same kind and shape that is wrong."""
    if isinstance(value, torch.Tensor):
        return ~value if value.dtype == torch.bool else value + 1
    if isinstance(value, np.ndarray):
        return ~value if value.dtype == bool else value + 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str | bytes):
        return value + type(value)(value[:1] or ("x" if isinstance(value, str) else b"x"))
    if isinstance(value, list | tuple):
        return type(value)([*value, value[-1] if value else 0])
    if isinstance(value, dict):
        return {key: spoiled(item) for key, item in value.items()} or {"extra": 0}
    if isinstance(value, set | frozenset):
        return value | {"a thing that nobody would put here"}
    raise TypeError(f"no wrong answer is known for a {type(value).__name__}: teach `spoiled` one")


def wrong(entry: Exercise) -> Any:
    if entry.inputs is None:
        return spoiled(entry.reference)
    return lambda *arguments: spoiled(entry.reference(*arguments))


@pytest.fixture
def exercise(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers one exercise, 99.1, for a test."""

    def register(reference: Any, inputs: Callable[[random.Random], tuple[Any, ...]] | None = None) -> None:
        monkeypatch.setattr(_core, "load", lambda number: {"99.1": Exercise(reference, "because", inputs)})

    return register


def tensors(rng: random.Random) -> tuple[torch.Tensor]:
    return (torch.randn(3, rng.randint(2, 5), generator=torch.Generator().manual_seed(rng.getrandbits(32))),)


# ---- the registered exercises


def test_every_lesson_has_its_file_and_every_file_its_lesson() -> None:
    assert [path.stem[2:] for path in FILES] == [number for number in NOTEBOOKS if number != "00"]


@EVERY_EXERCISE
def test_the_registered_answer_is_right(number: str) -> None:
    assert re.fullmatch(r"[1-9]\d?\.[1-9]\d?", number)
    entry = REGISTERED[number]
    assert verdict(number, entry.reference).startswith(f"right: {entry.about}")
    assert entry.about == entry.about.strip() and entry.about[-1:] not in ".:", "words behind 'right:'"


@EVERY_EXERCISE
def test_a_wrong_answer_is_not(number: str) -> None:
    assert verdict(number, wrong(REGISTERED[number])).startswith("not yet: ")


@EVERY_EXERCISE
def test_no_answer_is_unattempted(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    def stub(*arguments: Any) -> Any: ...

    check(number, stub if REGISTERED[number].inputs else ...)
    assert capsys.readouterr().out == f"{number}  not attempted yet\n"


@EVERY_EXERCISE
def test_arguments_come_from_the_rng_alone_and_vary(number: str) -> None:
    entry = REGISTERED[number]
    if entry.inputs is None:
        return
    made = [entry.inputs(random.Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert isinstance(made[0], tuple)
    assert _core.difference(made[0], made[1], exact=True) is None
    assert any(_core.difference(made[0], other, exact=True) for other in made[2:]), "every reader gets the same input"


@pytest.mark.parametrize("nn", [number for number in NOTEBOOKS if number != "00"])
def test_the_notebook_asks_exactly_the_registered_exercises_and_leaves_them_open(nn: str) -> None:
    asked = {}
    for cell in json.loads(NOTEBOOKS[nn].read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and re.search(r"^check\(", text, re.MULTILINE):
            calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            numbers = [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", None) == "check"]
            asked |= dict.fromkeys(numbers, "".join("".join(output.get("text", "")) for output in cell["outputs"]))
    assert sorted(asked) == sorted(load(f"{int(nn)}.0"))
    assert len(asked) >= 2
    for number, printed in asked.items():
        assert f"{number}  not attempted yet\n" in printed


# ---- check itself


def test_a_right_function_is_right_whatever_its_precision_and_kind(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x.softmax(-1), tensors)
    assert verdict("99.1", lambda x: torch.softmax(x, 1)) == "right: because (20 random inputs agree)"
    assert verdict("99.1", lambda x: torch.softmax(x.double(), 1)).startswith("right")
    assert verdict("99.1", lambda x: torch.softmax(x, 1).numpy()).startswith("right")
    assert verdict("99.1", lambda x: x.clone().requires_grad_().softmax(1)).startswith("right")


def test_the_first_difference_is_told(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, lambda rng: (torch.arange(6.0).reshape(2, 3),))
    off = torch.tensor([[0.0, 0, 0], [0, 0, 0.5]])
    assert verdict("99.1", lambda x: x + off) == "not yet: at [1, 2] 5.5, should be 5; 1 of 6 values differ"
    assert verdict("99.1", lambda x: x.T) == "not yet: shape (3, 2), should be (2, 3)"
    assert verdict("99.1", lambda x: x.tolist()) == "not yet: a value of type list, should be Tensor"
    assert verdict("99.1", lambda x: x * torch.nan).startswith("not yet: at [0, 0] nan, should be 0; 6 of 6")
    assert verdict("99.1", lambda x: x > 0) == "not yet: booleans, should be floats"


def test_integers_are_held_exactly(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, lambda rng: (torch.tensor([100_000]),))
    assert verdict("99.1", lambda x: x + 1).startswith("not yet: at [0] 100001, should be 100000")
    assert verdict("99.1", lambda x: x.float()) == "not yet: floats, should be integers"
    assert verdict("99.1", lambda x: x.int()).startswith("right")


@pytest.mark.parametrize(
    ("expected", "actual", "finding"),
    [
        (3, 3.0, None),
        (0.1 + 0.2, 0.3, None),
        (float("nan"), float("nan"), None),
        (3, 4, "4, should be 3"),
        (torch.tensor(2.0), 2, None),
        (2.0, torch.tensor(2.5), "2.5, should be 2"),
        ((2, 3), torch.Size([2, 3]), None),
        ((2, 3), [2, 4], "at [1] 4, should be 3"),
        ([1, 2], [1], "1 items, should be 2"),
        ([1, [2, "cat"]], [1, [2, "cut"]], "at [1][1] character 1 begins 'ut', should be 'at'"),
        ("cat", "ca", "character 2 begins the end, should be 't'"),
        ({"a": 1}, {"a": 1, "b": 2}, "the key 'b' is too much"),
        ({"a": 1}, {"b": 2}, "the key 'a' is missing"),
        ({"a": [1]}, {"a": [2]}, "at ['a'][0] 2, should be 1"),
        (b"ab", b"ac", "b'ac', should be b'ab'"),
        ("3", 3, "a value of type int, should be str"),
        ({1, 2}, {1}, "{1}, should be {1, 2}"),
    ],
)
def test_plain_values(exercise: Callable[..., None], expected: Any, actual: Any, finding: str | None) -> None:
    exercise(expected)
    assert verdict("99.1", actual) == (f"not yet: {finding}" if finding else "right: because")


def test_an_exception_names_the_line_of_the_reader(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, tensors)

    def attempt(x: torch.Tensor) -> torch.Tensor:
        x = x + 1
        return torch.ones(7, 7) @ x

    line = attempt.__code__.co_firstlineno + 2
    assert verdict("99.1", attempt).startswith(
        f"not yet: line {line} raises RuntimeError: mat1 and mat2 shapes cannot be"
    )
    assert "\n" not in verdict("99.1", attempt)


def test_changing_an_argument_in_place_is_noticed(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x + 1, tensors)
    assert verdict("99.1", lambda x: x.add_(1)) == (
        "not yet: the answer is right, but argument 1 was changed in place; work on a copy"
    )
    exercise(lambda ids: sorted(ids), lambda rng: ([rng.random() for _ in range(5)],))
    assert "changed in place" in verdict("99.1", lambda ids: ids.sort() or ids)


def test_stubs_are_unattempted_and_a_forgotten_return_is_not(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, tensors)

    def empty(x: torch.Tensor) -> Any: ...

    def gap(x: torch.Tensor) -> Any:
        y = ...
        return y @ x

    def returns_gap(x: torch.Tensor) -> Any:
        return ...

    def to_do(x: torch.Tensor) -> Any:
        raise NotImplementedError

    def forgot(x: torch.Tensor) -> Any:
        x[..., 0].clone()

    assert {verdict("99.1", stub) for stub in (empty, gap, returns_gap, to_do, None, ...)} == {"not attempted yet"}
    assert verdict("99.1", forgot) == "not yet: it gives None; does it end with `return`?"
    exercise((2, 3))
    assert verdict("99.1", (..., ...)) == "not attempted yet"


def test_a_slip_that_only_some_inputs_show_is_found(exercise: Callable[..., None]) -> None:
    exercise(abs, lambda rng: (rng.randint(-3, 3),))
    assert verdict("99.1", lambda x: x if x > -3 else 0).startswith("not yet")


def test_a_function_is_wanted(exercise: Callable[..., None]) -> None:
    exercise(abs, lambda rng: (rng.random(),))
    assert verdict("99.1", 3) == "not yet: pass the function itself, not 3"


@pytest.mark.parametrize("number", ["77.1", "x", "", "5", 5])
def test_an_unknown_number_gets_a_sentence(number: Any) -> None:
    assert verdict(number, 1).startswith("is no exercise")


def test_an_unknown_number_of_a_known_notebook_names_the_known_ones() -> None:
    if REGISTERED:
        number = next(iter(REGISTERED))
        assert number in verdict(f"{number.partition('.')[0]}.99", 1)


def test_importing_check_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.process_time(); from exercises import check; check('77.1', None);"
        "print(time.process_time() - start < 0.3, bool({'torch', 'numpy', 'gptlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "notebooks", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "True False"
