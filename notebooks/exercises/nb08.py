"""The answers behind the turns of 08_training: one AdamW update, the learning rate, and clipping."""

import math
import random

import torch
from torch import Tensor

from exercises import Exercise
from gptlib.training import cosine_lr


def adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    p = p * (1 - lr * weight_decay)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    step = (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return p - lr * step, m, v


def adamw_inputs(rng: random.Random) -> tuple:
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    p, g, m, v = torch.randn(4, rng.randint(1, 4), 3, generator=generator)
    # large rates, decay and eps: each slip in their order then shows
    return p, g, m, v.abs(), rng.randint(1, 9), rng.uniform(0.1, 0.5), 0.9, 0.95, rng.choice([1e-8, 0.1]), 0.5


def lr_inputs(rng: random.Random) -> tuple:
    warmup = rng.randint(0, 6)
    total = warmup + rng.randint(1, 12)
    step = rng.choice([0, max(warmup - 1, 0), warmup, (warmup + total) // 2, total, total + 3])
    return step, rng.uniform(0.5, 2), rng.uniform(0, 0.3), warmup, total


def clip(grads, max_norm):
    norm = math.sqrt(sum(g.square().sum().item() for g in grads))
    factor = min(1, max_norm / (norm + 1e-6))
    return [g * factor for g in grads]


def clip_inputs(rng: random.Random) -> tuple[list[Tensor], float]:
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    grads = [torch.randn(rng.randint(1, 5), 2, generator=generator) for _ in range(rng.randint(2, 4))]
    return grads, rng.choice([0.1, 1.0, 100.0])


EXERCISES = {
    "8.2": Exercise(adamw, "decay beside the gradient, both means corrected, and only then the division", adamw_inputs),
    "8.5": Exercise(cosine_lr, "the first update moves, and nothing jumps where warm-up and cosine meet", lr_inputs),
    "8.6": Exercise(clip, "one length and one factor for all, so the direction stays", clip_inputs),
}
