"""Hard to kill: real processes that are killed at any moment, run out of disk or memory, or are asked to stop.

A process that has everything imported forks one after the other of them, so that a life costs no seconds.
"""

import csv
import dataclasses
import json
import os
import random
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from test_resume import differences, state
from test_training import CONFIG, TOKENIZER, TOKENS, VAL, tiny

from gptlib._files import write_text
from gptlib.cli import main
from gptlib.data import document_starts
from gptlib.training import evaluate, load_run, train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has neither fork nor SIGKILL")

# Reads a request per line, forks a process that trains, kills it if asked to, and answers how it ended.
NURSERY = """
import errno, json, os, pathlib, resource, signal, sys, time
from pathlib import Path
import numpy as np
import torch
import torch._dynamo  # which an optimizer imports, and that takes a second
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import load_tokenizer
from gptlib.training import TrainConfig, train

torch.set_num_threads(1)
here = Path(sys.argv[1])
tokens, val = np.load(here / "tokens.npy"), np.load(here / "val.npy")
tokenizer = load_tokenizer(here / "tokenizer.json")

WRITING = [("write_bytes", Path), ("write_text", Path), ("replace", os), ("fsync", os)]

def at_operation(number, happen, kinds):
    # Before operation `number` of these kinds; a write is half done.
    count = [0]
    def counted(name, owner):
        original = getattr(owner, name)
        def call(*arguments, **more):
            count[0] += 1
            if count[0] == number:
                if name.startswith("write"):
                    original(arguments[0], arguments[1][:len(arguments[1]) // 2], **more)
                happen()
            return original(*arguments, **more)
        setattr(owner, name, call)
    for name, owner in kinds:
        counted(name, owner)

def no_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def live(run, steps=12, kill_at=None, full_at=None, file_limit=None, memory=None, user=None, batch_size=3):
    run, more = Path(run), {}
    if user is not None:
        os.setuid(user)
    if kill_at:
        at_operation(kill_at, lambda: os.kill(os.getpid(), signal.SIGKILL), [*WRITING, ("mkdir", os)])
    if full_at:
        at_operation(full_at, no_space, WRITING)
    if file_limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def limit(record):
            if record["step"] == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        more["on_eval"] = limit
    torch.manual_seed(0)
    sizes = {"block_size": 12, "n_layer": 1, "n_head": 2, "n_embd": 8, "dropout": 0.1}
    model = GPT(GPTConfig(tokenizer.vocab_size, **sizes))
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    config = TrainConfig(max_steps=steps, batch_size=batch_size, eval_every=1, warmup_steps=3, device="cpu")
    resume = (run / "state" / "last.safetensors").exists()
    train(model, tokens, val, config, tokenizer=tokenizer, run_dir=run, resume=resume, **more)

for line in sys.stdin:
    request = json.loads(line)
    delay, began = request.pop("delay", None), time.monotonic()
    sys.stderr.flush()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            live(**request)
            os._exit(0)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
            os._exit(2)
    os.close(write)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with open(read, "rb") as said:
        answer = {"code": os.waitstatus_to_exitcode(status), "said": said.read().decode()}
    print(json.dumps(answer | {"seconds": time.monotonic() - began}), flush=True)
"""

