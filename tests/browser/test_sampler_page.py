"""The page of SamplerView: what the bars say, that each click takes the token under it, and that a page alone shows."""

from collections.abc import Callable

import pytest

pytest.importorskip("anywidget")
import torch
from live import heard, opener

from gptlib._sampler_view import SamplerView, percent
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import BPETokenizer

TOKENIZER = BPETokenizer.train("the cat sat on the mat </script> 🐸 " * 3, vocab_size=280)
END = TOKENIZER.end_id
torch.manual_seed(0)
MODEL = GPT(GPTConfig(TOKENIZER.vocab_size, block_size=16, n_layer=1, n_head=2, n_embd=16))
with torch.no_grad():
    for p in MODEL.parameters():
        p.mul_(6)  # so that tokens differ in probability

live = pytest.fixture(opener)


def sampler(**settings) -> SamplerView:
    return SamplerView(MODEL, TOKENIZER, "the </script>", bars=8, **settings)


def numbers(page) -> list[str]:
    return page.locator(".row .numbers").all_text_contents()


def wait_for_path(page, path: list[int]) -> None:
    """What Python has may still be the path before: so the one that is to come is named."""
    page.wait_for_selector(f".gptlib-sampler:not([data-asking])[data-path='{' '.join(map(str, path))}']")


def slide(page, label: str, place: int) -> None:
    page.get_by_label(label, exact=True).evaluate(
        "(el, place) => { el.value = place; el.dispatchEvent(new Event('input')); }", place
    )


def agrees(page, view: SamplerView) -> bool:
    """Whether the page shows the bars and the path that Python has."""
    page.wait_for_function("!document.querySelector('.gptlib').dataset.asking && !window.unheard")
    bars = view.shown["bars"]
    assert numbers(page) == [f"{percent(own)} → {percent(now) if kept else 'cut'}" for *_, own, now, kept in bars]
    assert page.locator(".row").evaluate_all("all => all.map((el) => Number(el.dataset.id))") == [
        bar[0] for bar in bars
    ]
    assert page.locator(".row .token").all_text_contents() == ["".join(bar[1]) for bar in bars]
    assert page.locator(".path button").all_text_contents() == ["".join(row[1]) for row in view.shown["path"]]
    return True


# ---- alone


def test_a_page_alone_shows_all_and_says_why_nothing_moves(open_page: Callable) -> None:
    view = sampler(temperature=0.7, top_k=5)
    view.path = [0, 195, *TOKENIZER.encode(" cat")]
    page = open_page(view)
    assert agrees(page, view)
    assert "running Python is needed" in page.locator(".alone").text_content()
    assert all(page.locator("input, .bar button").evaluate_all("all => all.map((el) => el.disabled)"))
    assert page.locator("textarea").get_attribute("readonly") is not None
    assert page.locator("output").all_text_contents() == ["0.70", "5", "off"]
    page.locator(".row").nth(2).click(force=True)
    page.wait_for_selector("[data-hover='2']")
    page.locator(".path button").first.click(force=True)
    assert agrees(page, view)
    assert "id 0 · " in page.locator(".detail").text_content()
    assert page.locator("main script, main b").count() == 0


def test_the_lengths_are_the_probabilities(open_page: Callable) -> None:
    """Of both bars, on one scale, the longest over the whole width."""
    view = sampler(temperature=1.5, top_k=6)
    page = open_page(view)
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    wide = "all => all.map((el) => el.getBoundingClientRect().width / el.parentElement.getBoundingClientRect().width)"
    own, now = (page.locator(f".row .{kind}").evaluate_all(wide) for kind in ("own", "now"))
    longest = max(max(bar[3:5]) for bar in view.shown["bars"])
    assert own == pytest.approx([bar[3] / longest for bar in view.shown["bars"]], abs=0.005)
    assert now == pytest.approx([bar[4] / longest for bar in view.shown["bars"]], abs=0.005)
    assert max(own + now) == pytest.approx(1, abs=0.005) and now[6:] == [0, 0]
    assert page.locator(".row.cut").count() == 2


# ---- with Python behind it


def test_a_click_takes_the_token_of_its_bar(live: Callable) -> None:
    view = sampler()
    page = live(view).page
    for place in (3, 0, 5):
        wanted = [*view.path, view.shown["bars"][place][0]]
        page.locator(".row").nth(place).click()
        wait_for_path(page, wanted)
        assert view.path == wanted and agrees(page, view)
    assert len(view.path) == 3
    score = page.locator(".score").text_content()
    assert score == f"3 tokens taken · {view.bits:.1f} bits of surprise · perplexity {view.perplexity:.2f}"


def test_the_buttons_draw_take_back_and_begin_anew(live: Callable) -> None:
    view, twin = sampler(top_p=0.9), sampler(top_p=0.9)
    page = live(view).page
    undo, reset = page.get_by_role("button", name="undo"), page.get_by_role("button", name="reset")
    assert undo.is_disabled() and reset.is_disabled()
    drawn = [twin.sample() for _ in range(4)]
    for n in range(1, 5):
        page.get_by_role("button", name="sample").click()
        page.wait_for_function("(n) => document.querySelectorAll('.path button').length === n", arg=n)
    assert view.path == drawn and agrees(page, view)
    undo.click()
    page.wait_for_function("document.querySelectorAll('.path button').length === 3")
    page.locator(".path button").first.click()  # back to there
    page.wait_for_function("document.querySelectorAll('.path button').length === 1")
    assert view.path == drawn[:1] and agrees(page, view)
    reset.click()
    page.wait_for_function("document.querySelectorAll('.path button').length === 0")
    assert view.path == [] and agrees(page, view) and undo.is_disabled()


