"""The road from a text to batches, held to properties: a wrong loader trains too, and often looks better."""

import gzip
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptlib import _texts
from gptlib._download import download
from gptlib.data import (
    deck,
    document_starts,
    documents,
    encode_text,
    encode_to_file,
    eval_batches,
    get_batch,
    load_text,
    open_tokens,
    pick_device,
    split_text,
)
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer, load_tokenizer

BETWEEN = f"\n{END_OF_TEXT}\n"
PIECES = st.lists(st.text(alphabet="abc \n", min_size=1, max_size=8).filter(lambda t: t.strip("\n")), max_size=12)


class CodePoints:
    """A tokenizer whose ids are code points plus one: as large a vocabulary as a test wants, with the mark at 0."""

    def __init__(self, vocab_size: int = 2**16, end_id: int = 0):
        self.vocab_size, self.end_id = vocab_size, end_id

    @property
    def fingerprint(self) -> str:
        return f"{self.vocab_size:064x}"

    def encode(self, text: str) -> list[int]:
        return [ord(character) + 1 for character in text]


# ---- text ------------------------------------------------------------------------------------------------------------


def test_loaded_text_has_no_mark_of_its_system(tmp_path):
    """Mistake 10: a `\\r` or a byte order mark becomes a token, and the same text has other ids elsewhere."""
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert load_text(tmp_path / "a.txt") == load_text(str(tmp_path / "a.txt")) == "one\ntwo\nthree\n"


@given(st.text(alphabet="aé😀\r\n\ufeff ", max_size=30), st.integers(1, 7), st.booleans())
def test_reading_in_blocks_changes_nothing(tmp_path_factory, text, block, packed):
    """A block that ends inside a character, or between the two of a line end; a mark inside the text, dropped."""
    text += "."
    path = tmp_path_factory.mktemp("blocks") / "a.txt"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_texts, "BLOCK", block)
        assert load_text(path) == text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def test_a_gzip_is_known_by_its_bytes(tmp_path):
    """By its name alone, a renamed one is binary and a text called .gz is damaged."""
    (tmp_path / "a.dat").write_bytes(gzip.compress(b"one\r\ntwo"))
    (tmp_path / "b.gz").write_bytes(b"one\ntwo")
    assert load_text(tmp_path / "a.dat") == load_text(tmp_path / "b.gz") == "one\ntwo"


def test_a_folder_is_its_texts_in_order(tmp_path):
    """An order that the file system chooses; a backup file, a picture or an empty file as a document."""
    for name, content in {
        "b.txt": b"\xef\xbb\xbftwo\n",
        "a.txt": b"one" + BETWEEN.encode() + b"one more",
        "empty.txt": b"",
        "blank.txt": b" \n",
        "c/a.TXT.gz": gzip.compress(b"three"),
        ".a.txt": b"hidden",
        ".git/a.txt": b"hidden",
        "notes.md": b"other",
        "picture.png": b"\0",
    }.items():
        (tmp_path / "books" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "books" / name).write_bytes(content)
    found = [doc for doc in documents(load_text(tmp_path / "books")) if doc.strip()]
    assert found == ["one", "one more", "two", "three"]
    for name in ("a.txt", "blank.txt", "c/a.TXT.gz"):
        (tmp_path / "books" / name).unlink()
    assert load_text(tmp_path / "books") == "two\n", "a single file is that file"


def test_corpora_are_documents():
    """A loader that loses the marks, or a page that comes twice: its copy in the validation part would be known."""
    for name, least in (("tales", 1000), ("pydocs", 50)):
        docs = documents(load_text(name))
        assert len(docs) > least and len(set(docs)) == len(docs)
        assert not any(END_OF_TEXT in doc.splitlines() for doc in docs)
    assert load_text() == load_text("tales")


