"""The site in Chromium, opened from disk: views answer, words are found, nothing leaves the machine or the window."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("furo", reason="the site needs its extra: pip install -e '.[dev]'")
import sites

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PLACES = "Array.from(document.querySelectorAll('iframe.view'), (frame) => frame.dataset.ready || '')"


@pytest.fixture(scope="module", params=["small", pytest.param("whole", marks=pytest.mark.long)])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return getattr(sites, request.param)(tmp_path_factory)


@pytest.fixture
def opened(browser) -> Iterator[Callable]:
    """`opened(path)` shows a page of the site from disk; at the end nothing may have gone wrong or been asked for."""
    wrong: list[str] = []
    contexts = []

    def shown(path: Path, query: str = "", size: dict[str, int] = DESK, theme: str = "light"):
        context = browser.new_context(viewport=size, color_scheme=theme)
        contexts.append(context)
        context.route(
            re.compile("^(?!file:|data:|blob:)"), lambda route: (wrong.append(route.request.url), route.abort())
        )
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri() + query)
        return page

    yield shown
    for context in contexts:
        context.close()
    assert not wrong


def lessons(site: Path) -> list[Path]:
    return sorted((site / "notebooks").glob("*.html"))


def lesson(site: Path, number: str) -> Path:
    (path,) = (site / "notebooks").glob(f"{number}_*.html")
    return path


def every_page(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if path.parent.name != "views"]


def ready(page, frame: int = 0):
    """A view of the page, once it is scrolled to, loaded and as high as it needs to be."""
    place = page.locator("iframe.view").nth(frame)
    place.scroll_into_view_if_needed()
    page.wait_for_function(f"document.querySelectorAll('iframe.view')[{frame}].dataset.ready")
    inner = page.frame_locator("iframe.view").nth(frame)
    inner.locator(".gptlib[data-ready]").first.wait_for()
    return inner


def test_a_view_follows_the_pointer(site: Path, opened: Callable) -> None:
    """The first view of 05 if there is one, as in the whole site: another token, another row."""
    page = opened(next((path for path in lessons(site) if path.name.startswith("05")), lessons(site)[0]))
    view = ready(page)
    for token in (0, 2):
        view.locator(".column.from .token").nth(token).hover()
        view.locator(f".gptlib[data-hover='{token}']").wait_for()


def test_views_are_as_high_as_they_need_to_be_and_stay_so(site: Path, opened: Callable) -> None:
    page = opened(next((path for path in lessons(site) if path.name.startswith("05")), lessons(site)[0]))
    view = ready(page)
    inside = "document.documentElement.scrollHeight - innerHeight"
    frame = page.frames[1]
    assert frame.evaluate(inside) <= 0
    height = page.locator("iframe.view").first.bounding_box()["height"]
    page.set_viewport_size(PHONE)
    page.wait_for_function("(height) => document.querySelector('iframe.view').offsetHeight > height", arg=height)
    assert frame.evaluate(inside) <= 0
    assert view.locator(".gptlib").count() >= 1


def test_views_take_the_theme_of_the_page(site: Path, opened: Callable) -> None:
    page = opened(lesson(site, "00"), theme="light")
    root = ready(page).locator(".gptlib").first
    paper = "(root) => getComputedStyle(root).backgroundColor"
    seen = {root.evaluate(paper)}
    for _ in range(3):  # auto, light, dark
        page.locator(".theme-toggle:visible").first.click()
        page.wait_for_timeout(200)
        dark = page.evaluate("document.body.dataset.theme") == "dark"
        color = root.evaluate(paper)
        assert color == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
        seen.add(color)
    assert len(seen) == 2


def test_a_word_is_found_and_its_page_shown(site: Path, opened: Callable) -> None:
    word, number = ("beam", "12") if len(lessons(site)) > 5 else ("xylophone", "00")
    page = opened(site / "index.html")
    page.locator(".sidebar-search").fill(word)
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a")
    assert any(f"/{number}_" in place for place in found.evaluate_all("(links) => links.map((link) => link.href)"))
    page.locator(f"#search-results li a[href*='/{number}_']").first.click()
    page.wait_for_url(re.compile(rf"/notebooks/{number}_"))
    assert word in page.locator("article").inner_text()


def test_formulas_are_drawn(site: Path, opened: Callable) -> None:
    page = opened(lesson(site, "05") if len(lessons(site)) > 5 else lesson(site, "00"))
    sizes = page.locator("math").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().width)")
    assert sizes and min(sizes) > 3
    fraction = page.locator("math mfrac").first.bounding_box()
    assert fraction["height"] > 10


def test_nothing_is_wider_than_a_phone(site: Path, opened: Callable) -> None:
    page = opened(site / "index.html", size=PHONE)
    for path in every_page(site):
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path.name} is {wide} pixels too wide"


def test_all_pictures_and_views_are_loaded(site: Path, opened: Callable) -> None:
    page = opened(site / "index.html")
    for path in every_page(site):
        page.goto(path.as_uri())
        broken = page.locator("img").evaluate_all(
            "(all) => all.filter((one) => !one.naturalWidth).map((one) => one.src)"
        )
        assert not broken
        for number in range(page.locator("iframe.view").count()):
            ready(page, number)
        assert "" not in page.evaluate(PLACES)


def test_next_goes_on_by_click(site: Path, opened: Callable) -> None:
    page = opened(site / "index.html")
    page.locator("a.next-page").click()
    page.wait_for_url(re.compile("/notebooks/00_"))
    page.locator("a.prev-page").click()
    page.wait_for_url(re.compile("/index.html"))


def test_people_who_see_little_or_use_no_mouse_can_read_it(site: Path, browser, axe: Callable) -> None:
    """A page without views, which have tests of their own. axe-core itself asks for style sheets, in vain."""
    path = next(path for path in lessons(site) if "<iframe" not in path.read_text(encoding="utf-8"))
    page = browser.new_page(viewport=DESK)
    try:
        page.goto(path.as_uri())
        axe(page)
    finally:
        page.close()
