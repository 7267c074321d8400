"""Slopes: every rule against finite differences and against PyTorch, for shapes that nobody thought of.

All in float64: a nudge of 1e-6 to both sides finds a slope to about 8 digits, and a wrong rule differs in the first.
"""

import gc
import json
import math
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gptlib import autograd
from gptlib.autograd import Tensor, TinyGPT, attention, cross_entropy, gelu, layer_norm, softmax
from gptlib.model import GPT, GPTConfig
from gptlib.training import AdamW, decay_groups

ROOT = Path(__file__).resolve().parent.parent
NEAR = {"rtol": 1e-5, "atol": 1e-6}  # what a nudge can tell
EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64 sums in another order differ by about 1e-15
seeds = st.integers(0, 2**32 - 1)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
full_shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3)

Operation = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 2.0, size=shape)


def ours(operation: Operation, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """What comes out, then the gradients of all inputs for a gradient of the output that differs in every place."""
    tensors = [Tensor(array) for array in arrays]
    out = operation(*tensors)
    out.backward(normal(*out.shape, seed=99))
    return [out.data, *(tensor.grad for tensor in tensors)]


def nudged(operation: Operation, arrays: list[np.ndarray], h: float = 1e-6) -> list[np.ndarray]:
    def weighted(i: int, changed: np.ndarray) -> float:
        out = operation(*(Tensor(changed if i == j else array) for j, array in enumerate(arrays))).data
        return (out * normal(*out.shape, seed=99)).sum()

    slopes = [np.zeros(array.shape) for array in arrays]
    for i, array in enumerate(arrays):
        for place in np.ndindex(array.shape):
            up, down = array.copy(), array.copy()
            up[place] += h
            down[place] -= h
            slopes[i][place] = (weighted(i, up) - weighted(i, down)) / (2 * h)
    return [operation(*map(Tensor, arrays)).data, *slopes]


def torchs(operation: Operation, arrays: list[np.ndarray]) -> list[np.ndarray]:
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    out = operation(*tensors)
    out.backward(torch.from_numpy(np.array(normal(*out.shape, seed=99))))
    return [out.detach().numpy(), *(t.grad.numpy() if t.grad is not None else np.zeros(t.shape) for t in tensors)]


def agree(found: list[np.ndarray], expected: list[np.ndarray], **tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, **tolerance)


def judge(operation: Operation, *arrays: np.ndarray, theirs: Operation | None = None) -> None:
    """Right by finite differences, and by PyTorch's own operation (the same code unless `theirs` is given)."""
    found = ours(operation, [*arrays])
    agree(found, nudged(operation, [*arrays]), **NEAR)
    agree(found, torchs(theirs or operation, [*arrays]), **EXACT)


# ---- the operations, for random shapes

TWO = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
}
ONE = {
    "exp": (lambda a: a.exp(), None),
    "log": (lambda a: a.log(), None),
    "tanh": (lambda a: a.tanh(), None),
    "-a": (lambda a: -a, None),
    "3 - a": (lambda a: 3 - a, None),
    "2 / a": (lambda a: 2 / a, None),
    "a / 4 + 1": (lambda a: a / 4 + 1, None),
    "gelu": (gelu, lambda a: F.gelu(a, approximate="tanh")),
    **{f"a ** {p}": (lambda a, p=p: a**p, None) for p in (-2, -0.5, 0, 0.5, 1, 2, 3)},
}


@pytest.mark.parametrize("name", TWO)
@given(pair=npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3), seed=seeds)
def test_two_that_are_stretched_to_one_shape(name: str, pair: npst.BroadcastableShapes, seed: int) -> None:
    """For a broadcast that is not summed back, or summed over the wrong places."""
    left, right = pair.input_shapes
    judge(TWO[name], positive(*left, seed=seed), positive(*right, seed=seed + 1))


@pytest.mark.parametrize("name", ONE)
@given(shape=shapes, seed=seeds)
def test_curves(name: str, shape: tuple[int, ...], seed: int) -> None:
    operation, theirs = ONE[name]
    judge(operation, positive(*shape, seed=seed), theirs=theirs)


@given(
    pair=npst.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=1, max_side=3),
    seed=seeds,
)
def test_matrix_products_of_vectors_matrices_and_stretched_batches(pair: npst.BroadcastableShapes, seed: int) -> None:
    """For a transposed gradient, a batch that is not summed back, and vectors, which count as a row or a column."""
    left, right = pair.input_shapes
    judge(lambda a, b: a @ b, normal(*left, seed=seed), normal(*right, seed=seed + 1))


