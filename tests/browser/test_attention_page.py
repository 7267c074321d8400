"""AttentionView in Chromium: what it draws, and what mouse, keys and Python do to it."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("anywidget")
import numpy as np
import torch
from torch import Tensor

from gptlib._attention_view import AttentionView
from gptlib._widget import side_by_side
from gptlib.model import GPT, GPTConfig
from gptlib.tokenizer import CharTokenizer

VIEW = ".gptlib-attention"
WORDS = ["Dora", "lost", "a", "silver", "key", "and", "looked", "for", "it"]


def attention(*shape: int, causal: bool = True) -> Tensor:
    scores = 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(shape[-2:], dtype=torch.bool).tril()
    return (scores.masked_fill(~mask, -torch.inf) if causal else scores).softmax(-1)


@pytest.fixture
def weights() -> Tensor:
    return attention(3, 4, len(WORDS), len(WORDS))


def rounded(weights: Tensor) -> np.ndarray:
    """What the page gets: steps of 1/255."""
    return np.rint(255 * weights.numpy()) / 255


def shown(page: Any, **state: Any) -> dict[str, str]:
    """What the page says it has drawn, once this is among it."""
    selector = VIEW + "".join(f"[data-{name}='{value}']" for name, value in state.items())
    page.wait_for_selector(selector, state="attached")
    return page.locator(VIEW).first.evaluate("(el) => ({ ...el.dataset })")


def settled(page: Any) -> str:
    """The number of drawings, once what was asked for is drawn: in this frame, or after a new size in the next."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
    )
    return page.locator(VIEW).first.get_attribute("data-draws")


def note(page: Any) -> str:
    return page.locator(f"{VIEW} .note").first.inner_text()


def numbers(page: Any) -> list[tuple[str, float]]:
    """The tokens that the note lists, with their weights."""
    listed = note(page).split(": ", 1)[1].removesuffix(" (held)").split(" · ")
    return [(text.rsplit(" ", 1)[0], float(text.rsplit(" ", 1)[1])) for text in listed]


def strongest(values: np.ndarray, names: list[str] = WORDS) -> list[tuple[str, float]]:
    """The same from Python: the six largest."""
    order = np.argsort(-values, kind="stable")[:6]
    return [(names[i], round(float(values[i]), 2)) for i in order if values[i] >= 0.005]


def same(found: list[tuple[str, float]], wanted: list[tuple[str, float]]) -> bool:
    names, values = zip(*found, strict=True), zip(*wanted, strict=True)
    (found_names, found_values), (wanted_names, wanted_values) = tuple(names), tuple(values)
    return found_names == wanted_names and np.allclose(found_values, wanted_values, atol=0.011)


PIXELS = """(canvas, box) => {
    const copy = document.createElement("canvas");  // reading from the canvas itself would make it slow, and be told of
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    return [...context.getImageData(...(box ?? [0, 0, canvas.width, canvas.height])).data];
}"""


def pixel(page: Any, x: float, y: float, canvas: str = ".map canvas") -> tuple[int, ...]:
    """The color of a canvas at a place; the tests' screen has one pixel for each CSS pixel."""
    return tuple(page.locator(canvas).first.evaluate(PIXELS, [int(x), int(y), 1, 1]))


def cell_at(page: Any, T: int, S: int, t: int, s: int) -> tuple[float, float]:
    """The middle of a cell of the map in CSS pixels of its canvas, found by the frame that is drawn around the map."""
    box = page.locator(".map canvas").first.evaluate(
        "(el) => [parseFloat(el.style.width), parseFloat(el.style.height)]"
    )
    longest = min(14, max(map(len, page.locator(".strip .token").all_inner_texts())))
    left, top = 16 + 7 * longest, 12 + 7 * longest
    cell = (box[0] - 2 - left) / S
    assert cell == (box[1] - 2 - top) / T
    return left + (s + 0.5) * cell, top + (t + 0.5) * cell


# ---- what is drawn


