"""The page of LensView: the table says what the logits say, and pointer, keys and colours show what is inside."""

from collections.abc import Callable

import pytest

pytest.importorskip("anywidget")
import torch

from gptlib._lens_view import LensView
from gptlib._widget import side_by_side
from gptlib.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("abc<& ", special_tokens=("<b>x</b>",))
V = TOKENIZER.vocab_size
IDS = TOKENIZER.encode("ab c<&a<b>x</b>", allowed_special="all")


def make(seed: int = 0, rows: int = 3) -> LensView:
    logits = 2 * torch.randn(rows, len(IDS), V, generator=torch.Generator().manual_seed(seed))
    logits[1, 2, IDS[3]] = 20.0  # this cell is right, and sure of it
    logits[0, 2, IDS[3]] = -20.0
    return LensView(logits, IDS, TOKENIZER, title="a lens")


def cell(page, row: int, place: int):
    return page.locator(f"td[data-row='{row}'][data-place='{place}']")


def hovered(page, row: int, place: int) -> None:
    page.wait_for_selector(f"[data-hover='{row},{place}']")


def test_the_table_says_what_the_view_says(open_page: Callable) -> None:
    """For rows upside down, a shift in what comes next, and tokens that become HTML."""
    view = make()
    page = open_page(view)
    assert page.locator("thead th .token").all_text_contents() == view.tokens
    assert page.locator("tfoot th .token").all_text_contents() == [*view.tokens[1:], "?"]
    assert page.locator("tbody th").all_text_contents() == view.rows
    for row in range(3):
        for place in range(len(IDS)):
            token, share = view.at(row, place)[0]
            assert cell(page, row, place).locator(".token").text_content() == token
            said = cell(page, row, place).locator("small").text_content().removeprefix("✓ ").removesuffix(" %")
            assert float(said) == pytest.approx(100 * share, abs=0.5 if share > 0.1 else 0.05)
    assert page.locator("b").count() == 0
    assert "✓" in cell(page, 1, 2).text_content()
    right = [*page.locator("td.right").evaluate_all("all => all.map((td) => [td.dataset.row, td.dataset.place])")]
    guesses = [[view.at(row, place)[0][0] for place in range(len(IDS) - 1)] for row in range(3)]
    assert right == [[str(r), str(p)] for r in range(3) for p, t in enumerate(guesses[r]) if t == view.tokens[p + 1]]


def test_the_pointer_opens_a_cell(open_page: Callable) -> None:
    view = make()
    page = open_page(view)
    assert "Point at a cell" in page.locator(".inside").text_content()
    cell(page, 2, 3).hover()
    hovered(page, 2, 3)
    bars = page.locator(".inside > div").nth(0).locator(".row .token").all_text_contents()
    assert bars == [token for token, _ in view.at(2, 3)]
    assert page.locator(".inside > div").nth(1).locator(".row .token").all_text_contents() == view.rows
    assert page.locator("td.on").count() == 1
    page.mouse.move(2, 2)
    hovered(page, -1, -1)
    assert page.locator("td.on, th.on").count() == 0
    cell(page, 0, 7).hover()  # nobody knows what comes after the last token
    hovered(page, 0, 7)
    assert page.locator(".inside > div").count() == 1


def test_of_two_with_one_share_the_right_one_is_marked(open_page: Callable) -> None:
    view = LensView(torch.zeros(1, 2, V), [0, V - 1], TOKENIZER, top=V)
    page = open_page(view)
    cell(page, 0, 0).hover()
    hovered(page, 0, 0)
    assert page.locator(".row.right .token").all_text_contents() == [view.tokens[1]]


def test_a_cell_that_was_clicked_stays_open(open_page: Callable) -> None:
    page = open_page(make())
    cell(page, 1, 1).click()
    cell(page, 0, 4).hover()
    hovered(page, 0, 4)
    page.mouse.move(2, 2)
    hovered(page, 1, 1)
    page.keyboard.press("Escape")
    hovered(page, -1, -1)


def test_keys_go_from_cell_to_cell(open_page: Callable) -> None:
    """Tab enters the table once; arrows move in it and stop at its edges; the next Tab leaves it."""
    page = open_page(make())
    page.get_by_label("colour by").focus()
    page.keyboard.press("Tab")
    hovered(page, 2, 0)  # the last row: what the model says in the end
    for key, at in (("ArrowUp", (1, 0)), ("ArrowRight", (1, 1)), ("End", (1, 7)), ("ArrowRight", (1, 7))):
        page.keyboard.press(key)
        hovered(page, *at)
    for key, at in (("Home", (1, 0)), ("ArrowDown", (2, 0)), ("ArrowDown", (2, 0)), ("ArrowRight", (2, 1))):
        page.keyboard.press(key)
        hovered(page, *at)
    page.keyboard.press("Tab")
    hovered(page, -1, -1)
    page.keyboard.press("Shift+Tab")
    hovered(page, 2, 1)  # back to where it was


def strengths(page) -> list[float]:
    cells = page.locator("td[data-row]")
    return [float(share) / 100 for share in cells.evaluate_all(
        "all => all.map((td) => td.style.getPropertyValue('--share').replace('%', ''))"
    )]  # fmt: skip


def test_the_colours_are_those_of_python(open_page: Callable) -> None:
    """Page and picture colour a cell alike, by each of the three; and the number in it is the one that colours."""
    view = make()
    page = open_page(view)
    for draws, color in enumerate(("guess", "next", "rank"), start=1):
        if draws > 1:
            page.get_by_label("colour by").select_option(color)
        page.wait_for_selector(f"[data-color='{color}'][data-draws='{draws}']")
        view.color = color
        expected = [view.strength(row, place) for row in range(3) for place in range(len(IDS))]
        assert strengths(page) == pytest.approx(expected, abs=1e-3)
    assert cell(page, 1, 2).locator("small").text_content() == "✓ rank 1"
    assert cell(page, 0, 2).locator("small").text_content() == f"rank {V}"
    assert cell(page, 0, 7).locator("small").text_content() == ""


def test_two_lenses_open_the_same_cell(open_page: Callable) -> None:
    page = open_page(side_by_side(make(0), make(1), link=("hover", "color")), width=1400)
    cell(page, 1, 3).first.hover()
    page.wait_for_function("document.querySelectorAll(\"[data-hover='1,3']\").length === 2")


def test_a_long_text_scrolls_and_its_rows_keep_their_names(open_page: Callable) -> None:
    """256 places and 13 rows: the page is no wider than the window, and hover stays quick."""
    ids = (IDS * 32)[:256]
    view = LensView(torch.randn(13, 256, V, generator=torch.Generator().manual_seed(0)), ids, TOKENIZER)
    page = open_page(view)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cell(page, 5, 200).scroll_into_view_if_needed()
    cell(page, 5, 200).hover()
    hovered(page, 5, 200)
    assert page.locator("tbody th").first.bounding_box()["x"] < 40
    milliseconds = page.evaluate(
        """() => {
            const times = Array.from({ length: 31 }, (_, n) => {
                const td = document.querySelector(`td[data-row='5'][data-place='${150 + n}']`);
                const start = performance.now();
                td.dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
                document.body.getBoundingClientRect();
                return performance.now() - start;
            });
            return Math.min(...times);  // a busy machine makes some of them wait
        }"""
    )
    hovered(page, 5, 180)
    assert milliseconds < 20
