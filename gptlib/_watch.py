"""Show a run in TensorBoard while it is trained."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

NAMES = {"train_loss": "loss/training", "val_loss": "loss/validation"}  # in one group, one below the other


def tensorboard(run_dir: str | Path) -> Callable[[Mapping[str, float]], None]:
    """An `on_eval` for `train` that writes each record to `run_dir/tensorboard`, to be seen by `tensorboard --logdir`.

    The first call takes back what is there and writes the whole of `log.csv`: so a run that was killed and goes on
    shows each step once and misses none. `ModuleNotFoundError` if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModuleNotFoundError("TensorBoard is not installed: pip install 'gptlib[tensorboard]'") from error
    run_dir, writer = Path(run_dir), None

    def watch(record: Mapping[str, float]) -> None:
        nonlocal writer
        records = [record]
        if writer is None:
            writer = SummaryWriter(run_dir / "tensorboard", purge_step=0)
            records = logged(run_dir / "log.csv") or records
        for each in records:
            for name in each.keys() - {"step"}:
                writer.add_scalar(NAMES.get(name, name), each[name], int(each["step"]))
        writer.flush()

    return watch


def logged(path: Path) -> list[dict[str, float]]:
    """The records of a log, none if there is no such file."""
    if not path.is_file():
        return []
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]
