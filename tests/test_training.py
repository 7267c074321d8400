"""Training: the optimizers against torch's, the schedule, clipping, evaluation, and runs that survive any stop."""

import dataclasses
import json
import math
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from gptlib import training
from gptlib._files import atomic_path
from gptlib._run_folder import read_tree, restore, state_of, write_tree
from gptlib.data import document_starts, encode_text, eval_batches, get_batch
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.training import (
    AdamW,
    Muon,
    TrainConfig,
    Trainer,
    clip_grad_norm,
    cosine_lr,
    decay_groups,
    evaluate,
    evaluating,
    load_run,
    make_optimizers,
    orthogonalize,
    save_run,
    train,
    update_once,
    updates_to_do,
    window_starts,
)

WORDS = ["the cat", "a dog", "one mouse", "the bird"]
TEXT = "\n<|endoftext|>\n".join(f"{a} saw {b} and ran" for a in WORDS for b in WORDS) + "\n<|endoftext|>\n"
TOKENIZER = CharTokenizer.train(TEXT)
TOKENS = encode_text(TEXT * 3, TOKENIZER)
VAL = encode_text(TEXT, TOKENIZER)
# What the tests rely on is written out, so that the defaults may change.
CONFIG = TrainConfig(max_steps=20, batch_size=3, accumulation=2, eval_every=5, warmup_steps=3, device="cpu")
CONFIG = dataclasses.replace(CONFIG, lr=3e-3, muon_lr=0.02, min_lr=0.1, weight_decay=0.0, betas=(0.9, 0.95), seed=0)

History = list[dict[str, float]]


def tiny(dropout: float = 0.1, seed: int = 0, **changes: Any) -> GPT:
    torch.manual_seed(seed)
    sizes = {"vocab_size": TOKENIZER.vocab_size, "block_size": 12, "n_layer": 2, "n_head": 2, "n_embd": 16}
    return GPT(GPTConfig(**(sizes | changes), dropout=dropout))


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().cpu() for p in model.parameters()])


def untimed(history: History) -> History:
    return [{name: value for name, value in record.items() if name != "tokens_per_second"} for record in history]


def gradients(seed: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        for size in (1.0, 1e-3, 0.0, 30.0):
            yield torch.randn(7, 5, generator=generator, dtype=torch.float64) * size


# ---- AdamW


def step_through(optimizer: torch.optim.Optimizer, p: nn.Parameter, stream: Iterator[torch.Tensor], steps: int) -> None:
    for _ in range(steps):
        p.grad = next(stream).to(p.dtype)
        optimizer.step()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_ten_steps_equal_torchs_adamw(dtype: torch.dtype, tolerance: float, eps: float) -> None:
    """Decay after the step, eps before the correction, L2 in the gradient: with big lr, decay and eps each shows."""
    pair = []
    for kind in (AdamW, torch.optim.AdamW):
        p = nn.Parameter(torch.linspace(-2, 2, 35, dtype=dtype).reshape(7, 5))
        step_through(kind([p], lr=0.3, betas=(0.8, 0.95), eps=eps, weight_decay=0.7), p, gradients(1), 10)
        pair.append(p.detach())
    torch.testing.assert_close(*pair, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kinds", [(AdamW, torch.optim.AdamW), (torch.optim.AdamW, AdamW)])
def test_the_state_goes_over_to_torchs_and_back(kinds: tuple[Any, Any]) -> None:
    """Five steps with one class, its state loaded into the other, five more: as ten with torch's."""
    settings = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.5}
    stream, p = gradients(2), nn.Parameter(torch.ones(7, 5, dtype=torch.float64))
    first = kinds[0]([p], **settings)
    step_through(first, p, stream, 5)
    second = kinds[1]([p])  # other settings: they come with the state
    second.load_state_dict(first.state_dict())
    step_through(second, p, stream, 5)
    expected = nn.Parameter(torch.ones(7, 5, dtype=torch.float64))
    step_through(torch.optim.AdamW([expected], **settings), expected, gradients(2), 10)
    torch.testing.assert_close(p, expected, rtol=1e-12, atol=1e-12)


def test_parameters_of_one_group_keep_their_own_count_of_steps() -> None:
    """One of three has no gradient in every second step: its means are younger, and are corrected for that."""
    pair = []
    for kind in (AdamW, torch.optim.AdamW):
        params, stream = [nn.Parameter(torch.ones(7, 5, dtype=torch.float64)) for _ in range(3)], gradients(3)
        optimizer = kind(params, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.5)
        for step in range(8):
            for p in params:
                p.grad = next(stream)
            params[1].grad = None if step % 2 else params[1].grad
            optimizer.step()
        pair.append(torch.stack([p.detach() for p in params]))
    torch.testing.assert_close(*pair, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [AdamW, Muon])
def test_a_closure_is_called_with_gradients_on_and_a_weight_without_gradient_rests(kind: Any) -> None:
    used, unused = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    optimizer = kind([used, unused], lr=0.1)

    def closure() -> torch.Tensor:
        loss = used.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 6
    assert not torch.equal(used, unused) and torch.equal(unused, torch.ones(2, 3))


# ---- Muon


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10**6), st.floats(-6, 6))
def test_orthogonalizing_makes_all_singular_values_alike(rows: int, columns: int, seed: int, exponent: float) -> None:
    """Whatever the size of the matrix and of its entries, and the directions stay where they were."""
    generator = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(2, rows, columns, generator=generator), full_matrices=False)
    spread = torch.linspace(1, 0.1, min(rows, columns))
    result = orthogonalize(10**exponent * u @ torch.diag(spread) @ v)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.65 and values.max() < 1.25
    in_place = u.mT @ result @ v.mT
    torch.testing.assert_close(in_place, torch.diag_embed(in_place.diagonal(dim1=-2, dim2=-1)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 24, 60), (4, 60, 24), (4, 30, 30)])
