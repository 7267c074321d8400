"""A widget in a page and the Python behind it, without JupyterLab: what the page sets, Python hears, and answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>live</title>
<style>html { color-scheme: light dark; }</style></head><body><main><h1>live</h1></main>
<script type="module">
const traits = JSON.parse(await hello());
const style = document.head.appendChild(document.createElement("style"));
style.textContent = traits._css;
const heard = new Map();
const of = (event) => heard.get(event) ?? heard.set(event, new Set()).get(event);
const waiting = {};
function take(values) {  // all at once, then all are told, as in a notebook
  const changed = Object.keys(values).filter((name) => JSON.stringify(traits[name]) !== JSON.stringify(values[name]));
  Object.assign(traits, values);
  for (const name of changed) for (const callback of [...of(`change:${name}`)]) callback();
}
window.take = take;
window.unheard = 0;  // messages that Python has not answered yet
async function answered(message) {
  window.unheard++;
  try {
    take(JSON.parse(await toPython(JSON.stringify(message))));
  } finally {
    window.unheard--;
  }
}
const model = {
  get: (name) => traits[name],
  set(name, value) { waiting[name] = value; take({ [name]: value }); },
  on: (event, callback) => of(event).add(callback),
  off: (event, callback) => of(event).delete(callback),
  save_changes() {
    const state = { ...waiting };
    for (const name of Object.keys(waiting)) delete waiting[name];
    if (Object.keys(state).length) answered({ state });
  },
  send: (content) => answered({ content }),
};
window.listeners = () => [...heard.values()].reduce((sum, set) => sum + set.size, 0);
const url = URL.createObjectURL(new Blob([traits._esm], { type: "text/javascript" }));
const script = await import(url);
window.end = await script.default.render({ model, el: document.querySelector("main") });
</script></body></html>"""


class Live:
    """A page of a view that has its Python."""

    def __init__(self, browser: Any, view: Any, folder: Path, **options: Any) -> None:
        self.view, self.wrong = view, []
        self.known: dict[str, str] = {}
        self.page = browser.new_page(viewport={"width": 1000, "height": 900}, **options)
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.expose_function("hello", self._news)
        self.page.expose_function("toPython", self._hear)
        path = folder / "live.html"
        path.write_text(PAGE, encoding="utf-8", newline="\n")
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".gptlib[data-ready]")

    def _news(self) -> str:
        """What the page does not know yet."""
        state = {name: json.dumps(value, default=str) for name, value in self.view.get_state().items()}
        new = {name: text for name, text in state.items() if self.known.get(name) != text}
        self.known |= new
        return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in new.items()) + "}"

    def _hear(self, message: str) -> str:
        said = json.loads(message)
        self.known |= {name: json.dumps(value) for name, value in said.get("state", {}).items()}
        try:
            if "state" in said:
                self.view.set_state(said["state"])
            else:
                self.view._handle_custom_msg(said["content"], [])
        except ValueError as error:
            self.wrong.append(str(error))
        return self._news()

    def tell(self) -> None:
        """Let the page hear what Python changed."""
        self.page.evaluate("(news) => take(JSON.parse(news))", self._news())

    def close(self) -> None:
        """The widget is taken away: nothing of it may be left; and nothing may have gone wrong."""
        heard(self.page)
        self.page.evaluate("end()")
        assert self.page.evaluate("listeners()") == 0
        self.page.close()
        assert not self.wrong


def heard(page: Any) -> None:
    """Until Python has heard all that the page has said, and the page the answers: it may have drawn before that."""
    page.wait_for_function("unheard === 0")


def opener(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """For a fixture: `live(view)` opens a page with its Python, which is closed at the end."""
    opened: list[Live] = []

    def make(view: Any, **options: Any) -> Live:
        opened.append(Live(browser, view, tmp_path, **options))
        return opened[-1]

    yield make
    for page in opened:
        page.close()
