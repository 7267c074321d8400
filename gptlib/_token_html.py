"""Tokens and merges as HTML that needs no script: what stands in the text, with nothing hidden."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import accumulate, pairwise
from operator import index
from typing import SupportsIndex

import regex

from .tokenizer import Allowed, BPETokenizer, Tokenizer, split_chunks

SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\x7f": "␡"}
UNSEEN = regex.compile(r"[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]")
MARK = regex.compile(r"\p{M}")


def sign_of(character: str) -> str:
    """The sign to show in place of a character that cannot be seen, or "" for one that can.

    A code point from U+DC80 to U+DCFF stands for a byte outside of any character, as `surrogateescape` makes it.
    """
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"{code - 0xDC00:02X}"
    if character in SIGNS or not UNSEEN.match(character):
        return SIGNS.get(character, "")
    return chr(0x2400 + code) if code < 32 else f"U+{code:04X}"


def signs(token: bytes) -> list[tuple[str, bool]]:
    """What a token shows for each character, and whether that is a sign; no byte is lost.

    An accent with no letter before it in the token gets a dotted circle to stand on.
    """
    shown: list[tuple[str, bool]] = []
    for character in token.decode("utf-8", errors="surrogateescape"):
        sign = sign_of(character)
        alone = MARK.match(character) and (not shown or shown[-1][1])
        shown.append((sign or "◌" * bool(alone) + character, bool(sign)))
    return shown


def plain(token: bytes) -> str:
    """A token as text in which everything can be seen; a sign of several letters stands in ⟨⟩."""
    return "".join(f"⟨{text}⟩" if sign and len(text) > 1 else text for text, sign in signs(token))


@dataclass(frozen=True, repr=False)
class Html:
    """Something that a notebook shows as HTML, and a terminal as plain text.

    `str(view)` is the HTML, to write into a file.
    """

    html: str
    text: str

    def __str__(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


INK, PALE, SIGN_INK, EDGE = "#1f2933", "#ffffff", "#4b5b6b", "#7b8794"
COLORS = ("#cfe3f5", "#fbdcc0", "#d3ecd0", "#f6d5d9", "#e3d9f0")
SPECIAL, FRESH, CALM = "#33475b", "#f28e2b", "#e8edf2"
PAGE = "font-family:monospace; font-size:14px; line-height:1.5; overflow-x:auto; text-align:left"
BOX = "display:inline-block; box-sizing:border-box; vertical-align:top; overflow:hidden; border-radius:4px"


def token_box(token: bytes, i: int | None, color: str, style: str, show_id: bool = False) -> str:
    """One token as a box in HTML, its id, if it has one, and its bytes in the title."""
    ink, sign_ink = (PALE, PALE) if color == SPECIAL else (INK, INK if color == FRESH else SIGN_INK)
    mark = f'<i style="font-style:normal; color:{sign_ink}">'
    shown = "".join(f"{mark}{text}</i>" if sign else escape(text) for text, sign in signs(token))
    title = ("" if i is None else f"id {i}, ") + f"bytes {token.hex(' ').upper()}"
    below = f'<br><small style="font-size:11px">{i}</small>' if show_id else ""
    style = f"{BOX}; {style}; color:{ink}; background:{color}"
    return f'<span title="{title}" style="{style}"><bdi>{shown}</bdi>{below}</span>'


def sentence(text: str) -> str:
    """A line of small text under a view; it has the page's own colour."""
    return f'<div style="font-family:sans-serif; font-size:12px; padding:4px 0">{escape(text)}</div>'