@pytest.mark.parametrize("settings", [{}, {"head": 2}, {"heads": [0, 3]}, {"layer": 2, "head": 1}, {"dtype": "f32"}])
def test_the_numbers_of_a_token_are_those_of_its_row(settings: dict, weights: Tensor, open_page: Callable) -> None:
    """So no row is a column, no mean is over layers, and no head is its neighbour."""
    view = AttentionView(weights, WORDS, layer=settings.pop("layer", 1), mode="heat", **settings)
    page = open_page(view)
    heads = view.heads if view.head < 0 else [view.head]
    mean = rounded(weights)[view.layer, heads].mean(0)
    for t in (0, 4, 8):
        page.locator(".strip .token").nth(t).hover()
        shown(page, hover=t)
        of = f", mean of {len(heads)} heads" if len(heads) > 1 else ""
        assert note(page).startswith(f"{WORDS[t]} ({t}) looks at{of}: ")
        if view.dtype == "u8":
            assert same(numbers(page), strongest(mean[t]))
        else:
            assert [len(text.rsplit(".", 1)[1]) for text in note(page).split(" · ")] == [3] * len(numbers(page))


def test_both_columns_can_be_pointed_at(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, layer=1))
    mean = rounded(weights)[1].mean(0)
    page.locator(".column.from .token").nth(5).hover()
    shown(page, hover=5, key=-1)
    assert same(numbers(page), strongest(mean[5]))
    page.locator(".column").nth(1).locator(".token").nth(2).hover()
    shown(page, hover=-1, key=2)
    assert note(page).startswith("a (2) is seen by, mean of 4 heads: ")
    assert same(numbers(page), strongest(mean[:, 2]))
    page.mouse.move(5, 5)
    shown(page, hover=-1, key=-1)
    assert "point at a token" in note(page)


def test_lines_go_from_the_query_to_the_key_in_the_color_of_the_head(open_page: Callable) -> None:
    weights = torch.zeros(1, 3, 4, 4)
    weights[0, 0] = torch.eye(4)
    weights[0, 2, :, 0] = 1
    page = open_page(AttentionView(weights, head=2))
    width = int(page.locator(".wires canvas").first.get_attribute("width"))
    at = lambda x, token: pixel(page, x, 22 * token + 11, ".wires canvas")  # noqa: E731
    assert at(100, 0) == pytest.approx((0x2F, 0x9E, 0x5F, 255), abs=3)  # the third color
    assert at(2, 3)[3] > 0 and at(width - 3, 3)[3] == 0  # the last looks, and nobody looks at it
    page.locator(".chip").nth(0).click(modifiers=["Shift"])
    shown(page, head=0)
    assert at(100, 3) == at(width - 3, 3) == pytest.approx((0x3B, 0x82, 0xC4, 255), abs=3)


def count_lines(weights: Tensor, heads: list[int]) -> int:
    return int((np.rint(255 * weights[1, heads].numpy()) >= 10).sum())


def test_chips_switch_heads_on_and_off_and_leave_one_alone(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, layer=1))
    chips = page.locator(".chip")

    def on(lines_of: list[int], head: int = -1) -> bool:
        state = shown(page, head=head, lines=count_lines(weights, lines_of))
        pressed = [n for n in range(4) if chips.nth(n).get_attribute("aria-pressed") == "true"]
        return pressed == lines_of and int(state["lines"]) > 0

    assert on([0, 1, 2, 3])
    chips.nth(1).click()
    assert on([0, 2, 3])
    chips.nth(3).click()
    assert on([0, 2])
    chips.nth(1).click()
    assert on([0, 1, 2])
    chips.nth(2).dblclick()
    assert on([2], head=2)
    chips.nth(0).click()  # one more beside the one that was alone
    assert on([0, 2])
    chips.nth(3).click(modifiers=["Shift"])
    assert on([3], head=3)
    chips.nth(3).click(modifiers=["Shift"])
    assert on([0, 1, 2, 3])
    page.get_by_role("combobox", name="Head").select_option("1")
    assert on([1], head=1)
    chips.nth(1).click()  # the last one off is all on
    assert on([0, 1, 2, 3])


def test_no_more_lines_than_can_be_drawn_and_the_strongest_of_them(open_page: Callable) -> None:
    weights = attention(2, 12, 80, 80)
    page = open_page(AttentionView(weights))
    lines = int(shown(page)["lines"])
    assert 500 < lines <= 800 < (255 * weights[0] >= 10).sum()


