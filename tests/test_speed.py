"""The measured peak, compiled training, and the presets of the command."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gptlib import _commands, _speed
from gptlib._presets import PRESETS, preset
from gptlib._speed import compiled, peak
from gptlib.cli import main
from gptlib.model import GPT, GPTConfig, flops_per_token
from gptlib.training import TrainConfig

TEXT = "".join(f"{i} frogs sat on log {i % 7}. Then {i % 5} jumped off, said the heron.\n" for i in range(60))
SMALL = ["--n_layer=1", "--n_head=2", "--n_embd=16", "--block_size=16", "--device=cpu"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    return tmp_path


def described(run: str) -> dict[str, Any]:
    return json.loads(Path(run, "config.json").read_text(encoding="utf-8"))


# ---- the peak


def test_the_peak_counts_two_operations_for_each_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that says each product took a quarter of a second, the best of them."""
    monkeypatch.setitem(_speed.SIZES, "cpu", 100)
    ticks = [0.0, 0.0, 0.5, 1.0, 2.0, 2.25, 9.0]
    monkeypatch.setattr(_speed.time, "perf_counter", lambda: ticks.pop(0))
    assert peak(torch.device("cpu"), seconds=5) == 2 * 100**3 / 0.25


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_peak_is_measured_in_a_moment(precision: str) -> None:
    assert 1e8 < peak(torch.device("cpu"), precision, seconds=0.01) < 1e14


def test_train_prints_the_peak_and_the_share_of_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a peak of ten times what the log's speed amounts to, a tenth is reached."""
    history = [{"tokens": n, "tokens_per_second": s} for n, s in ((0, 0.0), (600, 100.0), (1000, 100.0))]
    _commands.print_speed(history, 3, 50, 10 * 50 * 100.0)
    assert capsys.readouterr().out == "\nspeed       100 tokens/s, 10% of the peak (model FLOPs utilisation)\n"
    history[1]["tokens_per_second"] = 50.0  # 12 and 4 seconds for 1,000 tokens; gone on with, only the last 4 count
    for seen, said in ((3, "62 tokens/s"), (1, "100 tokens/s")):
        _commands.print_speed(history, seen, 50, 1.0)
        assert said in capsys.readouterr().out
    monkeypatch.setattr(_commands, "peak", lambda device, precision: 1e6)
    main(["train", "--tokenizer=char", *SMALL, "--data_path=frogs.txt", "--max_steps=4", "--run_dir=r"])
    out = capsys.readouterr().out
    model = GPTConfig(**described("r")["model"])
    assert f"{flops_per_token(model) * 4 * 16 * 16 / 1e6:,.0f} s at the least" in out and "model FLOPs" in out


# ---- compiling


COMPILE = """
import json, sys, warnings
from dataclasses import replace
import numpy as np
import torch
from gptlib.model import GPT, GPTConfig
from gptlib.training import TrainConfig, train
torch.set_num_threads(1)
tokens = np.random.default_rng(0).integers(0, 7, 500).astype(np.uint16)
plain = TrainConfig(max_steps=6, batch_size=4, accumulation=2, eval_every=3, device="cpu", lr=1e-3, muon_lr=2e-3)
models = []
for config in (plain, replace(plain, compile=True)):
    torch.manual_seed(0)
    models.append(GPT(GPTConfig(7, block_size=8, n_layer=1, n_head=2, n_embd=8)))
    train(models[-1], tokens, tokens[:100], config)
assert list(models[0].state_dict()) == list(models[1].state_dict())
print(max((p - q).abs().max().item() for p, q in zip(models[0].parameters(), models[1].parameters())))
print(torch._dynamo.utils.counters["stats"]["unique_graphs"], sum(torch._dynamo.utils.counters["graph_break"].values()))
"""


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")  # torch's own, in torch
def test_compiled_training_is_the_same_training(tmp_path: Path) -> None:
    """In one graph, without a break: what stands in Python between two graphs is not compiled."""
    if not can_compile():
        pytest.skip("torch cannot compile here")
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    difference, graphs = done.stdout.splitlines()
    assert float(difference) < 1e-5 and int(graphs.split()[0]) >= 1


