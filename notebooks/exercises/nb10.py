"""The exercises of 10_attention_maps: a score for heads, where induction looks, and the check that no leak passes."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from exercises import Exercise


def look_score(weights: Tensor, queries: list[int], keys: list[int]) -> Tensor:
    return torch.stack([weights[..., q, k] for q, k in zip(queries, keys, strict=True)]).mean(dim=0)


def look_score_inputs(rng: random.Random) -> tuple[Tensor, list[int], list[int]]:
    """Rows that add up to 1; one head alone, layers and heads, more keys than queries; a key may come twice."""
    T, S = rng.randint(2, 7), rng.randint(7, 9)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    front = rng.choice([(), (3,), (2, 3)])
    weights = torch.softmax(2 * torch.randn(*front, T, S, generator=generator), dim=-1)
    pairs = rng.randint(1, 6)
    return weights, [rng.randrange(T) for _ in range(pairs)], [rng.randrange(S) for _ in range(pairs)]


def induction_keys(ids: list[int]) -> list[int]:
    return [max((s + 1 for s in range(t) if ids[s] == ids[t]), default=-1) for t in range(len(ids))]


def induction_keys_inputs(rng: random.Random) -> tuple[list[int]]:
    """Few different ids, so that many come back, some more than once and some at once."""
    return ([rng.randrange(rng.choice([3, 8])) for _ in range(rng.randint(0, 12))],)


def prefix_difference(model: Callable[[Tensor], Tensor], idx: Tensor) -> float:
    whole = model(idx)  # (B, T, V)
    return max((model(idx[:, :t]) - whole[:, :t]).abs().max().item() for t in range(1, idx.size(1)))


def prefix_inputs(rng: random.Random) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Models that mix tokens: honest, or seeing one too far, or with a single leak, or odd at one length of text."""
    B, T, V = rng.randint(1, 3), rng.randint(2, 7), rng.randint(2, 5)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    table = torch.randn(V, V, generator=generator)  # (V, V)
    mix = torch.rand(T, T, generator=generator).tril(rng.choice([0, 0, 1]))  # (T, T)
    if rng.random() < 0.5:
        query = rng.randrange(T - 1)
        mix[query, rng.randrange(query + 1, T)] = 3.0

    odd = rng.choice([0, rng.randint(2, T)])

    def model(idx: Tensor) -> Tensor:
        length = idx.size(1)
        logits = mix[:length, :length] @ table[idx]  # (B, T, V)
        logits[:, 0] += 2.0 * (length == odd)
        return logits

    return model, torch.randint(0, V, (B, T), generator=generator)


EXERCISES = {
    "10.2": Exercise(look_score, "the pairs one by one, and their mean", look_score_inputs),
    "10.4": Exercise(induction_keys, "behind the latest earlier place of the same id", induction_keys_inputs),
    "10.6": Exercise(prefix_difference, "every prefix alone, against the same positions of the whole", prefix_inputs),
}