@pytest.mark.parametrize(("left", "right"), [((0, 2), (2, 3)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 1))])
def test_matrix_products_of_nothing(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    judge(lambda a, b: a @ b, normal(*left), normal(*right))


def axes_of(data: st.DataObject, shape: tuple[int, ...]) -> int | tuple[int, ...] | None:
    some = npst.valid_tuple_axes(len(shape)) if shape else st.none()
    one = st.integers(-len(shape), len(shape) - 1) if shape else st.none()
    return data.draw(st.one_of(st.none(), some, one))


@given(data=st.data(), shape=shapes, keepdims=st.booleans(), seed=seeds)
def test_sums_over_any_axes(data: st.DataObject, shape: tuple[int, ...], keepdims: bool, seed: int) -> None:
    axis = axes_of(data, shape)
    found = ours(lambda a: a.sum(axis, keepdims), [normal(*shape, seed=seed)])
    agree(found, nudged(lambda a: a.sum(axis, keepdims), [normal(*shape, seed=seed)]), **NEAR)
    np.testing.assert_allclose(found[0], normal(*shape, seed=seed).sum(axis, keepdims=keepdims), **EXACT)


@given(data=st.data(), shape=full_shapes, keepdims=st.booleans(), seed=seeds)
def test_maxima_over_any_axes(data: st.DataObject, shape: tuple[int, ...], keepdims: bool, seed: int) -> None:
    """No two numbers are nearer than 1, so that a nudge makes no other one the largest."""
    axis = axes_of(data, shape)
    x = np.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape).astype(float)
    found = ours(lambda a: a.max(axis, keepdims), [x])
    agree(found, nudged(lambda a: a.max(axis, keepdims), [x]), **NEAR)
    np.testing.assert_array_equal(found[0], x.max(axis, keepdims=keepdims))


