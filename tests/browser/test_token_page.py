"""The page of TokenView: what stands in it for any text, what slider, pointer and keys do, and that Python answers."""

import re
from collections.abc import Callable
from itertools import pairwise

import pytest

pytest.importorskip("anywidget")
from live import heard, opener

from gptlib._token_html import plain, signs
from gptlib._token_view import TokenView
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer

SAMPLE = "the cat sat on the mat, the ëëë and the 한국 🐸🐸\n\nthere  there\tand then <b>&amp;</b> aaaa aaaaaaa"
BPE = BPETokenizer.train(SAMPLE * 3, vocab_size=330)
CHARS = CharTokenizer(SAMPLE)
HARD = f"the cat</script><!--\nשלום \u202eabc\u202c \x07\x00 한🐸e\u0301\n\n\nthe theatre \u0301{END_OF_TEXT}the</span>"


def shown(page) -> list[str]:
    return page.locator("[role=option]").all_text_contents()


def as_signs(tokens: list[bytes]) -> list[str]:
    return ["".join(text for text, _ in signs(token)) for token in tokens]


def slide(page, step: int) -> None:
    """Move the slider as a hand does: the value and the event."""
    page.locator("input[type=range]").evaluate(
        "(el, step) => { el.value = step; el.dispatchEvent(new Event('input')); }", step
    )
    page.wait_for_selector(f".gptlib-token[data-step='{step}']")


live = pytest.fixture(opener)


@pytest.mark.parametrize("text", [HARD, "", "\n", "a" * 300, "  x  "])
def test_every_token_stands_in_the_page(open_page: Callable, text: str) -> None:
    """Whatever it holds: markup, letters from the right, characters that cannot be seen, halves of characters."""
    view = TokenView(BPE, text, allowed_special="all")
    page = open_page(view)
    assert shown(page) == as_signs(view.tokens)
    assert [
        int(i) for i in page.locator("[role=option]").evaluate_all("all => all.map((el) => el.dataset.id)")
    ] == view.ids
    assert page.locator("textarea").input_value() == text
    assert page.locator("main script, main b, main span span").count() == 0


def test_markup_in_a_token_is_text(open_page: Callable) -> None:
    markup = "<b/id=bold>&amp;</b><img/src=x>"
    page = open_page(TokenView(BPETokenizer.train(SAMPLE, 260, [markup]), f"the{markup}", allowed_special="all"))
    assert shown(page)[-1] == markup and page.locator("#bold, main img").count() == 0
    page.locator(".special").hover()
    page.wait_for_selector(f".detail:has-text('{markup}')")


def test_each_place_of_the_slider_shows_its_step(open_page: Callable) -> None:
    """The page alone gives what Python gives, at every step; boxes that were joined last glow."""
    view = TokenView(BPE, HARD, allowed_special="all")
    page = open_page(view)
    for step, (rank, left, right, places) in enumerate(view.parts["merges"], start=1):
        view.step = step
        slide(page, step)
        assert shown(page) == as_signs(view.tokens)
        assert page.locator(".fresh").count() == places
        assert set(page.locator(".fresh").all_text_contents()) == set(as_signs([b"".join(BPE.merges[rank])]))
        said = page.locator(".merge").text_content()
        assert said.startswith(f"merge {rank}: “{left}” + “{right}”, in {places} place")
        learned = rank + 1 if step < len(view.parts["merges"]) else len(BPE.merges)
        assert page.locator("output").text_content() == f"{learned} of {len(BPE.merges)}"
    view.step = 0
    slide(page, 0)
    assert shown(page) == as_signs(view.tokens) and page.locator(".fresh").count() == 0


def test_line_ends_break_lines(open_page: Callable) -> None:
    page = open_page(TokenView(CHARS, "the\ncat\n\nthe"))
    tops = page.locator("[role=option]").evaluate_all("all => all.map((el) => el.getBoundingClientRect().top)")
    lines = sorted(set(tops))
    assert [tops.count(top) for top in lines] == [4, 4, 1, 3]


