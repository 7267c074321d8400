"""What training says about bad input: one sentence with the value and the way out, and nothing that existed is lost."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_training import CONFIG, TOKENIZER, TOKENS, VAL, tiny
from torch import nn

import gptlib
from gptlib import training
from gptlib._checks import likely_causes
from gptlib._watch import tensorboard
from gptlib.training import Muon, TrainConfig, load_run, save_run, train

SHORT = dataclasses.replace(CONFIG, max_steps=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("epochs", 0, "a number above 0"),
        ("epochs", float("nan"), "a number above 0"),
        ("max_steps", 0, "1 or more, or None"),
        ("batch_size", 0, "1 or more"),
        ("accumulation", -1, "1 or more"),
        ("eval_every", 0, "1 or more"),
        ("eval_every", None, "1 or more"),
        ("optimizer", "adam", "muon or adamw"),
        ("lr", 0.0, "a number above 0"),
        ("lr", "fast", "a number above 0"),
        ("muon_lr", float("inf"), "a number above 0"),
        ("min_lr", 3.0, "a share of the peak, from 0 to 1"),
        ("warmup_steps", -1, "0 or more"),
        ("betas", (0.9, 1.0), "two shares, each below 1"),
        ("betas", (0.9,), "two shares, each below 1"),
        ("weight_decay", -0.1, "0 or more"),
        ("grad_clip", 0.0, "a number above 0"),
        ("momentum", 1.0, "0 or more, below 1"),
        ("schedule", "flat", "cosine or linear"),
        ("shuffle", 1, "True or False"),
        ("compile", "yes", "True or False"),
        ("precision", "fp16", "float32, bfloat16 or float16"),
        ("seed", -1, "0 or more"),
    ],
)
def test_a_field_that_cannot_be_so(field: str, value: Any, wanted: str) -> None:
    with pytest.raises(ValueError) as raised:
        TrainConfig(**{field: value})
    assert str(raised.value) == f"{field} is {value!r}: choose {wanted}"


def test_muon_wants_matrices() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\): give it to AdamW"):
        Muon([nn.Parameter(torch.zeros(3))])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="'cuda' is not there"):
        train(tiny(), TOKENS, VAL, dataclasses.replace(SHORT, device="cuda"))


def test_float16_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match="'float16' and the device cpu: it needs cuda"):
        train(tiny(), TOKENS, VAL, dataclasses.replace(SHORT, precision="float16"))


def test_a_token_that_the_model_does_not_know() -> None:
    wrong = np.append(VAL, np.uint16(900))
    with pytest.raises(ValueError, match=f"the id 900, and the model knows {TOKENIZER.vocab_size}: use one tokenizer"):
        train(tiny(), TOKENS, wrong, SHORT)


def test_a_text_shorter_than_a_block() -> None:
    with pytest.raises(ValueError, match="the training text has 10 tokens and needs at least 13"):
        train(tiny(), TOKENS[:10], VAL, SHORT)
    with pytest.raises(ValueError, match="the validation text has 1 tokens"):
        train(tiny(), TOKENS, VAL[:1], SHORT)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    """Found at the next update; the folder still holds the state of the last evaluation, and goes on from it."""
    kept: dict[str, bytes] = {}
    model = tiny()

    def spoil(record: dict[str, float]) -> None:
        if record["step"] == 5:
            kept.update(contents(tmp_path))
            model.norm.weight.data[0] = torch.nan

    with pytest.raises(FloatingPointError, match=r"^the loss became nan at step 5 \(it was \d\.\d{3} before\): likely"):
        train(model, TOKENS, VAL, CONFIG, tokenizer=TOKENIZER, run_dir=tmp_path, on_eval=spoil)
    assert contents(tmp_path) == kept
    assert train(tiny(), TOKENS, VAL, CONFIG, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)[-1]["step"] == 20


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_rate_far_too_high_is_noticed_with_the_loss_before(kind: Any) -> None:
    wild = {"lr": 1e12, "muon_lr": 1e12, "grad_clip": 1e30, "warmup_steps": 0, "eval_every": 20, "optimizer": kind}
    losses: list[float] = []
    with pytest.raises(FloatingPointError, match=r"at step \d+ \(it was \d+\.\d{3} before\)") as raised:
        train(tiny(), TOKENS, VAL, dataclasses.replace(CONFIG, **wild), on_eval=lambda r: losses.append(r["val_loss"]))
    rates = "lr=1e+12 or muon_lr=1e+12" if kind == "muon" else "lr=1e+12"
    assert f"likely {rates} is too high, warmup_steps=0 is too low, or grad_clip=1e+30 is too high" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({}, ["lr=0.01 or muon_lr=0.02 is too high", "warmup_steps=30 is too low", "grad_clip=1 is too high"]),
        ({"optimizer": "adamw", "grad_clip": 9.0}, ["lr=0.01 is too high", "grad_clip=9 is too high", "warmup_steps="]),
        ({"precision": "float16"}, ["lr=", "float16 overflowed above 65,504", "warmup_steps=30"]),
        ({"precision": "bfloat16", "grad_clip": 9.0}, ["lr=", "bfloat16 was too coarse", "grad_clip=9"]),
    ],
)
def test_the_causes_are_those_of_this_configuration(changes: dict[str, Any], causes: list[str]) -> None:
    """Blaming half precision, or Muon's rate, where none is used."""
    found = likely_causes(TrainConfig(lr=0.01, muon_lr=0.02, warmup_steps=30, **{"grad_clip": 1.0, **changes}))
    assert len(found) == 3 and all(ours.startswith(cause) for ours, cause in zip(found, causes, strict=True))


