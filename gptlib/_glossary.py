"""Write the glossary at the end of notebook 00 from the terms that the notebooks mark: `python -m gptlib._glossary`.

A notebook defines a term in one sentence and marks it there: `[**key**](00_start_here.ipynb#Glossary)`. The glossary is
these sentences in alphabetical order, each with a link to its section.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gptlib._export import choose

CELL = "glossary"  # the id of the cell that is written
HEADING = re.compile(r"^(#{1,6}) +(.*\S)", re.MULTILINE)
MARK = re.compile(r"\[\*\*([^*\]]+)\*\*\]\(00_start_here\.ipynb#Glossary\)")
NEW_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.) )")  # paragraphs, and the items of a list
# A sentence ends at a full stop before a capital or a formula, but not in "Smith et al. (2020)" or "e.g. Paris".
END = re.compile(r"(?<!\bal)(?<!\be\.g)(?<!\bi\.e)[.!?][\"')*]*\s+(?=[\"'(*`\[]*[A-Z$`])")
NAMES = {"Adam", "Muon", "Unicode"}  # what keeps its capital inside a sentence; "BPE" and "LayerNorm" do anyway
OPENING = """\
## Glossary

The terms of the series, each as the sentence says it that first defines it. The number leads to that section. In
JupyterLab a notebook that was closed opens at its top, and a second click goes to the section.

| term | what it is | where |
| :--- | :--- | :--- |
"""


class Term(NamedTuple):
    name: str
    definition: str
    label: str  # the number of the section, as 5.2, or of the notebook, where the section has none
    target: str


def slug(heading: str) -> str:
    """The anchor that JupyterLab gives a heading: what it shows, with hyphens for spaces."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).replace(" ", "-")


def terms(notebook: Path) -> Iterator[Term]:
    """The terms that a notebook marks, in its order."""
    heading = ""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        for block in NEW_BLOCK.split(HEADING.sub(r"\n\g<0>\n", "".join(cell["source"]))):
            found = HEADING.match(block.strip())
            if found and found[1] == "##":  # smaller ones, as "One way to write it", come more than once
                heading = found[2]
            for mark in MARK.finditer(block):
                raw, name = sentence(block, mark), mark[1]
                if raw.startswith(mark[0]) and name not in NAMES and name.split()[0][1:].islower():
                    name = name[0].lower() + name[1:]
                definition = MARK.sub(r"\1", raw).replace("](#", f"]({notebook.name}#")
                number = re.match(r"\d+\.\d+", heading) or [notebook.name[:2]]
                yield Term(
                    name, definition, number[0], f"{notebook.name}#{slug(heading)}" if heading else notebook.name
                )


def sentence(block: str, mark: re.Match[str]) -> str:
    """The sentence of a paragraph or list item that holds the mark, on one line."""
    ends = [0, *(end.end() for end in END.finditer(block)), len(block)]
    begin = max(end for end in ends if end <= mark.start())
    found = " ".join(block[begin : min(end for end in ends if end > mark.start())].split())
    return found if begin else re.sub(r"^(?:[-*+]|\d+\.) ", "", found)


def glossary(notebooks: list[Path]) -> str:
    """The text of the cell."""
    found: dict[str, Term] = {}
    for term in (term for notebook in notebooks for term in terms(notebook)):
        first = found.setdefault(term.name.lower(), term)
        if first is not term:
            raise ValueError(f"{term.name!r} is marked in {first.target} and again in {term.target}: keep one mark")
    cells = [
        (f"**{term.name}**", term.definition, f"[{term.label}]({term.target})") for _, term in sorted(found.items())
    ]
    return OPENING + "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in cells)


def write(notebooks: list[Path]) -> None:
    """Put the glossary of these notebooks into the last cell of the first one."""
    content = json.loads(notebooks[0].read_text(encoding="utf-8"))
    cell = {"cell_type": "markdown", "id": CELL, "metadata": {}}
    cell["source"] = glossary(notebooks).splitlines(keepends=True)
    content["cells"] = [*(cell for cell in content["cells"] if cell["id"] != CELL), cell]
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    notebooks[0].write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Write the glossary of the source folder."""
    root = Path(__file__).resolve().parent.parent
    try:
        notebooks = choose(root / "notebooks", ())
        write(notebooks)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    print(notebooks[0].relative_to(root).as_posix())


if __name__ == "__main__":
    main()