def test_the_colors_of_neighbours_differ_and_stay_while_they_join(open_page: Callable) -> None:
    view = TokenView(BPE, "the cat sat on the mat")
    page = open_page(view)
    tints = page.locator("[role=option]").evaluate_all("all => all.map((el) => el.className.match(/tint./)[0])")
    assert all(a != b for a, b in pairwise(tints))
    slide(page, 0)
    bytes_tints = page.locator("[role=option]").evaluate_all("all => all.map((el) => el.className.match(/tint./)[0])")
    assert bytes_tints == [tint for tint, token in zip(tints, view.tokens, strict=True) for _ in token]


def test_pointing_tells_id_and_bytes_and_marks_the_same_tokens(open_page: Callable) -> None:
    view = TokenView(BPE, "the the 🐸 한 the" + END_OF_TEXT, allowed_special="all")
    page = open_page(view)
    detail = page.locator(".detail")
    second = view.ids.index(view.ids[1])
    page.locator("[role=option]").nth(second).hover()
    page.wait_for_selector(f"[data-hover='{second}']")
    i, token = view.ids[second], view.tokens[second]
    assert detail.text_content() == (
        f"“{plain(token)}” · id {i} · {len(token)} bytes {token.hex(' ').upper()} · "
        f"token {second + 1} of {len(view.ids)} · {view.ids.count(i)} times here"
    )
    assert page.locator(".same").count() == view.ids.count(i) - 1 == 1
    page.locator(".special").hover()
    page.wait_for_selector(f"[data-hover='{len(view.ids) - 1}']")
    assert " · special token · " in detail.text_content()
    slide(page, 0)
    byte = view.text.encode().index("🐸".encode())
    page.locator("[role=option]").nth(byte + 2).hover()
    page.wait_for_selector(f"[data-hover='{byte + 2}']")
    assert "· id 144 · byte 90 · byte 3 of the 4 of 🐸 ·" in detail.text_content()
    page.mouse.move(5, 5)
    page.wait_for_selector("[data-hover='-1']")
    assert page.locator(".same, .here").count() == 0


def test_keys_reach_every_token_and_the_slider(open_page: Callable) -> None:
    """Text, play, slider, tokens: four stops of Tab, and arrows within; without a mouse."""
    view = TokenView(BPE, "the cat sat on the mat")
    page = open_page(view)
    stops = []
    for _ in range(4):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.getAttribute('role') ?? document.activeElement.type"))
    assert stops == ["textarea", "button", "range", "option"]
    page.wait_for_selector("[data-hover='0']")
    for key, place in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(view.ids) - 1), ("Home", 0)]:
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-hover='{place}']")
    assert f"id {view.ids[0]} " in page.locator(".detail").text_content()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"[data-step='{len(view.parts['merges']) - 1}']")


def test_play_goes_to_the_end_and_can_be_paused(open_page: Callable) -> None:
    view = TokenView(BPE, "the")
    last = len(view.parts["merges"])
    page = open_page(view)
    page.clock.install(time=0)
    page.clock.pause_at(1)  # from here on time goes on as the test says: no step comes while it looks elsewhere
    page.evaluate("window.seen = []")
    page.evaluate(
        "new MutationObserver(() => seen.push(document.querySelector('.gptlib').dataset.step))"
        ".observe(document.querySelector('.gptlib'), { attributes: true, attributeFilter: ['data-step'] })"
    )
    button = page.get_by_role("button")
    step = lambda: int(page.locator(".gptlib").get_attribute("data-step"))  # noqa: E731
    button.click()
    page.clock.run_for(700)
    assert step() == 1 < last
    assert button.text_content() == "❚❚ pause" and button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.text_content() == "▶ play"
    page.clock.run_for(2000)  # longer than a step takes
    assert step() == 1
    button.click()
    page.clock.run_for(700 * last)
    assert step() == last and button.text_content() == "▶ play"
    assert list(dict.fromkeys(page.evaluate("seen"))) == [str(step) for step in range(last + 1)]
    button.click()
    slide(page, 1)
    assert button.text_content() == "▶ play", "who takes the slider stops it"


