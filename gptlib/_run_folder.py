"""The files of a run folder: what describes it, its log, and one file for everything that going on needs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gptlib._files import atomic_path, write_json, write_text
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from gptlib.training import Trainer

FORMAT = "gptlib run 1"
MODEL = "model.safetensors"
STATE = "state/last.safetensors"
MAY_CHANGE = ("epochs", "max_steps", "eval_every", "device")  # when a run goes on; the rest would make it another run

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


def write_weights(path: Path, model: nn.Module) -> None:
    """Write the weights of a model, each tensor once."""
    with atomic_path(path) as partial:
        partial.write_bytes(save({name: tensor.contiguous() for name, tensor in distinct_tensors(model).items()}))


def read_weights(path: Path, model: nn.Module) -> None:
    """Fill a model with what `write_weights` wrote."""
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
    except ValueError as error:  # no JSON, or no UTF-8
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
        writer = csv.DictWriter(table, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_text(folder / "log.csv", table.getvalue())


def write_run(folder: Path, model: GPT, tokenizer: Any, training: Any, history: Sequence[Any], facts: Any) -> None:
    """Write a model as a run. The weights come before the text that says how good they are."""
    write_tokenizer(folder, tokenizer)
    write_weights(folder / MODEL, model)
    write_config(folder, model, training, history, facts)
    write_log(folder, history)


def read_run(folder: Path) -> tuple[GPT, Any]:
    """The model and the tokenizer of a run."""
    described = read_config(folder)
    try:
        model = GPT(GPTConfig(**described["model"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no model that can be built: {error}") from error
    read_weights(folder / MODEL, model)
    return model, load_tokenizer(folder / "tokenizer.json")


# ---- going on


@dataclass
class Progress:
    """How far a run is, besides its weights and its optimizers: plain values."""

    step: int = 0  # updates made
    history: list[dict[str, float]] = field(default_factory=list)  # one record per evaluation
    losses: list[float] = field(default_factory=list)  # of the updates since the last record
    seconds: float = 0.0  # of training since the last record, evaluation left out
    grad_norm: float | Tensor = 0.0  # of the last update, before clipping


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that going on needs: the weights, both optimizers, every source of random numbers, and how far the run is."""
    trainer.progress.grad_norm = float(trainer.progress.grad_norm)
    on_gpu = trainer.device.type == "cuda"
    return {
        "setup": setup_of(trainer),
        "progress": asdict(trainer.progress),
        "model": distinct_tensors(trainer.model),
        "optimizers": [optimizer.state_dict()["state"] for optimizer in trainer.optimizers],
        "scaler": trainer.scaler.state_dict(),
        "windows": trainer.windows.get_state(),
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(trainer.device) if on_gpu else None,
    }


def setup_of(trainer: "Trainer") -> dict[str, Any]:
    """What must be the same when a run goes on."""
    lengths = {"train_tokens": len(trainer.train_tokens), "val_tokens": len(trainer.val_tokens)}
    setup = asdict(trainer.model.config) | asdict(trainer.config) | lengths
    setup["betas"] = list(setup["betas"])  # as JSON gives it back
    return {name: value for name, value in setup.items() if name not in MAY_CHANGE}


def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Put a trainer where the run was that had this state; `ValueError` if it was set up in another way."""
    for name, now in setup_of(trainer).items():
        if (was := state["setup"].get(name)) != now:
            raise ValueError(f"{name} was {was!r} in this run and is {now!r} now: keep it, or begin another run")
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
    torch.set_rng_state(state["cpu"])
    if trainer.device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], trainer.device)


class RunFolder:
    """Where a run is kept while it is trained; without a `run_dir`, nowhere."""

    def __init__(self, run_dir: str | Path | None, tokenizer: Any, resume: bool, facts: Mapping[str, Any] | None):
        self.folder = None if run_dir is None else Path(run_dir)
        self.tokenizer, self.resume, self.facts = tokenizer, resume, dict(facts or {})
        if self.folder is None:
            if resume:
                raise ValueError("resume is true and there is no run_dir: name the folder of the run to go on with")
            return
        if tokenizer is None:
            raise ValueError(f"run_dir is {str(run_dir)!r} and there is no tokenizer: give one, a run is to read text")
        if resume and not (self.folder / STATE).is_file():
            raise FileNotFoundError(f"there is nothing to go on from in {run_dir}, no {STATE}: train without resume")
        if not resume and any((self.folder / name).exists() for name in (STATE, MODEL)):
            raise ValueError(f"{run_dir} holds a run already: go on with resume=True, or choose another run_dir")

    def begin(self, trainer: "Trainer") -> None:
        """Go on from the saved state, or save the first one: from then on the run can be gone on with."""
        if self.folder is None:
            return
        if self.resume:
            restore(trainer, read_tree(self.folder / STATE))
            self.facts = read_config(self.folder)["facts"] | self.facts
            return
        write_config(self.folder, trainer.model, asdict(trainer.config), [], self.facts)
        write_tokenizer(self.folder, self.tokenizer)
        self.save_state(trainer)

    def save(self, trainer: "Trainer") -> None:
        """After an evaluation: the model if it is the best so far, then the log, and the state last of all.

        A kill in between leaves an older state, from which the run goes on and writes the rest again.
        """
        history = trainer.progress.history
        if self.folder is None:
            return
        if history[-1]["val_loss"] == min(record["val_loss"] for record in history):
            write_run(self.folder, trainer.model, self.tokenizer, asdict(trainer.config), history, self.facts)
        write_log(self.folder, history)
        self.save_state(trainer)

    def save_state(self, trainer: "Trainer") -> None:
        """What going on needs, in one file."""
        if self.folder is not None:
            write_tree(self.folder / STATE, state_of(trainer))
