"""What bad input gets from `gptlib.language`: one sentence that names the value and what to do."""

import pytest
import torch

from gptlib.language import NGramModel, bits_per_byte, cross_entropy


def test_nothing_but_padding():
    """0 / 0 would be a NaN that shows up steps later."""
    with pytest.raises(ValueError, match="all 6 targets are -1, which marks padding: score at least one token"):
        cross_entropy(torch.zeros(2, 3, 4), torch.full((2, 3), -1))


def test_targets_outside_the_vocabulary():
    """A negative target that is not the padding mark must not count as token 0."""
    for wrong in (-2, 4):
        with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
            cross_entropy(torch.zeros(2, 4), torch.tensor([0, wrong]))


def test_bytes_below_one():
    with pytest.raises(ValueError, match="n_bytes is 0: bits per byte need a text"):
        bits_per_byte(1.0, 0, 0)


def test_ngram_settings():
    for n, vocab_size in ((0, 5), (2, 0)):
        with pytest.raises(ValueError, match=f"n is {n} and vocab_size {vocab_size}: both must be at least 1"):
            NGramModel(n, vocab_size)
    for smoothing in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"smoothing is {smoothing}: choose a part of one count"):
            NGramModel(2, 5, smoothing)


def test_ngram_tokens():
    """The ids of another tokenizer would be counted in the wrong rows, silently."""
    model = NGramModel(2, 5).fit([0, 1, 2])
    for use in (model.fit, model.loss, model.probabilities):
        for wrong in (5, -1):
            with pytest.raises(
                ValueError, match=f"the id {wrong} is not in a vocabulary of 5: fit and use one tokenizer"
            ):
                use([1, wrong])
    with pytest.raises(ValueError, match="a text of 1 tokens leaves nothing to predict"):
        model.loss([1])
