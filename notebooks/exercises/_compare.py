"""Where one value differs from another, in words. Only the standard library is loaded until arrays need more."""

import math
from collections.abc import Mapping
from typing import Any

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # sums in another order differ by less in float32; a forgotten term differs by more
HALF = 2e-2  # the same for answers in 16 bits
# numpy's kinds in words, and which others may stand for a kind: precision is no mistake
KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"}
FITS = {"i": "iu", "u": "iu", "f": "fiu"}


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
        half = getattr(getattr(actual, "dtype", None), "itemsize", 4) == 2
        relative, absolute = (HALF, HALF) if half else (RELATIVE, ABSOLUTE)
        close = np.isclose(ours, right, rtol=relative, atol=absolute, equal_nan=True)
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


def sketch(value: Any) -> str:
    """What a value is: shape and dtype of an array, a short repr of all else."""
    if is_array(value):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list | tuple) and any(is_array(item) for item in value):
        return f"{type(value).__name__} of {', '.join(sketch(item) for item in value)}"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{show(key)}: {sketch(item)}" for key, item in list(value.items())[:4])
        return f"{{{inside}{', ...' if len(value) > 4 else ''}}}"
    if isinstance(value, bool | int | float | str | bytes | list | tuple | set | frozenset) or value is None:
        return show(value)
    return type(value).__name__


def size(value: Any) -> int:
    """How much there is to look at, so that the smallest input can be shown."""
    if is_array(value):
        return math.prod(value.shape)
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(size(item) for item in value.values())
    if isinstance(value, list | tuple | set):
        return 1 + sum(size(item) for item in value)
    return 1