def test_weights_too_weak_for_a_line_or_two_digits_are_said_to_be_so(open_page: Callable) -> None:
    weights = torch.ones(300, 300).tril() / torch.arange(1, 301)[:, None]
    weights[:26] = weights[-1]
    view = AttentionView(weights, causal=False)
    view.warnings = []
    page = open_page(view)
    assert note(page).startswith('Layer 0, head 0: all weaker than 0.04: try "by row", or point at a token')
    page.locator(".column.from .token").nth(299).hover()
    shown(page, hover=299)
    assert note(page) == "299 (299) looks at: 300 tokens, each less than 0.01"
    page.mouse.move(5, 5)
    page.get_by_role("button", name="by row").click()
    settled(page)
    assert int(shown(page, hover=-1)["lines"]) > 0
    assert note(page) == "Layer 0, head 0: point at a token to see where it looks."


def test_a_row_of_zeros_looks_at_nothing(open_page: Callable) -> None:
    weights = torch.zeros(3, 3)
    weights[2, 0] = 0.001
    page = open_page(AttentionView(weights, scale="row", hover=1))
    assert note(page) == "1 (1) looks at: nothing"
    page.locator(".column.from .token").nth(2).hover()
    shown(page, hover=2)
    assert note(page) == "2 (2) looks at: 1 token, less than 0.01"


def test_a_map_in_a_page_that_is_zoomed_names_the_cell_under_the_mouse(open_page: Callable) -> None:
    page = open_page(AttentionView(attention(1, 1, 9, 9), WORDS, mode="heat"))
    page.evaluate("document.body.style.zoom = 0.5")
    settled(page)
    box = page.locator(".map canvas").first.bounding_box()
    for t, s in ((8, 0), (4, 3), (0, 8)):
        x, y = cell_at(page, 9, 9, t, s)
        page.mouse.move(box["x"] + x / 2, box["y"] + y / 2)
        shown(page, hover=t, key=s)


def test_cells_of_the_map_have_the_color_of_their_weight(open_page: Callable) -> None:
    weights = torch.zeros(1, 1, 4, 6)
    weights[0, 0, 1, 4], weights[0, 0, 2, 0], weights[0, 0, 2, 5] = 1.0, 0.5, 0.25
    view = AttentionView(weights, list("abcd"), list("uvwxyz"), mode="heat")
    page = open_page(view)
    at = lambda t, s: pixel(page, *cell_at(page, 4, 6, t, s))[:3]  # noqa: E731
    assert at(1, 4) == (8, 38, 74)
    assert at(0, 0) == at(3, 5) == at(1, 3) == (255, 255, 255)
    assert 8 < at(2, 0)[0] < at(2, 5)[0] < 255
    page.get_by_role("button", name="by row").click()
    settled(page)
    assert at(2, 0) == (8, 38, 74)
    assert at(2, 5)[0] == pytest.approx((0x8D + 0x2F) / 2, abs=2)  # half of the largest in its row
    page.emulate_media(color_scheme="dark")
    settled(page)
    assert at(0, 0) == (20, 24, 29)
    assert at(1, 4) == (242, 248, 255)


def test_a_cell_under_the_mouse_is_its_query_and_its_key(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, layer=1, head=3, mode="heat"))
    box = page.locator(".map canvas").first.bounding_box()
    for t, s in ((8, 0), (4, 3), (0, 8)):
        x, y = cell_at(page, 9, 9, t, s)
        page.mouse.move(box["x"] + x, box["y"] + y)
        shown(page, hover=t, key=s)
        value = rounded(weights)[1, 3, t, s]
        assert note(page).startswith(f"{WORDS[t]} → {WORDS[s]} {value:.2f}. {WORDS[t]} ({t}) looks at:")
    page.mouse.move(box["x"] + 4, box["y"] + 4)  # the corner is no cell
    shown(page, hover=-1, key=-1)


def test_256_tokens_work_in_every_mode(open_page: Callable) -> None:
    weights = attention(2, 2, 256, 256)
    q = torch.zeros(2, 2, 256, 8)
    view = AttentionView(weights, q=q, k=q)
    view.warnings = view.places = []  # these q and k do not give these weights
    page = open_page(view, width=1100)
    for mode in ("Map", "All heads", "Neuron", "Lines"):
        page.get_by_role("button", name=mode).click()
        shown(page, mode={"Map": "heat", "All heads": "grid"}.get(mode, mode.lower()))
        page.locator(".tokens").first.locator(".token").nth(255).hover()
        shown(page, hover=255)
        middle = page.locator(".stage canvas").first.evaluate(PIXELS, [100, 0, 100, 100])
        assert len({tuple(middle[i : i + 4]) for i in range(0, len(middle), 4)}) > 20


