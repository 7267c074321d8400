"""A text of any size: cut anywhere, encoded by anyone, killed at any moment, and still the ids of the whole."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlib import _prepare
from gptlib._prepare import (
    DOCUMENT_BEGINS,
    MARKED_PLACE,
    PLAIN_PLACE,
    Piece,
    choose_engine,
    cuts,
    encode_piece,
    has_documents,
    make_encode,
    prepare,
    read_piece,
    split_place,
)
from gptlib._texts import MARK_BETWEEN, MARK_LINE
from gptlib._token_files import read_header
from gptlib.data import documents, encode_text, load_text, open_tokens
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer

FILES = ("tokenizer.json", "train.tokens", "val.tokens")
ROOT = Path(__file__).resolve().parent.parent

# What texts are made of, and what could hide a mark, a line end or half a chunk from whoever cuts them.
MARK = [f"\n{END_OF_TEXT}\n", f"\r\n{END_OF_TEXT}\r\n", END_OF_TEXT, f"{END_OF_TEXT}\n", f"{END_OF_TEXT} ", "<|endof"]
BREAKS = ["\n", "\r\n", "\r", "\n\n\n", " ", "  ", " \n", "\n ", "\t", "\u00a0", "\u3000", "\x1c", "\u2028", "\ufeff"]
WORDS = [
    "a",
    "frog",
    "it's",
    "'ll",
    "1",
    "42",
    "!?",
    "<",
    ">",
    "|",
    "é",
    "Käse",
    "文字",
    "😀",
    "٣",
    "e\u0301",
    "\u0558",
]
AFTER_SPACE = [" frog", " frogs", " it's", "\nfrogs", " 文字", " 42", " Käse", "\r\nfrog"]
PARTS = st.sampled_from([*MARK, *BREAKS, *WORDS, *AFTER_SPACE, *AFTER_SPACE])
TEXTS = st.lists(PARTS, min_size=10, max_size=60).map("".join)
TOKENIZER = BPETokenizer.train(["frogs it's 42 frogs! Käse Käse  frogs\n\nfrogs 文字文字 frog, 'll we'll"] * 3, 300)


@pytest.fixture(scope="module")
def tales() -> str:
    """Some tales, half a megabyte."""
    return MARK_BETWEEN.join([*documents(load_text())[:900], ""])


@pytest.fixture
def big(tmp_path: Path, tales: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tales as a file in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.txt").write_text(tales, encoding="utf-8", newline="\n")
    return tmp_path / "big.txt"


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


# ---- pieces


def joined_pieces(path: Path, begin: int, end: int, size: int, tokenizer: object, engine: str) -> tuple[list[int], int]:
    """Ids and bytes of some bytes of a file, cut into pieces."""
    pattern = _prepare.place_pattern(has_documents(path), tokenizer.places is not None)
    with path.open("rb") as file:
        edges = cuts(file, begin, end, size, pattern)
    assert edges[0] == begin and edges[-1] == end and all(b - a >= size for a, b in list(pairwise(edges))[:-1])
    marked, encode = has_documents(path), make_encode(engine, tokenizer)
    ids, n_bytes = [], 0
    for a, b in pairwise(edges):
        piece = Piece(a, b, a == begin, b == end, marked)
        tokens, n = encode_piece(read_piece(path, a, b), piece, tokenizer, encode)
        ids, n_bytes = ids + tokens.tolist(), n_bytes + n
    return ids, n_bytes


@given(TEXTS, st.integers(1, 12), st.sampled_from(["own", "tiktoken"]), st.sampled_from([None, 16, 70]))
def test_pieces_have_the_ids_of_the_whole(tmp_path_factory, text, size, engine, window):
    """Mistakes: a cut inside a chunk, a word, a character or a mark; line ends at a cut dropped; a mark twice."""
    path = tmp_path_factory.mktemp("pieces") / "a.txt"
    path.write_bytes((text + "x").encode())
    whole = load_text(path)
    marked = MARK_LINE.search(whole) is not None
    assert has_documents(path) == marked
    with pytest.MonkeyPatch.context() as patch:
        if window:
            patch.setattr(_prepare, "WINDOW", window)
            patch.setattr(_prepare, "OVERLAP", 15)
        ids, n_bytes = joined_pieces(path, 0, path.stat().st_size, size, TOKENIZER, engine)
    assert ids == encode_text(whole + MARK_BETWEEN * marked, TOKENIZER).tolist()
    assert n_bytes == sum(len(document.encode()) for document in documents(whole))


@given(TEXTS, st.integers(1, 12))
def test_other_tokenizers_are_cut_where_they_may_be(tmp_path_factory, text, size):
    """Characters may be cut anywhere; a pattern that nobody here knows, only between documents."""
    path = tmp_path_factory.mktemp("pieces") / "a.txt"
    path.write_bytes((text + "x").encode())
    whole = load_text(path)
    across = BPETokenizer.train("frog it frog it a frog", 270, pattern=r"[^|]+")  # its chunks reach over spaces
    for tokenizer in (CharTokenizer(whole), across):
        ids, _ = joined_pieces(path, 0, path.stat().st_size, size, tokenizer, "own")
        assert ids == encode_text(whole + MARK_BETWEEN * has_documents(path), tokenizer).tolist()


def test_there_are_places_enough(tmp_path, tales):
    """A search that finds nothing is never wrong, and makes one piece of a gigabyte."""
    plain = tales.replace(f"{END_OF_TEXT}\n", "")
    others = [
        "кто-то где-то ",
        "文字,\n",
        "文字\n\u3000\u3000",
        "hello\n\n",
        "hello\r\n\r\n",
        "a\tb\t",
        "<p>hello</p>\n",
    ]
    for text in (tales, plain, *(other * 5000 for other in others)):
        path = tmp_path / "a.txt"
        path.write_text(text, encoding="utf-8", newline="")
        with path.open("rb") as file:
            edges = cuts(file, 0, path.stat().st_size, 1000, MARKED_PLACE if text is tales else PLAIN_PLACE)
        assert max(b - a for a, b in pairwise(edges)) < 1200


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_are_found_wherever_they_stand(tmp_path, end):
    """At either end of the file, behind a byte order mark, across the blocks that are read, and not inside a line."""
    path, block = tmp_path / "a.txt", "x" * (2**20 - 8) + end
    for text in (
        f"{END_OF_TEXT}{end}a",
        f"\ufeff{END_OF_TEXT}{end}a",
        f"a{end}{END_OF_TEXT}",
        f"{block}{END_OF_TEXT}{end}a",
    ):
        path.write_text(text, encoding="utf-8", newline="")
        assert has_documents(path) and MARK_LINE.search(load_text(path))
        path.write_text(text.replace(END_OF_TEXT, f"{END_OF_TEXT} "), encoding="utf-8", newline="")
        assert not has_documents(path)


@given(TEXTS, TEXTS, st.floats(0.05, 0.95))
def test_the_split_loses_nothing(tmp_path_factory, one, other, fraction):
    """Mistake 13: documents on both sides; or a place inside one although there are several."""
    path = tmp_path_factory.mktemp("split") / "a.txt"
    path.write_bytes(f"frog{one} frog{other} frog frog\nfrog".encode())
    whole, marked = load_text(path), has_documents(path)
    size = path.stat().st_size
    place = split_place(path, fraction, marked)
    assert 0 < place < size
    train, val = (read_piece(path, a, b) for a, b in ((0, place), (place, size)))
    assert train + val == whole
    with path.open("rb") as file:
        several = cuts(file, 0, size, 1, DOCUMENT_BEGINS)[1:-1]
    held_back = int(size * fraction)
    nearest = min(several, key=lambda p: abs(size - held_back - p), default=size)
    if marked and held_back / 2 <= size - nearest <= 2 * held_back:
        assert place == nearest
        assert documents(train) + documents(val) == documents(whole)


def test_documents_of_a_corpus_are_not_cut(big):
    """A split inside a tale: its beginning is learned, and its end is no test any more."""
    text, place = big.read_bytes().decode(), split_place(big, 0.1, True)
    assert text[:place].endswith(f"\n{END_OF_TEXT}\n")
    assert 0.05 < 1 - place / len(text) < 0.2


@pytest.mark.parametrize("beginning", ["<p>one</p>", "  one", "one"])
def test_documents_may_begin_with_anything(tmp_path, beginning):
    """Documents of HTML, or with an indent, that are split in the middle."""
    path = tmp_path / "a.txt"
    docs = [f"{beginning} number {i} and a few words more" for i in range(100)]
    path.write_text(MARK_BETWEEN.join(docs), encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8")[split_place(path, 0.1, True) :].startswith(beginning)


def test_a_long_last_document_does_not_become_the_validation_part(tmp_path):
    """A short text and a long one: the short one would be all there is to learn from."""
    path = tmp_path / "a.txt"
    for first in ("one", "\n"):
        path.write_text(f"{first}\n{END_OF_TEXT}\n" + "frog " * 200_000, encoding="utf-8", newline="\n")
        assert 0.89 < split_place(path, 0.1, True) / path.stat().st_size < 0.91


@pytest.mark.parametrize(
    "text", ["ACGT" * 5000, "文字" * 3000, "hello\n\n" * 500, "a\tb\tc\t" * 500, "<p>a</p>\n" * 500]
)
@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_every_long_text_can_be_prepared(tmp_path, monkeypatch, text, kind):
    """A language that sets no spaces, or blank lines between paragraphs, taken for a text that is too short."""
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(text, encoding="utf-8", newline="\n")
    size = {"vocab_size": 300} if kind == "bpe" else {}
    report = prepare("a.txt", "out", tokenizer=kind, workers=0, piece_bytes=500, **size)
    place = split_place(Path("a.txt"), 0.1, False)
    for part, (a, b) in {"train": (0, place), "val": (place, len(text.encode()))}.items():
        ids = encode_text(text.encode()[a:b].decode(), report.tokenizer)
        assert open_tokens(f"out/{part}.tokens", report.tokenizer).tolist() == ids.tolist()


def test_pieces_of_another_tokenizer_are_made_again(big):
    """Ids of two tokenizers in one file, when somebody put another tokenizer into a half-done folder."""
    whole = prepare(big, "whole", vocab_size=400, workers=0, piece_bytes=50_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_prepare, "join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(big, "out", vocab_size=300, workers=0, piece_bytes=50_000)
    whole.tokenizer.save("out/tokenizer.json")
    prepare(big, "out", vocab_size=300, workers=0, piece_bytes=50_000)
    assert contents(Path("out")) == contents(Path("whole"))


# ---- the engines


def test_where_the_engines_disagree_ours_is_asked():
    """tiktoken's regular expression knows an older Unicode, and gives up over a million spaces."""
    merges = [(bytes([b]), b"a") for b in range(128, 256)]  # so that it matters whether a letter stands before the a
    tokens = [*(bytes([b]) for b in range(256)), *(b + a for b, a in merges)]
    tokenizer = BPETokenizer(dict(enumerate(tokens)), merges)
    encode = make_encode("tiktoken", tokenizer)
    for text in ("\u0558a \ua7cea", "a".join(sorted(_prepare.disputed())), "a" + " " * 1_000_000 + "b"):
        assert list(encode(text)) == tokenizer.encode(text)
    assert not any(character.isascii() for character in _prepare.disputed())