@given(PIECES, st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_documents_are_what_stands_between_marks(pieces, marks):
    """Repeated marks, or one at an end: `split` on mark and line ends leaves a mark in the text."""
    text = (
        END_OF_TEXT + "\n" + "".join(p + ("\n" + END_OF_TEXT) * n + "\n" for p, n in zip(pieces, marks, strict=False))
    )
    assert documents(text) == [piece.strip("\n") for piece in pieces]


@given(st.text(alphabet="ab\n<|endoftext|>", max_size=20))
def test_a_text_without_mark_lines_is_untouched(text):
    """Marks inside a line are text, and so are line ends at both ends of the file."""
    text += f" {END_OF_TEXT}"
    assert documents(text) == [text]


@given(PIECES.filter(lambda pieces: len(pieces) > 1), st.floats(0.01, 0.99))
def test_split_keeps_documents_whole_and_apart(pieces, fraction):
    """Mistake 13: what stands on both sides of the split is known before it is asked for."""
    text = BETWEEN.join(pieces)
    train, val = split_text(text, fraction)
    assert documents(train) + documents(val) == documents(text)
    assert documents(train) and documents(val)
    assert abs(len(documents(val)) - fraction * len(pieces)) <= 1


@given(st.text(alphabet="abc\n", min_size=2, max_size=200), st.floats(0.01, 0.99))
def test_split_of_one_document_loses_nothing(text, fraction):
    """Off by one at the cut; and the last part is for validation, never a shuffle."""
    if not 0 < int(len(text) * (1 - fraction)) < len(text):
        return
    train, val = split_text(text, fraction)
    assert train + val == text
    assert abs(len(val) - fraction * len(text)) <= 1


def test_no_window_of_the_validation_part_is_in_training(tmp_path):
    """Mistake 13 on real windows: distinct ids, so that an overlap of one token would show."""
    text = "".join(map(chr, range(1, 1000)))
    train, val = (encode_text(part, CodePoints()) for part in split_text(text))
    x, _ = get_batch(train, 500, 8)
    assert not set(x.flatten().tolist()) & set(val.tolist())


# ---- ids and files ---------------------------------------------------------------------------------------------------


@given(PIECES)
def test_every_document_has_a_mark_before_and_behind(pieces):
    """A corpus that starts without a mark never asks for its first token; a last mark left out, never for an end."""
    docs = documents(BETWEEN.join(pieces) + BETWEEN)
    ids = encode_text(BETWEEN.join(pieces) + BETWEEN, CodePoints()).tolist()
    marks = [i for i, token in enumerate(ids) if token == 0]
    assert marks[0] == 0 and marks[-1] == len(ids) - 1
    assert ["".join(chr(i - 1) for i in ids[a + 1 : b]) for a, b in pairwise(marks)] == docs


def test_marks_in_lines_stay_text():
    """Mistake 6: a text that talks about the mark must not contain one."""
    tokenizer = BPETokenizer.train("abc", 257)
    text = f"it is written {END_OF_TEXT}, like this"
    ids = encode_text(text, tokenizer)
    assert tokenizer.end_id not in ids and tokenizer.decode(ids.tolist()) == text


@pytest.mark.parametrize(("vocab_size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.uint32), (200_000, np.uint32)])
def test_large_ids_survive(vocab_size, dtype, tmp_path):
    """Mistake 16: uint16 makes 7 of 65543, silently."""
    largest = chr(min(vocab_size - 1, 0x10000) - 1)
    text = f"a{largest}\n{END_OF_TEXT}\nb"
    ids = encode_text(text, CodePoints(vocab_size))
    assert ids.dtype == dtype
    assert ids.tolist() == [0, ord("a") + 1, ord(largest) + 1, 0, ord("b") + 1, 0]
    assert open_tokens(encode_to_file(text, CodePoints(vocab_size), tmp_path / "ids.tokens")).tolist() == ids.tolist()


def test_an_id_above_65536_survives(tmp_path):
    """Mistake 16 with the very number."""
    tokenizer = CodePoints(65_544)
    tokenizer.encode = lambda text: [65_543]
    assert open_tokens(encode_to_file("x", tokenizer, tmp_path / "x.tokens")).tolist() == [65_543]


def test_a_token_file_is_a_memory_map(tmp_path):
    """A loader that reads the whole file into memory; a suffix added behind the caller's back."""
    path = encode_to_file("hello", CodePoints(), tmp_path / "new folder" / "ids.tokens")
    assert path == tmp_path / "new folder" / "ids.tokens" and [p.name for p in path.parent.iterdir()] == ["ids.tokens"]
    ids = open_tokens(str(path))
    assert isinstance(ids, np.memmap) and not ids.flags.writeable
    assert ids.tolist() == encode_text("hello", CodePoints()).tolist()


def test_a_token_file_says_what_it_holds(tmp_path):
    """Bits per byte need the bytes of the documents, marks not counted; and `head -2` must show it to a person."""
    path = encode_to_file(f"käse\n{END_OF_TEXT}\nb\r", CodePoints(70_000), tmp_path / "ids.tokens")
    first, second, *_ = path.read_bytes().split(b"\n")
    said = json.loads(second)
    assert first == b"gptlib tokens 1"
    assert said == {"count": 9, "dtype": "uint32", "tokenizer": f"{70_000:064x}", "text_bytes": len("käseb\r".encode())}
    assert path.stat().st_size == 256 + 4 * 9 and path.read_bytes()[255:256] == b"\n"
    assert path.read_bytes()[256:260] == (0).to_bytes(4, "little")
    assert path.read_bytes()[260:264] == (ord("k") + 1).to_bytes(4, "little")


def test_only_its_own_tokenizer_opens_a_token_file(tmp_path):
    """The ids of another tokenizer are valid and mean nothing: training on them looks well."""
    text = BETWEEN.join(documents(load_text())[:20])
    one, other = (BPETokenizer.train(part, 300) for part in (text[:2000], text[2000:]))
    path = encode_to_file(text, one, tmp_path / "ids.tokens")
    one.save(tmp_path / "tokenizer.json")
    for same in (one, load_tokenizer(tmp_path / "tokenizer.json")):
        assert open_tokens(path, same).tolist() == encode_text(text, one).tolist()
    with pytest.raises(ValueError, match="was made with the tokenizer"):
        open_tokens(path, other)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Half a file under the real name, and yesterday's gone."""
    path = encode_to_file("old", CodePoints(), tmp_path / "ids.tokens")

    def full(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        encode_to_file("something new", CodePoints(), path)
    assert open_tokens(path).tolist() == encode_text("old", CodePoints()).tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["ids.tokens"]


def test_round_trip_of_a_corpus():
    """The ids still mean the text, document by document."""
    text = BETWEEN.join(documents(load_text())[:30])
    for tokenizer in (CharTokenizer.train(text), BPETokenizer.train(text, 300)):
        ids = encode_text(text, tokenizer)
        starts = [*document_starts(ids, tokenizer.end_id), len(ids) - 1]
        assert [tokenizer.decode(ids[a + 1 : b].tolist()) for a, b in pairwise(starts)] == documents(text)


# ---- batches ---------------------------------------------------------------------------------------------------------


def test_targets_are_the_next_tokens():
    """Mistakes 11 and 12: no shift, or two."""
    tokens = np.random.default_rng(0).integers(0, 50, 300)
    x, y = get_batch(tokens, 64, 17, generator=torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (64, 17)
    assert torch.equal(x[:, 1:], y[:, :-1]) and not torch.equal(x, y)
    text = tokens.tolist()
    for row, last in zip(x.tolist(), y[:, -1].tolist(), strict=True):
        assert any(text[i : i + 18] == [*row, last] for i in range(len(text)))


@given(st.integers(1, 12), st.integers(1, 12))
def test_every_start_is_reached_and_no_other(block_size, n_starts):
    """Mistake 14: a range off by one never asks for the last token, or runs over the end."""
    tokens = np.arange(block_size + n_starts)
    x, y = get_batch(tokens, 60 * n_starts, block_size, generator=torch.Generator().manual_seed(1))
    assert set(x[:, 0].tolist()) == set(range(n_starts))
    assert torch.equal(y, x + 1) and y.max() == tokens[-1]


def test_starts_are_equally_likely():
    """A draw that favours some places: 6 standard deviations, so that chance alone never fails it."""
    x, _ = get_batch(np.arange(11), 20_000, 1, generator=torch.Generator().manual_seed(2))
    counts = torch.bincount(x[:, 0], minlength=10)
    assert len(counts) == 10 and ((counts - 2000).abs() < 6 * 2000**0.5).all()


@given(st.integers(2, 40), st.data())
def test_windows_begin_at_the_starts_that_fit(n, draws):
    """Starts ignored; or a window that runs over the end, or a fitting one left out."""
    block_size = draws.draw(st.integers(1, n - 1))
    starts = np.array(draws.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)))
    fitting = {s for s in starts.tolist() if s + block_size < n}
    if fitting:
        generator = torch.Generator().manual_seed(3)
        x, y = get_batch(np.arange(n), 200, block_size, starts=starts, generator=generator)
        assert set(x[:, 0].tolist()) == fitting and y.max() < n


def test_batches_fit_an_embedding_and_a_view(tmp_path):
    """Mistakes 17 and 30: narrow integers, and slices that `view` refuses. Arrays and memory maps alike."""
    path = encode_to_file("".join(map(chr, range(299))), CodePoints(), tmp_path / "t.tokens")
    for tokens in (np.arange(300, dtype=np.uint16), np.arange(300, dtype=np.uint32), open_tokens(path)):
        for x, y in (get_batch(tokens, 4, 8), *eval_batches(tokens, 4, 8)):
            assert x.dtype == y.dtype == torch.int64
            torch.nn.Embedding(300, 2)(x)
            y.view(-1).fill_(-7)
            assert x.min() >= 0  # y is no window onto the memory of x


def test_a_generator_fixes_the_batches():
    """A draw from the global state cannot be repeated."""
    tokens, starts = np.arange(1000), np.arange(0, 1000, 10)
    for where in (None, starts):
        first, second = (
            get_batch(tokens, 8, 4, starts=where, generator=torch.Generator().manual_seed(4))[0] for _ in range(2)
        )
        assert torch.equal(first, second)
    before = torch.get_rng_state()
    get_batch(tokens, 8, 4, generator=torch.Generator())
    assert torch.equal(before, torch.get_rng_state())


@given(n_starts=st.integers(1, 12), batch_size=st.integers(1, 9), seed=st.integers(0, 2**63 - 1))
def test_dealt_windows_come_once_before_any_comes_again(n_starts: int, batch_size: int, seed: int) -> None:
    """Also where a batch ends one deck and begins the next; the number of the batch decides, not what was drawn."""
    tokens, starts = np.arange(200), np.arange(n_starts) * 10

    def dealt(number: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return get_batch(tokens, batch_size, 5, starts=starts, generator=generator, deal=number)[0][:, 0].tolist()

    row = [start for number in range(3 * n_starts) for start in dealt(number)]
    decks = [row[i : i + n_starts] for i in range(0, len(row) - n_starts + 1, n_starts)]
    assert all(sorted(deck) == starts.tolist() for deck in decks)
    assert n_starts < 8 or len({tuple(deck) for deck in decks}) > 1, "each deck is shuffled anew"
    assert dealt(2) == row[2 * batch_size : 3 * batch_size]
    generator = torch.Generator().manual_seed(seed)
    before = generator.get_state()
    get_batch(tokens, batch_size, 5, starts=starts, generator=generator, deal=0)
    assert torch.equal(before, generator.get_state()), "nothing is drawn"


@given(st.integers(-(2**63), 2**64 - 1))
def test_every_seed_that_torch_takes_shuffles_a_deck(seed: int) -> None:
    """For a negative seed, of which numpy wants to hear nothing."""
    assert sorted(deck(7, 0, seed).tolist()) == list(range(7))


def test_another_seed_deals_in_another_order() -> None:
    tokens, starts = np.arange(2000), np.arange(100) * 10
    first, second = (
        get_batch(tokens, 100, 5, starts=starts, generator=torch.Generator().manual_seed(seed), deal=0)[0][:, 0]
        for seed in (1, 2)
    )
    assert not torch.equal(first, second) and torch.equal(first.sort().values, second.sort().values)


@given(PIECES)
def test_documents_begin_at_the_mark_before_them(pieces):
    """A start one too late never predicts the first token; the closing mark begins nothing."""
    ids = encode_text(BETWEEN.join(pieces) + BETWEEN, CodePoints())
    starts = document_starts(ids, 0)
    assert starts.tolist() == ([i for i, token in enumerate(ids[:-1].tolist()) if token == 0] or [0])
    assert document_starts(np.array([5, 6, 0, 7]), 0).tolist() == [0, 2]
    assert document_starts(np.array([5, 6]), 0).tolist() == [0]


# ---- evaluation ------------------------------------------------------------------------------------------------------


@given(st.integers(2, 60), st.integers(1, 5), st.integers(1, 70), st.data())
def test_every_token_is_scored_once(n, batch_size, block_size, draws):
    """Mistakes 14, 15 and 59: windows that skip or repeat tokens, or leave out a short last one."""
    starts = draws.draw(st.none() | st.lists(st.integers(0, n - 1), max_size=6).map(lambda s: np.array(s, dtype=int)))
    scored = []
    for x, y in eval_batches(np.arange(n), batch_size, block_size, starts=starts):
        assert x.shape == y.shape and len(x) <= batch_size and x.shape[1] <= block_size
        kept = y >= 0
        assert (y[~kept] == -1).all() and torch.equal(y[kept], x[kept] + 1)
        assert kept[:, 0].all() and (kept.int().diff() <= 0).all()  # padding stands only behind
        scored += y[kept].tolist()
    assert sorted(scored) == list(range(1, n))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 12))
def test_documents_are_scored_from_their_beginning(lengths, block_size):
    """A window that reaches into the next document, or one that begins in the middle of its own block."""
    ids = np.array([0, *(token for n in lengths for token in [*range(1, n + 1), 0])])
    starts = document_starts(ids, 0)
    for x, y in eval_batches(ids, 3, block_size, starts=starts):
        for row, answers in zip(x.tolist(), y.tolist(), strict=True):
            kept = [token for token in answers if token >= 0]
            assert row[0] % block_size == 0  # tokens count from the mark: a window begins at a whole block
            assert 0 not in kept[:-1]


def test_evaluation_is_the_same_every_time():
    """Mistake 59: random windows make the loss of one model wobble."""
    tokens = np.random.default_rng(1).integers(0, 9, 100)
    for starts in (None, np.array([0, 13, 50])):
        first, second = ([y for _, y in eval_batches(tokens, 4, 7, starts=starts)] for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_little_is_padded():
    """Windows of all lengths in one batch: most of the work would go into padding."""
    ids = np.array([0, *(token for n in [1, 50] * 40 for token in [*([1] * n), 0])])
    batches = list(eval_batches(ids, 8, 64, starts=document_starts(ids, 0)))
    assert sum(y.numel() for _, y in batches) < 1.1 * sum((y >= 0).sum() for _, y in batches)


# ---- device ----------------------------------------------------------------------------------------------------------


def test_the_device_has_one_home(monkeypatch):
    """The argument wins over the environment, the environment over auto, and auto never takes mps."""
    monkeypatch.setenv("GPTLIB_DEVICE", "nonsense")
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("GPTLIB_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")
    monkeypatch.delenv("GPTLIB_DEVICE")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device() == pick_device("auto") == torch.device(expected)
    assert pick_device("mps") == torch.device("mps") and pick_device("cuda:1") == torch.device("cuda:1")


# ---- download --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server on 127.0.0.1 for the folder `served`; its address."""
    (tmp_path / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_corpus_is_downloaded_once(tmp_path, server, monkeypatch):
    """A second call that fetches again, or a file beside the corpora that is not found."""
    content = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    (tmp_path / "served" / "input.txt").write_bytes(content)
    (tmp_path / "corpora").mkdir()
    monkeypatch.setattr(_texts.resources, "files", lambda package: tmp_path / "corpora")
    monkeypatch.setattr(_texts, "TINYSHAKESPEARE_URL", f"{server}/input.txt")
    monkeypatch.setattr(_texts, "TINYSHAKESPEARE_SHA256", hashlib.sha256(content).hexdigest())
    assert load_text("tinyshakespeare") == content.decode()
    assert [p.name for p in (tmp_path / "corpora").iterdir()] == ["tinyshakespeare.txt"]
    (tmp_path / "served" / "input.txt").unlink()
    assert load_text("tinyshakespeare") == content.decode()


def test_other_bytes_are_refused(tmp_path, server):
    """A login page instead of the file, saved under its name."""
    (tmp_path / "served" / "input.txt").write_bytes(b"<html>please log in</html>")
    with pytest.raises(ValueError, match=r"SHA-256 .* expected was 0000.*by hand"):
        download(f"{server}/input.txt", tmp_path / "input.txt", "0000")
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded .*not found.*by hand"):
        download(f"{server}/missing.txt", tmp_path / "input.txt", "0000")
    assert [p.name for p in tmp_path.iterdir()] == ["served"]


def test_no_server_is_one_sentence(tmp_path):
    """Offline: a traceback of urllib, or a wait without end."""
    with socket.socket() as deaf:  # it keeps the port, so that nobody else answers there, and does not listen
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(FileNotFoundError, match=r"refused.*put the file at .* by hand"):
            download(f"http://127.0.0.1:{deaf.getsockname()[1]}/x", tmp_path / "x", "0000", timeout=60)
    assert not list(tmp_path.iterdir())