def test_a_thumbnail_shows_its_head_and_opens_it(open_page: Callable) -> None:
    weights = torch.zeros(2, 3, 4, 4)
    weights[..., 0] = 1
    weights[1, 2] = torch.eye(4)
    page = open_page(AttentionView(weights, mode="grid"))
    thumbs = page.locator(".thumb")
    assert thumbs.count() == 6
    assert thumbs.nth(5).get_attribute("aria-label") == "layer 1, head 2"

    def color(thumb: int, t: int, s: int) -> tuple[int, ...]:
        x, y, side = thumbs.nth(thumb).evaluate("(el) => [el.offsetLeft, el.offsetTop, el.offsetWidth]")
        return pixel(page, x + side * (s + 0.5) / 4, y + side * (t + 0.5) / 4, ".grid canvas")[:3]

    dark, paper = (8, 38, 74), (255, 255, 255)
    assert [color(5, t, t) for t in range(4)] == [dark] * 4
    assert color(5, 3, 0) == color(0, 3, 3) == paper
    assert color(0, 3, 0) == color(3, 2, 0) == dark
    thumbs.nth(5).click()
    shown(page, mode="heat", layer=1, head=2)


def test_a_single_weight_is_not_lost_in_a_small_thumbnail(open_page: Callable) -> None:
    weights = torch.zeros(8, 12, 200, 200)
    for head in range(12):
        weights[:, head, 151 + head, 70 + 3 * head] = 1
    view = AttentionView(weights, mode="grid")
    view.warnings = view.places = []
    page = open_page(view)
    for head in range(12):
        x, y, side = page.locator(".thumb").nth(head).evaluate("(el) => [el.offsetLeft, el.offsetTop, el.offsetWidth]")
        pixels = page.locator(".grid canvas").first.evaluate(PIXELS, [x, y, side, side])
        assert side < 100
        assert pixels[::4].count(8) == 1  # the red of a weight of 1


