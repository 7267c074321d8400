"""Links that hold: from page to page, from a term to its definition; and no term comes before it is defined.

An anchor is what JupyterLab makes of a heading: tests/browser/test_glossary.py clicks on some. A reader whom a link
leads nowhere, or who meets a word too early, stops; no run of a notebook would tell.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gptlib._glossary import CELL, HEADING, MARK, Term, slug, terms, write

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
LESSONS = NOTEBOOKS[1:]
PAGES = sorted(path for where in ("", "data/", "tests/", "notebooks/[!.]*/") for path in ROOT.glob(f"{where}*.md"))
EVERY_NOTEBOOK = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
EVERY_LESSON = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
EVERY_PAGE = pytest.mark.parametrize("path", NOTEBOOKS + PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())

CODE = re.compile(r"```.*?```|^(?: {4}|\t).*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]\((?P<target>(?:[^()\s]|\([^()\s]*\))+)\)"
)
ALONE = re.compile(r"(?!(?:And|But|So|It|This|That|These|Those|They|Then|Both|Here|Now|Such)\b)[A-Z$`\"]")


class Place(NamedTuple):
    notebook: Path
    cell: str
    text: str


def cells(path: Path) -> list[Place]:
    """The markdown cells of a notebook, or a page of markdown as if it were one, without their code."""
    if path.suffix == ".md":
        return [Place(path, path.name, without_code(path.read_text(encoding="utf-8")))]
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    prose = [cell for cell in found if cell["cell_type"] == "markdown"]
    return [Place(path, cell["id"], without_code("".join(cell["source"]))) for cell in prose]


def without_code(text: str) -> str:
    return CODE.sub(lambda code: " " * len(code[0]), text)


def links(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Text and target of each link, and whether it is a picture."""
    for place in cells(path):
        for link in LINK.finditer(place.text):
            yield link["text"], link["target"], bool(link["picture"])


def targets(path: Path) -> set[str]:
    """The notebooks and pages to which a page links, as paths."""
    local = [target for _, target, _ in links(path) if "://" not in target]
    return {(path.parent / target.partition("#")[0]).resolve().relative_to(ROOT).as_posix() for target in local}


def anchors(path: Path) -> list[str]:
    """The anchors of a page, in its order: those of JupyterLab in a notebook, those of GitHub in a page of markdown."""
    if path.suffix == ".ipynb":
        content = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in content if cell["cell_type"] == "markdown"]
        return [slug(heading[2]) for source in sources for heading in HEADING.finditer(source)]
    headings = HEADING.findall(without_code(path.read_text(encoding="utf-8")))
    return [re.sub(r"[^\w\- ]", "", slug(text).lower()) for _, text in headings]


# ---- from page to page


@EVERY_PAGE
def test_a_link_leads_to_a_file_and_to_one_heading_in_it(path: Path) -> None:
    for text, target, picture in links(path):
        if "://" in target:
            continue
        assert not target.startswith(("/", "mailto:")), target
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"[{text}]({target}): there is no {name}"
        assert there.is_relative_to(ROOT)
        assert not picture or text.strip(), f"{target} has no alt text"
        if anchor:
            assert anchors(there).count(anchor) == 1, f"[{text}]({target}): no such heading, or several"
            # a browser writes other characters as %E2..., and JupyterLab does not find such a heading: tried
            assert re.fullmatch(r"[!#-;=?-_a-~]+", anchor), f"{target}: give that heading plain ASCII"


@EVERY_PAGE
def test_what_looks_like_a_link_is_one(path: Path) -> None:
    """A space in the address, a bracket left open, or a reference without its address are shown as they are typed."""
    for place in cells(path):
        rest = LINK.sub("", LINK.sub("", place.text))  # twice, for a picture that is a link
        broken = re.search(r".{0,40}(?:\]\(|\]\[|<a\b|<img\b|https?://).{0,40}", rest)
        assert not broken, f"{place.cell}: {broken and broken[0]}"


