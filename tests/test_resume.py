"""Exact: a run that was stopped at any step and gone on with is the unbroken run, bit for bit."""

import dataclasses
import itertools
import json
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import CONFIG, TEXT, TOKENIZER, TOKENS, VAL, flat, tiny, untimed

from gptlib import training
from gptlib._run_folder import STRETCH, checksum, read_tree, write_tree
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer
from gptlib.training import TrainConfig, cosine_lr, load_run, train, updates_to_do, window_starts

pytestmark = pytest.mark.usefixtures("listening")

ONE_TEXT = TEXT.replace("<|endoftext|>", "--")
WITHOUT_END = CharTokenizer.train(ONE_TEXT, special_tokens=())
TEXTS = {  # what windows begin with: documents, and anywhere in one long text
    "documents": (TOKENIZER, TOKENS[:900], VAL[:150]),
    "one text": (WITHOUT_END, np.array(WITHOUT_END.encode(ONE_TEXT * 3))[:900], VAL[-150:]),
}
STEPS = 12
WHOLE = dataclasses.replace(CONFIG, max_steps=STEPS, eval_every=5, weight_decay=0.1)


@contextmanager
def stop_in(update: int, number: int = signal.SIGINT) -> Iterator[None]:
    """Send the signal in the middle of the update that follows `update` others."""
    original, made = training.clip_grad_norm, []

    def clip(*arguments: Any) -> Any:
        if len(made) == update:
            signal.raise_signal(number)
        made.append(1)
        return original(*arguments)

    with patch.object(training, "clip_grad_norm", clip):
        yield


