"""`check` tells right from wrong and names the mistake; every exercise is held to what their README promises."""

import ast
import asyncio
import contextlib
import functools
import importlib.util
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exercises import (
    Exercise,
    Property,
    Wrong,
    _core,
    _predict,
    _progress,
    _watch,
    answer,
    check,
    hint,
    predict,
    progress,
)
from exercises._compare import difference
from exercises._core import ROUNDS, judge, judge_function, judge_value, load

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
FILES = sorted((ROOT / "notebooks" / "exercises").glob("nb*.py"))
REGISTERED = {number: entry for path in FILES for number, entry in load(f"{int(path.stem[2:])}.0").items()}
pytestmark = pytest.mark.no_type_checks  # readers have none, and they cost more than all the rest
EVERY_EXERCISE = pytest.mark.parametrize("number", REGISTERED)
FUNCTIONS = pytest.mark.parametrize("number", [number for number, entry in REGISTERED.items() if entry.inputs])
RESULTS = pytest.mark.parametrize("number", [n for n, entry in REGISTERED.items() if entry.inputs and not entry.use])
PREDICTIONS = pytest.mark.parametrize("number", [number for number, entry in REGISTERED.items() if not entry.inputs])


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test touches what the reader of this checkout has done; and none is hurried where others run beside it."""
    monkeypatch.setattr(_core, "LIMIT", 60)
    monkeypatch.setenv("GPTLIB_PROGRESS", str(tmp_path / "progress.json"))
    yield tmp_path / "progress.json"


def verdict(number: str, attempt: Any) -> str:
    """The first line."""
    return judge(number, attempt).says


@functools.cache
def right_ways(number: str) -> list[Callable[..., Any]]:
    """The answer itself, and the other ways to write it that tests/right_ways holds."""
    path = Path(__file__).parent / "right_ways" / f"nb{int(number.partition('.')[0]):02}.py"
    others = []
    if path.is_file():
        spec = importlib.util.spec_from_file_location(f"right_ways_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        others = module.RIGHT.get(number, [])
    return [REGISTERED[number].reference, *others]


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


def dressed(value: Any, how: str) -> Any:
    """The same value in another layout, precision or kind."""
    if isinstance(value, torch.Tensor):
        if how == "double":
            return value.double() if value.is_floating_point() else value
        if how == "strided":
            return value.repeat_interleave(2, dim=-1)[..., ::2] if value.dim() else value
        if how == "numpy":
            return value.detach().numpy()
        if how == "gradient":
            return value.detach().clone().requires_grad_() if value.is_floating_point() else value
    if isinstance(value, list | tuple):
        return tuple(dressed(item, how) for item in value)
    if isinstance(value, dict):
        return {key: dressed(item, how) for key, item in value.items()}
    return value


@pytest.fixture
def exercise(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers one exercise, 99.1, for a test."""

    def register(reference: Any, inputs: Callable[[random.Random], tuple[Any, ...]] | None = None, **more: Any) -> None:
        monkeypatch.setattr(_core, "load", lambda number: {"99.1": Exercise(reference, "because", inputs, **more)})

    return register


def tensors(rng: random.Random) -> tuple[torch.Tensor]:
    return (torch.randn(3, rng.randint(2, 5), generator=torch.Generator().manual_seed(rng.getrandbits(32))),)


def seeds(run: int) -> list[str]:
    return [f"run {run} round {trial}" for trial in range(ROUNDS)]


# ---- the registered exercises


def test_every_lesson_has_its_file_and_every_file_its_lesson() -> None:
    assert [path.stem[2:] for path in FILES] == [number for number in NOTEBOOKS if number != "00"]


def test_there_are_as_many_as_promised() -> None:
    per_lesson = {path.stem: len(load(f"{int(path.stem[2:])}.0")) for path in FILES}
    assert all(4 <= count <= 7 for count in per_lesson.values()), per_lesson
    assert len(REGISTERED) >= 60
    assert sum(len(entry.wrong) for entry in REGISTERED.values()) >= 120
    kinds = {entry.kind for entry in REGISTERED.values()}
    assert kinds == {"write", "predict", "mend", "design"}


def test_every_mistake_of_the_list_is_somebodys() -> None:
    """The list has fifty-nine; each is a wrong version of some exercise, so that whoever makes it is told."""
    found = {wrong.mistake for entry in REGISTERED.values() for wrong in entry.wrong}
    assert sorted(set(range(1, 60)) - found) == []


@EVERY_EXERCISE
def test_it_is_complete(number: str) -> None:
    entry = REGISTERED[number]
    assert re.fullmatch(r"[1-9]\d?\.[1-9]\d?[b-e]?", number)
    assert entry.about == entry.about.strip() and entry.about[-1:] not in ".:", "words behind 'right:'"
    assert entry.text and entry.why
    assert len(entry.hints) == len(set(entry.hints)) == 3
    assert entry.wrong, "no known mistake"
    sentences = [wrong.says for wrong in entry.wrong]
    for says in sentences:
        assert says[-1:] not in ".:" and len(says) <= 200, says
    assert len(set(sentences)) == len(sentences)
    assert (entry.kind == "predict") == (entry.inputs is None)
    assert (entry.kind == "mend") == (entry.given is not None)


@EVERY_EXERCISE
def test_the_registered_answer_is_right(number: str) -> None:
    entry = REGISTERED[number]
    found = judge(number, entry.reference if entry.inputs else entry.value())
    assert found.right and found.says.startswith(f"right: {entry.about}"), found


@FUNCTIONS
def test_no_right_way_is_rejected(number: str) -> None:
    """Loops, einsum, torch's own calls: what counts is what a function does."""
    for way in right_ways(number):
        found = judge_function(REGISTERED[number], way, seeds(0))
        assert found.right, f"{way.__name__}: {found}"


@FUNCTIONS
@given(draw=st.data(), run=st.integers(min_value=0))
def test_no_right_way_is_rejected_whatever_its_layout_and_precision(number: str, draw: st.DataObject, run: int) -> None:
    """A thousand runs in the long form."""
    entry = REGISTERED[number]
    way = draw.draw(st.sampled_from(right_ways(number)))
    how = (
        "as it is" if entry.use else draw.draw(st.sampled_from(["as it is", "double", "strided", "numpy", "gradient"]))
    )
    attempt = way if how == "as it is" else lambda *arguments: dressed(way(*arguments), how)
    found = judge_function(entry, attempt, seeds(run)[:2])
    assert found.right, f"{way.__name__}, {how}: {found}"


