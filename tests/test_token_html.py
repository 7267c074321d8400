"""gptlib._token_html: the views are parsed back, as a browser would read them, and hold every id and every byte."""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptlib._token_html import FRESH, SIGNS, SPECIAL, Html, merge_steps, merges_html, plain, signs, tokens_html
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer, split_chunks

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "the cat sat on the mat, the ëëë and the 한국 🐸🐸\n\nthere  there\tand then <b>&amp;</b> aaaa aaaaaaa"
SPECIALS = (END_OF_TEXT, '<b title="x">&', "\n--\n")
BPE = BPETokenizer.train(SAMPLE * 3, vocab_size=330, special_tokens=SPECIALS)
ONE_CHUNK = BPETokenizer.train(SAMPLE * 3, vocab_size=330, special_tokens=SPECIALS, pattern=r"[\s\S]+")
CHARS = CharTokenizer(SAMPLE, special_tokens=SPECIALS)

AWKWARD = [*"<>&\"'/; \n\r\t\0\x7f\x85\u00a0\u00ad\u2028\u2800\u3164\ufeff\u202e\u200dאبé한🐸", "e\u0301", "\u0301"]
WORDS = ["<script>alert(1)</script>", "</span>", "<!--", "-->", "]]>", "&lt;", "☺\ufe0f", "the", "there", " cat", "aaa"]
TEXTS = st.lists(st.sampled_from([*AWKWARD, *WORDS, *SPECIALS]) | st.text(max_size=6), max_size=12).map("".join)
KNOWN_TEXTS = st.lists(st.sampled_from([*SAMPLE, *SPECIALS]), max_size=30).map("".join)


# ---- reading a view back


@dataclass
class Box:
    """A token as it stands in the page."""

    title: str
    style: dict[str, str]
    shown: str = ""  # what stands in <bdi>
    below: str = ""  # what stands in <small>

    @property
    def id(self) -> int | None:
        found = re.match(r"id (\d+), ", self.title)
        return int(found[1]) if found else None

    @property
    def token(self) -> bytes:
        return bytes.fromhex(re.fullmatch(r"(?:id \d+, )?bytes ((?:[0-9A-F]{2} ?)*)", self.title)[1])


def styles(text: str) -> dict[str, str]:
    return dict(re.fullmatch(r"\s*([a-z-]+):\s*([^;:]+)", part).groups() for part in text.split(";") if part.strip())


@dataclass
class Page(HTMLParser):
    """The boxes in order, the texts with the colours they are drawn in, and that nothing foreign is there."""

    html: str
    boxes: list[Box] = field(default_factory=list)
    line_ends: list[int] = field(default_factory=list)  # after how many boxes
    texts: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # text, ink, ground
    open: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    outside: str = ""  # what stands in no box

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag in {"div", "span", "bdi", "i", "small", "br", "details", "summary"}, f"<{tag}> has no place here"
        assert set(given) <= {"style", "title", "dir", "open"} and len(given) == len(attrs)
        style = styles(given.get("style") or "")
        if tag == "br":
            if not any(name == "bdi" or "title" in name for name, _ in self.open):
                self.line_ends.append(len(self.boxes))
            return
        name = f"{tag} title" if "title" in given else tag
        if "title" in given:
            assert not any("title" in outer for outer, _ in self.open), "a box in a box"
            self.boxes.append(Box(given["title"] or "", style))
        self.open.append((name, style))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0].split()[0] == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        names = [name for name, _ in self.open]
        if "span title" not in names:
            self.outside += data
        elif "small" in names:
            self.boxes[-1].below += data
        else:
            assert "bdi" in names, f"{data!r} is not kept apart from what is written in the other direction"
            self.boxes[-1].shown += data
        if data.strip():
            ink = next((style["color"] for _, style in reversed(self.open) if "color" in style), None)
            ground = next((style["background"] for _, style in reversed(self.open) if "background" in style), None)
            self.texts.append((data, ink, ground))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"the comment {data!r}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def without_brackets(token: bytes) -> str:
    return "".join(text for text, _ in signs(token))


