"""What LossView says to what it cannot show: one sentence, and what was there stays."""

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")
import torch

from gptlib._loss_view import LossView

GOOD = {"step": 0, "train_loss": 1.0, "val_loss": 2.0}


@pytest.mark.parametrize(
    "record, sentence",
    [
        ((0, 1.0), r"a record is of type tuple: give a mapping"),
        ({"step": 0, "loss": 1.0}, r"a record has only step, loss: it needs step, and train_loss or val_loss"),
        ({}, r"a record has only nothing: it needs step"),
        ({"val_loss": 1.0}, r"a record has only val_loss: it needs step"),
        (GOOD | {"step": -1}, r"step is -1: give the number of updates made, an integer from 0 on"),
        (GOOD | {"step": 1.5}, r"step is 1.5: give the number"),
        (GOOD | {"val_loss": "low"}, r"val_loss is 'low': give one number"),
        (GOOD | {"val_loss": "1.0"}, r"val_loss is '1.0': give one number"),
        (GOOD | {"train_loss": torch.ones(2)}, r"train_loss is tensor\(\[1., 1.\]\): give one number"),
        (GOOD | {"sample": b"text"}, r"sample is of type bytes: give the text that the model wrote, a str"),
    ],
)
def test_a_record_that_is_none(record: Any, sentence: str) -> None:
    view = LossView()
    view(GOOD)
    for put in (view, lambda record: view.add("b", [record])):
        with pytest.raises(ValueError, match=f"^{sentence}"):
            put(record)
    assert view.names == ["run 1"]
    assert len(view.past + view.recent) == 1


@pytest.mark.parametrize(
    "lines, sentence",
    [
        ([7.5], r"lines is of type list: give names with levels"),
        ({"ln V": math.nan}, r"the level of 'ln V' is nan: give one finite number"),
        ({"ln V": 1e308}, r"the level of 'ln V' is 1e\+308: give one finite number, not beyond 1e\+100"),
        ({"ln V": None}, r"the level of 'ln V' is None: give one finite number"),
        ({"ln V": "7"}, r"the level of 'ln V' is '7': give one number"),
    ],
)
def test_levels_that_cannot_be_drawn(lines: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        LossView(lines)


def test_names_and_orders() -> None:
    view = LossView()
    with pytest.raises(ValueError, match=r"^name is '': give the run a name"):
        view.add("")
    with pytest.raises(ValueError, match=r"^step 0 of 'a' comes after step 10: put records in order"):
        view.add("a", [GOOD | {"step": 10}, GOOD])
    assert view.names == []


def test_logs_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no path was given: name at least one run folder"):
        LossView.from_csv()
    with pytest.raises(FileNotFoundError, match=r"^there is no log .*log\.csv: give a run folder that train"):
        LossView.from_csv(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^there is no log .*missing: give a run folder"):
        LossView.from_csv(tmp_path / "missing")
    log = tmp_path / "log.csv"
    for content in (
        b"",
        b"step,train_loss,val_loss\n",
        b"loss,step\n1.0,0\n",
        b"step,val_loss\nten,1.0\n",
        b"step,val_loss\ninf,1.0\n",
        b"\xff\xfe\x00",
    ):
        log.write_bytes(content)
        with pytest.raises(ValueError, match=r"log\.csv is no log of a run \(.*\): give one with step"):
            LossView.from_csv(log)
