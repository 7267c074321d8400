"""What all widgets share: a steady picture and a page that stands alone, whatever a widget shows."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")
import traitlets

from gptlib import _widget
from gptlib._widget import View, side_by_side, static

SVG = "http://www.w3.org/2000/svg"  # a name, and no address that anybody asks
AWKWARD = ["</script><script>alert(1)</script>", "@page@ @title@ @style@", "<!--", "\\u003c", "é 🐙 \u2028", '"', ""]
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def dial(monkeypatch: pytest.MonkeyPatch) -> type[View]:
    """A widget with one number, one text and some bytes, whose script and style are given here."""
    own = {"dial.js": "export default { render() {} };", "dial.css": ".gptlib-dial { color: var(--ink); }"}
    monkeypatch.setattr(_widget, "static", lambda name: own.get(name) or static(name))

    class Dial(View):
        _name = "dial"
        size = (2.0, 1.0)
        hand = traitlets.Int(0).tag(sync=True)
        marks = traitlets.Int(12).tag(sync=True)
        label = traitlets.Unicode("").tag(sync=True)
        content = traitlets.Bytes(b"").tag(sync=True)
        secret = traitlets.Unicode("stays in Python")

        def __repr__(self) -> str:
            return f"Dial({self.hand} of {self.marks})"

        def range_of(self, name: str) -> Any:
            return range(self.marks) if name == "hand" else None

        def draw(self, figure: Any) -> None:
            axes = figure.subplots()
            axes.plot([0, self.hand], [0, 1])
            axes.set_title(self.label)

    return Dial


class Reader(HTMLParser):
    """What a browser would find in a page: the tags, and the text of the scripts and of the title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.texts.setdefault(tag, []).append("")
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.texts["script"][0])


# ---- pictures


def test_the_same_view_gives_the_same_picture(dial: type[View]) -> None:
    """Byte for byte: a date or a random id inside would make every committed notebook differ."""
    for make in (lambda: dial(hand=3).to_png(), lambda: dial(hand=3).to_svg(), lambda: dial(hand=3).to_html()):
        assert make() == make()
    assert dial(hand=3).to_svg() != dial(hand=4).to_svg()
    assert dial(hand=3).to_png() != dial(hand=4).to_png()


def test_a_picture_has_the_size_it_names(dial: type[View]) -> None:
    png = dial().to_png()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == pytest.approx([200, 100], abs=20)


def test_nothing_of_a_picture_is_cut_off(dial: type[View]) -> None:
    """A heading wider than the figure was, and so were the highest names above a map."""
    wide, narrow = (dial(label=text).to_png() for text in ("W" * 60, "W"))
    assert int.from_bytes(wide[16:20]) > int.from_bytes(narrow[16:20]) + 100


def test_a_letter_without_a_drawing_is_no_warning(dial: type[View], recwarn: pytest.WarningsRecorder) -> None:
    """A warning would stand in the stored output of a cell, and nbval would compare it."""
    dial(label="\u4e2d 🐙").to_png()
    assert not recwarn.list


def test_a_cell_shows_the_widget_and_elsewhere_its_picture(dial: type[View]) -> None:
    view = dial(hand=5)
    data, _ = view._repr_mimebundle_()
    assert data["text/plain"] == "Dial(5 of 12)"
    assert data[WIDGET]["model_id"] == view.model_id
    assert base64.b64decode(data["image/png"]) == view.to_png()
    assert "text/html" not in data and "image/svg+xml" not in data, "nbval compares these, and ids in them change"


# ---- pages


@pytest.mark.parametrize("text", AWKWARD)
def test_a_page_keeps_every_text(dial: type[View], text: str) -> None:
    read = Reader(dial(label=text).to_html(title=text))
    assert [tag for tag, _ in read.tags].count("script") == 2, "the text began or ended a script"
    (view,) = read.content["views"]
    assert view["plain"]["label"] == text
    assert read.texts["title"] == [text or repr(dial())]
    assert read.texts["h1"] == [text or repr(dial())]


