"""Write the modules of this package from the notebooks: `python -m gptlib._export [NN ...]`."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

DEFAULT_EXP = re.compile(r"^#\|\s*default_exp\s+(\w+)\s*$", re.MULTILINE)


def export(notebooks: Iterable[Path], lib: Path) -> list[Path]:
    """Export each notebook that names a module into the folder `lib`; give back the files written.

    nbdev's `nb_export` writes the module only. Its command `nbdev-export` would also write an index of
    all names and edit `__init__.py`, which is written by hand here.
    """
    try:
        from nbdev.export import nb_export
    except ModuleNotFoundError as error:
        sentence = "exporting needs nbdev, which is not installed: pip install -c constraints.txt -e '.[dev]'"
        raise ModuleNotFoundError(sentence, name=error.name) from error
    written = []
    for notebook in notebooks:
        module = default_exp(notebook)
        if module is None:
            continue
        nb_export(notebook, lib_path=lib)
        path = lib / f"{module}.py"
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))  # the same file on every system
        written.append(path)
    return written


def default_exp(notebook: Path) -> str | None:
    """The module that the notebook's `#| default_exp` line names, or None."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        found = cell["cell_type"] == "code" and DEFAULT_EXP.search("".join(cell["source"]))
        if found:
            return found[1]
    return None


def choose(folder: Path, numbers: Sequence[str]) -> list[Path]:
    """The notebooks of `folder` with these numbers, all of them if none is given."""
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(
            f"there are no notebooks in {folder}: export from a clone, not from an installed package"
        )
    known = [path.name[:2] for path in notebooks]
    unknown = [number for number in numbers if number.zfill(2) not in known]
    if unknown:
        raise ValueError(f"there is no notebook {unknown[0]}; there are {', '.join(known)}")
    wanted = [number.zfill(2) for number in numbers] or known
    return [path for path in notebooks if path.name[:2] in wanted]


def main(numbers: Sequence[str] | None = None) -> None:
    """Export all notebooks of the source folder, or those whose numbers are given."""
    lib = Path(__file__).resolve().parent
    try:
        for path in export(choose(lib.parent / "notebooks", sys.argv[1:] if numbers is None else numbers), lib):
            print(path.relative_to(lib.parent).as_posix())
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
