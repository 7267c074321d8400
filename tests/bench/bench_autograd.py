"""What the engine of lesson 04 costs: scalars against arrays on one tiny model, and a step of TinyGPT beside PyTorch.

    python tests/bench/bench_autograd.py [--rounds 10]

The tiny model: three letters, 16 hidden numbers, 40 questions, as in the lesson. TinyGPT: 2 layers, 2 heads, 32
channels, context 32, batch 8, 60 characters, float64. A step is forward, backward and a plain update; PyTorch uses one
thread, numpy as many as OMP_NUM_THREADS says.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import torch
from _results import keep, option, take_turns

from gptlib.autograd import Tensor, TinyGPT
from gptlib.model import GPT, GPTConfig

rng = np.random.default_rng(0)
sentence = "peter piper picked a peck of pickled pepper"
letters = sorted(set(sentence))
ids = [letters.index(letter) for letter in sentence]
contexts, targets = [ids[i : i + 3] for i in range(len(ids) - 3)], ids[3:]
start = {"look": (3, len(letters), 16), "bias": (16,), "out": (16, len(letters))}
start = {name: rng.normal(size=shape) * 0.3 for name, shape in start.items()}


class Value:
    """The lesson's number that knows its parents, and its slope in each of them."""

    def __init__(self, data, parents=(), slopes=()):
        self.data, self.parents, self.slopes, self.grad = data, parents, slopes, 0.0

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, (self,), (1 - y * y,))

    def exp(self):
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,))


def parents_first(value: Value, listed: dict) -> dict:
    if value not in listed:
        for parent in value.parents:
            parents_first(parent, listed)
        listed[value] = None
    return listed


def scalars() -> Callable[[], None]:
    p = {name: np.vectorize(Value, otypes=[object])(array).tolist() for name, array in start.items()}
    numbers = [value for array in start for value in np.array(p[array], dtype=object).flat]

    def step() -> None:
        total = Value(0.0)
        for (i, j, k), target in zip(contexts, targets, strict=True):
            looked_up = zip(p["look"][0][i], p["look"][1][j], p["look"][2][k], p["bias"], strict=True)
            h = [(one + two + three + bias).tanh() for one, two, three, bias in looked_up]
            columns = zip(*p["out"], strict=True)
            scores = [sum((a * b for a, b in zip(h, column, strict=True)), Value(0.0)) for column in columns]
            total = total + sum((score.exp() for score in scores), Value(0.0)).log() + scores[target] * Value(-1.0)
        loss = total * Value(1 / len(targets))
        for number in numbers:
            number.grad = 0.0
        loss.grad = 1.0
        for value in reversed(parents_first(loss, {})):
            for parent, slope in zip(value.parents, value.slopes, strict=True):
                parent.grad += slope * value.grad
        for number in numbers:
            number.data -= 0.1 * number.grad

    return step


def arrays() -> Callable[[], None]:
    p = {name: Tensor(array) for name, array in start.items()}
    places, rows = np.array(contexts), np.arange(len(targets))

    def step() -> None:
        h = (p["look"][np.arange(3), places].sum(1) + p["bias"]).tanh()
        scores = h @ p["out"]
        loss = (scores.exp().sum(1).log() - scores[rows, targets]).sum() / len(rows)
        for tensor in p.values():
            tensor.grad = None
        loss.backward()
        for tensor in p.values():
            tensor.data -= 0.1 * tensor.grad

    return step


def tiny_gpt() -> Callable[[], None]:
    model = TinyGPT({name: p.detach().numpy() for name, p in gpt().named_parameters()}, n_head=2)

    def step() -> None:
        model(x.numpy(), y.numpy()).backward()
        for weight in model.weights.values():
            weight.data -= 0.1 * weight.grad
            weight.grad = None

    return step


def torch_gpt() -> Callable[[], None]:
    model = gpt()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        model(x, y)[1].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def gpt() -> GPT:
    return GPT(GPTConfig(vocab_size=60, block_size=32, n_layer=2, n_head=2, n_embd=32, gelu="tanh")).double()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.randint(60, (2, 8, 32))
    rounds = int(option(sys.argv, "--rounds", "10"))
    tasks = {"tiny_gpt_step": tiny_gpt(), "torch_gpt_step": torch_gpt()}
    ms = take_turns(tasks, rounds, calls=5) | take_turns({"arrays_step": arrays()}, rounds, calls=50)
    ms |= take_turns({"scalars_step": scalars()}, rounds, calls=1)
    keep(
        "autograd",
        {
            "milliseconds": {name: round(value, 3) for name, value in ms.items()},
            "scalars_over_arrays": round(ms["scalars_step"] / ms["arrays_step"], 1),
            "tiny_gpt_over_torch": round(ms["tiny_gpt_step"] / ms["torch_gpt_step"], 2),
        },
    )
