"""The site: every page is there and found, every link leads somewhere, nothing is asked of a network."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

pytest.importorskip("furo", reason="the site needs its extra: pip install -e '.[dev]'")
import sites
from bs4 import BeautifulSoup
from bs4.element import Tag
from nbformat.v4 import new_markdown_cell

ASKS = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src", "audio": "src"}
LESSONS = sorted(path.stem for path in (sites.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
VIEWS = {
    name: (sites.ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8").count(sites.LIVE) for name in LESSONS
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sites.small(tmp_path_factory)


@pytest.fixture(scope="module", params=["small", pytest.param("whole", marks=pytest.mark.long)])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.getfixturevalue("small") if request.param == "small" else sites.whole(tmp_path_factory)


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def pages(site: Path) -> dict[Path, BeautifulSoup]:
    return {path: parsed(path) for path in sorted(site.rglob("*.html"))}


def lesson(site: Path, number: str) -> BeautifulSoup:
    (path,) = (site / "notebooks").glob(f"{number}_*.html")
    return parsed(path)


def leads(page: BeautifulSoup) -> Iterator[tuple[Tag, str]]:
    """Every tag that names a place, and the place."""
    for tag in page.find_all(True):
        for name in ("href", "src", "action", "data", "poster", "srcset"):
            if tag.get(name) is not None:
                yield tag, str(tag[name])


# ---- what both sites must have


def test_every_link_leads_to_a_file_and_to_a_place_in_it(site: Path) -> None:
    every = pages(site)
    names = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in every.items()}
    checked = 0
    for path, page in every.items():
        for tag, place in leads(page):
            parts = urlsplit(place)
            if parts.scheme or place.startswith("data:"):
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert there.is_file(), f"{path.name}: {tag}"
            assert there.is_relative_to(site.resolve()), f"{path.name} leads out of the site: {tag}"
            if parts.fragment and there in names:
                assert unquote(parts.fragment) in names[there], f"{path.name}: {tag}"
            checked += 1
    assert checked > 100


def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    for path, page in pages(site).items():
        for tag in page.find_all(list(ASKS)):
            place = tag.get(ASKS[tag.name]) or ""
            assert not re.match(r"(?i)\s*(https?:|wss?:|//)", place), f"{path.name}: {tag}"
        for tag in page.find_all("script", src=False):
            assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(['\"]http", tag.text), f"{path.name}: {tag}"
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*['\"]?(https?:|//)", text), path.name


def test_next_and_previous_lead_through_all_lessons(site: Path) -> None:
    path, seen = site / "index.html", []
    while (forward := parsed(path).select_one("a.next-page")) is not None:
        there = (path.parent / forward["href"]).resolve()
        back = parsed(there).select_one("a.prev-page")
        assert (there.parent / back["href"]).resolve() == path.resolve()
        path = there
        seen.append(path.relative_to(site.resolve()).with_suffix("").as_posix())
    expected = LESSONS if len(seen) > len(LESSONS) else ["00_first", "01_second"]
    assert seen[: len(expected)] == [f"notebooks/{name}" for name in expected]
    assert {"notebooks/exercises/README", "data/README"} <= set(seen)
    every = {path.relative_to(site).with_suffix("").as_posix() for path in pages(site) if path.parent.name != "views"}
    assert every == {*seen, "index", "search"}


def test_every_picture_and_every_frame_has_words(site: Path) -> None:
    for path, page in pages(site).items():
        for picture in page.find_all("img"):
            assert re.search(r"\w\w", picture.get("alt", "")), f"{path.name}: {picture}"
            assert not picture["alt"].endswith((".png", ".svg")), f"{path.name}: {picture}"
        for frame in page.find_all("iframe"):
            assert frame.get("title"), f"{path.name}: {frame}"


def test_no_output_is_the_name_of_a_widget(site: Path) -> None:
    for path, page in pages(site).items():
        said = [tag.text for tag in page.select("div.cell_output pre")]
        assert not [text for text in said if re.match(r"\s*\w+\(children=|.*model_id", text)], path.name
        for part in ("html-manager", "widget-state", sites.LIVE):
            assert part not in str(page), f"{path.name} holds what asks for a network, and differs each time: {part}"


# ---- the small one, where it is known what must come out


def test_a_view_is_a_page_in_a_frame_and_the_other_outputs_stay(small: Path) -> None:
    page = lesson(small, "00")
    (frame,) = page.select("div.cell_output iframe.view")
    assert "AttentionView(1 layer, 1 head, 3 tokens)" in frame["title"]
    view = (small / "notebooks" / frame["src"]).resolve()
    assert view.name == "00_01.html" and "ResizeObserver" in view.read_text(encoding="utf-8")
    said = [tag.text.strip() for tag in page.select("div.cell_output pre")]
    assert said == ["before the view", "stored"], "the cell behind the last view keeps what it stores"


def test_formulas_are_mathml(small: Path) -> None:
    inline, block = lesson(small, "00").find_all("math")
    assert inline.find("mfrac") and not inline.get("display")
    assert block["display"] == "block" and block.find("munder") and block.text.count("(") == 1


def test_links_are_those_of_the_notebooks(small: Path) -> None:
    found = {tag.text: tag["href"] for tag in lesson(small, "00").select("article a[href]")}
    assert found["the other"].startswith("01_second.html#") and found["here"].startswith("#")
    assert found["all"] == "../index.html"
    code = small / "notebooks" / found["the code"]
    assert code.read_text(encoding="utf-8") == "print('xylophone')\n"
    assert "a folder" not in found and "a later lesson" not in found
    assert "a folder" in lesson(small, "00").text
    # the anchors of JupyterLab are anchors here too, for links from elsewhere
    assert lesson(small, "00").find(id="0.1-A-formula,-and-(more)")


def test_of_controls_the_text_stays_and_figures_have_words(small: Path) -> None:
    page = lesson(small, "01")
    said = [tag.text.strip() for tag in page.select("div.cell_output pre")]
    assert said == [("wide " * 60).strip(), sites.builder().CONTROLS, "Which one?\n  a  this\n  b  that"]
    assert [tag["alt"] for tag in page.select("div.cell_output img")] == ["Figure: Losses, update, loss"]
    assert page.select_one("b.kept").text == "stays"


def test_a_text_that_is_linked_to_is_a_page_with_one_title(small: Path) -> None:
    page = parsed(small / "HOW.html").select_one("article")
    titles = [(tag.name, tag.contents[0]) for tag in page.find_all(re.compile(r"h\d"))]
    assert titles == [("h1", "How to go on"), ("h2", "A part"), ("h2", "Another title"), ("h3", "Its part")]
    assert "# no title" in page.text


def test_a_word_is_found_on_its_page(small: Path) -> None:
    assert found(small, "xylophon") == ["notebooks/00_first"]


def found(site: Path, stem: str) -> list[str]:
    """The pages that the search index has for a word's stem."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)\s*", text, re.DOTALL)[1])
    places: set[int] = set()
    for part in ("terms", "titleterms"):  # the words of headings are kept apart
        of_part = index[part].get(stem, [])
        places |= {of_part} if isinstance(of_part, int) else set(of_part)
    return [index["docnames"][place] for place in sorted(places)]