def state(folder: Path) -> Any:
    """All that is saved, without what the clock says."""
    tree = read_tree(folder / "state" / "last.safetensors")
    tree["progress"]["history"] = untimed(tree["progress"]["history"])
    del tree["progress"]["seconds"]
    return tree


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two trees of values and tensors are not the same in every bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for name in one for place in differences(one[name], other[name], f"{at}/{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [place for n in range(len(one)) for place in differences(one[n], other[n], f"{at}/{n}")]
    both = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    same = torch.equal(one, other) and one.dtype == other.dtype if both else type(one) is type(other) and one == other
    return [] if same else [at]


def small(tokenizer: Any, dropout: float, seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    return GPT(GPTConfig(tokenizer.vocab_size, block_size=8, n_layer=1, n_head=2, n_embd=8, dropout=dropout))


# ---- stopped and gone on


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of twelve updates without a stop."""
    folder = tmp_path_factory.mktemp("unbroken")
    train(tiny(), TOKENS, VAL, WHOLE, tokenizer=TOKENIZER, run_dir=folder)
    return folder


IN_SHORT = (0, 4, 7, STEPS - 1)
ALL_STEPS = [pytest.param(n, marks=() if n in IN_SHORT else pytest.mark.long) for n in range(STEPS)]


@pytest.mark.parametrize("update", ALL_STEPS)
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_stop_in_any_update_leaves_no_trace(tmp_path: Path, unbroken: Path, update: int, number: int) -> None:
    """With dropout and accumulation; a forgotten optimizer, generator or random state shows in the last bit."""
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    with stop_in(update, number):
        stopped = train(tiny(), TOKENS, VAL, WHOLE, **given)
    assert state(tmp_path)["progress"]["step"] == update + 1, "the update is finished, not thrown away"
    assert stopped[-1]["step"] == (STEPS if update + 1 == STEPS else (update + 1) // 5 * 5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    torch.rand(7)  # the world goes on in between
    gone_on = tiny(seed=9)
    history = train(gone_on, TOKENS, VAL, WHOLE, resume=True, **given)
    assert differences(state(tmp_path), state(unbroken)) == []
    assert untimed(history) == state(unbroken)["progress"]["history"]
    assert (tmp_path / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()
    assert len((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(history)


@st.composite
def plans(draw: Any) -> dict[str, Any]:
    """A way to train, where to stop it, and how to evaluate afterwards."""
    text = draw(st.sampled_from(sorted(TEXTS)))
    config = TrainConfig(
        epochs=draw(st.floats(0.05, 0.6)),
        batch_size=draw(st.integers(1, 5)),
        accumulation=draw(st.integers(1, 3)),
        optimizer=draw(st.sampled_from(["muon", "adamw"])),
        lr=3e-3,
        warmup_steps=draw(st.integers(0, 4)),
        weight_decay=draw(st.sampled_from([0.0, 0.3])),
        grad_clip=draw(st.sampled_from([0.1, 10.0])),
        precision=draw(st.sampled_from(["float32", "float32", "bfloat16"])),
        device="cpu",
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
        eval_every=draw(st.integers(1, 9)),
    )
    total = updates_to_do(config, 900, 8)
    if total > 16:
        config = dataclasses.replace(config, max_steps=16)
    stops = draw(st.lists(st.integers(0, min(total, 16) - 1), min_size=1, max_size=2))
    return {
        "text": text,
        "config": config,
        "dropout": draw(st.sampled_from([0.0, 0.2])),
        "stops": sorted(stops),
        "later": draw(st.sampled_from([config.eval_every, draw(st.integers(1, 9))])),
    }


@settings(max_examples=settings().max_examples // 6)
@given(plans())
def test_stopped_equals_unbroken_however_it_is_trained(plan: dict[str, Any]) -> None:
    tokenizer, tokens, val = TEXTS[plan["text"]]
    assert (window_starts(tokens, tokenizer, 8) is None) == (plan["text"] == "one text")
    config, later = plan["config"], dataclasses.replace(plan["config"], eval_every=plan["later"])
    with TemporaryDirectory() as whole, TemporaryDirectory() as parts:
        train(small(tokenizer, plan["dropout"]), tokens, val, config, tokenizer=tokenizer, run_dir=whole)
        made, resume = 0, False
        for stop in plan["stops"]:
            with stop_in(max(0, stop - made)):
                model = small(tokenizer, plan["dropout"], seed=int(resume))
                train(model, tokens, val, config, tokenizer=tokenizer, run_dir=parts, resume=resume)
            made, resume = state(Path(parts))["progress"]["step"], True
        model = small(tokenizer, plan["dropout"], seed=5)
        train(model, tokens, val, later, tokenizer=tokenizer, run_dir=parts, resume=True)
        one, other = state(Path(whole)), state(Path(parts))
    if config != later:  # only some records are of the same step, and their means begin elsewhere
        both = [{record["step"]: record for record in tree["progress"].pop("history")} for tree in (one, other)]
        common = both[0].keys() & both[1].keys()
        assert {0, one["progress"]["step"]} <= common
        for step in common:
            pair = [{name: value for name, value in records[step].items() if name != "train_loss"} for records in both]
            assert pair[0] == pair[1]
    assert differences(one, other) == []


def test_a_stop_in_on_eval_is_a_stop_too(tmp_path: Path, unbroken: Path) -> None:
    """As the interrupt button of a notebook does while a picture is drawn."""

    def stop(record: dict[str, float]) -> None:
        if record["step"] == 5:
            raise KeyboardInterrupt

    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    assert train(tiny(), TOKENS, VAL, WHOLE, on_eval=stop, **given)[-1]["step"] == 5
    train(tiny(seed=9), TOKENS, VAL, WHOLE, resume=True, **given)
    assert differences(state(tmp_path), state(unbroken)) == []


def test_a_second_ctrl_c_stops_at_once_and_the_run_stays_usable(tmp_path: Path, monkeypatch: Any) -> None:
    def press_twice(*arguments: Any, **more: Any) -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    def impatient(record: dict[str, float]) -> None:
        if record["step"] == 5:
            monkeypatch.setattr(training, "get_batch", press_twice)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), TOKENS, VAL, WHOLE, tokenizer=TOKENIZER, run_dir=tmp_path, on_eval=impatient)
    assert load_run(tmp_path)[0].config == tiny().config
    monkeypatch.undo()
    assert train(tiny(), TOKENS, VAL, WHOLE, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)[-1]["step"] == STEPS


def test_a_run_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    history = train(tiny(), TOKENS, VAL, WHOLE, **given)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert train(tiny(seed=9), TOKENS, VAL, WHOLE, resume=True, **given) == history
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


# ---- the same seed, the same run


def test_seeds_decide_and_the_random_state_outside_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    results = []
    for seed, noise in [(1, 3), (1, 4), (2, 3)]:
        model = tiny()
        torch.manual_seed(5 if noise == 3 else 6)
        short = dataclasses.replace(CONFIG, seed=seed, max_steps=5)
        train(model, TOKENS, VAL, short, on_eval=lambda record: torch.rand(2))
        results.append(flat(model))
        if noise == 3:
            assert torch.equal(torch.rand(3), expected)
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def test_each_of_windows_and_dropout_depends_on_the_seed() -> None:
    """A constant seed for one of them hides behind the other."""
    for dropout, tokens in ((0.0, TOKENS), (0.5, TOKENS[:13])):  # 13 tokens have one window only
        models = [tiny(dropout) for _ in range(3)]
        for model, seed in zip(models, (1, 1, 2), strict=True):
            train(model, tokens, VAL, dataclasses.replace(CONFIG, seed=seed, max_steps=2))
        assert torch.equal(flat(models[0]), flat(models[1])) and not torch.equal(flat(models[0]), flat(models[2]))


def test_what_on_eval_does_has_no_influence() -> None:
    """It may draw, set the seed, or spoil the record that it is given."""
    short = dataclasses.replace(CONFIG, max_steps=6, eval_every=2)
    results = []
    for listener in (None, lambda record: torch.manual_seed(3), dict.clear):
        model = tiny()
        history = untimed(train(model, TOKENS, VAL, short, on_eval=listener))
        results.append((flat(model), history))
    for weights, history in results[1:]:
        assert torch.equal(weights, results[0][0]) and history == results[0][1]


# ---- another length


def test_a_longer_run_says_what_the_rate_does(tmp_path: Path) -> None:
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    train(tiny(), TOKENS, VAL, CONFIG, **given, facts={"corpus": "pets", "by": "hand", "evaluation": {"loss": 9}})
    longer = dataclasses.replace(CONFIG, max_steps=40, eval_every=10)
    rates = [cosine_lr(step, CONFIG.lr, 0.1 * CONFIG.lr, 3, total) for step, total in ((19, 20), (20, 40), (29, 40))]
    sentence = f"had 20 updates and has 40 now: .* lr goes from {rates[0]:.3g} to {rates[1]:.3g} at step 20"
    with pytest.warns(UserWarning, match=sentence) as warned:
        history = train(tiny(), TOKENS, VAL, longer, resume=True, facts={"by": "machine"}, **given)
    assert len(warned) == 1
    assert [record["step"] for record in history] == [0, 5, 10, 15, 20, 30, 40]
    assert history[-2]["lr"] == rates[2], "no second warm-up"
    described = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert described["training"]["max_steps"] == 40
    assert history[-1]["val_loss"] == described["evaluation"]["val_loss"] < history[4]["val_loss"]
    assert described["facts"] == {"corpus": "pets", "by": "machine"}, "a measurement of another model is gone"


def test_the_settings_on_disk_are_those_of_now_also_before_a_better_model(tmp_path: Path) -> None:
    """Else the next `--resume` without flags asks for the old length, which is shorter than what is done."""
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    facts = {"corpus": "pets", "evaluation": {"loss": 9}}
    history = train(tiny(), TOKENS, VAL, dataclasses.replace(CONFIG, max_steps=5), facts=facts, **given)
    with pytest.warns(UserWarning, match="had 5 updates"), stop_in(0):
        train(tiny(), TOKENS, VAL, CONFIG, resume=True, **given)
    described = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert described["training"]["max_steps"] == 20
    assert described["evaluation"] == history[-1] and described["facts"] == facts, "its model is still that one"


# ---- another run is refused


@pytest.mark.no_type_checks
def test_every_field_of_the_model_is_refused(tmp_path: Path) -> None:
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    short = dataclasses.replace(CONFIG, max_steps=1)
    train(tiny(), TOKENS, VAL, short, **given)
    changes = {"vocab_size": 99, "block_size": 6, "n_layer": 1, "n_head": 4, "n_embd": 32, "dropout": 0.3}
    changes |= {"bias": False, "gelu": "tanh", "norm_eps": 1e-3, "tied": False, "start": "random"}
    changes |= {"scale": "unit", "look_back": 1}
    config = tiny().config
    for field in dataclasses.fields(GPTConfig):
        assert getattr(config, field.name) != changes[field.name]
        model = GPT(dataclasses.replace(config, **{field.name: changes[field.name]}))
        with pytest.raises(ValueError, match=rf"^{field.name} was .* in this run and is .* now: keep it, or begin"):
            train(model, TOKENS, VAL, short, resume=True, **given)


@pytest.mark.no_type_checks
def test_another_text_or_tokenizer_of_the_same_size_is_refused(tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, max_steps=1)
    train(tiny(), TOKENS, VAL, short, tokenizer=TOKENIZER, run_dir=tmp_path)
    for name, place in itertools.product(("train_text", "val_text"), (0, len(VAL) // 2, len(VAL) - 1)):
        texts = {"train_text": TOKENS.copy(), "val_text": VAL.copy()}
        texts[name][place] = (texts[name][place] + 1) % TOKENIZER.vocab_size
        with pytest.raises(ValueError, match=rf"^{name} was '\w{{8}}' in this run and is '\w{{8}}' now: keep it"):
            train(tiny(), *texts.values(), short, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)
    other = CharTokenizer.train(TEXT.replace("m", "M"))
    assert other.vocab_size == TOKENIZER.vocab_size
    with pytest.raises(ValueError, match=r"^tokenizer was '\w{64}' in this run"):
        train(tiny(), TOKENS, VAL, short, tokenizer=other, run_dir=tmp_path, resume=True)
    stored = TOKENS.astype(np.int64)  # the same ids
    assert train(tiny(), stored, VAL, short, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)[-1]["step"] == 1


def test_the_checksum_sees_every_token_of_a_text_of_many_stretches() -> None:
    for length in (0, 1, STRETCH - 1, STRETCH, STRETCH + 1, 3 * STRETCH + 5):
        tokens = np.arange(length, dtype=np.uint32) % 1000
        whole = checksum(tokens)
        assert checksum(tokens.astype(np.uint16)) == whole
        for place in {0, length // 3, length // 2, length - 1} & set(range(length)):
            tokens[place] += 1
            assert checksum(tokens) != whole
            tokens[place] -= 1


@pytest.mark.long
def test_the_checksum_of_a_huge_text_costs_little(tmp_path: Path) -> None:
    """Half a billion tokens in a file of 1 GB, of which it reads 64 million."""
    tokens = np.memmap(tmp_path / "huge", dtype=np.uint16, mode="w+", shape=(2**29,))
    touched: list[int] = []

    class Seen(np.ndarray):
        def __getitem__(self, part: slice) -> np.ndarray:
            touched.append(int(part.start))
            return tokens[part]

    assert checksum(tokens.view(Seen)) == checksum(tokens)
    assert len(touched) == 1024 and touched[0] == 0 and touched[-1] == len(tokens) - STRETCH
    assert math.isclose(max(np.diff(touched)), min(np.diff(touched)), rel_tol=1e-5)


def test_a_field_that_came_after_the_run_began_has_its_default(tmp_path: Path) -> None:
    plan = dataclasses.replace(WHOLE, max_steps=4)
    train(small(TOKENIZER, 0.1), TOKENS[:900], VAL[:150], plan, tokenizer=TOKENIZER, run_dir=tmp_path)
    path = tmp_path / "state" / "last.safetensors"
    older = read_tree(path)
    del older["setup"]["momentum"], older["setup"]["start"]
    write_tree(path, older)
    setting = {"tokenizer": TOKENIZER, "run_dir": tmp_path, "resume": True}
    with pytest.raises(ValueError, match=r"momentum was 0.95 in this run and is 0.9 now"):
        train(
            small(TOKENIZER, 0.1),
            TOKENS[:900],
            VAL[:150],
            dataclasses.replace(plan, momentum=0.9, max_steps=5),
            **setting,
        )
    longer = dataclasses.replace(plan, max_steps=5)
    with pytest.warns(UserWarning, match="4 updates"):
        assert train(small(TOKENIZER, 0.1), TOKENS[:900], VAL[:150], longer, **setting)[-1]["step"] == 5
