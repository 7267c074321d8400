"""Several processes on one model, started by the real torchrun: equal to one process, exact on resume, hard to kill."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training import CONFIG, TOKENIZER, TOKENS, VAL, flat, tiny
from torch import nn

from gptlib import training
from gptlib._processes import ALONE, Processes, noticing_deaths
from gptlib._run_folder import read_tree
from gptlib.data import get_batch
from gptlib.training import TrainConfig, Trainer, load_run, train, update_once

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch runs alone")
on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

# What each process runs: the jobs of a file, one after the other, in one group.
PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np
import torch
from gptlib import training
from gptlib._processes import joined
from gptlib.data import get_batch
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import load_tokenizer
from gptlib.training import TrainConfig, train
torch.set_num_threads(1)
folder = Path(sys.argv[1])
tokens, val = np.load(folder / "tokens.npy"), np.load(folder / "val.npy")
tokenizer = load_tokenizer(folder / "tokenizer.json")

def padded(*sizes, **settings):  # later rows have fewer targets, so that the processes have unequal parts
    x, y = get_batch(*sizes, **settings)
    for row in range(len(y)):
        y[row, 12 - row :] = -1
    return x, y

def run(job, processes):
    torch.manual_seed(0 if processes.leads else 99)  # only the first one's weights may count
    sizes = {"block_size": 12, "n_layer": 2, "n_head": 2, "n_embd": 16, "dropout": job.get("dropout", 0.0)}
    model = GPT(GPTConfig(tokenizer.vocab_size, **sizes)).to(getattr(torch, job.get("dtype", "float32")))
    training.get_batch = padded if job.get("padded") else get_batch
    config = TrainConfig(**job["config"] | {"betas": tuple(job["config"]["betas"])})
    told = []
    def listen(record):
        told.append(record["step"])
        if record["step"] == job.get("stop_at"):
            raise KeyboardInterrupt
    history = train(model, tokens, val, config, tokenizer=tokenizer, run_dir=job.get("run_dir"),
                    resume=job.get("resume", False), on_eval=listen, progress=job.get("progress", False))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return {"weights": weights, "history": history, "told": told}

(folder / f"pid{os.environ['RANK']}").write_text(str(os.getpid()))
with joined() as processes:
    results = [run(job, processes) for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8"))]
torch.save(results, folder / f"results{os.environ['RANK']}.pt")
"""
QUIET = os.environ | {"OMP_NUM_THREADS": "1", "GPTLIB_DEVICE": "cpu"}
LIMIT = 300  # seconds: against a wait for ever, and far more than a busy machine takes
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `PROGRAM` reads."""
    folder = tmp_path_factory.mktemp("processes")
    np.save(folder / "tokens.npy", TOKENS)
    np.save(folder / "val.npy", VAL)
    TOKENIZER.save(folder / "tokenizer.json")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8", newline="\n")
    return folder


def job(config: TrainConfig, **settings: Any) -> dict[str, Any]:
    return {"config": dataclasses.asdict(config), **settings}


def together(folder: Path, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """The result of each job, done by two processes."""
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    command = [*TORCHRUN, str(folder / "program.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=QUIET, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    results = [torch.load(folder / f"results{rank}.pt") for rank in range(2)]
    for one, two in zip(*results, strict=True):
        assert torch.equal(one["weights"], two["weights"]) and one["history"] == two["history"], (
            "they have drifted apart"
        )
        assert two["told"] == [], "only the first process reports"
    return results[0]


# ---- two are one


HALF = dataclasses.replace(CONFIG, batch_size=3, accumulation=1, lr=3e-4, muon_lr=2e-3, eval_every=10)
WHOLE = dataclasses.replace(HALF, batch_size=6)


def padded(*sizes: Any, **settings: Any) -> Any:
    x, y = get_batch(*sizes, **settings)
    for row in range(len(y)):
        y[row, 12 - row :] = -1
    return x, y


@pytest.fixture(scope="module")
def equals(texts: Path) -> dict[str, dict[str, Any]]:
    """Two processes with batch 3, in several settings, started once."""
    kinds = {kind: dataclasses.replace(HALF, optimizer=kind) for kind in ("muon", "adamw")}
    jobs = {
        **{kind: job(config) for kind, config in kinds.items()},
        **{f"{kind} padded": job(config, dtype="float64", padded=True) for kind, config in kinds.items()},
        **{
            f"{kind} accumulated": job(dataclasses.replace(config, accumulation=2), dtype="float64", padded=True)
            for kind, config in kinds.items()
        },
    }
    return dict(zip(jobs, together(texts, *jobs.values()), strict=True))


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("setting", ["", " padded", " accumulated"])
def test_two_processes_equal_one_with_twice_the_batch(
    equals: dict[str, dict[str, Any]], kind: Any, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 20 updates; in float64 to the last digits, also when their rows have unequal numbers of targets.

    Shown by: the same rows for all, unweighted means, gradients averaged in every pass or in none, a loss not reduced.
    """
    got, exact = equals[kind + setting], bool(setting)
    config = dataclasses.replace(WHOLE, optimizer=kind, accumulation=2 if setting == " accumulated" else 1)
    monkeypatch.setattr(training, "get_batch", padded if exact else get_batch)
    model = tiny(dropout=0.0).to(torch.float64 if exact else torch.float32)
    history = train(model, TOKENS, VAL, config, tokenizer=TOKENIZER)
    tolerance = 1e-9 if exact else 1e-5
    torch.testing.assert_close(got["weights"], flat(model), rtol=0, atol=tolerance)
    assert got["told"] == [0, 10, 20]
    for one, two in zip(history, got["history"], strict=True):
        assert one["step"] == two["step"] and one["tokens"] == two["tokens"] == one["step"] * 72 * config.accumulation
        for name in ("train_loss", "val_loss", "grad_norm", "lr"):
            assert two[name] == pytest.approx(one[name], rel=1e-5)


