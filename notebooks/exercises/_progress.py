"""What is done: a small file beside the notebooks that git leaves alone."""

import json
import os
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / ".progress.json"
TITLES = ("tokenizer", "data", "language models", "backprop", "attention", "blocks", "model", "training", "sampling")
TITLES += ("attention maps", "pretrained", "encoder and decoder")
seen: dict[str, dict[str, Any]] = {}  # what could not be written, for as long as Python runs


def path() -> Path:
    """Where it is kept; the variable GPTLIB_PROGRESS names another file."""
    return Path(os.environ.get("GPTLIB_PROGRESS") or FILE)


def read() -> dict[str, dict[str, Any]]:
    """What is known of each exercise: "right", "hints", "answer". A file that cannot be read is put aside, not lost."""
    try:
        kept = json.loads(path().read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or not all(isinstance(entry, dict) for entry in kept.values()):
            raise ValueError("no table of exercises")
    except FileNotFoundError:
        kept = {}
    except OSError:
        kept = {}
    except ValueError:
        with suppress(OSError):
            path().replace(path().with_name(path().name + ".unreadable"))
        kept = {}
    return {number: kept.get(number, {}) | seen.get(number, {}) for number in kept | seen}


def note(number: str, **facts: Any) -> dict[str, Any]:
    """Add facts about an exercise, and give all that is known of it. Where nothing can be written it is remembered."""
    known = read()
    entry = known.get(number, {}) | facts
    if entry == known.get(number):
        return entry
    seen[number] = entry
    with suppress(OSError):
        path().parent.mkdir(parents=True, exist_ok=True)
        draft = path().with_name(f"{path().name}.{os.getpid()}")
        draft.write_text(json.dumps(known | seen, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
        draft.replace(path())
        seen.clear()
    return entry


class Progress:
    """A bar per notebook: as text where it is printed, as a table in a notebook."""

    def __init__(self, known: dict[str, dict[str, Any]], exercises: dict[str, list[str]]) -> None:
        self.rows = []
        for notebook, numbers in exercises.items():
            entries = [known.get(number, {}) for number in numbers]
            done = sum(bool(entry.get("right")) for entry in entries)
            hints = sum(int(entry.get("hints", 0)) for entry in entries)
            answers = sum(bool(entry.get("answer")) for entry in entries)
            left = [n for n, entry in zip(numbers, entries, strict=True) if not entry.get("right")]
            self.rows.append((notebook, done, len(numbers), hints, answers, left[0] if left else ""))

    def __repr__(self) -> str:
        lines = []
        for notebook, done, total, hints, answers, following in self.rows:
            bar = "█" * done + "░" * (total - done)
            help_taken = "".join([f", {hints} hints" if hints else "", f", {answers} answers" if answers else ""])
            lines.append(
                f"{notebook:<22} {bar:<8} {done} of {total}{help_taken}{f', next {following}' if following else ''}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "<tr><th>notebook</th><th>done</th><th></th><th>hints</th><th>answers</th><th>next</th></tr>"
        rows = []
        for notebook, done, total, hints, answers, following in self.rows:
            bar = f'<progress value="{done}" max="{total}" aria-label="{done} of {total} exercises"></progress>'
            cells = (escape(notebook), bar, f"{done} of {total}", hints or "", answers or "", following or "all done")
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        return f"<table>{head}{''.join(rows)}</table>"