def can_compile() -> bool:
    try:
        compiled(nn.Linear(1, 1), torch.device("cpu"))
    except ValueError:
        return False
    return True


def test_a_machine_without_a_compiler(tmp_path: Path) -> None:
    """One sentence instead of the compiler's report."""
    code = "import sys; from gptlib.cli import main; main(sys.argv[1:])"
    (tmp_path / "frogs.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    argv = ["train", "--compile", "--tokenizer=char", *SMALL, "--data_path=frogs.txt", "--run_dir=r"]
    nowhere = {"PATH": str(tmp_path), "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=tmp_path, env=os.environ | nowhere
    )
    assert done.returncode == 2
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("gptlib: ")]
    assert sentence.startswith("gptlib: compile is True, and torch cannot compile for cpu on this machine (")
    assert "Traceback" not in done.stderr and not (tmp_path / "r" / "model.safetensors").exists()


# ---- presets


@pytest.mark.parametrize("tokenizer", [None, "char"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_fields_that_there_are(name: str, tokenizer: str | None) -> None:
    known = {field.name for kind in (GPTConfig, TrainConfig, _commands.Train) for field in fields(kind)}
    wanted = preset(name, tokenizer)
    assert wanted.keys() <= known
    args = _commands.from_preset(_commands.Train(preset=name, tokenizer=tokenizer))
    GPT(GPTConfig(**asdict(args.model) | {"vocab_size": 7}))
    TrainConfig(**asdict(args.training))
    flat = asdict(args.model) | asdict(args.training) | {"tokenizer": args.tokenizer}
    assert {field: flat[field] for field in wanted} == wanted


def test_the_quick_preset_takes_other_sizes_for_characters(here: Path) -> None:
    flags = ["--data_path=frogs.txt", "--max_steps=1", "--n_layer=1", "--batch_size=2", "--n_embd=16"]
    main(["train", "--preset=speedrun", *flags, "--block_size=8", "--vocab_size=300", "--run_dir=words"])
    main(["train", "--preset=speedrun", "--tokenizer=char", *flags, "--block_size=8", "--run_dir=letters"])
    words, letters = described("words"), described("letters")
    assert words["training"]["shuffle"] and words["training"]["schedule"] == "linear"
    assert (words["model"]["look_back"], words["model"]["tied"]) == (1, True)
    assert (letters["model"]["look_back"], letters["model"]["tied"], letters["model"]["scale"]) == (4, False, "unit")


def test_flags_win_over_a_preset_and_a_preset_over_defaults(here: Path) -> None:
    flags = ["--data_path=frogs.txt", *SMALL, "--max_steps=2", "--lr=0.005", "--run_dir=r"]
    main(["train", "--preset", "plain", *flags])
    run = described("r")
    assert run["training"]["lr"] == 0.005 and run["training"]["max_steps"] == 2 and run["model"]["n_embd"] == 16
    assert run["training"]["optimizer"] == "adamw" and run["training"]["betas"] == [0.9, 0.99]
    assert run["model"]["start"] == "random"
    main(["train", "--preset=plain", "--data_path=frogs.txt", *SMALL, "--epochs=0.05", "--run_dir=short"])
    assert described("short")["training"]["max_steps"] is None


def test_an_unknown_preset_gets_the_names(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--preset", "fast"])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "there is no preset 'fast'" in err and all(name in err for name in PRESETS)


def test_a_blank_in_the_path_is_named_where_it_may_be_why_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler was there, and the sentence asked for one."""

    def refuse(*_: object) -> None:
        raise RuntimeError("C++ compile error")

    monkeypatch.setattr(torch, "compile", refuse)
    for place, way_out in (
        ("/a b/torch.py", "move the environment, since /a b/torch.py"),
        ("/ab/torch.py", "install a"),
    ):
        monkeypatch.setattr(torch, "__file__", place)
        with pytest.raises(ValueError, match=rf"\(C\+\+ compile error\): {way_out}"):
            compiled(nn.Linear(1, 1), torch.device("cpu"))