def test_rounds_gathered_in_the_gram_matrix_equal_rounds_on_the_matrix(shape: tuple[int, ...]) -> None:
    """For a round that is left out, or a Gram matrix that is not brought along; also where directions are missing."""
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    matrices[1] = matrices[1, :, :1] @ matrices[1, :1]  # one direction, the rest 0
    a, b, c = 3.4445, -4.7750, 2.0315
    slow = matrices.double() / matrices.double().norm(dim=(-2, -1), keepdim=True)
    for _ in range(5):
        once = slow @ slow.mT @ slow
        slow = a * slow + b * once + c * once @ slow.mT @ slow
    torch.testing.assert_close(orthogonalize(matrices), slow.float(), rtol=1e-3, atol=1e-4)


def test_a_matrix_of_zeros_stays_finite() -> None:
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_muon_equals_its_formula_and_matrices_of_one_shape_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 4), (4, 6), (6, 4)]
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    expected, means = [p.detach().clone() for p in params], [torch.zeros(shape) for shape in shapes]
    optimizer = Muon(params, lr=0.1, momentum=0.9, weight_decay=0.5)
    for _ in range(3):
        for i, p in enumerate(params):
            p.grad = torch.randn(p.shape, generator=generator)
            means[i] = 0.9 * means[i] + 0.1 * p.grad
            update = orthogonalize((0.1 * p.grad + 0.9 * means[i])[None])[0]
            scale = max(1, p.size(0) / p.size(1)) ** 0.5
            expected[i] = expected[i] * (1 - 0.1 * 0.5) - 0.1 * scale * update
        optimizer.step()
    for p, q in zip(params, expected, strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=1e-4, atol=1e-5)


# ---- groups, schedule, clipping


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_weight_is_in_exactly_one_group_and_only_matrices_decay(tied: bool, bias: bool, kind: Any) -> None:
    """Decay on norms and biases, a tied matrix listed twice: no loss shows either."""
    model = tiny(tied=tied, bias=bias)
    optimizers = make_optimizers(model, TrainConfig(optimizer=kind, weight_decay=0.1))
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    for group in groups:
        assert all((p.dim() >= 2) == (group["weight_decay"] > 0) for p in group["params"])
    two = decay_groups(model.parameters(), 0.1)
    assert [group["weight_decay"] for group in two] == [0.1, 0.0]
    assert sum(len(group["params"]) for group in two) == len(list(model.parameters()))