def blocks(view: Html) -> Iterator[tuple[list[list[Box]], list[str]]]:
    """For each chunk of `merges_html` its rows of boxes, and the label beside each."""
    for block in re.split(r'(?=<div style="border-left)', str(view))[1:]:
        rows, labels = [], []
        for row in re.split(r"(?=<span style=\"display:inline-block; white-space:nowrap)", block)[1:]:
            boxes, _, label = row.partition('<span style="font-family:sans-serif')
            rows.append(Page("<span>" + boxes.partition(">")[2] + "</span>").boxes)
            labels.append(re.sub("<[^>]*>", "", label.partition(">")[2].partition("</span>")[0]))
        yield rows, labels


# ---- signs


def unsigned(text: str, sign: bool) -> bytes:
    """The byte or the character that was shown so."""
    if not sign:
        alone = len(text) == 2 and text[0] == "◌" and unicodedata.category(text[1])[0] == "M"
        return (text[1:] if alone else text).encode()
    if text in SIGNS.values():
        return {shown: character for character, shown in SIGNS.items()}[text].encode()
    if text.startswith("U+"):
        return chr(int(text[2:], 16)).encode()
    return bytes.fromhex(text) if len(text) == 2 else chr(ord(text) - 0x2400).encode()


@given(st.binary(max_size=20) | TEXTS.map(str.encode))
def test_a_token_can_be_read_back_from_what_it_shows(token: bytes) -> None:
    """For decoding with "replace" or "ignore", which loses bytes, and for two things shown alike."""
    assert b"".join(unsigned(text, sign) for text, sign in signs(token)) == token


@given(st.binary(max_size=20) | TEXTS.map(str.encode))
def test_nothing_invisible_is_left(token: bytes) -> None:
    """For a control character, a blank or a mark of direction that gets into the page. Judged by another table."""
    shown = without_brackets(token)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}
    assert not set(shown) & {"\u2800", "\u3164", "\u115f", "\ufe0f"}
    assert not unicodedata.combining(shown[:1] or "a"), "an accent at the beginning would sit on the border"


def test_signs_by_hand() -> None:
    assert plain("a ë\n\t\0\x7f\r".encode()) == "a␣ë⏎⇥␀␡␍"
    assert plain("🐸".encode()[:2]) == "⟨F0⟩⟨9F⟩" and plain("🐸".encode()) == "🐸"
    assert plain(b"\xc3\xc3\xab\xab") == "⟨C3⟩ë⟨AB⟩"
    assert plain(b"\xed\xa0\x80") == "⟨ED⟩⟨A0⟩⟨80⟩", "half a surrogate pair in bytes is no character"
    assert plain("\u202e\ufeff".encode()) == "⟨U+202E⟩⟨U+FEFF⟩"
    assert plain(" \u0301e\u0301".encode()) == "␣◌\u0301e\u0301"


# ---- tokens_html


@given(TEXTS, st.sampled_from([BPE, ONE_CHUNK]), st.sampled_from(["none", "all"]), st.booleans())
def test_the_page_gives_back_every_byte(text: str, tokenizer: Tokenizer, allowed: str, below: bool) -> None:
    """For text that is not escaped, tokens lost or doubled, and ids of other tokens."""
    page = Page(str(tokens_html(tokenizer, text, allowed_special=allowed, show_ids=below)))
    ids = tokenizer.encode(text, allowed)
    assert [box.id for box in page.boxes] == ids
    assert b"".join(box.token for box in page.boxes) == text.encode()
    for i, box in zip(ids, page.boxes, strict=True):
        assert box.token == tokenizer.decode_bytes([i]) and box.shown == without_brackets(box.token)
        assert box.below == (str(i) if below else "")
    n, size = len(ids), len(text.encode())
    assert page.outside.split() == [*f"{n} token{'s' * (n != 1)}, {size} byte{'s' * (size != 1)}".split()]


@given(KNOWN_TEXTS)
def test_characters_are_tokens_as_well(text: str) -> None:
    page = Page(str(tokens_html(CHARS, text, allowed_special="all")))
    assert [box.id for box in page.boxes] == CHARS.encode(text, "all")
    assert b"".join(box.token for box in page.boxes).decode() == text


def test_a_script_stays_text() -> None:
    for view in (tokens_html(BPE, WORDS[0]), merges_html(BPE, WORDS[0]), merges_html(BPE, WORDS[0], play=True)):
        assert "<script" not in str(view) and "</script" not in str(view)
    assert "".join(box.shown for box in Page(str(tokens_html(BPE, WORDS[0]))).boxes) == WORDS[0]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, iter])
