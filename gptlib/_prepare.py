"""Turn a text of any size into a tokenizer and two token files, on all cores; a stop at any moment costs little.

The text is cut into pieces at places where the ids of the pieces, joined, are the ids of the whole. Worker processes
encode them, each piece into a file of its own, and at the end the files are joined. Whoever calls again after a stop
goes on with the pieces that are missing. Nothing here imports torch, which would cost each process 200 MB.
"""

import hashlib
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Literal

import numpy as np
import regex
from tqdm import tqdm

from gptlib._files import alone, atomic_path, write_json
from gptlib._texts import CORPORA, MARK_LINE, decoded, files_of, is_gzip, text_blocks
from gptlib._token_files import HEADER_BYTES, check_maker, ids_dtype, make_header, read_header, write_tokens
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer, load_tokenizer

FORMAT = "gptlib prepared 1"
LEARNED = 8192  # tokens of a vocabulary, if its size is not said
PIECE_BYTES = 2**22
LARGEST_VAL = 1_000_000  # bytes: more makes each evaluation slow and its figure hardly surer
PARTS = ("train", "val")
DESCRIBED = "prepare.json"
WORK = "unfinished"  # below the folder, while there is something left to do
SAMPLE_BLOCK = 2**20
Engine = Literal["auto", "own", "tiktoken"]

# ---- where a text may be cut

# Where white space follows something visible, a new chunk of the tokenizer begins, whatever stands around. In a text
# with end marks none may be near: so no cut beside < or >, white space between counted out. Half a character at the
# edge of a window is a surrogate, and unknown.
VISIBLE = r"[^\s\ud800-\udfff]"
WHITE = r"[ \t\r\n\u3000]"
MARK = re.escape(END_OF_TEXT)
BEGIN = rf"[\r\n]{MARK}[\r\n]+(?=[^\r\n])(?!{MARK}[\r\n])"
DOCUMENT_BEGINS = re.compile(BEGIN)
PLAIN_PLACE = re.compile(rf"{VISIBLE}(?={WHITE})")
MARKED_PLACE = re.compile(rf"(?!>){VISIBLE}(?={WHITE}\s*[^\s<])|{BEGIN}")
WINDOW = 2**16
OVERLAP = 64  # bytes that two windows share, so that a place at the edge of one is whole in the other


def places_in(file: BinaryIO, begin: int, end: int, pattern: re.Pattern[str]) -> Iterator[int]:
    """The places between two bytes of a file where `pattern` allows a cut, the first ones first."""
    file.seek(begin)
    text = file.read(end - begin).decode("utf-8", "surrogateescape")
    done = 0
    for found in pattern.finditer(text):
        begin += len(text[done : found.end()].encode("utf-8", "surrogateescape"))
        done = found.end()
        yield begin


def next_place(file: BinaryIO, start: int, end: int, pattern: re.Pattern[str]) -> int:
    """The first place behind `start` where the text may be cut, or `end`."""
    for begin in range(start, end, WINDOW - OVERLAP):
        for place in places_in(file, begin, min(begin + WINDOW, end), pattern):
            return place
    return end


def last_place(file: BinaryIO, end: int, pattern: re.Pattern[str]) -> int:
    """The last place up to `end` where the text may be cut, or 0."""
    for stop in range(end, 0, OVERLAP - WINDOW):
        places = list(places_in(file, max(0, stop - WINDOW), stop, pattern))
        if places:
            return places[-1]
    return 0


def cuts(file: BinaryIO, begin: int, end: int, size: int, pattern: re.Pattern[str]) -> list[int]:
    """Where pieces of at least `size` bytes begin, and `end`."""
    found = [begin]
    while found[-1] < end:
        found.append(next_place(file, found[-1] + size, end, pattern) if found[-1] + size < end else end)
    return found


def has_documents(path: Path) -> bool:
    """Whether some line holds only the end mark, so that the text is made of documents."""
    mark = END_OF_TEXT.encode()
    line = re.compile(rb"[\r\n]%b[\r\n]" % re.escape(mark))
    before = b"\n"
    with path.open("rb") as file:
        while block := file.read(2**20):
            window = before + block.removeprefix(b"\xef\xbb\xbf" if before == b"\n" else b"")
            if mark in window and line.search(window):
                return True
            before = window[-len(mark) - 1 :]
    return line.search(before + b"\n") is not None