def test_the_neuron_view_shows_how_a_query_finds_its_keys(open_page: Callable) -> None:
    q, k = torch.randn(2, 2, 3, 6, 8, generator=torch.Generator().manual_seed(3))
    scores = q @ k.mT / 8**0.5
    weights = scores.masked_fill(~torch.ones(6, 6, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    page = open_page(AttentionView(weights, WORDS[:6], q=q, k=k, layer=1, head=2, mode="neuron", hover=4))
    label = page.locator(".stage canvas").first.get_attribute("aria-label")
    best = int(scores[1, 2, 4, :5].argmax())
    found = f"score {scores[1, 2, 4, best]:.2f}, softmax {rounded(weights)[1, 2, 4, best]:.2f}"
    assert label == f"Layer 1, head 2: of 5 keys, key (4) fits best to {WORDS[best]} ({best}), {found}"
    page.get_by_role("combobox", name="Head").select_option("-1")
    shown(page, head=-1)
    assert page.get_by_role("combobox", name="Head").input_value() == "0"  # one query meets its keys in one head
    assert same(numbers(page), strongest(rounded(weights)[1, 0, 4], WORDS[:6]))


def test_only_a_causal_map_has_later_keys_to_leave_out(open_page: Callable) -> None:
    q, k = torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 5, 2)
    k[..., 3:, 0], q[..., 0] = -40, 1
    weights = (q @ k.mT / 2**0.5).softmax(-1)  # as good as nothing for the last two keys
    for settings, keys in (({"key_tokens": list("abcde")}, 5), ({"causal": True}, 4)):
        names = {"key_tokens": None, **settings}
        view = AttentionView(weights, list("xyz") if names["key_tokens"] else None, q=q, k=k, **names)
        view.warnings, view.mode, view.hover = [], "neuron", 1
        label = open_page(view).locator(".stage canvas").get_attribute("aria-label")
        assert f"of {keys} keys" in label


def written(page: Any, **state: Any) -> dict[str, tuple[float, float]]:
    """What is written on the canvases of a page that draws until it shows this, and from where to where."""
    page.evaluate("""() => {
        window.written = [];
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            window.written.push([text, [x, x + this.measureText(text).width]]);
            write.call(this, text, x, y);
        };
    }""")
    page.keyboard.press("ArrowUp")
    shown(page, **state)
    return {text: tuple(span) for text, span in page.evaluate("window.written")}


@pytest.mark.parametrize("width", [400, 1000])
def test_headings_of_the_neuron_view_do_not_touch(width: int, open_page: Callable) -> None:
    q, k = torch.randn(2, 1, 1, 6, 8, generator=torch.Generator().manual_seed(3))
    weights = (q @ k.mT / 8**0.5).masked_fill(~torch.ones(6, 6, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    page = open_page(AttentionView(weights, WORDS[:6], q=q, k=k, mode="neuron", hover=5), width=width)
    page.locator(".strip .token").nth(5).focus()
    found = written(page, hover=4)
    names = ("k of each key", "q times k") if width == 1000 else ("k", "q·k")
    first, second, third = (found[name] for name in (*names, "sum / √8"))
    assert first[1] < second[0] - 3 < second[1] < third[0] - 3
    assert "1 later token is masked" in found
    found = written(page, hover=3)
    assert "2 later tokens are masked" in found


def test_a_leak_smaller_than_a_step_is_no_masked_key(open_page: Callable) -> None:
    q = torch.zeros(1, 1, 4, 8)
    weights = torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None]
    weights[0] = torch.tensor([0.9985, 0, 0, 0.0015])
    page = open_page(AttentionView(weights, q=q, k=q, mode="neuron", hover=0))
    assert "of 4 keys" in page.locator(".stage canvas").first.get_attribute("aria-label")


def test_without_q_and_k_the_neuron_button_says_why(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS))
    button = page.get_by_role("button", name="Neuron")
    assert button.is_disabled()
    assert "q and k are not known" in button.get_attribute("title")


def test_the_reader_can_go_to_what_is_wrong(open_page: Callable) -> None:
    weights = attention(3, 4, 9, 9)
    weights[2, 1, 3, 6] = 0.4
    view = AttentionView(weights, WORDS, mode="grid")
    page = open_page(view)
    assert page.locator(".warnings .warning").count() == 2
    sentences = page.locator(".warnings .warning").all_inner_texts()
    assert [text.removesuffix("Show") for text in sentences] == view.warnings
    page.locator(".warnings button").nth(1).click()
    shown(page, layer=2, head=1, hover=3, key=6, mode="heat", held="true")
    assert page.evaluate("document.activeElement.textContent") == "Show"  # a next press goes on from here


# ---- keys, holding


def test_everything_can_be_done_with_keys(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, mode="heat"))
    page.locator(".strip .token").first.focus()
    shown(page, hover=0)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("ArrowDown", {"hover": 1}),
        ("ArrowRight", {"hover": 2}),
        ("ArrowUp", {"hover": 1, "key": -1}),
        ("Shift+ArrowRight", {"hover": 1, "key": 0}),
        ("Shift+ArrowDown", {"hover": 1, "key": 1}),
        ("Shift+ArrowLeft", {"hover": 1, "key": 0}),
        ("ArrowDown", {"hover": 2, "key": -1}),
        ("PageDown", {"layer": 1}),
        ("PageDown", {"layer": 2}),
        ("PageDown", {"layer": 2}),
        ("PageUp", {"layer": 1}),
        ("]", {"head": 0}),
        ("]", {"head": 1}),
        ("[", {"head": 0}),
        ("[", {"head": -1}),
        ("[", {"head": -1}),
        ("Control+ArrowDown", {"hover": 2, "layer": 1}),  # keys of the browser are left to it
        ("Control+PageDown", {"layer": 1}),
        ("Enter", {"hover": 2, "held": "true"}),
        ("ArrowDown", {"hover": 3, "held": "true"}),
        ("Escape", {"hover": -1, "held": "false"}),
    ]
    for key, state in steps:
        page.keyboard.press(key)
        settled(page)
        shown(page, **state)
    assert page.evaluate("document.activeElement.textContent") == WORDS[3]  # the focus goes with the token


def test_keys_in_a_field_are_left_to_the_field(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS))
    page.get_by_role("combobox", name="Layer").focus()
    page.keyboard.press("ArrowDown")
    assert shown(page, layer=1)["hover"] == "-1"


def test_arrow_keys_go_from_thumbnail_to_thumbnail(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, mode="grid", layer=1, head=1))
    page.locator(".thumb[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.ariaLabel") == "layer 0, head 1"
    page.keyboard.press("Enter")
    shown(page, mode="heat", layer=0, head=1)


