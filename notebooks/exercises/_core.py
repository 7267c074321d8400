"""What an exercise is, and how an attempt is judged: right, like a known mistake, or where it first differs."""

import ast
import importlib
import inspect
import linecache
import random
import textwrap
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from exercises._compare import difference, is_array, show, size, sketch
from exercises._watch import TooSlow, limited, quiet, same_dice

UNATTEMPTED = "not attempted yet"
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

    def like(self, other: "Outcome") -> bool:
        if self.error or other.error:
            return type(self.error) is type(other.error)
        return self.changed == other.changed and difference(self.value, other.value) is None


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
    if number in exercises:
        return exercises[number]
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
    if isinstance(attempt, list | tuple) and any(item is ... for item in attempt):
        return Verdict(None, UNATTEMPTED)
    right = exercise.value()
    attempt = chosen(exercise.choices, attempt)
    if difference(right, attempt) is None:
        return Verdict(True, f"right: {exercise.about}")
    for wrong in exercise.wrong:
        if difference(wrong.does, attempt) is None:
            return Verdict(False, f"not yet: {wrong.says}", wrong=wrong)
    if exercise.choices and attempt not in exercise.choices:
        return Verdict(False, f"not yet: choose from {', '.join(map(show, exercise.choices))}")
    if form(attempt) != form(right):
        return Verdict(False, f"not yet: {form(right)} is asked for, and {show(attempt)} is {form(attempt)}")
    return Verdict(False, f"not yet: it is not {show(attempt)}")


def chosen(choices: tuple[Any, ...], attempt: Any) -> Any:
    """The choice that a letter stands for, as `b` for the second, or a number as text; anything else as it is."""
    if attempt not in choices and isinstance(attempt, int | float) and str(attempt) in choices:
        return str(attempt)
    letters = "abcdefgh"[: len(choices)]
    if isinstance(attempt, str) and attempt not in choices and len(attempt) == 1 and attempt.lower() in letters:
        return choices[letters.index(attempt.lower())]
    return attempt


def form(value: Any) -> str:
    """What kind of thing a prediction is, in words."""
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, list | tuple) or is_array(value):
        count = len(value) if not is_array(value) or value.shape else 1
        return f"{count} value{'s' if count != 1 else ''} in brackets"
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
                actual = limited(lambda seed=seed: observe(exercise, attempt, seed), LIMIT)
        except TooSlow:
            return Verdict(
                False, f"not yet: it still ran after {LIMIT} seconds, on small input; does a loop never end?"
            )
        if not trial and unfinished(attempt, actual):
            return Verdict(None, UNATTEMPTED)
        rounds.append((seed, expected, actual))
    failed = [(seed, expected, actual) for seed, expected, actual in rounds if not expected.like(actual)]
    broken = first_broken(exercise, attempt, [seed for seed, *_ in rounds])
    if not failed and not broken:
        return Verdict(True, f"right: {exercise.about} ({len(rounds)} random inputs agree)")
    if not failed:
        return Verdict(False, f"not yet: {broken.says}")
    seed, expected, actual = min(failed, key=lambda one: size(arguments_of(exercise, one[0])))
    details = describe(exercise, attempt, seed, expected, actual)
    wrong = known_mistake(exercise, rounds)
    if wrong:
        return Verdict(False, f"not yet: {wrong.says}", details, wrong)
    if broken and not actual.error:
        return Verdict(False, f"not yet: {broken.says}", details)
    return Verdict(False, f"not yet: {details[0]}", details[1:])


def arguments_of(exercise: Exercise, seed: str) -> tuple[Any, ...]:
    """Made anew for every call rather than copied, so that nobody can change another's."""
    return exercise.inputs(random.Random(seed))


def observe(exercise: Exercise, function: Callable[..., Any], seed: str) -> Outcome:
    """One call of a function on the arguments of this seed."""
    arguments, untouched = arguments_of(exercise, seed), arguments_of(exercise, seed)
    with same_dice(seed):
        try:
            value = exercise.call(function, arguments)
        except (Exception, SystemExit) as error:  # whatever the reader's code raises is a finding about it
            return Outcome(error=error)
    pairs = enumerate(zip(untouched, arguments, strict=True), start=1)
    return Outcome(value, None, tuple(i for i, (before, after) in pairs if difference(before, after, exact=True)))


