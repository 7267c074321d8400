"""The exercises of 02_data."""

import random

import numpy as np

from exercises import Exercise

Batch = tuple[np.ndarray, np.ndarray]


def batch(tokens: np.ndarray, chosen: np.ndarray, T: int) -> Batch:
    """Windows of T tokens from the chosen starts, and the token that follows each place."""
    windows = tokens[chosen[:, None] + np.arange(T + 1)]
    return windows[:, :-1], windows[:, 1:]


def batch_inputs(rng: random.Random) -> tuple[np.ndarray, np.ndarray, int]:
    T, n_starts = rng.randint(1, 8), rng.randint(2, 20)
    tokens = np.array([rng.randrange(50) for _ in range(T + n_starts)], dtype=np.uint16)
    chosen = np.array([n_starts - 1, *(rng.randrange(n_starts) for _ in range(rng.randint(0, 4)))])
    return tokens, chosen, T


def windows(n_tokens: int, block_size: int) -> list[tuple[int, int]]:
    """Windows laid end to end; the last one may be shorter."""
    last = n_tokens - 1
    return [(begin, min(begin + block_size, last)) for begin in range(0, last, block_size)]


def windows_inputs(rng: random.Random) -> tuple[int, int]:
    return rng.randint(2, 40), rng.randint(1, 12)


EXERCISES = {
    "2.6": Exercise(reference=batch, inputs=batch_inputs, about="y is x one place further on, up to the last token"),
    "2.8": Exercise(reference=windows, inputs=windows_inputs, about="every token but the first is asked for once"),
}
