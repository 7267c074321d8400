"""The exercises of 04_backprop: the slopes of a neuron, the way back from broadcasting, and the rule of softmax."""

import math
import random

import numpy as np

from exercises import Exercise


def slopes(x: float, w: float, b: float, t: float) -> tuple[float, float, float]:
    """The slopes of (tanh(wx + b) - t)^2 in w, in b and in x."""
    y = math.tanh(w * x + b)
    shared = 2 * (y - t) * (1 - y * y)
    return shared * x, shared, shared * w


def slopes_inputs(rng: random.Random) -> tuple[float, float, float, float]:
    x, w, b = (rng.uniform(-1.5, 1.5) for _ in range(3))
    return x, w, b, rng.choice([-1.0, 0.5, 1.0])


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Summed over the dimensions that came in front, and over those of size 1 that became larger."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    for axis, size in enumerate(shape):
        if size == 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def unbroadcast_inputs(rng: random.Random) -> tuple[np.ndarray, tuple[int, ...]]:
    """One to three dimensions; some sizes are 1 before and after, and some only before."""
    after = [rng.randint(1, 4) for _ in range(rng.randint(1, 3))]
    before = [rng.choice([size, 1]) for size in after[rng.randint(0, len(after)) :]]
    return np.random.default_rng(rng.getrandbits(32)).normal(size=after), tuple(before)


def softmax_rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Each score gets what its probability is worth above the average."""
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def softmax_rule_inputs(rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Two rows at least, so that a sum over everything shows."""
    generator = np.random.default_rng(rng.getrandbits(32))
    shape = (*(rng.randint(2, 4) for _ in range(rng.randint(1, 2))), rng.randint(2, 6))
    exponentials = np.exp(generator.normal(size=shape))
    return exponentials / exponentials.sum(axis=-1, keepdims=True), generator.normal(size=shape)


EXERCISES = {
    "4.1": Exercise(slopes, "all three share 2(y - t)(1 - y²)", slopes_inputs),
    "4.4": Exercise(unbroadcast, "each copy adds its part, and the shape is the old one", unbroadcast_inputs),
    "4.9": Exercise(softmax_rule, "what each is worth above the average of its row", softmax_rule_inputs),
}