def test_a_click_holds_a_token_until_the_next(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, mode="heat"))
    tokens = page.locator(".strip .token")
    tokens.nth(3).click()
    shown(page, hover=3, held="true")
    tokens.nth(6).hover()
    page.mouse.move(5, 5)
    settled(page)
    assert shown(page)["hover"] == "3"
    assert note(page).endswith("(held)")
    tokens.nth(6).click()  # the next one is held instead
    shown(page, hover=6, held="true")
    tokens.nth(6).click()
    shown(page, hover=6, held="false")
    tokens.nth(2).hover()
    shown(page, hover=2)


def test_while_a_token_is_held_another_shows_what_is_between_the_two(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, mode="grid", layer=1))
    tokens = page.locator(".strip .token")
    tokens.nth(6).click()
    tokens.nth(3).hover()
    shown(page, hover=6, key=3, held="true")
    pair = rounded(weights)[:, :, 6, 3]
    order = [np.unravel_index(i, pair.shape) for i in np.argsort(-pair.flatten(), kind="stable")[:4]]
    listed = " · ".join(f"layer {layer}, head {head} {pair[layer, head]:.2f}" for layer, head in order)
    assert note(page) == f"looked (6) → silver (3), most in: {listed}"
    tokens.nth(6).hover()
    shown(page, hover=6, key=-1, held="true")
    page.get_by_role("button", name="Map").click()
    tokens.nth(2).hover()
    shown(page, hover=6, key=2, mode="heat")
    mean = rounded(weights)[1].mean(0)[6, 2]
    assert note(page).startswith(f"looked → a {mean:.2f}. ")
    page.get_by_role("button", name="Lines").click()
    page.locator(".column").nth(1).locator(".token").nth(6).hover()  # itself as a key
    shown(page, hover=6, key=6, mode="lines")
    page.locator(".column").nth(1).locator(".token").nth(1).click()  # a key is held instead
    shown(page, hover=-1, key=1, held="true")
    page.locator(".column.from .token").nth(7).hover()
    shown(page, hover=7, key=1)
    page.keyboard.press("Escape")
    shown(page, hover=-1, key=-1, held="false")


def test_a_picker_and_a_switch_change_what_is_drawn(weights: Tensor, open_page: Callable) -> None:
    page = open_page(AttentionView(weights, WORDS, mode="heat"))
    picture = "(el) => el.toDataURL()"
    seen = {page.locator(".map canvas").first.evaluate(picture)}
    for act in (
        lambda: page.get_by_role("combobox", name="Layer").select_option("2"),
        lambda: page.get_by_role("combobox", name="Head").select_option("3"),
        lambda: page.get_by_role("button", name="by row").click(),
    ):
        act()
        settled(page)
        seen.add(page.locator(".map canvas").first.evaluate(picture))
    assert len(seen) == 4


# ---- two views


def test_two_views_move_together(weights: Tensor, open_page: Callable) -> None:
    both = side_by_side(AttentionView(weights, WORDS), AttentionView(weights.flip(0), WORDS[::-1]))
    page = open_page(both, width=1400)
    boxes = [page.locator(VIEW).nth(n).bounding_box() for n in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]  # really beside one another
    page.locator(VIEW).first.locator(".column.from .token").nth(4).hover()
    page.wait_for_selector(f"{VIEW}[data-hover='4'] >> nth=1", state="attached")
    page.locator(VIEW).nth(1).get_by_role("combobox", name="Layer").select_option("2")
    page.locator(VIEW).nth(1).get_by_role("button", name="Map").click()
    page.wait_for_selector(f"{VIEW}[data-layer='2'][data-mode='heat'] >> nth=1", state="attached")