def test_batches_of_all_processes_are_the_batch_of_one() -> None:
    """Each takes its own rows, and the weights bring the mean over processes to the mean over targets."""
    for masked in (get_batch, padded):
        x, y = masked(TOKENS, 6, 12, generator=torch.Generator().manual_seed(1))
        parts = [Processes(rank, 3).own([(x, y), (x, y)]) for rank in range(3)]
        assert torch.equal(torch.cat([part[1][0] for part in parts]), x)
        losses = torch.rand(y.shape)
        means = [
            sum(losses[2 * r : 2 * r + 2][own >= 0].mean() * w for _, own, w in part) for r, part in enumerate(parts)
        ]
        torch.testing.assert_close(sum(means) / 3, losses[y >= 0].mean())


def test_micro_batches_weigh_what_their_targets_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    """With -1 for targets that do not count, a batch of few targets must not count as much as a full one."""
    x, y = get_batch(TOKENS, 6, 12, generator=torch.Generator().manual_seed(1))
    y[3:, 2:] = -1
    pieces = iter([(x[:3], y[:3]), (x[3:], y[3:]), (x, y)])
    monkeypatch.setattr(training, "get_batch", lambda *sizes, **settings: next(pieces))
    runs = []
    for size, accumulation in ((3, 2), (6, 1)):
        config = dataclasses.replace(CONFIG, batch_size=size, accumulation=accumulation, grad_clip=0.05)
        runs.append(Trainer(tiny(dropout=0.0).double(), TOKENS, VAL, config))
        update_once(runs[-1])
    torch.testing.assert_close(flat(runs[0].model), flat(runs[1].model), rtol=1e-10, atol=1e-10)
    assert runs[0].progress.losses == pytest.approx(runs[1].progress.losses)


# ---- stopped and gone on


def test_two_processes_resume_bit_for_bit_with_dropout(texts: Path, tmp_path: Path) -> None:
    """Each has random numbers of its own, and gets them back; another number of processes is refused by name."""
    config = dataclasses.replace(CONFIG, eval_every=5)
    run = {"dropout": 0.3, "run_dir": str(tmp_path / "run")}
    whole, stopped, resumed = together(
        texts, job(config, dropout=0.3), job(config, stop_at=10, **run), job(config, resume=True, **run)
    )
    assert stopped["history"][-1]["step"] == 10 and resumed["history"][-1]["step"] == 20
    assert torch.equal(resumed["weights"], whole["weights"])
    assert [r["val_loss"] for r in resumed["history"]] == [r["val_loss"] for r in whole["history"]]
    state = read_tree(tmp_path / "run" / "state" / "last.safetensors")
    one, two = (own["cpu"] for own in state["random"])
    assert not torch.equal(one, two), "both drop the same activations"
    with pytest.raises(ValueError, match=r"^processes was 2 in this run and is 1 now: keep it, or begin another run$"):
        train(tiny(dropout=0.3), TOKENS, VAL, config, tokenizer=TOKENIZER, run_dir=tmp_path / "run", resume=True)


