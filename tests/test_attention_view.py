"""AttentionView without a browser: what it takes, what it sends and when, what it warns of, and its pictures."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

import gptlib
from gptlib._attention_view import FAINT, MODES, MOST_LINES, AttentionView
from gptlib._widget import side_by_side
from gptlib.model import GPT, GPTConfig, record
from gptlib.tokenizer import CharTokenizer

TEXT = "the cat sat"


def attention(*shape: int, seed: int = 0, causal: bool = True) -> Tensor:
    """Weights as a model has them: rows that sum to 1, and by default nothing behind the diagonal."""
    scores = 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(shape[-2:], dtype=torch.bool).tril(shape[-1] - shape[-2])
    return (scores.masked_fill(~mask, -torch.inf) if causal else scores).softmax(-1)


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(0)
    return GPT(
        GPTConfig(len(set(TEXT)) + 1, block_size=16, n_layer=2, n_head=3, n_embd=12, dropout=0.3, start="random")
    )


@pytest.fixture
def tokenizer() -> CharTokenizer:
    return CharTokenizer.train(TEXT)


@torch.no_grad()
def recorded(model: GPT, tokenizer: CharTokenizer) -> list[dict[str, Tensor]]:
    """What each layer of the model did with the text."""
    with record(model.eval()) as seen:
        model(torch.tensor([tokenizer.encode(TEXT)]))
    return seen


def whole(seen: list[dict[str, Tensor]]) -> list[Tensor]:
    """Weights, q and k of all layers."""
    return [torch.cat([layer[name] for layer in seen]) for name in ("weights", "q", "k")]


def sent(view: AttentionView) -> list[dict[str, Any]]:
    """From now on the states that go to the browser; bytes are among them by their names."""
    messages: list[dict[str, Any]] = []

    def send(data: dict[str, Any] | None = None, buffers: list[Any] | None = None, **_: Any) -> None:
        packed = {path[0]: bytes(buffer) for path, buffer in zip(data["buffer_paths"], buffers or [], strict=True)}
        messages.append({**data["state"], **packed})

    view.comm.send = send
    return messages


def hear(view: AttentionView, **state: Any) -> None:
    """What the browser does: a message with changed traits. Around this, ipywidgets only hides what is raised."""
    view.set_state(state)


# ---- what it takes


def test_weights_come_in_every_form_that_people_have() -> None:
    whole = attention(3, 4, 5, 5)
    forms: list[tuple[Any, Tensor]] = [
        (whole[0, 0], whole[:1, :1]),
        (whole[0], whole[:1]),
        (whole[:1], whole[:1]),
        (whole, whole),
        (whole[None], whole),
        (whole[:, None], whole),
        (list(whole), whole),
        (tuple(layer[None] for layer in whole), whole),
        ([layer[0] for layer in whole], whole[:, :1]),
        (whole.numpy(), whole),
        ([layer.numpy() for layer in whole], whole),
        (whole[0, 0].tolist(), whole[:1, :1]),
        (whole.double(), whole),
        (whole.clone().requires_grad_(), whole),
        (whole.transpose(0, 1).contiguous().transpose(0, 1), whole),
    ]
    for form, wanted in forms:
        view = AttentionView(form, dtype="f32")
        assert view.shape == list(wanted.shape)
        assert np.array_equal(np.frombuffer(view.weights, np.float32).reshape(wanted.shape), wanted)
        assert view.warnings == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_no_reason_to_warn(dtype: torch.dtype) -> None:
    weights = attention(2, 3, 64, 64).to(dtype)
    view = AttentionView(weights, dtype="f32")
    assert np.array_equal(np.frombuffer(view.weights, np.float32), weights.float().flatten())
    assert view.warnings == []
    assert "sum to 1" in AttentionView(attention(8, 8).to(dtype) * 0.97).warnings[0]
    assert "sum to 1" in AttentionView(attention(8, 8) * 0.997).warnings[0]  # where no digits are missing


def test_numbers_of_every_kind_are_read() -> None:
    eye = torch.eye(3)
    bits = [eye.to(dtype) for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.bool)]
    nested = [[eye.to(torch.bfloat16)], [eye.clone().requires_grad_()]], [[[1, 0, 0], [0.0, 1, 0], [0, 0, 1]]]
    for form in (*bits, eye.to_sparse(), *nested, eye - 1e-9, np.eye(3, dtype=np.uint16)):
        view = AttentionView(form, dtype="f32")
        assert np.array_equal(np.frombuffer(view.weights, np.float32).reshape(-1, 3, 3)[-1], np.eye(3))
        assert view.warnings == []


def test_cross_attention_has_tokens_on_both_sides() -> None:
    weights = attention(2, 3, 4, 6, causal=False)
    view = AttentionView(weights, list("abcd"), list("uvwxyz"))
    assert (view.tokens, view.key_tokens) == (list("abcd"), list("uvwxyz"))
    assert (view.shape, view.warnings) == ([2, 3, 4, 6], [])
    assert repr(view) == "AttentionView(2 layers, 3 heads, 4 x 6 tokens)"
    square = AttentionView(attention(4, 4, causal=False), list("abcd"), list("efgh"))
    assert square.warnings == []  # other tokens, so no key is a later one


def test_tokens_are_shown_with_nothing_hidden() -> None:
    view = AttentionView(attention(4, 4), [" a", "b\n", b"\xc3", 7])
    assert view.tokens == ["␣a", "b⏎", "⟨C3⟩", "7"]
    assert AttentionView(attention(3, 3)).tokens == ["0", "1", "2"]
    for ids in (torch.tensor([4, 5, 6]), np.array([4, 5, 6])):
        assert AttentionView(attention(3, 3), ids).tokens == ["4", "5", "6"]


def test_what_record_gives_is_shown_with_its_queries_and_keys(model: GPT, tokenizer: CharTokenizer) -> None:
    ids, seen = tokenizer.encode(TEXT), recorded(model, tokenizer)
    view = AttentionView(seen, ids, tokenizer, dtype="f32")
    assert view.tokens == list(TEXT.replace(" ", "␣"))
    assert view.head_size == 4
    for form in (AttentionView(model, TEXT, tokenizer, dtype="f32"), AttentionView(model, ids, tokenizer, dtype="f32")):
        assert form.weights == view.weights
        assert form.tokens == view.tokens
        assert form.text == TEXT


def test_q_and_k_come_in_the_same_forms(model: GPT, tokenizer: CharTokenizer) -> None:
    weights, q, k = whole(recorded(model, tokenizer))
    wanted = q.numpy().tobytes() + k.numpy().tobytes()
    for view in (
        AttentionView(weights, q=q, k=k, mode="neuron"),
        AttentionView(list(weights), q=list(q), k=list(k), mode="neuron"),
        AttentionView(weights.numpy(), q=q[None].numpy(), k=k[:, None].numpy(), mode="neuron"),
    ):
        assert view.vectors == wanted
        assert view.warnings == []


def test_the_model_is_afterwards_as_it_was(model: GPT, tokenizer: CharTokenizer) -> None:
    model.train()
    state, noise = {name: p.clone() for name, p in model.state_dict().items()}, torch.get_rng_state()
    graphs: list[bool] = []
    with torch.enable_grad(), model.norm.register_forward_hook(lambda *_: graphs.append(torch.is_grad_enabled())):
        one = AttentionView(model, TEXT, tokenizer)
    assert graphs == [False]
    assert model.training and all(block.training for block in model.blocks)
    assert all(block.attention.seen is None for block in model.blocks)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(p, state[name]) for name, p in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), noise)  # no dropout was drawn
    assert one.warnings == []
    assert not AttentionView(model.eval(), TEXT, tokenizer)._model.training


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_model_on_a_gpu_is_shown_as_well(model: GPT, tokenizer: CharTokenizer) -> None:
    there = AttentionView(model.cuda(), TEXT, tokenizer, dtype="f32")
    here = AttentionView(model.cpu(), TEXT, tokenizer, dtype="f32")
    assert np.allclose(np.frombuffer(there.weights, np.float32), np.frombuffer(here.weights, np.float32), atol=1e-3)


def test_a_text_longer_than_the_context_is_cut_and_the_view_says_so(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT * 3, tokenizer)
    assert view.shape == [2, 3, 16, 16]
    assert view.tokens == list((TEXT * 3)[:16].replace(" ", "␣"))
    assert view.warnings == ["the text has 33 tokens, the context 16: the rest is cut off"]
    assert view.places == [[]]
    assert view.weights == AttentionView(model, (TEXT * 3)[:16], tokenizer).weights
    view.text = TEXT
    assert view.warnings == []


# ---- what it sends


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(0, 999))
def test_rounded_weights_are_half_a_step_off_at_most_but_never_unseen(L: int, H: int, T: int, seed: int) -> None:
    weights = attention(L, H, T, T, seed=seed)
    view = AttentionView(weights)
    received = np.frombuffer(view.weights, np.uint8).reshape(L, H, T, T)
    steps = np.rint(255 * weights.double().numpy())
    tiny = (steps == 0) & (weights.numpy() > 1e-6)
    assert np.array_equal(received, np.where(tiny, 1, steps))
    assert np.abs(received / 255 - weights.numpy())[~tiny].max() <= 0.5 / 255 + 1e-6


def test_zero_is_only_what_is_masked() -> None:
    weights = torch.ones(600, 600).tril() / torch.arange(1, 601)[:, None]
    received = np.frombuffer(AttentionView(weights).weights, np.uint8).reshape(600, 600)
    assert np.array_equal(received > 0, np.tri(600, dtype=bool))
    assert (received[-1] == 1).all()
    nothing = AttentionView(torch.tensor([[1.0, 5e-7], [0.5, 0.5]]))  # as good as masked
    assert np.frombuffer(nothing.weights, np.uint8)[1] == 0


def test_weights_above_one_are_sent_as_they_are() -> None:
    view = AttentionView(torch.tensor([[1.5, 0.0], [20.0, 40.0]]))
    assert (view.dtype, len(view.warnings)) == ("f32", 1)
    assert np.frombuffer(view.weights, np.float32).tolist() == [1.5, 0, 20, 40]
    view.dtype = "u8"
    assert (view.dtype, len(view.weights)) == ("f32", 16)
    rounding = AttentionView(torch.tensor([[1.004]]))
    assert (rounding.dtype, rounding.weights) == ("u8", b"\xff")


def test_only_what_changed_is_sent(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer)
    messages = sent(view)
    for name, value in {"layer": 1, "head": 2, "hover": 3, "key": 4, "mode": "heat", "scale": "row"}.items():
        setattr(view, name, value)
        assert [set(message) for message in messages] == [{name}], name
        messages.clear()
    view.heads = [0, 2]
    assert {name for message in messages for name in message} == {"heads", "head"}
    messages.clear()
    hear(view, hover=5)
    assert {name for message in messages for name in message} <= {"hover"}  # at most its echo


def test_q_and_k_are_sent_when_the_neuron_mode_is_opened_and_once(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer)
    assert view.vectors == b""
    messages = sent(view)
    hear(view, mode="neuron")
    received = [message["vectors"] for message in messages if "vectors" in message]
    assert [len(vectors) for vectors in received] == [2 * 2 * 3 * len(TEXT) * 4 * 4]
    assert not any("weights" in message for message in messages)
    messages.clear()
    for mode in ("lines", "neuron", "grid"):
        view.mode = mode
    assert not any("vectors" in message for message in messages)


def test_the_state_of_a_page_alone_holds_q_and_k_too(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer)
    page = json.loads(re.search(r'id="page">(.*?)</script>', view.to_html())[1])["views"][0]
    assert len(base64.b64decode(page["bytes"]["vectors"])) == 2 * 2 * 3 * len(TEXT) * 4 * 4
    assert base64.b64decode(page["bytes"]["weights"]) == view.weights
    assert page["plain"]["alone"] is True
    assert view.vectors == b""  # the notebook's own page has not got them


def test_full_precision_can_be_asked_for_later() -> None:
    weights = attention(2, 2, 4, 4)
    view = AttentionView(weights)
    messages = sent(view)
    view.dtype = "f32"
    assert view.weights == weights.numpy().tobytes()
    assert {name for message in messages for name in message} == {"dtype", "weights"}


# ---- another text


def test_the_map_follows_the_text_in_one_message_with_the_weights_last(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer, hover=9, key=1)
    messages = sent(view)
    hear(view, text="a hat")
    with_weights = [message for message in messages if "weights" in message]
    assert len(with_weights) == 1
    message = with_weights[0]
    assert message["tokens"] == list("a␣hat")
    assert message["shape"] == [2, 3, 5, 5]
    assert message["hover"] == -1  # there is no token 9 any more
    assert (view.hover, view.key) == (-1, 1)
    assert message["weights"] == view.weights == AttentionView(model, "a hat", tokenizer).weights
    view.text = TEXT
    assert view.weights == AttentionView(model, TEXT, tokenizer).weights


def test_weights_are_set_after_all_that_says_how_to_read_them(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer)
    order: list[str] = []
    view.observe(lambda change: order.append(change.name))
    view.text = "a hat"
    assert [name for name in order if name != "text"][-1] == "weights"
    assert {"tokens", "shape"} <= set(order)


def test_vectors_never_belong_to_an_earlier_text(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer, mode="neuron")
    first = view.vectors
    view.text = TEXT[::-1]
    assert len(view.vectors) == len(first)
    assert view.vectors != first
    view.mode = "lines"
    view.text = TEXT
    assert view.vectors == b""
    view.mode = "neuron"
    assert view.vectors == first


def test_what_cannot_be_read_is_said_and_the_old_map_stays(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer)
    weights, tokens = view.weights, view.tokens
    for text, sentence in (("the cöt", "'ö'"), ("", "the text is empty")):
        hear(view, text=text)
        assert sentence in view.error
        assert (view.weights, view.tokens, view.text) == (weights, tokens, text)
    hear(view, text="sat")
    assert (view.error, view.tokens) == ("", list("sat"))


def test_a_special_token_is_ordinary_text_unless_allowed(model: GPT) -> None:
    tokenizer = CharTokenizer("<|endoftx> cat")
    model = GPT(GPTConfig(tokenizer.vocab_size, block_size=16, n_layer=1, n_head=1, n_embd=4))
    assert len(AttentionView(model, "<|endoftext|>", tokenizer).tokens) == 13
    view = AttentionView(model, "<|endoftext|>", tokenizer, allowed_special="all")
    assert view.tokens == ["<|endoftext|>"]
    view.text = "cat<|endoftext|>"
    assert view.tokens == ["c", "a", "t", "<|endoftext|>"]


# ---- traits


def test_heads_are_given_by_number_or_one_by_one() -> None:
    view = AttentionView(attention(2, 3, 4, 4), head=1)
    assert (view.heads, view.head) == ([0, 1, 2], 1)
    view.heads = [2, 0]
    assert (view.heads, view.head) == ([0, 2], -1)
    view.heads = [False, True, True]
    assert view.heads == [1, 2]
    hear(view, heads=[1], head=-1)
    assert view.heads == [1]
    assert AttentionView(attention(2, 3, 4, 4), heads=[True, False, True], head=2).head == 2
    assert AttentionView(attention(2, 3, 4, 4), heads=torch.tensor([0, 2])).heads == [0, 2]
    assert AttentionView(attention(4, 4)).head == 0  # the mean of one head is that head


def test_the_browser_may_speak_of_a_token_that_is_gone(model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, "cat", tokenizer)
    hear(view, hover=3, key=77)
    assert (view.hover, view.key) == (-1, -1)
    hear(view, hover=2, key=0)
    assert (view.hover, view.key) == (2, 0)


def test_views_are_linked_where_they_may_have_the_same_values(model: GPT, tokenizer: CharTokenizer) -> None:
    view, shorter = AttentionView(model, TEXT, tokenizer), AttentionView(model, "cat", tokenizer)
    without = AttentionView(attention(2, 3, len(TEXT), len(TEXT)))
    names = ["layer", "head", "mode", "hover", "key", "scale"]
    linked = lambda *views: {name for _, _, name in side_by_side(*views, link=names).links()}  # noqa: E731
    assert linked(view, AttentionView(model, TEXT[::-1], tokenizer)) == set(names)
    assert linked(view, shorter) == set(names) - {"hover", "key"}
    assert linked(view, without) == set(names) - {"mode"}
    assert linked(view, AttentionView(attention(5, 2, 3, 3))) == {"scale"}


# ---- what it warns of


def test_rows_that_do_not_sum_to_one_are_counted_and_the_furthest_is_named() -> None:
    weights = attention(2, 3, 4, 4)
    weights[1, 2, 3] *= 0.5
    weights[0, 1, 2] *= 1.1
    view = AttentionView(weights, list("abcd"))
    found = "2 rows of weights do not sum to 1; the furthest sums to 0.500: layer 1, head 2, query 3 (d)"
    assert view.warnings == [found]
    assert view.places == [[1, 2, 3, -1]]


def test_a_row_of_zeros_is_named_apart() -> None:
    weights = attention(2, 3, 4, 4)
    weights[1, 0, 2] = 0
    view = AttentionView(weights, list("abcd"))
    sentence = "1 row of weights are all zeros, a query that sees nothing: layer 1, head 0, query 2 (c)"
    assert view.warnings == [sentence]
    assert view.places == [[1, 0, 2, -1]]


def test_a_later_token_that_is_visible_is_named() -> None:
    weights = attention(2, 3, 4, 4)
    weights[1, 2, 1] = torch.tensor([0.25, 0.25, 0.1, 0.4])
    view = AttentionView(weights, list("abcd"))
    where = "layer 1, head 2, query 1 (b) looks at key 3 (d) with weight 0.400"
    assert view.warnings == [f"a later token is visible in 2 places; {where}"]
    assert view.places == [[1, 2, 1, 3]]
    assert AttentionView(weights, causal=False).warnings == []
    assert AttentionView(attention(2, 3, 4, 4) + 1e-9).warnings == []  # nothing to speak of


def test_a_leak_smaller_than_a_step_is_found_and_shown() -> None:
    weights = attention(1, 1, 4, 4)
    weights[0, 0, 0] = torch.tensor([0.9991, 0.0, 0.0009, 0.0])
    view = AttentionView(weights)
    assert np.frombuffer(view.weights, np.uint8).reshape(4, 4)[0].tolist() == [255, 0, 1, 0]
    assert "query 0 (0) looks at key 2 (2) with weight 0.001" in view.warnings[0]


def test_queries_behind_a_past_may_see_it_and_nothing_later() -> None:
    weights = attention(1, 2, 3, 5)  # the last three of five tokens
    assert AttentionView(weights, causal=True).warnings == []
    assert AttentionView(weights).warnings == []
    weights[0, 1, 0] = torch.tensor([0.2, 0.2, 0.2, 0.1, 0.3])
    assert "query 0 (0) looks at key 4 (4)" in AttentionView(weights, causal=True).warnings[0]
    assert AttentionView(weights).warnings == []  # not square, so nothing says which token is a later one


def test_vectors_that_do_not_give_the_weights_are_named(model: GPT, tokenizer: CharTokenizer) -> None:
    weights, q, k = whole(recorded(model, tokenizer))
    q = q.clone()
    q[1, 2, 5] *= 500
    view = AttentionView(weights, q=q, k=k)
    assert len(view.warnings) == 1
    assert re.search(
        r"q and k do not give these weights; they are 0\.\d+ apart at layer 1, head 2, query 5", view.warnings[0]
    )


@given(st.integers(1, 2), st.integers(1, 3), st.integers(2, 5), st.integers(0, 999), st.data())
def test_warnings_are_those_that_loops_find(L: int, H: int, T: int, seed: int, data: st.DataObject) -> None:
    weights = attention(L, H, T, T, seed=seed)
    for _ in range(data.draw(st.integers(0, 3))):
        spot = tuple(data.draw(st.integers(0, size - 1)) for size in (L, H, T, T))
        weights[spot] += data.draw(st.sampled_from([0.0, 0.25, 0.5]))
    found = AttentionView(weights).warnings
    rows = [(w, h, t) for w in range(L) for h in range(H) for t in range(T)]
    off = sum(abs(sum(weights[row].tolist()) - 1) > 1e-3 for row in rows)
    later = sum(weights[w, h, t, s].item() > 0 for w, h, t in rows for s in range(t + 1, T))
    counts = [int(sentence.split()[0]) for sentence in found if "sum to 1" in sentence]
    assert counts == ([off] if off else [])
    places = [int(re.search(r"in (\d+) place", sentence)[1]) for sentence in found if "later" in sentence]
    assert places == ([later] if later else [])


# ---- the picture


@pytest.fixture
def drawn(model: GPT, tokenizer: CharTokenizer) -> Callable[..., Figure]:
    def make(view: AttentionView | None = None, **settings: Any) -> Figure:
        figure = Figure(layout="constrained")
        (view or AttentionView(model, TEXT, tokenizer, **settings)).draw(figure)
        figure.draw_without_rendering()
        return figure

    return make


def test_the_picture_of_the_map_holds_the_mean_of_the_heads_that_are_on(
    drawn: Callable, model: GPT, tokenizer: Any
) -> None:
    seen = recorded(model, tokenizer)
    weights = seen[1]["weights"][0]
    for settings, wanted in (
        ({}, weights.mean(0)),
        ({"head": 2}, weights[2]),
        ({"heads": [0, 2]}, weights[::2].mean(0)),
    ):
        figure = drawn(mode="heat", layer=1, **settings)
        assert np.allclose(figure.axes[0].images[0].get_array(), wanted, atol=1e-6)
    by_row = drawn(mode="heat", layer=1, head=0, scale="row").axes[0].images[0].get_array()
    assert np.allclose(by_row.max(1), 1)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == list(TEXT.replace(" ", "␣"))


def test_the_picture_of_all_heads_has_each_in_its_place(drawn: Callable) -> None:
    weights = torch.zeros(2, 3, 4, 4)
    weights[1, 2] = torch.eye(4)
    weights[0, 1, :, 0] = 1
    image = np.asarray(drawn(AttentionView(weights, mode="grid")).axes[0].images[0].get_array().filled(-1))
    tiles = image.reshape(2, 6, 3, 6).swapaxes(1, 2)[:, :, 1:-1, 1:-1]
    assert np.array_equal(tiles, weights.numpy())


def test_the_picture_of_lines_goes_from_the_query_to_the_key(drawn: Callable) -> None:
    weights = torch.zeros(1, 2, 3, 3)
    weights[0, 0, 2, 0], weights[0, 0, 2, 1] = 0.75, FAINT / 2
    weights[0, 1, 1, 1] = 1
    figure = drawn(AttentionView(weights, mode="lines", causal=False))
    first, second = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert [(line[0].tolist(), line[-1].tolist()) for line in first.get_segments()] == [([0, 2], [1, 0])]
    assert [(line[0].tolist(), line[-1].tolist()) for line in second.get_segments()] == [([0, 1], [1, 1])]
    dimmed = drawn(AttentionView(weights, mode="lines", causal=False, hover=2)).axes[0].collections
    assert dimmed[1].get_alpha()[0] < 0.2 < dimmed[0].get_alpha()[0]  # only the one pointed at stays as it is
    assert drawn(AttentionView(weights, mode="lines", head=1)).axes[0].collections[0].get_segments()[0][0].tolist() == [
        0,
        1,
    ]


def test_the_picture_says_when_no_line_is_strong_enough(drawn: Callable) -> None:
    view = AttentionView(torch.full((30, 30), 1 / 30), causal=False)
    assert drawn(view).axes[0].get_title() == "layer 0, head 0: all weaker than 0.04, try scale='row'"
    view.scale = "row"
    assert drawn(view).axes[0].get_title() == "layer 0, head 0: left looks at right"


def test_what_is_done_to_the_weights_later_changes_nothing(drawn: Callable) -> None:
    for weights in (attention(1, 1, 4, 4), attention(1, 1, 4, 4).numpy()):
        view, before = AttentionView(weights, mode="heat"), torch.as_tensor(weights)[0, 0].clone()
        weights[:] = 0.5
        assert np.allclose(drawn(view).axes[0].images[0].get_array().filled(0), before, atol=1e-6)


def test_a_picture_of_many_tokens_stays_small_and_readable(drawn: Callable) -> None:
    view = AttentionView(attention(2, 4, 256, 256))
    for mode in ("lines", "heat", "grid"):
        view.mode = mode
        assert max(view.size) <= 13
        assert len(view.to_png()) < 700_000
        figure = drawn(view)
        assert len(figure.axes[0].get_yticks()) <= 64
    view.mode = "lines"
    lines = sum(len(c.get_segments()) for c in drawn(view).axes[0].collections)
    assert 0 < lines <= MOST_LINES + 4  # equal ones may be more


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_picture_that_is_the_same_each_time(mode: str, model: GPT, tokenizer: CharTokenizer) -> None:
    view = AttentionView(model, TEXT, tokenizer, mode=mode, hover=4)
    bundle = view._repr_mimebundle_()[0]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == repr(view) == "AttentionView(2 layers, 3 heads, 11 tokens)"
    assert view.to_svg() == view.to_svg()
    assert "<svg" in view.to_svg()


def test_tokens_that_matplotlib_would_take_for_formulas_are_drawn() -> None:
    AttentionView(attention(3, 3), ["$x", "$\\frac$", "_^"], mode="heat").to_png()


def test_the_picture_of_a_query_shows_its_scores(drawn: Callable, model: GPT, tokenizer: CharTokenizer) -> None:
    seen = recorded(model, tokenizer)
    q, k, weights = (seen[1][name][0, 2] for name in ("q", "k", "weights"))
    figure = drawn(mode="neuron", layer=1, head=2, hover=4)
    scores, softmax = ([bar.get_width() for bar in axes.patches] for axes in figure.axes[2:4])
    assert np.allclose(scores, [sum(q[4] * k[s]).item() / 2 for s in range(5)], atol=1e-5)
    assert np.allclose(softmax, weights[4, :5], atol=1e-6)


def test_it_stands_among_the_names_of_the_package() -> None:
    assert gptlib.AttentionView is AttentionView


def test_the_picture_of_a_long_text_names_the_held_token_and_what_it_looks_at() -> None:
    """With every second name left out, the two that matter could be among them."""
    weights = torch.eye(100)
    weights[51] = torch.nn.functional.one_hot(torch.tensor(33), 100)
    figure = Figure()
    AttentionView(weights, mode="lines", hover=51).draw(figure)
    left, right = ([text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes)
    assert "51" in left and "33" in right and "33" not in left and "51" not in right
