"""gptlib.viz: what heads and layers do, told on models where the answer is known, and the patients of its clinic."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from exercises import clinic
from gptlib import viz
from gptlib.model import GPT, GPTConfig, record
from gptlib.tokenizer import CharTokenizer
from gptlib.viz import (
    attention_maps,
    induction_pairs,
    layer_logits,
    logit_lens,
    look_score,
    prefix_difference,
    silence,
)

CONFIG = GPTConfig(vocab_size=30, block_size=16, n_layer=3, n_head=4, n_embd=16)
HEADS = [(layer, head) for layer in range(CONFIG.n_layer) for head in range(CONFIG.n_head)]


def make(config: GPTConfig = CONFIG, seed: int = 0) -> GPT:
    """A model with weights large enough that every head shows in the logits."""
    torch.manual_seed(seed)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def ids(B: int = 2, T: int = 10, seed: int = 1) -> Tensor:
    return torch.randint(CONFIG.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor) -> None:
    """Sums in another order differ by about 1e-6 here; what another head or block says by more than 1e-2."""
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def read(model: GPT, idx: Tensor) -> Tensor:
    return model(idx)


# ---- maps and scores


def test_maps_are_those_of_record_in_the_order_layer_text_head() -> None:
    """For layers and texts swapped, and for weights of another pass."""
    model, idx = make(), ids()
    maps = attention_maps(model, idx)
    with record(model) as seen:
        read(model, idx)
    assert maps.shape == (3, 2, 4, 10, 10) and not maps.requires_grad
    for layer, notes in enumerate(seen):
        assert torch.equal(maps[layer], notes["weights"])
    close(attention_maps(model, idx[1:])[:, 0], maps[:, 1])


def test_maps_are_taken_without_dropout_and_leave_the_mode() -> None:
    model = make(GPTConfig(vocab_size=30, block_size=16, n_layer=3, n_head=4, n_embd=16, dropout=0.5)).train()
    assert torch.equal(attention_maps(model, ids()), attention_maps(model, ids()))
    assert model.training and all(block.attention.seen is None for block in model.blocks)


@given(st.data())
def test_a_score_is_the_mean_over_the_pairs(data: st.DataObject) -> None:
    """For a table of all queries with all keys, for the axes swapped, and for a sum in place of the mean."""
    T, S = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    front = data.draw(st.sampled_from([(), (2,), (2, 3), (2, 1, 3)]))
    weights = torch.rand(*front, T, S, generator=torch.Generator().manual_seed(T + 9 * S))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, T - 1), st.integers(0, S - 1)), min_size=1, max_size=8))
    queries, keys = (list(side) for side in zip(*pairs, strict=True))
    score = look_score(weights, queries, keys)
    assert score.shape == front
    close(score, sum(weights[..., q, k] for q, k in pairs) / len(pairs))


@given(st.lists(st.integers(0, 5), max_size=20))
def test_induction_looks_behind_the_latest_earlier_place(text: list[int]) -> None:
    """For the first place instead of the latest, the place itself, and a token that finds itself."""
    queries, keys = induction_pairs(text)
    assert queries == [t for t in range(len(text)) if text[t] in text[:t]]
    for query, key in zip(queries, keys, strict=True):
        assert 1 <= key <= query and text[key - 1] == text[query]
        assert text[query] not in text[key:query]
    assert induction_pairs(torch.tensor(text, dtype=torch.long)) == (queries, keys)  # whose elements hash by identity


# ---- cutting out


@pytest.mark.parametrize("place", HEADS)
def test_a_silent_head_is_one_whose_columns_of_out_are_zero(place: tuple[int, int]) -> None:
    """For the wrong layer, the wrong slice of channels, and for cutting behind `out`, where heads are mixed."""
    model, idx = make(), ids()
    with silence(model, [place]):
        silent = read(model, idx)
    layer, head = place
    with torch.no_grad():
        model.blocks[layer].attention.out.weight[:, 4 * head : 4 * head + 4] = 0
    close(silent, read(model, idx))


def test_several_heads_may_be_silent_and_blocks_may_be_nested() -> None:
    """For hooks of which only the last counts: all closures of a loop see its last head."""
    model, idx = make(), ids()
    with silence(model, iter([(0, 1), (2, 3), (2, 0)])):
        together = read(model, idx)
    with silence(model, [(0, 1)]), silence(model, [(2, 0)]), silence(model, [(2, 3)]):
        close(read(model, idx), together)
    alone = [read_silent(model, idx, place) for place in ((0, 1), (2, 3), (2, 0))]
    assert all((one - together).abs().max() > 1e-2 for one in alone)


def read_silent(model: GPT, idx: Tensor, place: tuple[int, int]) -> Tensor:
    with silence(model, [place]):
        return read(model, idx)


def test_without_any_head_tokens_do_not_see_each_other() -> None:
    model, idx = make(), ids(B=1)
    other = idx.clone()
    other[0, :-1] = (other[0, :-1] + 1) % 30
    with silence(model, HEADS):
        close(read(model, idx)[:, -1], read(model, other)[:, -1])
    assert (read(model, idx)[:, -1] - read(model, other)[:, -1]).abs().max() > 1e-2


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_afterwards_the_model_is_what_it_was(error: type[BaseException] | None) -> None:
    """For hooks that stay: nothing would say so, and every later number would be wrong."""
    model, idx = make(), ids()
    before, weights = read(model, idx), {name: p.clone() for name, p in model.state_dict().items()}
    try:
        with silence(model, HEADS[:5]):
            assert not torch.equal(read(model, idx), before)
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert torch.equal(read(model, idx), before)
    assert all(torch.equal(p, weights[name]) for name, p in model.state_dict().items())
    assert not any(block.attention.out._forward_pre_hooks for block in model.blocks)


def test_gradients_pass_the_heads_that_are_left() -> None:
    """For a copy that autograd does not see: what lies before it would learn nothing."""
    model = make()
    with silence(model, [(1, 2)]):
        model(ids()).square().sum().backward()
    attention = model.blocks[1].attention
    behind = attention.out.weight.grad.view(16, 4, 4).abs().sum(dim=(0, 2))  # (H,), the columns of each head
    before = attention.qkv.weight.grad.view(3, 4, 4, 16).abs().sum(dim=(0, 2, 3))  # (H,), the rows of each head
    assert (behind > 0).tolist() == (before > 0).tolist() == [True, True, False, True]


# ---- the lens


def test_the_lens_ends_with_what_the_model_says() -> None:
    """For a norm that was left out, a missing mask, a block too few or too many."""
    model, idx = make(), ids()
    logits = layer_logits(model, idx)
    assert logits.shape == (4, 2, 10, 30) and not logits.requires_grad
    close(logits[-1], read(model, idx))
    for depth in range(4):
        first = GPT(GPTConfig(vocab_size=30, block_size=16, n_layer=max(depth, 1), n_head=4, n_embd=16)).eval()
        first.load_state_dict(model.state_dict(), strict=False)
        if depth == 0:
            first.blocks = torch.nn.ModuleList()
        close(logits[depth], read(first, idx))


def test_the_lens_reads_one_token_and_leaves_the_mode() -> None:
    model = make(GPTConfig(vocab_size=30, block_size=16, n_layer=3, n_head=4, n_embd=16, dropout=0.5)).train()
    assert torch.equal(layer_logits(model, ids(T=1)), layer_logits(model, ids(T=1)))
    idx = ids()
    expected = layer_logits(model, idx)
    with torch.device("meta"):  # a mask that does not follow the ids would stand there
        assert torch.equal(layer_logits(model, idx), expected)
    assert model.training


def test_the_view_of_the_lens_shows_the_layers_of_this_text() -> None:
    """For an end mark left out, layers in the wrong order, and logits of another place."""
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz .,", special_tokens=["<|endoftext|>"])
    model, text = make(), "a cat sat."
    view = logit_lens(model, text, tokenizer, top=3)
    read_ids = torch.tensor([[tokenizer.end_id, *tokenizer.encode(text)]])
    expected = torch.softmax(layer_logits(model, read_ids)[:, 0], dim=-1)  # (N, T, V)
    assert len(view.rows) == 4 and len(view.tokens) == 11
    for row in range(4):
        for place in range(11):
            found = view.at(row, place)
            top = expected[row, place].topk(3)
            assert [share for _, share in found] == pytest.approx(top.values.tolist(), abs=1e-4)
            letters = [tokenizer.decode([i]).replace(" ", "␣") for i in top.indices.tolist()]
            assert [token for token, _ in found] == letters


def test_a_text_longer_than_the_context_is_cut_to_its_end() -> None:
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz .,", special_tokens=["<|endoftext|>"])
    with pytest.warns(UserWarning, match="the model sees only the last 16"):
        view = logit_lens(make(), "abc " * 9, tokenizer)
    assert view.tokens == ["a", "b", "c", "␣"] * 4


# ---- the prefix check, and the clinic


def test_an_honest_model_moves_nothing() -> None:
    assert prefix_difference(make(), ids()) < 1e-4
    assert prefix_difference(make(), ids(T=2)) < 1e-4, "two tokens have a prefix"


@given(st.integers(0, 6), st.integers(1, 7), st.floats(0.5, 3.0))
def test_one_leak_anywhere_is_measured(query: int, ahead: int, size: float) -> None:
    """For lengths that are left out: only a prefix that ends between the two places shows this leak."""
    key = min(query + ahead, 7)

    def model(idx: Tensor) -> Tensor:
        logits = torch.zeros(*idx.shape, 3)
        if idx.size(1) > key:
            logits[:, query, 1] = size
        return logits

    moved = prefix_difference(model, ids(B=1, T=8))
    assert moved == pytest.approx(size)


@pytest.mark.parametrize("length", range(2, 7))
def test_a_leak_at_one_length_only_is_found(length: int) -> None:
    """As heads split by the wrong axis: what a token is depends on how many there are. All earlier places count."""

    def model(idx: Tensor) -> Tensor:
        logits = torch.zeros(*idx.shape, 3)
        if idx.size(1) == length:
            logits[:, 0, 2] = 1.5
        return logits

    assert prefix_difference(model, ids(B=1, T=6)) == 1.5


def test_the_largest_move_counts_in_any_row_direction_and_place() -> None:
    def model(idx: Tensor) -> Tensor:
        logits = torch.zeros(*idx.shape, 2)
        if idx.size(1) == 4:
            logits[0, 0, 0], logits[1, 2, 1] = 1.0, -5.0
        return logits

    assert prefix_difference(model, ids(B=2, T=4)) == 5.0


def test_a_model_full_of_nan_does_not_pass() -> None:
    """Python's max keeps or drops NaN as the order will have it."""
    for bad in (1, 2, 3):
        moved = prefix_difference(
            lambda idx, bad=bad: torch.full((*idx.shape, 2), math.nan if idx.size(1) == bad else 0.0), ids(1, 4)
        )
        assert math.isnan(moved)


