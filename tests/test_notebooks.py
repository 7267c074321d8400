"""The committed notebooks: executed from a fresh kernel, clean, checked and drawn. nbval runs them; this reads them."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if not path.name.startswith("00_")]
EVERY_NOTEBOOK = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
EVERY_LESSON = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)

ABSOLUTE_PATH = re.compile(r"(?<![\w.:/-])/(?:root|home|tmp|work|usr|var|Users|mnt|opt|private)/[\w./-]+|\b[A-Z]:\\\w+")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
CHECK = re.compile(r"^\s*(?:assert\b|check_\w+\(|torch\.testing\.assert|np\.testing\.assert)", re.MULTILINE)
WIDGET = "application/vnd.jupyter.widget-view+json"
IGNORE = "nbval-ignore-output"

Cell = dict[str, Any]


def joined(field: str | list[str]) -> str:
    return field if isinstance(field, str) else "".join(field)


def cells(path: Path, kind: str = "code") -> list[Cell]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell: Cell) -> str:
    return joined(cell["source"])


def texts(cell: Cell) -> list[str]:
    """All text that a cell put out: streams and the textual forms of what it displayed."""
    found = [joined(output["text"]) for output in cell["outputs"] if "text" in output]
    for output in cell["outputs"]:
        forms = output.get("data", {}).items()
        found += [joined(data) for mime, data in forms if mime.startswith("text/") or mime == "image/svg+xml"]
    return found


def ignored(cell: Cell) -> bool:
    """Whether nbval runs the cell without comparing what it prints."""
    return IGNORE in cell["metadata"].get("tags", []) or "NBVAL_IGNORE_OUTPUT" in source(cell)


def compared(path: Path) -> tuple[int, int]:
    """How many of the cells with text output nbval compares, and how many such cells there are."""
    kinds = ("stream", "execute_result")
    printing = [cell for cell in cells(path) if any(output["output_type"] in kinds for output in cell["outputs"])]
    return sum(not ignored(cell) for cell in printing), len(printing)


def test_the_series_begins_and_its_numbers_are_free_of_doubles() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names[0] == "00_start_here"
    assert all(re.fullmatch(r"\d\d_[a-z_]+", name) for name in names)
    assert len({name[:2] for name in names}) == len(names)


@EVERY_NOTEBOOK
def test_it_is_a_valid_notebook_with_steady_cell_ids(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@EVERY_NOTEBOOK
def test_it_was_executed_once_from_a_fresh_kernel(path: Path) -> None:
    """nbval compares nothing in a cell without a count, so this is what keeps its comparison alive."""
    counts = [cell["execution_count"] for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@EVERY_NOTEBOOK
def test_it_is_not_too_long(path: Path) -> None:
    """Sixty code cells that the reader runs; those that the reader writes come on top."""
    asked = [cell for cell in cells(path) if re.search(r"^(check|predict)\(", source(cell), re.MULTILINE)]
    assert len(cells(path)) - len(asked) <= 60


@EVERY_NOTEBOOK
def test_it_stores_no_widget_state_no_timings_and_no_errors(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert "widgets" not in notebook["metadata"]
    for cell in cells(path):
        assert "execution" not in cell["metadata"], "saved with timings"
        for output in cell["outputs"]:
            assert output["output_type"] != "error", source(cell)
            assert ignored(cell) or output.get("name") != "stderr", f"writes to stderr: {source(cell)}"
        assert not any("Traceback (most recent call last)" in text for text in texts(cell)), source(cell)
        assert "nbval-skip" not in cell["metadata"].get("tags", []), "a skipped cell is never tested"


@EVERY_NOTEBOOK
def test_its_outputs_name_no_place_of_the_machine_it_ran_on(path: Path) -> None:
    for cell in cells(path):
        for text in texts(cell):
            for pattern in (ABSOLUTE_PATH, ADDRESS):
                assert not pattern.search(text), f"{pattern.search(text)[0]!r} in the output of: {source(cell)}"


@EVERY_NOTEBOOK
def test_at_least_a_third_of_its_printing_cells_is_compared(path: Path) -> None:
    counted, printing = compared(path)
    assert printing and 3 * counted >= printing, f"{counted} of {printing}"


def test_at_least_two_thirds_of_all_printing_cells_are_compared() -> None:
    counted, printing = map(sum, zip(*map(compared, NOTEBOOKS), strict=True))
    assert 3 * counted >= 2 * printing, f"{counted} of {printing}"


@EVERY_NOTEBOOK
def test_its_pictures_are_there_and_described(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for description, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)", source(cell)):
            assert description.strip(), f"{target} has no alt text"
            assert target.startswith("attachment:") or (FOLDER / target).is_file(), f"{target} is not in the repository"
        for tag in re.findall(r"<img\b[^>]*>", source(cell)):
            assert re.search(r"\balt=\"[^\"]+\"", tag), f"{tag} has no alt text"
            assert not re.search(r"\bsrc=\"https?:", tag), f"{tag} needs the network"


@EVERY_NOTEBOOK
def test_a_figure_cell_ends_with_show(path: Path) -> None:
    """Otherwise the cell's value is an object's repr, which carries an address, or the figure comes out twice."""
    for cell in cells(path):
        figure = any(
            "image/png" in output.get("data", {}) and WIDGET not in output["data"] for output in cell["outputs"]
        )
        if figure and any("<Figure size" in text for text in texts(cell)):
            assert source(cell).rstrip().splitlines()[-1].strip() == "plt.show()", source(cell)


@EVERY_NOTEBOOK
def test_no_line_ends_with_a_semicolon_to_hide_its_value(path: Path) -> None:
    """nbval runs cells without history, and IPython then ignores the semicolon."""
    for cell in cells(path):
        assert not source(cell).rstrip().endswith(";"), source(cell)
        assert "clear_output" not in source(cell), "nbval keeps what was cleared"


@EVERY_LESSON
def test_its_first_code_cell_names_its_module(path: Path) -> None:
    first = re.search(r"^#\|\s*default_exp\s+(\w+)\s*$", source(cells(path)[0]), re.MULTILINE)
    assert first, "the first code cell must say `#| default_exp NAME`"
    assert (ROOT / "gptlib" / f"{first[1]}.py").is_file()


@EVERY_LESSON
def test_it_checks_at_least_as_often_as_it_exports(path: Path) -> None:
    sources = [source(cell) for cell in cells(path)]
    exported = sum(bool(re.search(r"^#\|\s*export", text, re.MULTILINE)) for text in sources)
    checks = sum(len(CHECK.findall(text)) for text in sources)
    assert 1 <= exported <= checks, f"{exported} exported cells, {checks} checks"


@EVERY_LESSON
def test_it_has_turns_for_the_reader(path: Path) -> None:
    turns = sum(bool(re.search(r"\byour turn\b", source(cell), re.IGNORECASE)) for cell in cells(path, "markdown"))
    assert turns >= 2, f"{turns} cells say `Your turn`"
    number = int(path.name[:2])
    attempts = [
        text for cell in cells(path) for text in texts(cell) if f"{number}." in text and "not attempted yet" in text
    ]
    assert len(attempts) >= 2, "each turn ends with a check, which is stored as not attempted"
