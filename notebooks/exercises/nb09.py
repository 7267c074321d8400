"""The exercises of 09_sampling: the greedy loop, top-p, and text out of pieces of bytes."""

import codecs
import random
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from exercises import Exercise


def greedy(next_logits: Callable[[list[int]], Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    ids = list(ids)
    for _ in range(max_new):
        ids.append(next_logits(ids).argmax().item())
        if ids[-1] == stop:
            break
    return ids


def greedy_inputs(rng: random.Random) -> tuple[Callable[[list[int]], Tensor], list[int], int, int]:
    """Logits that depend on all ids and on their places; a stop id in the prompt stops nothing."""
    V = rng.randint(3, 8)
    table = torch.randn(64, V, V, generator=torch.Generator().manual_seed(rng.getrandbits(32)))
    ids = [rng.randrange(V) for _ in range(rng.randint(1, 5))]

    def next_logits(ids: list[int]) -> Tensor:
        return table[torch.arange(len(ids)), torch.tensor(ids)].sum(dim=0)

    return next_logits, ids, rng.randint(0, 12), rng.choice([ids[-1], rng.randrange(V)])


def top_p_mask(probabilities: Tensor, top_p: float) -> Tensor:
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=0) - ordered
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter(0, order, before < top_p)


def top_p_inputs(rng: random.Random) -> tuple[Tensor, float]:
    """A sure model and an unsure one; p never near a sum of probabilities, where rounding would decide."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    sharpness = rng.choice([0.5, 2.0, 6.0])
    probabilities = torch.softmax(sharpness * torch.randn(rng.randint(2, 9), generator=generator), dim=0)
    sums = [0.0, *probabilities.sort(descending=True).values.cumsum(dim=0).tolist()]
    wide = [(low, high) for low, high in pairwise(sums) if high - low > 0.01]
    low, high = rng.choice(wide)
    return probabilities, rng.uniform(low + 0.003, high - 0.003)


def pieces(tokens: list[bytes]) -> list[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [decoder.decode(token) for token in tokens]


def pieces_inputs(rng: random.Random) -> tuple[list[bytes]]:
    """Characters of one to four bytes, cut anywhere; an empty piece now and then."""
    data = "".join(rng.choice("ab .éß한国🦊🙂") for _ in range(rng.randint(0, 12))).encode()
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(0, 2 * len(data))))
    edges = [0, *cuts, len(data)]
    return ([data[a:b] for a, b in pairwise(edges)],)


EXERCISES = {
    "9.1": Exercise(greedy, "look at all ids, append the likeliest, end at the stop", greedy_inputs),
    "9.4": Exercise(top_p_mask, "a token stays while the mass in front of it is below p", top_p_inputs),
    "9.7": Exercise(pieces, "an incomplete character waits for its last byte", pieces_inputs),
}
