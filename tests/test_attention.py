"""Attention: held against PyTorch's on the same weights, and to the properties that a leak or a mix-up breaks.

A leak makes the training loss better, so nothing here looks at a loss.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gptlib.attention import (
    Cache,
    MultiHeadAttention,
    attention_weights,
    causal_mask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)

B, H, T, C = 3, 4, 10, 32
EXACT = {"rtol": 1e-9, "atol": 1e-9}  # float64: sums in another order differ by about 1e-15
small = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """float64, so that an approximation is told from rounding; never the same row twice."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_layer(n_embd: int = C, n_head: int = H, dropout: float = 0.0, bias: bool = True) -> MultiHeadAttention:
    """With biases that are not zero, as PyTorch's first ones are not either."""
    layer = MultiHeadAttention(n_embd, n_head, dropout, bias).double()
    for seed, parameter in enumerate(layer.parameters()):
        parameter.data = normal(*parameter.shape, seed=seed) / math.sqrt(n_embd) ** (parameter.dim() - 1)
    return layer


@pytest.fixture(params=["kernel", "formula"])
def layer(request: pytest.FixtureRequest) -> MultiHeadAttention:
    """Both ways through the layer: the fused kernel, and the formula that also gives the weights."""
    layer = make_layer()
    layer.seen = {} if request.param == "formula" else None
    return layer


class ListCache:
    """The smallest cache."""

    def __init__(self) -> None:
        self.k: list[Tensor] = []
        self.v: list[Tensor] = []

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.k.append(k)
        self.v.append(v)
        return torch.cat(self.k, dim=2), torch.cat(self.v, dim=2)


def as_torch(layer: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(
        layer.out.in_features, layer.n_head, bias=layer.out.bias is not None, batch_first=True, dtype=torch.float64
    )
    ours = {"in_proj_weight": layer.qkv.weight, "out_proj.weight": layer.out.weight}
    if layer.out.bias is not None:
        ours |= {"in_proj_bias": layer.qkv.bias, "out_proj.bias": layer.out.bias}
    theirs.load_state_dict(ours)
    return theirs


# The formula


@given(small, small, small, st.sampled_from([1, 2, 8]), st.sampled_from(["none", "causal", "random", "padding"]), seeds)
def test_the_formula_is_torchs(heads: int, T: int, past: int, D: int, kind: str, seed: int) -> None:
    """Scale, mask before softmax, softmax over the keys; also for rows that may look nowhere."""
    S = T + past - 1
    q, k, v = normal(2, heads, T, D, seed=seed), normal(2, heads, S, D, seed=seed + 1), normal(2, heads, S, D, seed=7)
    masks = {"none": None, "causal": causal_mask(T, S), "random": normal(T, S, seed=seed) > 0}
    masks["padding"] = normal(2, 1, 1, S, seed=seed) > -1  # one per text
    expected = F.scaled_dot_product_attention(2 * q, k, v, attn_mask=masks[kind])
    out, weights = scaled_dot_product_attention(2 * q, k, v, masks[kind], return_weights=True)
    torch.testing.assert_close(out, expected, **EXACT)
    torch.testing.assert_close(weights @ v, expected, **EXACT)
    torch.testing.assert_close(scaled_dot_product_attention(2 * q, k, v, masks[kind]), expected, **EXACT)


def test_formula_and_kernel_agree_in_float32() -> None:
    """Nobody should see from the numbers which of the two ran; float32 sums differ by a few 1e-7."""
    q, k, v = normal(3, 2, 4, 64, 32).float()
    out, _ = scaled_dot_product_attention(q, k, v, causal_mask(64), return_weights=True)
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, causal_mask(64)), out, rtol=1e-5, atol=1e-6)


@given(small, seeds)
def test_weights_are_shares(T: int, seed: int) -> None:
    """Each query gives away exactly 1, all of it to places it may look at (softmax over heads or queries fails)."""
    mask = causal_mask(T, T + 2)
    weights = attention_weights(normal(2, 3, T, 8, seed=seed), normal(2, 3, T + 2, 8, seed=seed + 1), mask)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, T, dtype=torch.float64))
    assert (weights >= 0).all() and (weights[..., ~mask] == 0).all()


