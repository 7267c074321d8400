"""Which model is meant: a run by path or by name, the newest, the one that ships with the package, or a GPT-2."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from gptlib.model import GPT
    from gptlib.tokenizer import BPETokenizer, CharTokenizer

RUNS = Path("runs")


def shipped(name: str = "model") -> Path:
    """A file or folder of `gptlib.corpora`, wherever the package is installed."""
    return Path(str(resources.files("gptlib.corpora"))) / name


def newest_run(folder: Path = RUNS) -> Path | None:
    """The run in `folder` that was written to last, or None."""
    written = {path.parent: path.stat().st_mtime_ns for path in folder.glob("*/config.json")}
    return max(written, key=written.__getitem__, default=None)


def find_run(run: str | Path | None = None) -> Path:
    """`run` itself, or the newest below `runs/`, or else the model trained on the tales that ships with the package."""
    if run is None:
        return newest_run() or shipped()
    try:
        there = Path(run).exists()
    except OSError as error:  # a name that no file system takes, or a folder that may not be looked into
        raise FileNotFoundError(f"{str(run)[:60]!r} is no run folder: {error.strerror}; check the path") from None
    return shipped() if str(run) == "tales" and not there else Path(run)


def label(run_dir: Path) -> str:
    """What to call a run when talking to its user."""
    return "the model that ships with gptlib" if run_dir == shipped() else str(run_dir)


def load(run: str | Path = "tales", device: "str | torch.device" = "cpu") -> "tuple[GPT, CharTokenizer | BPETokenizer]":
    """The model of a run folder and its tokenizer, ready to write; `"tales"` is the model that ships with gptlib.

    A folder that holds a GPT-2 of Hugging Face will do as well, and so will "gpt2", "gpt2-medium", "gpt2-large" and
    "gpt2-xl", which are fetched from the hub once (lesson 11_pretrained). Raises `FileNotFoundError` for a folder that
    is neither and `ValueError` for a damaged one (lesson 08_training).
    """
    from gptlib._hub import is_pretrained

    folder = find_run(run)
    if is_pretrained(folder):
        from gptlib.pretrained import load_pretrained

        model, tokenizer = load_pretrained(str(folder))
        return model.to(device), tokenizer
    from gptlib.training import load_run

    return load_run(folder, device=device)
