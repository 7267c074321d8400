"""Debian's Chromium, driven by playwright, and a JupyterLab of its own: nobody but this machine may be asked."""

import ast
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SECONDS = 60  # longer than anything here takes, also on a busy machine: what is waited for that long is not coming
CONTROLS = "button, select, input, textarea, a[href], summary, [tabindex]"


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    if CHROMIUM is None:
        sentence = "there is no Chromium here, so nothing can be tested in it: apt-get install chromium"
        if os.environ.get("GPTLIB_BROWSER") == "required":
            pytest.fail(sentence)
        pytest.skip(sentence)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


# ---- a widget as a page from disk


@pytest.fixture
def open_page(browser, tmp_path: Path) -> Iterator[Callable]:
    """`open_page(view, theme="light")` shows `view.to_html()` from disk; at the end nothing may have gone wrong."""
    wrong: list[str] = []
    pages = []

    def opened(view, theme: str = "light", width: int = 1000, height: int = 800):
        page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": height})
        page.set_default_timeout(1000 * SECONDS)
        pages.append(page)
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
        path = view.to_html(tmp_path / f"page{len(pages)}.html")
        page.goto(path.as_uri())
        every = "JSON.parse(document.getElementById('page').textContent).views.length"  # two that stand side by side
        page.wait_for_function(f"document.querySelectorAll('.gptlib[data-ready]').length === {every}")
        return page

    yield opened
    for page in pages:
        page.close()
    assert not wrong


@pytest.fixture(scope="session")
def axe() -> Callable:
    """`axe(page)` fails with what axe-core finds wrong for people who see little or use no mouse."""
    from axe_playwright_python.sync_playwright import Axe

    def checked(page, context: str | None = None, rules: list[str] | None = None) -> None:
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": rules}
        found = Axe().run(page, context, options)
        assert found.violations_count == 0, found.generate_report()

    return checked


# ---- JupyterLab


