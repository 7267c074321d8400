"""Read text from wherever it is, block by block: a file, a gzip, a folder of files, a corpus with a name."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path

from gptlib._download import download
from gptlib.tokenizer import END_OF_TEXT

CORPORA = ("tales", "pydocs", "tinyshakespeare")
MARK_LINE = re.compile(rf"^{re.escape(END_OF_TEXT)}$", re.MULTILINE)
MARK_BETWEEN = f"\n{END_OF_TEXT}\n"
TINYSHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
BLOCK = 2**20  # bytes to read at a time


def text_blocks(source: str | Path) -> Iterator[str]:
    """The text of a corpus by name, of a file, a gzip or a folder, in blocks of about a megabyte.

    Every line end is `\\n` and a byte order mark is gone. The files of a folder are joined with mark lines. Raises
    `FileNotFoundError` for what is not there, and `ValueError` for what is empty or no text.
    """
    blank = True
    for block in blocks_of(source):
        blank = blank and block.isspace()
        yield block
    if blank:
        raise ValueError(f"{str(source)!r} is empty: choose a file with text in it")


def blocks_of(source: str | Path) -> Iterator[str]:
    """What `text_blocks` gives, for a source that may hold nothing."""
    if source == "pydocs":
        topics = import_module("pydoc_data.topics").topics
        pages = dict.fromkeys(topics[name].strip("\n") for name in sorted(topics))  # a page with two names counts once
        yield MARK_BETWEEN.join(pages)
    between = ""
    for path in files_of(source):
        for block in blocks_of_file(path):
            yield between + block
            between = ""
        between = MARK_BETWEEN


def blocks_of_file(path: Path) -> Iterator[str]:
    """The text of one file, unpacked if it is a gzip."""
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
            yield from decoded(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is a damaged gzip file ({error}): copy or compress it again") from error


def files_of(source: str | Path) -> list[Path]:
    """The files that hold a text: none for `pydocs`, which is Python code, and maybe many for a folder."""
    if source == "pydocs":
        return []
    folder = Path(str(resources.files("gptlib.corpora")))
    if source == "tinyshakespeare":
        return [download(TINYSHAKESPEARE_URL, folder / "tinyshakespeare.txt", TINYSHAKESPEARE_SHA256)]
    path = folder / "tales.txt" if source == "tales" else Path(source)
    if path.is_dir():
        return text_files(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r} and no corpus of that name: check the path, or use {', '.join(CORPORA)}"
        )
    return [path]


def text_files(folder: Path) -> list[Path]:
    """The text files in a folder and below it, in the order of their paths; hidden and empty ones are left out."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    chosen = [
        path
        for name, path in sorted(found.items())
        if name.lower().endswith((".txt", ".txt.gz"))
        and not any(part.startswith(".") for part in name.split("/"))
        and path.stat().st_size
    ]
    if not chosen:
        raise ValueError(f"the folder {str(folder)!r} has no .txt file with text in it: put some there, or name a file")
    return chosen


def is_gzip(path: Path) -> bool:
    """Whether the file begins as a gzip does, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def decoded(file: io.BufferedIOBase, path: Path, position: int = 0) -> Iterator[str]:
    """The rest of an open file as text, whose first byte is byte number `position` of `path`."""
    encoding = "utf-8" if position else "utf-8-sig"  # "sig": without a byte order mark
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    block = b"at the start"
    while block:
        block = file.read(BLOCK)
        if not position and block.startswith(b"gptlib tokens "):
            raise ValueError(f"{str(path)!r} is a token file: name the folder it is in, or a text")
        if b"\0" in block:
            raise ValueError(f"{str(path)!r} is a binary file, or UTF-16: save it as plain text in UTF-8")
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:  # its object is the block behind what was left of the one before
            place = position + len(block) - len(error.object) + error.start
            wrong = error.object[error.start]
            raise ValueError(f"{str(path)!r} is not UTF-8 (byte {place} is 0x{wrong:02x}): save it as UTF-8") from error
        position += len(block)
        if text:
            yield text