Live = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Let a process train into a folder; `delay` kills it after so many seconds."""
    here = tmp_path_factory.mktemp("nursery")
    np.save(here / "tokens.npy", TOKENS)
    np.save(here / "val.npy", VAL[:120])
    TOKENIZER.save(here / "tokenizer.json")
    command, environment = [sys.executable, "-c", NURSERY, str(here)], os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None

        def request(run: Path, **how: Any) -> dict[str, Any]:
            nursery.stdin.write(json.dumps({"run": str(run), **how}) + "\n")
            return json.loads(nursery.stdout.readline())

        yield request


@pytest.fixture(scope="module")
def whole(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert live(folder)["code"] == 0
    return folder


def rows(run: Path) -> list[dict[str, str]]:
    """The log, without what the clock says; every line of it is whole."""
    text = (run / "log.csv").read_text(encoding="utf-8")
    table = list(csv.DictReader(text.splitlines(), strict=True))
    assert text.endswith("\n") and all(None not in row and None not in row.values() for row in table)
    assert [int(row["step"]) for row in table] == list(range(len(table))), "no row twice, none missing"
    return [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in table]


def step_reached(run: Path) -> int:
    """What a folder says after whatever happened; -1 if the run can only begin again.

    The model loads and is as good as its text says, the state loads, and the log holds all that the state knows.
    """
    try:
        model, tokenizer = load_run(run)
    except FileNotFoundError as error:
        assert not (run / "model.safetensors").exists() and "\n" not in str(error)
    else:
        assert tokenizer.fingerprint == TOKENIZER.fingerprint
        described = json.loads((run / "config.json").read_text(encoding="utf-8"))
        if described["evaluation"] is not None:
            val, starts = VAL[:120], document_starts(VAL[:120], TOKENIZER.end_id)
            assert described["evaluation"]["val_loss"] == evaluate(model, val, starts=starts)
    if not (run / "state" / "last.safetensors").exists():
        return -1
    progress = state(run)["progress"]
    if progress["history"]:
        logged = [float(row["val_loss"]) for row in rows(run)]
        assert logged[: progress["step"] + 1] == [record["val_loss"] for record in progress["history"]]
    return progress["step"]


def assert_same_run(run: Path, whole: Path) -> None:
    """Every bit, and nothing lying about."""
    assert differences(state(run), state(whole)) == []
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rows(run) == rows(whole)
    assert {path.relative_to(run) for path in run.rglob("*")} == {path.relative_to(whole) for path in whole.rglob("*")}


# ---- SIGKILL


def test_any_kill_at_any_moment(live: Live, whole: Path, tmp_path: Path, scale: Callable[[int, int], int]) -> None:
    """It saves after every update, so most kills fall into the writing of some file."""
    duration = live(tmp_path / "timed")["seconds"]
    rng, runs, kills, reached = random.Random(0), 0, 0, -1
    while kills < scale(3, 50):
        run = tmp_path / f"run{runs}"
        ended = live(run, delay=rng.choice([0.1, 0.6]) * rng.random() * duration)
        kills += ended["code"] == -signal.SIGKILL
        if ended["code"] == 0:
            assert_same_run(run, whole)
            runs, reached = runs + 1, -1
            continue
        assert ended["code"] == -signal.SIGKILL, ended["said"]
        before, reached = reached, step_reached(run) if run.exists() else -1
        assert reached >= before, "nothing that was saved is lost"
    assert live(run)["code"] == 0
    assert_same_run(run, whole)


OPERATIONS = range(1, 70)  # of three steps: what begins a run, an evaluation with the first model, with a better one


def numbers(*in_short: int) -> list[Any]:
    return [pytest.param(n, marks=() if n in in_short else pytest.mark.long) for n in OPERATIONS]


@pytest.mark.parametrize("number", numbers(2, 9, 24, 47))
def test_a_kill_at_any_operation_on_files(live: Live, whole: Path, tmp_path: Path, number: int) -> None:
    """Each moment at which the folder is in another state, one by one, and once more when it goes on."""
    run = tmp_path / "run"
    for lives in range(2):
        ended = live(run, kill_at=number)
        assert ended["code"] == -signal.SIGKILL, ended["said"]
        assert step_reached(run) >= (-1, 0)[lives and number > 20]
    assert live(run)["code"] == 0
    assert_same_run(run, whole)


def test_the_bytes_are_on_the_disk_before_the_rename_and_the_rename_after_it(tmp_path: Path, monkeypatch: Any) -> None:
    """What a power cut needs and no kill can show: else the new name may stand for an empty file."""
    calls: list[tuple[str, bool]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        mode, size = os.fstat(descriptor).st_mode, os.fstat(descriptor).st_size
        calls.append(("folder", True) if stat.S_ISDIR(mode) else ("file", size == 3))
        fsync(descriptor)

    def renamed(*paths: Any) -> None:
        calls.append(("rename", Path(paths[0]).exists()))
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_text(tmp_path / "a.txt", "abc")
    assert calls == [("file", True), ("rename", True), ("folder", True)]


def test_leftovers_of_another_time_do_no_harm(live: Live, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for steps in (None, 5):
        for folder in (run, run / "state"):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("model.safetensors", "config.json", "log.csv", "last.safetensors"):
                (folder / f".{name}.partial").write_bytes(b"half")
        if steps is None:
            live(run, kill_at=60)
    assert live(run)["code"] == 0
    assert_same_run(run, whole)


def test_two_at_once_in_one_folder(live: Live, tmp_path: Path) -> None:
    """They would write each other's files. A lock that outlives its run would be as bad."""
    given = {"tokenizer": TOKENIZER, "run_dir": tmp_path}
    answers: list[dict[str, Any]] = []

    def listen(record: dict[str, float]) -> None:
        answers.append(live(tmp_path))
        if record["step"] == 1:
            raise LookupError

    config = dataclasses.replace(CONFIG, max_steps=2, eval_every=1)
    with pytest.raises(LookupError) as raised:
        train(tiny(), TOKENS, VAL, config, on_eval=listen, **given)
    assert len(answers) == 2
    for ended in answers:
        assert ended["code"] == 2 and ended["said"].endswith(f"another process trains in {tmp_path}: wait, or stop it")
    assert raised.tb, "what a debugger or a notebook holds on to"
    assert train(tiny(), TOKENS, VAL, config, resume=True, **given)[-1]["step"] == 2