def known_mistake(exercise: Exercise, rounds: list[tuple[str, Outcome, Outcome]]) -> Wrong | None:
    """The wrong version that did the same in every round; else the one that did in most of those that went wrong."""
    best, most = None, 0.0
    for wrong in exercise.wrong:
        same = [
            (observe(exercise, wrong.does, seed).like(actual), expected.like(actual))
            for seed, expected, actual in rounds
        ]
        if all(like for like, _ in same):
            return wrong
        failing = [like for like, right in same if not right]
        if sum(failing) / len(failing) > most:
            best, most = wrong, sum(failing) / len(failing)
    return best if most >= 2 / 3 else None


def first_broken(exercise: Exercise, attempt: Callable[..., Any], seeds: list[str]) -> Property | None:
    """The first property that does not hold in some round; one that cannot be tried is left out."""
    for rule in exercise.properties:
        for seed in seeds:
            with same_dice(seed), quiet():
                try:
                    holds = limited(
                        lambda rule=rule, seed=seed: rule.holds(attempt, *arguments_of(exercise, seed)), LIMIT
                    )
                except (Exception, TooSlow):
                    break
            if not holds:
                return rule
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
        names = list(inspect.signature(exercise.reference).parameters)
    except (TypeError, ValueError):
        names = []
    names = names if len(names) >= len(arguments) and not exercise.use else [""] * len(arguments)
    shown = (
        f"{name}: {sketch(value)}" if name else sketch(value) for name, value in zip(names, arguments, strict=False)
    )
    return ", ".join(shown)


def describe_error(error: BaseException, attempt: Callable[..., Any]) -> str:
    """One line for an exception, with the last line of the reader's own code that it passed."""
    file = getattr(getattr(inspect.unwrap(attempt), "__code__", None), "co_filename", None)
    if inspect.isclass(attempt):
        file = next((function.__code__.co_filename for function in own_functions(attempt)), None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = ""
    if lines:
        line = linecache.getline(file, lines[-1]).strip()
        where = f"line {lines[-1]}, `{line}`, " if line else f"line {lines[-1]} "
    message = " ".join(str(error).split())
    if len(message) > 200:
        message = f"{message[:197]}..."
    raised = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{where or 'it '}raises {raised}"


def tree_of(attempt: Callable[..., Any]) -> ast.AST | None:
    """The definition of a function or class, or None when its source is not to be had."""
    try:
        if inspect.isclass(attempt):  # Python does not find the source of a class that was written in a notebook
            file = own_functions(attempt)[0].__code__.co_filename
            nodes = ast.walk(ast.parse("".join(linecache.getlines(file))))
            return [node for node in nodes if isinstance(node, ast.ClassDef) and node.name == attempt.__name__][-1]
        return ast.parse(textwrap.dedent(inspect.getsource(attempt))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


def own_functions(attempt: type) -> list[Any]:
    return [value for value in vars(attempt).values() if inspect.isfunction(value)]


def is_gap(node: ast.AST) -> bool:
    """Whether it is `...` or `pass`, alone or as the value of an assignment or return."""
    value = getattr(node, "value", None)
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr | ast.Assign | ast.Return) and isinstance(value, ast.Constant) and value.value is ...
    )


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_stub(attempt: Callable[..., Any]) -> bool:
    """Whether nothing stands in it but `...` or `pass`, and perhaps words about it."""
    if inspect.isclass(attempt) and not own_functions(attempt):
        return True
    body = getattr(tree_of(attempt), "body", None)
    return isinstance(body, list) and all(is_gap(node) or is_text(node) for node in body)


def has_gap(attempt: Callable[..., Any]) -> bool:
    """Whether a line is still to be filled in; yes when the source is not to be had."""
    tree = tree_of(attempt)
    return tree is None or any(is_gap(node) for node in ast.walk(tree))


def unfinished(attempt: Callable[..., Any], outcome: Outcome) -> bool:
    """Whether a call came to nothing by a gap in the function, rather than by a mistake."""
    if isinstance(outcome.error, NotImplementedError):
        return True
    nothing = outcome.value is None or outcome.value is ...
    return has_gap(attempt) and ("ellipsis" in str(outcome.error) if outcome.error else nothing)


def same_code(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions or classes say the same, whatever their names and comments."""
    bodies = [getattr(tree_of(each), "body", None) for each in (one, other)]
    if not all(isinstance(body, list) for body in bodies):
        return one is other
    return len(bodies[0]) == len(bodies[1]) and all(map(same_node, *bodies))


def same_node(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)
