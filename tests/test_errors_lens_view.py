"""What LensView says to what does not fit together: one sentence."""

import math
from typing import Any

import pytest

pytest.importorskip("anywidget")
import torch

from gptlib._lens_view import LensView
from gptlib.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("abc")
V = TOKENIZER.vocab_size
BROKEN = torch.zeros(2, 3, V)
BROKEN[1, 2, 0] = math.nan
EMPTY = torch.zeros(2, 3, V)
EMPTY[1, 2] = -math.inf  # no token is possible


@pytest.mark.parametrize(
    "logits, ids, options, sentence",
    [
        (torch.zeros(3, V), [0, 1, 2], {}, rf"logits have shape \(3, {V}\): give \(rows, places, vocabulary\)"),
        (torch.zeros(0, 3, V), [0, 1, 2], {}, r"logits have shape \(0, 3, "),
        (torch.zeros(2, 3, V), [0, 1], {}, r"there are 2 ids and logits at 3 places: give those of the same text"),
        (torch.zeros(2, 3, V), [0, 1, V], {}, rf"id {V} has no logit: the vocabulary of these logits has {V} tokens"),
        (torch.zeros(2, 3, V), [0, 1, -1], {}, r"id -1 has no logit"),
        (torch.zeros(2, 3, V), [0, 1, 2], {"rows": ["one"]}, r"1 rows are named and the logits have 2: give one name"),
        (torch.zeros(2, 3, V), [0, 1, 2], {"top": 0}, r"top is 0: ask for at least 1 guess per cell"),
        (BROKEN, [0, 1, 2], {}, r"the logits of row 1 are not all numbers: find out where the model makes NaN first"),
        (BROKEN.nan_to_num(math.inf), [0, 1, 2], {}, r"the logits of row 1 are not all numbers"),
        (EMPTY, [0, 1, 2], {}, r"the logits of row 1 are not all numbers"),
        (None, [0, 1, 2], {}, r"logits are of type NoneType: give a tensor of \(rows, places, vocabulary\)$"),
        (torch.zeros(2, 3, V, dtype=torch.int64), [0, 1, 2], {}, r"logits are torch.int64: give the floats"),
        (torch.zeros(2, 3, V), 5, {}, r"ids is 5: give the ids of the tokens that were read, a list of integers"),
        (torch.zeros(2, 3, V), [0.0, 1.0, 2.0], {}, r"ids is \[0.0, 1.0, 2.0\]: give the ids of the tokens"),
        (torch.zeros(2, 3, V), [0, 1, 2], {"top": "a"}, r"top is 'a': ask for at least 1 guess"),
    ],
)
def test_what_does_not_fit(logits: Any, ids: list[int], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        LensView(logits, ids, TOKENIZER, **options)


def test_a_tokenizer_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^tokenizer is of type NoneType, not one of gptlib's"):
        LensView(torch.zeros(2, 3, V), [0, 1, 2], None)


@pytest.mark.parametrize("where", [[99, 0], [0, 3], [-1, 0], [0], []])
def test_a_page_cannot_point_outside(where: list[int]) -> None:
    """What the browser sends with it is taken back."""
    view = LensView(torch.zeros(2, 3, V), [0, 1, 2], TOKENIZER)
    view.hover = [1, 2]
    with pytest.raises(ValueError, match=r"^hover is \[.*\]: give \[row, place\] inside of \[2, 3\]"):
        view.set_state({"hover": where, "color": "rank"})
    assert (view.hover, view.color) == ([1, 2], "guess")
