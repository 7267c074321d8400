"""How an attempt is compared with the right answer. Only the standard library is loaded until values need more."""

import ast
import importlib
import inspect
import math
import random
import textwrap
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

UNATTEMPTED = "not attempted yet"
ROUNDS = 20  # random inputs per check: enough to meet the odd shapes, fast enough not to be felt
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # sums in another order differ by less in float32; a forgotten term differs by more
# numpy's kinds in words, and which others may stand for a kind: precision is no mistake
KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"}
FITS = {"i": "iu", "u": "iu", "f": "fiu"}


@dataclass(frozen=True)
class Exercise:
    """The right answer: a function together with a maker of its arguments, or for a prediction the value itself."""

    reference: Any
    about: str
    inputs: Callable[[random.Random], tuple[Any, ...]] | None = None


def check(number: str, attempt: Any) -> None:
    """Print one line: not attempted yet, right, or where the attempt first differs from the right answer."""
    print(f"{number}  {verdict(number, attempt)}")


def verdict(number: str, attempt: Any) -> str:
    """What `check` prints behind the number."""
    exercises = load(number)
    if number not in exercises:
        return f"is no exercise; there are {', '.join(exercises)}" if exercises else "is no exercise of any notebook"
    exercise = exercises[number]
    if attempt is None or attempt is ...:
        return UNATTEMPTED
    if exercise.inputs is None:
        if isinstance(attempt, list | tuple) and any(item is ... for item in attempt):
            return UNATTEMPTED
        found = difference(exercise.reference, attempt)
        return f"not yet: {found}" if found else f"right: {exercise.about}"
    if not callable(attempt):
        return f"not yet: pass the function itself, not {show(attempt)}"
    for trial in range(ROUNDS):
        problem = compare_once(exercise, attempt, seed=f"{number} {trial}")
        if problem == UNATTEMPTED:
            return problem
        if problem:
            return f"not yet: {problem}"
    return f"right: {exercise.about} ({ROUNDS} random inputs agree)"


def load(number: str) -> dict[str, Exercise]:
    """The exercises of the notebook that `number` begins with; empty if there is no such notebook."""
    notebook = str(number).partition(".")[0]
    if not notebook.isdecimal():
        return {}
    name = f"exercises.nb{int(notebook):02}"
    try:
        return importlib.import_module(name).EXERCISES
    except ModuleNotFoundError as error:
        if error.name != name:  # the notebook's own import is missing: that is not an unknown number
            raise
        return {}


def compare_once(exercise: Exercise, attempt: Callable[..., Any], seed: str) -> str | None:
    """The first thing wrong with `attempt` on the arguments that `seed` makes, or None.

    Arguments are made three times rather than copied: for the attempt, for the reference, and to see
    whether the attempt changed its own.
    """
    given, untouched = exercise.inputs(random.Random(seed)), exercise.inputs(random.Random(seed))
    expected = exercise.reference(*exercise.inputs(random.Random(seed)))
    try:
        actual = attempt(*given)
    except NotImplementedError:
        return UNATTEMPTED
    except Exception as error:  # whatever the reader's code raises is a finding about it
        return UNATTEMPTED if "ellipsis" in str(error) else describe(error, attempt)
    if actual is ... or (actual is None and has_gap(attempt)):
        return UNATTEMPTED
    if actual is None:
        return "it gives None; does it end with `return`?"
    found = difference(expected, actual)
    if found:
        return found
    for place, (before, after) in enumerate(zip(untouched, given, strict=True), start=1):
        if difference(before, after, exact=True):
            return f"the answer is right, but argument {place} was changed in place; work on a copy"
    return None