class Lab:
    """A running JupyterLab that knows nothing of this user's settings, with the notebooks of one folder."""

    def __init__(self, browser, home: Path) -> None:
        self.browser, self.notebooks, self.runtime = browser, home / "notebooks", home / "JUPYTER_RUNTIME_DIR"
        self.notebooks.mkdir()
        names = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
        names += ["JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR"]
        settings = home / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab"
        quiet = {"checkForUpdates": False, "fetchNews": "false", "doNotDisturbMode": True}
        write_json(settings / "apputils-extension" / "notification.jupyterlab-settings", quiet)
        whole = {"windowingMode": "none"}  # every cell is in the page, not only those in sight
        write_json(settings / "notebook-extension" / "tracker.jupyterlab-settings", whole)
        self.token, self.url = secrets.token_hex(16), ""
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        command += ["--ServerApp.port=0", f"--IdentityProvider.token={self.token}"]  # it takes one that is free
        command += [f"--ServerApp.root_dir={self.notebooks}", "--LabApp.expose_app_in_browser=True"]
        command += ["--LabApp.extension_manager=readonly"]
        self.log = home / "lab.log"
        environment = os.environ | {name: str(home / name) for name in names} | {"OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait(self) -> None:
        """Until the server answers."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                about = json.loads((self.runtime / f"jpserver-{self.process.pid}.json").read_text(encoding="utf-8"))
                self.url = f"http://127.0.0.1:{about['port']}"
                urllib.request.urlopen(f"{self.url}/api/status?token={self.token}", timeout=5).close()
                return
            except (OSError, json.JSONDecodeError):  # not there yet, or half written
                said = self.log.read_text(encoding="utf-8")
                assert self.process.poll() is None, f"JupyterLab ended at once: {said}"
                assert time.monotonic() < end, f"JupyterLab did not answer in {SECONDS} s: {said}"
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def write(self, name: str, cells: list[str]) -> str:
        """A notebook with these cells of code."""
        import nbformat

        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, self.notebooks / name)
        return name

    def open(self, name: str, **options: Any) -> "Notebook":
        return Notebook(self, name, **options)


class Notebook:
    """A notebook as a reader has it before them, and a second line to its kernel.

    `outside` gathers the requests to anyone but the server, all of them refused; `wrong` what the page complained of;
    `frames` the sizes of what went over the web socket of the kernel: (whether the page sent it, bytes).
    """

    def __init__(self, lab: Lab, name: str, theme: str = "light", width: int = 1100, height: int = 1400) -> None:
        from jupyter_client import BlockingKernelClient

        self.outside: list[str] = []
        self.wrong: list[str] = []
        self.frames: list[tuple[bool, int]] = []
        self.context = lab.browser.new_context(color_scheme=theme, viewport={"width": width, "height": height})
        self.page = page = self.context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        ours = re.escape(lab.url.removeprefix("http"))
        self.context.route(re.compile(rf"^(?!http{ours}/|data:|blob:)"), self._refuse)
        page.on("websocket", lambda made: self._listen(made, rf"ws{ours}/"))
        page.on("pageerror", lambda error: self.wrong.append(error.stack or str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        page.goto(f"{lab.url}/doc/tree/{name}?token={lab.token}&reset")
        self.wait_for_kernel()
        kernel = page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
        self.client = BlockingKernelClient()
        self.client.load_connection_file(str(lab.runtime / f"kernel-{kernel}.json"))
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def _refuse(self, route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def _listen(self, made, ours: str) -> None:
        if not re.match(ours, made.url):
            self.outside.append(made.url)
        if "/channels" in made.url:
            made.on("framesent", lambda frame: self.frames.append((True, len(frame))))
            made.on("framereceived", lambda frame: self.frames.append((False, len(frame))))

    def wait_for_kernel(self) -> None:
        """Until the notebook is open and its kernel has nothing to do."""
        self.page.wait_for_function(
            """() => {
                const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
                const kernel = context?.isReady && context.session?.kernel;
                return kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
            }"""
        )

    def command(self, name: str, seconds: float = SECONDS, **arguments: Any) -> None:
        """Run a command of JupyterLab to its end."""
        self.page.evaluate(
            """([name, given]) => {
                window.ended = null;
                jupyterapp.commands.execute(name, given).then(() => { window.ended = 'well'; },
                                                              (error) => { window.ended = String(error); });
            }""",
            [name, arguments],
        )
        self.page.wait_for_function("window.ended !== null", timeout=1000 * seconds)
        assert self.page.evaluate("window.ended") == "well"

    def run_all(self, seconds: float = SECONDS) -> None:
        self.command("notebook:run-all-cells", seconds)
        self.check_cells()

    def theme(self, name: str) -> None:
        """Take a theme, and wait until JupyterLab has put its splash away: it fails to if the next comes too early."""
        self.command("apputils:change-theme", theme=name)
        light = "true" if name == "JupyterLab Light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def start(self, source: str) -> None:
        """A further cell at the end, run as by hand: with Shift and Enter. What it does may go on after this."""
        self.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1e6")
        self.command("notebook:insert-cell-below")
        self.page.evaluate(
            "(text) => jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(text)", source
        )
        self.page.locator(".jp-CodeCell").last.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    @property
    def busy(self) -> bool:
        """Whether a cell is running. What the kernel says of itself tells less: it hears views on the side."""
        return self.page.locator(".jp-CodeCell .jp-InputPrompt", has_text="*").count() > 0

    def cells(self) -> list[dict[str, Any]]:
        return self.page.evaluate(
            """() => Array.from(jupyterapp.shell.currentWidget.content.model.cells, (cell) => cell.toJSON())
                          .filter((cell) => cell.cell_type === 'code')"""
        )

    def wait_for_run(self) -> None:
        """Until every cell has been run, or one has failed; for ways to run that are not a command."""
        self.page.wait_for_function(
            """() => {
                const cells = Array.from(jupyterapp.shell.currentWidget.content.model.cells, (cell) => cell.toJSON());
                const code = cells.filter((cell) => cell.cell_type === 'code');
                return code.every((cell) => cell.execution_count || !cell.source.trim())
                    || code.some((cell) => cell.outputs.some((output) => output.output_type === 'error'));
            }"""
        )
        self.check_cells()

    def check_cells(self) -> None:
        for cell in self.cells():
            errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
            assert not errors, f"{errors[0]['ename']}: {errors[0]['evalue']} in: {cell['source']}"
            assert cell["execution_count"] or not cell["source"].strip(), f"this cell was not run: {cell['source']}"

    def view(self, cell: int) -> "Locator":
        """The root of the view that a cell shows, counted from 0."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".gptlib")

    def expect(self, view: "Locator", **state: Any) -> None:
        """Until the view says of itself that it shows this."""
        from playwright.sync_api import expect

        for name, value in state.items():
            expect(view).to_have_attribute(f"data-{name}", str(value), timeout=1000 * SECONDS)

    def drawn(self, view: "Locator") -> str:
        """What stands on the first canvas of a view; empty if nothing does."""
        return view.locator("canvas").first.evaluate(
            """(canvas) => {
                const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                return pixels.some((value) => value) ? canvas.toDataURL() : '';
            }"""
        )

    def value(self, expression: str) -> Any:
        """What the notebook's kernel says to an expression whose value is a literal."""
        return ast.literal_eval(self._execute("", {"value": expression})["value"]["data"]["text/plain"])

    def do(self, code: str) -> None:
        """Run code in the notebook's kernel, as another cell would."""
        self._execute(code, {})

    def _execute(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        reply = self.client.execute_interactive(
            code,
            silent=True,
            store_history=False,
            user_expressions=expressions,
            output_hook=lambda message: None,
            timeout=SECONDS,
        )["content"]
        failed = [reply, *reply.get("user_expressions", {}).values()]
        assert all(part["status"] == "ok" for part in failed), failed
        return reply["user_expressions"]

    def until(self, expression: str, value: Any) -> None:
        """Until the kernel gives this value: what the page tells it takes a moment to arrive."""
        self.wait(lambda: self.value(expression) == value, f"{expression} does not become {value!r}")

    def wait(self, check: Callable[[], Any], otherwise: str) -> None:
        """Until this holds."""
        end = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < end, f"after {SECONDS} s {otherwise}"
            self.page.wait_for_timeout(20)

    def check(self) -> None:
        """That since the last time nobody outside was asked, and that the page did not complain."""
        outside, wrong = self.outside[:], self.wrong[:]
        self.outside.clear()
        self.wrong.clear()
        assert outside == []
        assert wrong == []

    def close(self) -> None:
        self.client.stop_channels()
        self.context.close()


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8", newline="\n")


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(browser, tmp_path_factory.mktemp("lab"))
    try:
        lab.wait()
        yield lab
    finally:
        lab.stop()
