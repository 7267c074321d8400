"""What gptlib.sampling says to bad input: one sentence with the value and the way out."""

import math
from typing import Any

import pytest
import torch

from gptlib import n_best
from gptlib.model import GPT, GPTConfig
from gptlib.sampling import complete, filter_logits, generate, recall, stream, surprise
from gptlib.tokenizer import CharTokenizer

SETTINGS = [
    ({"temperature": -0.5}, "temperature is -0.5; give 0 for the likeliest"),
    ({"temperature": math.nan}, "temperature is nan; give 0"),
    ({"temperature": math.inf}, "temperature is inf; give 0"),
    ({"top_k": 0}, "top_k is 0; give the number of tokens to keep, at least 1"),
    ({"top_k": -3}, "top_k is -3; give"),
    ({"top_p": 0.0}, r"top_p is 0.0; give the share of probability to keep, above 0 and at most 1"),
    ({"top_p": 1.01}, "top_p is 1.01; give"),
    ({"top_p": math.nan}, "top_p is nan; give"),
    ({"temperature": 0, "top_k": 0}, "top_k is 0; give"),  # also where greedy decoding would not use it
]
IDS = [
    (torch.empty(2, 0, dtype=torch.long), r"idx has shape \(2, 0\), which is empty; give at least one token"),
    (torch.empty(0, 2, dtype=torch.long), r"idx has shape \(0, 2\), which is empty; give at least one token"),
    (torch.tensor([1, 2]), r"idx has shape \(2,\) and torch.int64; give \(batch, positions\)"),
    (torch.ones(1, 2), r"idx has shape \(1, 2\) and torch.float32; give \(batch, positions\)"),
    (torch.tensor([[1, 5]]), "idx holds 5, but the ids go from 0 to 4; use this model's tokenizer"),
    (torch.tensor([[1, -1]]), "idx holds -1, but the ids go from 0 to 4"),
]
CONDITIONS = [
    ({"stop": ""}, "stop holds an empty text, which stands everywhere; give at least one character"),
    ({"stop": ["b", ""]}, "stop holds an empty text"),
    ({"stop": [5]}, "stop holds 5, which is no text; give a str, or several"),
    ({"forbid": ""}, "forbid holds an empty text"),
    ({"forbid": ["\ufffd"]}, "forbid holds '\ufffd', which stands for bytes that are no character; leave it out"),
    ({"forbid": "\ud800"}, r"forbid holds '\\ud800', which stands for bytes"),
    ({"min_new_tokens": -1}, "min_new_tokens is -1; give 0 or more"),
    ({"min_new_tokens": 7}, "min_new_tokens is 7 and max_new_tokens is 6; lower the first or raise the second"),
]
PENALTIES = [0.0, -1.5, math.nan, math.inf]
SEARCHES = [
    ({"require": ""}, "require holds an empty text"),
    ({"require": "bc", "forbid": ["x", "c"]}, "'bc' is required, and forbid holds 'c'; leave out one of the two"),
    ({"require": "b", "forbid": "b"}, "'b' is required, and forbid holds 'b'"),
    ({"require": ["a", "bc"], "stop": "b"}, "'bc' is required, and stop holds 'b'"),
    ({"require": "aß"}, "'aß' is required, and cannot be spelled: the character 'ß' is not in the vocabulary"),
    ({"require": ["abc", "dddd"]}, "max_new_tokens is 6, and what is required takes 7 tokens; raise it, or require"),
    ({"n": 0}, "n is 0; give at least 1"),
    ({"n": -2}, "n is -2; give at least 1"),
    ({"width": 0}, "width is 0; give at least 1"),
    ({"length_power": -0.5}, "length_power is -0.5; give 0 to rank by"),
    ({"length_power": math.nan}, "length_power is nan; give 0"),
    ({"max_new_tokens": -1}, "max_new_tokens is -1; give 0 or more"),
]


@pytest.fixture(scope="module")
def model() -> GPT:
    return GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=1, n_embd=4))


@pytest.fixture(scope="module")
def tokenizer() -> CharTokenizer:
    return CharTokenizer("abcd")


