"""The exercises of 12_encoder_decoder: the padding mask, the shift of teacher forcing, and the length penalty."""

import random

import torch
from torch import Tensor

from exercises import Exercise


def padding_mask(ids: Tensor, pad_id: int) -> Tensor:
    return (ids != pad_id)[:, None, None, :]


def padding_inputs(rng: random.Random) -> tuple[Tensor, int]:
    """Rows of different lengths; the padding id is not always 0, and now and then a row is full, or empty."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    pad_id, B, S = rng.randrange(9), rng.randint(2, 4), rng.randint(5, 9)
    ids = torch.randint(9, (B, S), generator=generator)
    ids[ids == pad_id] = (pad_id + 1) % 9
    for row in ids:
        row[rng.randint(0, S) :] = pad_id
    return ids, pad_id


def teacher_forcing(target: list[int], start_id: int, end_id: int) -> tuple[list[int], list[int]]:
    return [start_id, *target], [*target, end_id]


def forcing_inputs(rng: random.Random) -> tuple[list[int], int, int]:
    """Targets with a token twice in a row, and an empty one now and then."""
    target = [rng.randrange(4) for _ in range(rng.randint(0, 6))]
    return target, rng.randint(10, 19), rng.randint(20, 29)


def score(log_probability: float, length: int, alpha: float) -> float:
    return log_probability / ((5 + length) / 6) ** alpha


def score_inputs(rng: random.Random) -> tuple[float, int, float]:
    return -rng.uniform(0.1, 20.0), rng.randint(1, 40), rng.choice([0.0, 0.2, 0.6, 1.0])


EXERCISES = {
    "12.3": Exercise(padding_mask, "it hides keys, for all heads and all queries alike", padding_inputs),
    "12.8": Exercise(teacher_forcing, "one shift, made by the start before and the end behind", forcing_inputs),
    "12.12": Exercise(score, "divided, so that a longer answer with the same log-probability wins", score_inputs),
}
