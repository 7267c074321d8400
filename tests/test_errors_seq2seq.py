"""The sentences of the encoder-decoder and of its dates: each names the value and the way out."""

import subprocess
import sys

import pytest
import torch

from gptlib.corpora import dates
from gptlib.seq2seq import (
    DecoderCache,
    EncoderDecoder,
    EncoderDecoderConfig,
    alignment,
    batches_by_length,
    beam_search,
    fit,
    pad,
    smoothed_cross_entropy,
    translate,
)

SIZES = {"vocab_size": 9, "pad_id": 0, "start_id": 1, "end_id": 2, "n_head": 2, "n_embd": 8}
RANDOM = {"look_around": False}


WANTS_LISTS = "is no list of ids; encode a text, and put a single one in a list"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return EncoderDecoder(EncoderDecoderConfig(**SIZES))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"vocab_size": 0}, "vocab_size is 0: choose an int of at least 1"),
        ({"n_layer": 1.5}, "n_layer is 1.5: choose an int of at least 1"),
        ({"n_head": True}, "n_head is True: choose an int of at least 1"),
        ({"n_embd": 6}, "n_embd is 6, but with n_head 2 it must be a multiple of 4; take 4 or 8"),
        ({"n_embd": 6, "n_head": 4}, "n_embd is 6, but with n_head 4 it must be a multiple of 8; take 8"),
        (
            {"n_embd": 9, "n_head": 3} | RANDOM,
            "n_embd is 9, but with n_head 3 it must be a multiple of 6; take 6 or 12",
        ),
        ({"n_embd": 6, "n_head": 4} | RANDOM, "n_embd is 6, but with n_head 4 it must be a multiple of 4; take 4 or 8"),
        (
            {"n_embd": 2, "n_head": 8},
            "n_embd is 2, but with n_head 8 it must be a multiple of 16; the two look swapped",
        ),
        (
            {"n_head": 1},
            "look_around keeps the channels of one head for the place, and n_head is 1; take 2 or more heads, or "
            "look_around=False",
        ),
        ({"end_id": 9}, "end_id is 9: choose an id of the vocabulary, 0 to 8"),
        ({"pad_id": -1}, "pad_id is -1: choose an id of the vocabulary, 0 to 8"),
        ({"end_id": 1}, "pad_id, start_id and end_id are 0, 1, 1; give three ids"),
        ({"dropout": 1.0}, "dropout is 1.0: choose 0 or more, below 1"),
        ({"norm_eps": 0}, "norm_eps is 0: choose a small number such as 1e-5"),
        ({"norm": "both"}, "norm is 'both': choose pre or post"),
        ({"gelu": "relu"}, "gelu is 'relu': choose erf or tanh"),
        ({"look_around": 1}, "look_around is 1: choose True or False"),
    ],
)
def test_a_config_that_no_model_can_have(wrong, sentence):
    with pytest.raises(ValueError) as error:
        EncoderDecoderConfig(**(SIZES | wrong))
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (
            torch.zeros(3, dtype=torch.long),
            torch.ones(1, 2, dtype=torch.long),
            r"source has shape \(3,\) and torch.int64",
        ),
        (torch.zeros(1, 3), torch.ones(1, 2, dtype=torch.long), "torch.float32; give .* of torch.int64"),
        (torch.zeros(1, 0, dtype=torch.long), torch.ones(1, 2, dtype=torch.long), r"source has shape \(1, 0\)"),
        (
            torch.full((1, 3), 9),
            torch.ones(1, 2, dtype=torch.long),
            "source holds ids from 9 to 9, but they go from 0 to 8",
        ),
        (torch.full((1, 3), 3), torch.full((1, 2), -1), "target holds ids from -1 to -1, but they go from 0 to 8"),
        (torch.full((2, 3), 3), torch.full((3, 2), 1), "target has 3 texts and the source 2; give one for each"),
    ],
)
def test_ids_that_do_not_fit(model, source, target, sentence):
    with pytest.raises(ValueError, match=sentence):
        model(source, target)