@given(shape=full_shapes.filter(bool), data=st.data(), seed=seeds)
def test_a_tie_is_shared_evenly_as_in_torchs_amax(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    """For a rule that gives every winner all of it, or the first one."""
    x = np.random.default_rng(seed).integers(3, size=shape).astype(float)
    axis = data.draw(npst.valid_tuple_axes(len(shape), min_size=1))
    agree(ours(lambda a: a.max(axis), [x]), torchs(lambda a: a.amax(axis), [x]), **EXACT)
    assert ours(lambda a: a.max(), [np.array([1.0, 4.0, 4.0, 4.0, 4.0])])[1][0] == 0


@given(shape=shapes, data=st.data(), seed=seeds)
def test_transposes(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    """For an order that is applied twice where it should be undone: three dimensions turned round show it."""
    axes = data.draw(st.permutations(range(len(shape))))
    signed = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    x = normal(*shape, seed=seed)
    if shape:
        judge(lambda a: a.transpose(*signed), x, theirs=lambda a: a.permute(*axes))
    judge(lambda a: a.T * 1.0, x, theirs=lambda a: a.permute([*reversed(range(a.dim()))]) * 1.0)


@given(shape=shapes, data=st.data(), seed=seeds)
def test_reshapes(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    other = data.draw(st.permutations([*shape, 1]))
    judge(lambda a: a.reshape(*other), normal(*shape, seed=seed))
    if 0 not in shape:
        judge(lambda a: a.reshape(-1), normal(*shape, seed=seed))


@given(shape=npst.array_shapes(max_dims=3, max_side=3), data=st.data(), seed=seeds)
def test_basic_indices(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    index = data.draw(npst.basic_indices(shape, allow_newaxis=True))
    x = normal(*shape, seed=seed)
    agree(ours(lambda a: a[index], [x]), nudged(lambda a: a[index], [x]), **NEAR)


@given(shape=npst.array_shapes(max_dims=3, max_side=3), data=st.data(), seed=seeds)
def test_index_arrays_that_repeat(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    """For `gradient[index] += g`, which keeps only the last of several: a few places, asked for up to twelve times."""
    result = npst.array_shapes(max_dims=2, min_side=0, max_side=4)
    index = data.draw(npst.integer_array_indices(shape, result_shape=result))
    x = normal(*shape, seed=seed)
    judge(lambda a: a[index], x, theirs=lambda a: a[tuple(torch.from_numpy(np.array(part)) for part in index)])


@given(shape=shapes, seed=seeds)
def test_masks(shape: tuple[int, ...], seed: int) -> None:
    mask = normal(*shape, seed=seed + 1) > 0
    judge(lambda a: a[mask], normal(*shape, seed=seed), theirs=lambda a: a[torch.from_numpy(np.array(mask))])


@given(shape=full_shapes.filter(bool), seed=seeds)
def test_softmax(shape: tuple[int, ...], seed: int) -> None:
    """For a Jacobian without its second term, and for one that sums over all rows."""
    judge(softmax, normal(*shape, seed=seed), theirs=lambda a: a.softmax(-1))


@given(shape=npst.array_shapes(max_dims=3, max_side=4), V=st.integers(1, 6), seed=seeds)
def test_cross_entropy(shape: tuple[int, ...], V: int, seed: int) -> None:
    targets = np.random.default_rng(seed).integers(V, size=shape)
    theirs = lambda a: F.cross_entropy(a.reshape(-1, V), torch.from_numpy(targets).flatten())  # noqa: E731
    judge(lambda a: cross_entropy(a, targets), normal(*shape, V, seed=seed), theirs=theirs)


@given(shape=npst.array_shapes(min_dims=0, max_dims=3, max_side=3), C=st.integers(2, 5), seed=seeds)
def test_layer_norm(shape: tuple[int, ...], C: int, seed: int) -> None:
    """For one of the three terms left out: each is seen in the first digit."""
    x = 2 * normal(*shape, C, seed=seed) + 1
    arrays = x, normal(C, seed=seed + 1), normal(C, seed=seed + 2)
    theirs = torchs(lambda x, w, b: F.layer_norm(x, (C,), w, b), [*arrays])
    agree(ours(layer_norm, [*arrays]), theirs, rtol=1e-8, atol=1e-8)
    agree(ours(layer_norm, [*arrays]), nudged(layer_norm, [*arrays]), rtol=1e-3, atol=1e-4)  # two channels bend sharply


@given(
    batch=npst.array_shapes(min_dims=0, max_dims=2, max_side=2), sizes=st.tuples(*[st.integers(1, 4)] * 3), seed=seeds
)
def test_attention(batch: tuple[int, ...], sizes: tuple[int, int, int], seed: int) -> None:
    """For a mask after the softmax, a missing scale, and queries and keys that change places."""
    T, D, E = sizes
    q, k = normal(*batch, T, D, seed=seed), normal(*batch, T, D, seed=seed + 1)
    v = normal(*batch, T, E, seed=seed + 2)
    judge(attention, q, k, v, theirs=lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))


def test_attention_of_many_texts_on_keys_and_values_that_they_share() -> None:
    """For gradients that keep the batch which numpy stretched: each copy adds its part."""
    theirs = lambda q, k, v: (q @ k.mT / 3**0.5 + torch.full((2, 2), -torch.inf).triu(1)).softmax(-1) @ v  # noqa: E731
    for shapes in (((4, 2, 3), (2, 3), (2, 5)), ((2, 3), (1, 2, 3), (4, 2, 3)), ((1, 4, 2, 3), (5, 1, 2, 3), (2, 1))):
        judge(attention, *(normal(*shape, seed=i) for i, shape in enumerate(shapes)), theirs=theirs)


def test_extreme_scores_give_no_nan() -> None:
    x = Tensor([[1e4, 0.0, -1e4], [1e4, 1e4, 0.0]])
    loss = cross_entropy(x, np.array([1, 0]))
    loss.backward()
    assert math.isclose(loss.data, (1e4 + math.log(2)) / 2) and np.isfinite(x.grad).all()
    assert softmax(x).data[1].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_edges_are_numpys_and_torchs() -> None:
    """exp beyond 709, log of 0 and below, the root and the powers 0 and -1 at 0: what comes out, and the slope."""
    operations = [lambda a: a.exp(), lambda a: a.log(), *(lambda a, p=p: a**p for p in (0.5, 0, -1, 1, 2))]
    for operation in operations:
        agree(ours(operation, [np.array([0.0, 800.0])]), torchs(operation, [np.array([0.0, 800.0])]), **EXACT)
    assert np.isnan(Tensor(-1.0).log().data)


# ---- the walk


def test_a_value_used_twice_gets_both_messages() -> None:
    """For gradients that are overwritten rather than added, wherever the second use stands."""
    for operation in (lambda a: a + a, lambda a: a * a, lambda a: a @ a, lambda a: (a * 2).exp() + a * (a * 3)):
        judge(operation, normal(3, 3))


def test_each_node_is_visited_once_and_after_all_that_use_it() -> None:
    """Thirty doublings: a walk along every path would take 2^30 steps. And the short cut must wait for the long way."""
    visits = []

    def double(a: Tensor) -> Tensor:
        return Tensor(a.data * 2, (a, a), lambda g: visits.append(a) or (g, g))

    first = x = Tensor(1.0)
    for _ in range(30):
        x = double(x)
    (x + first * 5).backward()
    assert len(visits) == len(set(visits)) == 30
    assert first.grad == 2.0**30 + 5


def test_the_same_expression_gives_the_same_bits_each_time() -> None:
    """For an order that depends on addresses: messages that arrive in another order round to another sum."""

    def slope() -> float:
        x, elsewhere = Tensor(0.1), []

        def term(rate: float) -> Tensor:
            elsewhere.extend(Tensor(0.0) for _ in range(rng.integers(5)))  # what follows lies behind these in memory
            return x * rate

        sum((term(a) + term(b) for a, b in rates), Tensor(0.0)).backward()
        return float(x.grad)

    rng, rates = np.random.default_rng(0), 10.0 ** np.random.default_rng(1).uniform(-8, 0, size=(15, 2))
    assert len({slope() for _ in range(50)}) == 1


def test_a_second_walk_adds_the_same_again_and_counts_nothing_twice() -> None:
    """For messages that are kept in `grad`: the second walk would hand on the first one's as well."""
    x = Tensor(normal(3))
    loss = ((x * 2).exp() * x).sum()
    loss.backward()
    once = x.grad.copy()
    loss.backward()
    np.testing.assert_allclose(x.grad, 2 * once, **EXACT)
    assert loss.grad == 2


def test_two_parents_do_not_share_the_array_of_their_gradient() -> None:
    """Clipping multiplies gradients in place; with a shared array it would happen twice."""
    a, b = Tensor(np.ones(3)), Tensor(np.ones(3))
    total = (a + b).reshape(3)
    total.backward(np.ones(3))
    a.grad *= 0.5
    assert b.grad.tolist() == total.grad.tolist() == [1, 1, 1]
    x = Tensor(np.ones((2, 3)))
    x.sum().backward()
    x.grad *= 2  # a view that was stretched would be read-only
    assert (x.grad == 2).all()


@pytest.mark.no_type_checks
def test_a_chain_of_100000_neither_recurses_nor_falls_when_it_is_dropped() -> None:
    """For a recursive walk, a recursive order, and a destructor that overflows the stack."""
    first = Tensor(1.0)
    chain = first
    for _ in range(100_000):
        chain = chain + 1.0
    chain.backward()
    assert (first.grad, chain.data) == (1.0, 100_001.0)
    del chain
    unwalked = first
    for _ in range(100_000):
        unwalked = unwalked + 1.0
    del unwalked


def test_a_graph_is_gone_as_soon_as_its_loss_is() -> None:
    """No cycles: memory does not wait for the garbage collector, which is off here."""
    gc.disable()
    try:
        x = Tensor(normal(2, 4))
        parts = [
            x.exp(),
            x @ x.T,
            x[np.array([0, 0])],
            softmax(x),
            layer_norm(x, Tensor(np.ones(4)), Tensor(np.zeros(4))),
        ]
        parts += [
            x.max(1),
            x.sum(0),
            x.T,
            x.reshape(8),
            attention(x, x, x),
            x * 2,
            x**2,
            x.tanh(),
        ]
        loss = sum((part.sum() for part in parts), Tensor(0.0))
        loss.backward()
        watched = [weakref.ref(part) for part in [*parts, loss]]
        del loss, parts
        assert not [ref for ref in watched if ref() is not None]
    finally:
        gc.enable()


def test_a_tensor_has_an_array_of_its_own() -> None:
    """Otherwise a learning step would move the weights of whoever gave them, and a comparison would compare nothing."""
    array = np.ones(3)
    weight = Tensor(array)
    weight.data -= 1
    assert array.tolist() == [1, 1, 1]
    assert Tensor([1, 2]).data.dtype == Tensor(np.float32(3)).data.dtype == np.float64


def test_numpy_leaves_mixed_operations_to_us() -> None:
    """Without `__array_ufunc__ = None` an array on the left makes an array of Tensors."""
    array, x = positive(2, 2), positive(2, 2, seed=1)
    for operation in (
        lambda a: array + a,
        lambda a: array - a,
        lambda a: array * a,
        lambda a: array / a,
        lambda a: array @ a,
        lambda a: np.float64(2) * a,
    ):
        out = operation(Tensor(x))
        assert type(out) is Tensor
        np.testing.assert_allclose(out.data, operation(x))
        agree(ours(operation, [x]), nudged(operation, [x]), **NEAR)


def test_a_tensor_unpacks_into_its_rows() -> None:
    x = Tensor(normal(3, 2))
    a, b, c = x
    (a + 2 * b + 3 * c).sum().backward()
    assert x.grad.tolist() == [[1, 1], [2, 2], [3, 3]]


# ---- changes in place

KEEPERS = {
    "multiply": lambda a, b: a * b,
    "power": lambda a, b: a**3 + b,
    "exp": lambda a, b: a.exp() + b,
    "log": lambda a, b: a.log() + b,
    "tanh": lambda a, b: a.tanh() + b,
    "divide": lambda a, b: a / b,
    "add": lambda a, b: a + b,
    "matmul": lambda a, b: a @ b,
    "max": lambda a, b: a.max(0) * b,
    "index": lambda a, b: a[np.array([0, 0, 1])] @ b,
    "transpose": lambda a, b: a.T @ b,
    "reshape": lambda a, b: a.reshape(9).reshape(3, 3) * b,
    "softmax": lambda a, b: softmax(a) * b,
    "cross-entropy": lambda a, b: cross_entropy(a, np.array([0, 1, 2])) + b,
    "layer norm": lambda a, b: layer_norm(a, b[0], b[1]),
    "gelu": lambda a, b: gelu(a) + b,
    "attention": lambda a, b: attention(a, b, a),
}


@pytest.mark.parametrize("name", KEEPERS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_change_in_place_is_either_noticed_or_harmless(name: str, which: int) -> None:
    """One number of an input or of what came out is changed before backward: never a wrong gradient without a word."""
    arrays = [positive(3, 3), positive(3, 3, seed=1)]
    right = ours(KEEPERS[name], arrays)[1:]
    tensors = [Tensor(array) for array in arrays]
    out = KEEPERS[name](*tensors)
    [*tensors, out][which].data[(0,) * [*tensors, out][which].data.ndim] += 1.0
    try:
        out.backward(normal(*out.shape, seed=99))
    except ValueError as error:
        assert "changed in place" in str(error)
    else:
        agree([tensor.grad for tensor in tensors], right, **EXACT)


def test_the_changes_that_matter_are_noticed() -> None:
    """The test above would also pass if every rule kept copies only; these readers must speak."""
    noticed = []
    for name, operation in KEEPERS.items():
        a, b = Tensor(positive(3, 3)), Tensor(positive(3, 3, seed=1))
        out = operation(a, b).sum()
        a.data[:] = a.data[::-1].copy()  # the same numbers in another order: no sum of them shows it
        try:
            out.backward()
        except ValueError:
            noticed.append(name)
    assert {"multiply", "power", "log", "divide", "matmul", "gelu", "attention"} <= set(noticed)
    assert "add" not in noticed


@pytest.mark.parametrize("make", [np.array, torch.tensor, list])
def test_a_batch_of_ids_may_be_filled_again(make: Callable[..., Any]) -> None:
    """For a rule that looks at the index only when the walk is there: another row would get the gradient."""
    ids, table = make([0, 1, 1]), Tensor(normal(3, 2))
    rows = table[ids].sum()
    for i in range(3):
        ids[i] = 2
    rows.backward()
    assert table.grad.tolist() == [[1, 1], [2, 2], [0, 0]]


def test_a_walk_that_is_refused_leaves_no_gradient_behind() -> None:
    """For a change that is noticed half way: whoever undoes it and walks again would count the first half twice."""
    weight, a = Tensor([2.0, 3.0]), Tensor([1.0, 2.0])
    product = weight * a
    loss = (product * product).sum()
    a.data += 1
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()
    assert loss.grad is product.grad is weight.grad is a.grad is None
    a.data -= 1
    loss.backward()
    assert weight.grad.tolist() == [4, 24] and product.grad.tolist() == [4, 12]


def test_a_mask_or_index_of_nothing_gives_floats() -> None:
    """A count of nothing is an array of integers, and a learning step in place would refuse to write into it."""
    for index in (np.zeros(3, bool), np.array([], int), slice(0, 0)):
        x = Tensor(np.ones(3))
        x[index].sum().backward()
        assert x.grad.dtype == np.float64 and x.grad.tolist() == [0, 0, 0]


def test_not_a_number_is_not_taken_for_a_change() -> None:
    x = Tensor([math.nan, 1.0])
    (x * x).sum().backward()
    assert x.grad[1] == 2


# ---- the whole model


def pair(seed: int = 0, **sizes: int) -> tuple[GPT, TinyGPT]:
    """A GPT in float64 whose biases and norms are no longer what they began with, and a TinyGPT with its weights."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 11, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 12, **sizes}
    gpt = GPT(GPTConfig(**sizes, gelu="tanh")).double()
    for p in gpt.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return gpt, TinyGPT({name: p.detach().numpy() for name, p in gpt.named_parameters()}, gpt.config.n_head)


def ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(11, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [{}, {"n_layer": 1, "n_head": 1}, {"n_head": 3}, {"n_layer": 3, "n_embd": 4}])
@pytest.mark.parametrize("T", [1, 5, 8])
def test_the_same_weights_give_the_same_logits_loss_and_slopes(sizes: dict[str, int], T: int) -> None:
    """For heads that are cut or joined wrongly, norms in another place, and a tied matrix that hears one side only."""
    gpt, tiny = pair(**sizes)
    x, y = ids(3, T), ids(3, T, seed=1)
    logits, loss = gpt(x, y)
    np.testing.assert_allclose(tiny(x.numpy()).data, logits.detach().numpy(), **EXACT)
    loss.backward()
    tiny_loss = tiny(x.numpy(), y.numpy())
    tiny_loss.backward()
    assert math.isclose(tiny_loss.data, loss.item(), rel_tol=1e-12)
    for name, p in gpt.named_parameters():
        np.testing.assert_allclose(tiny.weights[name].grad, p.grad.numpy(), err_msg=name, **EXACT)


def test_no_answer_knows_the_future_or_the_neighbours() -> None:
    _, tiny = pair()
    x = ids(2, 8).numpy()
    logits = tiny(x).data
    np.testing.assert_allclose(tiny(x[:, :5]).data, logits[:, :5], **EXACT)
    np.testing.assert_allclose(tiny(x[1:]).data, logits[1:], **EXACT)


def test_fifty_steps_beside_torch() -> None:
    """One optimizer class moves both: on the side of numpy through tensors that share the memory of the arrays."""
    gpt, tiny = pair()
    shared = {name: torch.nn.Parameter(torch.from_numpy(weight.data)) for name, weight in tiny.weights.items()}
    theirs, mine = (AdamW(decay_groups(params, 0.1), lr=1e-2) for params in (gpt.parameters(), shared.values()))
    losses = []
    for step in range(50):
        x, y = ids(4, 8, seed=step), ids(4, 8, seed=step + 1000)
        loss = gpt(x, y)[1]
        gpt.zero_grad()
        loss.backward()
        theirs.step()
        tiny_loss = tiny(x.numpy(), y.numpy())
        tiny_loss.backward()
        for name, weight in tiny.weights.items():
            shared[name].grad, weight.grad = torch.from_numpy(weight.grad), None
        mine.step()
        losses.append((loss.item(), float(tiny_loss.data)))
    assert max(abs(a - b) for a, b in losses) < 1e-8
    assert losses[-1][0] < losses[0][0]


# ---- what was promised of the module


def test_the_module_is_short_and_every_name_says_what_it_does() -> None:
    text = (ROOT / "gptlib" / "autograd.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert "torch" not in text.replace("`torch`", "")
    assert all(getattr(autograd, name).__doc__ for name in autograd.__all__ if name != "Array")


def test_the_measured_speed_is_what_was_promised() -> None:
    """`make bench` writes the file; whoever makes the engine slow and measures again hears of it here."""
    measured = json.loads((ROOT / "tests/bench/results/autograd.json").read_text(encoding="utf-8"))
    assert measured["milliseconds"]["tiny_gpt_step"] < 60
    assert measured["scalars_over_arrays"] > 100