def test_dropout_is_no_leak() -> None:
    model = make(GPTConfig(vocab_size=30, block_size=16, n_layer=3, n_head=4, n_embd=16, dropout=0.5)).train()
    assert prefix_difference(model, ids()) < 1e-4 and model.training


@pytest.mark.parametrize("n_head", [2, 4])
@pytest.mark.parametrize("name", list(clinic.WARD))
def test_each_patient_has_its_own_fault_and_no_other(name: str, n_head: int) -> None:
    """The lesson's findings, on models of random weights: what the map shows, and what only the prefix check finds."""
    config = GPTConfig(vocab_size=30, block_size=16, n_layer=2, n_head=n_head, n_embd=16)
    model, healthy = clinic.admit(name, config), clinic.admit("healthy", config)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), healthy.parameters(), strict=True))
    idx = ids(T=16)
    weights = attention_maps(model, idx)
    later = weights.triu(1).max().item() > 1e-6
    adds_up = torch.allclose(weights.sum(-1), torch.ones(()))
    assert (later, adds_up) == {"A": (False, False), "B": (True, True)}.get(name, (False, True))
    assert (prefix_difference(model, idx) > 1e-4) == (name != "healthy")


def test_the_healthy_one_is_the_model_of_lesson_07() -> None:
    """Also a long text after a short one, and a single token: where a mask is missing."""
    model, healthy = make(), clinic.admit("healthy", CONFIG)
    healthy.load_state_dict(model.state_dict())
    for T in (1, 2, 16):
        close(read(healthy, ids(T=T)), read(model, ids(T=T)))


def test_the_module_passes_the_views_on() -> None:
    """For a name that the notebook forgot: `from gptlib.viz import *` is what a reader may try."""
    names = {
        "AttentionView",
        "TokenView",
        "SamplerView",
        "LossView",
        "LensView",
        "side_by_side",
        "tokens_html",
        "merges_html",
    }
    assert names <= set(viz.__all__) and all(hasattr(viz, name) for name in viz.__all__)
