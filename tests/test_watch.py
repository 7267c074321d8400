"""TensorBoard shows what `log.csv` says: read back from the files that it reads."""

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_training import CONFIG, TOKENIZER, TOKENS, VAL, tiny

from gptlib._watch import NAMES, tensorboard
from gptlib.training import train

SHOWN = "tensorboard.backend.event_processing.event_accumulator"
accumulator = pytest.importorskip(SHOWN, reason="needs gptlib[tensorboard], which the extra dev holds")


def shown(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    rows = list(csv.DictReader((run / "log.csv").read_text(encoding="utf-8").splitlines()))
    names = rows[0].keys() - {"step"}
    curves = {name: [(int(row["step"]), float(row[name])) for row in rows] for name in names}
    return {NAMES.get(name, name): [(step, pytest.approx(y)) for step, y in curve] for name, curve in curves.items()}


def test_every_record_is_shown_once_also_after_a_kill(tmp_path: Path) -> None:
    """Three ways to go on: after a whole save, before a save that was shown already, and at other steps."""
    run, given = tmp_path / "run", {"tokenizer": TOKENIZER, "run_dir": tmp_path / "run"}
    watch, kept = tensorboard(run), tmp_path / "kept"

    def killed_at(step: int, before_showing: bool) -> Any:
        watch = tensorboard(run)

        def listen(record: dict[str, float]) -> None:
            if before_showing and record["step"] == step:
                raise LookupError
            watch(record)
            if record["step"] == 5 and not kept.exists():
                shutil.copytree(run / "state", kept)
            if record["step"] == step:
                raise LookupError

        return listen

    with pytest.raises(LookupError):
        train(tiny(), TOKENS, VAL, CONFIG, on_eval=killed_at(15, before_showing=False), **given)
    assert [step for step, _ in shown(run)["loss/validation"]] == [0, 5, 10, 15]
    assert shown(run) == logged(run)
    shutil.copytree(kept, run / "state", dirs_exist_ok=True)  # as if the later states had not been saved
    with pytest.raises(LookupError):
        train(tiny(), TOKENS, VAL, CONFIG, on_eval=killed_at(15, before_showing=True), resume=True, **given)
    assert [step for step, _ in shown(run)["loss/validation"]] == [0, 5, 10]
    other = dataclasses.replace(CONFIG, eval_every=9)
    train(tiny(), TOKENS, VAL, other, on_eval=watch, resume=True, **given)
    assert [step for step, _ in shown(run)["lr"]] == [0, 5, 10, 15, 18, 20]
    assert shown(run) == logged(run)


def test_without_a_log_each_record_is_shown(tmp_path: Path) -> None:
    train(tiny(), TOKENS, VAL, CONFIG, on_eval=tensorboard(tmp_path))
    assert [step for step, _ in shown(tmp_path)["loss/training"]] == [0, 5, 10, 15, 20]