def test_hidden_places_get_nothing_however_bad_the_scores_are() -> None:
    """A finite number in place of -inf loses against scores below it."""
    q, k = torch.full((1, 4), 1e6), torch.full((3, 4), -1e6)
    weights = attention_weights(q, k, torch.tensor([[True, True, False]]))
    assert weights.tolist() == [[0.5, 0.5, 0.0]]


@pytest.mark.parametrize("return_weights", [False, True])
def test_a_query_that_may_look_nowhere_gets_zeros(return_weights: bool) -> None:
    """softmax of nothing is NaN, and a NaN in a gradient spoils every weight."""
    q, k, v = normal(3, 2, 4, 5, 8).requires_grad_()
    mask = causal_mask(5)
    mask[2] = False
    out = scaled_dot_product_attention(q, k, v, mask, return_weights=return_weights)
    out = out[0] if return_weights else out
    (gradient,) = torch.autograd.grad(out.square().sum(), q)
    assert (out[..., 2, :] == 0).all() and (out[..., [0, 1, 3, 4], :] != 0).all()
    assert gradient.isfinite().all() and (gradient[..., 2, :] == 0).all()


@given(small, st.integers(0, 6))
def test_causal_mask_lets_row_t_see_the_past_and_itself(T: int, past: int) -> None:
    mask = causal_mask(T, T + past)
    expected = [[s <= past + t for s in range(past + T)] for t in range(T)]
    assert mask.tolist() == expected
    assert torch.equal(causal_mask(T), causal_mask(T, T))


# Heads


@given(small, small, small, small)
def test_heads_are_pieces_of_each_token(B: int, T: int, H: int, D: int) -> None:
    """Reshaped without the transpose, or merged without it, the shape is right and the tokens are mixed."""
    x = torch.arange(B * T * H * D, dtype=torch.float32).view(B, T, H * D)
    heads = split_heads(x, H)
    assert all(torch.equal(heads[:, h, t], x[:, t, h * D : (h + 1) * D]) for h in range(H) for t in range(T))
    assert torch.equal(merge_heads(heads), x)
    assert torch.equal(merge_heads(heads.contiguous()), x)  # what attention gives back lies like this


# The layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("way", ["kernel", "formula"])
@pytest.mark.parametrize("kind", ["causal", "open", "cross"])
def test_the_layer_is_torchs_on_the_same_weights(kind: str, way: str, bias: bool) -> None:
    """The scale (head size, not n_embd), the order q, k, v, the heads, the last map; each text is a different one."""
    layer = make_layer(bias=bias)
    layer.seen = {} if way == "formula" else None
    x, other = normal(B, T, C), normal(B, 7, C, seed=1)
    context = other if kind == "cross" else None
    mask = causal_mask(T) if kind == "causal" else None
    source = x if context is None else context
    expected, weights = as_torch(layer)(
        x, source, source, attn_mask=None if mask is None else ~mask, average_attn_weights=False
    )
    torch.testing.assert_close(layer(x, context=context, mask=mask), expected, **EXACT)
    if layer.seen is not None:
        torch.testing.assert_close(layer.seen["weights"], weights, **EXACT)


def test_one_channel_is_enough() -> None:
    """The smallest size there is: a check of sizes that begins one too high refuses it."""
    x = normal(2, 3, 1)
    torch.testing.assert_close(make_layer(1, 1)(x), as_torch(make_layer(1, 1))(x, x, x)[0])


