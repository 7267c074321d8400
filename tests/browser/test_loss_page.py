"""The page of LossView: what it draws, what pointer, keys and switches do, and that it follows a cell that runs."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

pytest.importorskip("anywidget")
from gptlib._loss_view import FOLD, LossView

LINES = {"ln V": 7.5, "unigram": 5.3, "bigram": 5.2, "trigram": 5.1, "floor": 0.5}
FONT = 14  # pixels of the picture that a line of its text takes


def two_runs() -> LossView:
    view = LossView(LINES, title="two <b>runs</b>")
    steps = range(0, 500, 50)
    wide = [{"step": s, "train_loss": 7 / (1 + s / 50), "val_loss": 8 / (1 + s / 50)} for s in steps]
    wide[2]["sample"] = "Once <i>upon</i> a time"
    view.add("wide", wide)
    view.add("deep", [{"step": s, "train_loss": 3.0, "val_loss": None if s == 25 else 4.0} for s in (0, 25, 75)])
    return view


def places(page, selector: str) -> list[float]:
    return page.eval_on_selector_all(selector, "all => all.map((el) => Number(el.getAttribute('y')))")


def readout(page) -> list[list[str]]:
    rows = page.locator("tbody tr").all()
    return [row.locator("th, td").all_text_contents() for row in rows]


def test_the_labels_of_levels_do_not_overlap(open_page: Callable) -> None:
    """Four of the five are nearer than a line of text; each stands on its own and in the order of its level."""
    page = open_page(two_runs())
    ys = places(page, ".level-name")
    names = page.locator(".level-name").all_text_contents()
    ordered = sorted(zip(ys, names, strict=True))
    assert [name for _, name in ordered] == ["ln V 7.50", "unigram 5.30", "bigram 5.20", "trigram 5.10", "floor 0.50"]
    assert all(after - before >= FONT for (before, _), (after, _) in pairwise(ordered))
    assert page.locator(".level").count() == 5


def test_labels_stay_in_the_picture(open_page: Callable) -> None:
    """Three levels at its lower edge: their labels go up, not out of it."""
    page = open_page(LossView({"high": 8.0, "a": 0.5, "b": 0.51, "c": 0.52}))
    ys = sorted(places(page, ".level-name"))
    assert all(after - before >= FONT for before, after in pairwise(ys))
    assert ys[-1] <= 292  # where the axis is


def ticks(page, anchor: str) -> list[str]:
    return page.locator(f"text:not([class])[text-anchor={anchor}]").all_text_contents()


def test_the_axes_have_round_numbers(open_page: Callable) -> None:
    """For a tick that is written -0, or 0.30000000000000004; the level of 0.5 is the lowest there is."""
    page = open_page(two_runs())
    assert ticks(page, "middle") == ["0", "100", "200", "300", "400", "updates", "loss, nats per token"]
    assert ticks(page, "end") == ["1", "2", "3", "4", "5", "6", "7", "8"]
    view = LossView()
    view.add("small", [{"step": 3, "val_loss": 0.1}, {"step": 4, "val_loss": 0.7}])
    page = open_page(view)
    assert ticks(page, "middle")[:-2] == ["3", "4"]
    assert ticks(page, "end") == ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]


def test_the_pointer_finds_the_nearest_step(open_page: Callable) -> None:
    page = open_page(two_runs())
    assert readout(page) == [["wide", "450", "0.700", "0.800"], ["deep", "75", "3.000", "4.000"]]
    box = page.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 62 * box["width"] / 760, box["y"] + 50)  # the first point, at the left
    page.wait_for_selector("[data-hover='0']")
    assert readout(page) == [["wide", "0", "7.000", "8.000"], ["deep", "0", "3.000", "4.000"]]
    assert page.locator(".ring").count() == 4
    last = page.locator("circle.dot").nth(9).bounding_box()
    page.mouse.move(last["x"] + 4, box["y"] + 50)
    page.wait_for_selector("[data-hover='450']")
    assert readout(page)[0][1] == "450"
    page.mouse.move(box["x"] + 2, box["y"] - 30)
    page.wait_for_selector("[data-hover='-1']")
    assert page.locator(".ring, .guide").count() == 0


def test_keys_do_what_the_pointer_does(open_page: Callable) -> None:
    page = open_page(two_runs())
    plot = page.get_by_role("slider", name="step", exact=True)
    plot.focus()
    for key, step in (("Home", 0), ("ArrowRight", 25), ("ArrowRight", 50), ("ArrowLeft", 25), ("End", 450)):
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-hover='{step}']")
    page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuetext") == "wide 450 0.700 0.800; deep 75 3.000 4.000"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuetext") == "wide 0 7.000 8.000; deep 25 3.000 "  # no loss, and not 0
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-hover='-1']")


def test_a_run_is_switched_off_and_on(open_page: Callable) -> None:
    page = open_page(two_runs())
    button = page.get_by_role("button", name="wide")
    assert page.locator("path.curve").count() == 4
    button.click()
    page.wait_for_selector("[aria-pressed='false']")
    assert page.locator("path.curve").count() == 2
    assert [row[0] for row in readout(page)] == ["deep"]
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Enter")  # the button is still there and has the focus
    page.wait_for_selector("[aria-pressed='false']", state="detached")
    assert page.locator("path.curve").count() == 4


def xs(page) -> list[float]:
    dots = page.locator("g.run").nth(1).locator("circle.dot")
    return [float(x) for x in dots.evaluate_all("all => all.map((el) => el.getAttribute('cx'))")]


def test_logarithmic_steps(open_page: Callable) -> None:
    """Equal factors of step + 1 are equally far apart, and step 0 is in the picture."""
    view = LossView()
    view.add("run", [{"step": s, "val_loss": 5.0} for s in (0, 9, 99, 999)])
    page = open_page(view)
    page.get_by_label("logarithmic steps").check()
    page.wait_for_selector("svg text:has-text('on a logarithmic scale')")
    gaps = [after - before for before, after in pairwise(xs(page))]
    assert len(gaps) == 3
    assert gaps == pytest.approx([gaps[0]] * 3)


def test_a_part_of_the_curve_fills_the_picture(open_page: Callable) -> None:
    """From a later step on, neither earlier losses nor far levels squeeze the curve, and nothing is smoothed."""
    page = open_page(two_runs())
    page.get_by_role("button", name="deep").click()
    page.wait_for_selector("[aria-pressed='false']")
    slider = page.get_by_label("look from step")
    slider.focus()
    for step in (25, 50, 75, 100):  # of both runs; a drawing may show two changes at once, so none is counted
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"output:text-is('{step}')")
    dots = page.locator("g.run").nth(1).locator("circle.dot")
    ys = dots.evaluate_all("all => all.map((el) => Number(el.getAttribute('cy')))")
    assert len(ys) == 8
    assert max(ys) - min(ys) > 180  # of the 272 that there are
    far = page.locator(".far").text_content()
    assert far == "out of the picture: ln V 7.50 ↑, unigram 5.30 ↑, bigram 5.20 ↑, trigram 5.10 ↑"
    assert page.locator(".level-name").all_text_contents() == ["floor 0.50"]


def test_what_is_no_number_breaks_the_curve_and_nothing_else(open_page: Callable) -> None:
    view = LossView()
    for step, loss in enumerate([4.0, 3.0, math.nan, 2.0, math.inf, 1.0, 1.0]):
        view({"step": step, "train_loss": 5.0, "val_loss": loss})
    page = open_page(view)
    assert page.locator(".broken").count() == 2
    assert page.locator(".warning").text_content() == "run 1: the validation loss is not a number at step 2"
    curve = page.locator("path.curve").nth(1).get_attribute("d")
    assert curve.count("M") == 3  # one piece before, one between, one after
    assert "NaN" not in curve
    page.get_by_role("slider", name="step", exact=True).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert readout(page) == [["run 1", "2", "5.000", "NaN"]]


def test_samples_are_shown_at_their_step_and_as_text(open_page: Callable) -> None:
    page = open_page(two_runs())
    page.get_by_role("slider", name="step", exact=True).focus()
    page.keyboard.press("Home")
    page.wait_for_selector("[data-hover='0']")
    assert page.locator(".sample").is_hidden()  # nothing was written yet
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-hover='150']")
    assert page.locator(".sample").text_content() == "wide, step 100 writesOnce <i>upon</i> a time"
    assert page.locator("i, b b, .title b").count() == 0
    assert page.locator(".title").text_content() == "two <b>runs</b>"


def test_losses_of_any_size(open_page: Callable) -> None:
    """One loss alone, near or far from 0, and those that no axis reaches: no NaN in the picture, and marks."""
    for losses, broken in (([1e18], 0), ([1e18, 1e18 + 128], 0), ([0.0, 1e-300], 0), ([1e308, 2.0, -1e308], 2)):
        view = LossView()
        view.add("run", [{"step": step, "val_loss": loss} for step, loss in enumerate(losses)])
        page = open_page(view)
        drawn = page.locator("svg").inner_html()
        assert "NaN" not in drawn and "Infinity" not in drawn
        assert page.locator(".broken").count() == broken
        assert 0 < len(ticks(page, "end")) < 30
        assert max(map(len, ticks(page, "end"))) <= 8
        assert len(readout(page)[0][3]) <= 10


def test_letters_are_as_large_in_a_narrow_cell(open_page: Callable) -> None:
    """The picture is drawn anew for the width there is: it is not made smaller, and nothing leaves it."""
    page = open_page(two_runs())
    high = lambda: [text.bounding_box()["height"] for text in page.locator("svg text").all()]  # noqa: E731
    wide = min(high())
    for width in (400, 700):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            """(width) => {
                const plot = document.querySelector('.plot');
                return innerWidth === width && plot.firstChild.viewBox.baseVal.width === plot.clientWidth;
            }""",
            arg=width,
        )
        assert min(high()) == pytest.approx(wide, abs=0.5)
        assert wide > 11
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator("svg").bounding_box()
        for text in page.locator("svg text").all():
            place = text.bounding_box()
            assert box["x"] - 1 <= place["x"] and place["x"] + place["width"] <= box["x"] + box["width"] + 1


def test_a_page_without_records_says_so(open_page: Callable) -> None:
    page = open_page(LossView(LINES))
    assert page.locator("svg text", has_text="no records").count() == 1
    assert page.locator(".level").count() == 5


def test_hover_and_redraw_are_quick(open_page: Callable) -> None:
    """A curve of 2,000 points: hover well under a frame's 20 ms, or moving the pointer stutters."""
    view = LossView()
    view.add("long", [{"step": s, "train_loss": 5 / (s + 1), "val_loss": 6 / (s + 1)} for s in range(2000)])
    page = open_page(view)
    page.get_by_role("slider", name="step", exact=True).focus()
    milliseconds = page.evaluate(
        """() => {
            const plot = document.querySelector('.plot');
            const times = Array.from({ length: 31 }, () => {
                const start = performance.now();
                plot.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true }));
                document.body.getBoundingClientRect();
                return performance.now() - start;
            });
            return Math.min(...times);  // a busy machine makes some of them wait
        }"""
    )
    assert page.locator("[data-hover='1969']").count() == 1
    assert milliseconds < 20