def count(n: int, noun: str) -> str:
    """A number with its noun, as in "1 token" and "1,200 tokens"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def check_view(tokenizer: Tokenizer, limit: int) -> None:
    """ValueError unless this is a tokenizer of gptlib and a limit that shows something."""
    if not isinstance(tokenizer, Tokenizer):
        given = type(tokenizer).__name__
        raise ValueError(f"tokenizer is of type {given}, not one of gptlib's: give the tokenizer first, then the text")
    if limit < 1:
        raise ValueError(f"limit is {limit}: give how many boxes may be shown, at least 1")


def to_ids(tokenizer: Tokenizer, text: str | Iterable[SupportsIndex], allowed_special: Allowed) -> list[int]:
    """The ids of a text, or the ids themselves; ValueError for what is neither."""
    if isinstance(text, str):
        return tokenizer.encode(text, allowed_special)
    try:
        if isinstance(text, bytes):
            raise TypeError
        return [index(i) for i in text]
    except TypeError:
        given = type(text).__name__
        raise ValueError(f"text is of type {given}, neither a str nor a row of integers: give one of them") from None


def tokens_html(
    tokenizer: Tokenizer,
    text: str | Iterable[SupportsIndex],
    *,
    show_ids: bool = False,
    allowed_special: Allowed = "none",
    limit: int = 1000,
) -> Html:
    """The tokens of a text, or of some ids, as coloured boxes; id and bytes under the mouse (lesson 10_attention_maps).

    `show_ids` writes the ids below. Special tokens are dark. At most `limit` boxes, then a sentence that counts the
    rest. The HTML is complete without a script or a style sheet. A ValueError for what is no text and no ids.
    """
    check_view(tokenizer, limit)
    ids = to_ids(tokenizer, text, allowed_special)
    tokens = [tokenizer.decode_bytes([i]) for i in ids]
    special = set(tokenizer.special_tokens.values())
    boxes = []
    for place, (i, token) in enumerate(zip(ids[:limit], tokens, strict=False)):
        color = SPECIAL if i in special else COLORS[place % len(COLORS)]
        style = f"margin:1px 0; padding:0 4px; max-width:100%; text-align:center; border:1px solid {EDGE}"
        line_ends = "<br>" * min(token.count(b"\n"), 2)  # at most one empty line
        boxes.append(token_box(token, i, color, style, show_ids) + line_ends)
    summary = f"{count(len(ids), 'token')}, {count(sum(map(len, tokens)), 'byte')}"
    if len(ids) > limit:
        summary += f"; {count(len(ids) - limit, 'token')} not shown: raise limit, which is {limit}, to see more"
    style = f"{PAGE}; white-space:normal; overflow-wrap:anywhere"
    html = f'<div dir="ltr" style="{style}">{" ".join(boxes)}</div>{sentence(summary)}'
    return Html(html, " ".join(map(plain, tokens[:limit])) + f"\n({summary})")


def merge_steps(tokenizer: BPETokenizer, chunk: str) -> list[tuple[int | None, list[bytes]]]:
    """How a chunk becomes tokens: the rank of each merge with the row it makes.

    The first row, the single bytes, has None for a rank. `tokenizer.merges[rank]` is the pair. A chunk is what
    `split_chunks` gives; no merge goes beyond it (Sennrich, Haddow and Birch 2016, section 3.2).
    """
    word = chunk.encode().decode("latin-1")  # a character for each token, as in the tokenizer

    def row() -> list[bytes]:
        return [tokenizer.vocab[tokenizer.ids[ord(character)]] for character in word]

    steps: list[tuple[int | None, list[bytes]]] = [(None, row())]
    while known := [tokenizer.ranks[pair] for pair in pairwise(word) if pair in tokenizer.ranks]:
        rank = min(known)
        word = word.replace(*tokenizer.replacements[rank])
        steps.append((rank, row()))
    return steps


Span = tuple[int, int]


def spans(row: list[bytes]) -> list[Span]:
    """From which byte to which byte each token of a row goes."""
    return list(pairwise([0, *accumulate(map(len, row))]))


def draw_row(row: list[bytes], before: set[Span], ids: list[int] | None, color: str) -> str:
    """The boxes of one row, 26 pixels a byte; orange and bold what was not there before."""
    boxes = []
    for token, span, i in zip(row, spans(row), ids or [None] * len(row), strict=True):
        border = f"1px solid {EDGE}" if span in before else f"2px solid {INK}; font-weight:bold"
        style = f"width:{26 * len(token)}px; font-size:14px; line-height:22px; text-align:center; border:{border}"
        boxes.append(token_box(token, i, color if span in before else FRESH, style, show_id=i is not None))
    return " ".join(boxes)


Steps = list[tuple[int | None, list[bytes]]]
ROW = "display:inline-block; white-space:nowrap; font-size:0"  # so the blanks between boxes have no width
LABEL = "font-family:sans-serif; font-size:13px; line-height:26px; padding-left:14px"


def draw_chunk(tokenizer: BPETokenizer, steps: Steps, ids: list[int], *, special: bool, play: bool) -> Html:
    """All rows of one chunk, each with its merge; with `play` a click opens the next."""
    rows, text = [], []
    before = spans(steps[0][1])
    for n, (rank, row) in enumerate(steps, start=1):
        label = f"rank {rank}: " if rank is not None else "special token" if special else "bytes"
        pair = [] if rank is None else [plain(token) for token in tokenizer.merges[rank]]
        boxes = draw_row(row, set(before), ids if n == len(steps) else None, SPECIAL if special else CALM)
        shown = label + " + ".join(f"<bdi>{escape(token)}</bdi>" for token in pair)
        rows.append(f'<span style="{ROW}">{boxes} <span style="{LABEL}">{shown}</span></span>')
        text.append(f"{' '.join(map(plain, row))}   ({label}{' + '.join(pair)})")
        before = spans(row)
    html = f'<div style="margin-left:20px">{rows.pop()}</div>'
    for row in reversed(rows):
        if play:
            summary = f'<summary style="margin-left:20px; list-style-position:outside; cursor:pointer">{row}</summary>'
            html = f"<details>{summary}{html}</details>"
        else:
            html = f'<div style="margin-left:20px">{row}</div>{html}'
    return Html(f'<div style="border-left:4px solid #4e79a7; margin:8px 0">{html}</div>', "\n".join(text))


def cut_chunks(tokenizer: BPETokenizer, text: str, allowed_special: Allowed) -> list[tuple[str, bool]]:
    """The chunks of a text, and whether each is a special token."""
    chunks: list[tuple[str, bool]] = []
    for place, piece in enumerate(tokenizer.pieces(text, allowed_special)):
        chunks += [(piece, True)] if place % 2 else [(chunk, False) for chunk in split_chunks(piece, tokenizer.pattern)]
    return chunks


def draw_chunks(
    tokenizer: BPETokenizer, chunks: list[tuple[str, bool]], ids: list[int], *, play: bool, limit: int
) -> list[Html]:
    """The first chunks, as many as have at most `limit` boxes together."""
    drawn: list[Html] = []
    for chunk, special in chunks:
        if len(chunk.encode()) > limit:  # too many even before the first merge
            break
        steps: Steps = [(None, [chunk.encode()])] if special else merge_steps(tokenizer, chunk)
        limit -= sum(len(row) for _, row in steps)
        if limit < 0:
            break
        n = len(steps[-1][1])
        drawn.append(draw_chunk(tokenizer, steps, ids[:n], special=special, play=play))
        ids = ids[n:]
    return drawn


def merges_html(
    tokenizer: Tokenizer, text: str, *, play: bool = False, allowed_special: Allowed = "none", limit: int = 2000
) -> Html:
    """How each chunk of a text becomes tokens, from bytes on, one row per merge (lesson 10_attention_maps).

    Of the pairs in a row the one learned first is joined; what a merge has made is orange. With `play` the rows are
    folded, and a click shows the next. Whole chunks are shown as long as there are at most `limit` boxes; then a
    sentence counts the rest. A tokenizer without merges is a ValueError.
    """
    check_view(tokenizer, limit)
    if not isinstance(tokenizer, BPETokenizer):
        raise ValueError(f"a {type(tokenizer).__name__} has no merges: give a BPETokenizer, or use tokens_html")
    if not isinstance(text, str):
        raise ValueError(f"text is of type {type(text).__name__}: give a str, since merges are played on text")
    ids, chunks = tokenizer.encode(text, allowed_special), cut_chunks(tokenizer, text, allowed_special)
    drawn = draw_chunks(tokenizer, chunks, ids, play=play, limit=limit)
    summary = f"{count(len(chunks), 'chunk')}, {count(len(text.encode()), 'byte')}, {count(len(ids), 'token')}"
    if len(drawn) < len(chunks):
        summary += f"; {count(len(chunks) - len(drawn), 'chunk')} not shown: raise limit, which is {limit}, to see more"
    if play:
        summary += "; click a row to see the next merge"
    html = f'<div dir="ltr" style="{PAGE}">{"".join(map(str, drawn))}</div>{sentence(summary)}'
    return Html(html, "\n\n".join([*map(repr, drawn), f"({summary})"]))
