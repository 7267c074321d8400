"""The site, made for tests: a small one of two notebooks that show everything once, and the whole one."""

import base64
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from filelock import FileLock
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "notebooks" / "web" / "build.py"
LIVE = "application/vnd.jupyter.widget-view+json"
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG
VIEW = """import numpy as np
from gptlib.viz import AttentionView
print("before the view")
AttentionView(np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None], ["the", "cat", "</b>sat"], hover=1)"""
FIRST = [
    "# 00 The first: how it begins\n\nA word that no other page has: xylophone.",
    "## 0.1 A formula, and (more)\n\nInline $x_i = \\frac{1}{2}$, and\n\n$$y = \\sum_j \\Big(x_j\\Big)$$",
    "See [the other](01_second.ipynb#1.2-A-wide-table), [here](#0.1-A-formula,-and-(more)),"
    " [the code](../data/code.py), [a folder](../data), [a later lesson](02_third.ipynb) and [all](../README.md).",
    "![A dot](images/dot.png)",
]
SECOND = [
    "# 01 The second",
    "## 1.2 A wide table\n\n"
    + "| a long word " * 12
    + "|\n"
    + "| --- " * 12
    + "|\n"
    + "| unbreakableasitcanbe " * 12
    + "|",
]


def builder() -> ModuleType:
    """notebooks/web/build.py as a module."""
    spec = importlib.util.spec_from_file_location("site_builder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(source: str, *outputs: Any) -> nbformat.NotebookNode:
    return new_code_cell(source, execution_count=1, outputs=list(outputs))


def shown(**data: Any) -> nbformat.NotebookNode:
    return new_output("display_data", {name.replace("_", "/", 1): value for name, value in data.items()})


def widget(text: str, **further: str) -> nbformat.NotebookNode:
    live = {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}
    return new_output("display_data", {LIVE: live, "text/plain": text} | further)


def tree(root: Path) -> list[Path]:
    """A small project in an empty folder; its notebooks come back."""
    for name, text in {
        "README.md": "# A small series\n\n[Begin](notebooks/00_first.ipynb#0.1-A-formula,-and-(more)). [How](HOW.md)\n",
        "HOW.md": "# How to go on\n\n## A part\n\n# Another title\n\n## Its part\n\n```\n# no title\n```\n",
        "data/README.md": "# The data card\n\nBack to the [front page](../README.md).\n",
        "data/code.py": "print('xylophone')\n",
        "notebooks/exercises/README.md": "# For teachers\n\nFrom [the second](../01_second.ipynb).\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    (root / "notebooks" / "images").mkdir()
    (root / "notebooks" / "images" / "dot.png").write_bytes(base64.b64decode(DOT))
    out = new_output("stream", name="stdout", text="before the view\n")
    first = [*map(new_markdown_cell, FIRST), ran(VIEW, out, widget("AttentionView(...)", **{"image/png": DOT}))]
    first.append(ran("raise SystemExit('what stands behind the last view is not run')", shown(text_plain="stored")))
    wide = new_output("stream", name="stdout", text="wide " * 60 + "\n")
    second = [*map(new_markdown_cell, SECOND), ran("print('wide ' * 60)", wide)]
    second.append(ran("controls()", widget("VBox(children=(Text(value='x'),))")))
    second.append(ran("predict('1.1')", widget("Which one?\n  a  this\n  b  that")))
    second.append(ran("ax.set(title='Losses', xlabel='update', ylabel='loss')\nplt.show()", shown(image_png=DOT)))
    second.append(ran("page", shown(text_html="<b class='kept'>stays</b>", text_plain="<page>")))
    for name, cells in {"00_first": first, "01_second": second}.items():
        notebook = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")
    (root / "notebooks" / "02_third.ipynb").write_text("{}", encoding="utf-8", newline="\n")
    return [root / "notebooks" / "00_first.ipynb", root / "notebooks" / "01_second.ipynb"]


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once for all workers that want it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            make(folder)
    return folder


def small(factory: pytest.TempPathFactory) -> Path:
    """The site of the small project, made in this process."""

    def make(folder: Path) -> None:
        place, made = factory.mktemp("small"), builder()
        notebooks, made.ROOT = tree(place / "project"), place / "project"
        (place / "work").mkdir()
        made.build(notebooks, place / "work").rename(folder)

    return once(factory, "small_site", make)


def whole(factory: pytest.TempPathFactory) -> Path:
    """The site of this project, made by its command."""

    def make(folder: Path) -> None:
        command = [sys.executable, str(SCRIPT), "--out", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return once(factory, "whole_site", make)
