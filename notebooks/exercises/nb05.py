"""The exercises of 05_attention: the average of the past, one head of attention, and the split into heads."""

import random

import torch
from torch import Tensor

from exercises import Exercise
from gptlib.attention import causal_mask, scaled_dot_product_attention, split_heads


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(rng.getrandbits(32)))


def past_average(x: Tensor) -> Tensor:
    T = x.size(-2)
    return x.cumsum(dim=-2) / torch.arange(1, T + 1).unsqueeze(-1)


def past_average_inputs(rng: random.Random) -> tuple[Tensor]:
    return (normal(rng, rng.randint(1, 9), rng.randint(1, 5)),)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    out, _ = scaled_dot_product_attention(q, k, v, mask, return_weights=True)
    return out


def attention_inputs(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Two texts and three heads, so that a softmax over the wrong axis shows; with and without a mask."""
    T, D = rng.randint(2, 8), rng.choice([2, 4, 8])
    q, k, v = 2 * normal(rng, 3, 2, 3, T, D)
    return q, k, v, rng.choice([causal_mask(T), causal_mask(T), None])


def heads_inputs(rng: random.Random) -> tuple[Tensor, int]:
    B, T, H, D = (rng.randint(2, 5) for _ in range(4))
    return torch.arange(B * T * H * D).view(B, T, H * D).float(), H


EXERCISES = {
    "5.1": Exercise(past_average, "each row is the mean of itself and the rows above it", past_average_inputs),
    "5.5": Exercise(attention, "scores, scale, mask, softmax over the keys, values", attention_inputs),
    "5.6": Exercise(split_heads, "cut the channels first, then bring the heads in front", heads_inputs),
}
