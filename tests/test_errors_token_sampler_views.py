"""What TokenView and SamplerView say to bad input: one sentence with the value and the way out."""

from typing import Any

import pytest

pytest.importorskip("anywidget")
import torch
from traitlets import TraitError

from gptlib._sampler_view import SamplerView
from gptlib._token_view import TokenView
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import BPETokenizer, CharTokenizer

CHARS = CharTokenizer("abcd")
BPE = BPETokenizer.train("the cat the mat", vocab_size=262)
MODEL = GPT(GPTConfig(CHARS.vocab_size, block_size=8, n_layer=1, n_head=1, n_embd=4))

TOKEN_CALLS = [
    (("abc", CHARS), "tokenizer is of type str, not one of gptlib's: give the tokenizer first, then the text"),
    ((CHARS, "abX"), "the character 'X' is not in the vocabulary of 4 characters: remove it"),
    ((CHARS, 5), "the text is of type int: give a str"),
    ((BPE, "a\ud800"), r"'\\ud800' is half a surrogate pair, which UTF-8 cannot hold: remove it"),
]
SAMPLER_CALLS = [
    ((CHARS, MODEL, "a"), "model is of type CharTokenizer: give a GPT first, then its tokenizer"),
    ((MODEL, "a", CHARS), "tokenizer is of type str, not one of gptlib's"),
    ((MODEL, BPE, "a"), "the tokenizer has 262 tokens and the model 5: give the model's own"),
    ((MODEL, CHARS, ""), "the prompt is empty; give at least one character to go on from"),
    ((MODEL, CHARS, "aX"), "the character 'X' is not in the vocabulary"),
    ((MODEL, CHARS, 5), "the prompt is of type int: give a str"),
    ((MODEL, CHARS, None), "the prompt is of type NoneType: give a str"),
]
SETTINGS = [
    ("temperature", -0.5, "temperature is -0.5; give 0 for the likeliest token always, or a number above 0"),
    ("temperature", float("nan"), "temperature is nan; give 0"),
    ("top_k", 0, "top_k is 0; give the number of tokens to keep, at least 1"),
    ("top_p", 0.0, r"top_p is 0.0; give the share of probability to keep, above 0 and at most 1"),
    ("top_p", 1.5, "top_p is 1.5; give"),
]


KINDS = [
    ("temperature", "a", "temperature is 'a': give a number$"),
    ("temperature", None, "temperature is None: give a number$"),
    ("top_k", 1.5, "top_k is 1.5: give an integer, or None to keep all$"),
    ("top_p", "a", "top_p is 'a': give a number, or None to keep all$"),
    ("seed", None, "seed is None: give an integer$"),
    ("bars", "a", "bars is 'a': give an integer$"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), KINDS)
def test_an_option_that_is_no_number(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        SamplerView(MODEL, CHARS, "a", **{name: value})


@pytest.mark.parametrize(("arguments", "sentence"), TOKEN_CALLS)
def test_a_call_of_token_view(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TokenView(*arguments)


def test_limits_and_special_tokens_of_token_view() -> None:
    with pytest.raises(ValueError, match="limit is 0: give how many boxes may be shown, at least 1"):
        TokenView(CHARS, "a", limit=0)
    for limit in ("x", None, 1.5):
        with pytest.raises(ValueError, match=rf"^limit is {limit!r}: give how many boxes may be shown, an integer"):
            TokenView(CHARS, "a", limit=limit)
    with pytest.raises(ValueError, match="'<x>' is no special token here: allow none, all or some of"):
        TokenView(CHARS, "a", allowed_special={"<x>"})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("text", "abX", "the character 'X' is not in the vocabulary"),
        ("step", 1, "step is 1: give how many merges to play, from 0 to 0"),
        ("step", -1, "step is -1"),
        ("hover", 3, "hover is 3: give the place of a token, from 0 to 2, or -1 for none"),
        ("hover", -2, "hover is -2"),
    ],
)
def test_a_trait_of_token_view(name: str, value: Any, sentence: str) -> None:
    """What was shown before stays."""
    view = TokenView(CHARS, "abc")
    with pytest.raises(ValueError, match=sentence):
        setattr(view, name, value)
    assert (view.text, view.step, view.hover, view.ids) == ("abc", 0, -1, [0, 1, 2])


@pytest.mark.parametrize(("arguments", "sentence"), SAMPLER_CALLS)
def test_a_call_of_sampler_view(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SamplerView(*arguments)


@pytest.mark.parametrize(("name", "value", "sentence"), SETTINGS)
def test_a_setting_that_means_nothing(name: str, value: Any, sentence: str) -> None:
    """At the call and later; what was set before stays, also if a page sends it."""
    with pytest.raises(ValueError, match=sentence):
        SamplerView(MODEL, CHARS, "a", **{name: value})
    view = SamplerView(MODEL, CHARS, "a", temperature=0.5, top_k=2, top_p=0.9)
    before = view.shown
    with pytest.raises(ValueError, match=sentence):
        setattr(view, name, value)
    with pytest.raises(ValueError, match=sentence):
        view.set_state({name: value})
    assert (view.temperature, view.top_k, view.top_p, view.shown) == (0.5, 2, 0.9, before)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("prompt", "", "the prompt is empty; give at least one character"),
        ("prompt", "aX", "the character 'X' is not in the vocabulary"),
        ("path", [1, 5], "path holds 5, but the ids go from 0 to 4: give ids of this tokenizer"),
        ("path", [-1], "path holds -1"),
        ("path", [1, 4, 2], r"path goes on after the text has ended at place 1: undo\(\) or cut it there"),
        ("hover", 9, "hover is 9: give the place of a bar, from 0 to 4, or -1 for none"),
    ],
)
def test_a_trait_of_sampler_view(name: str, value: Any, sentence: str) -> None:
    view = SamplerView(MODEL, CHARS, "a")
    view.take(2)
    before = view.shown
    with pytest.raises(ValueError, match=sentence):
        setattr(view, name, value)
    assert (view.prompt, view.path, view.hover, view.shown) == ("a", [2], -1, before)


def test_calls_of_a_sampler_that_has_nothing_to_do() -> None:
    view = SamplerView(MODEL, CHARS, "a")
    with pytest.raises(ValueError, match="bars is 0: give how many tokens to show, at least 1"):
        SamplerView(MODEL, CHARS, "a", bars=0)
    with pytest.raises(ValueError, match="steps is 0: give how many tokens to take back, at least 1"):
        view.undo(0)
    view.take(CHARS.end_id)
    with pytest.raises(ValueError, match=r"the text has ended: undo\(\) a step, or reset\(\) to begin again"):
        view.sample()
    with pytest.raises(ValueError, match="path goes on after the text has ended at place 0"):
        view.take(1)


def test_a_model_that_broke_says_so() -> None:
    model = GPT(MODEL.config)
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    with pytest.raises(ValueError, match="the model gives NaN for the next token: its weights are broken"):
        SamplerView(model, CHARS, "a")


def test_a_value_of_a_wrong_type_is_named() -> None:
    view = SamplerView(MODEL, CHARS, "a")
    with pytest.raises(TraitError, match="'temperature' trait of a SamplerView instance expected a float, not the str"):
        view.temperature = "hot"