CELLS = [
    "import time\nfrom gptlib._loss_view import LossView\nview = LossView({'ln V': 7.5})\nview",
    """def train(steps):
    for step in steps:
        view({"step": step, "train_loss": 5 / (step + 1), "val_loss": 6 / (step + 1)})
        time.sleep(0.02)""",
]


def test_the_curve_grows_while_the_cell_runs_and_a_reload_has_it_all(lab) -> None:
    """In real JupyterLab: points arrive before the cell ends, also in a second picture made meanwhile."""
    notebook = lab.open(lab.write("loss.ipynb", CELLS))
    page, many = notebook.page, FOLD + 30
    try:
        notebook.run_all()
        page.wait_for_selector(".gptlib-loss[data-ready]")
        notebook.start(f"from IPython.display import display\ntrain(range({many}))\ndisplay(view)\ntime.sleep(600)")
        page.wait_for_function("Number(document.querySelector('.gptlib-loss').dataset.points) > 10")
        assert notebook.busy
        page.wait_for_function("document.querySelectorAll('.gptlib-loss[data-ready]').length === 2")
        page.wait_for_function(
            f"[...document.querySelectorAll('.gptlib-loss')].every((el) => el.dataset.points === '{many}')"
        )
        assert notebook.busy  # all of it came while the cell ran
        page.get_by_label("logarithmic steps").first.check()
        page.wait_for_function("document.querySelector('.gptlib-loss svg').textContent.includes('logarithmic')")
        notebook.command("kernelmenu:interrupt")
        notebook.wait_for_kernel()
        notebook.until("view.log_steps", True)
        before = len(notebook.frames)
        notebook.do(f"train(range({many}, {many + 3}))")
        page.wait_for_function(f"document.querySelector('.gptlib-loss').dataset.points === '{many + 3}'")
        assert max(size for sent, size in notebook.frames[before:] if not sent) < 20_000
        notebook.command("docmanager:save")
        page.reload()
        notebook.wait_for_kernel()
        page.wait_for_function(f"document.querySelector('.gptlib-loss[data-ready]')?.dataset.points === '{many + 3}'")
        notebook.check()
    finally:
        notebook.close()
