"""What an exercise is, and how an attempt is judged: right, like a known mistake, or where it first differs."""

import ast
import importlib
import inspect
import linecache
import random
import re
import textwrap
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from exercises._compare import difference, is_array, show, size, sketch
from exercises._watch import Stopped, TooSlow, limited, quiet, same_world

UNATTEMPTED = "not attempted yet"
LETTERS = "abcdefgh"
ROUNDS = 20  # random inputs per check: enough to meet the odd shapes, fast enough not to be felt
LIMIT = 1.2  # seconds for one call of the reader's function, and about as much for all of them
KINDS = {"write": "write the function", "predict": "predict before you run"}
KINDS |= {"mend": "find the bug", "design": "change the design"}


@dataclass(frozen=True)
class Wrong:
    """A known wrong version: the sentence for whoever wrote it, and what it does, or for a prediction the value."""

    says: str
    does: Any
    mistake: int | None = None  # its number in a list of mistakes, if it has one there


@dataclass(frozen=True)
class Property:
    """What must hold of any right answer, and the sentence for one of which it does not hold.

    `holds` gets the reader's function and the arguments of a round.
    """

    says: str
    holds: Callable[..., bool]


@dataclass(frozen=True)
class Exercise:
    """One exercise as data; see the README beside this file.

    With `inputs` it asks for a function, and `reference` is one; else for a value, and `reference` is the value or a
    function without arguments that computes it. `use(attempt, *arguments)` says what is looked at where that is more
    than `attempt(*arguments)`: the gradients, the mode of a model afterwards, the parameters of what was built.
    """

    reference: Any
    about: str  # why it is right: what stands behind "right:"
    inputs: Callable[[random.Random], tuple[Any, ...]] | None = None
    kind: Literal["write", "predict", "mend", "design"] = "write"
    text: str = ""  # the task in a sentence or two
    wrong: tuple[Wrong, ...] = ()
    properties: tuple[Property, ...] = ()
    hints: tuple[str, ...] = ()  # three, each saying more than the one before
    why: str = ""  # what is said below the solution
    choices: tuple[Any, ...] = ()  # for a prediction: the answers to choose from
    given: Callable[..., Any] | None = None  # the broken function that a search for the bug begins with
    use: Callable[..., Any] | None = None
    solution: Callable[..., Any] | str | None = None  # shown by `answer`, if that is not the reference

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return self.use(function, *arguments) if self.use else function(*arguments)

    def value(self) -> Any:
        """The right prediction."""
        return self.reference() if callable(self.reference) else self.reference


@dataclass(frozen=True)
class Outcome:
    """What one call did: the value or the exception, and which arguments it changed."""

    value: Any = None
    error: BaseException | None = None
    changed: tuple[int, ...] = ()

    def like(self, other: "Outcome", words: bool = False) -> bool:
        """Whether both did the same; with `words`, two exceptions must say the same as well, but for its numbers."""
        if self.error or other.error:
            same = type(self.error) is type(other.error)
            return same and (not words or without_numbers(self.error) == without_numbers(other.error))
        return self.changed == other.changed and difference(self.value, other.value) is None


def without_numbers(error: BaseException) -> str:
    return re.sub(r"\d+", "", named(error))


@dataclass(frozen=True)
class Verdict:
    """`right` is None for what was not attempted, or is no exercise."""

    right: bool | None
    says: str
    details: tuple[str, ...] = ()
    wrong: Wrong | None = field(default=None, compare=False)  # the known wrong version that it behaves like

    def __str__(self) -> str:
        return "\n     ".join((self.says, *self.details))


def load(number: str) -> dict[str, Exercise]:
    """The exercises of the notebook that `number` begins with; empty if there is no such notebook."""
    notebook = str(number).partition(".")[0]
    if not notebook.isdecimal():
        return {}
    name = f"exercises.nb{int(notebook):02}"
    try:
        return importlib.import_module(name).EXERCISES
    except ModuleNotFoundError as error:
        if error.name != name:  # the notebook's own import is missing: that is not an unknown number
            raise
        return {}


def find(number: str) -> Exercise | str:
    """The exercise, or one sentence that says which there are."""
    exercises = load(number)
    if str(number) in exercises:
        return exercises[str(number)]
    return f"is no exercise; there are {', '.join(exercises)}" if exercises else "is no exercise of any notebook"


