"""A question of the exercises as a reader meets it: chosen, checked and hinted at in JupyterLab."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jupyterlab")

NOTEBOOKS = str(Path(__file__).resolve().parents[2] / "notebooks")
SETUP = f"""
import os, sys
sys.path.insert(0, {NOTEBOOKS!r})
os.environ["GPTLIB_PROGRESS"] = "progress.json"
from exercises import check, predict, progress
"""


@pytest.fixture(scope="module")
def note(lab) -> Iterator["Notebook"]:
    note = lab.open(lab.write("questions.ipynb", [SETUP, 'predict("5.4")', "progress()"]), height=1400)
    note.run_all()
    yield note
    note.check()
    note.close()


def test_a_choice_is_checked_and_its_mistake_named(note) -> None:
    question = note.page.locator(".jp-OutputArea").filter(has_text="typical score").first
    said = question.get_by_role("status")
    button = question.get_by_role("button", name="check")
    button.click()
    said.filter(has_text="not attempted yet").wait_for()
    question.get_by_role("radio").nth(2).check()
    button.click()
    said.filter(has_text="not yet: 64 is the variance").wait_for()
    question.get_by_role("button", name="hint").click()
    said.filter(has_text="hint 1 of 3").wait_for()
    question.get_by_role("radio").nth(1).check()
    button.focus()
    note.page.keyboard.press("Enter")
    said.filter(has_text="right: 64 terms").wait_for()


def test_what_is_done_is_a_table_in_the_notebook(note) -> None:
    table = note.page.locator("table").filter(has_text="05 attention")
    assert table.locator("progress").count() == 12
    assert note.page.get_by_label("0 of 7 exercises").count() >= 1