# ---- no space, no permission, no memory


def test_a_full_disk_leaves_the_old_checkpoint(live: Live, whole: Path, tmp_path: Path) -> None:
    """The system itself refuses to write more than 500 bytes into a file, from step 3 on."""
    run = tmp_path / "run"
    ended = live(run, file_limit=500)
    said = f"OSError: {run} could not be written to (File too large), and what was saved before is whole: make room, "
    assert ended["code"] == 2 and ended["said"] == f"{said}then go on with resume"
    assert step_reached(run) == 3 and not list(run.rglob("*.partial"))
    assert live(run)["code"] == 0
    assert_same_run(run, whole)


@pytest.mark.parametrize("number", numbers(3, 26))
def test_no_space_at_any_operation(live: Live, whole: Path, tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    ended = live(run, full_at=number)
    assert ended["code"] == 2 and f"{run} could not be written to (No space left on device)" in ended["said"]
    assert not list(tmp_path.rglob("*.partial"))
    assert ended["said"].endswith("go on with resume" if step_reached(run) >= 0 else "train again")
    assert live(run)["code"] == 0
    assert_same_run(run, whole)


ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.mark.skipif(not ROOT, reason="only root can become a user without rights")
def test_a_folder_that_cannot_be_written_to(live: Live) -> None:
    with TemporaryDirectory() as here:
        Path(here).chmod(0o755)
        run = Path(here) / "run"
        ended = live(run, user=65534)
        said = (
            f"OSError: {run} could not be written to (Permission denied), and what was saved before is whole: let it be"
        )
        assert ended["code"] == 2 and ended["said"] == f"{said} written to, or take another run_dir, then train again"
        assert live(run, kill_at=60)["code"] == -signal.SIGKILL
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        ended = live(run, user=65534)
        assert ended["code"] == 2 and ended["said"].startswith(said) and ended["said"].endswith("go on with resume")
        assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to know how much memory is in use")
@pytest.mark.parametrize("batch_size", [40_000, pytest.param(600_000, marks=pytest.mark.long)])
def test_too_little_memory(live: Live, tmp_path: Path, batch_size: int) -> None:
    """The system itself refuses a tensor, or an array of numpy's before that."""
    ended = live(tmp_path / "run", memory=100_000_000, batch_size=batch_size)
    said = "MemoryError: there is not enough memory on cpu: lower batch_size from"
    assert ended["code"] == 2 and ended["said"].startswith(said)
    assert f"{said} {batch_size} to {batch_size // 2} and raise accumulation from 1 to 2, which" in ended["said"]


# ---- asked to stop


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_the_command_that_is_printed_goes_on(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a user pastes it: all flags that were given at first are kept, and the folder's name has a space."""
    monkeypatch.chdir(tmp_path)
    Path("frogs.txt").write_text("".join(f"{n} frogs sat on log {n % 7}.\n" for n in range(90)), encoding="utf-8")
    flags = "--data_path frogs.txt --tokenizer char --n_layer 1 --n_head 2 --n_embd 16 --block_size 16 --batch_size 4"
    flags += " --accumulation 2 --optimizer adamw --lr 0.003 --betas 0.8 0.9 --dropout 0.1 --eval_every 50 --seed 3"
    flags += " --device cpu --max_steps 100000"
    command = [sys.executable, "-m", "gptlib", "train", *flags.split(), "--run_dir", "my run"]
    log, environment = Path("my run/log.csv"), os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, text=True, stderr=subprocess.PIPE, env=environment) as process:
        deadline = time.monotonic() + 300
        while not log.exists() or log.read_text(encoding="utf-8").count("\n") < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate(timeout=300)[1].strip().splitlines()[-1]
    assert process.returncode == 130 and said.endswith("go on with: gptlib train --resume --run_dir 'my run'")
    made = state(Path("my run"))["progress"]["step"]
    assert 50 <= made < 100_000
    _, *pasted = shlex.split(said.partition("go on with: ")[2])
    main([*pasted, "--max_steps", str(made + 3)])
    assert f"the run had 100,000 updates and has {made + 3:,} now" in capsys.readouterr().err
    assert state(Path("my run"))["progress"]["step"] == made + 3
