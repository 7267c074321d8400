"""Where one value differs from another, in words. Only the standard library is loaded until arrays need more."""

import cmath
import math
from collections.abc import Mapping, Set
from numbers import Number
from typing import Any

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # sums in another order differ by less in float32; a forgotten term differs by more
LEAST = 1e-6  # small numbers are held to less than ABSOLUTE, but what should cancel may leave this much
HALF = 2e-2  # RELATIVE and ABSOLUTE for answers in 16 bits
# numpy's kinds in words, and which others may stand for a kind: precision is no mistake
KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers"}
FITS = {"i": "iu", "u": "iu", "f": "fiu", "c": "cfiu"}
FAMILIES = (Set, bytes | bytearray)  # types that stand for each other


def difference(expected: Any, actual: Any, place: str = "", exact: bool = False) -> str | None:
    """In words, the first place where `actual` is not `expected`, or None; what has no value is taken as equal."""
    try:
        return found_difference(expected, actual, place, exact)
    except Exception as error:  # no numbers, as on the device "meta", or an object whose own methods fail
        at = f"at {place} " if place else ""
        return f"{at}a {type(actual).__name__} that cannot be compared with what it should be ({type(error).__name__})"


def found_difference(expected: Any, actual: Any, place: str, exact: bool) -> str | None:
    """As `difference`, for whatever lets itself be compared."""
    at = f"at {place} " if place else ""
    if isinstance(expected, list | tuple) and getattr(actual, "shape", ()):  # an array may stand for several numbers
        return sequence_difference(expected, list(actual), place, exact)
    if is_array(expected) or is_array(actual):
        return array_difference(expected, actual, at, exact)
    if isinstance(expected, Number) and isinstance(actual, Number):
        return None if same_number(expected, actual, exact) else f"{at}{unlike(actual, expected)}"
    if isinstance(expected, str) and isinstance(actual, str):
        return text_difference(expected, actual, at)
    if isinstance(expected, list | tuple | range) and isinstance(actual, list | tuple | range):
        return sequence_difference(expected, actual, place, exact)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return mapping_difference(expected, actual, place, exact)
    alike = any(isinstance(expected, family) and isinstance(actual, family) for family in FAMILIES)
    if type(expected) is not type(actual) and not alike:
        return f"{at}a value of type {type(actual).__name__}, should be {type(expected).__name__}"
    if type(expected).__eq__ is object.__eq__:
        return object_difference(expected, actual, place, exact)
    return None if expected == actual else f"{at}{unlike(actual, expected)}"


def object_difference(expected: Any, actual: Any, place: str, exact: bool) -> str | None:
    """As `difference`, for what has no comparison of its own: by its name, and by what it holds if it is a result."""
    if expected is actual:
        return None
    if " at 0x" not in repr(expected) + repr(actual) and repr(expected) != repr(actual):  # a class, a dtype
        return f"{f'at {place} ' if place else ''}{unlike(actual, expected)}"
    if exact or callable(expected) or not hasattr(expected, "__dict__"):
        return None
    return difference(vars(expected), vars(actual), place)


def unlike(actual: Any, expected: Any) -> str:
    """Both in words; with all digits where with five they look the same, or where a whole number is asked for."""
    ours, right = show(actual), show(expected)
    if ours == right or isinstance(expected, int):
        ours, right = repr(actual)[:60], repr(expected)[:60]
    return f"{ours}, should be {right}"


def is_array(value: Any) -> bool:
    """Whether it is a tensor or a numpy array, told without loading torch or numpy."""
    return hasattr(type(value), "shape") and hasattr(type(value), "dtype") and not isinstance(value, str | bytes)


def to_numpy(value: Any) -> Any:
    """The array of a tensor, an array or a number; floats as float64, whatever their precision and device."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().to_dense().cpu()
        value = (value.double() if value.is_floating_point() else value).resolve_conj().numpy()
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def array_difference(expected: Any, actual: Any, at: str, exact: bool) -> str | None:
    """As `difference`, for tensors and arrays of any precision; a number stands for an array without dimensions."""
    import numpy as np

    if not all(is_array(value) or isinstance(value, Number) for value in (expected, actual)):
        return f"{at}a value of type {type(actual).__name__}, should be {type(expected).__name__}"
    right, ours = to_numpy(expected), to_numpy(actual)
    if ours.shape != right.shape:
        return f"{at}shape {ours.shape}, should be {right.shape}"
    kind = right.dtype.kind
    whole = "f" if kind in "iu" and not right.shape else ""  # 3.0 may stand for 3
    if ours.dtype.kind not in FITS.get(kind, kind) + whole:
        return f"{at}{KINDS.get(ours.dtype.kind, ours.dtype)}, should be {KINDS.get(kind, right.dtype)}"
    if exact or kind not in "fc":
        close = (ours == right) | ((ours != ours) & (right != right))  # nan is the one value unequal to itself
    else:
        half = ours.dtype.kind == "f" and getattr(getattr(actual, "dtype", None), "itemsize", 4) == 2
        finite = np.abs(right[np.isfinite(right)])
        absolute = allowed(finite.max(initial=0.0), HALF if half else ABSOLUTE)
        close = np.isclose(ours, right, rtol=HALF if half else RELATIVE, atol=absolute, equal_nan=True)
    if close.all():
        return None
    first = tuple(int(i) for i in np.argwhere(~close)[0])
    where = f"{at}at {list(first)} " if first else at
    many = f"; {int((~close).sum())} of {close.size} values differ" if close.size > 1 else ""
    return f"{where}{unlike(ours[first].item(), right[first].item())}{many}"


def allowed(largest: float, absolute: float) -> float:
    """How far a value may be off whatever its own size: small numbers, as a learning rate, are not all the same."""
    return max(LEAST, absolute * min(1.0, largest))


def same_number(expected: Any, actual: Any, exact: bool) -> bool:
    """Equal; or close when a float is asked for. True is not 1."""
    if isinstance(expected, bool) is not isinstance(actual, bool):
        return False
    if expected == actual or (expected != expected and actual != actual):
        return True
    if exact or (isinstance(actual, int) and isinstance(expected, int)):
        return False
    if isinstance(expected, int):
        return cmath.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-9)
    return cmath.isclose(expected, actual, rel_tol=RELATIVE, abs_tol=allowed(abs(expected), ABSOLUTE))


def text_difference(expected: str, actual: str, at: str) -> str | None:
    """As `difference`, for text: the first character that differs, with a little of what follows."""
    if expected == actual:
        return None
    pairs = enumerate(zip(expected, actual, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(actual)))
    ours, right = (text[start : start + 20] for text in (actual, expected))
    if not ours:
        return f"{at}{start} of {len(expected)} characters, {right!r} is missing"
    if not right:
        return f"{at}{len(actual)} characters, should be {start}: {ours!r} is too much"
    return f"{at}from character {start} on {ours!r}, should be {right!r}"


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
    try:
        text = f"{value:.5g}" if isinstance(value, float) else " ".join(repr(value).split())
    except Exception:  # its own repr fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def sketch(value: Any) -> str:
    """What a value is: shape and dtype of an array, a short repr of all else."""
    if is_array(value):
        try:
            return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
        except Exception:  # a nested tensor has no shape
            return type(value).__name__
    if isinstance(value, list | tuple) and any(is_array(item) for item in value[:4]):
        inside = ", ".join(sketch(item) for item in value[:4])
        return f"{type(value).__name__} of {inside}{', ...' if len(value) > 4 else ''}"
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