def test_muon_gets_the_matrices_of_the_blocks_and_nothing_else() -> None:
    model = tiny()
    adamw, muon = make_optimizers(model, TrainConfig())
    inside = [id(p) for p in model.blocks.parameters() if p.dim() == 2]
    assert [id(p) for group in muon.param_groups for p in group["params"]] == inside and len(inside) == 8
    assert model.token_embedding.weight is adamw.param_groups[0]["params"][0]


@given(st.integers(0, 50), st.integers(1, 200), st.floats(1e-5, 10), st.floats(0, 1))
def test_the_rate_begins_above_zero_and_has_no_jump(warmup: int, more: int, peak: float, share: float) -> None:
    """A rate of 0 at step 0 wastes a batch; a jump at the joint is a kick."""
    total, low = warmup + more, share * peak
    rates = [cosine_lr(step, peak, low, warmup, total) for step in range(total + 5)]
    assert rates[0] == (peak / warmup if warmup else peak)
    assert rates[warmup] == peak and max(rates) < peak * (1 + 1e-9)
    assert rates[total:] == [low] * 5
    assert all(a < b or math.isclose(a, b) for a, b in pairwise(rates[: warmup + 1]))
    assert all(a > b or math.isclose(a, b) for a, b in pairwise(rates[warmup:]))
    middle = warmup + more / 2
    if middle == int(middle):
        assert math.isclose(rates[int(middle)], (peak + low) / 2, rel_tol=1e-9)


def test_a_run_shorter_than_its_warm_up_has_a_rate_too() -> None:
    assert [cosine_lr(step, 1.0, 0.1, 4, 2) for step in range(3)] == [0.25, 0.5, 0.75]
    assert cosine_lr(4, 1.0, 0.1, 4, 4) == 0.1


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=4), st.floats(0.01, 50), st.integers(0, 999))
def test_clipping_equals_torchs(shapes: list[tuple[int, int]], limit: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = ([nn.Parameter(torch.zeros(shape)) for shape in [*shapes, (2, 2)]] for _ in range(2))
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):  # the last one has no gradient
        p.grad = torch.randn(p.shape, generator=generator)
        q.grad = p.grad.clone()
    norm = clip_grad_norm(iter(ours), limit)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs, limit))
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    assert ours[-1].grad is None


def test_the_smallest_gradients_are_clipped_as_torchs() -> None:
    """Where what keeps the division from 0 counts as much as the norm."""
    ours, theirs = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    ours.grad, theirs.grad = torch.tensor([[3e-7, 4e-7]] * 2).unbind()
    assert clip_grad_norm(ours, 1e-7) == nn.utils.clip_grad_norm_(theirs, 1e-7)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=0)


def test_one_tensor_can_be_clipped() -> None:
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, 4.0])
    assert clip_grad_norm(p, 1.0) == 5
    torch.testing.assert_close(p.grad, torch.tensor([0.6, 0.8]))


# ---- evaluation


def test_evaluation_counts_every_token_alike_whatever_the_batches() -> None:
    """A mean of batch means lets the short last batch count too much."""
    model, starts = tiny(), document_starts(VAL, TOKENIZER.end_id)
    for given_starts in (None, starts):
        with evaluating(model), torch.no_grad():
            windows = list(eval_batches(VAL, 1, 12, starts=given_starts))
            losses = [nn.functional.cross_entropy(model(x)[0], y[0], reduction="sum").item() for x, y in windows]
        by_hand = sum(losses) / (len(VAL) - 1)
        for size in (1, 5, 32):
            assert math.isclose(evaluate(model, VAL, starts=given_starts, batch_size=size), by_hand, rel_tol=1e-5)


