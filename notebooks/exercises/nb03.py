"""The exercises of 03_language_models."""

import random

import torch
from torch import Tensor

from exercises import Exercise


def softmax(x: Tensor, dim: int) -> Tensor:
    """Exponentials divided by their sum, after the largest number was taken off."""
    exponentials = (x - x.amax(dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def softmax_inputs(rng: random.Random) -> tuple[Tensor, int]:
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    shape = [rng.randint(2, 5) for _ in range(3)]
    size = rng.choice([1.0, 10.0, 1e4])  # large ones overflow if nothing is taken off
    return size * torch.randn(*shape, generator=generator), rng.randint(-3, 2)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over the targets that are not -1 of the log of the summed exponentials minus the target's logit."""
    keep = targets >= 0
    logits, targets = logits[keep], targets[keep]
    return (logits.logsumexp(-1) - logits.gather(-1, targets[:, None])[:, 0]).mean()


def cross_entropy_inputs(rng: random.Random) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    B, T, V = rng.randint(1, 4), rng.randint(1, 6), rng.randint(2, 9)
    logits = rng.choice([1.0, 5.0, 300.0]) * torch.randn(B, T, V, generator=generator)
    targets = torch.randint(-1, V, (B, T), generator=generator)
    targets[0, 0] = rng.randrange(V)  # one place at least is kept
    return logits, targets


EXERCISES = {
    "3.3": Exercise(reference=softmax, inputs=softmax_inputs, about="the largest comes off first"),
    "3.4": Exercise(
        reference=cross_entropy,
        inputs=cross_entropy_inputs,
        about="the kept places count, and logits suffice",
    ),
}
