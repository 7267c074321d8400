"""Write files so that a stop at any moment, even a power cut, leaves the old file or the new one, never half of one."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A name in the same folder to write to; when the block ends well, what was written there becomes `path`.

    The bytes are on the disk before the rename, and a rename within a folder happens whole or not at all. If the block
    raises, `path` is as it was. A killed process leaves its temporary file, which the next one that writes replaces.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":  # the rename itself must reach the disk too; elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file, in UTF-8 with `\\n` at its line ends."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write plain values as a JSON file to be read by people too."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def alone(folder: Path, sentence: str) -> Iterator[None]:
    """`ValueError` with this sentence if another process holds the folder; the lock ends with its process."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    path = Path(gettempdir()) / f"gptlib-{name}.lock"
    if not path.exists():
        path.touch()
    with path.open("rb") as file:  # for reading alone, so that it may be another user's
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except BlockingIOError:
            raise ValueError(sentence) from None
        yield
