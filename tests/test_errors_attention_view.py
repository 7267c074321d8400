"""What AttentionView says to bad input: one sentence with the value and the way out."""

import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import traitlets
from torch import nn

from gptlib._attention_view import AttentionView
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer

W = torch.full((2, 3, 4, 4), 0.25).tril()
V = torch.zeros(2, 3, 4, 5)
MODEL = GPT(GPTConfig(4, block_size=8, n_layer=1, n_head=1, n_embd=4))
TOKENIZER = CharTokenizer.train("abc")


def with_value(value: float) -> torch.Tensor:
    weights = W.clone()
    weights[1, 2, 3, 0] = value
    return weights


GIVEN: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: AttentionView(with_value(math.nan)),
        "weights hold nan at (1, 2, 3, 0): give finite numbers, and zeros in",
    ),
    (lambda: AttentionView(with_value(math.inf)), "weights hold inf at (1, 2, 3, 0): give finite numbers"),
    (
        lambda: AttentionView(with_value(-0.5)),
        "weights hold -0.5 at (1, 2, 3, 0): give what softmax gives, not the scores",
    ),
    (lambda: AttentionView(W[0, 0, 0]), "weights have shape (4,): give (T, S), (heads, T, S) or (layers, heads, T, S)"),
    (lambda: AttentionView(torch.rand(2, 2, 3, 4, 4)), "weights have shape (2, 2, 3, 4, 4): give (T, S)"),
    (lambda: AttentionView([W, W]), "weights of layer 0 are a batch of 2 texts: give one of them, such as weights[:1]"),
    (
        lambda: AttentionView([W[0], W[0][:, :2, :2]]),
        "weights of layer 1 have shape (3, 2, 2), those of layer 0 (3, 4, 4)",
    ),
    (lambda: AttentionView([W[0], W[0][:2]]), "give layers with as many heads and tokens, or one of them"),
    (lambda: AttentionView([W[0, 0, 0]]), "weights of layer 0 have shape (4,): give (heads, T, S)"),
    (lambda: AttentionView(None), "weights are of type NoneType, which holds no array of numbers: give a tensor"),
    (lambda: AttentionView([[1.0], [0.5, 0.5]]), "weights are of type list, which holds no array of numbers: give a"),
    (lambda: AttentionView(W.to("meta")), "weights are a tensor on meta, which holds no array of numbers: give a"),
    (
        lambda: AttentionView(GPT(MODEL.config).to("meta"), "abc", TOKENIZER),
        "weights of layer 0 are a tensor on meta, which holds no array of numbers",
    ),
    (lambda: AttentionView((None, None)), "no layers were given: load a Hugging Face model with attn_implementation="),
    (lambda: AttentionView(()), "no layers were given: load a Hugging Face model with attn_implementation='eager'"),
    (
        lambda: AttentionView(SimpleNamespace(attentions=())),
        "weights are a SimpleNamespace: give its attentions, as in output.attentions",
    ),
    (lambda: AttentionView("the cat"), "weights are of type str, which holds no array of numbers: give a tensor"),
    (lambda: AttentionView(W.to(torch.complex64)), "weights are complex numbers: give real ones"),
    (
        lambda: AttentionView(torch.zeros(2, 0, 0)),
        "weights have shape (2, 0, 0), which is empty: give at least one token",
    ),
    (lambda: AttentionView([]), "no layers were given"),
    (lambda: AttentionView(W, 5), "tokens is 5, which is no list: give a list"),
    (lambda: AttentionView(W, list("abcd"), 7), "key_tokens is 7, which is no list: give a list"),
    (lambda: AttentionView(W, heads=3), "heads is 3, which is no list: give a list"),
    (lambda: AttentionView(torch.eye(3) - 2e-6), "weights hold -2e-06 at (0, 0, 0, 1): give what softmax gives"),
    (lambda: AttentionView([{}, {}]), "the record is empty: call the model inside `with record(model) as seen:`"),
    (lambda: AttentionView(W, list("abc")), "tokens holds 3 tokens, but the weights are for 4: give one for each"),
    (lambda: AttentionView(W, "abcd"), "tokens is one str, 'abcd': give a list with one text for each token"),
    (
        lambda: AttentionView(W, list("abcd"), list("abc")),
        "key_tokens holds 3 tokens, but the weights are for 4: give one",
    ),
    (
        lambda: AttentionView(W[..., :3], list("abcd")),
        "weights have 4 rows and 3 columns: give key_tokens, one for each of",
    ),
    (
        lambda: AttentionView(W[..., :3], causal=True),
        "causal is True, but 4 queries need as many keys, and there are 3: give",
    ),
    (lambda: AttentionView(W, q=V), "q was given alone: give both q and k, or neither"),
    (lambda: AttentionView(W, k=V), "k was given alone: give both q and k, or neither"),
    (lambda: AttentionView(W, q=V, k=V[:, :2]), "k has shape (2, 2, 4, 5), but these weights need (2, 3, 4, 5)"),
    (lambda: AttentionView(W, q=V[..., :3, :], k=V), "q has shape (2, 3, 3, 5), but these weights need (2, 3, 4, 5)"),
    (lambda: AttentionView(W, q=V, k=V / 0), "k hold nan at (0, 0, 0, 0): give finite numbers"),
    (
        lambda: AttentionView(nn.Linear(2, 2), "a", TOKENIZER),
        "the model is of type Linear, not a GPT of gptlib: give weights",
    ),
    (lambda: AttentionView(MODEL), "a model was given without a text: AttentionView(model, text, tokenizer)"),
    (
        lambda: AttentionView(MODEL, "abc"),
        "a model was given without a tokenizer of gptlib: AttentionView(model, text, tok",
    ),
    (lambda: AttentionView(MODEL, "abc", list("abc")), "a model was given without a tokenizer of gptlib"),
    (
        lambda: AttentionView(MODEL, "abc", TOKENIZER, q=V),
        "key_tokens, q or k were given with a model, which makes them",
    ),
    (
        lambda: AttentionView(MODEL, "abc", CharTokenizer.train("abcdef")),
        "the tokenizer has 7 tokens and the model 4: give the model's own",
    ),
    (lambda: AttentionView(MODEL, "", TOKENIZER), "the text is empty: give at least one token"),
    (lambda: AttentionView(MODEL, "abx", TOKENIZER), "the character 'x' is not in the vocabulary"),
    (lambda: AttentionView(MODEL, 3.5, TOKENIZER), "text is of type float, neither a str nor a row of integers"),
    (lambda: AttentionView(MODEL, [1, 9], TOKENIZER), "9"),
]
SET: list[tuple[str, Any, str]] = [
    ("layer", 2, "layer is 2: give 0 to 1"),
    ("layer", -1, "layer is -1: give 0 to 1"),
    ("head", 3, "head is 3: give -1 for the mean, or a head from 0 to 2"),
    ("head", -2, "head is -2: give -1 for the mean"),
    ("hover", 4, "hover is 4: give -1 for none, or a token from 0 to 3"),
    ("key", -5, "key is -5: give -1 for none, or a token from 0 to 3"),
    ("heads", [], "heads is []: give one or more of the heads 0 to 2, or 3 times True or False"),
    ("heads", [0, 3], "heads is [0, 3]: give one or more"),
    ("heads", [False, False, False], "heads is [False, False, False]: give one or more"),
    ("mode", "neuron", "mode is 'neuron', but q and k are not known: give them, or the model"),
    ("text", "abc", "text was set, but there is no model to read it: make the view from a model"),
]


