"""What bad input gets from `gptlib.data`: one sentence that names the value and what to do."""

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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: choose a file with text"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
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
    with pytest.raises(ValueError, match=r"is a folder: name one text file; join several"):
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
    with pytest.raises(FileNotFoundError, match=r"there is no token file .*: make it with encode_to_file"):
        open_tokens(tmp_path / "none.npy")
    path = encode_to_file("abcabc", CharTokenizer("abc"), tmp_path / "ids.npy")
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", b"text", b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is damaged or no token file: make it again"):
            open_tokens(path)
    for other in (np.ones(3), np.zeros((2, 2), dtype=np.uint16), np.array(["a"])):
        np.save(path, other)
        with pytest.raises(ValueError, match=r"holds .* of shape .*, not token ids: make it again"):
            open_tokens(path)
    with pytest.raises(ValueError, match=r"has no tokens: use a longer text"):
        encode_to_file("", CharTokenizer("abc"), path)


@given(st.binary(max_size=64), st.integers(0, 120))
def test_no_damage_gets_a_traceback(tmp_path_factory, noise, place):
    """Whatever bytes a header holds: a token array or the sentence."""
    path = tmp_path_factory.mktemp("damaged") / "ids.npy"
    whole = bytearray(encode_to_file("abcabc", CharTokenizer("abc"), path).read_bytes())
    whole[place : place + len(noise)] = noise
    path.write_bytes(bytes(whole))
    try:
        assert open_tokens(path).ndim == 1
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
