"""What is done: a small file beside the notebooks that git leaves alone."""

import json
import os
from html import escape
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / ".progress.json"
TITLES = ("tokenizer", "data", "language models", "backprop", "attention", "blocks", "model", "training", "sampling")
TITLES += ("attention maps", "pretrained", "encoder and decoder")
FACTS = {"right": bool, "hints": int, "answer": bool}
seen: dict[str, dict[str, Any]] = {}  # what could not be written, for as long as Python runs


def path() -> Path:
    """Where it is kept; the variable GPTLIB_PROGRESS names another file."""
    return Path(os.environ.get("GPTLIB_PROGRESS") or FILE)


def read() -> dict[str, dict[str, Any]]:
    """What is known of each exercise: "right", "hints", "answer". Lines that make no sense are passed over and kept."""
    known: dict[str, dict[str, Any]] = {}
    try:
        lines = path().read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:  # no file yet, or none that may be read
        lines = []
    for line in [*lines, *(json.dumps({number: facts}) for number, facts in seen.items())]:
        try:
            for number, facts in json.loads(line).items():
                sound = {fact: value for fact, value in facts.items() if type(value) is FACTS.get(fact)}
                known[number] = known.get(number, {}) | sound
        except (ValueError, AttributeError, RecursionError):
            continue
    return known


def note(number: str, **facts: Any) -> dict[str, Any]:
    """Add facts about an exercise, and give all that is known of it. Where nothing can be written it is remembered.

    A line at the end of the file: what another notebook writes at the same time stays, and so does what is damaged.
    """
    known = read().get(number, {})
    if known | facts != known:
        seen[number] = seen.get(number, {}) | facts
        try:
            path().parent.mkdir(parents=True, exist_ok=True)
            with path().open("a", encoding="utf-8", newline="\n") as file:
                file.write("".join(f"\n{json.dumps({number: facts})}" for number, facts in seen.items()))
            seen.clear()
        except OSError as error:
            print(f"{number}  is remembered until Python ends, for it cannot be written down: {error}")
    return known | facts


class Progress:
    """A bar per notebook: as text where it is printed, as a table in a notebook."""

    def __init__(self, known: dict[str, dict[str, Any]], exercises: dict[str, list[str]]) -> None:
        self.rows = []
        for notebook, numbers in exercises.items():
            entries = [known.get(number, {}) for number in numbers]
            done = sum(bool(entry.get("right")) for entry in entries)
            hints = sum(entry.get("hints", 0) for entry in entries)
            answers = sum(bool(entry.get("answer")) for entry in entries)
            left = [n for n, entry in zip(numbers, entries, strict=True) if not entry.get("right")]
            self.rows.append((notebook, done, len(numbers), hints, answers, left[0] if left else ""))

    def __repr__(self) -> str:
        lines = []
        for notebook, done, total, hints, answers, following in self.rows:
            bar = "█" * done + "░" * (total - done)
            counts = (("hint", hints), ("answer", answers))
            help_taken = "".join(f", {count} {name}{'s' * (count > 1)}" for name, count in counts if count)
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