def test_two_fast_clicks_take_one_token(live: Callable) -> None:
    """The second falls on bars that are not true any more. For a click without focus, as some browsers have it."""
    view = sampler()
    page = live(view).page
    wanted = view.shown["bars"][3][0]
    page.evaluate("for (const row of [...document.querySelectorAll('.row')].slice(3)) row.click()")
    page.wait_for_function("document.querySelectorAll('.path button').length > 0")
    heard(page)  # all of the clicks
    assert view.path == [wanted] and agrees(page, view)


def test_the_keyboard_alone_writes(live: Callable) -> None:
    """From the prompt by Tab to the bars, down two, Enter; the focus stays in the bars."""
    view = sampler()
    page = live(view).page
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.className || document.activeElement.type"))
    assert stops == ["textarea", "range", "range", "range", "button", "row here"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("[data-hover='2']")
    wanted = view.shown["bars"][2][0]
    page.keyboard.press("Enter")
    wait_for_path(page, [wanted])
    assert view.path == [wanted] and page.evaluate("document.activeElement.dataset.index") == "2"


@pytest.mark.parametrize(
    ("label", "place", "name", "value", "said"),
    [
        ("temperature", 0, "temperature", 0, "0 (likeliest)"),
        ("temperature", 30, "temperature", 1.5, "1.50"),
        ("top-k", 2, "top_k", 3, "3"),
        ("top-k", 99, "top_k", None, "off"),
        ("top-p", 10, "top_p", 0.5, "0.50"),
        ("top-p", 20, "top_p", None, "off"),
    ],
)
def test_a_slider_sets_its_trait(live: Callable, label: str, place: int, name: str, value, said: str) -> None:
    view = sampler(temperature=0.8, top_k=7, top_p=0.95)
    page = live(view).page
    slide(page, label, place)
    page.wait_for_function(
        "([label, said]) => [...document.querySelectorAll('.setting')].some((el) => el.textContent === label + said)",
        arg=[label, said],
    )
    page.wait_for_function("(n) => Number(document.querySelector('.gptlib').dataset.draws) > n", arg=1)
    heard(page)
    assert getattr(view, name) == value and agrees(page, view)


def test_python_sets_and_the_page_follows(live: Callable) -> None:
    view = sampler()
    here = live(view)
    view.temperature, view.top_k, view.top_p = 2.5, 37, 0.42
    view.take(5)
    view.hover = 1
    here.tell()
    here.page.wait_for_selector("[data-path='5'][data-hover='1']")
    assert here.page.locator("output").all_text_contents() == ["2.50", "37", "0.42"] and agrees(here.page, view)
    view.prompt = "cat " * 40
    here.tell()
    here.page.wait_for_selector("[data-path=''][data-hover='-1']")
    assert here.page.locator("textarea").input_value() == view.prompt
    assert here.page.locator(".limit").text_content() == view.shown["note"] != ""


def test_a_typed_prompt_is_read(live: Callable) -> None:
    view = sampler()
    page = live(view).page
    page.locator("textarea").fill("the mat")
    page.wait_for_function("document.querySelector('.given').textContent === 'the mat'")
    assert view.prompt == "the mat" and agrees(page, view)
    page.locator("textarea").fill("")
    page.wait_for_selector(".warning:has-text('the prompt is empty; give at least one character')")
    assert view.prompt == "the mat" and page.locator("textarea").input_value() == ""


def test_the_end_of_the_text_is_said(live: Callable) -> None:
    view = SamplerView(MODEL, TOKENIZER, "the", bars=TOKENIZER.vocab_size)
    page = live(view).page
    row = page.locator(f".row[data-id='{END}']")
    assert "which ends the text" in row.get_attribute("aria-label")
    row.hover()
    page.wait_for_selector(".detail:has-text('taking it ends the text')")
    row.click()
    wait_for_path(page, [END])
    sample = page.get_by_role("button", name="the text has ended")
    assert sample.is_disabled() and page.locator(".row").count() == 0 and view.ended
    page.get_by_role("button", name="undo").click()
    page.wait_for_selector("[data-path='']")
    assert page.get_by_role("button", name="sample").is_enabled() and agrees(page, view)


# ---- light and dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Callable, live: Callable, axe: Callable, theme: str) -> None:
    """Alone and with Python; tokens of every colour in the path, cut ones in the bars, one under the pointer."""
    view = sampler(top_k=4)
    bars = SamplerView(MODEL, TOKENIZER, "the", bars=280).shown["bars"]
    order = [bar[0] for bar in bars if bar[0] != END]
    view.path = [order[0], order[1], order[5], 10, 200, order[-1], *TOKENIZER.encode("🐸 \n cat")]
    for page in (open_page(view, theme), live(view, color_scheme=theme).page):
        page.locator(".row").nth(6).hover()
        page.wait_for_selector("[data-hover='6']")
        axe(page)
    view.take(END)
    axe(open_page(view, theme))
