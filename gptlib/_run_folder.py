"""The files of a run folder: what describes it, its log, and one file for everything that going on needs."""

import csv
import errno
import io
import json
import math
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gptlib._files import alone, atomic_path, write_json, write_text
from gptlib._processes import ALONE, Processes
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from gptlib.training import TrainConfig, Trainer

FORMAT = "gptlib run 1"
MODEL = "model.safetensors"
STATE = "state/last.safetensors"
STRETCH = 2**16  # tokens
MAY_CHANGE = ("epochs", "max_steps", "eval_every", "device", "compile")  # the rest would make it another run

# ---- weights


def distinct_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a model once: one that has two names, as a tied matrix has, under its first."""
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        named.setdefault(id(tensor), (name, tensor.detach()))
    return dict(named.values())


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a model in place, so that what is tied stays tied; `ValueError` if one does not fit."""
    own = distinct_tensors(model)
    for name in [*own, *tensors]:
        ours, theirs = (tuple(side[name].shape) if name in side else "missing" for side in (own, tensors))
        if ours != theirs:
            raise ValueError(f"{name} is {theirs} in the file and {ours} in the model")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def read_weights(path: Path, model: nn.Module) -> None:
    """Fill a model with the weights of a run."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}: its training was stopped before a model was saved")
    try:
        fill(model, load_file(path))
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged or belongs to another model ({error}): copy or train it again") from error


# ---- trees of plain values and tensors


def write_tree(path: Path, tree: Any) -> None:
    """Write nested dictionaries and lists of plain values and tensors into one safetensors file; nothing is pickled.

    The tensors are stored by number, and the header holds the tree as JSON, with `{"tensor": number}` in their places.
    """
    tensors: list[Tensor] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            tensors.append(value.detach().contiguous())
            return {"tensor": len(tensors) - 1}
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    header = {"format": FORMAT, "tree": json.dumps(plain(tree))}
    with atomic_path(path) as partial:
        partial.write_bytes(save({str(number): tensor for number, tensor in enumerate(tensors)}, header))


def read_tree(path: Path) -> Any:
    """What `write_tree` wrote, with text as every key; `ValueError` if the file is damaged or of another format."""

    def full(value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"tensor"}:
                return file.get_tensor(str(value["tensor"])).clone()  # a copy: the file itself will be replaced
            return {key: full(item) for key, item in value.items()}
        return [full(item) for item in value] if isinstance(value, list) else value

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            require_format(path, header.get("format"))
            return full(json.loads(header["tree"]))
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is damaged, so this run cannot go on: use its model, or train again") from error


# ---- the folder


def require_format(path: Path, found: Any) -> None:
    """`ValueError` unless a file says of itself that it has our format."""
    if found != FORMAT:
        raise ValueError(f"{path} has the format {found!r}, not {FORMAT!r}: give a run that this gptlib wrote")


def write_config(folder: Path, model: GPT, training: Any, history: Sequence[Any], facts: Mapping[str, Any]) -> None:
    """Write what describes a run: plain values, for people to read too."""
    evaluation = history[-1] if history else None
    described = {"format": FORMAT, "model": asdict(model.config), "training": training}
    write_json(folder / "config.json", described | {"evaluation": evaluation, "facts": dict(facts)})


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` says of a run: format, model, training, evaluation and facts."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run folder {folder}: check the path, or train one first")
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no config.json: give the folder of a run, as train or save_run wrote it")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8; or thousands of brackets in one another
        raise ValueError(f"{path} is damaged: copy the run again, or train it again") from error
    require_format(path, described.get("format") if isinstance(described, dict) else None)
    return described


def write_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write the tokenizer of a run."""
    with atomic_path(folder / "tokenizer.json") as partial:
        tokenizer.save(partial)