@EVERY_EXERCISE
def test_every_wrong_version_gets_its_own_sentence(number: str, scale: Callable[[int, int], int]) -> None:
    """Not a neighbour's, with new random inputs each time: 20 of 20 in the long form."""
    entry = REGISTERED[number]
    for wrong in entry.wrong:
        for run in range(scale(1, 20) if entry.inputs else 1):
            found = judge_function(entry, wrong.does, seeds(run)) if entry.inputs else judge_value(entry, wrong.does)
            assert found.right is False
            assert found.wrong is wrong, f"{wrong.says!r} was taken for: {found}"


@RESULTS
def test_another_wrong_answer_is_not_right(number: str) -> None:
    entry = REGISTERED[number]
    assert verdict(number, lambda *arguments: spoiled(entry.reference(*arguments))).startswith("not yet: ")


@PREDICTIONS
def test_what_is_right_is_never_told(number: str) -> None:
    """No wrong prediction is answered with the right one."""
    entry = REGISTERED[number]
    right = str(entry.value())
    others = [wrong.does for wrong in entry.wrong] + ["no idea", -12345, (1,) * 7, *entry.choices]
    for other in others:
        found = judge(number, other)
        if not found.right:
            told = (
                str(found)
                .replace(str(list(entry.choices))[1:-1], "")
                .replace(", ".join(map(_core.show, entry.choices)), "")
            )
            assert not re.search(rf"(?<![\w.]){re.escape(right)}(?![\w])", told), told


@PREDICTIONS
def test_a_prediction_has_its_answer_among_its_choices(number: str) -> None:
    entry = REGISTERED[number]
    if entry.choices:
        assert entry.value() in entry.choices
        assert {wrong.does for wrong in entry.wrong} == set(entry.choices) - {entry.value()}
    else:
        assert difference(entry.value(), spoiled(entry.value()))