def test_ids_of_any_kind_give_the_view_of_their_text(kind: Callable[[list[int]], object]) -> None:
    assert tokens_html(BPE, kind(BPE.encode(SAMPLE))) == tokens_html(BPE, SAMPLE)


def test_ids_may_end_inside_a_character() -> None:
    ids = BPE.encode("☃")[:1]
    (box,) = Page(str(tokens_html(BPE, ids))).boxes
    assert box.token == BPE.decode_bytes(ids) and re.fullmatch("([0-9A-F]{2})+", box.shown)


def test_special_tokens_look_different_and_only_they() -> None:
    """For specials found by their text: the same text that is not allowed is ordinary."""
    text = f"the {SPECIALS[1]} cat{END_OF_TEXT}"
    special = set(BPE.special_tokens.values())
    for allowed in ("none", "all"):
        boxes = Page(str(tokens_html(BPE, text, allowed_special=allowed))).boxes
        assert [box.style["background"] == SPECIAL for box in boxes] == [box.id in special for box in boxes]
        assert any(box.id in special for box in boxes) == (allowed == "all")


def test_neighbours_differ_in_colour_and_stand_apart_without_it() -> None:
    view = str(tokens_html(BPE, SAMPLE))
    boxes = Page(view).boxes
    assert all(a.style["background"] != b.style["background"] for a, b in pairwise(boxes))
    assert all(box.style["border"].startswith("1px solid #") for box in boxes)
    assert not re.search(r"</span><span", view), "without a blank there is no gap, and no place to break the line"


def test_line_ends_break_the_line() -> None:
    """After the token that holds them; a token of many line ends leaves one empty line."""
    page = Page(str(tokens_html(CHARS, "th\ne\n\nc")))
    assert page.line_ends == [3, 5, 6]
    many = BPETokenizer.train("\n" * 64, vocab_size=261)
    page = Page(str(tokens_html(many, "\n" * 32)))
    assert len(page.boxes) < 32 and max(map(page.line_ends.count, page.line_ends)) == 2


@pytest.mark.parametrize("limit", [1, 5, 10, 11, 99])
def test_what_is_left_out_is_counted(limit: int) -> None:
    view = str(tokens_html(CHARS, "a" * 10, limit=limit))
    assert len(Page(view).boxes) == min(limit, 10)
    assert "10 tokens, 10 bytes" in view, "the figures are those of the whole text"
    left = f"; {10 - limit} token{'s' if limit < 9 else ''} not shown: raise limit, which is {limit}, to see more"
    assert (left in view) == (limit < 10) and ("not shown" in view) == (limit < 10)