def write_log(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write the history as a table, one row per record."""
    if history:
        table = io.StringIO()
        names = dict.fromkeys(name for record in history for name in record)
        writer = csv.DictWriter(table, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_text(folder / "log.csv", table.getvalue())


def write_model(folder: Path, model: GPT, training: Any, history: Sequence[Any], facts: Mapping[str, Any]) -> None:
    """Write weights and the text that says how good they are, between which a stop leaves a text that does not say."""
    path = folder / MODEL
    with atomic_path(path) as partial:
        partial.write_bytes(save({name: tensor.contiguous() for name, tensor in distinct_tensors(model).items()}))
        if path.exists():
            write_config(folder, model, training, [], facts)
    write_config(folder, model, training, history, facts)


def save_run(
    run_dir: str | Path,
    model: GPT,
    tokenizer: Any,
    train_config: "TrainConfig | None" = None,
    history: Sequence[Mapping[str, Any]] = (),
    **facts: Any,
) -> None:
    """Write a model and its `tokenizer` as a run folder, each file whole or not at all (lesson 08_training).

    `config.json` keeps the model's configuration and `train_config`, the last record of `history`, and what else you
    say in `facts`.
    """
    folder = Path(run_dir)
    write_tokenizer(folder, tokenizer)
    write_model(folder, model, train_config and asdict(train_config), history, facts)
    write_log(folder, history)


def load_run(run_dir: str | Path, device: str | torch.device = "cpu") -> tuple[GPT, Any]:
    """Read a run folder: the model, in evaluation mode, and its tokenizer (lesson 08_training).

    Raises `FileNotFoundError` for what is missing, `ValueError` for what is damaged, of another format or does not fit.
    """
    folder = Path(run_dir)
    described = read_config(folder)
    try:
        model = GPT(GPTConfig(**described["model"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no model that can be built: {error}") from error
    read_weights(folder / MODEL, model)
    return model.to(device).eval(), load_tokenizer(folder / "tokenizer.json")


# ---- going on


@dataclass
class Progress:
    """How far a run is, besides its weights and its optimizers: plain values."""

    step: int = 0  # updates made
    history: list[dict[str, float]] = field(default_factory=list)  # one record per evaluation
    losses: list[float] = field(default_factory=list)  # of the updates since the last record
    seconds: float = 0.0  # of training since the last record, evaluation left out
    grad_norm: float | Tensor = 0.0  # of the last update, before clipping

    def due(self, every: int, total: int) -> bool:
        """Whether it is time to evaluate and it was not done here: at step 0, every so many steps and at the end."""
        done = [record["step"] for record in self.history[-1:]]
        return done != [self.step] and (self.step % every == 0 or self.step == total)


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that going on needs: the weights, both optimizers, every source of random numbers, and how far the run is."""
    trainer.progress.grad_norm = float(trainer.progress.grad_norm)
    step = trainer.progress.step
    return {
        "setup": setup_of(trainer),
        "total": trainer.total,
        "lr": trainer.rate(max(step - 1, 0), trainer.config.lr),
        "progress": asdict(trainer.progress),
        "model": distinct_tensors(trainer.model),
        "optimizers": [optimizer.state_dict()["state"] for optimizer in trainer.optimizers],
        "scaler": trainer.scaler.state_dict(),
        "windows": trainer.windows.get_state(),
        "random": trainer.processes.gather(random_state(trainer.device)),  # each process has its own
    }


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the random numbers of a process are, which dropout takes."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def setup_of(trainer: "Trainer") -> dict[str, Any]:
    """What must be the same when a run goes on."""
    lengths = {"train_tokens": len(trainer.train_tokens), "val_tokens": len(trainer.val_tokens)}
    setup = asdict(trainer.model.config) | asdict(trainer.config) | lengths | {"processes": trainer.processes.count}
    setup["betas"] = list(setup["betas"])  # as JSON gives it back
    return {name: value for name, value in setup.items() if name not in MAY_CHANGE}


def checksum(tokens: np.ndarray) -> str:
    """A CRC-32 of the ids, however they are stored: of all up to 2**26, then of 1,024 stretches spread evenly."""
    n = min(1024, math.ceil(len(tokens) / STRETCH))
    crc = 0
    for start in np.linspace(0, max(0, len(tokens) - STRETCH), n).astype(int):
        crc = zlib.crc32(tokens[start : start + STRETCH].astype("<u4"), crc)
    return f"{crc:08x}"


def require_same(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """`ValueError` that names the first thing in which a run would not be the same any more."""
    for name, value in now.items():
        if (before := was.get(name)) != value:
            raise ValueError(f"{name} was {before!r} in this run and is {value!r} now: keep it, or begin another run")


def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Put a trainer where the run was that had this state."""
    done = state["progress"]["step"]
    if done > trainer.total:
        raise ValueError(f"{done} updates are made already, {trainer.total} asked for: raise epochs or max_steps")
    trainer.progress = Progress(**state["progress"])
    fill(trainer.model, state["model"])
    for optimizer, stored in zip(trainer.optimizers, state["optimizers"], strict=True):
        numbered = {int(number): tensors for number, tensors in stored.items()}
        optimizer.load_state_dict({"state": numbered, "param_groups": optimizer.state_dict()["param_groups"]})
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.windows.set_state(state["windows"])
    own = state["random"][trainer.processes.rank]
    torch.set_rng_state(own["cpu"])
    if trainer.device.type == "cuda" and "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"], trainer.device)


def warn_of_another_length(trainer: "Trainer", total: int, lr: float) -> None:
    """Say what the learning rate does when a run goes on that had `total` updates, and `lr` at the last one made."""
    step, now = trainer.progress.step, trainer.rate(trainer.progress.step, trainer.config.lr)
    if total != trainer.total and 0 < step < trainer.total:
        warnings.warn(
            f"the run had {total:,} updates and has {trainer.total:,} now: the schedule does not begin again, it takes "
            f"the new length, so that lr goes from {lr:.3g} to {now:.3g} at step {step:,}",
            stacklevel=4,
        )


class RunFolder:
    """Where a run is kept while it is trained; without a `run_dir`, nowhere. Inside `with`, no other run may.

    Among several processes of one run only the leading one reads and writes.
    """

    def __init__(
        self,
        run_dir: str | Path | None,
        tokenizer: Any,
        resume: bool,
        facts: Mapping[str, Any] | None,
        processes: Processes = ALONE,
    ):
        self.processes = processes
        self.folder = None if run_dir is None else Path(run_dir)
        self.tokenizer, self.resume, self.facts = tokenizer, resume, dict(facts or {})
        self.open = ExitStack()
        if self.folder is None and resume:
            raise ValueError("resume is true and there is no run_dir: name the folder of the run to go on with")
        if self.folder is not None and tokenizer is None:
            raise ValueError(f"run_dir is {str(run_dir)!r} and there is no tokenizer: give one, a run is to read text")
        self.check()

    def check(self) -> None:
        """Whether there is a run to go on with, or none in the way."""
        if self.folder is None or not self.processes.leads:
            return
        if self.resume and not (self.folder / STATE).is_file():
            raise FileNotFoundError(
                f"there is nothing to go on from in {self.folder}, no {STATE}: train without resume"
            )
        if not self.resume and any((self.folder / name).exists() for name in (STATE, MODEL)):
            raise ValueError(f"{self.folder} holds a run already: go on with resume=True, or choose another run_dir")

    def __enter__(self) -> "RunFolder":
        if self.folder is not None and self.processes.leads:
            self.open.enter_context(alone(self.folder, f"another process trains in {self.folder}: wait, or stop it"))
            self.check()  # again: it may have ended in the meantime
        return self

    def __exit__(self, *error: object) -> None:
        self.open.close()

    def begin(self, trainer: "Trainer") -> None:
        """Go on from the saved state, or save the first one: from then on the run can be gone on with."""
        if self.folder is None:
            return
        texts = {"train_text": checksum(trainer.train_tokens), "val_text": checksum(trainer.val_tokens)}
        self.texts = texts | {"tokenizer": getattr(self.tokenizer, "fingerprint", None)}
        if self.resume:
            folder = self.folder
            self.go_on(trainer, self.processes.from_leader(lambda: read_tree(folder / STATE)))
            return
        if self.processes.leads:
            with self.writing():
                write_tokenizer(self.folder, self.tokenizer)
                write_config(self.folder, trainer.model, asdict(trainer.config), [], self.facts)
        self.save_state(trainer)

    def go_on(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Restore the state, and take away what a kill has left that is newer or only half there."""
        defaults = asdict(GPTConfig()) | asdict(type(trainer.config)())  # for fields that came after the run began
        require_same(defaults | state["setup"] | state["texts"], setup_of(trainer) | self.texts)
        restore(trainer, state)
        if not self.processes.leads:
            return
        warn_of_another_length(trainer, state["total"], state["lr"])
        described = read_config(self.folder)
        facts = described["facts"] | self.facts
        with self.writing():
            for leftover in self.folder.rglob(".*.partial"):
                leftover.unlink()
            write_json(self.folder / "config.json", described | {"training": asdict(trainer.config), "facts": facts})
            write_log(self.folder, trainer.progress.history)
        self.facts = {name: fact for name, fact in facts.items() if name != "evaluation"}  # that is the old model's

    def save(self, trainer: "Trainer") -> None:
        """After an evaluation: the model if it is the best so far, then the log, and the state last of all.

        A kill in between leaves an older state, from which the run goes on and writes the rest again.
        """
        history = trainer.progress.history
        if self.folder is None:
            return
        if self.processes.leads:
            with self.writing():
                if history[-1]["val_loss"] == min(record["val_loss"] for record in history):
                    write_model(self.folder, trainer.model, asdict(trainer.config), history, self.facts)
                write_log(self.folder, history)
        self.save_state(trainer)

    def save_state(self, trainer: "Trainer") -> None:
        """What going on needs, in one file."""
        if self.folder is None:
            return
        state = state_of(trainer) | {"texts": self.texts}
        if self.processes.leads:
            with self.writing():
                write_tree(self.folder / STATE, state)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """`OSError` with what to do for a disk that is full or a folder that cannot be written to."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            mend = "make room" if full else "let it be written to, or take another run_dir"
            then = "go on with resume" if (self.folder / STATE).exists() else "train again"
            raise OSError(
                f"{self.folder} could not be written to ({error.strerror}), and what was saved before is whole: "
                f"{mend}, then {then}"
            ) from error