@pytest.mark.parametrize(("settings", "sentence"), SETTINGS)
def test_settings_that_mean_nothing(
    model: GPT, tokenizer: CharTokenizer, settings: dict[str, Any], sentence: str
) -> None:
    """In each function, also when nothing is to be written: a wrong flag is a wrong flag."""
    with pytest.raises(ValueError, match=sentence):
        filter_logits(torch.zeros(5), **settings)
    with pytest.raises(ValueError, match=sentence):
        generate(model, torch.tensor([[1]]), 0, **settings)
    with pytest.raises(ValueError, match=sentence):
        stream(model, tokenizer, "a", **settings)  # at the call, not at the first piece
    with pytest.raises(ValueError, match=sentence):
        complete(model, tokenizer, "a", **settings)


@pytest.mark.parametrize(("idx", "sentence"), IDS)
def test_ids_that_nothing_goes_on_from(model: GPT, idx: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        generate(model, idx, 2)


def test_a_stop_that_no_token_has(model: GPT) -> None:
    with pytest.raises(ValueError, match="stop holds 5, but the ids go from 0 to 4"):
        generate(model, torch.tensor([[1]]), 2, stop=5)


def test_a_negative_number_of_tokens(model: GPT, tokenizer: CharTokenizer) -> None:
    with pytest.raises(ValueError, match="max_new_tokens is -1; give 0 or more"):
        generate(model, torch.tensor([[1]]), -1)
    with pytest.raises(ValueError, match="max_new_tokens is -1; give 0 or more"):
        stream(model, tokenizer, "a", -1)


def test_logits_that_are_no_floats() -> None:
    with pytest.raises(ValueError, match=r"logits have dtype torch.int64; give the floats"):
        filter_logits(torch.tensor([1, 2]))


def test_an_empty_prompt(model: GPT, tokenizer: CharTokenizer) -> None:
    for ask in (stream, complete):
        with pytest.raises(ValueError, match="the prompt is empty; give at least one character"):
            ask(model, tokenizer, "")


def test_a_tokenizer_of_another_model(model: GPT) -> None:
    with pytest.raises(ValueError, match="idx holds 6, but the ids go from 0 to 4; use this model's tokenizer"):
        complete(model, CharTokenizer("abcdef"), "a")


def test_nothing_to_judge(model: GPT, tokenizer: CharTokenizer) -> None:
    with pytest.raises(ValueError, match="there is no tale to read; give at least one"):
        recall(model, tokenizer, [])
    with pytest.raises(ValueError, match="the text '' has no token with one before it; give a longer text"):
        surprise(model, tokenizer, "")
    with pytest.raises(ValueError, match="the text 'a' has no token with one before it"):
        surprise(model, CharTokenizer("ab", special_tokens=()), "a")


@pytest.mark.parametrize(("settings", "sentence"), CONDITIONS)
def test_conditions_that_no_text_can_keep(
    model: GPT, tokenizer: CharTokenizer, settings: dict[str, Any], sentence: str
) -> None:
    for ask in (stream, complete):
        with pytest.raises(ValueError, match=sentence):
            ask(model, tokenizer, "a", 6, **settings)
    with pytest.raises(ValueError, match=sentence):
        n_best(model, tokenizer, "a", 2, 6, **settings)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_penalty_that_is_none(model: GPT, tokenizer: CharTokenizer, penalty: float) -> None:
    with pytest.raises(ValueError, match=f"repetition_penalty is {penalty}; give 1 for none, or a little more"):
        stream(model, tokenizer, "a", repetition_penalty=penalty)


@pytest.mark.parametrize(("settings", "sentence"), SEARCHES)
def test_what_cannot_be_searched_for(
    model: GPT, tokenizer: CharTokenizer, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        n_best(model, tokenizer, "a", **{"max_new_tokens": 6} | settings)


def test_required_texts_that_the_conditions_leave_no_place_for(model: GPT) -> None:
    """Bug: an empty list, at which the caller's `[0]` trips. Every character that may stand before "b" is forbidden."""
    with pytest.raises(ValueError, match="no beam found a text of 0 to 6 tokens that keeps all conditions; raise"):
        n_best(model, CharTokenizer("abcd"), "a", 1, 6, require="b", forbid=["ab", "bb", "cb", "db"])