def test_characters_have_no_slider_and_a_page_alone_no_typing(open_page: Callable) -> None:
    page = open_page(TokenView(CHARS, "the cat"))
    assert not page.locator("input[type=range]").is_visible() and not page.get_by_role("button").is_visible()
    assert page.locator("textarea").get_attribute("readonly") is not None
    assert page.locator(".counts").text_content() == "7 tokens, 7 bytes, 1.00 bytes per token"


def test_a_long_text_says_what_is_left(open_page: Callable) -> None:
    view = TokenView(BPE, "the cat " * 50, limit=40)
    page = open_page(view)
    assert page.locator(".left").text_content() == view.parts["left"] != ""
    size = len(b"".join(view.tokens))
    assert page.locator(".counts").text_content().startswith(f"{len(view.ids)} tokens, {size} bytes")


# ---- with Python behind it


def test_typing_brings_the_tokens_of_the_new_text(live: Callable) -> None:
    """A burst of keys is one question; a text that cannot be is said to be one, the last tokens stay."""
    view = TokenView(CHARS, "the cat")
    page = live(view).page
    answered = view.answered
    page.locator("textarea").evaluate(
        "(el) => { for (const key of ' sat on') { el.value += key; el.dispatchEvent(new Event('input')); } }"
    )
    page.wait_for_selector(".gptlib:not([data-waiting])[data-tokens='14']")
    assert view.text == "the cat sat on" and shown(page) == as_signs(view.tokens)
    assert view.answered - answered == 1
    page.locator("textarea").fill("the Xat")
    page.wait_for_selector(".warning:has-text(\"the character 'X'\")")
    assert len(shown(page)) == 14 and page.locator("textarea").input_value() == "the Xat"
    page.locator("textarea").fill("the mat")
    page.wait_for_selector(".gptlib:not([data-waiting])[data-tokens='7']")
    assert not page.locator(".warning").is_visible() and view.problem == ""


def test_the_page_tells_step_and_hover_and_python_sets_them(live: Callable) -> None:
    view = TokenView(BPE, "the cat sat on the mat")
    here = live(view)
    here.page.locator("[role=option]").nth(2).hover()
    here.page.wait_for_selector("[data-hover='2']")
    heard(here.page)
    assert view.hover == 2
    here.page.mouse.move(5, 5)
    slide(here.page, 1)
    heard(here.page)
    assert (view.step, view.hover) == (1, -1)
    view.step, view.hover = 3, 5
    here.tell()
    here.page.wait_for_selector("[data-step='3'][data-hover='5']")
    assert shown(here.page) == as_signs(view.tokens)
    assert here.page.locator("input[type=range]").input_value() == "3"
    view.text = "and there"
    here.tell()
    here.page.wait_for_selector(f"[data-tokens='{len(view.ids)}']")
    assert here.page.locator("textarea").input_value() == "and there" and shown(here.page) == as_signs(view.tokens)


def test_the_focus_stays_on_its_token_while_merges_are_played(live: Callable) -> None:
    view = TokenView(BPE, "the cat sat on the mat")
    here = live(view)
    here.page.locator("[role=option]").nth(4).focus()
    heard(here.page)
    view.step = 2
    here.tell()
    here.page.wait_for_selector("[data-step='2']")
    assert here.page.evaluate("document.activeElement.dataset.index") == "4"


# ---- light and dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Callable, axe: Callable, theme: str) -> None:
    """At the end, in the middle with a glow, and with a token under the pointer."""
    page = open_page(TokenView(BPE, HARD, allowed_special="all"), theme)
    axe(page)
    slide(page, 12)
    page.locator("[role=option]").nth(3).hover()
    page.wait_for_selector("[data-hover='3']")
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    axe(page)


def test_dark_is_dark(open_page: Callable) -> None:
    pages = [open_page(TokenView(BPE, "the cat"), theme) for theme in ("light", "dark")]
    papers = [page.locator(".token").first.evaluate("(el) => getComputedStyle(el).backgroundColor") for page in pages]
    light, dark = (sum(map(int, re.findall(r"\d+", paper)[:3])) for paper in papers)
    assert light > 550 and dark < 250