def test_a_dead_link_a_wrong_anchor_and_a_wrong_formula_stop_the_build(tmp_path: Path, capfd) -> None:
    path, second = sites.tree(tmp_path / "project")
    notebook = nbformat.read(path, as_version=4)
    text = "[one](gone.ipynb), [two](01_second.ipynb#Nowhere), $\\nonsense{x}$, ![no picture](images/gone.png)"
    notebook.cells = [notebook.cells[0], new_markdown_cell(text)]
    nbformat.write(notebook, path)
    made = sites.builder()
    made.ROOT = tmp_path / "project"
    (tmp_path / "work").mkdir()
    with pytest.raises(subprocess.CalledProcessError):
        made.build([path, second], tmp_path / "work")
    said = capfd.readouterr().err
    for part in ("gone.ipynb", "Nowhere", "nonsense", "gone.png"):
        assert part in said, said


def test_a_notebook_that_shows_other_views_than_it_stores_is_refused(tmp_path: Path) -> None:
    path, _ = sites.tree(tmp_path / "project")
    made = sites.builder()
    made.run = lambda *given: {}
    with pytest.raises(ValueError, match=r"00_first\.ipynb stores other views than it shows: run it, save it"):
        made.dress(path, path, tmp_path / "views")


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["build.py", "00", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        sites.builder().main()
    assert "is no site: name another folder after --out" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"


# ---- the whole one


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sites.whole(tmp_path_factory)


@pytest.mark.long
def test_every_view_that_a_notebook_stores_is_alive(whole: Path) -> None:
    """As many frames on a page as its notebook stores pictures of views, each with a page of its own."""
    for name in LESSONS:
        notebook = nbformat.read(sites.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        bundles = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
        titles = [data["text/plain"] for data in bundles if sites.LIVE in data and "image/png" in data]
        frames = lesson(whole, name[:2]).select("iframe.view")
        assert [frame["title"] for frame in frames] == titles
        assert len({frame["src"] for frame in frames}) == len(frames)
    assert len(lesson(whole, "10").select("iframe.view")) > 5 and lesson(whole, "05").select("iframe.view")


@pytest.mark.long
def test_a_view_that_grows_after_it_was_shown_is_kept_with_its_records(whole: Path) -> None:
    first = lesson(whole, "08").select_one("iframe.view")
    assert "no records yet" in first["title"]
    view = (whole / "notebooks" / first["src"]).read_text(encoding="utf-8")
    assert "muon" in json.dumps(json.loads(BeautifulSoup(view, "html.parser").find(id="page").text)["views"])


@pytest.mark.long
def test_what_the_notebooks_print_is_what_the_pages_show(whole: Path) -> None:
    """Also of the notebooks that were run for their views: what they store is what stands there."""
    for name in LESSONS:
        notebook = nbformat.read(sites.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        shown = "".join(tag.text for tag in lesson(whole, name[:2]).select("div.cell_output pre"))
        for output in outputs:
            if output.output_type == "stream":
                assert all(line.rstrip() in shown for line in output.text.splitlines()), f"{name}: {output.text}"


@pytest.mark.long
def test_search_finds_the_words_of_the_lessons(whole: Path) -> None:
    assert "notebooks/12_encoder_decoder" in found(whole, "beam")
    assert "notebooks/01_tokenizer" in found(whole, "merg")
    assert "data/README" in found(whole, "grammar")
