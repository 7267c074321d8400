"""Every view, for people who see little or use no mouse: axe-core finds nothing, and Tab reaches every control."""

from collections.abc import Callable

import pytest

pytest.importorskip("anywidget")
import torch

import gptlib
from gptlib._widget import Picture, side_by_side

TEXT = "Cousin Mei lost her"


@pytest.fixture(scope="module")
def tales():
    return gptlib.load("tales")


def attention(tales, mode: str = "lines") -> Picture:
    return gptlib.AttentionView(tales[0], TEXT, tales[1], mode=mode)


def leaking(tales) -> Picture:
    """Weights with everything wrong that the view warns of."""
    return gptlib.AttentionView(torch.full((2, 3, 4, 4), 0.3), ["one", "two", "three", "four"])


def tokens(tales) -> Picture:
    return gptlib.TokenView(tales[1], TEXT)


def sampler(tales) -> Picture:
    return gptlib.SamplerView(*tales, "Once upon a time")


def losses(tales) -> Picture:
    view = gptlib.LossView(lines={"ln V": 7.6}, title="two runs")
    for run in range(2):
        for step in range(4):
            loss = 8.0 / (step + 1 + run) if step < 3 else float("nan")
            view({"step": step, "train_loss": loss, "val_loss": loss, "sample": "a text"})
    return view


def no_losses(tales) -> Picture:
    return gptlib.LossView()


def lens(tales) -> Picture:
    return gptlib.logit_lens(tales[0], TEXT, tales[1])


def two_texts(tales) -> Picture:
    other = gptlib.AttentionView(tales[0], "Cousin Jo lost her", tales[1])
    return side_by_side(attention(tales), other)


MAKERS = {
    "lines": attention,
    "heat": lambda tales: attention(tales, "heat"),
    "grid": lambda tales: attention(tales, "grid"),
    "neuron": lambda tales: attention(tales, "neuron"),
    "leaking": leaking,
    "tokens": tokens,
    "sampler": sampler,
    "losses": losses,
    "no losses": no_losses,
    "lens": lens,
    "two texts": two_texts,
}
EVERY_VIEW = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@EVERY_VIEW
def test_nothing_is_wrong_in_light_and_dark(make: Callable, tales, open_page: Callable, axe: Callable) -> None:
    page = open_page(make(tales))
    axe(page)
    page.emulate_media(color_scheme="dark")
    axe(page, rules=["color-contrast"])
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")  # as in JupyterLab on a system that is dark
    axe(page, rules=["color-contrast"])


# What is in sight and can be used; a disabled control has no part in this, nor what is folded away.
USABLE = """() => {
    const all = document.querySelectorAll('button, select, input, textarea, a[href], summary, [tabindex]');
    return [...all].filter((el) => !el.disabled && el.checkVisibility({ visibilityProperty: true }));
}"""
FOCUSED = f"""async () => {{
    await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
    const el = document.activeElement;
    const style = getComputedStyle(el);
    const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
    const inList = el.type === 'radio' || !!el.parentElement?.querySelector('[tabindex="-1"]');
    return {{ number: ({USABLE})().indexOf(el), seen, inList, html: el.outerHTML.slice(0, 200) }};
}}"""


@EVERY_VIEW
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(make: Callable, tales, open_page: Callable) -> None:
    """Tab goes from one to the next, and arrow keys go through lists and tables."""
    page = open_page(make(tales))
    controls = page.evaluate(f"() => ({USABLE})().map((el) => el.outerHTML.slice(0, 200))")
    reached: dict[int, dict] = {}
    here = -1

    def is_new_after(key: str) -> bool:
        """Press it: whether it led to what was not reached before."""
        nonlocal here
        page.keyboard.press(key)
        focus = page.evaluate(FOCUSED)
        here, known = focus["number"], focus["number"] in reached
        if here >= 0 and not known:
            assert focus["seen"], f"nothing shows that the focus is on {focus['html']}"
            reached[here] = focus
        return here >= 0 and not known

    def go(key: str) -> None:
        """As far as this key leads."""
        for _ in controls:
            before = here
            is_new_after(key)
            if here == before:
                return

    while is_new_after("Tab"):
        pass
    for number in [number for number, focus in reached.items() if focus["inList"]]:
        page.evaluate(f"(number) => ({USABLE})()[number].focus()", number)
        page.evaluate(FOCUSED)
        here, found = number, 0
        go("ArrowUp")
        while found < len(reached) < len(controls):  # as long as each line of a table holds something new
            found = len(reached)
            go("ArrowRight")
            go("ArrowLeft")
            is_new_after("ArrowDown")
    missed = [control for number, control in enumerate(controls) if number not in reached]
    assert controls and not missed, "\n".join(missed)
