"""The anchors that tests/test_links.py computes are those of a real JupyterLab, and a click finds its heading."""

import json
from pathlib import Path

import nbformat
import pytest

from gptlib._glossary import HEADING, slug, terms

pytest.importorskip("jupyterlab")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def headings() -> list[str]:
    found = []
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                found += [heading[0] for heading in HEADING.finditer("".join(cell["source"]))]
    return found


def test_a_heading_has_the_anchor_that_links_name(lab) -> None:
    """All headings of all notebooks, and some that hold more than plain words, as the cells of one notebook."""
    marked = ["## A `code_word` in it", "## One *bold* word, Bob's", "## With a [link](other.ipynb) (and more)"]
    cells = [nbformat.v4.new_markdown_cell(heading) for heading in headings() + marked]
    name = lab.write("headings.ipynb", ["0"])
    made = nbformat.read(lab.notebooks / name, 4)
    made.cells = cells
    nbformat.write(made, lab.notebooks / name)
    notebook = lab.open(name)
    try:
        notebook.page.wait_for_function(
            f"document.querySelectorAll('.jp-Notebook [data-jupyter-id]').length >= {len(cells)}"
        )
        shown = notebook.page.evaluate(
            "Array.from(document.querySelectorAll('.jp-Notebook [data-jupyter-id]'), (h) => h.dataset.jupyterId)"
        )
    finally:
        notebook.close()
    assert shown == [slug(HEADING.match(heading)[2]) for heading in headings() + marked]


AT_THE_TOP = """([name, anchor]) => {
    const panel = jupyterapp.shell.currentWidget;
    const heading = panel.node.querySelector(`[data-jupyter-id="${anchor}"]`);
    const from = panel.node.querySelector('.jp-WindowedPanel-outer')?.getBoundingClientRect().top;
    return panel.title.label === name && heading && Math.abs(heading.getBoundingClientRect().top - from) < 100;
}"""


def test_a_click_leads_from_the_glossary_to_a_section_and_back(lab) -> None:
    """Between notebooks that are open: one that is not opens at its top, and the glossary says so."""
    first, second = NOTEBOOKS[0], FOLDER / "05_attention.ipynb"
    term = next(term for term in terms(second) if term.name == "prefix rule")
    for path in (first, second):
        bare = nbformat.read(path, 4)
        for cell in bare.cells:
            if cell.cell_type == "code":
                cell.outputs = []  # the pictures have no part in this
        nbformat.write(bare, lab.notebooks / path.name)
    notebook = lab.open(first.name)
    page = notebook.page
    try:
        page.goto(f"{lab.url}/lab/tree/{first.name}?token={lab.token}&reset")
        row = page.locator("tr", has=page.locator(f"strong:text-is('{term.name}')"))
        row.locator("td:last-child a").click()
        page.wait_for_function(AT_THE_TOP, arg=[second.name, slug("05 Attention: how a token looks back")])
        notebook.command("docmanager:open", path=first.name)
        row.locator("td:last-child a").click()
        page.wait_for_function(AT_THE_TOP, arg=[second.name, term.target.partition("#")[2]])
        page.locator("a", has=page.locator(f"strong:text-is('{term.name}')")).click()
        page.wait_for_function(AT_THE_TOP, arg=[first.name, "Glossary"])
    finally:
        notebook.close()