def test_context_equal_to_x_is_self_attention(layer: MultiHeadAttention) -> None:
    x = normal(B, T, C)
    torch.testing.assert_close(layer(x, context=x), layer(x), **EXACT)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_a_prefix_gets_the_answers_of_the_whole_text(layer: MultiHeadAttention, n: int) -> None:
    """Catches every leak, and heads split without the transpose."""
    x = normal(B, T, C)
    whole = layer(x, mask=causal_mask(T))
    torch.testing.assert_close(layer(x[:, :n], mask=causal_mask(n)), whole[:, :n], **EXACT)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_changing_the_future_changes_nothing_before(layer: MultiHeadAttention, n: int) -> None:
    x = normal(B, T, C)
    changed = torch.cat([x[:, :n], 3 * normal(B, T - n, C, seed=1)], dim=1)
    before, after = layer(x, mask=causal_mask(T)), layer(changed, mask=causal_mask(T))
    torch.testing.assert_close(after[:, :n], before[:, :n], **EXACT)
    assert (after[:, n:] != before[:, n:]).all()


def test_changing_the_past_changes_what_comes_after(layer: MultiHeadAttention) -> None:
    """A layer that sees nothing, or loses the past, would pass the two tests above."""
    x = normal(B, T, C)
    changed = x.clone()
    changed[:, 0] += 1.0
    assert (layer(changed, mask=causal_mask(T)) != layer(x, mask=causal_mask(T))).any(-1).all()


def test_texts_of_a_batch_do_not_touch_each_other(layer: MultiHeadAttention) -> None:
    x = normal(B, T, C)
    together = layer(x, mask=causal_mask(T))
    for b in range(B):
        torch.testing.assert_close(layer(x[b : b + 1], mask=causal_mask(T)), together[b : b + 1], **EXACT)


@given(st.permutations(range(7)))
def test_without_a_mask_the_context_is_a_set(order: list[int]) -> None:
    layer, x, context = make_layer(), normal(B, T, C), normal(B, 7, C, seed=1)
    torch.testing.assert_close(layer(x, context=context[:, order]), layer(x, context=context), **EXACT)


def test_a_mask_per_text_hides_the_padding(layer: MultiHeadAttention) -> None:
    """What stands in the padding must not matter, and each text has its own length."""
    x, lengths = normal(B, T, C), torch.tensor([4, 10, 7])
    real = torch.arange(T) < lengths[:, None]  # (B, T)
    noise = torch.where(real[..., None], x, 5 * normal(B, T, C, seed=1))
    out = layer(x, mask=real[:, None, None])
    for b, length in enumerate(lengths.tolist()):
        alone = layer(x[b : b + 1, :length])
        torch.testing.assert_close(out[b : b + 1, :length], alone, **EXACT)
    torch.testing.assert_close(layer(noise, mask=real[:, None, None])[real], out[real], **EXACT)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.booleans())
def test_pieces_with_a_cache_equal_all_at_once(lengths: list[int], formula: bool) -> None:
    """A square mask for one query sees only key 0, and keys in the wrong order fit the mask no longer."""
    layer, total = make_layer(), sum(lengths)
    layer.seen = {} if formula else None
    x, cache, past, out = normal(2, total, C), ListCache(), 0, []
    for length in lengths:
        piece = x[:, past : past + length]
        out.append(layer(piece, mask=causal_mask(length, past + length), cache=cache))
        past += length
    torch.testing.assert_close(torch.cat(out, dim=1), layer(x, mask=causal_mask(total)), **EXACT)


def test_one_position_needs_no_mask(layer: MultiHeadAttention) -> None:
    """The newest position sees everything: what generation relies on."""
    x, cache = normal(2, T, C), ListCache()
    steps = [layer(x[:, t : t + 1], cache=cache) for t in range(T)]
    torch.testing.assert_close(torch.cat(steps, dim=1), layer(x, mask=causal_mask(T)), **EXACT)
    assert isinstance(cache, Cache) and not isinstance(x, Cache)