def judge(number: str, attempt: Any, seed: str = "") -> Verdict:
    """What is to be said of an attempt. Another seed makes other random inputs."""
    exercise = find(number)
    if isinstance(exercise, str):
        return Verdict(None, exercise)
    if attempt is None or attempt is ...:
        return Verdict(None, UNATTEMPTED)
    if exercise.inputs is None:
        return judge_value(exercise, attempt)
    if not callable(attempt):
        return Verdict(False, f"not yet: pass the function itself, not {show(attempt)}")
    if is_stub(attempt) or (exercise.given and same_code(attempt, exercise.given)):
        return Verdict(None, UNATTEMPTED)
    return judge_function(exercise, attempt, [f"{number} {trial} {seed}" for trial in range(ROUNDS)])


def judge_value(exercise: Exercise, attempt: Any) -> Verdict:
    """As `judge`, for a prediction. What it should have been is never told, not even in part."""
    right = exercise.value()
    attempt = meant(attempt, right, exercise.choices)
    items = attempt if isinstance(attempt, list | tuple) else [attempt]
    if any(item is ... for item in items) or (isinstance(attempt, str) and not attempt.strip()):
        return Verdict(None, UNATTEMPTED)
    if difference(right, attempt) is None:
        return Verdict(True, f"right: {exercise.about}")
    for wrong in exercise.wrong:
        if difference(wrong.does, attempt) is None:
            return Verdict(False, f"not yet: {wrong.says}", wrong=wrong)
    if exercise.choices and all(difference(choice, attempt) for choice in exercise.choices):
        letters = ", ".join(LETTERS[: len(exercise.choices)])
        return Verdict(False, f"not yet: choose one of {letters}, or write the answer as it stands there")
    if form(attempt) != form(right):
        return Verdict(False, f"not yet: {form(right)} is asked for, and {show(attempt)} is {form(attempt)}")
    return Verdict(False, f"not yet: it is not {show(attempt)}")


def meant(attempt: Any, right: Any, choices: tuple[Any, ...]) -> Any:
    """The value that an answer stands for, be it typed as text, an array, or the letter of a choice."""
    if is_array(attempt):
        attempt = attempt.tolist()
    if choices:
        said = f"{attempt:.10g}" if isinstance(attempt, float) else str(attempt).strip().strip("\"'")
        names = {str(choice).casefold(): choice for choice in choices} | {str(choice): choice for choice in choices}
        letters = dict(zip(LETTERS, choices, strict=False))
        return names.get(said, names.get(said.casefold(), letters.get(said.casefold(), attempt)))
    if isinstance(attempt, str):
        value = parse(attempt)
        return attempt.strip() if isinstance(right, str) and not isinstance(value, str) else value
    return str(attempt) if isinstance(right, str) and isinstance(attempt, int | float) else attempt


def parse(text: str) -> Any:
    """What was typed: a number, a tuple such as `2, 3`, or the words themselves."""
    text = text.replace("\N{MINUS SIGN}", "-").strip()
    try:
        return ast.literal_eval(text)
    except Exception:  # a page of brackets is a MemoryError
        return text


def form(value: Any) -> str:
    """What kind of thing a prediction is, in words."""
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, list | tuple):
        return "a tuple or list"
    names = {int: "a number", float: "a number", str: "text"}
    return names.get(type(value), f"a {type(value).__name__}")


def judge_function(exercise: Exercise, attempt: Callable[..., Any], seeds: list[str]) -> Verdict:
    """As `judge`, for a function: every round is compared with the reference, the smallest failing one is shown."""
    rounds, begin = [], time.monotonic()
    for trial, seed in enumerate(seeds):
        if trial > 3 and time.monotonic() - begin > LIMIT:
            break
        expected = observe(exercise, exercise.reference, seed)
        try:
            with quiet(trial > 0):  # what the reader prints is seen once, not twenty times
                actual = observe(exercise, attempt, seed, LIMIT)
        except TooSlow:
            return Verdict(
                False, f"not yet: it still ran after {LIMIT} seconds, on small input; does a loop never end?"
            )
        if not trial and unfinished(attempt, actual):
            return Verdict(None, UNATTEMPTED)
        rounds.append((seed, expected, actual))
    failed = [(seed, expected, actual) for seed, expected, actual in rounds if not expected.like(actual)]
    wrong = known_mistake(exercise, rounds) if failed else None
    broken = None if wrong else first_broken(exercise, attempt, [seed for seed, *_ in rounds])
    if not failed and not broken:
        return Verdict(True, f"right: {exercise.about} ({len(rounds)} random inputs agree)")
    if not failed:
        return Verdict(False, f"not yet: {broken.says}")
    seed, expected, actual = min(failed, key=lambda one: size(arguments_of(exercise, one[0])))
    details = describe(exercise, attempt, seed, expected, actual)
    if wrong:
        return Verdict(False, f"not yet: {wrong.says}", details, wrong)
    if broken and same_form(expected.value, actual.value) and difference(expected.value, actual.value):
        return Verdict(False, f"not yet: {broken.says}", details)
    return Verdict(False, f"not yet: {details[0]}", details[1:])


