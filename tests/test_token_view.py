"""TokenView: what it sends to the page, read back, is what tokenizers give that learned only so many merges."""

import json
import subprocess
import sys
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")
from hypothesis import given
from hypothesis import strategies as st

from gptlib._token_html import FRESH, SPECIAL, plain, sign_of, signs
from gptlib._token_view import TokenView, lay_out, shown_parts
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "the cat sat on the mat, the ëëë and the 한국 🐸🐸\n\nthere  there\tand then <b>&amp;</b> aaaa aaaaaaa"
SPECIALS = (END_OF_TEXT, "\n--\n")
BPE = BPETokenizer.train(SAMPLE * 3, vocab_size=330, special_tokens=SPECIALS)
ONE_CHUNK = BPETokenizer.train(SAMPLE * 3, vocab_size=330, special_tokens=SPECIALS, pattern=r"[\s\S]+")
CHARS = CharTokenizer(SAMPLE, special_tokens=SPECIALS)

AWKWARD = [*"<>&\"'; \n\r\t\0\x7f\x85\u00a0\u00ad\u2028\u202e\u200dאبé한🐸", "e\u0301", "\u0301", "</script>", "<!--"]
WORDS = [*AWKWARD, *SPECIALS, "the", "there", " cat", "aaa", " sat", "and"]
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12).map("".join)
ALLOWED = st.sampled_from(["none", "all", {END_OF_TEXT}])


def of_page(view: TokenView) -> list[tuple[int, bytes]]:
    """The ids and bytes that a page draws for the step, from what was sent, after the way through JSON."""
    state = json.loads(json.dumps(view.page_state()))
    parts, step = state["parts"], state["step"]
    row = [piece for piece in parts["pieces"] if piece[2] <= step < piece[3]]
    assert row == sorted(row)
    sizes = [len(bytes.fromhex(parts["kinds"][piece[1]][2])) for piece in row]
    assert [piece[0] for piece in row] == [0, *accumulate(sizes)][: len(row)], "they stand one behind the other"
    return [(parts["kinds"][piece[1]][0], bytes.fromhex(parts["kinds"][piece[1]][2])) for piece in row]


def stopped_at(tokenizer: BPETokenizer, n_merges: int) -> BPETokenizer:
    """The same tokenizer, had it learned only the first so many merges: with the same ids."""
    specials = list(tokenizer.special_tokens)
    return BPETokenizer(tokenizer.vocab, tokenizer.merges[:n_merges], specials, tokenizer.pattern)


@given(TEXTS, ALLOWED, st.sampled_from([BPE, ONE_CHUNK]))
def test_the_last_step_is_what_encode_gives(text: str, allowed: Any, tokenizer: BPETokenizer) -> None:
    """And the first has one token for each byte outside of special tokens; in all of them stands the whole text."""
    view = TokenView(tokenizer, text, allowed_special=allowed)
    assert view.ids == tokenizer.encode(text, allowed)
    assert of_page(view) == [(i, tokenizer.decode_bytes([i])) for i in view.ids]
    whole = text.encode()
    assert b"".join(view.tokens) == whole
    view.step = 0
    special = set(tokenizer.special_tokens.values())
    assert all(len(token) == 1 or i in special for i, token in of_page(view))
    assert b"".join(view.tokens) == whole


@pytest.mark.parametrize("tokenizer", [BPE, ONE_CHUNK], ids=["words", "one chunk"])
def test_each_step_is_a_tokenizer_that_stopped_learning_there(tokenizer: BPETokenizer) -> None:
    """For merges played in another order than they were learned in, or one too early; `aaaa` has overlapping pairs."""
    text = SAMPLE + " the theatre" + END_OF_TEXT
    view = TokenView(tokenizer, text, allowed_special="all")
    merges = view.parts["merges"]
    assert len(merges) > 30
    before = [rank for rank, *_ in merges]
    for step, rank in enumerate([-1, *before]):
        view.step = step
        assert view.ids == stopped_at(tokenizer, rank + 1).encode(text, "all") == [i for i, _ in of_page(view)]
        if step:  # nothing happens between two steps
            shorter = stopped_at(tokenizer, rank).encode(text, "all")
            view.step = step - 1
            assert view.ids == shorter != stopped_at(tokenizer, rank + 1).encode(text, "all")