def nearest_place(file: BinaryIO, wanted: int, size: int, pattern: re.Pattern[str]) -> int | None:
    """The place nearest to `wanted` where the text may be cut, if there is any."""
    near = list(places_in(file, max(0, wanted - WINDOW), min(wanted + WINDOW, size), pattern))
    near = near or [last_place(file, wanted, pattern), next_place(file, wanted, size, pattern)]
    return min((place for place in near if 0 < place < size), key=lambda place: abs(place - wanted), default=None)


def split_place(path: Path, val_fraction: float, marked: bool) -> int:
    """The byte where the validation part begins: between two documents, if that gives about the part that is wanted.

    Otherwise inside a document, and in a text without white space at any character.
    """
    size = path.stat().st_size
    held_back = int(min(size * val_fraction, LARGEST_VAL))
    wanted = size - held_back
    with path.open("rb") as file:
        between = nearest_place(file, wanted, size, DOCUMENT_BEGINS) if marked else None
        if between and held_back / 2 <= size - between <= 2 * held_back:
            return between
        inside = nearest_place(file, wanted, size, MARKED_PLACE if marked else PLAIN_PLACE)
        if inside or between:
            return inside or between
        file.seek(wanted)
        halves = itertools.takewhile(lambda byte: byte & 0xC0 == 0x80, file.read(3))  # of the character before
        place = wanted + len(list(halves))
    if marked or not 0 < place < size:
        raise ValueError(f"the {size} bytes of {str(path)!r} cannot be split at {val_fraction}: use a longer text")
    return place


# ---- one piece


@dataclass(frozen=True)
class Piece:
    """Some bytes of a text, which may be the first or the last of their part; `marked` if there are end marks in it."""

    begin: int
    end: int
    first: bool
    last: bool
    marked: bool


def read_piece(path: Path, begin: int, end: int) -> str:
    """The text of some bytes of a file, as `load_text` gives it; ValueError if they are no text."""
    with path.open("rb") as file:
        file.seek(begin)
        content = file.read(end - begin)
    return "".join(decoded(BytesIO(content), path, begin))


def stretches(text: str, piece: Piece) -> Iterator[str | None]:
    """What a piece holds of each document, and None for each end mark, as `encode_text` sets them.

    Line ends beside a mark belong to it. A document that goes on in the next piece gets its mark there.
    """
    if not piece.marked:
        yield text
        return
    if piece.first:
        yield None
    parts = MARK_LINE.split(text)
    for i, part in enumerate(parts):
        begins, ends = i > 0 or piece.first, i < len(parts) - 1 or piece.last
        part = (part.lstrip("\n") if begins else part).rstrip("\n")  # no cut is right behind a line end
        if part:
            yield part
            if ends:
                yield None


def encode_piece(text: str, piece: Piece, tokenizer: Any, encode: Callable[[str], Any]) -> tuple[np.ndarray, int]:
    """The ids of a piece, and how many bytes of text they stand for."""
    dtype = ids_dtype(tokenizer.vocab_size)
    n_bytes, parts = 0, [np.empty(0, dtype)]
    for stretch in stretches(text, piece):
        parts.append(np.array([tokenizer.end_id] if stretch is None else encode(stretch), dtype=dtype))
        n_bytes += len(stretch.encode()) if stretch else 0
    return np.concatenate(parts), n_bytes


def encode_to_done(path: Path, piece: Piece, done: Path, tokenizer: Any, encode: Callable[[str], Any]) -> None:
    """Encode a piece of a text into the file `done`, whole or not at all."""
    tokens, n_bytes = encode_piece(read_piece(path, piece.begin, piece.end), piece, tokenizer, encode)
    own = done.with_name(f"{done.name}.{os.getpid()}")  # a name that no other process uses at the same time
    write_tokens(own, tokens, tokenizer.fingerprint, n_bytes).replace(done)


# ---- the engines


def choose_engine(engine: Engine, tokenizer: Any) -> Engine:
    """`tiktoken` or `own`; "auto" takes tiktoken where it is installed and gives the same ids."""
    if engine == "own":
        return "own"
    try:
        if not isinstance(tokenizer, BPETokenizer) or tokenizer.places is None:
            raise ValueError(f"tiktoken cannot stand for {tokenizer!r}: choose the engine own or auto")
        tokenizer.to_tiktoken()
    except (ImportError, ValueError):
        if engine == "tiktoken":
            raise
        return "own"
    return "tiktoken"


