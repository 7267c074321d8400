"""Token files: 256 bytes of text that say what follows, then the ids and nothing else (lesson 02_data)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlib._files import atomic_path

FORMAT = "gptlib tokens 1"
HEADER_BYTES = 256
AGAIN = "make it again with encode_to_file or `gptlib prepare`"


def ids_dtype(vocab_size: int) -> np.dtype:
    """The smallest type that holds every id of a vocabulary, with the low byte first on every machine."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def make_header(count: int, dtype: np.dtype, fingerprint: str, text_bytes: int) -> bytes:
    """Two lines that people can read too: the format, then the rest as JSON, filled up with spaces."""
    fields = {"count": count, "dtype": dtype.name, "tokenizer": fingerprint, "text_bytes": text_bytes}
    return f"{FORMAT}\n{json.dumps(fields)}".ljust(HEADER_BYTES - 1).encode("ascii") + b"\n"


def write_tokens(path: Path, tokens: np.ndarray, fingerprint: str, text_bytes: int) -> Path:
    """Write a token file, whole or not at all."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(make_header(len(tokens), tokens.dtype, fingerprint, text_bytes))
        file.write(tokens.tobytes())  # its errors say more than those of `tofile`
    return path


def read_header(path: Path) -> dict[str, Any]:
    """`count`, `dtype`, `tokenizer` (its fingerprint) and `text_bytes` of a token file.

    Raises `FileNotFoundError` if it is not there, and `ValueError` if it is another kind of file or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no token file {str(path)!r}: make it with encode_to_file or `gptlib prepare`"
        )
    with path.open("rb") as file:
        content = file.read(HEADER_BYTES)
    if content.startswith(b"\x93NUMPY"):
        raise ValueError(f"{str(path)!r} is a numpy file, as token files were before they had a header: {AGAIN}")
    first, _, rest = content.partition(b"\n")
    if first != FORMAT.encode("ascii"):
        kind = FORMAT.rpartition(" ")[0]
        other = f"has the format {first.decode(errors='replace')!r}, not {FORMAT!r}"
        raise ValueError(f"{str(path)!r} {other if first.startswith(kind.encode()) else 'is no token file'}: {AGAIN}")
    try:
        fields = json.loads(rest)
        count, text_bytes, fingerprint = fields["count"], fields["text_bytes"], fields["tokenizer"]
        dtype = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}[fields["dtype"]]
        fits = count >= 0 and text_bytes >= 0 and isinstance(count + text_bytes, int) and isinstance(fingerprint, str)
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits or len(content) < HEADER_BYTES:
        raise ValueError(f"the header of the token file {str(path)!r} is damaged: {AGAIN}")
    held = path.stat().st_size - HEADER_BYTES
    if held != count * dtype.itemsize:
        raise ValueError(
            f"the token file {str(path)!r} is damaged: it should hold {count:,} ids of {dtype.itemsize} bytes, "
            f"and holds {held:,} bytes of them: {AGAIN}"
        )
    return {"count": count, "dtype": dtype, "tokenizer": fingerprint, "text_bytes": text_bytes}


def check_maker(path: Path, header: Mapping[str, Any], tokenizer: Any) -> None:
    """`ValueError` if another tokenizer than this one made the file."""
    made, given = header["tokenizer"], tokenizer.fingerprint
    if made != given:
        raise ValueError(
            f"the token file {str(path)!r} was made with the tokenizer {made[:8]}, and this one is {given[:8]}: "
            f"load the tokenizer.json that belongs to the file, or {AGAIN}"
        )