@EVERY_EXERCISE
def test_no_answer_is_unattempted(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    def stub(*arguments: Any) -> Any: ...

    entry = REGISTERED[number]
    for attempt in (stub if entry.inputs else ..., None, *([entry.given] if entry.given else [])):
        check(number, attempt)
        assert capsys.readouterr().out == f"{number}  not attempted yet\n"


@FUNCTIONS
def test_arguments_come_from_the_rng_alone_and_vary(number: str) -> None:
    entry = REGISTERED[number]
    made = [entry.inputs(random.Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert isinstance(made[0], tuple)
    assert difference(made[0], made[1], exact=True) is None
    assert any(difference(made[0], other, exact=True) for other in made[2:]), "every reader gets the same input"


@FUNCTIONS
def test_it_answers_in_time(number: str) -> None:
    """Two seconds, whatever was written; measured as work of this process, since other tests run beside it."""
    entry = REGISTERED[number]
    judge(number, entry.reference)  # the first call loads what it needs

    def seconds(run: int) -> float:
        begin = time.process_time()
        judge_function(entry, lambda *arguments: "nothing like it", seeds(run))  # it is like no mistake: all are tried
        return time.process_time() - begin

    assert any(seconds(run) < 1.5 for run in range(2))  # a second try, for the machine may have had other work


@pytest.mark.parametrize("nn", [number for number in NOTEBOOKS if number != "00"])
def test_the_notebook_asks_exactly_the_registered_exercises_and_leaves_them_open(nn: str) -> None:
    """Each under a heading that names it, in the order of the table, unattempted."""
    asked, heading = {}, ""
    for cell in json.loads(NOTEBOOKS[nn].read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = text
        elif re.search(r"^(check|predict)\(", text, re.MULTILINE):
            calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            names = ("check", "predict")
            numbers = [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", None) in names]
            asked |= dict.fromkeys(numbers, "".join("".join(output.get("text", "")) for output in cell["outputs"]))
            for number in numbers:
                title = {
                    "write": "Your turn",
                    "predict": "Predict",
                    "mend": "Find the bug",
                    "design": "Change the design",
                }
                wanted = f"### {title[load(number)[number].kind]}: {number}\n"
                assert wanted in heading + "\n", f"{number} stands under another heading than {wanted!r}"
    assert list(asked) == list(load(f"{int(nn)}.0"))
    for number, printed in asked.items():
        assert f"{number}  not attempted yet\n" in printed


@pytest.mark.parametrize("nn", [number for number in NOTEBOOKS if number != "00"])
def test_the_bug_in_the_notebook_is_the_registered_one(nn: str) -> None:
    """Else the unchanged cell would count as an attempt. It runs in the notebook; here its steps are compared."""
    entries = load(f"{int(nn)}.0")
    for cell in json.loads(NOTEBOOKS[nn].read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        for number in re.findall(r'^check\("([^"]+)"', text, re.MULTILINE) if cell["cell_type"] == "code" else []:
            if not entries[number].given:
                continue
            tree = ast.parse(text)
            defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)][-1]
            given = _core.tree_of(entries[number].given)
            assert [ast.dump(node) for node in defined.body] == [ast.dump(node) for node in given.body]


# ---- check itself


def test_a_right_function_is_right_whatever_its_precision_and_kind(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x.softmax(-1), tensors)
    assert verdict("99.1", lambda x: torch.softmax(x, 1)) == "right: because (20 random inputs agree)"
    assert verdict("99.1", lambda x: torch.softmax(x.double(), 1)).startswith("right")
    assert verdict("99.1", lambda x: torch.softmax(x.bfloat16(), 1)).startswith("right")
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


def test_arguments_and_both_results_are_sketched(exercise: Callable[..., None]) -> None:
    def reference(scores: torch.Tensor, names: list[str]) -> torch.Tensor:
        return scores

    exercise(reference, lambda rng: (torch.ones(2, 3), ["a"] * rng.randint(1, 4)))
    assert str(judge("99.1", lambda scores, names: scores.double().sum(0))).splitlines() == [
        "not yet: shape (3,), should be (2, 3)",
        "     given     scores: (2, 3) float32, names: ['a']",  # the smallest of the twenty
        "     yours     (3,) float64",
        "     expected  (2, 3) float32",
    ]


def test_integers_are_held_exactly(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, lambda rng: (torch.tensor([100_000]),))
    assert verdict("99.1", lambda x: x + 1).startswith("not yet: at [0] 100001, should be 100000")
    assert verdict("99.1", lambda x: x.float()) == "not yet: floats, should be integers"
    assert verdict("99.1", lambda x: x.int()).startswith("right")


class Holder:
    def __init__(self, value: int) -> None:
        self.value = value


class Hostile:
    """Fails in whatever is asked of it."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __hash__ = None


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
        ((2.0, 3.0), np.array([2.0, 3.0]), None),
        ((2, 3), torch.tensor([2, 3]), None),
        ((2, 3), torch.tensor([2]), "1 items, should be 2"),
        (torch.tensor([2, 3]), [2, 3], "a value of type list, should be Tensor"),
        ([1, 2], [1], "1 items, should be 2"),
        ([1, [2, "cat"]], [1, [2, "cut"]], "at [1][1] from character 1 on 'ut', should be 'at'"),
        ("cat", "ca", "2 of 3 characters, 't' is missing"),
        ("ca", "cats", "4 characters, should be 2: 'ts' is too much"),
        ({"a": 1}, {"a": 1, "b": 2}, "the key 'b' is too much"),
        ({"a": 1}, {"b": 2}, "the key 'a' is missing"),
        ({"a": [1]}, {"a": [2]}, "at ['a'][0] 2, should be 1"),
        (b"ab", b"ac", "b'ac', should be b'ab'"),
        ("3", 3, "a value of type int, should be str"),
        ({1, 2}, {1}, "{1}, should be {1, 2}"),
        ({1, 2}, frozenset({1, 2}), None),
        (b"ab", bytearray(b"ab"), None),
        ("cat", np.str_("cat"), None),
        ([0, 1], range(2), None),
        ([], (), None),
        (True, 1, "1, should be True"),
        (1, True, "True, should be 1"),
        (True, np.bool_(True), None),
        (torch.tensor([1]), torch.tensor([True]), "booleans, should be integers"),
        (3, np.float32(3), None),
        (torch.tensor(3), 3.0, None),
        (3, 2.9999999999999996, None),
        (1_000_000, 1_000_000.5, "1000000.5, should be 1000000"),
        (3, 3.00001, "3.00001, should be 3"),
        (3e-6, 0, "0, should be 3e-06"),
        (3e-6, 0.0, "0, should be 3e-06"),
        (0.0, 3e-7, None),
        (1e30, math.inf, "inf, should be 1e+30"),
        (math.inf, -math.inf, "-inf, should be inf"),
        (0.5, Fraction(1, 2), None),
        (1 + 2j, 1 + 2.0000001j, None),
        (1 + 2j, 1 + 3j, "(1+3j), should be (1+2j)"),
        (0.0, -0.0, None),
        (10**400, 1.0, "a float that cannot be compared with what it should be (OverflowError)"),
        (torch.tensor([3e-6, 0.0]), torch.zeros(2), "at [0] 0, should be 3e-06; 1 of 2 values differ"),
        (
            torch.tensor([0.01, 0.0]),
            torch.tensor([0.02, 0.0]).half(),
            "at [0] 0.020004, should be 0.01; 1 of 2 values differ",
        ),
        (torch.tensor([3.01]), torch.tensor([3], dtype=torch.int16), "at [0] 3, should be 3.01"),
        (torch.tensor([1.2345]), torch.tensor([1.2345]).bfloat16(), None),
        (torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 2.0]]).to_sparse(), None),
        (
            torch.tensor([[0.0, 2.0]]),
            torch.tensor([[0.0, 3.0]]).to_sparse(),
            "at [0, 1] 3, should be 2; 1 of 2 values differ",
        ),
        (torch.tensor([1j]), torch.tensor([1j]).conj(), "at [0] -1j, should be 1j"),
        (torch.ones(0, 2), torch.ones(0, 3), "shape (0, 3), should be (0, 2)"),
        ([torch.ones(1)], [torch.ones(1)] * 2, "2 items, should be 1"),
        (sys, sys, None),
        (torch.tensor([math.nan, 1]), torch.tensor([math.nan, 1]), None),
        (torch.tensor([math.nan]), torch.zeros(1), "at [0] 0, should be nan"),
        (np.array([math.inf, 2e-6]), np.array([math.inf, 0]), "at [1] 0, should be 2e-06; 1 of 2 values differ"),
        (torch.float32, torch.float64, "torch.float64, should be torch.float32"),
        (int, float, "<class 'float'>, should be <class 'int'>"),
        (SimpleNamespace(a=1), SimpleNamespace(a=1), None),
        (Holder(1), Holder(2), "at ['value'] 2, should be 1"),
        (Holder(1), Holder(1), None),
        ([Holder(1)], [Holder(2)], "at [0]['value'] 2, should be 1"),
        (
            torch.ones(1),
            torch.ones(1, device="meta"),
            "a Tensor that cannot be compared with what it should be (NotImplementedError)",
        ),
        (Hostile(), Hostile(), "a Hostile that cannot be compared with what it should be (ZeroDivisionError)"),
    ],
)
def test_plain_values(expected: Any, actual: Any, finding: str | None) -> None:
    assert difference(expected, actual) == finding


def test_a_change_in_place_is_seen_however_small() -> None:
    for before, after in ((3.0, 3.000001), (torch.tensor([1.0]), torch.tensor([1.000001])), ([0.0], [1e-9])):
        assert difference(before, after) is None
        assert difference(before, after, exact=True)


# three exercises of one idea: the mean of two numbers


def numbers(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(-5, 5), rng.uniform(-5, 5)


SUM = Wrong("the numbers are added and not divided", lambda a, b: a + b, mistake=7)
FIRST = Wrong("the second number has no part in it", lambda a, b: a)
BREAKS = Wrong("a number is no list", lambda a, b: sum(a))


def test_a_known_mistake_gets_its_sentence_and_a_neighbour_does_not(exercise: Callable[..., None]) -> None:
    exercise(lambda a, b: (a + b) / 2, numbers, wrong=(SUM, FIRST, BREAKS))
    found = judge("99.1", lambda a, b: b + a)
    assert (found.right, found.wrong, found.says) == (False, SUM, f"not yet: {SUM.says}")
    assert found.details[0].endswith(tuple("0123456789")) and "should be" in found.details[0]
    assert judge("99.1", lambda a, b: a * 1.0).wrong is FIRST
    found = judge("99.1", lambda a, b: sum(b))
    assert found.wrong is BREAKS
    assert "raises TypeError" in found.details[0]
    assert judge("99.1", lambda a, b: a * b).wrong is None


def test_a_mistake_in_most_rounds_is_named_and_in_few_is_not(exercise: Callable[..., None]) -> None:
    """Readers add touches of their own: what they mostly do is told, what they do by chance is not."""
    exercise(lambda a, b: (a + b) / 2, numbers, wrong=(SUM,))
    assert judge("99.1", lambda a, b: a + b if a > -3 else 77.0).wrong is SUM
    assert judge("99.1", lambda a, b: a + b if a > 3 else 77.0).wrong is None


def test_a_property_speaks_where_no_mistake_is_known(exercise: Callable[..., None]) -> None:
    rule = Property("a row does not add up to 1", lambda f, x: torch.allclose(f(x).sum(-1), torch.ones(3)))
    exercise(lambda x: x.softmax(-1), tensors, properties=(rule,))
    assert verdict("99.1", lambda x: x.exp()) == "not yet: a row does not add up to 1"
    assert verdict("99.1", lambda x: (2 * x).softmax(-1)).startswith("not yet: at [0, 0]")
    assert verdict("99.1", lambda x: x.softmax(-1)).startswith("right")


def test_a_property_is_silent_where_the_shape_is_wrong_or_an_argument_was_changed(
    exercise: Callable[..., None],
) -> None:
    """It would accuse of something else."""
    rule = Property("a row does not add up to 1", lambda f, x: torch.allclose(f(x).sum(-1), torch.ones(3)))
    exercise(lambda x: x.softmax(-1), tensors, properties=(rule,))
    assert "shape" in verdict("99.1", lambda x: x.exp().sum(-1))
    rule = Property("a second call answers otherwise", lambda f, x: torch.equal(f(x), f(x)))
    exercise(lambda x: x + 1, tensors, properties=(rule,))
    assert "the answer is right, but argument 1 was changed in place" in verdict("99.1", lambda x: x.add_(1))


def test_two_exceptions_of_one_type_are_two_mistakes(exercise: Callable[..., None]) -> None:
    """Numbers in what they say do not count: shapes differ from round to round."""
    view = Wrong("view never copies", lambda x: x.T.view(-1))
    exercise(lambda x: x.T.reshape(-1), tensors, wrong=(view,))
    assert judge("99.1", lambda x: x.mT.view(-1)).wrong is view
    assert judge("99.1", lambda x: x.T.reshape(7, 7)).wrong is None


def test_of_two_known_mistakes_the_one_that_is_right_as_often_is_named(exercise: Callable[..., None]) -> None:
    """Both explain what went wrong; only one of them also does right what the reader does right."""
    zero = Wrong("always 0", lambda a, b: 0)
    late = Wrong("0 from 1 on", lambda a, b: 0 if a > 1 else a)
    exercise(lambda a, b: a, numbers, wrong=(zero, late))
    assert judge("99.1", lambda a, b: 0 if a > 2 else a).wrong is late


def test_a_property_alone_can_reject(exercise: Callable[..., None]) -> None:
    """What the reference answers is one right answer of several: the rule decides."""
    rule = Property("the answer remembers the call before", lambda f, a, b: f(a, b) == f(a, b))
    exercise(lambda a, b: 0, numbers, properties=(rule,), use=lambda f, a, b: 0)
    state = iter(range(10_000))
    assert verdict("99.1", lambda a, b: next(state)) == "not yet: the answer remembers the call before"
    assert verdict("99.1", lambda a, b: 5).startswith("right")


def test_what_is_looked_at_can_be_more_than_the_result(exercise: Callable[..., None]) -> None:
    """The mode of a model afterwards, for one."""

    def look(attempt: Callable[..., Any], model: torch.nn.Module) -> dict[str, Any]:
        return {"answer": attempt(model), "in training mode afterwards": model.training}

    def reference(model: torch.nn.Module) -> int:
        return 1

    exercise(reference, lambda rng: (torch.nn.Linear(2, 2),), use=look)
    assert verdict("99.1", lambda model: 1).startswith("right")
    assert "['in training mode afterwards'] False" in verdict("99.1", lambda model: int(bool(model.eval())))


def test_an_exception_names_the_line_of_the_reader(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, tensors)

    def attempt(x: torch.Tensor) -> torch.Tensor:
        x = x + 1
        return torch.ones(7, 7) @ x

    line = attempt.__code__.co_firstlineno + 2
    assert verdict("99.1", attempt).startswith(
        f"not yet: line {line}, `return torch.ones(7, 7) @ x`, raises RuntimeError: mat1 and mat2 shapes cannot be"
    )
    assert "\n" not in verdict("99.1", attempt)
    assert verdict("99.1", lambda x: sys.exit("enough")).endswith("raises SystemExit: enough")

    helped_line = attempt.__code__.co_firstlineno + 2
    assert f"line {helped_line}, `return torch.ones(7, 7) @ x`" in verdict("99.1", lambda x: attempt(x))

    class Attempt:
        def __init__(self, x: torch.Tensor) -> None:
            self.y = x.no_such_thing

    assert "`self.y = x.no_such_thing`, raises AttributeError" in verdict("99.1", Attempt)


@pytest.mark.parametrize(
    "error",
    [GeneratorExit(), StopIteration(), asyncio.CancelledError(), KeyboardInterrupt(), MemoryError(), BaseException()],
    ids=repr,
)
def test_whatever_is_raised_gets_a_sentence(exercise: Callable[..., None], error: BaseException) -> None:
    def attempt(x: torch.Tensor) -> torch.Tensor:
        raise error

    exercise(lambda x: x, tensors, properties=(Property("never looked at", lambda f, x: f(x)),))
    assert f"`raise error`, raises {type(error).__name__}" in verdict("99.1", attempt)


def test_errors_whose_text_fails_or_has_no_end(exercise: Callable[..., None]) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    def mute(x: torch.Tensor) -> torch.Tensor:
        raise Mute

    def endless(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("very " * 100_000)

    exercise(lambda x: x, tensors)
    assert verdict("99.1", mute).endswith("raises Mute")
    assert verdict("99.1", endless).endswith("...") and len(verdict("99.1", endless)) < 300


def test_another_number_of_arguments_is_not_taken_for_a_known_mistake(exercise: Callable[..., None]) -> None:
    exercise(lambda a, b: (a + b) / 2, numbers, wrong=(BREAKS,))
    assert "missing 1 required positional argument" in verdict("99.1", lambda a, b, c: a)
    assert judge("99.1", lambda a, b: sum(a)).wrong is BREAKS
    assert judge("99.1", lambda a, *more: sum(a)).wrong is BREAKS


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_cannot_be_looked_at_gets_a_sentence(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, tensors)
    nested = judge("99.1", lambda x: torch.nested.nested_tensor([x[0], x[1]]))
    assert "a Tensor that cannot be compared" in str(nested) and "yours     Tensor" in str(nested)
    assert verdict("99.1", lambda x: Hostile()) == "not yet: a value of type Hostile, should be Tensor"
    assert verdict("99.1", lambda x: [Hostile()]) == "not yet: a value of type list, should be Tensor"
    assert verdict("99.1", Hostile()) == "not yet: pass the function itself, not a Hostile"


def test_a_check_that_breaks_says_so(exercise: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    exercise(lambda x: x, lambda rng: 1 / 0)
    check("99.1", abs)
    assert capsys.readouterr().out == "99.1  cannot be checked here: ZeroDivisionError: division by zero\n"


def test_every_kind_of_function_can_be_checked(exercise: Callable[..., None]) -> None:
    class Layer:
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return x.softmax(-1)

    @functools.wraps(abs)
    def wrapped(x: torch.Tensor) -> torch.Tensor:
        return x.softmax(-1)

    typed: dict[str, Any] = {}
    exec("def right(x): return x.softmax(-1)\ndef stub(x): ...\ndef gap(x): x = ...\ndef forgot(x): x.sum()", typed)
    exercise(lambda x: x.softmax(-1), tensors)
    partial = functools.partial(torch.softmax, dim=-1)
    for attempt in (Layer(), Layer().__call__, wrapped, partial, typed["right"], torch.nn.Softmax(-1)):
        assert verdict("99.1", attempt).startswith("right")
    for stub in (typed["stub"], typed["gap"]):
        assert verdict("99.1", stub) == "not attempted yet"
    for attempt in (typed["forgot"], lambda x: print(end=""), print):
        assert verdict("99.1", attempt) == "not yet: it gives None; does it end with `return`?"
    assert verdict("99.1", set) == "not yet: a value of type set, should be Tensor"


def test_a_check_leaves_the_settings_of_the_notebook_alone(
    exercise: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(x: torch.Tensor) -> torch.Tensor:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_deterministic_debug_mode("error")
        os.chdir(tmp_path)
        np.random.seed(0)  # noqa: NPY002
        return x.softmax(-1)

    before = Path.cwd()
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    exercise(lambda x: x.softmax(-1), tensors)
    assert verdict("99.1", attempt).startswith("right")
    assert torch.get_default_dtype() is torch.float32
    assert torch.is_grad_enabled()
    assert torch.get_deterministic_debug_mode() == 0
    assert Path.cwd() == before
    assert np.random.rand() == expected  # noqa: NPY002


def test_what_is_printed_without_end_is_cut_and_closing_the_page_hurts_nobody(
    exercise: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def attempt(x: float) -> float:
        print("a line", file=sys.stderr)
        print("x" * 5000)
        sys.stdout.close()
        return abs(x)

    exercise(abs, lambda rng: (rng.random(),))
    assert judge("99.1", attempt).right
    printed = capsys.readouterr()
    assert printed.out.startswith("a line\nxxx") and printed.out.endswith("xxx...\n") and printed.err == ""
    assert len(printed.out) < 2100
    page = _watch.Page()
    for _ in range(5000):
        page.write("x" * 100)
    assert len(page.getvalue()) < 2100, "a loop without end could fill the memory"


def test_an_error_that_is_asked_for_is_right(exercise: Callable[..., None]) -> None:
    def reference(n: int) -> int:
        if n > 5:
            raise ValueError(f"{n} is above 5")
        return n

    exercise(reference, lambda rng: (rng.randint(0, 9),))
    assert verdict("99.1", reference).startswith("right")
    assert "should raise ValueError" in verdict("99.1", lambda n: n)

    def other_kind(n: int) -> int:
        return {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5}[n]

    assert "raises KeyError" in verdict("99.1", other_kind)


def test_an_endless_loop_is_stopped_and_the_stop_button_still_works(
    exercise: Callable[..., None], listening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LIMIT", 0.5)
    exercise(abs, lambda rng: (rng.random(),))

    def endless(x: float) -> float:
        while True:
            x += 1

    begin = time.monotonic()
    assert verdict("99.1", endless).startswith("not yet: it still ran after 0.5 seconds")
    assert time.monotonic() - begin < 20  # two, on a machine that has nothing else to do

    def stopped(x: float) -> float:
        signal.raise_signal(signal.SIGINT)
        return abs(x)

    def stopped_and_caught(x: float) -> float:
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        return abs(x)

    for attempt in (stopped, stopped_and_caught):
        with pytest.raises(KeyboardInterrupt):
            judge("99.1", attempt)
    assert verdict("99.1", abs).startswith("right")


def test_an_endless_loop_that_catches_everything_is_stopped_too(
    exercise: Callable[..., None], listening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LIMIT", 0.5)
    exercise(abs, lambda rng: (rng.random(),))

    def endless(x: float) -> float:
        while True:
            try:
                x += 1
            except Exception:
                continue

    def swallows_everything(x: float) -> float:
        while True:
            try:
                time.sleep(0.05)
            except BaseException:
                x += 1

    def goes_on_at_the_end(x: float) -> float:
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(0.05)

    def sleeps(x: float) -> float:
        time.sleep(100)
        return x

    def answers_late(x: float) -> float:
        try:
            time.sleep(100)
        except BaseException:
            return abs(x)

    before = signal.getsignal(signal.SIGINT)
    traced, begin = sys.gettrace(), time.monotonic()
    for attempt in (endless, swallows_everything, goes_on_at_the_end, sleeps, answers_late):
        assert "still ran" in verdict("99.1", attempt)
        time.sleep(0.15)  # an interrupt that comes late would end the test here
    assert time.monotonic() - begin < 60
    assert signal.getsignal(signal.SIGINT) is before and sys.gettrace() is traced

    def tracer(*what: Any) -> None:
        """As a debugger sets one."""

    try:
        sys.settrace(tracer)
        assert "still ran" in verdict("99.1", swallows_everything)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(traced)


def test_a_property_without_end_is_left_out(
    exercise: Callable[..., None], listening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LIMIT", 0.5)
    slow = Property("never told", lambda f, x: time.sleep(100))
    exercise(abs, lambda rng: (rng.random(),), properties=(slow, Property("told", lambda f, x: f(-2) == 2)))
    assert verdict("99.1", lambda x: x) == "not yet: told"


def test_a_check_in_a_thread_answers(exercise: Callable[..., None]) -> None:
    exercise(abs, lambda rng: (rng.random(),))
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(verdict("99.1", abs)))
    thread.start()
    thread.join(60)
    assert said == ["right: because (20 random inputs agree)"]


def test_a_slow_function_is_tried_four_times(exercise: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "LIMIT", 2)
    exercise(abs, lambda rng: (rng.random(),))
    assert verdict("99.1", lambda x: time.sleep(0.7) or abs(x)) == "right: because (4 random inputs agree)"


def test_what_the_reader_prints_is_seen_once(exercise: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    exercise(abs, lambda rng: (rng.random(),))
    assert judge("99.1", lambda x: print("here") or abs(x)).right
    assert capsys.readouterr().out == "here\n"


def test_a_check_leaves_the_random_numbers_of_the_notebook_alone(exercise: Callable[..., None]) -> None:
    """Else a notebook with solved exercises would print other numbers than one without."""
    exercise(lambda x: x, tensors)
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.rand(2), random.random()
    torch.manual_seed(3)
    random.seed(3)
    judge("99.1", lambda x: x + torch.rand(3, 1) + random.random())
    assert torch.equal(torch.rand(2), expected[0])
    assert random.random() == expected[1]


def test_dropout_can_be_compared(exercise: Callable[..., None]) -> None:
    """Reference and attempt draw the same global random numbers."""
    exercise(lambda x: torch.dropout(x, 0.5, True), tensors)
    assert verdict("99.1", lambda x: torch.nn.functional.dropout(x, 0.5)).startswith("right")
    assert verdict("99.1", lambda x: torch.nn.functional.dropout(x, 0.5, False)).startswith("not yet")


def test_changing_an_argument_in_place_is_noticed(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x + 1, tensors)
    assert verdict("99.1", lambda x: x.add_(1)) == (
        "not yet: the answer is right, but argument 1 was changed in place; work on a copy"
    )
    found = judge("99.1", lambda x: x.mul_(2))
    assert found.details[-1] == "argument 1 was changed in place; was it read again afterwards?"
    exercise(lambda ids: sorted(ids), lambda rng: ([rng.random() for _ in range(5)],))
    assert "changed in place" in verdict("99.1", lambda ids: ids.sort() or ids)


def test_stubs_are_unattempted_and_a_forgotten_return_is_not(exercise: Callable[..., None]) -> None:
    exercise(lambda x: x, tensors)

    def empty(x: torch.Tensor) -> Any: ...

    def described(x: torch.Tensor) -> Any:
        """What it should do."""
        return ...

    def passes(x: torch.Tensor) -> Any:
        """What it should do."""
        pass  # noqa: PIE790

    def gap(x: torch.Tensor) -> Any:
        y = ...
        return y @ x

    def returns_gap(x: torch.Tensor) -> Any:
        return ...

    def to_do(x: torch.Tensor) -> Any:
        raise NotImplementedError

    class Layer(torch.nn.Module): ...

    def forgot(x: torch.Tensor) -> Any:
        x[..., 0].clone()

    def forgot_after_a_pass(x: torch.Tensor) -> Any:
        if x is not None:
            pass
        x.sum()

    def of_the_wrong_kind(x: torch.Tensor) -> Any:
        return torch.softmax(x.long(), -1)

    class NoForward(torch.nn.Module):
        def __init__(self, x: torch.Tensor) -> None:
            super().__init__()
            self(x)

    def right_with_a_leftover(x: torch.Tensor) -> Any:
        forgotten = ...
        return (forgotten, x)[1]

    stubs = (empty, described, passes, gap, returns_gap, to_do, Layer, None, ...)
    assert {verdict("99.1", stub) for stub in stubs} == {"not attempted yet"}
    assert verdict("99.1", forgot) == "not yet: it gives None; does it end with `return`?"
    assert verdict("99.1", forgot_after_a_pass) == "not yet: it gives None; does it end with `return`?"
    assert "raises NotImplementedError" in verdict("99.1", of_the_wrong_kind)
    assert "raises NotImplementedError" in verdict("99.1", NoForward)
    assert verdict("99.1", right_with_a_leftover).startswith("right")
    exercise((2, 3))
    assert verdict("99.1", (..., ...)) == "not attempted yet"


def test_the_bug_that_is_given_is_unattempted_until_it_is_changed(exercise: Callable[..., None]) -> None:
    def broken(a, b):
        return a + b / 2

    def my_mean(a, b):  # a comment, and another name, are no attempt
        return a + b / 2

    def touched(a, b):
        return (a + b) * 2

    exercise(lambda a, b: (a + b) / 2, numbers, given=broken, wrong=(Wrong("only b is halved", broken),))
    assert verdict("99.1", my_mean) == "not attempted yet"
    assert judge("99.1", touched).wrong is None
    assert verdict("99.1", lambda a, b: b / 2 + a) == "not yet: only b is halved"


def test_a_slip_that_only_some_inputs_show_is_found(exercise: Callable[..., None]) -> None:
    exercise(abs, lambda rng: (rng.randint(-3, 3),))
    assert verdict("99.1", lambda x: x if x > -3 else 0).startswith("not yet")


def test_a_function_is_wanted(exercise: Callable[..., None]) -> None:
    exercise(abs, lambda rng: (rng.random(),))
    assert verdict("99.1", 3) == "not yet: pass the function itself, not 3"


@pytest.mark.parametrize("number", ["77.1", "x", "", "5", 5, None, [5], "5.99"])
def test_an_unknown_number_gets_a_sentence(number: Any) -> None:
    assert verdict(number, 1).startswith("is no exercise")


def test_an_unknown_number_of_a_known_notebook_names_the_known_ones() -> None:
    number = next(iter(REGISTERED))
    assert number in verdict(f"{number.partition('.')[0]}.99", 1)


def test_importing_check_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.process_time(); from exercises import check, predict; check('77.1', None);"
        "heavy = {'torch', 'numpy', 'gptlib', 'ipywidgets', 'IPython'} & set(sys.modules);"
        "print(time.process_time() - start < 0.3, bool(heavy))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "notebooks", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "True False"


# ---- predictions


def test_a_prediction_is_judged_and_never_told(exercise: Callable[..., None]) -> None:
    exercise((2, 3), kind="predict", wrong=(Wrong("rows come first", (3, 2)),))
    assert verdict("99.1", (3, 2)) == "not yet: rows come first"
    assert verdict("99.1", [2, 3]) == "right: because"
    assert verdict("99.1", torch.Size([2, 3])) == "right: because"
    assert verdict("99.1", (7, 7)) == "not yet: it is not (7, 7)"
    assert verdict("99.1", 6) == "not yet: a tuple or list is asked for, and 6 is a number"
    assert verdict("99.1", (7,)) == "not yet: it is not (7,)", "how many there are is a part of the answer"
    exercise(lambda: "rows", kind="predict", choices=("rows", "columns"), wrong=(Wrong("each is a query", "columns"),))
    assert verdict("99.1", "rows") == verdict("99.1", "a") == verdict("99.1", "A") == "right: because"
    assert verdict("99.1", "b") == "not yet: each is a query"
    exercise("8", kind="predict", choices=("1", "8"))
    assert verdict("99.1", 8) == "right: because"
    exercise(lambda: "rows", kind="predict", choices=("rows", "columns"))
    assert verdict("99.1", "both") == "not yet: choose one of a, b, or write the answer as it stands there"


@pytest.mark.parametrize(
    ("right", "choices", "answers"),
    [
        (-3, (), ["-3", "\N{MINUS SIGN}3", " -3 ", np.int64(-3), torch.tensor(-3), -3.0]),
        ((2, 3), (), ["2, 3", "(2, 3)", "[2,3]", torch.tensor([2, 3]), np.array([2, 3]), torch.ones(2, 3).shape]),
        (0.5, (), ["0.5", ".5", np.float16(0.5), torch.tensor(0.5, requires_grad=True)]),
        ("cat", (), ["cat", "'cat'", " cat "]),
        ("12", (), ["12", 12]),
        (True, (), [True, "True", np.bool_(True)]),
        ("rows", ("rows", "columns"), ["rows", "Rows ", "'rows'", "a", " A"]),
        ("8", ("1", "8"), [8, 8.0, np.float32(8), "8", "b"]),
        ((2, 3), ((3, 2), (2, 3)), [(2, 3), [2, 3], torch.Size([2, 3]), "(2, 3)", "b"]),
        ("b", ("b", "a"), ["b", "B"]),  # a choice is itself before it is a letter
    ],
)
def test_an_answer_may_be_written_in_many_ways(
    exercise: Callable[..., None], right: Any, choices: tuple[Any, ...], answers: list[Any]
) -> None:
    exercise(right, kind="predict", choices=choices)
    for answer_given in answers:
        assert verdict("99.1", answer_given) == "right: because", answer_given


@pytest.mark.parametrize(
    ("right", "attempt", "says"),
    [
        (1, True, "a number is asked for, and True is True or False"),
        (True, 1, "True or False is asked for, and 1 is a number"),
        (0.5, "0,5", "a number is asked for, and (0, 5) is a tuple or list"),
        (7, torch.tensor(6), "it is not 6"),
        ((2, 3), (2, 3, 4), "it is not (2, 3, 4)"),
        (7, "(" * 100_000, f"a number is asked for, and '{'(' * 56}... is text"),
        (7, {"a": 1}, "a number is asked for, and {'a': 1} is a dict"),
    ],
)
def test_a_wrong_answer_is_told_by_its_form(exercise: Callable[..., None], right: Any, attempt: Any, says: str) -> None:
    exercise(right, kind="predict")
    assert verdict("99.1", attempt) == f"not yet: {says}"


def test_nothing_typed_is_unattempted(exercise: Callable[..., None]) -> None:
    for choices in ((), (1, 2)):
        exercise(1, kind="predict", choices=choices)
        assert {verdict("99.1", answer_given) for answer_given in ("", "  ", ..., (..., 2))} == {"not attempted yet"}


# ---- hints, answers, progress


def test_hints_come_one_by_one(exercise: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    exercise(abs, numbers, hints=("one", "two", "three"))
    for _ in range(3):
        hint("99.1")
    hint(99.1)  # as a number
    assert capsys.readouterr().out.splitlines() == [
        "99.1  hint 1 of 3: one",
        "99.1  hint 2 of 3: two",
        "99.1  hint 3 of 3: three",
        '99.1  those were all 3 hints; answer("99.1") shows a solution. The last was:',
        "99.1  hint 3 of 3: three",
    ]


def test_an_answer_is_shown_after_asking(
    exercise: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mean(a: float, b: float) -> float:
        return (a + b) / 2

    exercise(mean, numbers, why="two numbers, so half of their sum")
    monkeypatch.setattr("builtins.input", lambda question: "n")
    answer("99.1")
    assert "return (a + b) / 2" not in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda question: "Yes")
    answer("99.1")
    assert capsys.readouterr().out.endswith("    return (a + b) / 2\n\ntwo numbers, so half of their sum\n")

    def nobody(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    answer("99.1")
    assert capsys.readouterr().out == '99.1  answer("99.1", sure=True) shows the solution\n'
    exercise(lambda: 40 + 2, why="because it is")
    answer("99.1", sure=True)
    assert capsys.readouterr().out == "99.1  42\n\nbecause it is\n"


@pytest.mark.parametrize(
    "reference", [functools.partial(pow, 2), abs, eval("lambda a: a")], ids=["partial", "builtin", "typed"]
)
def test_an_answer_without_source_is_told_in_words(
    exercise: Callable[..., None], capsys: pytest.CaptureFixture[str], reference: Callable[..., Any]
) -> None:
    exercise(reference, numbers, why="these are the words")
    answer("99.1", sure=True)
    assert capsys.readouterr().out == "99.1  in words:\n\nthese are the words\n"


@EVERY_EXERCISE
def test_its_answer_can_be_shown(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer(number, sure=True)
    shown = capsys.readouterr().out
    assert REGISTERED[number].why in shown
    if REGISTERED[number].inputs and callable(REGISTERED[number].solution or REGISTERED[number].reference):
        assert re.search(r"^(def|class|@)", shown, re.MULTILINE), shown


def test_what_is_done_is_kept_and_drawn(own_progress: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, entry = next(iter(REGISTERED.items()))
    assert "0 of" in repr(progress()).splitlines()[0]
    check(first, entry.reference if entry.inputs else entry.value())
    hint(first)
    check(first, entry.reference if entry.inputs else entry.value())
    lines = own_progress.read_text(encoding="utf-8").split()
    assert len(lines) == 4 + 2 and _progress.read() == {first: {"hints": 1, "right": True}}
    line = repr(progress()).splitlines()[0]
    assert line.startswith("01 tokenizer") and "█░" in line and "1 of " in line and "1 hint" in line
    assert 'value="1"' in progress()._repr_html_()
    assert len(repr(progress()).splitlines()) == len(FILES)


def test_nothing_wrong_or_unattempted_is_kept(own_progress: Path) -> None:
    number = next(number for number, entry in REGISTERED.items() if entry.inputs)
    check(number, None)
    check(number, REGISTERED[number].wrong[0].does)
    assert not own_progress.exists()


def test_what_is_damaged_stays_and_the_rest_is_read(own_progress: Path) -> None:
    damaged = '{"1.1": {"right": true}}\r\n\ufffd{ half a li\n[1]\n{"1.2": 3}\n{"1.3": {"hints": "x", "answer": true}}'
    own_progress.write_bytes(b"\xef\xbb\xbf" + damaged.encode().replace("\ufffd".encode(), b"\xff"))
    before = own_progress.read_bytes()
    assert _progress.note("1.4", hints=2) == {"hints": 2}
    assert own_progress.read_bytes().startswith(before), "nothing of what stood there is lost"
    assert _progress.read() == {"1.1": {"right": True}, "1.3": {"answer": True}, "1.4": {"hints": 2}}
    own_progress.write_text('{"1.1": {"hints": -7, "right": "yes"}}', encoding="utf-8")
    hint("1.1")
    assert _progress.read()["1.1"] == {"hints": 1}
    own_progress.write_text("[" * 100_000, encoding="utf-8")
    assert _progress.read() == {}


def test_two_notebooks_do_not_undo_each_other(own_progress: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one writes between the reading and the writing of this one."""
    read = _progress.read

    def read_and_be_overtaken() -> dict[str, Any]:
        known = read()
        with own_progress.open("a", encoding="utf-8", newline="\n") as file:
            file.write('\n{"1.2": {"right": true}}')
        return known

    monkeypatch.setattr(_progress, "read", read_and_be_overtaken)
    _progress.note("1.1", right=True)
    assert read() == {"1.1": {"right": True}, "1.2": {"right": True}}


def test_where_nothing_can_be_written_it_is_said_and_remembered(
    own_progress: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_progress.mkdir()
    try:
        _progress.note("1.1", right=True)
        assert "1.1  is remembered until Python ends, for it cannot be written down" in capsys.readouterr().out
        assert _progress.read() == {"1.1": {"right": True}}
        monkeypatch.setenv("GPTLIB_PROGRESS", str(own_progress / "with a space and \u00e9" / "x.json"))
        _progress.note("1.2", hints=2)
        assert (
            not _progress.seen and len((own_progress / "with a space and \u00e9" / "x.json").read_text().split()) == 6
        )
        assert _progress.read() == {"1.1": {"right": True}, "1.2": {"hints": 2}}
    finally:
        _progress.seen.clear()


# ---- questions


def test_a_question_has_its_plain_text_way(exercise: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    exercise("rows", kind="predict", text="Which add up to 1?", choices=("rows", "columns"))
    predict("99.1")
    assert capsys.readouterr().out.splitlines() == [
        "99.1  not attempted yet",
        "Which add up to 1?",
        "  a  rows",
        "  b  columns",
        'answer with predict("99.1", "?") with a letter for the ?',
    ]
    predict("99.1", "a")
    assert capsys.readouterr().out == "99.1  right: because\n"
    exercise((2, 3), kind="predict", text="Which shape?")
    predict("99.1", 2, 3)
    assert capsys.readouterr().out == "99.1  right: because\n"
    exercise(abs, numbers, text="A function.")
    predict("99.1")
    assert capsys.readouterr().out == "99.1  not attempted yet\n"


def test_without_ipywidgets_the_question_is_text(
    exercise: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_predict, "in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    exercise((2, 3), kind="predict", text="Which shape?")
    predict("99.1")
    assert "Which shape?" in capsys.readouterr().out


def test_the_widget_checks_what_is_chosen_or_typed(exercise: Callable[..., None]) -> None:
    wrong = (Wrong("a column is a key", "columns"),)
    exercise(
        "rows", kind="predict", text="Which <add up> to 1?", choices=("rows", "columns"), wrong=wrong, hints=("h",)
    )
    question, field, buttons, said = _predict.widget("99.1", _core.find("99.1"), check).children
    assert "&lt;add up&gt;" in question.value
    buttons.children[0].click()
    assert "99.1  not attempted yet" in said.value
    field.value = "columns"
    buttons.children[0].click()
    assert "not yet: a column is a key" in said.value
    buttons.children[1].click()
    assert "hint 1 of 1: h" in said.value
    field.value = "rows"
    buttons.children[0].click()
    assert "right: because" in said.value
    exercise((2, 3), kind="predict", text="Which shape?")
    _, field, _, said = _predict.widget("99.1", _core.find("99.1"), check).children
    for typed in ("2, 3", "(2, 3)", "[2,3]"):
        said.value = field.value = ""
        field.value = typed
        assert "right: because" in said.value, typed
    field.value = "no idea"
    assert "not yet: a tuple or list is asked for" in said.value
