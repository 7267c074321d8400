"""What bad input to the engine gets: one sentence that names the value and the way out."""

import re

import numpy as np
import pytest
import torch

from gptlib.autograd import Tensor, TinyGPT, attention, cross_entropy, softmax
from gptlib.model import GPT, GPTConfig


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
        (
            lambda: Tensor([[1.0], [1.0, 2.0]]),
            r"64-bit numbers in rows of equal length, not \[\[1\.0\], \[1\.0, 2\.0\]\]",
        ),
        (lambda: Tensor("fox"), "a Tensor holds 64-bit numbers .* not 'fox'"),
        (lambda: Tensor(None), "a Tensor holds 64-bit numbers .* not None"),
        (lambda: Tensor(10**30), "a Tensor holds 64-bit numbers .* not 10000"),
        (lambda: Tensor(x), r"a Tensor holds 64-bit numbers .* not Tensor\(\[\[1\. 1\. 1\.\]"),
        (lambda: x.reshape(4), "cannot reshape array of size 6 into shape"),
        (lambda: cross_entropy(x, np.array([0, 3])), "the ids are from 0 to 3; give whole numbers from 0 to 2"),
        (lambda: cross_entropy(x, np.array([0, -1])), "the ids are from -1 to 0; give whole numbers from 0 to 2"),
        (lambda: cross_entropy(x, [0.0, 1.0]), "the ids are from 0.0 to 1.0; give whole numbers from 0 to 2"),
        (lambda: cross_entropy(x, ["a", "b"]), r"the ids are array\(\['a', 'b'\].*; give whole numbers from 0 to 2"),
        (
            lambda: cross_entropy(x, np.array([0])),
            r"the targets have shape \(1,\); give one id for each place, in \(2,\)",
        ),
        (lambda: attention(x, x, Tensor(np.ones((4, 3)))), r"take shapes \(2, 3\), \(2, 3\), \(4, 3\); give \(T, D\)"),
        (lambda: attention(x, x[:, :2], x), r"take shapes \(2, 3\), \(2, 2\), \(2, 3\)"),
        (lambda: attention(x, x[:1], x), r"take shapes \(2, 3\), \(1, 3\), \(2, 3\)"),
        (lambda: attention(x[0], x[0], x[0]), r"take shapes \(3,\), \(3,\), \(3,\)"),
        (lambda: TinyGPT(weights(), n_head=3), "n_head is 3; choose a number that divides the 4 channels"),
        (lambda: TinyGPT(weights(), n_head=0), "n_head is 0; choose a number that divides the 4 channels"),
        (lambda: TinyGPT(weights(), n_head=-2), "n_head is -2; choose a number that divides the 4 channels"),
        (lambda: TinyGPT(weights(**{"norm.bias": None}), 2), "norm.bias is missing .* with bias=True and tied=True"),
        (
            lambda: TinyGPT(weights(**{"blocks.0.mlp.up.bias": None}), 2),
            "blocks.0.mlp.up.bias is missing in the weights",
        ),
        (lambda: TinyGPT(weights(**{"position_embedding.weight": None}), 2), "position_embedding.weight is missing"),
        (lambda: TinyGPT({}, 2), "norm.bias is missing in the weights"),
        (
            lambda: TinyGPT(weights(**{"head.weight": np.ones(1)}), 2),
            "head.weight is too much in the weights; take {n: p",
        ),
        (lambda: model(np.zeros((1, 4), int)), r"shape \(1, 4\); give \(B, T\) with T from 1 to 3"),
        (lambda: model(np.zeros(2, int)), r"shape \(2,\); give \(B, T\) with T from 1 to 3"),
        (
            lambda: model(np.zeros((1, 0), int)),
            r"the ids are array\(\[\], shape=\(1, 0\).*; .* from 0 to 4, one at least",
        ),
        (
            lambda: model(np.zeros((0, 2), int)),
            r"the ids are array\(\[\], shape=\(0, 2\).*; .* from 0 to 4, one at least",
        ),
        (lambda: model(np.array([[5]])), "the ids are from 5 to 5; give whole numbers from 0 to 4"),
        (lambda: model(np.array([[-3, 2]])), "the ids are from -3 to 2; give whole numbers from 0 to 4"),
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


def test_the_way_out_of_the_sentence_about_weights_is_a_way_out():
    """For a sentence that sends its reader to the next error: it is followed here, to the letter."""
    gpt = GPT(GPTConfig(vocab_size=5, block_size=3, n_layer=1, n_head=2, n_embd=4, gelu="tanh"))
    with pytest.raises(ValueError, match=r"head\.weight is too much") as problem:
        TinyGPT(gpt.state_dict(), n_head=2)
    taken = re.search(r"take (\{.*\})", str(problem.value))[1]
    assert TinyGPT(eval(taken, {"gpt": gpt}), n_head=2)([[0, 4]]).shape == (1, 2, 5)


def test_lists_and_tensors_of_ids_are_read_like_arrays():
    """What `get_batch` gives goes straight in, and what a reader types by hand too."""
    ids, answers = np.array([[0, 1, 2]]), np.array([[1, 2, 4]])
    logits = model(ids)
    for convert in (torch.tensor, np.ndarray.tolist):
        assert (model(convert(ids)).data == logits.data).all()
        assert model(convert(ids), convert(answers)).data == cross_entropy(logits, convert(answers)).data


def test_what_numpy_takes_we_take():
    """A shape as a tuple, an exponent of numpy's, scores that are an array; and a print shows the numbers."""
    assert x.reshape((3, 2)).shape == x.reshape(3, 2).shape == (3, 2)
    assert ((x * 2) ** np.int64(-1)).data.tolist() == [[0.5] * 3] * 2
    assert softmax(np.ones(4)).data.tolist() == [0.25] * 4
    assert repr(Tensor([1.0, 2.5])) == "Tensor([1.  2.5])"