def test_a_value_from_a_larger_view_does_no_harm(weights: Tensor, open_page: Callable) -> None:
    """A link is made once; afterwards one of the texts may become shorter."""

    class Loose(AttentionView):
        _name = "attention"

        def range_of(self, name: str) -> Any:
            return "anything"

    small = Loose(weights[:1, :2, :3, :3], WORDS[:3])
    small.warnings = small.places = []
    q = torch.zeros(*weights.shape[:3], 4)
    large = Loose(weights, WORDS, q=q, k=q)
    page = open_page(side_by_side(large, small), width=1400)
    first, second = page.locator(VIEW).first, page.locator(VIEW).nth(1)
    first.locator(".column.from .token").nth(8).hover()
    first.get_by_role("combobox", name="Layer").select_option("2")
    first.get_by_role("combobox", name="Head").select_option("3")
    first.get_by_role("button", name="Neuron").click()
    shown(page, mode="neuron", layer=2, head=3)
    state = second.evaluate("(el) => ({ ...el.dataset })")
    assert (state["layer"], state["head"], state["hover"], state["mode"]) == ("0", "-1", "-1", "heat")


# ---- with Python at the other end

HARNESS = """async ([script, plain, packed]) => {
    const traits = { ...plain };
    const unpack = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
    for (const [name, text] of Object.entries(packed)) traits[name] = unpack(text);
    const heard = new Map();
    let changed = {};
    window.outbox = [];
    window.listeners = () => [...heard.values()].reduce((sum, all) => sum + all.size, 0);
    const tell = (names) => names.forEach((name) => heard.get(`change:${name}`)?.forEach((callback) => callback()));
    const model = {
        get: (name) => traits[name],
        set(name, value) {
            if (traits[name] === value) return;
            traits[name] = changed[name] = value;
            tell([name]);
        },
        on: (event, callback) => (heard.get(event) ?? heard.set(event, new Set()).get(event)).add(callback),
        off: (event, callback) => heard.get(event).delete(callback),
        save_changes() {
            if (Object.keys(changed).length) window.outbox.push(changed);
            changed = {};
        },
    };
    window.receive = (plain, packed) => {  // all traits of a message are set before the first is told of
        Object.assign(traits, plain);
        for (const [name, text] of Object.entries(packed)) traits[name] = unpack(text);
        tell([...Object.keys(plain), ...Object.keys(packed)]);
    };
    const { default: widget } = await import(`data:text/javascript;base64,${script}`);
    window.end = await widget.render({ model, el: document.body });
}"""


class Live:
    """The widget's script in a page, with a view in this process at the other end, as in a notebook."""

    def __init__(self, page: Any, view: AttentionView) -> None:
        self.page, self.view = page, view
        self.messages: list[dict[str, Any]] = []  # from the page
        page.add_style_tag(content=view._css)
        state = {k: v for k, v in view.get_state().items() if not k.startswith("_") and k != "layout"}
        page.evaluate(HARNESS, [base64.b64encode(view._esm.encode()).decode(), *self.split(state)])
        view.comm.send = self.send

    def split(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        packed = {k: base64.b64encode(v).decode() for k, v in state.items() if isinstance(v, bytes | memoryview)}
        return [{k: v for k, v in state.items() if k not in packed}, packed]

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_: Any) -> None:
        if data["method"] == "update":
            packed = {path[0]: bytes(buffer) for path, buffer in zip(data["buffer_paths"], buffers or [], strict=True)}
            self.page.evaluate("(all) => receive(...all)", self.split({**data["state"], **packed}))

    def pump(self) -> None:
        """Give Python what the page has said."""
        for message in self.page.evaluate("outbox.splice(0)"):
            self.messages.append(message)
            data = {"method": "update", "state": message, "buffer_paths": []}
            self.view._handle_msg({"content": {"data": data}, "buffers": []})
        settled(self.page)

    def type(self, text: str) -> None:
        self.page.get_by_label("Text", exact=True).fill(text)
        self.page.wait_for_function("outbox.length > 0")
        self.pump()


@pytest.fixture
def live(browser: Any) -> Iterator[Callable[[AttentionView], Live]]:
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield lambda view: Live(page, view)
    page.close()
    assert not wrong


@pytest.fixture
def reading() -> AttentionView:
    """A view of a model with a text that can be typed into."""
    torch.manual_seed(0)
    tokenizer = CharTokenizer("abcdefgh ")
    model = GPT(GPTConfig(tokenizer.vocab_size, block_size=12, n_layer=2, n_head=2, n_embd=8, start="random"))
    return AttentionView(model, "a bad cab", tokenizer, mode="heat")


