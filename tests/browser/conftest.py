"""Debian's Chromium, driven by playwright: pages that may ask nobody but this machine, and must not complain."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:  # noqa: F821
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path: Path) -> Iterator[Callable]:
    """`open_page(view, theme="light")` shows `view.to_html()` from disk; at the end nothing may have gone wrong."""
    wrong: list[str] = []
    pages = []

    def opened(view, theme: str = "light", width: int = 1000, height: int = 800):
        page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": height})
        pages.append(page)
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
        path = view.to_html(tmp_path / f"page{len(pages)}.html")
        page.goto(path.as_uri())
        page.wait_for_selector(".gptlib[data-ready]")
        return page

    yield opened
    for page in pages:
        page.close()
    assert not wrong