def test_a_memory_of_another_width(model):
    memory, mask = torch.zeros(1, 3, 6), torch.ones(1, 1, 1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"context has shape \(1, 3, 6\), but this attention needs .* 8\)"):
        model.decode(torch.tensor([[1]]), memory, mask)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda model: translate(model, [], 5), "sources is empty; give at least one text"),
        (lambda model: translate(model, [[3], []], 5), r"sources\[1\] is empty; give at least one token"),
        (lambda model: translate(model, [[3]], 0), "max_new_tokens is 0; give an int of at least 1"),
        (lambda model: translate(model, [[3]], 2.5), "max_new_tokens is 2.5; give an int of at least 1"),
        (lambda model: translate(model, [[33]], 5), "source holds ids from 33 to 33"),
        (lambda model: translate(model, [3, 4], 5), "3 " + WANTS_LISTS),
        (lambda model: translate(model, torch.tensor([3, 4]), 5), r"tensor\(3\) " + WANTS_LISTS),
        (lambda model: translate(model, "3.4.1999", 5), "'3.4.1999' " + WANTS_LISTS),
        (lambda model: translate(model, ["3.4.1999"], 5), "'3.4.1999' " + WANTS_LISTS),
        (lambda model: beam_search(model, "3.4.1999", 5), "'3.4.1999' " + WANTS_LISTS),
        (lambda model: alignment(model, "3.4.1999", [3]), "'3.4.1999' " + WANTS_LISTS),
        (lambda model: alignment(model, [3], "1999"), "'1999' " + WANTS_LISTS),
        (lambda model: model.encode([[3, 4]]), "source is a list; give a tensor"),
        (lambda model: model.encode(torch.ones(1, 2, dtype=torch.complex64)), "source has .* torch.complex64; give"),
        (lambda model: DecoderCache(model.config, 4, 2).keep(torch.tensor([0])), "this cache is empty; decode"),
        (lambda model: beam_search(model, [], 5), r"sources\[0\] is empty"),
        (lambda model: beam_search(model, [3], 5, width=0), "width is 0; give at least 1"),
        (lambda model: beam_search(model, [3], 5, length_power=-1), "length_power is -1; give 0"),
        (lambda model: alignment(model, [], [3]), r"sources\[0\] is empty"),
        (lambda model: alignment(model, [3], [44]), "target holds ids from 1 to 44"),
        (lambda model: pad([], 0), "there are no rows to pad; give at least one"),
        (
            lambda model: next(batches_by_length([], 4)),
            "there are 0 pairs for batches of 4, 20 at a time; give at least one of each",
        ),
        (lambda model: next(batches_by_length([([3], [4])], 0)), "1 pairs for batches of 0, 20 at a time"),
        (lambda model: next(batches_by_length([([3], [4])], 1, pool=0)), "1 pairs for batches of 1, 0 at a time"),
        (
            lambda model: smoothed_cross_entropy(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.long)),
            r"logits of shape \(2, 3, 5\) belong to targets of shape \(2, 3\), and these have \(2, 4\)",
        ),
        (lambda model: dates.split(-5, 10), "n_train is -5 and n_held_out 10; give 0 or more of each"),
        (lambda model: dates.split(10, -5), "n_train is 10 and n_held_out -5; give 0 or more of each"),
        (
            lambda model: smoothed_cross_entropy(torch.zeros(1, 3), torch.tensor([0]), 1.0),
            "smoothing is 1.0; give 0 or",
        ),
        (lambda model: smoothed_cross_entropy(torch.zeros(1, 3), torch.tensor([-1])), "all 1 targets are -1"),
        (lambda model: dates.pairs(0), "n is 0, but a task needs at least one pair; give n=1 or more"),
    ],
)
def test_calls_that_make_no_sense(model, call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(model)


def test_batches_of_a_negative_pool_are_refused_at_once():
    """Bug: with a pool of -1 no batch ever comes, and the first `next` never comes back."""
    run = subprocess.run(
        [sys.executable, "-c", "from gptlib.seq2seq import *; next(batches_by_length([([3], [4])], 1, pool=-1))"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ValueError: there are 1 pairs for batches of 1, -1 at a time; give at least one of each" in run.stderr


def test_an_error_leaves_no_record_running(model):
    with pytest.raises(ValueError, match="ids"):
        alignment(model, [3], [44])
    assert all(block.cross.seen is None for block in model.decoder)


def test_a_loss_that_is_no_number_stops_the_training(model):
    losses = iter([model.embedding.weight.sum(), model.embedding.weight.sum() * float("nan")])
    with pytest.raises(ValueError, match="the loss is nan at step 2; lower the learning rates"):
        fit(model, range(5), lambda batch: next(losses), 5)