def same_form(one: Any, other: Any) -> bool:
    """Whether a rule can be expected to hold: of another shape, it is the shape that is wrong."""
    return type(one) is type(other) and getattr(one, "shape", None) == getattr(other, "shape", None)


def arguments_of(exercise: Exercise, seed: str) -> tuple[Any, ...]:
    """Made anew for every call rather than copied, so that nobody can change another's."""
    return exercise.inputs(random.Random(seed))


def observe(exercise: Exercise, function: Callable[..., Any], seed: str, seconds: float | None = None) -> Outcome:
    """One call of a function on the arguments of this seed, for so long at most."""
    arguments, untouched = arguments_of(exercise, seed), arguments_of(exercise, seed)
    with same_world(seed):
        try:
            value = limited(lambda: exercise.call(function, arguments), seconds)
        except (TooSlow, Stopped):
            raise
        except BaseException as error:  # whatever the reader's code raises is a finding about it
            return Outcome(error=error)
    pairs = enumerate(zip(untouched, arguments, strict=True), start=1)
    return Outcome(value, None, tuple(i for i, (before, after) in pairs if difference(before, after, exact=True)))


def known_mistake(exercise: Exercise, rounds: list[tuple[str, Outcome, Outcome]]) -> Wrong | None:
    """The wrong version that did the same in every round; else the one that did in most of those that went wrong."""

    def same(wrong: Wrong, seed: str, actual: Outcome) -> bool:
        return observe(exercise, wrong.does, seed).like(actual, words=True)

    failed = [(seed, actual) for seed, expected, actual in rounds if not expected.like(actual)]
    passed = [(seed, actual) for seed, expected, actual in rounds if expected.like(actual)]
    for wrong in exercise.wrong:
        if all(same(wrong, seed, actual) for seed, actual in failed + passed):  # ends at the first that is not
            return wrong
    some = (failed[:9], passed[:9])  # enough to tell; a reader waits
    scores = [[sum(same(wrong, *one) for one in rounds) for rounds in some] for wrong in exercise.wrong]
    best = max(scores, default=[0, 0])  # of two that explain as many failures, the one that is right as often
    return exercise.wrong[scores.index(best)] if best[0] >= len(some[0]) * 2 / 3 else None


def first_broken(exercise: Exercise, attempt: Callable[..., Any], seeds: list[str]) -> Property | None:
    """The first property that does not hold in some round; one that cannot be tried is left out."""
    for rule in exercise.properties:
        try:
            for seed in seeds:
                with same_world(seed), quiet():
                    if not limited(partial(rule.holds, attempt, *arguments_of(exercise, seed)), LIMIT):
                        return rule
        except Stopped:
            raise
        except BaseException:
            continue
    return None


def describe(
    exercise: Exercise, attempt: Callable[..., Any], seed: str, expected: Outcome, actual: Outcome
) -> tuple[str, ...]:
    """What differs first; then the arguments, what came and what should have come, each as shape and dtype or value."""
    if actual.error:
        first = describe_error(actual.error, attempt)
    elif expected.error:
        kind = type(expected.error).__name__
        first = f"it gives {sketch(actual.value)}, should raise {kind}, with a sentence that says why"
    elif actual.value is None and expected.value is not None:
        first = "it gives None; does it end with `return`?"
    else:
        first = difference(expected.value, actual.value)
    if first is None:
        first = f"the answer is right, but argument {places_of(actual)} was changed in place; work on a copy"
        if not actual.changed:
            first = "the answer is right, but an argument should have been changed in place"
    lines = [first, f"given     {given_arguments(exercise, seed)}"]
    if not actual.error and not expected.error and difference(expected.value, actual.value):
        yours, right = sketch(actual.value), sketch(expected.value)
        lines += [f"yours     {yours}", f"expected  {right}"] if yours != right else [f"both      {right}"]
        if actual.changed:
            lines += [f"argument {places_of(actual)} was changed in place; was it read again afterwards?"]
    return tuple(lines)