def make_encode(engine: Engine, tokenizer: Any) -> Callable[[str], Any]:
    """The function that encodes one stretch of text: ours, or tiktoken's where both are known to agree."""
    if engine == "own":
        return tokenizer.encode
    encoding = tokenizer.to_tiktoken()

    def encode(text: str) -> Any:
        agree = (text.isascii() or disputed().isdisjoint(text)) and not has_gap(text)
        return encoding.encode_to_numpy(text, disallowed_special=()) if agree else tokenizer.encode(text)

    return encode


def has_gap(text: str) -> bool:
    """Whether there may be 10,000 spaces in a row; over a million, tiktoken's regular expression gives up."""
    return any(text[i : i + 100].isspace() for i in range(0, len(text), 5000))


@cache
def disputed() -> frozenset[str]:
    """The characters that tiktoken's regular expressions class otherwise than ours: each knows its own Unicode."""
    import tiktoken

    every = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    ranks = {bytes([b]): b for b in range(256)}
    found: set[str] = set()
    for kind in (r"\p{L}", r"\p{N}", r"\s"):  # an encoding of bytes that drops all but one kind of character
        theirs = tiktoken.Encoding(kind, pat_str=kind, mergeable_ranks=ranks, special_tokens={})
        kept = theirs.encode_to_numpy(every, disallowed_special=()).astype(np.uint8).tobytes().decode("utf-8")
        found |= set(kept) ^ set(regex.findall(kind, every))
    return frozenset(found)


# ---- a worker process


def work(tokenizer_file: str, engine: Engine) -> None:
    """Encode the pieces that come in as lines of JSON, and answer each with a line, until the parent is gone."""
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=listen, args=(tasks,), daemon=True).start()
    tokenizer = load_tokenizer(tokenizer_file)
    encode = make_encode(engine, tokenizer)
    while True:
        task = tasks.get()
        try:
            encode_to_done(Path(task["path"]), Piece(**task["piece"]), Path(task["done"]), tokenizer, encode)
            answer = {}
        except (ValueError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def listen(tasks: "SimpleQueue[dict[str, Any]]") -> None:
    """Take in tasks; when no more can come the parent is gone, and so is the process, in the middle of a piece too."""
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)


