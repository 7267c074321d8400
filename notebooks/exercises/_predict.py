"""A question to answer before running: as a small widget in a notebook, as text everywhere else."""

import sys
from textwrap import fill
from typing import Any

from exercises._core import LETTERS, UNATTEMPTED, Exercise


def as_text(number: str, exercise: Exercise) -> str:
    """The question for a terminal, and how to answer it there."""
    letters = [f"  {letter}  {choice}" for letter, choice in zip(LETTERS, exercise.choices, strict=False)]
    how = f'predict("{number}", "?") with a letter for the ?' if letters else f'predict("{number}", your_answer)'
    return "\n".join([fill(exercise.text, 100), *letters, f"answer with {how}"])


def in_notebook() -> bool:
    """Whether what is shown goes to a notebook, so that a widget can be shown."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def show_question(number: str, exercise: Exercise, check: Any) -> None:
    """Print the fixed line, and below it the question; `check(number, answer)` says what comes of an answer."""
    print(f"{number}  {UNATTEMPTED}")
    try:
        box = widget(number, exercise, check) if in_notebook() else None
    except ImportError:  # ipywidgets is not installed
        box = None
    if box is None:
        print(as_text(number, exercise))
        return
    from IPython.display import display

    bundle = box._repr_mimebundle_()
    data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
    display(data | {"text/plain": as_text(number, exercise)}, raw=True)


def widget(number: str, exercise: Exercise, check: Any) -> Any:
    """The question, its answers or a line to type in, a button for the check and one for hints."""
    import contextlib
    import io
    from html import escape

    import ipywidgets as w

    wide = w.Layout(width="auto", max_width="46rem")
    question = w.HTML(f"<b>{number}</b> {escape(exercise.text)}", layout=wide)
    if exercise.choices:
        options = [(str(choice), choice) for choice in exercise.choices]
        field = w.RadioButtons(options=options, index=None, layout=wide)
    else:
        field = w.Text(placeholder="your answer", continuous_update=False, layout=w.Layout(width="14rem"))
    field.add_class("gptlib-answer")
    button = w.Button(description="check", tooltip=f"is {number} right?")
    help_button = w.Button(description="hint", tooltip=f"the next hint of {number}")
    said = w.HTML(layout=wide)

    def say(call: Any) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            call()
        said.value = f'<div role="status" style="white-space: pre-wrap">{escape(out.getvalue().rstrip())}</div>'

    def on_check(_: Any = None) -> None:
        say(lambda: check(number, field.value))

    def on_hint(_: Any) -> None:
        from exercises import hint

        say(lambda: hint(number))

    button.on_click(on_check)
    help_button.on_click(on_hint)
    if not exercise.choices:
        field.observe(lambda change: on_check() if change["new"].strip() else None, names="value")  # Enter, too
    return w.VBox([question, field, w.HBox([button, help_button]), said])