def places_of(outcome: Outcome) -> str:
    return " and ".join(str(place) for place in outcome.changed)


def given_arguments(exercise: Exercise, seed: str) -> str:
    """The arguments by name, where the reference names them."""
    arguments = arguments_of(exercise, seed)
    try:
        names = list(inspect.signature(exercise.use or exercise.reference).parameters)[1 if exercise.use else 0 :]
    except (TypeError, ValueError):
        names = []
    names = names if len(names) >= len(arguments) else [""] * len(arguments)
    shown = (
        f"{name}: {sketch(value)}" if name else sketch(value) for name, value in zip(names, arguments, strict=False)
    )
    return ", ".join(shown)


def file_of(attempt: Callable[..., Any]) -> str | None:
    """Where the reader's code stands, if it can be told."""
    functions = own_functions(attempt) if inspect.isclass(attempt) else [attempt]
    codes = [getattr(inspect.unwrap(function), "__code__", None) for function in functions]
    return next((code.co_filename for code in codes if code), None)


def describe_error(error: BaseException, attempt: Callable[..., Any]) -> str:
    """One line for an exception, with the last line of the reader's own code that it passed."""
    file = file_of(attempt)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    where = ""
    if lines:
        line = linecache.getline(file, lines[-1]).strip()
        where = f"line {lines[-1]}, `{line}`, " if line else f"line {lines[-1]} "
    return f"{where or 'it '}raises {named(error)}"


def named(error: BaseException) -> str:
    """The kind of an exception and what it says, on one line."""
    try:
        message = " ".join(str(error)[:1000].split())
    except Exception:  # its own text fails
        message = ""
    if len(message) > 200:
        message = f"{message[:197]}..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def tree_of(attempt: Callable[..., Any]) -> ast.AST | None:
    """The definition of a function or class, or None when its source is not to be had."""
    try:
        if inspect.isclass(attempt):  # Python does not find the source of a class that was written in a notebook
            nodes = ast.walk(ast.parse("".join(linecache.getlines(file_of(attempt) or ""))))
            return [node for node in nodes if isinstance(node, ast.ClassDef) and node.name == attempt.__name__][-1]
        return ast.parse(textwrap.dedent(inspect.getsource(attempt))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


def own_functions(attempt: type) -> list[Any]:
    return [value for value in vars(attempt).values() if inspect.isfunction(value)]


def is_gap(node: ast.AST) -> bool:
    """Whether it is `...`, alone or as the value of an assignment or return."""
    value = getattr(node, "value", None)
    return (
        isinstance(node, ast.Expr | ast.Assign | ast.Return) and isinstance(value, ast.Constant) and value.value is ...
    )


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_stub(attempt: Callable[..., Any]) -> bool:
    """Whether nothing stands in it but `...` or `pass`, and perhaps words about it."""
    if inspect.isclass(attempt) and not any(callable(value) for value in vars(attempt).values()):
        return True
    body = getattr(tree_of(attempt), "body", None)
    return isinstance(body, list) and all(is_gap(node) or is_text(node) or isinstance(node, ast.Pass) for node in body)


def has_gap(attempt: Callable[..., Any]) -> bool:
    """Whether a line is still to be filled in; without its source, whether a function has `...` in it or nothing."""
    tree, code = tree_of(attempt), getattr(attempt, "__code__", None)
    if tree is None and code:
        return ... in code.co_consts or code.co_code == (lambda: None).__code__.co_code
    return tree is not None and any(is_gap(node) for node in ast.walk(tree))


def unfinished(attempt: Callable[..., Any], outcome: Outcome) -> bool:
    """Whether a call came to nothing by a gap in the function, rather than by a mistake."""
    if isinstance(outcome.error, NotImplementedError):  # torch raises it as well, of a dtype that it cannot take
        *_, (frame, _) = traceback.walk_tb(outcome.error.__traceback__)
        return frame.f_code.co_filename == file_of(attempt) and "NotImplementedError" in frame.f_code.co_names
    nothing = outcome.value is None or outcome.value is ...
    return has_gap(attempt) and ("ellipsis" in named(outcome.error) if outcome.error else nothing)


def same_code(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions or classes say the same, whatever their names and comments."""
    bodies = [getattr(tree_of(each), "body", None) for each in (one, other)]
    if not all(isinstance(body, list) for body in bodies):
        return one is other
    return len(bodies[0]) == len(bodies[1]) and all(map(same_node, *bodies))


def same_node(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)