@pytest.mark.parametrize(("make", "sentence"), GIVEN)
def test_what_cannot_be_shown_gets_one_sentence(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((ValueError, KeyError), match=re.escape(sentence)) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value", "sentence"), SET)
def test_what_cannot_be_set_gets_one_sentence_and_changes_nothing(name: str, value: Any, sentence: str) -> None:
    view = AttentionView(W, causal=False)
    before = view.get_state()

    def together() -> None:
        with view.hold_trait_notifications():
            view.scale = "row"
            setattr(view, name, value)

    ways = [lambda: setattr(view, name, value), together]
    if (name, value) != ("hover", 4):  # of a token that is gone the browser may speak
        ways.append(lambda: view.set_state({name: value, "scale": "row"}))
    for act in ways:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            act()
        assert view.get_state() == before
        assert view.to_png()
    if name != "text":
        with pytest.raises(ValueError, match=re.escape(sentence)):
            AttentionView(W, **{name: value})


@pytest.mark.parametrize("name", ["mode", "scale", "dtype"])
def test_a_word_that_is_none_of_the_choices_is_named_with_them(name: str) -> None:
    for act in (lambda: setattr(AttentionView(W), name, "best"), lambda: AttentionView(W, **{name: "best"})):
        with pytest.raises(traitlets.TraitError, match=f"{name}.* expected any of .*'best'"):
            act()


@pytest.mark.parametrize(("text", "sentence"), [("abx", "the character 'x'"), ("", "the text is empty: give at least")])
def test_a_text_that_python_sets_is_refused_at_once(text: str, sentence: str) -> None:
    view = AttentionView(MODEL, "abc", TOKENIZER)
    with pytest.raises(ValueError, match=sentence):
        view.text = text
    assert (view.text, view.error, view.tokens) == ("abc", "", list("abc"))