@EVERY_PAGE
def test_an_address_outside_has_the_form_of_one(path: Path) -> None:
    """Papers by arXiv's page of the abstract or by DOI, which stay; nothing by plain http."""
    for _, target, picture in links(path):
        if "://" not in target:
            continue
        assert not picture, f"{target}: a picture must not need the network"
        assert re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"]*)?", target), target
        if "arxiv.org" in target:
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", target), target
        if "doi.org" in target:
            assert re.fullmatch(r"https://doi\.org/10\.\d{4,}/\S+", target), target


def test_the_readme_leads_to_every_notebook_and_every_page() -> None:
    wanted = {path.relative_to(ROOT).as_posix() for path in [*NOTEBOOKS, *PAGES, ROOT / "LICENSE"]}
    assert wanted - {"README.md"} <= targets(ROOT / "README.md")


def test_the_first_notebook_leads_to_all_others() -> None:
    table = next(place.text for place in cells(NOTEBOOKS[0]) if place.text.lstrip().startswith("| notebook"))
    assert re.findall(r"\]\((\d\d_\w+\.ipynb)\)", table) == [path.name for path in LESSONS]


@EVERY_NOTEBOOK
def test_a_notebook_ends_with_a_link_to_the_next(path: Path) -> None:
    following = NOTEBOOKS[NOTEBOOKS.index(path) + 1 :]
    last = [place for place in cells(path) if place.cell != CELL][-1].text
    wanted = following[0].name if following else NOTEBOOKS[0].name
    assert f"]({wanted}" in last.strip().splitlines()[-1]


# ---- numbers that name a notebook

NUMBER = re.compile(r"(?<![\w.,:/#*-])(0\d|1[0-2])(?![\w%]|[.,:/-]\d)")
LESSON = re.compile(r"(?:[Nn]otebooks?|[Ll]essons?)(?: \d\d(?:,| and| to))* $")  # what stands before 10, 11 and 12


def named(text: str) -> list[re.Match[str]]:
    """Where a text names a notebook by its number without a link, as "in 07" or "lessons 10 and 11"."""
    formulas = re.compile(rf"{LINK.pattern}|\$\$.*?\$\$|\$[^$]*\$|^#.*?$", re.DOTALL | re.MULTILINE)
    text = formulas.sub(lambda left_out: " " * len(left_out[0]), text)
    return [found for found in NUMBER.finditer(text) if found[1] < "10" or LESSON.search(text[: found.start()])]


@EVERY_NOTEBOOK
def test_a_notebook_that_is_named_is_linked_as_well(path: Path) -> None:
    linked = {Path(target).name[:2] for target in targets(path)}
    for place in cells(path):
        missing = [found[1] for found in named(place.text) if found[1] not in {*linked, path.name[:2]}]
        assert not missing, f"{place.cell} names {missing}: link them where this notebook names them first"


# ---- the glossary


def words(text: str) -> list[str]:
    """The words of a text as a reader counts them: of a link its text, of a formula nothing."""
    return re.findall(r"\w[\w'’.-]*", re.sub(r"\$[^$]*\$", "", LINK.sub(r"\g<text>", text)))


TERMS = [term for path in NOTEBOOKS for term in terms(path)]
EVERY_TERM = pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)


def test_the_glossary_is_what_the_notebooks_define(tmp_path: Path) -> None:
    """Byte for byte, and as the last cell of 00. It also fails for a term that is marked twice."""
    copies = [Path(shutil.copy(path, tmp_path)) for path in NOTEBOOKS]
    write(copies)
    assert copies[0].read_bytes() == NOTEBOOKS[0].read_bytes(), "run `make export`, which writes the glossary as well"
    assert [place.cell for place in cells(NOTEBOOKS[0])][-1] == CELL