@pytest.fixture
def running(texts: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, list[int]]]:
    """A run of two processes without end, some updates after its beginning: torchrun, the folder, their numbers."""
    folder = tmp_path / "texts"
    shutil.copytree(texts, folder)
    config = dataclasses.replace(CONFIG, max_steps=100_000, eval_every=2)
    jobs = [job(config, dropout=0.1, run_dir=str(tmp_path / "run"), progress=True)]
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    command = [*TORCHRUN, str(folder / "program.py"), str(folder)]
    process = subprocess.Popen(command, env=QUIET, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + LIMIT
    log = tmp_path / "run" / "log.csv"
    while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield process, tmp_path / "run", [int((folder / f"pid{rank}").read_text(encoding="utf-8")) for rank in range(2)]
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)


def goes_on(run: Path, folder: Path) -> None:
    """What is saved can be read, and is gone on with by two processes."""
    model, _ = load_run(run)
    assert torch.isfinite(flat(model)).all()
    step = read_tree(run / "state" / "last.safetensors")["progress"]["step"]
    config = dataclasses.replace(CONFIG, max_steps=step + 2, eval_every=2)
    (result,) = together(folder, job(config, dropout=0.1, run_dir=str(run), resume=True))
    assert result["history"][-1]["step"] == step + 2


@on_posix
@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_process_that_is_killed_ends_the_run_with_a_sentence(running: Any, texts: Path, victim: int) -> None:
    """The other one notices, says it once and ends by itself, and what is saved can be gone on with."""
    torchrun, run, processes = running
    os.kill(processes[victim], signal.SIGKILL)
    _, said = torchrun.communicate(timeout=LIMIT)
    assert torchrun.returncode != 0
    assert "forcefully exiting" not in said, "torchrun waited half a minute for it, then killed it"
    assert said.count("another process of this run died, so it ends here") == 1
    assert "the same command with resume goes on from it" in said
    goes_on(run, texts)


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_stops_all_between_two_updates_and_saves(running: Any, texts: Path, number: int) -> None:
    """torchrun hands it to all of them, at different moments; without agreeing, one waits for the other for ever."""
    torchrun, run, processes = running
    before = read_tree(run / "state" / "last.safetensors")["progress"]["step"]
    torchrun.send_signal(number)
    _, said = torchrun.communicate(timeout=LIMIT)
    assert "died" not in said and "ConnectionError" not in said
    assert read_tree(run / "state" / "last.safetensors")["progress"]["step"] >= before
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    if number == signal.SIGTERM:
        goes_on(run, texts)


# ---- the command


def command(here: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    sizes = ["--n_layer=1", "--n_head=2", "--n_embd=16", "--block_size=16", "--batch_size=2", "--eval_every=4"]
    argv = [*TORCHRUN, "-m", "gptlib", "train", "--tokenizer=char", *sizes, *flags]
    return subprocess.run(argv, capture_output=True, text=True, env=QUIET, cwd=here, timeout=LIMIT)


def test_the_command_under_torchrun(tmp_path: Path) -> None:
    """Every line once, and one run folder, whatever the second on which each process looks at the clock."""
    text = "".join(f"{i} frogs sat on log {i % 7}. Then {i % 5} jumped off.\n" for i in range(60))
    (tmp_path / "frogs.txt").write_text(text, encoding="utf-8", newline="\n")
    done = command(tmp_path, "--data_path=frogs.txt", "--max_steps=8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder") == done.stdout.count("tokens/s, ") == 1
    assert "2 processes" in done.stdout and "of 64 tokens each" in done.stdout
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.long
def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    for flag, sentence in [("--data_path=no.txt", "no file 'no.txt'"), ("--preset=no", "no preset 'no'")]:
        done = command(tmp_path, flag)
        assert done.returncode != 0 and done.stderr.count("gptlib: ") == 1 and sentence in done.stderr


# ---- sentences


def test_a_group_that_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "99999"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match=r"^process 0 of 2 did not find the others at localhost:99999 \(port"):
        train(tiny(), TOKENS, VAL, CONFIG)


def test_only_errors_of_the_connection_are_called_so() -> None:
    with pytest.raises(RuntimeError, match="shapes"), noticing_deaths():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(ConnectionError, match="another process of this run died"), noticing_deaths():
        raise RuntimeError("[../third_party/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:4")


def test_alone_everything_is_as_it_was() -> None:
    assert ALONE.gather(3) == [3] and ALONE.mean(2.5) == 2.5 and ALONE.from_leader(lambda: 4) == 4
    assert not ALONE.any_stops(False) and ALONE.any_stops(True) and ALONE.leads
    model = nn.Linear(2, 2)
    assert ALONE.wrap(model) is model
