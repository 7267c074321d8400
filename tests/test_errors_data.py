"""What bad input gets from `gptlib.data`: one sentence that names the value and what to do."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlib.data import (
    encode_to_file,
    eval_batches,
    get_batch,
    load_text,
    open_tokens,
    pick_device,
    split_text,
)
from gptlib.tokenizer import CharTokenizer

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["uint16", "uint32", "int8", [], {}])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: choose a file with text"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (gzip.compress(b" \n", mtime=0), "is empty"),
        (gzip.compress(b"one", mtime=0)[:15], r"is a damaged gzip file .*: copy or compress it again"),
        (gzip.compress(b"one", mtime=0)[:-8] + bytes(8), r"is a damaged gzip file"),
        (gzip.compress(b"one\0", mtime=0), "is a binary file"),
        (gzip.compress(b"caf\xe9", mtime=0), r"is not UTF-8 \(byte 3 is 0xe9\)"),
        (b"x" * 3_000_000 + b"\xff", r"is not UTF-8 \(byte 3000000 is 0xff\)"),
        (b"\xef\xbb\xbf" + b"x" * 2**20 + b"\xc3", r"is not UTF-8 \(byte 1048579 is 0xc3\)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is a binary file, or UTF-16: save it as plain text in UTF-8"),
        ("Käse".encode("utf-16"), "UTF-16"),
        ("Käse".encode("latin-1"), r"is not UTF-8 \(byte 1 is 0xe4\): save it as UTF-8"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, sentence):
    """A traceback of the decoder, or training on the bytes of a picture."""
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_text(tmp_path / "x.txt")
    assert "x.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path, monkeypatch):
    """A misspelt corpus; and a `Path`, which is always a file, even when a corpus has its name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"'tails'.*check the path, or use tales, pydocs, tinyshakespeare"):
        load_text("tails")
    with pytest.raises(FileNotFoundError, match="'tales'"):
        load_text(Path("tales"))
    (tmp_path / "notes.md").write_text("no text file", encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"the folder '.*' has no .txt file with text in it: put some there, or name"):
        load_text(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "bad.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"bad.txt' is not UTF-8"):  # the file, not the folder
        load_text(tmp_path)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fractions_outside_0_and_1(fraction):
    with pytest.raises(ValueError, match=f"val_fraction is {fraction}: choose a number between 0 and 1"):
        split_text("some text", fraction)


@pytest.mark.parametrize("text", ["", "a", "\n<|endoftext|>\n"])
def test_texts_too_short_to_split(text):
    """An empty part would fail later, far from here."""
    with pytest.raises(ValueError, match=r"a text of \d characters cannot be split at 0.1: use a longer text"):
        split_text(text)


def test_a_fraction_that_leaves_nothing_for_validation():
    """So small that it is lost beside 1."""
    with pytest.raises(ValueError, match="a text of 9 characters cannot be split at 1e-20: use a longer text"):
        split_text("some text", 1e-20)


def test_texts_shorter_than_a_block():
    """Both numbers must be named; at one token more it works."""
    with pytest.raises(ValueError, match=r"block of 8 tokens and the one after it do not fit into a text of 8: use"):
        get_batch(np.arange(8), 2, 8)
    get_batch(np.arange(9), 2, 8)
    with pytest.raises(ValueError, match=r"none of the 2 starts leaves room for a block of 8 in 12 tokens"):
        get_batch(np.arange(12), 2, 8, starts=np.array([4, 11]))
    with pytest.raises(ValueError, match=r"a text of 1 tokens leaves nothing to predict"):
        list(eval_batches(np.arange(1), 2, 8))


@pytest.mark.parametrize(("batch_size", "block_size"), [(0, 4), (2, 0), (-1, 4)])
def test_sizes_below_one(batch_size, block_size):
    for use in (get_batch, lambda *sizes: list(eval_batches(*sizes))):
        with pytest.raises(ValueError, match=f"batch_size is {batch_size} and block_size {block_size}: both"):
            use(np.arange(20), batch_size, block_size)


def test_token_files_that_are_none(tmp_path):
    """A damaged file must be met when it is opened, not in the middle of a run."""
    with pytest.raises(FileNotFoundError, match=r"there is no token file .*: make it with encode_to_file or `gptlib"):
        open_tokens(tmp_path / "none.tokens")
    path = encode_to_file("abcabc", CharTokenizer("abc"), tmp_path / "ids.tokens")
    whole = path.read_bytes()
    for damaged, sentence in {
        whole[:-1]: "is damaged: it should hold 6 ids of 2 bytes, and holds 11 bytes of them",
        whole + b"\0\0": "is damaged: it should hold 6 ids of 2 bytes, and holds 14 bytes of them",
        whole[:200]: "the header of the token file .* is damaged",
        whole[:16]: "the header of the token file .* is damaged",
        b"": "is no token file",
        b"text": "is no token file",
        b"PK\x03\x04" + whole: "is no token file",
        whole.replace(b"tokens 1", b"tokens 2"): "has the format 'gptlib tokens 2', not 'gptlib tokens 1'",
        whole.replace(b"uint16", b"uint64"): "the header of the token file .* is damaged",
        whole.replace(b": 6,", b":-6,"): "the header of the token file .* is damaged",
    }.items():
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{sentence}.*: make it again with encode_to_file or `gptlib prepare`"):
            open_tokens(path)
    np.save(path.with_suffix(".npy"), np.zeros(2, dtype=np.uint16))
    with pytest.raises(
        ValueError, match=r"is a numpy file, as token files were before they had a header: make it again"
    ):
        open_tokens(path.with_suffix(".npy"))
    with pytest.raises(ValueError, match=r"has no tokens: use a longer text"):
        encode_to_file("", CharTokenizer("abc"), path)


def test_the_wrong_tokenizer_is_named(tmp_path):
    """Both, so that a person with several tokenizers finds the right one."""
    one, other = CharTokenizer("abc"), CharTokenizer("abd")
    path = encode_to_file("abcabc", one, tmp_path / "ids.tokens")
    names = f"made with the tokenizer {one.fingerprint[:8]}, and this one is {other.fingerprint[:8]}"
    with pytest.raises(ValueError, match=f"ids.tokens' was {names}: load the tokenizer.json"):
        open_tokens(path, other)


@given(st.binary(max_size=64), st.integers(0, 300))
def test_no_damage_gets_a_traceback(tmp_path_factory, noise, place):
    """Whatever bytes a header holds: a token array or the sentence."""
    path = tmp_path_factory.mktemp("damaged") / "ids.tokens"
    whole = bytearray(encode_to_file("abcabc", CharTokenizer("abc"), path).read_bytes())
    whole[place : place + len(noise)] = noise
    path.write_bytes(bytes(whole))
    try:
        assert open_tokens(path).ndim == 1
    except ValueError as error:
        assert "encode_to_file" in str(error)


@given(st.dictionaries(st.sampled_from(["count", "dtype", "tokenizer", "text_bytes"]), VALUES))
def test_no_header_gets_a_traceback(tmp_path_factory, fields):
    """JSON that is whole and says nonsense: a type, a name or a number that cannot be."""
    path = encode_to_file("abcabc", CharTokenizer("abc"), tmp_path_factory.mktemp("odd") / "ids.tokens")
    said = json.loads(path.read_bytes()[16:256]) | fields
    path.write_bytes(b"gptlib tokens 1\n" + json.dumps(said).encode().ljust(240)[:240] + path.read_bytes()[256:])
    try:
        assert len(open_tokens(path)) in (3, 6)
    except ValueError as error:
        assert "encode_to_file" in str(error)


def test_devices_that_are_not_there(monkeypatch):
    """Met at once and by name, not at the first matrix."""
    for name in ("gpu", "cuda:99", "cpu:1", "cuda:x", "mps:7"):
        with pytest.raises(ValueError, match=rf"the device '{name}' is not there: choose from cpu"):
            pick_device(name)
    monkeypatch.setenv("GPTLIB_DEVICE", "tpu")
    with pytest.raises(ValueError, match=r"the device 'tpu' is not there"):
        pick_device()