def test_the_map_follows_what_is_typed(reading: AttentionView, live: Callable) -> None:
    there = live(reading)
    box = there.page.get_by_label("Text", exact=True)
    assert box.input_value() == "a bad cab"
    there.page.clock.install(time=0)
    there.page.clock.pause_at(1)  # so that no machine is too slow to type fast
    box.fill("")
    box.press_sequentially("bead")
    there.page.clock.run_for(1000)
    there.page.clock.resume()
    assert there.page.evaluate("outbox") == [{"text": "bead"}]  # one message for four keys
    there.pump()
    tokens = there.page.locator(".strip .token")
    assert tokens.all_inner_texts() == list("bead")
    tokens.nth(3).hover()
    shown(there.page, hover=3)
    values = np.frombuffer(reading.weights, np.uint8).reshape(reading.shape)[0].mean(0)[3] / 255
    assert same(numbers(there.page), strongest(values, list("bead")))
    reading.text = "fed"  # and back
    settled(there.page)
    assert box.input_value() == "fed"
    assert tokens.all_inner_texts() == list("fed")


def test_what_cannot_be_read_is_said_while_the_old_map_stays(reading: AttentionView, live: Callable) -> None:
    there = live(reading)
    drawn = there.page.locator(".map canvas").first.evaluate("(el) => el.toDataURL()")
    there.type("a bäd cab")
    error = there.page.locator("[role='alert']")
    assert "the character 'ä' is not in the vocabulary" in error.inner_text()
    assert there.page.locator(".map canvas").first.evaluate("(el) => el.toDataURL()") == drawn
    assert there.page.get_by_label("Text", exact=True).input_value() == "a bäd cab"
    there.type("")
    assert "the text is empty" in error.inner_text()
    there.type("a bad bed a bad bed")
    assert error.inner_text() == ""
    assert "the text has 19 tokens, the context 12" in there.page.locator(".warnings").inner_text()
    assert there.page.locator(".strip .token").count() == 12


def test_a_hover_and_a_layer_cross_with_nothing_else(reading: AttentionView, live: Callable) -> None:
    there = live(reading)
    there.page.locator(".strip .token").nth(4).hover()
    shown(there.page, hover=4)
    there.page.get_by_role("combobox", name="Layer").select_option("1")
    shown(there.page, layer=1)
    there.pump()
    assert there.messages == [{"hover": 4}, {"layer": 1}]
    assert (reading.hover, reading.layer) == (4, 1)
    reading.hover, reading.layer, reading.head, reading.scale = 2, 0, 1, "row"
    state = shown(there.page, hover=2, layer=0, head=1)
    assert state["mode"] == "heat"
    assert there.page.get_by_role("button", name="by row").get_attribute("aria-pressed") == "true"
    reading.mode = "lines"
    reading.heads = [1]
    shown(there.page, mode="lines", head=-1)
    assert there.page.locator(".chip[aria-pressed='true']").all_inner_texts() == ["1"]


def test_q_and_k_come_when_the_neuron_mode_is_opened(reading: AttentionView, live: Callable) -> None:
    there = live(reading)
    there.page.get_by_role("button", name="Neuron").click()
    shown(there.page, mode="neuron")
    assert there.page.locator(".stage canvas").get_attribute("aria-label") is None  # they are on their way
    there.pump()
    label = there.page.locator(".stage canvas").get_attribute("aria-label")
    assert re.fullmatch(
        r"Layer 0, head 0: of 9 keys, b \(8\) fits best to . \(\d\), score -?\d\.\d\d, softmax 0\.\d\d", label
    )
    there.type("cab")
    assert "of 3 keys, b (2)" in there.page.locator(".stage canvas").get_attribute("aria-label")


def test_in_a_page_alone_there_is_no_text_to_type(reading: AttentionView, open_page: Callable) -> None:
    page = open_page(reading)
    assert page.locator("textarea").is_hidden()


def test_nothing_is_left_behind_when_the_view_is_closed(reading: AttentionView, live: Callable) -> None:
    there = live(reading)
    page = there.page
    assert page.evaluate("listeners()") > 0
    draws = settled(page)
    page.evaluate(
        """() => {
            const box = document.querySelector('textarea');
            box.value = 'abc';
            box.dispatchEvent(new Event('input'));  // would be sent a moment later
            receive({ layer: 1 }, {});  // would be drawn in the next frame
            end();
        }"""
    )
    assert page.evaluate("listeners()") == 0
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 500, "height": 500})
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    reading.layer = 1
    page.wait_for_timeout(400)
    assert settled(page) == draws
    assert page.evaluate("outbox") == []
