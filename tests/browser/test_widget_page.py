"""What all pages of `to_html` share: texts stay texts, bytes arrive, linked traits move together, themes are heard."""

from collections.abc import Callable

import pytest

pytest.importorskip("anywidget")
import traitlets

from gptlib import _widget
from gptlib._widget import View, side_by_side, static

AWKWARD = "</script><b>bold</b> @page@ <!-- \" ' \\ é 🐙"
SCRIPT = """
function render({ model, el }) {
  const root = el.appendChild(element("section", "gptlib gptlib-dial", "", { "aria-label": "a dial" }));
  const label = root.appendChild(element("p", "label", model.get("label")));
  const up = root.appendChild(element("button", "", "up", { type: "button" }));
  const sum = new Uint32Array(bytesOf(model.get("content")).buffer).reduce((a, b) => a + b, 0);
  const canvas = root.appendChild(element("canvas"));
  sized(canvas, 20, 10);
  root.dataset.sum = sum;
  root.dataset.themes = 0;
  const show = () => { root.dataset.hand = model.get("hand"); };
  const ends = [
    onChange(model, ["hand"], show),
    onTheme(() => { root.dataset.themes++; root.dataset.ink = colorOf(root, "--ink"); }),
  ];
  up.addEventListener("click", () => put(model, { hand: model.get("hand") + 1 }));
  show();
  root.dataset.ready = 1;
  return () => ends.forEach((end) => end());
}
export default { render };
"""


@pytest.fixture
def dial(monkeypatch: pytest.MonkeyPatch) -> type[View]:
    """A small widget that uses all that common.js offers."""
    own = {"dial.js": SCRIPT, "dial.css": ".gptlib-dial p { color: var(--soft); }"}
    monkeypatch.setattr(_widget, "static", lambda name: own.get(name) or static(name))

    class Dial(View):
        _name = "dial"
        hand = traitlets.Int(0).tag(sync=True)
        label = traitlets.Unicode("a label").tag(sync=True)
        content = traitlets.Bytes(b"").tag(sync=True)

        def range_of(self, name: str) -> object:
            return "any" if name == "hand" else None

    return Dial


def test_a_text_stays_a_text(dial: type[View], open_page: Callable) -> None:
    page = open_page(dial(label=AWKWARD))
    assert page.locator("p.label").text_content() == AWKWARD
    assert page.locator("b").count() == 0
    assert page.title() == "Dial()"


def test_bytes_arrive_aligned(dial: type[View], open_page: Callable) -> None:
    content = (3).to_bytes(4, "little") + (70000).to_bytes(4, "little")
    assert open_page(dial(content=content)).locator(".gptlib").get_attribute("data-sum") == "70003"


def test_linked_views_move_together_and_others_stay(dial: type[View], open_page: Callable) -> None:
    page = open_page(side_by_side(dial(), dial(), dial(), link=["hand"]))
    hands = page.locator(".gptlib")
    for click, number in enumerate([0, 1, 2], start=1):
        page.locator("button").nth(number).click()
        assert [hands.nth(at).get_attribute("data-hand") for at in range(3)] == [str(click)] * 3
    page = open_page(side_by_side(dial(), dial(), link=[]))
    page.locator("button").nth(1).click()
    assert [page.locator(".gptlib").nth(at).get_attribute("data-hand") for at in range(2)] == ["0", "1"]


def test_the_theme_of_the_system_and_of_jupyter_are_heard(dial: type[View], open_page: Callable) -> None:
    page = open_page(dial())
    root = page.locator(".gptlib")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(".gptlib[data-themes='1']")
    dark = root.get_attribute("data-ink")
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")  # JupyterLab says: light, whatever the system has
    page.wait_for_selector(".gptlib[data-themes='2']")
    light = root.get_attribute("data-ink")
    assert sum(numbers(dark)) > 550 and sum(numbers(light)) < 250


def numbers(color: str) -> list[float]:
    return [float(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_the_accessibility_check_finds_what_is_wrong(dial: type[View], open_page: Callable, axe) -> None:
    page = open_page(dial())
    axe(page)
    page.evaluate("document.querySelector('p.label').style.color = '#ddd'")
    with pytest.raises(AssertionError, match="color-contrast"):
        axe(page)