def test_seen_holds_what_the_layer_used(layer: MultiHeadAttention) -> None:
    """The maps that people look at must be the weights that made the output."""
    x = normal(B, T, C)
    layer.seen = seen = {}
    out = layer(x, mask=causal_mask(T))
    assert seen["q"].shape == seen["k"].shape == seen["v"].shape == (B, H, T, C // H)
    assert torch.equal(seen["weights"], attention_weights(seen["q"], seen["k"], causal_mask(T)))
    torch.testing.assert_close(layer.out(merge_heads(seen["weights"] @ seen["v"])), out, **EXACT)
    layer.seen = None
    layer(normal(B, 3, C))
    assert seen["weights"].shape == (B, H, T, T), "written to after it was taken away"


def test_every_part_of_the_weights_learns(layer: MultiHeadAttention) -> None:
    """With keys used as values the layer trains all the same, and the map to values gets no gradient."""
    layer(normal(B, T, C), mask=causal_mask(T)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        parts = parameter.grad.chunk(3) if name.startswith("qkv") else [parameter.grad]
        for part, gradient in zip("qkv", parts, strict=False):
            # a bias of the keys adds the same to all scores of a row: its gradient is zero but for rounding
            assert gradient.isfinite().all()
            assert (name == "qkv.bias" and part == "k") or (gradient.abs() > 1e-9).all(), (name, part)


def test_gradients_of_formula_and_kernel_agree() -> None:
    gradients = []
    for seen in (None, {}):
        layer = make_layer()
        layer.seen = seen
        layer(normal(B, T, C), mask=causal_mask(T)).square().sum().backward()
        gradients.append([parameter.grad for parameter in layer.parameters()])
    torch.testing.assert_close(*gradients, **EXACT)


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_values_stay_finite(layer: MultiHeadAttention, size: float) -> None:
    x = (size * normal(B, T, C)).float().requires_grad_()
    out = layer.float()(x, mask=causal_mask(T))
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()


def test_nothing_is_stored_that_belongs_to_one_length() -> None:
    """A mask kept as a buffer must be cut and moved; ours comes from outside. Names are those of saved models."""
    assert set(make_layer().state_dict()) == {"qkv.weight", "qkv.bias", "out.weight", "out.bias"}
    assert set(make_layer(bias=False).state_dict()) == {"qkv.weight", "out.weight"}


# Dropout


def test_dropout_is_silent_in_evaluation(layer: MultiHeadAttention) -> None:
    """PyTorch's kernel drops whenever it is told a share, also in evaluation."""
    layer.dropout = 0.5
    x = normal(B, T, C)
    noisy = layer(x, mask=causal_mask(T))
    torch.testing.assert_close(layer.eval()(x, mask=causal_mask(T)), make_layer()(x, mask=causal_mask(T)), **EXACT)
    assert not torch.allclose(noisy, layer(x, mask=causal_mask(T)))


@pytest.mark.parametrize(("dropout", "training"), [(0.0, True), (0.5, False)])
def test_no_random_number_is_drawn_in_vain(layer: MultiHeadAttention, dropout: float, training: bool) -> None:
    layer.dropout = dropout
    layer.train(training)
    before = torch.get_rng_state()
    layer(normal(B, T, C), mask=causal_mask(T))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_falls_on_weights_and_on_the_output(layer: MultiHeadAttention) -> None:
    """Values that are all 1 and a last map that is the identity show which of the two was dropped."""
    layer.dropout = 0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.qkv.bias[2 * C :] = 1.0
        layer.out.weight.copy_(torch.eye(C))
    torch.manual_seed(0)
    out = layer(normal(200, T, C))
    heads = split_heads(out, H)  # one row of weights per head: its channels differ only by the output's dropout
    assert ((heads == 0).any(-1) & (heads > 0).any(-1)).any(), "the output is not dropped"
    assert out[out > 0].unique().numel() > 3, "the weights are not dropped"
    # 200 * 10 * 4 rows of ten weights: the mean has a standard error near 0.006
    assert math.isclose(out.mean().item(), 1.0, abs_tol=0.03), "what is left must be scaled up"


def test_dropped_weights_are_given_as_they_were_before() -> None:
    """A map of dropped weights would show holes that the next pass fills."""
    q, k, v = normal(3, 2, 4, 5, 8)
    out, weights = scaled_dot_product_attention(q, k, v, dropout=0.5, return_weights=True)
    assert torch.equal(weights, attention_weights(q, k))
    assert not torch.allclose(out, weights @ v)
    assert not torch.allclose(scaled_dot_product_attention(q, k, v, dropout=0.5), weights @ v)