def test_an_evaluation_asks_for_batches_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device `meta`, as there may be no other: one that leaves them on the CPU fails on each GPU."""

    def asked(*args: Any, device: Any = "cpu", **settings: Any) -> None:
        raise InterruptedError(str(device))

    monkeypatch.setattr(training, "eval_batches", asked)
    with pytest.raises(InterruptedError, match="meta"):
        evaluate(tiny().to("meta"), VAL)


def test_dropout_is_off_while_evaluating_and_as_it_was_afterwards() -> None:
    """Also after an error: a forgotten train() switches dropout off for the rest of a run."""
    model = tiny(dropout=0.5)
    assert evaluate(model, VAL) == evaluate(model, VAL)
    assert model.training
    with pytest.raises(KeyError), evaluating(model):
        assert not model.training and not model.blocks[0].training
        raise KeyError
    assert model.training and model.blocks[0].training
    with evaluating(model.eval()):
        pass
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


@given(st.lists(st.lists(st.integers(1, 9), max_size=12), min_size=2, max_size=6), st.integers(1, 7))
def test_windows_begin_with_documents_and_leave_nothing_out(docs: list[list[int]], block: int) -> None:
    class WithEnd:
        end_id = 0

    tokens = np.array([0, *(token for doc in docs for token in [*doc, 0])], dtype=np.uint16)
    starts = window_starts(tokens, WithEnd(), block)
    assert starts is not None and set(document_starts(tokens, 0)) <= set(starts.tolist())
    edges = [*starts.tolist(), len(tokens) - 1]
    assert all(0 < b - a <= block for a, b in pairwise(edges))
    inside = set(starts.tolist()) - set(document_starts(tokens, 0))
    assert all(start - block in starts for start in inside)


def test_one_long_text_and_no_end_mark_mean_windows_anywhere() -> None:
    assert window_starts(VAL[:20], TOKENIZER, 4) is None
    assert window_starts(VAL, CharTokenizer.train(TEXT, special_tokens=()), 4) is None
    assert window_starts(VAL, None, 4) is None


# ---- one update


def test_an_update_equals_one_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates by hand with torch's optimizer and clipping: the order of clearing, dividing, clipping, stepping."""
    config = dataclasses.replace(CONFIG, optimizer="adamw", grad_clip=0.1, max_steps=2, weight_decay=0.1)
    trained, by_hand = tiny(dropout=0.0), tiny(dropout=0.0)
    optimizer = torch.optim.AdamW(decay_groups(by_hand.parameters(), 0.1), 1.0, betas=config.betas)
    windows = torch.Generator().manual_seed(config.seed)
    for rate in (1 / 3, 2 / 3):  # of the warm-up
        by_hand.zero_grad()
        for _ in range(2):
            (by_hand(*get_batch(TOKENS, 3, 12, generator=windows))[1] / 2).backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.1)
        for group in optimizer.param_groups:
            group["lr"] = rate * config.lr
        optimizer.step()
    by_chance = trained.token_embedding.weight
    by_chance.grad = torch.full_like(by_chance, 1e3)  # left over from before: no part of the training
    train(trained, TOKENS, VAL, config)
    torch.testing.assert_close(flat(trained), flat(by_hand), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_four_batches_of_eight_equal_one_of_thirty_two(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dividing, or with zero_grad per batch, they differ; float64, so that rounding does not."""
    whole = dataclasses.replace(CONFIG, optimizer=kind, batch_size=32, accumulation=1, max_steps=3, grad_clip=0.05)
    split = dataclasses.replace(whole, batch_size=8, accumulation=4)
    models = [tiny(dropout=0.0).double() for _ in range(2)]
    histories = [train(model, TOKENS, VAL, config) for model, config in zip(models, (whole, split), strict=True)]
    torch.testing.assert_close(flat(models[0]), flat(models[1]), rtol=1e-9, atol=1e-9)
    assert [record["tokens"] for record in histories[0]] == [record["tokens"] for record in histories[1]]
    assert math.isclose(histories[0][-1]["grad_norm"], histories[1][-1]["grad_norm"], rel_tol=1e-6)


def test_scaled_gradients_are_clipped_after_they_are_scaled_back(tmp_path: Path) -> None:
    """What float16 on a GPU needs, tried here in float32: scaling by a power of two must change nothing at all."""
    runs = [Trainer(tiny(dropout=0.0), TOKENS, VAL, dataclasses.replace(CONFIG, grad_clip=0.1)) for _ in range(3)]
    for run in runs[1:]:
        run.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    for run in runs[:2]:
        for _ in range(3):
            update_once(run)
    assert torch.equal(flat(runs[0].model), flat(runs[1].model))
    write_tree(tmp_path / "state", state_of(runs[1]))
    restore(runs[2], read_tree(tmp_path / "state"))
    assert runs[2].scaler.get_scale() == runs[1].scaler.get_scale() == 2048
    for run in runs[1:]:
        update_once(run)
    assert torch.equal(flat(runs[1].model), flat(runs[2].model))


@pytest.mark.parametrize("place", ["blocks.0.mlp.up.weight", "norm.weight"])
def test_an_overflow_moves_neither_optimizer_and_lowers_the_scale(place: str) -> None:
    """Whichever of them got it: scaled back, inf clips the other's gradients to 0, and a step with 0 still moves."""
    run = Trainer(tiny(dropout=0.0), TOKENS, VAL, dataclasses.replace(CONFIG, weight_decay=0.1))
    run.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    update_once(run)
    before, moments = flat(run.model), [o.state_dict()["state"] for o in run.optimizers]
    moments = [{name: value.clone() for name, value in state.items()} for o in moments for state in o.values()]
    hook = run.model.get_parameter(place).register_hook(lambda grad: grad * torch.inf)
    update_once(run)
    after = [state for o in run.optimizers for state in o.state_dict()["state"].values()]
    assert torch.equal(flat(run.model), before) and run.progress.step == 2
    assert all(torch.equal(one[name], two[name]) for one, two in zip(moments, after, strict=True) for name in one)
    assert run.scaler.get_scale() == 512
    hook.remove()
    update_once(run)
    assert torch.isfinite(flat(run.model)).all() and not torch.equal(flat(run.model), before)


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_mixed_precision_trains_and_keeps_float32_weights(precision: Any) -> None:
    model = tiny()
    dtypes = []
    model.head.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    history = train(model, TOKENS, VAL, dataclasses.replace(CONFIG, precision=precision))
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert set(dtypes) == ({torch.float32} if precision == "float32" else {torch.float32, torch.bfloat16})
    run = Trainer(model, TOKENS, VAL, dataclasses.replace(CONFIG, precision=precision))
    assert not run.scaler.is_enabled(), "its range is that of float32: only float16 needs its loss scaled"


# ---- a run


def test_a_history_begins_at_ln_v_and_says_what_happened() -> None:
    seen: History = []
    model, began = tiny(), time.perf_counter()
    history = train(model, TOKENS, VAL, CONFIG, tokenizer=TOKENIZER, on_eval=seen.append)
    seconds = time.perf_counter() - began
    assert history == seen
    assert [record["step"] for record in history] == [0, 5, 10, 15, 20]
    assert [record["tokens"] for record in history] == [step * 3 * 2 * 12 for step in (0, 5, 10, 15, 20)]
    for name in ("train_loss", "val_loss"):
        assert abs(history[0][name] - math.log(TOKENIZER.vocab_size)) < 0.15
    assert history[-1]["val_loss"] < history[0]["val_loss"] - 0.1
    starts = window_starts(VAL, TOKENIZER, 12)
    assert history[-1]["val_loss"] == evaluate(model, VAL, starts=starts)
    assert history[1]["lr"] == cosine_lr(4, CONFIG.lr, 0.1 * CONFIG.lr, 3, 20)
    assert all(record["train_loss"] < history[0]["train_loss"] + 0.1 for record in history[1:]), "a mean, not a sum"
    slowest = 5 * 3 * 2 * 12 / seconds  # as if the whole run had gone into five updates
    assert all(slowest < record["tokens_per_second"] < 1e3 * slowest for record in history[1:])
    assert not model.training


def test_the_last_step_is_evaluated_whatever_eval_every_says() -> None:
    history = train(tiny(), TOKENS, VAL, dataclasses.replace(CONFIG, max_steps=7, eval_every=4))
    assert [record["step"] for record in history] == [0, 4, 7]


def test_the_rate_can_go_down_in_a_straight_line() -> None:
    history = train(tiny(), TOKENS, VAL, dataclasses.replace(CONFIG, schedule="linear", eval_every=10))
    assert history[1]["lr"] == pytest.approx(CONFIG.lr * (0.1 + 0.9 * 11 / 17)), "after the 10th update, number 9"


def test_the_memory_of_muon_is_the_configurations() -> None:
    assert make_optimizers(tiny(), TrainConfig(momentum=0.9))[1].defaults["momentum"] == 0.9


def test_epochs_count_the_tokens_of_the_text() -> None:
    config = TrainConfig(epochs=3, batch_size=4, accumulation=2)
    assert updates_to_do(config, 1600, 10) * 4 * 2 * 10 == 3 * 1600
    assert updates_to_do(config, 10, 10) == 1
    assert updates_to_do(dataclasses.replace(config, max_steps=9), 1600, 10) == 9


def test_the_bar_says_loss_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny(), TOKENS, VAL, CONFIG, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "loss " in err and "tokens/s" in err and "<00:00" in err
    train(tiny(), TOKENS, VAL, CONFIG)
    assert capsys.readouterr() == ("", "")


def test_training_works_in_another_thread() -> None:
    histories: list[History] = []
    thread = threading.Thread(target=lambda: histories.append(train(tiny(), TOKENS, VAL, CONFIG)))
    thread.start()
    thread.join(60)
    assert histories[0][-1]["step"] == 20


# ---- the folder


def test_a_run_folder_holds_the_best_model_and_its_description(tmp_path: Path) -> None:
    """The loss goes up at the end: the saved model is not the last one."""
    wild = dataclasses.replace(CONFIG, max_steps=30, lr=0.02, muon_lr=0.05, warmup_steps=30)

    def spoil(record: dict[str, float]) -> None:
        if record["step"] == 25:
            nn.init.normal_(model.head.weight, std=0.5)

    model = tiny()
    history = train(model, TOKENS, VAL, wild, tokenizer=TOKENIZER, run_dir=tmp_path, on_eval=spoil, facts={"text": "é"})
    best = min(history, key=lambda record: record["val_loss"])
    assert best["step"] == 25
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "config.json",
        "log.csv",
        "model.safetensors",
        "state/last.safetensors",
        "tokenizer.json",
    ]
    described = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert described["model"] == dataclasses.asdict(model.config)
    assert described["training"] == dataclasses.asdict(wild) | {"betas": list(wild.betas)}
    assert described["evaluation"] == best and described["facts"] == {"text": "é"}
    rows = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == ",".join(history[0]) and len(rows) == 1 + len(history)
    assert [float(value) for value in rows[-1].split(",")] == list(history[-1].values())
    loaded, tokenizer = load_run(tmp_path)
    assert not loaded.training
    assert evaluate(loaded, VAL, starts=document_starts(VAL, TOKENIZER.end_id)) == best["val_loss"]
    assert tokenizer.encode("the cat") == TOKENIZER.encode("the cat")


@pytest.mark.parametrize("tied", [True, False])
def test_saved_and_loaded_is_the_same_model_and_a_tied_matrix_is_stored_once(tmp_path: Path, tied: bool) -> None:
    model = tiny(tied=tied)
    save_run(tmp_path, model, TOKENIZER, corpus="pets")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
        assert ("head.weight" in names) != tied
        assert sum(file.get_tensor(name).numel() for name in names) == flat(model).numel()
    loaded, _ = load_run(tmp_path)
    assert torch.equal(flat(loaded), flat(model))
    assert (loaded.head.weight is loaded.token_embedding.weight) == tied
    x = torch.from_numpy(VAL[None, :12].astype(np.int64))
    torch.testing.assert_close(loaded(x), model.eval()(x), rtol=0, atol=0)


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    for text in ("one", "two"):
        with atomic_path(path) as partial:
            assert partial.parent == path.parent and partial != path
            partial.write_text(text, encoding="utf-8")
            assert not path.exists() or path.read_text(encoding="utf-8") == "one"
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("thr", encoding="utf-8")
        raise RuntimeError
    assert [file.read_text(encoding="utf-8") for file in path.parent.iterdir()] == ["two"]


@pytest.mark.parametrize("shuffle", [True, False])
def test_shuffled_windows_are_dealt_batch_after_batch(shuffle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For batches that are all the first of the deck, or that leave some out when an update has several."""
    seen: list[int | None] = []
    draw = training.get_batch

    def noting(*args: Any, deal: int | None = None, **settings: Any) -> Any:
        seen.append(deal)
        return draw(*args, deal=deal, **settings)

    monkeypatch.setattr(training, "get_batch", noting)
    plan = dataclasses.replace(CONFIG, max_steps=4, accumulation=2, eval_every=9, shuffle=shuffle)
    train(tiny(), TOKENS, VAL, plan, tokenizer=TOKENIZER)
    first, then = seen[:2], seen[2:]  # the record of step 0 reads the first update's batches, too
    assert then == (list(range(8)) if shuffle else [None] * 8) and first == then[:2]