@given(TEXTS)
def test_what_is_said_of_a_merge_is_what_it_does(text: str) -> None:
    """Its two tokens by name, and as many places as it makes tokens."""
    view = TokenView(BPE, text)
    for step, (rank, left, right, places) in enumerate(view.parts["merges"], start=1):
        assert (left, right) == tuple(map(plain, BPE.merges[rank]))
        now, before = (of_page_at(view, at) for at in (step, step - 1))
        joined = b"".join(BPE.merges[rank])
        assert len(before) - len(now) == places == now.count(joined) - before.count(joined)


def of_page_at(view: TokenView, step: int) -> list[bytes]:
    view.step = step
    return [token for _, token in of_page(view)]


@given(st.lists(st.sampled_from([*SAMPLE, *SPECIALS]), max_size=30).map("".join))
def test_characters_have_no_merges(text: str) -> None:
    view = TokenView(CHARS, text, allowed_special="all")
    assert view.parts["merges"] == [] and view.parts["learned"] == view.step == 0
    assert [i for i, _ in of_page(view)] == view.ids == CHARS.encode(text, "all")


@given(TEXTS.map(str.encode))
def test_what_is_shown_hides_nothing(token: bytes) -> None:
    """Text and signs in turn, as in the other views of tokens, no control character and nothing invisible."""
    parts = shown_parts(token)
    assert "".join(parts) == "".join(text for text, _ in signs(token))
    assert all(not sign_of(c) for part in parts for c in part)
    assert [bool(i % 2) for i, part in enumerate(parts) for _ in part] == [
        sign for text, sign in signs(token) for _ in text
    ]


def test_characters_of_several_bytes_are_told_with_their_places() -> None:
    """So that the page can say of which one a byte is a part."""
    assert TokenView(BPE, "aé한\n🐸b").parts["wide"] == [[1, 2, "é"], [3, 3, "한"], [7, 4, "🐸"]]
    assert TokenView(BPE, "\u202e").parts["wide"] == [[0, 3, "⟨U+202E⟩"]]


def test_special_tokens_are_special_only_where_they_are_allowed() -> None:
    text = f"cat{END_OF_TEXT}the"
    view = TokenView(BPE, text, allowed_special="all")
    dark = [kind for kind in view.parts["kinds"] if kind[3]]
    assert [(kind[0], bytes.fromhex(kind[2])) for kind in dark] == [(BPE.end_id, END_OF_TEXT.encode())]
    assert not any(kind[3] for kind in TokenView(BPE, text).parts["kinds"])


# ---- traits


def test_a_new_text_brings_new_tokens() -> None:
    view = TokenView(BPE, "the cat")
    view.step, view.hover = 1, 0
    view.text = "there and there"
    assert view.ids == BPE.encode("there and there") and view.step == len(view.parts["merges"])
    assert (view.hover, view.typed, view.problem) == (-1, "there and there", "")
    short = TokenView(CHARS, "the cat")
    short.hover, short.text = 6, "sat"
    assert short.hover == -1 and short.ids == CHARS.encode("sat")


def test_the_page_types_and_python_answers() -> None:
    """Each question is counted, so that the page knows that it was read, also where nothing changes."""
    view = TokenView(CHARS, "the cat")
    answered = view.answered
    view.set_state({"typed": "the mat"})
    assert view.text == "the mat" and view.ids == CHARS.encode("the mat") and view.answered == answered + 1
    view.set_state({"typed": "the mXt"})
    assert view.text == "the mat" and view.ids == CHARS.encode("the mat"), "the last possible text stays"
    assert view.problem.startswith("the character 'X' is not in the vocabulary")
    view.set_state({"typed": "the mXt!"})
    assert view.answered == answered + 3
    view.set_state({"typed": "the mat"})
    assert view.problem == "" and view.answered == answered + 4


def test_half_a_surrogate_pair_from_the_page_is_a_sentence() -> None:
    view = TokenView(BPE, "the cat")
    view.set_state({"typed": "the \ud83d"})
    assert "half a surrogate pair" in view.problem and view.text == "the cat"
    json.dumps(view.page_state()).encode("ascii")


def test_the_slider_and_the_pointer_of_the_page_reach_python() -> None:
    view = TokenView(BPE, "the cat sat")
    seen: list[tuple[str, int]] = []
    view.observe(lambda change: seen.append((change.name, change.new)), ["step", "hover"])
    view.set_state({"step": 0, "hover": -1})
    view.set_state({"hover": 3})
    assert view.tokens[view.hover] == b" "
    view.set_state({"step": 1, "hover": -1})
    assert seen == [("step", 0), ("hover", 3), ("step", 1), ("hover", -1)] or seen == [
        ("step", 0),
        ("hover", 3),
        ("hover", -1),
        ("step", 1),
    ]