def test_every_link_to_the_glossary_is_the_mark_of_a_term_or_says_where_it_leads() -> None:
    """A mark with a slip in it would be a link that works, and a term that the glossary does not have."""
    marks = 0
    for path in NOTEBOOKS:
        for text, target, _ in links(path):
            if target.endswith("#Glossary") and text != "glossary":
                assert MARK.fullmatch(f"[{text}]({target})"), f"{path.name}: [{text}]({target})"
                marks += 1
    assert marks == len(TERMS) >= 60


@EVERY_LESSON
def test_a_lesson_defines_terms(path: Path) -> None:
    assert 3 <= sum(term.target.startswith(path.name) for term in TERMS) <= 20


@EVERY_TERM
def test_a_definition_is_a_sentence_that_can_stand_alone(term: Term) -> None:
    assert 5 <= len(words(term.definition)) <= 45, term.definition
    assert ALONE.match(term.definition), f"it leans on the sentence before it: {term.definition}"
    assert not re.search(r"\bthis (?!series)|\bsuch (?!as\b)", term.definition), f"{term.definition}: which?"
    assert re.search(r"[.!?]\)?$", term.definition), f"it does not end: {term.definition}"
    assert forms(term.name).search(term.definition), f"{term.name} is not in: {term.definition}"
    assert not re.search(r"\$[^$]*\|[^$]*\$", term.definition), "a bar in a formula would end the field of the table"


def notebook(path: Path, *sources: str) -> Path:
    """A notebook with these cells of prose."""
    made = [{"cell_type": "markdown", "id": f"{n}", "metadata": {}, "source": [s]} for n, s in enumerate(sources)]
    path.write_text(json.dumps({"cells": made}), encoding="utf-8", newline="\n")
    return path


def marked(*names: str) -> list[str]:
    return [f"[**{name}**](00_start_here.ipynb#Glossary)" for name in names]


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("First. A {} is this. Then that.", "A key is this."),
        (
            "Is it? A {}, after Abel et al. (ACL 2020), is\nthis, e.g. That.",
            "A key, after Abel et al. (ACL 2020), is this, e.g. That.",
        ),
        ("- one\n- A {} is `a.b`.\n- three", "A key is `a.b`."),
        ("## 3.2 Two\nA {} is 1.5 of `x|y`. $x$ is not.", "A key is 1.5 of `x|y`."),
        ("(See [03](03_c.ipynb).) A {} is [below](#4.1-On).", "A key is [below](01_a.ipynb#4.1-On)."),
        ("No stop before\n\nA {} is this\n\n$$x$$", "A key is this"),
    ],
)
def test_a_definition_is_the_sentence_around_the_mark(tmp_path: Path, text: str, definition: str) -> None:
    (term,) = terms(notebook(tmp_path / "01_a.ipynb", text.format(*marked("key"))))
    assert (term.name, term.definition) == ("key", definition)


def test_a_term_knows_its_section_and_its_capital(tmp_path: Path) -> None:
    marks = marked("Head of LN", "LayerNorm", "Adam", "Xavier FLOPs")
    cells = [f"# 07 One\n\n{marks[0]} is.", f"## 7.1 A b, c's\n\n### Deeper\n\n{marks[1]} is."]
    found = list(terms(notebook(tmp_path / "07_x.ipynb", *cells, f"{marks[2]} is. It is {marks[3]}.")))
    section = ("7.1", "07_x.ipynb#7.1-A-b,-c's")
    assert [term.name for term in found] == ["head of LN", "LayerNorm", "Adam", "Xavier FLOPs"]
    assert [(term.label, term.target) for term in found] == [("07", "07_x.ipynb"), *[section] * 3]


def test_the_cell_is_written_once_at_the_end_in_alphabetical_order(tmp_path: Path) -> None:
    b, a, bar = marked("beam", "Adam", "bar")
    first = notebook(tmp_path / "00_start_here.ipynb", "# 00", f"A {b} is a beam.")
    second = notebook(tmp_path / "01_a.ipynb", f"{a} is a name. A {bar} is `|`.")
    for _ in range(2):
        write([first, second])
    made = json.loads(first.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in made] == ["0", "1", CELL]
    assert [line.rstrip("\n") for line in made[-1]["source"] if line.startswith("| **")] == [
        "| **Adam** | Adam is a name. | [01](01_a.ipynb) |",
        r"| **bar** | A bar is `\|`. | [01](01_a.ipynb) |",
        "| **beam** | A beam is a beam. | [00](00_start_here.ipynb) |",
    ]


