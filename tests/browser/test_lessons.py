"""The lessons that show views, as a reader opens them: all cells run, every view is drawn, and nobody is asked."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("jupyterlab")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"


def views_in(path: Path) -> int:
    """How many views of gptlib the notebook stores, two that stand side by side counted as one."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return sum(WIDGET in data and "View(" in "".join(data["text/plain"]) for data in shown)


LESSONS = [path.name for path in sorted(FOLDER.glob("*.ipynb")) if views_in(path)]


@pytest.mark.long
@pytest.mark.parametrize("name", LESSONS)
def test_its_views_are_drawn(name: str, lab) -> None:
    shutil.copy(FOLDER / name, lab.notebooks)
    for folder in ("exercises", "images"):
        shutil.copytree(FOLDER / folder, lab.notebooks / folder, dirs_exist_ok=True)
    lesson = lab.open(name)
    try:
        lesson.run_all(seconds=300)
        enough = f"document.querySelectorAll('.gptlib[data-ready]').length >= {views_in(FOLDER / name)}"
        lesson.page.wait_for_function(f"{enough} && !document.querySelector('.gptlib:not([data-ready])')")
        lesson.check()
    finally:
        lesson.close()


def test_the_lesson_on_attention_maps_shows_views() -> None:
    assert "10_attention_maps.ipynb" in LESSONS and len(LESSONS) >= 5
