"""The tokens of a text in the browser, and the merges that made them, played by a slider."""

import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from gptlib._token_html import (
    COLORS,
    EDGE,
    FRESH,
    INK,
    PALE,
    SIGN_INK,
    SPECIAL,
    check_view,
    count,
    cut_chunks,
    merge_steps,
    plain,
    signs,
    spans,
)
from gptlib._widget import Refused, View, traitlets
from gptlib.tokenizer import Allowed, BPETokenizer, Tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


CELL, LINE, PAD, GAP = 0.0753, 0.25, 0.05, 0.05  # inches: a letter of 9 points, a line, within and between boxes
MOST_LINES = 20  # of a picture
WIDEST = 60  # letters of a token in it


class Life(NamedTuple):
    """A token that a text goes through: where it stands, in bytes, and which merges make it and use it up."""

    start: int
    token: bytes
    born: int | None  # the rank of a merge; None: it is there before any
    died: int | None  # None: it is there after all
    id: int


def lives(tokenizer: BPETokenizer, chunk: str) -> list[Life]:
    """Every token that a chunk goes through."""
    alive: dict[tuple[int, int], tuple[bytes, int | None]] = {}
    found: list[Life] = []

    def end(span: tuple[int, int], rank: int | None) -> None:
        token, born = alive[span]
        found.append(Life(span[0], token, born, rank, tokenizer.id_of[token]))

    for rank, row in merge_steps(tokenizer, chunk):
        now = dict(zip(spans(row), row, strict=True))
        for span in alive.keys() - now.keys():
            end(span, rank)
        alive = {span: alive.get(span, (token, rank)) for span, token in now.items()}
    for span in alive:
        end(span, None)
    return found


def read_chunks(
    tokenizer: Tokenizer, text: str, allowed_special: Allowed, known: dict[str, list[Life]]
) -> Iterable[list[Life]]:
    """The lives of the tokens of each chunk of a text, from 0 in each; `known` keeps those of ordinary chunks."""
    if not isinstance(tokenizer, BPETokenizer):
        for i in tokenizer.encode(text, allowed_special):
            yield [Life(0, tokenizer.decode_bytes([i]), None, None, i)]
        return
    for chunk, special in cut_chunks(tokenizer, text, allowed_special):
        if special:
            yield [Life(0, chunk.encode(), None, None, tokenizer.special_tokens[chunk])]
        else:
            if chunk not in known:
                known[chunk] = lives(tokenizer, chunk)
            yield known[chunk]


def shown_parts(token: bytes) -> list[str]:
    """What a token shows, ordinary text and signs in turn, text first: `[" ", "a"]` is `["", "␣", "a"]`."""
    parts = [""]
    for is_sign, group in groupby(signs(token), key=lambda pair: pair[1]):
        if is_sign == len(parts) % 2:
            parts.append("")
        parts[-1] += "".join(text for text, _ in group)
    return parts


def wide_characters(text: str) -> list[list[Any]]:
    """The characters of several bytes: where each begins, in bytes, how many it has, and how it is shown."""
    ends = list(accumulate(len(character.encode()) for character in text))
    sizes = zip(text, [0, *ends], ends, strict=False)
    return [[begin, end - begin, plain(letter.encode())] for letter, begin, end in sizes if end - begin > 1]


def cells(shown: str) -> int:
    """How many letters wide a text is where all letters are equally wide."""
    wide = (0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in shown)
    return sum(wide)


def drawn(token: bytes) -> str:
    """What a picture shows of a token."""
    return "".join(text for text, _ in signs(token))


def lay_out(tokens: Sequence[bytes], width: float, least: float = 0.0) -> list[tuple[float, int, float, str]]:
    """Boxes in lines of `width` inches: where each begins, in which line, how wide it is, what it shows."""
    boxes: list[tuple[float, int, float, str]] = []
    x, line = 0.0, 0
    for token in tokens:
        shown = drawn(token)
        fitting = bisect_right([*accumulate(map(cells, shown))], WIDEST)
        shown = shown[:fitting] + "…" * (fitting < len(shown))
        wide = max(least, cells(shown) * CELL + 2 * PAD)
        if x and x + wide > width:
            x, line = 0.0, line + 1
        boxes.append((x, line, wide, shown))
        x += wide + GAP
        if ends := min(token.count(b"\n"), 2):
            x, line = 0.0, line + ends
    return boxes


