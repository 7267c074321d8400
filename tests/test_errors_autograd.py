"""What bad input to the engine gets: one sentence that names the value and the way out."""

import numpy as np
import pytest

from gptlib.autograd import Tensor, TinyGPT, cross_entropy


def weights(**change: object) -> dict[str, np.ndarray]:
    shapes = {"attention.qkv": (12, 4), "attention.out": (4, 4), "mlp.up": (16, 4), "mlp.down": (4, 16)}
    found = {"token_embedding.weight": np.zeros((5, 4)), "position_embedding.weight": np.zeros((3, 4))}
    for name, shape in shapes.items():
        found |= {f"blocks.0.{name}.weight": np.zeros(shape), f"blocks.0.{name}.bias": np.zeros(shape[0])}
    for name in ("blocks.0.norm1", "blocks.0.norm2", "norm"):
        found |= {f"{name}.weight": np.ones(4), f"{name}.bias": np.zeros(4)}
    return {name: value for name, value in (found | change).items() if value is not None}


x = Tensor(np.ones((2, 3)))
model = TinyGPT(weights(), n_head=2)


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (lambda: x.backward(), r"must have shape \(2, 3\), and none was given; or begin at one number: \.sum\(\)"),
        (lambda: x.backward(np.ones(3)), r"must have shape \(2, 3\), and it has shape \(3,\)"),
        (lambda: x + np.ones(2), r"add cannot take shapes \(2, 3\) and \(2,\); give equal sizes or 1, counted from"),
        (lambda: x * np.ones((3, 3)), r"multiply cannot take shapes \(2, 3\) and \(3, 3\)"),
        (lambda: x @ x, r"matmul cannot take shapes \(2, 3\) and \(2, 3\); give \(\.\.\., n, k\) and"),
        (lambda: x @ 3.0, r"matmul cannot take shapes \(2, 3\) and \(\)"),
        (lambda: x**x, r"the exponent is a Tensor; give a number, or write a \*\* b as \(b \* a\.log\(\)\)\.exp\(\)"),
        (lambda: Tensor([[1.0], [1.0, 2.0]]), r"numbers in rows of equal length, not of \[\[1\.0\], \[1\.0, 2\.0\]\]"),
        (lambda: Tensor("fox"), "a Tensor is made of numbers .* not of 'fox'"),
        (lambda: Tensor(None), "a Tensor is made of numbers .* not of None"),
        (lambda: x.reshape(4), "cannot reshape array of size 6 into shape"),
        (lambda: cross_entropy(x, np.array([0, 3])), r"give ids from 0 to 2 in the shape \(2,\)"),
        (lambda: cross_entropy(x, np.array([0, -1])), r"give ids from 0 to 2 in the shape \(2,\)"),
        (lambda: cross_entropy(x, np.array([0])), r"targets have shape \(1,\)"),
        (lambda: TinyGPT(weights(), n_head=3), "n_head is 3; choose a number that divides the 4 channels"),
        (lambda: TinyGPT(weights(**{"norm.bias": None}), 2), "not the weights of a GPT with bias=True and tied=True"),
        (lambda: TinyGPT(weights(**{"head.weight": np.ones(1)}), 2), "bias=True and tied=True; take named_parameters"),
        (lambda: model(np.zeros((1, 4), int)), r"shape \(1, 4\), the largest is 0; give 1 to 3 positions, of ids from"),
        (lambda: model(np.zeros((1, 0), int)), r"shape \(1, 0\)"),
        (lambda: model(np.array([[5]])), "the largest is 5; give 1 to 3 positions, of ids from 0 to 4"),
        (lambda: model(np.array([[-1]])), "ids from 0 to 4"),
    ],
)
def test_the_sentence(run, sentence):
    with pytest.raises(ValueError, match=sentence):
        run()


def test_a_change_in_place():
    weight = Tensor([1.0, 2.0])
    loss = (weight * weight).sum()
    weight.data += 1
    with pytest.raises(ValueError, match=r"needs was changed in place: do it after backward, or as x = x \+ 1"):
        loss.backward()


def test_an_index_outside_says_so():
    """An IndexError, as Python's own loops over rows rely on it."""
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 2"):
        x[5]
    with pytest.raises(IndexError, match="out of bounds"):
        x[np.array([0, 2])]
