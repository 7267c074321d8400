"""What bad input gets from `gptlib.attention`: one sentence that names the value and what to do."""

import re

import pytest
import torch

from gptlib.attention import MultiHeadAttention, causal_mask, scaled_dot_product_attention


@pytest.mark.parametrize(("n_embd", "n_head"), [(64, 6), (64, 0), (64, -2), (0, 4), (4, 3)])
def test_sizes_that_do_not_divide_are_both_named(n_embd: int, n_head: int) -> None:
    with pytest.raises(ValueError, match=f"n_embd {n_embd} is not divisible by n_head {n_head}") as caught:
        MultiHeadAttention(n_embd, n_head)
    assert "swapped" not in str(caught.value)


@pytest.mark.parametrize("n_embd", [1, 4])
def test_swapped_sizes_get_a_hint(n_embd: int) -> None:
    with pytest.raises(ValueError, match=rf"n_embd {n_embd} .* n_head 64 .*swapped\?"):
        MultiHeadAttention(n_embd, 64)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 10])
def test_a_dropout_that_is_no_share(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"dropout is {re.escape(str(dropout))}; give a share"):
        MultiHeadAttention(8, 2, dropout)


@pytest.mark.parametrize("shape", [(2, 5, 16), (5, 8), (2, 3, 5, 8)])
def test_an_input_of_the_wrong_shape_is_told_the_right_one(shape: tuple[int, ...]) -> None:
    layer = MultiHeadAttention(8, 2)
    sentence = rf"has shape {re.escape(str(shape))}, but this attention needs \(batch, positions, 8\)"
    with pytest.raises(ValueError, match="x " + sentence):
        layer(torch.zeros(shape))
    with pytest.raises(ValueError, match="context " + sentence):
        layer(torch.zeros(2, 5, 8), context=torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize("return_weights", [False, True])
def test_a_mask_of_numbers_is_refused(dtype: torch.dtype, return_weights: bool) -> None:
    """PyTorch would add a float mask to the scores, so that ones and zeros hide nothing and nobody notices."""
    q, mask = torch.zeros(5, 8), torch.ones(5, 5, dtype=dtype).tril()
    with pytest.raises(ValueError, match=f"mask has dtype {dtype}; give a boolean mask"):
        scaled_dot_product_attention(q, q, q, mask, return_weights=return_weights)


def test_more_queries_than_positions() -> None:
    with pytest.raises(ValueError, match="S is 2, but 5 queries need at least 5 positions"):
        causal_mask(5, 2)