def test_a_model_that_is_broken_from_the_beginning() -> None:
    model = tiny()
    nn.init.constant_(model.norm.bias, torch.inf)
    with pytest.raises(
        FloatingPointError, match=r"validation loss is nan at step 0, .*: norm.bias is not finite, so load"
    ):
        train(model, TOKENS, VAL, SHORT)
    nn.init.constant_(model.norm.bias, 1e38)
    with pytest.raises(
        FloatingPointError, match=r"loss is (nan|inf) at step 0, .*: its weights are too large for float32"
    ):
        train(model, TOKENS, VAL, SHORT)


# ---- memory


ALLOCATIONS = [
    MemoryError("Unable to allocate 8.00 EiB for an array"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(training, "get_batch", fail)


@pytest.mark.parametrize("error", ALLOCATIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("size", "passes", "sentence"),
    [
        (
            16,
            1,
            "lower batch_size from 16 to 8 and raise accumulation from 1 to 2, which makes the same batch, or block",
        ),
        (9, 2, "lower batch_size from 9 to 3 and raise accumulation from 2 to 6, which"),
        (1, 4, r"on cpu: lower block_size \(12\), n_embd \(16\) or n_layer \(2\)$"),
    ],
)
def test_too_little_memory_names_the_sizes(
    size: int, passes: int, sentence: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(MemoryError, match=sentence) as raised:
        train(tiny(), TOKENS, VAL, dataclasses.replace(SHORT, batch_size=size, accumulation=passes))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), KeyError("memory")])
def test_every_other_error_stays_as_it_is(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, error)
    with pytest.raises(type(error)) as raised:
        train(tiny(), TOKENS, VAL, SHORT)
    assert raised.value is error


# ---- run folders


def test_a_folder_needs_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no tokenizer: give one"):
        train(tiny(), TOKENS, VAL, SHORT, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_going_on_needs_a_folder_with_a_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no run_dir: name the folder"):
        train(tiny(), TOKENS, VAL, SHORT, resume=True)
    with pytest.raises(FileNotFoundError, match=r"nothing to go on from in .*: train without resume"):
        train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)
    save_run(tmp_path, tiny(), TOKENIZER)
    with pytest.raises(FileNotFoundError, match="nothing to go on from"):
        train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=tmp_path, resume=True)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    save_run(tmp_path, tiny(), TOKENIZER)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="holds a run already: go on with resume=True, or choose another"):
        train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=tmp_path)
    assert contents(tmp_path) == before


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=tmp_path)
    return tmp_path


CHANGES = {"batch_size": 4, "accumulation": 1, "optimizer": "adamw", "lr": 1.0, "muon_lr": 1.0, "min_lr": 0.5}
CHANGES |= {
    "warmup_steps": 9,
    "momentum": 0.5,
    "schedule": "linear",
    "shuffle": True,
    "betas": (0.5, 0.5),
    "weight_decay": 0.5,
    "grad_clip": 9.0,
    "precision": "bfloat16",
    "seed": 4,
}
FREE = {"epochs", "max_steps", "eval_every", "device", "compile"}


@pytest.mark.filterwarnings("ignore:the run had 2 updates and has 3 now")  # the length is free, and said
def test_every_field_is_either_free_or_refused(run: Path) -> None:
    assert {field.name for field in dataclasses.fields(TrainConfig)} == CHANGES.keys() | FREE
    before = contents(run)
    for field, value in CHANGES.items():
        with pytest.raises(
            ValueError, match=rf"^{field} was .* in this run and is .* now: keep it, or begin another run$"
        ):
            changed = dataclasses.replace(SHORT, **{field: value})
            train(tiny(), TOKENS, VAL, changed, tokenizer=TOKENIZER, run_dir=run, resume=True)
    free = dataclasses.replace(SHORT, epochs=1.0, max_steps=3, eval_every=1, device="auto")
    assert contents(run) == before
    assert train(tiny(), TOKENS, VAL, free, tokenizer=TOKENIZER, run_dir=run, resume=True)[-1]["step"] == 3