def test_the_engine_is_tiktoken_where_it_is_the_same():
    assert choose_engine("auto", TOKENIZER) == "tiktoken" and choose_engine("own", TOKENIZER) == "own"
    assert choose_engine("auto", CharTokenizer("abc")) == "own"
    assert choose_engine("auto", BPETokenizer.train("abc abc", 258, pattern=r"\S+")) == "own"


# ---- the whole


@given(TEXTS, st.integers(1, 60), st.floats(0.1, 0.9))
def test_a_prepared_folder_holds_the_ids_of_both_parts(tmp_path_factory, text, size, fraction):
    """Everything together on awkward texts, in this process: nothing lost between the parts and their files."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "a.txt").write_bytes(f"a frog sat {text} on a log".encode())
    report = prepare(
        folder / "a.txt", folder / "out", vocab_size=280, val_fraction=fraction, piece_bytes=size, workers=0
    )
    whole, marked = load_text(folder / "a.txt"), has_documents(folder / "a.txt")
    size = (folder / "a.txt").stat().st_size
    place = split_place(folder / "a.txt", fraction, marked)
    edges = {"train": (0, place), "val": (place, size)}
    for part, (a, b) in edges.items():
        piece = read_piece(folder / "a.txt", a, b)
        ids = open_tokens(folder / "out" / f"{part}.tokens", report.tokenizer)
        assert ids.tolist() == encode_text(piece + MARK_BETWEEN * marked, report.tokenizer).tolist()
        n_bytes = sum(len(document.encode()) for document in documents(piece + MARK_BETWEEN * marked))
        assert report.headers[part]["text_bytes"] == n_bytes
    assert len(documents(whole)) >= 1
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted([*FILES, "prepare.json"])


def test_workers_and_engines_write_the_same_bytes(big):
    """Pieces joined in the order in which they are done; an engine of other ids."""
    prepare(big, "here", vocab_size=600, workers=0, engine="own")
    for name, settings in {
        "own": {"workers": 2, "engine": "own"},
        "tiktoken": {"workers": 3, "engine": "tiktoken"},
        "pieces": {"workers": 2, "piece_bytes": 30_000},
    }.items():
        prepare(big, name, vocab_size=600, **settings)
        assert contents(Path(name)) == contents(Path("here"))


def test_the_tokenizer_is_the_one_of_the_training_part(big):
    """Trained on the pieces of all of it, it is the one that the documents give; and never on what is held back."""
    report = prepare(big, "out", vocab_size=600, workers=0, sample_mb=0)
    place = split_place(big, 0.1, True)
    expected = BPETokenizer.train(documents(read_piece(big, 0, place)), 600)
    assert report.tokenizer.fingerprint == expected.fingerprint


def test_a_tokenizer_of_another_pattern_is_cut_between_documents(big, tales):
    """Its chunks may reach over spaces: a cut there changes ids, and nobody sees it."""
    across = BPETokenizer.train(tales[:20_000], 600, pattern=r"[^.]+|\.")
    across.save("across.json")
    prepare(big, "out", tokenizer="across.json", workers=0, piece_bytes=20_000)
    place = split_place(big, 0.1, True)
    assert open_tokens("out/train.tokens").tolist() == encode_text(read_piece(big, 0, place), across).tolist()


def test_a_sample_is_spread_over_the_text(big, monkeypatch):
    """The first megabytes alone would be one book, or one language."""
    monkeypatch.setattr(_prepare, "SAMPLE_BLOCK", 10_000)
    blocks = _prepare.sample(big, big.stat().st_size, True, 100_000, _prepare.tqdm(disable=True))
    seen = "".join(chain.from_iterable(blocks))
    whole = load_text(big)
    places = [whole.index(doc) / len(whole) for doc in documents(whole) if doc in seen]
    assert 90_000 < len(seen) < 120_000
    assert all(any(tenth / 10 <= place < (tenth + 1) / 10 for place in places) for tenth in range(10))


def test_every_kind_of_source_gives_the_same_tokens(big, tales):
    """The scratch file of a gzip or a folder read otherwise than the text that `load_text` gives."""
    prepare(big, "file", vocab_size=400, workers=0)
    (big.parent / "big.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + tales.replace("\n", "\r\n").encode()))
    (big.parent / "crlf.txt").write_bytes(b"\xef\xbb\xbf" + tales.replace("\n", "\r\n").encode())
    (big.parent / "books").mkdir()
    docs = documents(tales)
    for name, part in (("a.txt", docs[:100]), ("b.txt", docs[100:])):
        (big.parent / "books" / name).write_text(MARK_BETWEEN.join(part), encoding="utf-8", newline="\n")
    parts = {}
    for name in ("file", "big.gz", "books", "crlf.txt"):
        if name != "file":
            prepare(name, f"{name}.out", tokenizer="file/tokenizer.json", workers=0)
        folder = Path(f"{name}.out" if name != "file" else name)
        parts[name] = np.concatenate([open_tokens(folder / f"{part}.tokens")[1:] for part in ("train", "val")]).tolist()
    assert parts["file"] == parts["big.gz"] == parts["books"] == parts["crlf.txt"]


def test_a_finished_folder_is_left_alone(big):
    first = prepare(big, "out", vocab_size=400, workers=0)
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    (Path("out") / "unfinished").mkdir()  # a kill between the last file and the last of the cleaning
    second = prepare("big.txt", "out", vocab_size=400, workers=2)
    assert second.was_finished and not first.was_finished
    assert {path: path.stat().st_mtime_ns for path in Path("out").iterdir()} == before


def test_an_earlier_beginning_is_used(big, monkeypatch):
    """A call that starts anew after each stop never ends a long text on a machine that is stopped every night."""
    calls = []
    keep = _prepare.write_tokens
    monkeypatch.setattr(_prepare, "write_tokens", lambda *rest: calls.append(rest[0]) or keep(*rest))
    monkeypatch.setattr(_prepare, "join", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    make = {"vocab_size": 400, "workers": 0, "piece_bytes": 40_000}
    with pytest.raises(KeyboardInterrupt):
        prepare(big, "out", **make)
    done, learned = len(calls), Path("out/tokenizer.json").stat().st_mtime_ns
    Path("out/unfinished/train-000003.tokens").unlink()
    monkeypatch.undo()
    monkeypatch.chdir(big.parent)
    monkeypatch.setattr(_prepare, "write_tokens", lambda *rest: calls.append(rest[0]) or keep(*rest))
    prepare(big, "out", **make)
    assert done > 8 and len(calls) == done + 1 and Path("out/tokenizer.json").stat().st_mtime_ns == learned
    prepare(big, "again", **make)
    assert contents(Path("again")) == contents(Path("out"))


# ---- stops

CALL = """
import sys
from concurrent.futures import Future
from gptlib import _prepare
out, engine, *held = sys.argv[1:]
if held:  # it waits for one piece more than there are, so that a test never comes too late to stop it
    as_completed = _prepare.as_completed
    _prepare.as_completed = lambda pieces: as_completed([*pieces, Future()])
