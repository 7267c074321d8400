"""What all widgets of gptlib share: a script and a style from files, a picture for where nothing runs, a page alone."""

import base64
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gptlib._files import write_text

try:
    import anywidget
    import ipywidgets
    import traitlets
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the widgets need {error.name}, which is not installed: pip install 'gptlib[notebooks]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure


def static(name: str) -> str:
    """The text of a file in `gptlib/static`."""
    return files("gptlib").joinpath("static", name).read_text(encoding="utf-8")


def plain_text(text: str) -> str:
    """A text that matplotlib draws as it is: a dollar begins no formula."""
    return text.replace("$", r"\$")


def style(name: str) -> str:
    """A widget's own style, stronger than common.css, which the next widget brings to the same page again."""
    return static(f"{name}.css").replace(f".gptlib-{name}", f".gptlib.gptlib-{name}")


class Picture:
    """What can be shown where no script runs: `draw` is all that a widget has to say for that."""

    size: tuple[float, float] = (7.0, 4.0)  # of the picture, in inches

    def draw(self, figure: "Figure | SubFigure") -> None:
        """Draw what the widget shows now into a `figure` of matplotlib; a subclass must say how."""
        raise NotImplementedError

    def views(self) -> list["View"]:
        """The widgets in this one, itself if it is a single one."""
        raise NotImplementedError

    def links(self) -> list[tuple[int, int, str]]:
        """Which traits of which two of the views go together."""
        return []

    def to_png(self) -> bytes:
        """The picture as PNG, of at most 256 colors: a notebook stores many."""
        from PIL import Image

        picture, out = Image.open(BytesIO(self._picture("png"))), BytesIO()
        picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            out, "PNG", optimize=True
        )
        return out.getvalue()

    def to_svg(self, path: str | Path | None = None) -> str | Path:
        """The picture as SVG, or, given a path, a file of it; the same picture gives the same text."""
        return _given(self._picture("svg").decode(), path)

    def to_html(self, path: str | Path | None = None, title: str | None = None) -> str | Path:
        """The widget as one page that needs no network and no Python, or, given a path, a file of it."""
        return _given(page(self.views(), self.links(), title or repr(self)), path)

    def _picture(self, kind: str) -> bytes:
        import matplotlib
        from matplotlib.figure import Figure

        fixed = {"svg.hashsalt": "gptlib", "svg.fonttype": "none", "font.size": 9}
        with matplotlib.rc_context(fixed), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a letter that the font lacks is drawn as a box
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure)
            out = BytesIO()
            stamp = {"Date": None} if kind == "svg" else {"Software": None}  # which would differ each time
            figure.savefig(out, format=kind, dpi=100, metadata=stamp, bbox_inches="tight", pad_inches=0.05)
        return out.getvalue()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        given = super()._repr_mimebundle_(**kwargs)
        data, metadata = given if isinstance(given, tuple) else (given, {})
        return {**data, "image/png": base64.b64encode(self.to_png()).decode()}, metadata


class Refused(traitlets.TraitError, ValueError):
    """A value that a trait cannot have: a `ValueError` to who set it, and all that came with it is taken back."""


class View(Picture, anywidget.AnyWidget):
    """A widget with one script and one style, `static/NAME.js` and `static/NAME.css`, where `_name` is NAME."""

    _name: ClassVar[str]
    alone = traitlets.Bool(False).tag(sync=True)  # true in a page of its own, where no Python answers

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_name" in cls.__dict__:
            cls._esm = static("common.js") + static(f"{cls._name}.js")
            cls._css = static("common.css") + style(cls._name)
        super().__init_subclass__(**kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def views(self) -> list["View"]:
        return [self]

    def range_of(self, name: str) -> Any:
        """What values the trait `name` may have: two views go together in it where this is the same and not None."""
        return None

    def page_state(self) -> dict[str, Any]:
        """The traits that a page alone begins with."""
        of_jupyter = {"layout", "tabbable", "tooltip"}
        return {k: v for k, v in self.get_state().items() if k not in of_jupyter and not k.startswith("_")}


class Beside(Picture, ipywidgets.HBox):
    """Widgets side by side; the browser moves linked traits together, and tells Python."""

    def __init__(self, views: Sequence[View], names: Iterable[str]) -> None:
        super().__init__(list(views), layout=ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start"))
        for view in views:
            view.layout.flex, view.layout.min_width = "1 1 440px", "0"  # each gets its share of the width
        names, first = list(names), views[0]
        self._links = [
            (0, number, name)
            for number, view in enumerate(views[1:], start=1)
            for name in names
            if first.range_of(name) is not None and first.range_of(name) == view.range_of(name)
        ]
        for start, end, name in self._links:
            ipywidgets.jslink((views[start], name), (views[end], name))

    def __repr__(self) -> str:
        return f"side_by_side({', '.join(map(repr, self.children))})"

    @property
    def size(self) -> tuple[float, float]:
        widths, heights = zip(*(view.size for view in self.children), strict=True)
        return sum(widths), max(heights)

    def draw(self, figure: "Figure | SubFigure") -> None:
        widths = [view.size[0] for view in self.children]
        parts = figure.subfigures(1, len(widths), width_ratios=widths, squeeze=False)[0]
        for view, part in zip(self.children, parts, strict=True):
            view.draw(part)

    def views(self) -> list[View]:
        return list(self.children)

    def links(self) -> list[tuple[int, int, str]]:
        return self._links


def side_by_side(*views: View, link: Iterable[str] | None = None) -> Beside:
    """Widgets beside one another; the traits in `link` move together where both may have the same values.

    By default these are layer, head, mode and hover, as far as the widgets have them (lesson 10_attention_maps). A
    ValueError for fewer than two widgets, and for a name that is no trait of any.
    """
    if len(views) < 2 or not all(isinstance(view, View) for view in views):
        given = ", ".join(type(view).__name__ for view in views) or "nothing"
        raise ValueError(f"side_by_side was given {given}: give two or more widgets of gptlib")
    if link is None:
        return Beside(views, ("layer", "head", "mode", "hover"))
    if isinstance(link, str):
        raise ValueError(f"link is {link!r}: give a list of names, as in link=[{link!r}]")
    link = list(link)
    for name in link:
        if not any(view.has_trait(name) for view in views):
            raise ValueError(f"link names {name!r}, which none of the widgets has: give names of their traits")
    return Beside(views, link)


def page(views: Sequence[View], links: Sequence[tuple[int, int, str]], title: str) -> str:
    """One page with these widgets in it, their scripts, their styles and what they show."""
    names = list(dict.fromkeys(view._name for view in views))
    scripts = [base64.b64encode((static("common.js") + static(f"{name}.js")).encode()).decode() for name in names]
    states = []
    for view in views:
        state = view.page_state() | {"alone": True}
        packed = {name: base64.b64encode(value).decode() for name, value in state.items() if _is_bytes(value)}
        plain = {name: value for name, value in state.items() if name not in packed}
        states.append({"script": names.index(view._name), "plain": plain, "bytes": packed})
    content = json.dumps({"views": states, "links": list(links), "scripts": scripts})
    parts = {
        "title": escape(title),
        "style": static("common.css") + "".join(map(style, names)),
        "page": content.replace("<", "\\u003c"),  # so that no token can end the script
    }
    return re.sub("@(title|style|page)@", lambda found: parts[found[1]], static("page.html"))


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def _given(text: str, path: str | Path | None) -> str | Path:
    if path is None:
        return text
    write_text(path, text)
    return Path(path)
