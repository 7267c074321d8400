"""For the kernels that the site's build starts: each view that a cell shows becomes a page, and a frame around it."""

from html import escape
from pathlib import Path
from typing import Any

from gptlib._files import write_text
from gptlib._widget import Picture

# How high it is, a page tells the one around it (static/site.js), and hears from it which theme to take.
SCRIPT = """<style>body { margin: 0; }</style>
<script>
addEventListener("message", (event) => {
  if (event.source !== parent || typeof event.data?.dark !== "boolean") return;
  document.body.dataset.jpThemeLight = String(!event.data.dark);
  document.documentElement.style.colorScheme = event.data.dark ? "dark" : "light";
});
new ResizeObserver(() => parent.postMessage({ height: document.documentElement.offsetHeight }, "*"))
  .observe(document.documentElement);
</script>
</body>"""

shown: list[tuple[Picture, Path]] = []


def start(folder: str, name: str, address: str) -> None:
    """From here on views are shown as frames; `address` leads from the notebook's page to the folder of theirs."""

    def bundle(view: Picture, **kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        path = Path(folder) / f"{name}_{len(shown) + 1:02d}.html"
        shown.append((view, path))
        save(view, path)
        frame = (
            f'<iframe class="view" src="{address}/{path.name}" title="{escape(repr(view))}" loading="lazy"></iframe>'
        )
        return {"text/plain": repr(view), "text/html": frame}, {}

    Picture._repr_mimebundle_ = bundle


def save(view: Picture, path: Path) -> None:
    before, _, after = view.to_html().rpartition("</body>")
    write_text(path, before + SCRIPT + after)


def finish() -> None:
    """Write those again that went on growing after they were shown."""
    for view, path in shown:
        if hasattr(view, "records"):
            save(view, path)