def test_a_late_message_about_a_longer_text_changes_nothing() -> None:
    """The pointer was on the last token while Python set a shorter text."""
    view = TokenView(BPE, "the cat sat on the mat")
    view.text = "cat"
    with pytest.raises(ValueError, match="hover is 5"):
        view.set_state({"hover": 5})
    assert view.hover == -1 and view.tokens


def test_steps_cost_no_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is computed when the text is read; and of a new text only the chunks that are new."""
    view = TokenView(BPE, "the cat sat on the mat")
    asked: list[str] = []
    monkeypatch.setattr("gptlib._token_view.merge_steps", lambda _, chunk: asked.append(chunk) or [(None, [b"x"])])
    for step in range(len(view.parts["merges"]) + 1):
        view.step = step
        view.hover = 0
    assert asked == []
    view.text = "the cat sat on the x"
    assert asked == [" x"]


# ---- long texts


def test_of_a_long_text_whole_chunks_are_shown() -> None:
    """As many as fit, no byte more, and a sentence with the numbers of the whole."""
    text = "the cat " * 100
    for limit in (20, 21, 22, 23, 24):
        view = TokenView(BPE, text, limit=limit)
        shown = b"".join(view.tokens).decode()
        assert text.startswith(shown) and limit - 4 < len(shown) <= limit and shown.endswith(("the", "cat"))
        whole = f"{len(BPE.encode(text))} tokens, 800 bytes"
        assert view.parts["left"] == (
            f"Shown are the first {len(shown)} bytes of {whole}: raise limit, which is {limit}, to see more."
        )
    assert TokenView(BPE, text, limit=800).parts["left"] == ""
    assert TokenView(BPE, "한국", limit=6).parts["wide"] and not TokenView(BPE, "한국", limit=5).tokens


def test_a_page_of_text_is_quick_and_small_enough() -> None:
    text = (ROOT / "data" / "tales.txt").read_text(encoding="utf-8")[:2000]
    view = TokenView(BPE, text)
    assert view.parts["left"] == ""
    assert len(json.dumps(view.parts)) < 60 * 2000


# ---- what nothing runs for


def test_it_says_what_it_is() -> None:
    view = TokenView(BPE, "the cat")
    n = len(view.parts["merges"])
    assert repr(view) == f"TokenView({len(BPE.encode('the cat'))} tokens, 7 bytes, merge {n} of {n})"
    view.step = 0
    assert repr(view) == f"TokenView(7 tokens, 7 bytes, merge 0 of {n})"
    assert repr(TokenView(CHARS, "t")) == "TokenView(1 token, 1 byte)"


@pytest.mark.parametrize("text", ["", "the cat $x$ \\alpha\n\n" + "a" * 300, SAMPLE * 9, "".join(AWKWARD)])
def test_its_picture_is_drawn_for_any_text_and_is_always_the_same(text: str) -> None:
    """Long texts end after some lines; a dollar begins no formula."""
    first, second = (TokenView(BPE, text).to_svg() for _ in range(2))
    assert first == second
    assert TokenView(BPE, text).size[1] < 7
    assert TokenView(BPE, text).to_png().startswith(b"\x89PNG")


def test_the_picture_shows_the_step() -> None:
    view = TokenView(BPE, "the cat" + END_OF_TEXT, allowed_special="all")
    assert SPECIAL in view.to_svg() and FRESH not in view.to_svg()
    view.step = 1
    assert FRESH in view.to_svg() and f"merge {view.parts['merges'][0][0]}: " in view.to_svg()
    bundle, _ = view._repr_mimebundle_()
    assert "image/png" in bundle and bundle["text/plain"] == repr(view)


def test_boxes_do_not_overlap_and_stay_in_their_lines() -> None:
    boxes = lay_out([b"the"] * 50 + [b"\n", "한국".encode(), b"a" * 500, "\u202e".encode() * 40], 5.0)
    for (x, line, wide, _), (after, below, _, _) in pairwise(boxes):
        assert (below == line and after >= x + wide) or (below > line and after == 0)
    assert all(x + wide <= 5.0 for x, _, wide, _ in boxes)


def test_it_needs_no_torch() -> None:
    code = "import sys; from gptlib._token_view import TokenView; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