def test_a_term_that_is_marked_twice_gets_a_sentence(tmp_path: Path) -> None:
    first = notebook(tmp_path / "00_start_here.ipynb", f"A {marked('beam')[0]} is.")
    second = notebook(tmp_path / "01_a.ipynb", f"## 1.1 X\n\nA {marked('Beam')[0]} is.")
    before = first.read_bytes()
    said = r"'Beam' is marked in 00_start_here.ipynb and again in 01_a.ipynb#1.1-X: keep one mark"
    with pytest.raises(ValueError, match=said):
        write([first, second])
    assert first.read_bytes() == before


# ---- no term before its definition


def forms(name: str) -> re.Pattern[str]:
    """A term in prose, one or many, at the beginning of a sentence or inside it."""
    one = re.sub(r"(?<=[a-rt-z])s$", "", name)
    ending = "(?:y|ies)" if one.endswith("y") else "(?:e?s)?"
    stem = re.escape(one.removesuffix("y")).replace(r"\ ", r"[\s-]").replace(r"\-", r"[\s-]?")
    return re.compile(rf"(?<![\w-]){stem}{ending}(?![\w-])", re.IGNORECASE)


# Words that earlier prose uses for something else, which a reader takes as everyday English or plain Python.
OTHER_MEANINGS = {
    "block": "of a file, of code",
    "decoder": "of bytes, in Python's library",
    "key": "of a dictionary",
    "leak": "of data, in plain English",
    "memory": "of a computer, of a reader",
    "surprise": "in plain English",
    "value": "of a variable, of a number in the graph of 04",
}
SECOND_PART = ("# Part 2", 8.5)  # of 04, which is read after 08


class Paragraph(NamedTuple):
    notebook: str
    cell: str
    text: str
    opening: bool  # before the first section, where a notebook promises what it will explain


def in_order() -> list[Paragraph]:
    """The prose of the lessons in the order of reading, without its headings."""
    found = []
    for path in LESSONS:
        when, opening = float(path.name[:2]), True
        for place in cells(path):
            if place.text.startswith(SECOND_PART[0]):
                when = SECOND_PART[1]
            opening = opening and not re.search(r"^## ", place.text, re.MULTILINE)
            for text in re.split(r"\n\s*\n", HEADING.sub("", place.text)):
                found.append((when, Paragraph(path.name, place.cell, text, opening)))
    return [paragraph for _, paragraph in sorted(found, key=lambda pair: pair[0])]


PROSE = in_order()


@EVERY_TERM
def test_no_term_is_used_before_its_definition(term: Term) -> None:
    """A paragraph that links to the lesson of the definition may use the term: it says where to look."""
    home, form = term.target.partition("#")[0], forms(term.name)
    if home == NOTEBOOKS[0].name or term.name in OTHER_MEANINGS:
        return
    mark = f"[**{term.name}**](".lower()
    there = next(index for index, paragraph in enumerate(PROSE) if mark in paragraph.text.lower())
    early = []
    for notebook, cell, text, opening in PROSE[:there]:
        promised = opening if notebook == home else f"]({home}" in text
        shown = re.sub(r"\$[^$]*\$", "", LINK.sub(lambda link: "" if link["picture"] else link["text"], text))
        used = not promised and form.search(shown)
        if used:
            early.append(f"{notebook[:2]} {cell}: ...{shown[max(0, used.start() - 60) : used.end() + 40]}...")
    assert not early, f"define {term.name} first, or link to {home}, or use another word:\n" + "\n".join(early)


def test_a_word_with_another_meaning_is_a_term() -> None:
    assert set(OTHER_MEANINGS) <= {term.name for term in TERMS}