def has_gap(attempt: Callable[..., Any]) -> bool:
    """Whether a line of the function is still `...`, or `pass`; yes when its source is not to be had."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(attempt)))
    except (OSError, TypeError, SyntaxError):
        return True
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr | ast.Assign | ast.Return)]
    ellipses = [value for value in values if isinstance(value, ast.Constant) and value.value is ...]
    return bool(ellipses) or any(isinstance(node, ast.Pass) for node in ast.walk(tree))


def describe(error: Exception, attempt: Callable[..., Any]) -> str:
    """One line for an exception, with the last line of the reader's own function that it passed."""
    file = getattr(getattr(inspect.unwrap(attempt), "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]} raises " if lines else "it raises "
    message = " ".join(str(error).split())
    return f"{where}{type(error).__name__}: {message}" if message else f"{where}{type(error).__name__}"


def difference(expected: Any, actual: Any, place: str = "", exact: bool = False) -> str | None:
    """In words, the first place where `actual` is not `expected`, or None; types without a value are taken as equal."""
    at = f"at {place} " if place else ""
    if is_array(expected) or is_array(actual):
        return array_difference(expected, actual, at, exact)
    if isinstance(expected, bool | int | float) and isinstance(actual, bool | int | float):
        return None if same_number(expected, actual, exact) else f"{at}{show(actual)}, should be {show(expected)}"
    if isinstance(expected, str) and isinstance(actual, str):
        return text_difference(expected, actual, at)
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return sequence_difference(expected, actual, place, exact)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return mapping_difference(expected, actual, place, exact)
    if type(expected) is not type(actual):
        return f"{at}a value of type {type(actual).__name__}, should be {type(expected).__name__}"
    if type(expected).__eq__ is object.__eq__:  # a module or a generator: nothing to compare it by
        return None
    return None if expected == actual else f"{at}{show(actual)}, should be {show(expected)}"


def is_array(value: Any) -> bool:
    """Whether it is a tensor or a numpy array, told without loading torch or numpy."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def to_numpy(value: Any) -> Any:
    """The array of a tensor, an array or a number; floats as float64, whatever their precision and device."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def array_difference(expected: Any, actual: Any, at: str, exact: bool) -> str | None:
    """As `difference`, for tensors and arrays of any precision; a number stands for an array without dimensions."""
    import numpy as np

    if not all(is_array(value) or isinstance(value, bool | int | float) for value in (expected, actual)):
        return f"{at}a value of type {type(actual).__name__}, should be {type(expected).__name__}"
    right, ours = to_numpy(expected), to_numpy(actual)
    if ours.shape != right.shape:
        return f"{at}shape {ours.shape}, should be {right.shape}"
    if ours.dtype.kind not in FITS.get(right.dtype.kind, right.dtype.kind):
        return f"{at}{KINDS.get(ours.dtype.kind, ours.dtype)}, should be {KINDS.get(right.dtype.kind, right.dtype)}"
    if exact or right.dtype.kind not in "fc":
        close = (ours == right) | ((ours != ours) & (right != right))  # nan is the one value unequal to itself
    else:
        close = np.isclose(ours, right, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if close.all():
        return None
    first = tuple(int(i) for i in np.argwhere(~close)[0])
    where = f"{at}at {list(first)} " if first else at
    many = f"; {int((~close).sum())} of {close.size} values differ" if close.size > 1 else ""
    return f"{where}{show(ours[first].item())}, should be {show(right[first].item())}{many}"


def same_number(expected: float, actual: float, exact: bool) -> bool:
    """Equal; or close when one of them is a float."""
    if exact or not (isinstance(expected, float) or isinstance(actual, float)):
        return expected == actual or (expected != expected and actual != actual)
    both_nan = math.isnan(expected) and math.isnan(actual)
    return both_nan or math.isclose(expected, actual, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def text_difference(expected: str, actual: str, at: str) -> str | None:
    """As `difference`, for text: the first character that differs, with a little of what follows."""
    if expected == actual:
        return None
    pairs = enumerate(zip(expected, actual, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(actual)))
    ours, right = (repr(text[start : start + 20]) if text[start:] else "the end" for text in (actual, expected))
    return f"{at}character {start} begins {ours}, should be {right}"


def sequence_difference(expected: Any, actual: Any, place: str, exact: bool) -> str | None:
    """As `difference`, for lists and tuples, which count as the same."""
    for i, (a, b) in enumerate(zip(expected, actual, strict=False)):
        found = difference(a, b, f"{place}[{i}]", exact)
        if found:
            return found
    at = f"at {place} " if place else ""
    return None if len(expected) == len(actual) else f"{at}{len(actual)} items, should be {len(expected)}"


def mapping_difference(expected: Any, actual: Any, place: str, exact: bool) -> str | None:
    """As `difference`, for dictionaries."""
    at = f"at {place} " if place else ""
    for key in expected:
        if key not in actual:
            return f"{at}the key {show(key)} is missing"
        found = difference(expected[key], actual[key], f"{place}[{show(key)}]", exact)
        if found:
            return found
    extra = [key for key in actual if key not in expected]
    return f"{at}the key {show(extra[0])} is too much" if extra else None


def show(value: Any) -> str:
    """A repr on one line: floats with five digits, long things cut."""
    text = f"{value:.5g}" if isinstance(value, float) else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