def test_another_model_text_or_shorter_length_is_refused(run: Path) -> None:
    settings = {"tokenizer": TOKENIZER, "run_dir": run, "resume": True}
    with pytest.raises(ValueError, match="n_embd was 16 in this run and is 32 now"):
        train(tiny(n_embd=32), TOKENS, VAL, SHORT, **settings)
    with pytest.raises(ValueError, match="train_tokens was"):
        train(tiny(), TOKENS[:-5], VAL, SHORT, **settings)
    with pytest.raises(ValueError, match="2 updates are made already, 1 asked for"):
        train(tiny(), TOKENS, VAL, dataclasses.replace(SHORT, max_steps=1), **settings)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        described = json.loads(path.read_text(encoding="utf-8"))
        change(described)
        path.write_text(json.dumps(described), encoding="utf-8")

    return apply


def reshape(path: Path) -> None:
    tensors = load_file(path)
    save_file(tensors | {"norm.weight": torch.ones(3)}, path)


def lose(path: Path) -> None:
    tensors = load_file(path)
    del tensors["norm.weight"]
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("name", "damage", "kind", "sentence"),
    [
        ("config.json", Path.unlink, FileNotFoundError, "has no config.json: give the folder of a run"),
        ("config.json", cut, ValueError, "config.json is damaged: copy the run again"),
        ("config.json", lambda path: path.write_text("[" * 100_000), ValueError, "config.json is damaged"),
        ("config.json", lambda path: path.write_text("[]"), ValueError, "has the format None, not 'gptlib run 1'"),
        ("config.json", edit(lambda d: d.update(format="x 2")), ValueError, "has the format 'x 2'"),
        ("config.json", edit(lambda d: d.pop("model")), ValueError, "describes no model that can be built"),
        ("config.json", edit(lambda d: d["model"].update(n_head=3)), ValueError, "describes no model .*3 heads"),
        ("config.json", edit(lambda d: d["model"].update(colour=3)), ValueError, "describes no model .*colour"),
        ("config.json", edit(lambda d: d["model"].update(n_layer=3)), ValueError, "another model .*blocks.2.* missing"),
        ("model.safetensors", Path.unlink, FileNotFoundError, "has no model.safetensors: its training was stopped"),
        ("model.safetensors", cut, ValueError, "model.safetensors is damaged or belongs to another model"),
        ("model.safetensors", lambda path: path.write_bytes(b""), ValueError, "is damaged"),
        ("model.safetensors", reshape, ValueError, r"norm.weight is \(3,\) in the file and \(16,\) in the model"),
        ("model.safetensors", lose, ValueError, r"norm.weight is missing in the file and \(16,\) in the model"),
        ("tokenizer.json", Path.unlink, FileNotFoundError, "no tokenizer file"),
        ("tokenizer.json", cut, ValueError, "tokenizer.json is damaged"),
    ],
)
def test_a_damaged_run(run: Path, name: str, damage: Any, kind: type[Exception], sentence: str) -> None:
    damage(run / name)
    with pytest.raises(kind, match=sentence) as raised:
        load_run(run)
    assert type(raised.value) is kind and "\n" not in str(raised.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no run folder .*nowhere: check the path"):
        load_run(tmp_path / "nowhere")


def test_a_name_that_no_file_system_takes() -> None:
    with pytest.raises(FileNotFoundError, match=r"'t{60}' is no run folder: .*; check the path"):
        gptlib.load("t" * 300)


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b"x" * 99)])
def test_a_damaged_state(run: Path, damage: Any) -> None:
    damage(run / "state" / "last.safetensors")
    with pytest.raises(ValueError, match="is damaged, so this run cannot go on: use its model"):
        train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=run, resume=True)
    assert load_run(run)


def test_a_state_of_another_format(run: Path) -> None:
    path = run / "state" / "last.safetensors"
    save_file(load_file(path), path, metadata={"format": "gptlib run 9"})
    with pytest.raises(ValueError, match="has the format 'gptlib run 9'"):
        train(tiny(), TOKENS, VAL, SHORT, tokenizer=TOKENIZER, run_dir=run, resume=True)


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^TensorBoard is not installed: pip install 'gptlib\[tensorboard\]'$"
    ):
        tensorboard(tmp_path)