class Worker:
    """A process that encodes one piece after the other."""

    def __init__(self, tokenizer_file: Path, engine: Engine):
        here = str(Path(__file__).resolve().parent.parent)
        found = {"PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
        command = [sys.executable, "-P", "-m", "gptlib._prepare", str(tokenizer_file), engine]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
        # A process group of its own keeps the Ctrl-C of a terminal away: what to do then is the parent's to say.
        self.process = subprocess.Popen(command, env=os.environ | found, process_group=0, **pipes)

    def encode(self, path: Path, piece: Piece, done: Path) -> None:
        """Have a piece encoded into the file `done`; ValueError with what the worker says is wrong with it."""
        task = {"path": str(path), "piece": asdict(piece), "done": str(done)}
        try:
            print(json.dumps(task), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except OSError:  # a broken pipe
            answer = ""
        if not answer:
            raise ValueError(
                f"a worker process was ended from outside (exit code {self.process.wait()}), for want of memory maybe: "
                f"the same command goes on where it stopped, with fewer --workers if you like"
            )
        if error := json.loads(answer).get("error"):
            raise ValueError(error)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        with suppress(OSError):  # what was still to be sent
            self.process.stdin.close()
        self.process.stdout.close()


def encode_pieces(
    path: Path, todo: Sequence[tuple[Piece, Path]], tokenizer_file: Path, engine: Engine, n_workers: int, bar: tqdm
) -> None:
    """Encode pieces of a text into files, all workers at once; the first error ends all of them."""
    workers = [Worker(tokenizer_file, engine) for _ in range(min(n_workers, len(todo)))]
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def encode(piece: Piece, done: Path) -> int:
        worker = free.get()
        try:
            worker.encode(path, piece, done)
        finally:
            free.put(worker)
        return piece.end - piece.begin

    pool = ThreadPoolExecutor(max(1, len(workers)))
    try:
        for future in as_completed([pool.submit(encode, *task) for task in todo]):
            bar.update(future.result())
    finally:
        for worker in workers:
            worker.stop()
        pool.shutdown(cancel_futures=True)


# ---- the folder


@dataclass(frozen=True)
class Report:
    """What a folder of prepared tokens holds, and how long this call took over it."""

    folder: Path
    tokenizer: Tokenizer
    headers: dict[str, dict[str, Any]]  # of `train` and `val`
    seconds: float
    was_finished: bool


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` has written into this folder."""
    return (folder / DESCRIBED).is_file()


def is_finished(folder: Path) -> bool:
    """Whether it came to its end: the files appear whole, and the last of them last."""
    return all((folder / name).is_file() for name in ("tokenizer.json", "train.tokens", "val.tokens"))


def read_prepared(folder: Path) -> tuple[Tokenizer, dict[str, dict[str, Any]]]:
    """The tokenizer of a prepared folder, and the headers of its token files; ValueError if something does not fit."""
    if not is_finished(folder):
        raise ValueError(f"{folder} is only half prepared: give the `gptlib prepare` command that began it once more")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    headers = {part: read_header(folder / f"{part}.tokens") for part in PARTS}
    for part, header in headers.items():
        check_maker(folder / f"{part}.tokens", header, tokenizer)
    return tokenizer, headers


def describe(source: str | Path, **settings: Any) -> dict[str, Any]:
    """What decides the bytes of a prepared folder: the source as it is now, and the settings."""
    files = files_of(source)
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    name = str(source) if source in CORPORA else str(Path(source).resolve())
    about = {"source": name, "bytes": sum(size for _, size, _ in stamps)}
    return {"format": FORMAT, **about, "files": hashlib.sha256(json.dumps(stamps).encode()).hexdigest(), **settings}


def claim(folder: Path, wanted: dict[str, Any]) -> None:
    """`ValueError` if a folder holds something else than the beginning or the end of what is wanted."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, and a folder is needed: name another with --out")
    if not is_prepared(folder):
        held = [path for path in folder.rglob("*") if path != folder / WORK and not path.name.startswith(".")]
        if {path.relative_to(folder).as_posix() for path in held} - {f"{WORK}/text", f"{WORK}/plan.json"}:
            raise ValueError(f"the folder {folder} holds other files: name another with --out")
        shutil.rmtree(folder / WORK, ignore_errors=True)  # stopped before it was said what it was to be
        return
    try:
        found = json.loads((folder / DESCRIBED).read_text(encoding="utf-8"))
        differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    except (ValueError, TypeError):
        raise ValueError(f"{folder / DESCRIBED} is damaged: remove the folder, or name another with --out") from None
    if differing:
        name = differing[0]
        values = f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} here"
        if name == "files":
            values = "its source has another size or date now"
        raise ValueError(
            f"the folder {folder} holds another preparation ({values}): name another with --out, or remove that one"
        )


# ---- the whole


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    vocab_size: int = LEARNED,
    tokenizer: str = "bpe",
    val_fraction: float = 0.1,
    sample_mb: float = 16,
    workers: int | None = None,
    engine: Engine = "auto",
    piece_bytes: int = PIECE_BYTES,
    progress: bool = False,
) -> Report:
    """Write `tokenizer.json`, `train.tokens` and `val.tokens` into the folder `out`, and go on where a stop left it.

    `tokenizer` is "bpe", learned from `sample_mb` megabytes of the training part (0: all of it), "char", or a file;
    `workers` are processes, one per core if you do not say, and 0 encodes in this one.
    The files do not depend on workers, engine, or stops. Raises `ValueError` and `FileNotFoundError` as `load_text`
    does, and `ValueError` if `out` holds something else, which then stays as it is.
    """
    began, out = time.perf_counter(), Path(out)
    given = None if tokenizer in ("bpe", "char") else load_tokenizer(tokenizer)
    check(val_fraction, sample_mb, workers, engine)
    settings: dict[str, Any] = {"val_fraction": val_fraction, "tokenizer": given.fingerprint if given else tokenizer}
    if tokenizer == "bpe":
        BPETokenizer.train("", vocab_size)  # ValueError for a size that cannot be, before anything is written
        settings |= {"vocab_size": vocab_size, "sample_mb": sample_mb}
    elif vocab_size != LEARNED:
        raise ValueError(f"--vocab_size {vocab_size} is for the tokenizer bpe, not for {tokenizer}: leave it out")
    wanted = describe(source, **settings)
    with alone(out, f"another gptlib prepare writes into {out}: wait, or name another with --out"):
        claim(out, wanted)
        was_finished = is_prepared(out) and is_finished(out)
        if not was_finished:
            known = given is None or given.places is not None
            text, plan = begin(source, out, wanted, val_fraction, piece_bytes, known, progress)
            if not (out / "tokenizer.json").is_file():
                with tqdm(desc="learning", unit="B", unit_scale=True, disable=not progress or given is not None) as bar:
                    made = given or learn(text, plan, tokenizer, vocab_size, int(sample_mb * 1e6), bar)
                with atomic_path(out / "tokenizer.json") as partial:
                    made.save(partial)
            encode_all(text, plan, out, engine, available_cores() if workers is None else workers, progress)
            if describe(source, **settings) != wanted:
                raise ValueError(
                    f"{str(source)!r} was changed while it was read: remove the folder {out}, and start again"
                )
            for part in PARTS:
                join(out, part, len(plan["cuts"][part]) - 1)
        shutil.rmtree(out / WORK, ignore_errors=True)
        try:
            return Report(out, *read_prepared(out), time.perf_counter() - began, was_finished)
        except ValueError as error:
            raise ValueError(f"{error}; remove the folder {out} before that") from None


def check(val_fraction: float, sample_mb: float, workers: int | None, engine: str) -> None:
    """`ValueError` for a setting that cannot be, before anything is written."""
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}: choose a number between 0 and 1, such as 0.1")
    if not 0 <= sample_mb < math.inf:
        raise ValueError(f"sample_mb is {sample_mb}: choose the megabytes to learn the tokenizer from, or 0 for all")
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}: choose 1 or more, or 0 to use no other process")
    if engine not in ("auto", "own", "tiktoken"):
        raise ValueError(f"engine is {engine!r}: choose auto, own or tiktoken")


def available_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(
    source: str | Path,
    out: Path,
    wanted: Any,
    val_fraction: float,
    piece_bytes: int,
    known: bool,
    progress: bool,
) -> tuple[Path, Any]:
    """The text as one plain file, and the plan. A source that cannot be prepared leaves nothing behind."""
    try:
        text = one_file(source, out / WORK, progress)
        plan = make_plan(text, out / WORK / "plan.json", val_fraction, piece_bytes, known)
        write_json(out / DESCRIBED, wanted)
    except Exception:
        if not is_prepared(out):
            shutil.rmtree(out / WORK, ignore_errors=True)
            with suppress(OSError):
                out.rmdir()
        raise
    return text, plan


def one_file(source: str | Path, work: Path, progress: bool) -> Path:
    """The source as one file of plain text: itself, or what is written below `work` from a gzip, folder or corpus."""
    files = files_of(source)
    if source not in CORPORA and files == [Path(source)] and not is_gzip(files[0]):
        all(map(str.isspace, text_blocks(source)))  # no text at all is met here, before anything is written
        return files[0]
    text = work / "text"
    if not text.is_file():
        with atomic_path(text) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(tqdm(text_blocks(source), "reading", unit=" MB", disable=not progress))
    return text


def place_pattern(marked: bool, known: bool = True) -> re.Pattern[str]:
    """Where pieces may be cut; a tokenizer whose pattern is not `known` is given whole documents."""
    return (MARKED_PLACE if marked else PLAIN_PLACE) if known else DOCUMENT_BEGINS


def make_plan(text: Path, file: Path, val_fraction: float, piece_bytes: int, known: bool) -> Any:
    """Where the pieces of both parts begin, kept in a file so that a later call has the same: `cuts` and `marked`."""
    if not file.is_file():
        size, marked = text.stat().st_size, has_documents(text)
        pattern = place_pattern(marked, known)
        border = split_place(text, val_fraction, marked)
        with text.open("rb") as content:
            found = {"train": cuts(content, 0, border, piece_bytes, pattern)}
            found |= {"val": cuts(content, border, size, piece_bytes, pattern)}
        write_json(file, {"marked": marked, "cuts": found})
    return json.loads(file.read_text(encoding="utf-8"))


def learn(text: Path, plan: Any, kind: str, vocab_size: int, sample_bytes: int, bar: tqdm) -> Tokenizer:
    """A tokenizer of characters, from the whole text so that none is a stranger; or of bytes, from the first part."""
    if kind == "char":
        blocks = sample(text, plan["cuts"]["val"][-1], plan["marked"], 0, bar)
        return CharTokenizer.train(chain.from_iterable(blocks))
    blocks = sample(text, plan["cuts"]["train"][-1], plan["marked"], sample_bytes, bar)
    return BPETokenizer.train(chain.from_iterable(blocks), vocab_size)


def sample(text: Path, end: int, marked: bool, n_bytes: int, bar: tqdm) -> Iterator[list[str]]:
    """The first `end` bytes of a text, or `n_bytes` of them in blocks that lie evenly spread, without the marks."""
    with text.open("rb") as file:
        spans = list(pairwise(cuts(file, 0, end, SAMPLE_BLOCK, place_pattern(marked))))
    n_blocks = math.ceil(n_bytes / SAMPLE_BLOCK)
    if 0 < n_blocks < len(spans):
        spans = [spans[i * len(spans) // n_blocks] for i in range(n_blocks)]
    bar.reset(sum(stop - begin for begin, stop in spans))
    for begin, stop in spans:
        piece = Piece(begin, stop, begin == 0, stop == end, marked)
        yield list(filter(None, stretches(read_piece(text, begin, stop), piece)))
        bar.update(stop - begin)


def encode_all(text: Path, plan: Any, out: Path, engine: Engine, n_workers: int, progress: bool) -> None:
    """Encode the pieces that no earlier call has."""
    tokenizer = load_tokenizer(out / "tokenizer.json")
    if plan["marked"]:
        _ = tokenizer.end_id  # KeyError without one
    engine = choose_engine(engine, tokenizer)
    todo, total = [], 0
    for part in PARTS:
        edges = plan["cuts"][part]
        total += edges[-1] - edges[0]
        for i, (begin, end) in enumerate(pairwise(edges)):
            done = piece_file(out, part, i)
            if not is_done(done, tokenizer.fingerprint):
                todo.append((Piece(begin, end, i == 0, end == edges[-1], plan["marked"]), done))
    left = sum(piece.end - piece.begin for piece, _ in todo)
    with tqdm(
        desc="encoding", total=total, initial=total - left, unit="B", unit_scale=True, disable=not progress
    ) as bar:
        if n_workers:
            encode_pieces(text, todo, out / "tokenizer.json", engine, n_workers, bar)
            return
        encode = make_encode(engine, tokenizer)
        for piece, done in todo:
            encode_to_done(text, piece, done, tokenizer, encode)
            bar.update(piece.end - piece.begin)


def is_done(done: Path, fingerprint: str) -> bool:
    """Whether a piece has been encoded, whole and with this tokenizer."""
    try:
        return read_header(done)["tokenizer"] == fingerprint
    except (ValueError, FileNotFoundError):
        return False


def piece_file(out: Path, part: str, i: int) -> Path:
    """Where the ids of a piece wait for the others."""
    return out / WORK / f"{part}-{i:06}.tokens"


def join(out: Path, part: str, n_pieces: int) -> None:
    """Put the ids of all pieces of a part behind one header."""
    files = [piece_file(out, part, i) for i in range(n_pieces)]
    headers = [read_header(file) for file in files]
    count, n_bytes = (sum(header[name] for header in headers) for name in ("count", "text_bytes"))
    if not n_bytes:
        raise ValueError(f"the {part} part of the text holds nothing: use a longer text, or another val_fraction")
    with atomic_path(out / f"{part}.tokens") as partial, partial.open("wb") as file:
        file.write(make_header(count, headers[0]["dtype"], headers[0]["tokenizer"], n_bytes))
        for path in files:
            with path.open("rb") as piece:
                piece.seek(HEADER_BYTES)
                shutil.copyfileobj(piece, file)


if __name__ == "__main__":
    work(*sys.argv[1:])
