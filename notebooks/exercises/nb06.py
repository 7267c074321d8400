"""Exercises of 06_blocks: LayerNorm, one block, sinusoidal positions."""

import math
from functools import partial

import torch

from exercises import Exercise


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + eps) * weight + bias


def layer_norm_inputs(rng):
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    T, C = rng.randint(2, 5), rng.randint(2, 9)
    x = torch.randn(2, T, C, generator=generator)
    x[0, 0] = 3.0  # all channels equal: without eps this is NaN
    x[1, 1] *= 0.003  # so small that it matters where eps is added
    return x, torch.randn(C, generator=generator), torch.randn(C, generator=generator), 1e-5


def block(x, norm1, attention, norm2, mlp):
    x = x + attention(norm1(x))
    return x + mlp(norm2(x))


def centre(x, shift):
    return x - x.mean(dim=-1, keepdim=True) + shift


def mix(x, weight):
    return torch.tanh(x.cumsum(dim=1) @ weight)


def bend(x, weight):
    return torch.relu(x @ weight)


def block_inputs(rng):
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    T, C = rng.randint(1, 5), rng.randint(2, 8)
    x, *weights = (torch.randn(*shape, generator=generator) for shape in ((2, T, C), (C, C), (C, C)))
    shift1, shift2 = torch.randn(2, C, generator=generator)
    parts = (
        partial(centre, shift=shift1),
        partial(mix, weight=weights[0]),
        partial(centre, shift=shift2),
        partial(bend, weight=weights[1]),
    )
    return x, *parts


def positions(T, C):
    angles = [[t / 10_000 ** (2 * i / C) for i in range(C // 2)] for t in range(T)]
    return torch.tensor([[f(angle) for angle in row for f in (math.sin, math.cos)] for row in angles])


def positions_inputs(rng):
    return rng.randint(1, 40), 2 * rng.randint(1, 12)


EXERCISES = {
    "6.1": Exercise(reference=layer_norm, inputs=layer_norm_inputs, about="each token alone, divided by C, eps inside"),
    "6.2": Exercise(reference=block, inputs=block_inputs, about="each part reads a norm of the stream and adds to it"),
    "6.3": Exercise(reference=positions, inputs=positions_inputs, about="sine and cosine take turns, speeds fall"),
}