_prepare.prepare("big.txt", out, vocab_size=500, piece_bytes=20_000, workers=2, engine=engine)
"""


def start(out: str, engine: str = "own", *held: str) -> subprocess.Popen:
    """A process of its own, with its workers the only ones in its session."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", CALL, out, engine, *held]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def alive(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # gone meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


LIMIT = 120  # seconds: against a wait for ever, and far more than a busy machine takes


def wait_until_gone(session: int) -> None:
    deadline = time.monotonic() + LIMIT
    while alive(session):
        assert time.monotonic() < deadline, "workers are left"
        time.sleep(0.02)


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@linux
def test_a_kill_at_any_moment_changes_no_byte(big, scale):
    """Half a piece taken for a whole one, a plan made twice, a piece lost: by killing, until enough kills have hit."""
    began = time.monotonic()
    assert start("whole").wait(LIMIT) == 0
    seconds = time.monotonic() - began
    rng = random.Random(1)
    kills, attempt = 0, 0
    while kills < scale(3, 24):
        attempt += 1
        out = f"killed{attempt}"
        for wait in [rng.uniform(0.05, 0.9) * seconds, rng.uniform(0.2, 0.5) * seconds]:
            process = start(out)
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                kills += 1
                victims = alive(process.pid) if rng.random() < 0.5 else [process.pid]
                for pid in victims:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.communicate(timeout=LIMIT)
            wait_until_gone(process.pid)
        assert start(out).wait(LIMIT) == 0
        assert contents(Path(out)) == contents(Path("whole"))
        assert sorted(path.name for path in Path(out).iterdir()) == sorted([*FILES, "prepare.json"])


@linux
@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_a_stop_ends_every_process(big, how, listening):
    """Workers that outlive their parent, or that answer Ctrl-C with a traceback each."""
    process = start("out", "own", "held")
    try:
        deadline = time.monotonic() + LIMIT
        while not list(Path("out").glob("unfinished/*.tokens")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        groups = [os.getpgid(pid) for pid in alive(process.pid)]
        assert groups.count(process.pid) == 1, "the Ctrl-C of a terminal must reach the parent alone"
        assert len(groups) == 3, "the parent and its two workers"
        if how == "interrupt":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        else:
            process.terminate()
        said = process.communicate(timeout=LIMIT)[1]
    finally:
        process.kill()
    wait_until_gone(process.pid)
    assert said.count("Traceback") <= 1  # the caller's own: the command has none
    assert start("out").wait(LIMIT) == 0 and start("whole").wait(LIMIT) == 0
    assert contents(Path("out")) == contents(Path("whole"))


@linux
def test_preparing_imports_no_torch(big):
    """200 MB and a second, once for each process."""
    code = "import sys; from gptlib.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", code, "prepare", "big.txt", "--vocab_size", "300", "--out", "out"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    header = read_header(Path("out/train.tokens"))
    assert f"{header['count']:,} tokens" in done.stdout and "MB/s" in done.stdout
    assert json.loads(Path("out/prepare.json").read_text(encoding="utf-8"))["vocab_size"] == 300