def draw_boxes(axes: "Axes", boxes: Sequence[tuple[float, int, float, str]], colors: Sequence[str], top: float) -> None:
    """Draw boxes in lines, the first at `top`, inches downwards."""
    from matplotlib.patches import FancyBboxPatch

    for (x, row, wide, shown), color in zip(boxes, colors, strict=True):
        y, high, ink = top + row * LINE, LINE - GAP, PALE if color == SPECIAL else INK
        style = "round,pad=0,rounding_size=0.03"
        axes.add_patch(FancyBboxPatch((x, y), wide, high, boxstyle=style, facecolor=color, edgecolor=EDGE, lw=0.6))
        axes.text(
            x + wide / 2,
            y + high / 2,
            shown,
            color=ink,
            family="monospace",
            ha="center",
            va="center_baseline",
            parse_math=False,
        )


def paper(figure: "Figure | SubFigure", width: float, height: float) -> "Axes":
    """Axes over the whole figure, in inches, downwards."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.1, width - 0.1), ylim=(height - 0.1, -0.1))
    axes.set_axis_off()
    return axes


class TokenView(View):
    """The tokens of a text as boxes in the flow of its lines; id and bytes under the pointer (lesson 01_tokenizer).

    Of a `BPETokenizer` a slider plays the merges that were learned: at `step` 0 every byte is a token, and the last is
    what `encode` gives; between them stand the tokens of a tokenizer that stopped learning early. Chunks are shown as
    long as they have at most `limit` bytes together; then a sentence counts the rest. `text`, `step` and `hover`, the
    place of a token or -1, can be set and follow the page. What cannot be shown is a ValueError.
    """

    _name: ClassVar[str] = "token"
    text = traitlets.Unicode().tag(sync=True)
    typed = traitlets.Unicode().tag(sync=True)  # what stands in the box of the page: it may be no possible text
    problem = traitlets.Unicode().tag(sync=True)  # what is wrong with it
    answered = traitlets.Int().tag(sync=True)  # how often it was read
    step = traitlets.Int().tag(sync=True)
    hover = traitlets.Int(-1).tag(sync=True)
    parts = traitlets.Dict().tag(sync=True)  # all that is drawn

    def __init__(
        self, tokenizer: Tokenizer, text: str, *, allowed_special: Allowed = "none", limit: int = 2000
    ) -> None:
        if not isinstance(limit, Integral):
            raise ValueError(f"limit is {limit!r}: give how many boxes may be shown, an integer from 1 on")
        check_view(tokenizer, limit)
        self.tokenizer, self.allowed_special, self.limit = tokenizer, allowed_special, limit
        self._known: dict[str, list[Life]] = {}
        parts = self._read(text)
        super().__init__(text=text, typed=text, parts=parts, step=len(parts["merges"]))

    def __repr__(self) -> str:
        summary = f"{count(len(self.ids), 'token')}, {count(sum(map(len, self.tokens)), 'byte')}"
        merges = len(self.parts["merges"])
        return f"TokenView({summary}{f', merge {self.step} of {merges}' if merges else ''})"

    @property
    def tokens(self) -> list[bytes]:
        """The tokens that are shown now."""
        return [life.token for life in self._now()]

    @property
    def ids(self) -> list[int]:
        """The ids of the tokens that are shown now."""
        return [life.id for life in self._now()]

    def _now(self) -> list[Life]:
        """The tokens of this step, in the order of the text."""
        last = max(self._ranks[: self.step], default=-1)
        return [
            life
            for life in self._lives
            if (life.born is None or life.born <= last) and (life.died is None or life.died > last)
        ]

    def _read(self, text: str) -> dict[str, Any]:
        """Read a text, and give all that the page has to know of it."""
        ids = self.tokenizer.encode(text, self.allowed_special)
        if len(self._known) > 5000:
            self._known.clear()
        found, size = [], 0
        for chunk in read_chunks(self.tokenizer, text, self.allowed_special, self._known):
            length = sum(len(life.token) for life in chunk if life.born is None)
            if size + length > self.limit:
                break
            found += [life._replace(start=life.start + size) for life in chunk]
            size += length
        self._lives = sorted(found, key=lambda life: (life.start, len(life.token)))
        self._ranks = sorted({life.born for life in found if life.born is not None})
        return self._packed(text, len(ids), size)

    def _packed(self, text: str, n_tokens: int, size: int) -> dict[str, Any]:
        special = set(self.tokenizer.special_tokens.values())
        kinds = list(dict.fromkeys((life.id, life.token) for life in self._lives))
        index = {kind: i for i, kind in enumerate(kinds)}
        step_of = {rank: step for step, rank in enumerate(self._ranks, start=1)}
        born = Counter(life.born for life in self._lives)
        last = len(self._ranks) + 1
        n_bytes = len(text.encode())
        return {
            "kinds": [[i, shown_parts(token), token.hex(), int(i in special)] for i, token in kinds],
            "pieces": [
                [life.start, index[life.id, life.token], step_of.get(life.born, 0), step_of.get(life.died, last)]
                for life in self._lives
            ],
            "merges": [[rank, *map(plain, self.tokenizer.merges[rank]), born[rank]] for rank in self._ranks],
            "learned": len(self.tokenizer.merges) if isinstance(self.tokenizer, BPETokenizer) else 0,
            "wide": wide_characters(text.encode()[:size].decode()),
            "whole": [n_tokens, n_bytes],
            "left": "" if size == n_bytes else self._left(n_tokens, n_bytes, size),
        }

    def _left(self, n_tokens: int, n_bytes: int, size: int) -> str:
        whole = f"{count(n_tokens, 'token')}, {count(n_bytes, 'byte')}"
        return f"Shown are the first {size:,} bytes of {whole}: raise limit, which is {self.limit:,}, to see more."

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture, in inches."""
        lines = self._lay_out()[-1:]
        return 7.0, 0.2 + LINE * (1 + lines[0][1] if lines else 1) + 0.2 * len(self._captions())

    def _lay_out(self) -> list[tuple[float, int, float, str]]:
        boxes = lay_out(self.tokens, 6.8)
        return boxes[: bisect_right(boxes, MOST_LINES - 1, key=lambda box: box[1])]

    def _captions(self) -> list[str]:
        n, size = len(self.ids), sum(map(len, self.tokens))
        lines = [f"{count(n, 'token')}, {count(size, 'byte')}" + (f", {size / n:.2f} bytes per token" if n else "")]
        if self.step:
            rank, left, right, _ = self.parts["merges"][self.step - 1]
            lines.append(f"merge {rank}: {left} + {right}")
        hidden = n - len(self._lay_out())
        return [
            *lines,
            *([f"{count(hidden, 'more token')} not drawn"] if hidden else []),
            *filter(None, [self.parts["left"]]),
        ]

    def draw(self, figure: "Figure | SubFigure") -> None:
        """Draw the tokens of this step as boxes into `figure`, orange what the last merge made."""
        width, height = self.size
        axes, boxes, now = paper(figure, width, height), self._lay_out(), self._now()
        special = set(self.tokenizer.special_tokens.values())
        fresh = self._ranks[self.step - 1] if 0 < self.step < len(self._ranks) else -1
        ends = [life.start for life in self._lives if life.died is None]
        colors = [COLORS[bisect_right(ends, life.start) % len(COLORS)] for life in now]
        marked = {
            life.start: FRESH if life.born == fresh else SPECIAL
            for life in now
            if life.born == fresh or life.id in special
        }
        colors = [marked.get(life.start, color) for life, color in zip(now, colors, strict=True)]
        draw_boxes(axes, boxes, colors[: len(boxes)], 0.0)
        for number, caption in enumerate(reversed(self._captions())):
            axes.text(0, height - 0.25 - 0.2 * number, caption, color=SIGN_INK, va="center", parse_math=False)

    @traitlets.validate("text")
    def _check_text(self, proposal: Any) -> str:
        self.tokenizer.encode(proposal.value, self.allowed_special)  # or a sentence why not
        return proposal.value

    @traitlets.observe("text")
    def _show_text(self, change: Any) -> None:
        parts = self._read(change.new)
        with self.hold_sync():
            self.hover = -1
            self.parts = parts
            self.step = len(parts["merges"])
            self.typed, self.problem = change.new, ""

    @traitlets.observe("typed")
    def _take_typed(self, change: Any) -> None:
        try:
            self.text, self.problem = change.new, ""
        except ValueError as error:
            self.problem = str(error)
        self.answered += 1

    @traitlets.validate("step")
    def _check_step(self, proposal: Any) -> int:
        last = len(self._ranks)
        if not 0 <= proposal.value <= last:
            raise Refused(f"step is {proposal.value}: give how many merges to play, from 0 to {last}")
        return proposal.value

    @traitlets.observe("step")
    def _forget_hover(self, _: Any) -> None:
        self.hover = -1

    @traitlets.validate("hover")
    def _check_hover(self, proposal: Any) -> int:
        n = len(self._now())
        if not -1 <= proposal.value < n:
            raise Refused(f"hover is {proposal.value}: give the place of a token, from 0 to {n - 1}, or -1 for none")
        return proposal.value
