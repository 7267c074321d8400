"""The checks, hints and answers behind the "Your turn" cells: `from exercises import check`, then `check("5.5", f)`.

How to add an exercise, and how to use these checks in a course of your own, stands in README.md beside this file.
Only the standard library is loaded here; what an exercise needs is loaded when it is asked for.
"""

import inspect
import textwrap
from pathlib import Path
from typing import Any

from exercises import _core, _progress
from exercises._core import Exercise, Property, Wrong

__all__ = ["Exercise", "Property", "Wrong", "answer", "check", "hint", "predict", "progress"]


def check(number: str, attempt: Any) -> None:
    """Print what is to be said of an attempt: not attempted yet, right, or the likely mistake and where it shows."""
    try:
        verdict = _core.judge(number, attempt)
    except Exception as error:  # a sentence, whatever was passed
        verdict = _core.Verdict(None, f"cannot be checked here: {_core.named(error)}")
    print(f"{number}  {verdict}")
    if verdict.right:
        _progress.note(str(number), right=True)


def predict(number: str, *attempt: Any) -> None:
    """Ask the question of a prediction: a widget in a notebook, text elsewhere. With an answer, check that."""
    exercise = _core.find(number)
    if attempt or isinstance(exercise, str) or exercise.inputs:
        check(number, attempt[0] if len(attempt) == 1 else attempt or None)
        return
    from exercises._predict import show_question

    show_question(number, exercise, check)


def hint(number: str) -> None:
    """Print the next hint; each says more than the one before, none is the answer."""
    number, exercise = str(number), _core.find(number)
    if isinstance(exercise, str) or not exercise.hints:
        print(f"{number}  {exercise if isinstance(exercise, str) else 'has no hints'}")
        return
    taken = min(max(_progress.read().get(number, {}).get("hints", 0), 0), len(exercise.hints))
    if taken == len(exercise.hints):
        print(f'{number}  those were all {taken} hints; answer("{number}") shows a solution. The last was:')
    else:
        taken = _progress.note(number, hints=taken + 1)["hints"]
    print(f"{number}  hint {taken} of {len(exercise.hints)}: {exercise.hints[taken - 1]}")


def answer(number: str, sure: bool = False) -> None:
    """Show a solution and why it is one, after asking whether to; with `sure=True` at once."""
    exercise = _core.find(number)
    if isinstance(exercise, str):
        print(f"{number}  {exercise}")
        return
    if not sure:
        try:
            sure = input(f"Show the solution of {number}? [y/n] ").strip().lower() in ("y", "yes")
        except Exception:  # nobody can be asked here
            print(f'{number}  answer("{number}", sure=True) shows the solution')
            return
    if not sure:
        print(f'{number}  not shown; hint("{number}") gives a hint')
        return
    print(f"{number}  {solution(exercise)}\n\n{exercise.why or exercise.about}")
    _progress.note(str(number), answer=True)


def solution(exercise: Exercise) -> str:
    """The code of the answer, or for a prediction the value."""
    shown = exercise.solution if exercise.solution is not None else exercise.reference
    if isinstance(shown, str):
        return shown
    if exercise.inputs is None:
        return _core.show(exercise.value())
    try:
        return "one way:\n\n" + textwrap.dedent(inspect.getsource(shown)).rstrip()
    except (OSError, TypeError):  # of a partial, or of what was typed into a terminal
        return "in words:"


def progress() -> _progress.Progress:
    """A bar per notebook: what is right so far, how many hints and answers it took, and what is next."""
    exercises = {}
    for n, title in enumerate(_progress.TITLES, start=1):
        if (Path(__file__).parent / f"nb{n:02}.py").is_file():
            exercises[f"{n:02} {title}"] = list(_core.load(f"{n}.1"))
    return _progress.Progress(_progress.read(), exercises)