def test_a_page_asks_nobody(dial: type[View]) -> None:
    page = dial().to_html()
    read = Reader(page)
    for tag, attributes in read.tags:
        assert not {"src", "href", "srcset", "action"} & set(attributes), f"<{tag}> fetches something"
    scripts = [base64.b64decode(text).decode() for text in read.content["scripts"]]
    for text in [page, *scripts]:
        assert not re.search(
            r"https?://|wss?://|@import|url\(|\bfrom\s+['\"]|\bfetch\(|XMLHttpRequest", text.replace(SVG, "")
        )


def test_a_page_holds_what_the_view_shows_and_nothing_else(dial: type[View]) -> None:
    content = bytes(range(256)) * 3
    view = dial(hand=7, content=content)
    (shown,) = Reader(view.to_html()).content["views"]
    assert shown["plain"] == {"alone": True, "hand": 7, "label": "", "marks": 12}
    assert base64.b64decode(shown["bytes"]["content"]) == content and list(shown["bytes"]) == ["content"]
    assert view.alone is False


def test_scripts_and_styles_are_in_a_page_once(dial: type[View]) -> None:
    page = side_by_side(dial(), dial()).to_html()
    assert page.count(".gptlib.gptlib-dial {") == 1
    read = Reader(page)
    assert [base64.b64decode(text).decode() for text in read.content["scripts"]] == [dial._esm]
    assert [view["script"] for view in read.content["views"]] == [0, 0]


@pytest.mark.parametrize("kind", ["html", "svg"])
def test_a_path_gets_the_file(dial: type[View], tmp_path: Path, kind: str) -> None:
    write = getattr(dial(label="é"), f"to_{kind}")
    path = write(str(tmp_path / "view"))
    assert path == tmp_path / "view"
    assert path.read_bytes().decode("utf-8") == write()


def test_a_style_is_stronger_than_the_common_one_whatever_comes_last(dial: type[View]) -> None:
    """In a notebook each widget brings common.css along, after the styles of those before it."""
    assert dial._css == static("common.css") + ".gptlib.gptlib-dial { color: var(--ink); }"


# ---- side by side


def test_traits_with_the_same_values_go_together(dial: type[View]) -> None:
    three = side_by_side(dial(), dial(hand=2), dial(), link=["hand", "label"])
    assert three.links() == [(0, 1, "hand"), (0, 2, "hand")]
    assert Reader(three.to_html()).content["links"] == [[0, 1, "hand"], [0, 2, "hand"]]


def test_traits_with_other_values_stay_apart(dial: type[View]) -> None:
    assert side_by_side(dial(), dial(marks=24), link=["hand"]).links() == []
    assert side_by_side(dial(), dial(), link=[]).links() == []


def test_side_by_side_is_one_picture(dial: type[View]) -> None:
    both = side_by_side(dial(hand=1), dial(hand=2))
    assert repr(both) == "side_by_side(Dial(1 of 12), Dial(2 of 12))"
    assert both.size == (4.0, 1.0)
    data, _ = both._repr_mimebundle_()
    png = base64.b64decode(data["image/png"])
    assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == pytest.approx([400, 100], abs=20)
    assert png != side_by_side(dial(hand=2), dial(hand=1)).to_png()
    assert data["text/plain"] == repr(both) and WIDGET in data


# ---- files


def test_every_widget_has_a_script_and_a_style_of_its_own_and_nothing_from_outside() -> None:
    folder = Path(_widget.__file__).parent / "static"
    scripts, styles = ({path.stem for path in folder.glob(f"*.{kind}")} for kind in ("js", "css"))
    assert scripts == styles and "common" in scripts
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8").replace(SVG, "")
        assert not re.search(r"https?://|@import|\bimport\s+[\w{*]|\.innerHTML|\beval\(", text), path.name