# ---- colours


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_text_can_be_read_on_any_page() -> None:
    """Either a text has its own ink on its own ground, with contrast enough, or it has neither and takes the page's."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5
    text = f"{SAMPLE} \u202e{END_OF_TEXT}{SPECIALS[2]}"
    grounds = set()
    for view in (
        tokens_html(BPE, text, show_ids=True, allowed_special="all"),
        merges_html(BPE, text, allowed_special="all", limit=10**6),
        merges_html(BPE, text, allowed_special="all", limit=10**6, play=True),
    ):
        for shown, ink, ground in Page(str(view)).texts:
            assert (ink is None) == (ground is None), shown
            if ink and ground:
                assert contrast(ink, ground) >= 4.5, (shown, ink, ground)
                grounds.add(ground)
    assert len(grounds) == 5 + 3, "all colours were seen"


# ---- merges


def join_pair(row: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    joined, i = [], 0
    while i < len(row):
        found = tuple(row[i : i + 2]) == pair
        joined.append(b"".join(pair) if found else row[i])
        i += 2 if found else 1
    return joined


@given(TEXTS, st.sampled_from([BPE, ONE_CHUNK]))
def test_steps_follow_the_rule_and_end_where_encode_ends(text: str, tokenizer: BPETokenizer) -> None:
    """For the longest or the first pair in place of the first learned, a token used twice, a stop too early."""
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    for chunk in split_chunks(text, tokenizer.pattern):
        steps = merge_steps(tokenizer, chunk)
        assert steps[0] == (None, [bytes([byte]) for byte in chunk.encode()])
        for (_, before), (rank, after) in pairwise(steps):
            assert rank == min(ranks[pair] for pair in pairwise(before) if pair in ranks)
            assert after == join_pair(before, tokenizer.merges[rank])
        assert not any(pair in ranks for pair in pairwise(steps[-1][1]))
    ids = tokenizer.encode(text)
    last = [token for chunk in split_chunks(text, tokenizer.pattern) for token in merge_steps(tokenizer, chunk)[-1][1]]
    assert last == [tokenizer.decode_bytes([i]) for i in ids]


def test_steps_by_hand() -> None:
    """`co co` looks best and is never possible; `aaaaa` leaves an a over; a token twice in one step."""
    tokens = [bytes([b]) for b in range(256)] + [b"oa", b"co", b"coco", b"aa"]
    merges = [(b"o", b"a"), (b"c", b"o"), (b"co", b"co"), (b"a", b"a")]
    tokenizer = BPETokenizer(dict(enumerate(tokens)), merges, special_tokens=())
    assert merge_steps(tokenizer, "cocoa") == [
        (None, [b"c", b"o", b"c", b"o", b"a"]),
        (0, [b"c", b"o", b"c", b"oa"]),
        (1, [b"co", b"c", b"oa"]),
    ]
    assert merge_steps(tokenizer, "aaaaa")[1:] == [(3, [b"aa", b"aa", b"a"])]
    assert [rank for rank, _ in merge_steps(tokenizer, "coco")] == [None, 1, 2]


@given(TEXTS, st.sampled_from([BPE, ONE_CHUNK]), st.sampled_from(["none", "all"]), st.booleans())
def test_the_played_merges_are_the_steps(text: str, tokenizer: BPETokenizer, allowed: str, play: bool) -> None:
    """For rows that do not line up, a wrong box in orange, ids of other tokens, and chunks lost or joined."""
    view = merges_html(tokenizer, text, allowed_special=allowed, play=play, limit=10**6)
    Page(str(view))
    ids: list[int | None] = []
    shown = b""
    for rows, labels in blocks(view):
        chunk = b"".join(box.token for box in rows[0])
        shown += chunk
        ids += [box.id for box in rows[-1]]
        assert [box.below for box in rows[-1]] == [str(box.id) for box in rows[-1]]
        if labels == ["special token"]:
            assert rows[0][0].style["background"] == SPECIAL and len(rows[0]) == 1
            continue
        steps = merge_steps(tokenizer, chunk.decode())
        assert [[box.token for box in row] for row in rows] == [row for _, row in steps]
        expected = [f"rank {rank}: {' + '.join(map(plain, tokenizer.merges[rank]))}" for rank, _ in steps[1:]]
        assert list(map(unescaped, labels)) == ["bytes", *expected]
        for row, (rank, _) in zip(rows, steps, strict=True):
            assert all(box.style["width"] == f"{26 * len(box.token)}px" for box in row)
            fresh = [box for box in row if box.style["background"] == FRESH]
            assert [box for box in row if "font-weight" in box.style] == fresh, "bold, for those who see no orange"
            assert [box for box in row if box.style["border"].startswith("2px")] == fresh
            assert {box.token for box in fresh} == ({b"".join(tokenizer.merges[rank])} if rank is not None else set())
    assert ids == tokenizer.encode(text, allowed) and shown == text.encode()


def unescaped(text: str) -> str:
    return Page(f"<span>{text}</span>").outside


def test_chunks_are_those_of_encode() -> None:
    """For specials that are not allowed and cut all the same, or the other way round, and for another pattern."""

    def chunks(tokenizer: BPETokenizer, allowed: str) -> list[tuple[str, bool]]:
        view = merges_html(tokenizer, f"the cat{END_OF_TEXT} sat", allowed_special=allowed)
        found = [(rows[0], labels) for rows, labels in blocks(view)]
        return [(b"".join(box.token for box in row).decode(), labels == ["special token"]) for row, labels in found]

    assert chunks(BPE, "all") == [("the", False), (" cat", False), (END_OF_TEXT, True), (" sat", False)]
    assert "".join(text for text, _ in chunks(BPE, "none")) == f"the cat{END_OF_TEXT} sat"
    assert len(chunks(BPE, "none")) > 4 and not any(special for _, special in chunks(BPE, "none"))
    assert chunks(ONE_CHUNK, "all") == [("the cat", False), (END_OF_TEXT, True), (" sat", False)]


def test_only_new_boxes_are_orange() -> None:
    """A token that an earlier row had already stays calm when the same token is made beside it: ranks can go back."""
    tokens = [bytes([b]) for b in range(256)] + [b"ab", b"abc", b"bc", b"abc"]
    merges = [(b"a", b"b"), (b"ab", b"c"), (b"b", b"c"), (b"a", b"bc")]
    tokenizer = BPETokenizer(dict(enumerate(tokens)), merges, special_tokens=())
    ((rows, _),) = blocks(merges_html(tokenizer, "abcab"))
    orange = [[box.token for box in row if box.style["background"] == FRESH] for row in rows]
    assert orange == [[], [b"ab", b"ab"], [b"abc"]]


def test_play_hides_each_merge_behind_a_click() -> None:
    open_view, played = (str(merges_html(BPE, "the there", play=play)) for play in (False, True))
    merges = sum(len(merge_steps(BPE, chunk)) - 1 for chunk in split_chunks("the there"))
    assert merges > 3 and played.count("<details>") == played.count("<summary") == merges
    assert "<details" not in open_view and "click a row" in played and "click a row" not in open_view
    boxes = [[(box.title, box.shown) for box in Page(view).boxes] for view in (open_view, played)]
    assert boxes[0] == boxes[1], "nothing is drawn by the click"


def test_whole_chunks_are_shown_up_to_the_limit_and_the_rest_is_counted() -> None:
    whole = [merges_html(BPE, "the cat sat", limit=limit) for limit in range(1, 60)]
    shown = [len(list(blocks(view))) for view in whole]
    assert sorted(shown) == shown and set(shown) == {0, 1, 2, 3}
    for n, limit, view in zip(shown, range(1, 60), whole, strict=True):
        assert len(Page(str(view)).boxes) <= limit
        left = f"; {3 - n} chunk{'s' if n < 2 else ''} not shown: raise limit, which is {limit}, to see more"
        assert (left in str(view)) == (n < 3) and ("not shown" in str(view)) == (n < 3)


def test_merges_of_a_chunk_beyond_the_limit_are_not_even_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take time with the square of its length, for nothing."""
    monkeypatch.setattr("gptlib._token_html.merge_steps", lambda tokenizer, chunk: pytest.fail("computed"))
    view = str(merges_html(BPE, "a" * 10_000 + " cat"))
    assert "2 chunks not shown" in view and not Page(view).boxes


