"""The whole model: properties that no single loss shows, and the same numbers as the GPT-2 of transformers."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gptlib.attention import MultiHeadAttention, causal_mask
from gptlib.blocks import MLP, LayerNorm
from gptlib.language import cross_entropy
from gptlib.model import GPT, GPTConfig, KVCache, count_parameters, flops_per_token, initialise, record

CONFIG = GPTConfig(vocab_size=50, block_size=24, n_layer=3, n_head=4, n_embd=16)
ADDS = ("attention.out.weight", "mlp.down.weight")  # what writes into the residual stream


def make(config: GPTConfig = CONFIG, seed: int = 0, size: float = 0.3) -> GPT:
    """A model with weights large enough that every part of it shows in the logits."""
    torch.manual_seed(seed)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(size * torch.randn_like(p))
    return model


def ids(B: int = 3, T: int = 20, seed: int = 1, V: int = CONFIG.vocab_size) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor) -> None:
    """Sums in another order differ by about 1e-6 here; a wrong mask or position by more than 1e-2."""
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@st.composite
def configs(draw: st.DrawFn) -> GPTConfig:
    n_head = draw(st.integers(1, 4))
    return GPTConfig(
        vocab_size=draw(st.integers(1, 70)),
        block_size=draw(st.integers(1, 30)),
        n_layer=draw(st.integers(1, 4)),
        n_head=n_head,
        n_embd=2 * n_head * draw(st.integers(1, 4)),
        bias=draw(st.booleans()),
        gelu=draw(st.sampled_from(["erf", "tanh"])),
        tied=draw(st.booleans()),
    )


def expected_parameters(c: GPTConfig) -> int:
    """By hand, matrix by matrix."""
    C = c.n_embd
    matrices = [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)]  # queries, keys and values; out; up; down
    norm = 2 * C if c.bias else C
    block = sum(a * b + (b if c.bias else 0) for a, b in matrices) + 2 * norm
    return c.vocab_size * C * (1 if c.tied else 2) + c.block_size * C + c.n_layer * block + norm


# What each logit may depend on


@torch.no_grad()
def test_a_prefix_has_the_logits_it_has_inside_the_whole_text() -> None:
    """For a mask that leaks, a mask not cut to T, heads split in the wrong order."""
    model, x = make(), ids()
    whole = model(x)
    for T in (1, 2, 11, 19):
        close(model(x[:, :T]), whole[:, :T])


@torch.no_grad()
def test_a_changed_future_changes_no_earlier_logit_and_a_changed_past_does() -> None:
    """For a missing or upside-down mask, and for a model that sees only its own token."""
    model, x = make(), ids()
    before, changed = model(x), x.clone()
    changed[:, 10] = (changed[:, 10] + 1) % CONFIG.vocab_size
    after = model(changed)
    close(after[:, :10], before[:, :10])
    assert ((after - before).abs().amax(-1)[:, 10:] > 1e-3).all()


@torch.no_grad()
def test_the_rows_of_a_batch_do_not_touch_each_other() -> None:
    """For a norm or a softmax over the batch."""
    model, x = make(), ids()
    whole = model(x)
    for row in range(3):
        close(model(x[row : row + 1])[0], whole[row])
    close(model(x.flip(0)), whole.flip(0))


@torch.no_grad()
def test_one_repeated_token_is_answered_differently_at_each_position() -> None:
    """For a missing position embedding, which a loss hardly shows: the causal mask leaks some order."""
    torch.manual_seed(0)
    logits = GPT(CONFIG).eval()(torch.full((1, 20), 7))[0]  # (T, V)
    far = torch.cdist(logits, logits) + torch.eye(20)
    assert far.min() > 1e-3


@torch.no_grad()
def test_without_positions_one_repeated_token_is_answered_alike() -> None:
    """So that the test above sees the embedding and nothing else."""
    model = make()
    model.position_embedding.weight.zero_()
    logits = model(torch.full((1, 20), 7))
    close(logits, logits[:, :1].expand_as(logits))


# The same numbers as others


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@torch.no_grad()
def test_it_equals_gpt2_of_transformers_on_the_same_weights(dtype: torch.dtype, tolerance: float) -> None:
    """For anything that only another implementation knows: a missing last norm, the order of norm and residual, the
    scale of the scores, the eps of the norms, the GELU. Two different rows, so that a swap of rows shows.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    c = replace(CONFIG, gelu="tanh")
    other = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c.vocab_size,
            n_positions=c.block_size,
            n_embd=c.n_embd,
            n_layer=c.n_layer,
            n_head=c.n_head,
            activation_function="gelu_new",
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    other, model = other.eval().to(dtype), make(c).to(dtype)
    ours, theirs = model.state_dict(), other.state_dict()
    pairs = {"token_embedding": "wte", "position_embedding": "wpe", "norm": "ln_f"}
    for i in range(c.n_layer):
        parts = {"norm1": "ln_1", "norm2": "ln_2", "attention.qkv": "attn.c_attn", "attention.out": "attn.c_proj"}
        parts |= {"mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
        pairs |= {f"blocks.{i}.{a}": f"h.{i}.{b}" for a, b in parts.items()}
    for mine, yours in pairs.items():
        for kind in ("weight", "bias"):
            if f"{mine}.{kind}" in ours:
                p = ours[f"{mine}.{kind}"]
                transposed = ".c_" in yours and kind == "weight"  # their Conv1D keeps (in, out)
                theirs[f"transformer.{yours}.{kind}"].copy_(p.T if transposed else p)
    x = ids(B=2, T=24)
    assert not torch.equal(x[0], x[1])
    torch.testing.assert_close(model(x), other(x).logits, atol=tolerance, rtol=tolerance)


def test_the_loss_is_the_cross_entropy_of_its_logits() -> None:
    """For targets shifted a second time inside the model, and for padding that counts."""
    model, x, y = make(), ids(), ids(seed=2)
    y[0, 5:] = -1
    logits, loss = model(x, y)
    close(logits, model(x))
    torch.testing.assert_close(loss, cross_entropy(logits, y))
    by_hand = -torch.log_softmax(logits, -1)[torch.arange(3)[:, None], torch.arange(20), y]
    torch.testing.assert_close(loss, by_hand[y >= 0].mean())


def test_in_half_precision_the_loss_is_still_taken_in_float32() -> None:
    """For a loss in bfloat16, which has three digits."""
    model, x, y = make(), ids(), ids(seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        logits, loss = model(x, y)
    assert (logits.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(loss, cross_entropy(logits.float(), y))


# How it begins


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("V", [2, 50, 1000, 8000])
def test_the_start_loss_is_ln_v(V: int, tied: bool) -> None:
    """For tied tables drawn from N(0, 1): that starts at several times ln V. 10 % leaves room for small models."""
    torch.manual_seed(V)
    model = GPT(GPTConfig(V, block_size=32, n_layer=2, n_head=2, n_embd=64, tied=tied))
    loss = model(ids(8, 32, 3, V), ids(8, 32, 4, V))[1].item()
    assert loss == pytest.approx(math.log(V), rel=0.1)


@pytest.mark.parametrize("start", ["copy", "random"])
def test_at_unit_scale_an_untied_head_begins_at_exactly_ln_v(start: Any) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(50, block_size=32, n_layer=2, n_head=2, n_embd=64, tied=False, scale="unit", start=start))
    assert model(ids(8, 32, 3, 50), ids(8, 32, 4, 50))[1].item() == pytest.approx(math.log(50), rel=1e-6)
    block = model.blocks[1]
    assert block.mlp.down.weight.eq(0).all() and block.attention.out.weight.eq(0).all() == (start == "random")
    assert block.mlp.up.weight.std().item() == pytest.approx(64**-0.5, rel=0.05)
    tied = GPT(GPTConfig(50, block_size=32, n_layer=2, n_head=2, n_embd=64, scale="unit", start=start))
    assert tied(ids(8, 32, 3, 50), ids(8, 32, 4, 50))[1].item() == pytest.approx(math.log(50), rel=0.15)


@pytest.mark.parametrize("settings", [{"scale": "unit", "tied": False}, {"scale": "unit"}, {}])
@pytest.mark.parametrize("heads", [1, 4])
def test_heads_begin_by_looking_back_as_many_tokens_as_their_number(heads: int, settings: dict[str, Any]) -> None:
    """For hands turned the wrong way (they would look into the future, which is masked) or heads that are mixed up."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(50, block_size=48, n_layer=2, n_head=4, n_embd=128, look_back=heads, **settings))
    with record(model) as seen, torch.no_grad():
        model(ids(3, 40, 5, 50))
    weights = seen[0]["weights"]  # (B, H, T, S)
    for head in range(4):
        there = weights[:, head].diagonal(-(head + 1), dim1=-2, dim2=-1)[:, head + 1 :]
        assert there.mean() > 0.9 if head < heads else there.mean() < 0.5
    plain = GPT(GPTConfig(50, block_size=48, n_layer=2, n_head=4, n_embd=128))
    assert [p.shape for p in model.parameters() if p.shape != (50, 128)] == [
        p.shape for p in plain.parameters() if p.shape != (50, 128)
    ], "a start, not another model"


def test_the_hands_that_tell_the_place_leave_room_for_the_token() -> None:
    """Bugs: all channels of a token at 0; longer queries than keys; hands not each slower than the last."""
    torch.manual_seed(0)
    model, D = GPT(GPTConfig(50, block_size=48, n_layer=2, n_head=4, n_embd=128, look_back=2)), 32
    token, place = model.token_embedding.weight, model.position_embedding.weight
    assert token[:, :D].eq(0).all() and token[:, D:].std() > 0.01 and place[:, D:].eq(0).all()
    sin, cos = place[1, :D].view(D // 2, 2).unbind(1)
    turned = torch.tensor([2 / 100 ** (i / (D // 2)) for i in range(D // 2)])  # by 2 radians, the last by 2/75
    torch.testing.assert_close(torch.atan2(sin, cos), turned)
    q, k, _ = model.blocks[0].attention.qkv.weight.chunk(3)
    for rows in (slice(0, D), slice(D, 2 * D)):
        torch.testing.assert_close(q[rows] @ q[rows].T, k[rows] @ k[rows].T)  # one is the other, turned


def test_weights_begin_as_small_as_the_paper_says() -> None:
    """For a residual scale that is missing, or that counts L additions instead of 2L."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=500, block_size=100, n_layer=8, n_head=2, n_embd=64))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(3.0)
    initialise(model)
    for name, p in model.named_parameters():
        if p.dim() == 2:
            if name.endswith("attention.out.weight"):
                continue  # the next test
            read = p[: 2 * 64] if name.endswith("qkv.weight") else p  # the value map has a beginning of its own
            size = read.square().mean().sqrt().item()
            assert size == pytest.approx(0.02 / 4 if name.endswith("mlp.down.weight") else 0.02, rel=0.06), name
        else:
            assert p.unique().tolist() == [0.0 if name.endswith("bias") else 1.0], name


def test_attention_begins_as_a_copy() -> None:
    """For an output map that does not undo the value map: with even weights a layer must write the average it sees."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=500, block_size=100, n_layer=8, n_head=4, n_embd=64)).double()
    attention, x = model.blocks[3].attention, torch.randn(2, 10, 64, dtype=torch.float64)
    with torch.no_grad():
        attention.qkv.weight[: 2 * 64] = 0  # no opinion about where to look
        average = x.cumsum(1) / torch.arange(1, 11)[:, None]
        torch.testing.assert_close(attention(x, mask=causal_mask(10)), average, atol=1e-6, rtol=1e-6)


def test_the_residual_stream_grows_by_less_than_a_token_per_block() -> None:
    """For what the MLPs add, unscaled, or copies that grow from block to block."""
    torch.manual_seed(0)
    model = GPT(replace(CONFIG, n_layer=48, n_embd=64, n_head=4)).eval()
    sizes = []
    model.norm.register_forward_pre_hook(lambda part, inputs: sizes.append(inputs[0].std().item()))
    with torch.no_grad():
        sizes.append(model.embed(ids()).std().item())
        model(ids())
    assert 0.3 < sizes[1] / 48 < 1


def test_two_seeds_begin_differently_and_one_seed_alike() -> None:
    a, b, c = make(size=0), make(size=0), make(seed=5, size=0)
    assert torch.equal(a.head.weight, b.head.weight) and not torch.equal(a.head.weight, c.head.weight)


# What it has and what it costs


@given(configs())
def test_the_count_is_that_of_the_formula(c: GPTConfig) -> None:
    """For blocks in a Python list, one block used several times, a missing norm, a tied table counted twice."""
    assert count_parameters(GPT(c)) == expected_parameters(c)


def test_gpt2_small_has_124_million_parameters() -> None:
    """The published figure, without using memory for it; 163 million would mean an untied head."""
    c = GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768)
    with torch.device("meta"):
        model = GPT(c)
    assert count_parameters(model) == expected_parameters(c) == 124_439_808


def test_every_parameter_learns_and_every_block_has_its_own() -> None:
    """For parts that forward forgets, and for a block that stands in the list twice."""
    model = make()
    model(ids(), ids(seed=2))[1].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert len({id(block) for block in model.blocks}) == CONFIG.n_layer
    assert not torch.equal(model.blocks[0].mlp.up.weight, model.blocks[1].mlp.up.weight)


@given(configs(), st.data())
def test_flops_per_token_is_what_torch_counts(c: GPTConfig, data: st.DataObject) -> None:
    """Exactly: forward and backward, attention run as the plain formula, which the counter knows on every device."""
    model, T = GPT(c), data.draw(st.integers(1, c.block_size))
    x = ids(2, T, V=c.vocab_size)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(x, x)[1].backward()
    assert counter.get_total_flops() == 2 * T * flops_per_token(c, T)
    assert flops_per_token(c) == flops_per_token(c, c.block_size)


# The tie


def test_tied_means_one_table() -> None:
    model = GPT(CONFIG)
    assert model.head.weight is model.token_embedding.weight
    assert sum(1 for name, _ in model.named_parameters() if "head" in name) == 0
    untied = GPT(replace(CONFIG, tied=False))
    assert untied.head.weight is not untied.token_embedding.weight


@pytest.mark.parametrize("assign", [False, True])
def test_loading_keeps_the_tie_and_every_number(assign: bool) -> None:
    """For a fresh parameter per name: both would be equal now and drift apart with the first step."""
    model, loaded = make(seed=1), GPT(CONFIG).eval()
    state = {name: p.clone() for name, p in model.state_dict().items()}
    loaded.load_state_dict(state, assign=assign)
    assert loaded.head.weight is loaded.token_embedding.weight
    assert count_parameters(loaded) == expected_parameters(CONFIG)
    assert torch.equal(loaded(ids()), model(ids()))
    optimiser = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded(ids(), ids(seed=2))[1].backward()
    optimiser.step()
    assert torch.equal(loaded.head.weight, loaded.token_embedding.weight)
    assert not torch.equal(loaded.head.weight, model.head.weight)


def test_an_untied_model_keeps_two_tables_after_loading() -> None:
    model, loaded = (make(replace(CONFIG, tied=False), seed=seed) for seed in (1, 2))
    loaded.load_state_dict(model.state_dict(), assign=True)
    assert not torch.equal(loaded.head.weight, loaded.token_embedding.weight)
    assert torch.equal(loaded(ids()), model(ids()))


def test_a_copy_and_a_move_keep_the_tie() -> None:
    for model in (copy.deepcopy(make()), make().to(torch.float64)):
        assert model.head.weight is model.token_embedding.weight


# The cache


@given(st.lists(st.integers(1, 8), min_size=1, max_size=24), st.integers(0, 10**6))
def test_cached_logits_equal_uncached_however_the_text_is_cut(pieces: list[int], seed: int) -> None:
    """For positions that begin again at 0, a mask for T instead of past + T, and one query that sees only key 0."""
    model, idx, begin = make(), ids(2, CONFIG.block_size, seed), 0
    cache, logits = KVCache(CONFIG), []
    with torch.no_grad():
        for T in pieces:
            if begin + T > CONFIG.block_size:
                break
            logits.append(model(idx[:, begin : begin + T], cache=cache))
            begin += T
            assert cache.length == begin
        close(torch.cat(logits, dim=1), model(idx[:, :begin]))


@torch.no_grad()
def test_two_caches_of_one_model_do_not_touch_each_other() -> None:
    """For buffers that live in the model."""
    model, a, b = make(), ids(seed=1), ids(seed=2)
    first, second = KVCache(CONFIG), KVCache(CONFIG)
    model(a[:, :10], cache=first)
    model(b[:, :10], cache=second)
    close(model(a[:, 10:], cache=first), model(a)[:, 10:])
    close(model(b[:, 10:], cache=second), model(b)[:, 10:])


@torch.no_grad()
def test_the_cache_keeps_keys_and_values_of_each_layer() -> None:
    model, cache = make(), KVCache(CONFIG)
    with record(model) as seen:
        model(ids(), cache=cache)
    for layer, notes in zip(cache.layers, seen, strict=True):
        assert layer.length == 20 and torch.equal(layer.k[:, :, :20], notes["k"])
        assert torch.equal(layer.v[:, :, :20], notes["v"])


# Looking inside


@torch.no_grad()
def test_record_gives_weights_that_are_shares_of_the_past() -> None:
    """For weights after dropout, before softmax, or of another layer."""
    model = make(replace(CONFIG, dropout=0.5)).train()  # shares also while dropout is at work
    with record(model) as seen:
        model(ids())
    assert len(seen) == CONFIG.n_layer
    for notes in seen:
        assert set(notes) == {"q", "k", "v", "weights"}
        assert notes["q"].shape == notes["k"].shape == notes["v"].shape == (3, 4, 20, 4)
        weights = notes["weights"]
        close(weights.sum(-1), torch.ones(3, 4, 20))
        assert (weights >= 0).all() and (weights.triu(1) == 0).all()
        scores = (notes["q"] @ notes["k"].mT / 2).masked_fill(~torch.ones(20, 20).bool().tril(), -math.inf)
        close(weights, scores.softmax(-1))
    assert not torch.equal(seen[0]["weights"], seen[1]["weights"])


@torch.no_grad()
def test_record_with_a_cache_sees_the_past_too() -> None:
    model, cache, x = make(), KVCache(CONFIG), ids()
    with record(model) as whole:
        model(x)
    model(x[:, :15], cache=cache)
    with record(model) as late:
        model(x[:, 15:], cache=cache)
    for a, b in zip(whole, late, strict=True):
        assert b["weights"].shape == (3, 4, 5, 20)
        close(b["weights"], a["weights"][:, :, 15:])


@torch.no_grad()
def test_record_leaves_the_model_as_it_was() -> None:
    """For a slot that stays filled: the slow path for ever, and memory that is never freed."""
    model, x = make(), ids()
    before = model(x)
    with record(model) as outer:
        with record(model):
            close(model(x), before)
        assert outer == [{}] * CONFIG.n_layer
        model(x)
        assert all(outer)
    with pytest.raises(KeyboardInterrupt), record(model):
        raise KeyboardInterrupt
    assert all(block.attention.seen is None for block in model.blocks)
    assert torch.equal(model(x), before)


# Dropout, bias, devices


def test_dropout_is_at_work_in_training_and_nowhere_else() -> None:
    """For dropout that goes on in eval: the validation loss would depend on it."""
    model, x = make(replace(CONFIG, dropout=0.3)), ids()
    torch.testing.assert_close(model(x), model(x), atol=0, rtol=0)
    plain = make()
    plain.load_state_dict(model.state_dict())
    close(model(x), plain(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_without_bias_there_is_no_bias_anywhere() -> None:
    assert not [name for name, _ in GPT(replace(CONFIG, bias=False)).named_parameters() if name.endswith("bias")]


def test_the_settings_of_the_configuration_reach_the_parts() -> None:
    """For a field that nobody reads."""
    x = ids()
    base = make()
    for changed in ({"gelu": "tanh"}, {"norm_eps": 0.1}, {"n_head": 2}):
        other = GPT(replace(CONFIG, **changed)).eval()
        other.load_state_dict(base.state_dict())
        assert not torch.allclose(other(x), base(x), atol=1e-5), changed
    parts = list(GPT(replace(CONFIG, norm_eps=0.1, dropout=0.3)).modules())
    assert [part.eps for part in parts if isinstance(part, LayerNorm)] == [0.1] * (2 * CONFIG.n_layer + 1)
    assert [part.dropout for part in parts if isinstance(part, MultiHeadAttention | MLP)] == [0.3] * 2 * CONFIG.n_layer


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.no_grad()
def test_a_gpu_gives_the_same_logits() -> None:
    """For a mask or positions that stay on the CPU."""
    model, x = make(), ids()
    expected = model(x)
    model.cuda()
    close(model(x.cuda()).cpu(), expected)
    cache = KVCache(CONFIG)
    pieces = [model(x[:, a:b].cuda(), cache=cache) for a, b in ((0, 7), (7, 8), (8, 20))]
    close(torch.cat(pieces, dim=1).cpu(), expected)


def test_nothing_in_forward_is_made_on_the_default_device() -> None:
    """The mask and the positions follow the ids: on the device `meta` a stray CPU tensor would stop the pass."""
    with torch.device("meta"):
        model = GPT(CONFIG)
    idx = torch.zeros(2, 20, dtype=torch.long, device="meta")
    assert model(idx).shape == (2, 20, 50) and model(idx).device.type == "meta"


def test_nothing_in_a_cache_is_made_on_the_default_device() -> None:
    """Texts of different lengths go on, with `meta` as the default: a tensor that follows no other stops the pass."""
    model, idx, new = make(), ids(3, 6), ids(3, 2, seed=2)
    caches = [KVCache(CONFIG) for _ in range(2)]
    with torch.no_grad():
        for cache in caches:
            model(idx, cache=cache)
            cache.trim(torch.tensor([6, 2, 4]))
        expected = model(new, cache=caches[0])
        with torch.device("meta"):
            logits = model(new, cache=caches[1])
    assert torch.equal(logits, expected)
