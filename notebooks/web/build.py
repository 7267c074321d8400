"""Makes the site: the series as pages that a browser opens from disk. `make site` runs this."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from posixpath import dirname, normpath, relpath

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

WEB = Path(__file__).resolve().parent
ROOT = WEB.parents[1]
FRONT = {"README.md": "index.md"}  # the page that a browser opens first
OTHERS = {"notebooks/exercises/README.md": "For teachers", "data/README.md": "The data card"}
LIVE, PICTURE, HTML, PLAIN = "application/vnd.jupyter.widget-view+json", "image/png", "text/html", "text/plain"
FRAME = '<iframe class="view"'
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#(?:[^()\s]|\([^()\s]*\))*)?\)")
LABEL = re.compile(r"""\b(?:set_)?(?:sup)?(?:title|[xy]label)(?:=|\()\s*r?(["'])((?:(?!\1).)+)\1""")
FENCE_OR_HEADING = re.compile(r"^(?:(```|~~~).*?^\1|(#+) )", re.MULTILINE | re.DOTALL)
NOTE = """```{container} note-of-site
A copy of the notebook, to read. The views answer the pointer and the keys; running a cell, typing into a view and
checking an exercise need the notebook itself: [how to get it](/index.md).
```"""
CONTROLS = "Here stand controls that need a running notebook: `make lab` opens one."


def main() -> None:
    found = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="numbers of the notebooks to take (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="where the site goes")
    given = parser.parse_args()
    if unknown := sorted(set(given.numbers) - set(found)):
        parser.error(f"there is no notebook {unknown[0]}: take some of {', '.join(found)}")
    out = given.out.resolve()
    if out.exists() and not (out / "searchindex.js").is_file():
        parser.error(f"{given.out} is there and is no site: name another folder after --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".site-") as work:
        try:
            made = build([found[number] for number in sorted(set(given.numbers or found))], Path(work))
        except subprocess.CalledProcessError:
            sys.exit("no site was made: mend what Sphinx names above, and try again")
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    print(f"the site is made: open {out / 'index.html'}")


def build(notebooks: Sequence[Path], work: Path) -> Path:
    """Make the site of these notebooks in an empty folder, and say in which of its folders the pages are."""
    source, html, views = work / "source", work / "html", work / "views"
    views.mkdir()
    pages = {path.relative_to(ROOT).as_posix(): path.relative_to(ROOT).as_posix() for path in notebooks}
    pages |= FRONT | {name: name for name in OTHERS}
    todo = list(pages)
    for name in todo:
        gather(name, pages, source)
        todo += pages.keys() - set(todo)  # what it links to and is a page too
    contents(pages, source / "index.md")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda path: dress(path, source / pages[path.relative_to(ROOT).as_posix()], views), notebooks))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", "-b", "html", "-c", str(WEB)]
    subprocess.run([*command, "-d", str(work / "doctrees"), str(source), str(html)], check=True)
    views.rename(html / "views")
    return html


# ---- pages and what they link to


def gather(name: str, pages: dict[str, str], source: Path) -> None:
    """Copy a page, with its links set right, and the files that it links to."""
    path, copy = ROOT / name, source / pages[name]
    copy.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        (text,) = one_title([relink(path.read_text(encoding="utf-8"), name, pages, source)])
        write(copy, text)
        return
    notebook = nbformat.read(path, as_version=4)
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell, text in zip(prose, one_title([cell.source for cell in prose]), strict=True):
        cell.source = relink(text, name, pages, source)
    prose[0].source = re.sub(r"\A(# .*\n)", rf"\1\n{NOTE}\n", prose[0].source + "\n")
    write(copy, nbformat.writes(notebook))


def one_title(texts: list[str]) -> list[str]:
    """The texts of a page, where from a second heading of the first level on every heading is a level lower."""
    seen = 0

    def lower(match: re.Match[str]) -> str:
        nonlocal seen
        seen += match[2] == "#"
        return f"#{match[0]}" if match[2] and seen > 1 else match[0]

    return [FENCE_OR_HEADING.sub(lower, text) for text in texts]


def relink(text: str, name: str, pages: dict[str, str], source: Path) -> str:
    """The text of a page whose links lead to pages, or to copied files; a link to a folder is words only.

    A text that is linked to becomes one of the pages.
    """
    folder = dirname(name)

    def changed(link: re.Match[str]) -> str:
        mark, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        there = normpath(f"{folder}/{target}" if folder else target)
        if ":" in target or not (ROOT / there).exists():
            return link[0]
        if there in pages:
            return f"{mark}[{words}]({relpath(pages[there], folder or '.')}{anchor})"
        if there.endswith(".md"):
            pages[there] = there
            return link[0]
        if (ROOT / there).is_dir() or there.endswith(".ipynb"):  # no page, or one that was not asked for
            return words
        (source / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / there, source / there)
        return link[0]

    return LINK.sub(changed, text)


def contents(pages: Iterable[str], index: Path) -> None:
    """Add to the front page what comes after it, and in which order: the lessons, and then the others."""
    lessons = {name: Path(name).stem.replace("_", " ") for name in pages if name.endswith(".ipynb")}
    others = OTHERS | {name: "" for name in sorted(pages) if name not in {*lessons, *OTHERS, *FRONT}}
    lines = []
    for caption, part in (("The lessons", lessons), ("Beside them", others)):
        lines += ["", "```{toctree}", ":hidden:", ":titlesonly:", f":caption: {caption}", ""]
        for name, title in part.items():
            place = name.rpartition(".")[0]
            lines.append(f"{title} <{place}>" if title else place)
        lines += ["```", ""]
    write(index, index.read_text(encoding="utf-8") + "\n".join(lines))


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


# ---- what cells show


def dress(notebook: Path, copy: Path, views: Path) -> None:
    """Make of what the cells of a copied notebook put out something that a page can show."""
    content = nbformat.read(copy, as_version=4)
    shown = [cell for cell in content.cells if cell.cell_type == "code" and any(map(is_view, cell.outputs))]
    live = run(notebook, content, shown[-1].id, views) if shown else {}
    for cell in content.cells:
        if cell.cell_type != "code":
            continue
        frames = live.get(cell.id, [])
        if len(frames) != sum(map(is_view, cell.outputs)):
            raise ValueError(f"{notebook.name} stores other views than it shows: run it, save it and try again")
        cell.outputs = [frames.pop(0) if is_view(output) else still(output) for output in cell.outputs]
        cell.metadata["mystnb"] = {"image": {"alt": description(cell.source)}}
    write(copy, nbformat.writes(content))


def is_view(output: NotebookNode) -> bool:
    """Whether a stored output is one of gptlib's views: they alone bring a picture along."""
    return {LIVE, PICTURE} <= set(output.get("data", {}))


def still(output: NotebookNode) -> NotebookNode:
    """What stays of an output without a kernel: of controls the text that stands for them."""
    if LIVE in output.get("data", {}):
        text = output.data[PLAIN]
        return new_output("display_data", {PLAIN: CONTROLS if re.match(r"\w+\(", text) else text})
    return output


def run(notebook: Path, content: NotebookNode, last: str, views: Path) -> dict[str, list[NotebookNode]]:
    """Run a notebook in a fresh kernel as far as its last view: the frames that its cells show, by the cells' ids."""
    end = next(number for number, cell in enumerate(content.cells) if cell.id == last)
    begin = (
        f"import sys\nsys.path.insert(0, {str(WEB)!r})\nimport framed\nsys.path.pop(0)\n"
        f"framed.start({str(views)!r}, {notebook.name[:2]!r}, '../views')\ndel sys, framed"
    )
    cells = [new_code_cell(begin), *deepcopy(content.cells[: end + 1]), new_code_cell("import framed\nframed.finish()")]
    ran = NotebookNode(content, cells=cells)
    place = {"metadata": {"path": str(notebook.parent)}}  # where it finds `exercises`
    quiet = {"store_widget_state": False, "extra_arguments": ["--log-level=ERROR"]}
    NotebookClient(ran, timeout=300, resources=place, **quiet).execute()
    code = [cell for cell in cells if cell.cell_type == "code"]
    return {
        cell.id: [output for output in cell.outputs if FRAME in output.get("data", {}).get(HTML, "")] for cell in code
    }


def description(source: str) -> str:
    """What a screen reader says of a cell's figure: its titles and the names of its axes."""
    labels = [label.replace("\\n", " ") for _, label in LABEL.findall(source)]
    return f"Figure: {', '.join(dict.fromkeys(labels))}" if labels else "Figure drawn by the code above"


if __name__ == "__main__":
    os.environ.setdefault("GPTLIB_PROGRESS", os.devnull)  # no exercise is done here
    main()