# ---- Html


def test_a_view_shows_itself_in_a_notebook_and_in_a_terminal() -> None:
    """nbval compares both forms, so neither may hold an address or anything else that changes."""
    from IPython.core.formatters import DisplayFormatter

    view = tokens_html(BPE, "the cat <b>\n🐸")
    forms, _ = DisplayFormatter().format(view)
    assert forms == {"text/html": str(view), "text/plain": repr(view)}
    assert repr(view).splitlines()[0] == " ".join(plain(BPE.decode_bytes([i])) for i in BPE.encode("the cat <b>\n🐸"))
    assert view == tokens_html(BPE, "the cat <b>\n🐸") and view != tokens_html(BPE, "the cat")
    assert "rank" in repr(merges_html(BPE, "the")) and "<" not in repr(merges_html(BPE, "the"))


def test_empty_text_is_said_to_be_empty() -> None:
    assert repr(tokens_html(BPE, "")).strip() == "(0 tokens, 0 bytes)"
    assert "0 tokens, 0 bytes" in str(tokens_html(BPE, []))
    assert repr(merges_html(BPE, "")) == "(0 chunks, 0 bytes, 0 tokens)"


def test_the_views_need_no_torch_and_no_notebook() -> None:
    code = (
        "import sys; from gptlib._token_html import tokens_html, merges_html;"
        "from gptlib.tokenizer import BPETokenizer;"
        "t = BPETokenizer.train('the cat', 258); str(tokens_html(t, 'the')), str(merges_html(t, 'the'));"
        "print({'torch', 'numpy', 'matplotlib', 'IPython', 'anywidget'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
