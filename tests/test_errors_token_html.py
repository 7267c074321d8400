"""What gptlib._token_html says to bad input: one sentence with what is wrong and the way out."""

from typing import Any

import pytest
import torch

from gptlib._token_html import merges_html, tokens_html
from gptlib.tokenizer import BPETokenizer, CharTokenizer

BPE = BPETokenizer.train("the cat sat on the mat", vocab_size=262)
CHARS = CharTokenizer("abc ")
BOTH = pytest.mark.parametrize("view", [tokens_html, merges_html])


@BOTH
@pytest.mark.parametrize("wrong", ["the cat", None, {"a": 0}])
def test_something_else_than_a_tokenizer(view: Any, wrong: Any) -> None:
    """Most often: the two arguments in the wrong order."""
    with pytest.raises(ValueError, match=f"tokenizer is of type {type(wrong).__name__}, .* give the tokenizer first"):
        view(wrong, BPE)


@BOTH
@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_shows_nothing(view: Any, limit: int) -> None:
    with pytest.raises(ValueError, match=f"^limit is {limit}: give how many boxes may be shown, at least 1$"):
        view(BPE, "the cat", limit=limit)


@pytest.mark.parametrize("wrong", [b"the cat", 7, None, [1.0], ["t"], [[1, 2]], torch.tensor([[1, 2]])])
def test_neither_text_nor_ids(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^text is of type {type(wrong).__name__}, neither a str nor a row of integ"):
        tokens_html(BPE, wrong)


@pytest.mark.parametrize("wrong", [b"the cat", [1, 2], None])
def test_merges_of_something_else_than_text(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^text is of type {type(wrong).__name__}: give a str"):
        merges_html(BPE, wrong)


def test_merges_of_a_tokenizer_that_has_none() -> None:
    with pytest.raises(ValueError, match="a CharTokenizer has no merges: give a BPETokenizer, or use tokens_html"):
        merges_html(CHARS, "abc")


@pytest.mark.parametrize("wrong", [-1, 262, 10**9])
def test_an_id_without_a_token_is_found_wherever_it_stands(wrong: int) -> None:
    """Also behind the limit: otherwise a view could be shown of ids that mean nothing."""
    with pytest.raises(KeyError, match=f"no token has the id {wrong}: the ids go from 0 to 261"):
        tokens_html(BPE, [65] * 9 + [wrong], limit=3)


@BOTH
def test_what_encode_refuses_is_refused_in_its_words(view: Any) -> None:
    with pytest.raises(ValueError, match="is no special token here"):
        view(BPE, "the cat", allowed_special={"<|nothing|>"})
    with pytest.raises(ValueError, match="half a surrogate pair"):
        view(BPE, "the \ud800 cat")


def test_a_character_that_a_char_tokenizer_does_not_know() -> None:
    with pytest.raises(ValueError, match="the character 'd' is not in the vocabulary"):
        tokens_html(CHARS, "abcd")
