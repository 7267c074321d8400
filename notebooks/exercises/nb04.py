"""The exercises of 04_backprop: slopes by hand, the walk back, a step of learning, broadcasting, and two rules."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from exercises import Exercise, Wrong


class Value:
    """A number that knows its parents, and its slope in each of them: the one of section 4.2."""

    def __init__(self, data: float, parents: tuple["Value", ...] = (), slopes: tuple[float, ...] = (), name: str = ""):
        self.data, self.parents, self.slopes, self.name = data, parents, slopes, name
        self.grad = 0.0

    def __add__(self, other: "Value") -> "Value":
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other: "Value") -> "Value":
        return Value(self.data * other.data, (self, other), (other.data, self.data), "×")

    def tanh(self) -> "Value":
        y = math.tanh(self.data)
        return Value(y, (self,), (1 - y * y,), "tanh")

    def exp(self) -> "Value":
        y = math.exp(self.data)
        return Value(y, (self,), (y,), "exp")

    def log(self) -> "Value":
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")


# ---- 4.1 one neuron


def slopes(x: float, w: float, b: float, t: float) -> tuple[float, float, float]:
    y = math.tanh(w * x + b)
    shared = 2 * (y - t) * (1 - y * y)
    return shared * x, shared, shared * w


def slopes_inputs(rng: random.Random) -> tuple[float, float, float, float]:
    x, w, b = (rng.choice([-1, 1]) * rng.uniform(0.2, 1.3) for _ in range(3))
    return x, w, b, rng.choice([-0.9, 0.5, 0.8])


def shared_by(shared: Callable[[float, float, float], float]) -> Callable[..., tuple[float, float, float]]:
    """The three slopes with another factor in common; it gets y, t and a."""

    def variant(x: float, w: float, b: float, t: float) -> tuple[float, float, float]:
        a = w * x + b
        s = shared(math.tanh(a), t, a)
        return s * x, s, s * w

    return variant


SLOPES = Exercise(
    slopes,
    "all three share 2(y - t)(1 - y²); what is left is the slope of wx + b",
    slopes_inputs,
    text="The slopes of L = (tanh(wx + b) - t)² in w, in b and in x, in this order.",
    wrong=(
        Wrong(
            "the bend is left out: tanh has a slope of its own, between the other two",
            shared_by(lambda y, t, a: 2 * (y - t)),
        ),
        Wrong(
            "all three are half of what they should be: what is the slope of a square?",
            shared_by(lambda y, t, a: (y - t) * (1 - y * y)),
        ),
        Wrong(
            "all three have the wrong sign: if the answer y is above t, does the loss grow or shrink with it?",
            shared_by(lambda y, t, a: 2 * (t - y) * (1 - y * y)),
        ),
        Wrong(
            "the slope of tanh is written with its input, a; the formula wants its result, y",
            shared_by(lambda y, t, a: 2 * (y - t) * (1 - a * a)),
        ),
        Wrong(
            "the slope of tanh falls with the square of y, and the square is missing",
            shared_by(lambda y, t, a: 2 * (y - t) * (1 - y)),
        ),
        Wrong(
            "the numbers are right, in another order: w, b, x is asked for",
            lambda x, w, b, t: (slopes(x, w, b, t)[0], *slopes(x, w, b, t)[:0:-1]),
        ),
        Wrong(
            "the factor 2(y - t) is squared: the slope of a square is not a square",
            shared_by(lambda y, t, a: 2 * (y - t) ** 2 * (1 - y * y)),
        ),
        Wrong(
            "the slopes in w and in x are swapped: nudge w, and wx changes by as much as what?",
            lambda x, w, b, t: slopes(x, w, b, t)[::-1],
        ),
        Wrong(
            "the last step is left out: the same number for all three, the slope in a = wx + b",
            lambda x, w, b, t: (slopes(x, w, b, t)[1],) * 3,
        ),
        Wrong(
            "the slope in b has a factor b: how much does wx + b change when b is nudged?",
            lambda x, w, b, t: (slopes(x, w, b, t)[0], slopes(x, w, b, t)[1] * b, slopes(x, w, b, t)[2]),
        ),
    ),
    hints=(
        "The way from each of the three to the loss passes a = wx + b, then y, then L. Write one slope for each step.",
        "From a on, the way is the same for all: dL/dy times dy/da. Compute this product once.",
        "What remains is the slope of a = wx + b in w, in b and in x: one factor each.",
    ),
    why="The shared part is dL/da. The neuron's inputs differ only in the slope of a: x for w, 1 for b, w for x.",
)


# ---- 4.2 used twice


def scalar_backward(output: Value) -> None:
    """As in section 4.2: parents are listed before children, and the list is walked backwards."""
    listed: dict[Value, None] = {}

    def parents_first(value: Value) -> None:
        if value not in listed:
            for parent in value.parents:
                parents_first(parent)
            listed[value] = None

    parents_first(output)
    output.grad = 1.0
    for value in reversed(listed):
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad


def two_slopes() -> str:
    v, u = Value(3.0), Value(3.0)
    scalar_backward(v + v)
    scalar_backward(u * u)
    return f"{v.grad:g} and {u.grad:g}"


USED_TWICE = Exercise(
    two_slopes,
    "a nudge of v goes both ways to the result, and its effects add up",
    kind="predict",
    text="v is 3. What is the slope of v + v in v, and what that of v · v?",
    choices=("1 and 3", "2 and 3", "2 and 6", "2 and 9"),
    wrong=(
        Wrong("that counts one of the two ways in each; a nudge of v moves both terms, and both factors", "1 and 3"),
        Wrong("the sum has both ways, the product only one: both factors are v, and both move", "2 and 3"),
        Wrong("nine is the value of v · v; by how much does it grow when v goes from 3 to 3.1?", "2 and 9"),
    ),
    hints=(
        "Nudge v by 0.1 and compute both results anew.",
        "3.1 + 3.1 and 3.1 · 3.1: how much larger are they than before, for each 0.1?",
        "In v · v each factor has the other one as its slope, and v is both of them.",
    ),
    why="d(v + v)/dv = 1 + 1, and d(v · v)/dv = v + v.",
)


def backward(output: Value) -> None:
    listed = []

    def parents_first(value):
        if value not in listed:
            for parent in value.parents:
                parents_first(parent)
            listed.append(value)

    parents_first(output)
    output.grad = 1.0
    for value in reversed(listed):
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad


def hasty_backward(output):
    output.grad = 1.0
    waiting = [output]
    while waiting:
        value = waiting.pop()
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad
            waiting.append(parent)


GRAPHS = {
    "r = p * q + p; r * r": lambda p, q: (r := p * q + p) * r,
    "r = p * q; r * r.tanh() + r": lambda p, q: (r := p * q) * r.tanh() + r,
    "r = p + q; r + (r.tanh() * q).exp()": lambda p, q: (r := p + q) + (r.tanh() * q).exp(),
    "r = p.tanh(); (r * q + r).exp() * r": lambda p, q: ((r := p.tanh()) * q + r).exp() * r,
    "r = p * p; s = r + q; s * s * r": lambda p, q: (s := (r := p * p) + q) * s * r,
}


def walk_inputs(rng: random.Random) -> tuple[str, float, float]:
    return rng.choice(list(GRAPHS)), rng.uniform(0.4, 1.2), rng.uniform(-1.2, -0.4)


def use_walk(attempt: Callable[[Value], Any], expression: str, p: float, q: float) -> dict[str, float]:
    """The slopes in p, in q and in the result itself, after the walk over the graph of the expression."""
    one, other = Value(p, name="p"), Value(q, name="q")
    result = GRAPHS[expression](one, other)
    attempt(result)
    return {"slope in p": one.grad, "slope in q": other.grad, "slope in the result": result.grad}


def hand_on(value: Value, add: bool = True) -> None:
    """What a value says to its parents."""
    for parent, slope in zip(value.parents, value.slopes, strict=True):
        parent.grad = slope * value.grad + (parent.grad if add else 0.0)


def in_order(output: Value) -> list[Value]:
    """Each before what it was made of."""
    listed: dict[Value, None] = {}

    def visit(value: Value) -> None:
        if value not in listed:
            for parent in value.parents:
                visit(parent)
            listed[value] = None

    visit(output)
    return list(reversed(listed))


def each_once(next_one: int) -> Callable[[Value], None]:
    """A list of who waits, from which the last (-1) or the first (0) speaks next, and nobody twice."""

    def variant(output: Value) -> None:
        output.grad, waiting, seen = 1.0, [output], set()
        while waiting:
            value = waiting.pop(next_one)
            if value not in seen:
                seen.add(value)
                hand_on(value)
                waiting += value.parents

    return variant


def queue_of_all(output: Value) -> None:
    output.grad, waiting = 1.0, [output]
    for value in waiting:  # the list grows while it is read
        hand_on(value)
        waiting += value.parents


def unless_waiting(output: Value) -> None:
    output.grad, waiting = 1.0, [output]
    while waiting:
        value = waiting.pop()
        hand_on(value)
        for parent in value.parents:
            if parent not in waiting:
                waiting.append(parent)


def first_only(output: Value) -> None:
    output.grad, waiting, seen = 1.0, [output], {output}
    while waiting:
        value = waiting.pop()
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            if parent not in seen:
                parent.grad = slope * value.grad
                seen.add(parent)
                waiting.append(parent)


def wiping(output: Value) -> None:
    output.grad, waiting = 1.0, [output]
    while waiting:
        value = waiting.pop()
        hand_on(value)
        if value.parents:
            value.grad = 0.0
        waiting += value.parents


def at_once(output: Value) -> None:
    output.grad = 1.0

    def walk(value: Value) -> None:
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad
            walk(parent)

    walk(output)


def ordered(begin: float = 1.0, forwards: bool = False, add: bool = True) -> Callable[[Value], None]:
    """The right order, with another slip."""

    def variant(output: Value) -> None:
        output.grad = begin
        for value in reversed(in_order(output)) if forwards else in_order(output):
            hand_on(value, add)

    return variant


WALK = Exercise(
    backward,
    "each value speaks once, and only after it has heard from all that were made of it",
    walk_inputs,
    kind="mend",
    text="A walk without a list: whoever was heard of speaks next. It is right for a chain. When is it wrong? Mend it.",
    given=hasty_backward,
    use=use_walk,
    wrong=(
        Wrong(
            "a value that is used twice is visited twice, and each time hands on all that it has: that counts double",
            hasty_backward,
        ),
        Wrong(
            "the walk goes on at once after each message, so a value met again hands on once more what it had",
            at_once,
        ),
        Wrong(
            "each value speaks once now, but who was heard of last speaks first: some have not heard from all yet",
            each_once(-1),
        ),
        Wrong(
            "each value speaks once now, in the order in which they were heard of: the shorter way arrives too early",
            each_once(0),
        ),
        Wrong(
            "the second message overwrites the first: what arrives on several ways adds up",
            ordered(add=False),
        ),
        Wrong(
            "the list is walked from its beginning: the inputs speak before they have heard anything",
            ordered(forwards=True),
        ),
        Wrong(
            "all slopes are 0: does the loss begin with 1, and does anything wipe out what has arrived?",
            ordered(begin=0.0),
        ),
        Wrong("the values between have lost their slopes: `grad` should still hold them after the walk", wiping),
        Wrong("first come, first served now, and a value that is used twice still hands on twice", queue_of_all),
        Wrong(
            "nobody waits twice at once now; but whoever has spoken is put on the list again by the next message",
            unless_waiting,
        ),
        Wrong(
            "the second message is not listened to: seen once, a value still has to add what comes later", first_only
        ),
    ),
    hints=(
        "Draw the graph of r * r with r = p * q by hand. How often does r speak, and how much does it have each time?",
        "Each value may speak once, and not before all that were made of it have spoken. Which list has that order?",
        "`parents_first(output, {})` of this section lists parents before children. Go through it from its end.",
    ),
    why="In the reversed list every child stands before its parents, so each `grad` is complete when its turn comes.",
)


# ---- 4.3 learning


def learn(numbers: list[Value], loss_of: Any, rate: float, steps: int) -> None:
    for _ in range(steps):
        for number in numbers:
            number.grad = 0.0
        scalar_backward(loss_of())
        for number in numbers:
            number.data -= rate * number.grad


def learn_inputs(rng: random.Random) -> tuple[float, float, float, float, int]:
    """Weight and bias of a neuron, the answer it should learn, the rate and the number of steps."""
    return rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), rng.choice([-0.9, 0.9]), rng.uniform(0.05, 0.2), 4


def use_learn(
    attempt: Callable[..., Any], w: float, b: float, target: float, rate: float, steps: int
) -> dict[str, float]:
    """Where weight and bias of a neuron stand after it has learned from two questions."""
    weight, bias = Value(w, name="w"), Value(b, name="b")

    def loss_of() -> Value:
        errors = [(weight * Value(x) + bias).tanh() + Value(-target) for x in (1.5, -0.5)]
        return errors[0] * errors[0] + errors[1] * errors[1]

    attempt([weight, bias], loss_of, rate, steps)
    return {"w": weight.data, "b": bias.data}


def learning(*order: str, sign: float = -1.0) -> Callable[..., None]:
    """Every step does the named things, in this order."""

    def variant(numbers: list[Value], loss_of: Callable[[], Value], rate: float, steps: int) -> None:
        for _ in range(steps):
            for what in order:
                if what == "walk":
                    scalar_backward(loss_of())
                for number in numbers:
                    if what == "zero":
                        number.grad = 0.0
                    if what == "move":
                        number.data += sign * rate * number.grad

    return variant


def one_graph(numbers: list[Value], loss_of: Callable[[], Value], rate: float, steps: int) -> None:
    loss = loss_of()
    learn(numbers, lambda: loss, rate, steps)


def one_after_the_other(numbers: list[Value], loss_of: Callable[[], Value], rate: float, steps: int) -> None:
    for _ in range(steps):
        for number in numbers:
            learn([number], loss_of, rate, 1)


LEARN = Exercise(
    learn,
    "zero, loss, walk back, move: and all of it anew in each step",
    learn_inputs,
    text="Gradient descent on Values: `steps` times, move every number by `rate` against its slope of the loss.",
    use=use_learn,
    wrong=(
        Wrong(
            "the slopes of all steps so far add up: print one of them for ten steps; where should it begin each time?",
            learning("walk", "move"),
            49,
        ),
        Wrong(
            "no number has moved: is the slope still there when the step is taken, and does the step change `.data`?",
            learning("walk", "zero", "move"),
            49,
        ),
        Wrong(
            "the numbers follow their slopes uphill: the loss grows with every step",
            learning("zero", "walk", "move", sign=1.0),
        ),
        Wrong(
            "the loss is built once: its graph holds the numbers of the beginning; every step needs a new one",
            one_graph,
        ),
        Wrong(
            "only one step was made, whatever `steps` says: which lines belong in the loop?",
            lambda numbers, loss_of, rate, steps: learn(numbers, loss_of, rate, 1),
        ),
        Wrong(
            "each step moves by the whole slope: where has `rate` gone?",
            lambda numbers, loss_of, rate, steps: learn(numbers, loss_of, 1.0, steps),
        ),
        Wrong(
            "the numbers move one after the other, each by a loss of its own: one walk gives the slopes of all",
            one_after_the_other,
        ),
        Wrong(
            "the step comes before the walk, so it uses the slopes of the step before, and the last ones are lost",
            lambda numbers, loss_of, rate, steps: learn(numbers, loss_of, rate, steps - 1),
        ),
    ),
    hints=(
        "Four things in each step. The order matters for two of them: what must be empty before a walk?",
        "`loss_of()` gives a new loss with a new graph; `scalar_backward(loss)` adds to each `grad`.",
        "Set each `number.grad` to zero, walk, and only then change each `number.data`, against its slope.",
    ),
    why="`grad` adds up by design, so it has to be emptied; and a graph remembers old numbers, so it is made anew.",
)


# ---- 4.4 broadcasting


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    for axis, size in enumerate(shape):
        if size == 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def unbroadcast_inputs(rng: random.Random) -> tuple[np.ndarray, tuple[int, ...]]:
    """New dimensions in front, sizes of 1 that became larger, both, or neither."""
    after = [rng.randint(2, 4) for _ in range(rng.choice([2, 3, 3]))]
    before = list(after[rng.choice([0, 0, 1, 2]) :])
    if before and rng.random() < 0.6:
        before[rng.randrange(len(before))] = 1
    return np.random.default_rng(rng.getrandbits(32)).normal(size=after), tuple(before)


def down(
    front: Callable[[np.ndarray, tuple[int, ...]], np.ndarray] | None = None,
    stretched: Callable[[np.ndarray, tuple[int, ...]], np.ndarray] | None = None,
) -> Callable[[np.ndarray, tuple[int, ...]], np.ndarray]:
    """The two parts of unbroadcast, one of them replaced."""

    def in_front(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))

    def ones(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return gradient.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)

    def variant(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return (stretched or ones)((front or in_front)(gradient, shape), shape)

    return variant


def mean_of_copies(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    copies = gradient.size / math.prod(shape)
    return unbroadcast(gradient, shape) / copies


def first_copy(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    gradient = gradient[(0,) * (gradient.ndim - len(shape))]
    return gradient[tuple(slice(0, size) for size in shape)]


def last_axes(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    gradient = gradient.sum(axis=tuple(range(len(shape), gradient.ndim)))
    return gradient.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


UNBROADCAST = Exercise(
    unbroadcast,
    "each copy adds its part, and the shape is the old one",
    unbroadcast_inputs,
    text="The gradient of an array that numpy stretched from `shape`: summed over the copies, in its old shape.",
    wrong=(
        Wrong(
            "dimensions that were 1 are gone: after the sum they should still be there, with size 1",
            down(stretched=lambda g, shape: g.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1))),
        ),
        Wrong(
            "the new dimensions in front are still there: `shape` counts from the end, as numpy does",
            down(front=lambda g, shape: g),
        ),
        Wrong(
            "sizes that were 1 are still stretched: each of these copies has a part to add as well",
            down(stretched=lambda g, shape: g),
        ),
        Wrong("the copies are averaged; a nudge moves all of them, so their parts add up", mean_of_copies),
        Wrong("only the first copy is kept: the others were moved by the same nudge", first_copy),
        Wrong(
            "everything is summed into one number: places that were never copied keep their own",
            lambda gradient, shape: np.full(shape, gradient.sum()),
        ),
        Wrong(
            "the axes at the end were summed away: new dimensions come in front, and `shape` counts from the end",
            last_axes,
        ),
        Wrong("nothing is summed: this is still the stretched shape", lambda gradient, shape: gradient),
    ),
    hints=(
        "Each number of the old array was copied to several places. Which axes of `gradient` run over copies?",
        "The first `gradient.ndim - len(shape)` axes are new. Sum over them, then look at sizes of 1 in `shape`.",
        "`gradient.sum(axis=..., keepdims=True)` leaves a size of 1 where it summed, as the second kind needs.",
    ),
    why="A copied number is a number used several times, and what arrives on several ways adds up.",
)


# ---- 4.4 the rule of a layer


def layer_rule(x: np.ndarray, w: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grad_x = g @ w.T
    grad_w = (x.mT @ g).sum(axis=0)
    grad_b = g.sum(axis=(0, 1))
    return grad_x, grad_w, grad_b


def layer_inputs(rng: random.Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts, a matrix that is sometimes square so that no shape tells what is wrong, and the gradient of the result."""
    B, T, K, M = rng.sample(range(2, 7), 4)
    if rng.random() < 0.75:
        M = K
    draw = np.random.default_rng(rng.getrandbits(32))
    return draw.normal(size=(B, T, K)), draw.normal(size=(K, M)), draw.normal(size=(B, T, M))


Three = tuple[np.ndarray, np.ndarray, np.ndarray]


def rule(
    x: Callable[..., np.ndarray] | None = None,
    w: Callable[..., np.ndarray] | None = None,
    b: Callable[..., np.ndarray] | None = None,
) -> Callable[..., Three]:
    """The three gradients, some of them replaced."""

    def variant(xs: np.ndarray, ws: np.ndarray, g: np.ndarray) -> Three:
        right = layer_rule(xs, ws, g)
        return tuple(other(xs, ws, g) if other else grad for other, grad in zip((x, w, b), right, strict=True))

    return variant


LAYER = Exercise(
    layer_rule,
    "g wᵀ, xᵀ g and g, and the last two summed over all that used the same numbers",
    layer_inputs,
    text="The gradients of x, w and b in y = x @ w + b, from the gradient g of y; x is (B, T, K), w (K, M), b (M).",
    wrong=(
        Wrong(
            "the gradient of x goes through w the wrong way round: g has M numbers for each word, x has K",
            rule(x=lambda x, w, g: g @ w),
        ),
        Wrong(
            "the gradient of w is transposed: it should have the shape of w, K rows",
            rule(w=lambda x, w, g: (g.mT @ x).sum(0)),
        ),
        Wrong(
            "the gradient of w has one matrix per text: there is one w, used by all of them, and messages add up",
            rule(w=lambda x, w, g: x.mT @ g),
        ),
        Wrong(
            "the gradient of b is g itself: b was stretched over all words, and its copies add up",
            rule(b=lambda x, w, g: g),
        ),
        Wrong(
            "the gradient of b is summed over the texts and not over their words: which of them used the same b?",
            rule(b=lambda x, w, g: g.sum(0)),
        ),
        Wrong(
            "neither w nor b is summed: numpy stretched both to fit a whole batch, and their copies add up",
            rule(w=lambda x, w, g: x.mT @ g, b=lambda x, w, g: g),
        ),
        Wrong(
            "the gradients of w and b are averaged over the texts; each text adds its part",
            rule(w=lambda x, w, g: (x.mT @ g).mean(0), b=lambda x, w, g: g.sum(1).mean(0)),
        ),
        Wrong(
            "the gradients of x and w stand in each other's place",
            lambda x, w, g: (layer_rule(x, w, g)[1], layer_rule(x, w, g)[0], layer_rule(x, w, g)[2]),
        ),
    ),
    hints=(
        "For one text it is the rule from above. What happens when w is used by B texts?",
        "Each gradient has the shape of what it belongs to: (B, T, K), (K, M) and (M).",
        "`x.mT @ g` is one matrix per text, (B, K, M). And b was added to every word of every text.",
    ),
    why="The product of one text is the rule of 4.4; what all texts share, w and b, gets the sum of their messages.",
)


# ---- 4.9 softmax backwards


def softmax_rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def softmax_rule_inputs(rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Two rows at least, so that a sum over everything shows; often as square as can be, so that no shape complains."""
    draw = np.random.default_rng(rng.getrandbits(32))
    n = rng.randint(3, 5)
    shape = rng.choice([(n, n, n), (n, n), (n, n), (2, n)])
    exponentials = np.exp(draw.normal(size=shape))
    return exponentials / exponentials.sum(axis=-1, keepdims=True), draw.normal(size=shape)


SOFTMAX_RULE = Exercise(
    softmax_rule,
    "what each is worth above the average of its row, times its probability",
    softmax_rule_inputs,
    text="The gradient of the scores of a softmax, from its probabilities p and their gradient g.",
    wrong=(
        Wrong(
            "only each score's own probability is moved, p(1 - p): all share one sum, so the others move, too",
            lambda p, g: g * p * (1 - p),
        ),
        Wrong(
            "the average is a plain mean; it should be taken with the probabilities",
            lambda p, g: p * (g - g.mean(-1, keepdims=True)),
        ),
        Wrong(
            "the sum runs over all rows together: each row has an average of its own",
            lambda p, g: p * (g - (g * p).sum()),
        ),
        Wrong(
            "the probability in front is missing: an improbable score hardly matters",
            lambda p, g: g - (g * p).sum(-1, keepdims=True),
        ),
        Wrong(
            "the average is taken off after the multiplication, without its p: both terms have p in front",
            lambda p, g: p * g - (g * p).sum(-1, keepdims=True),
        ),
        Wrong(
            "the weighted sum is divided once more: probabilities add up to 1, so it is an average already",
            lambda p, g: p * (g - (g * p).mean(-1, keepdims=True)),
        ),
        Wrong(
            "nothing is taken off: if all g are equal, no score should move, since the shares stay as they are",
            lambda p, g: p * g,
        ),
        Wrong(
            "the sign: a score whose g is above the average is pushed the wrong way",
            lambda p, g: p * ((g * p).sum(-1, keepdims=True) - g),
        ),
        Wrong(
            "the averages have lost their dimension and lie down as a row: see `keepdims`",
            lambda p, g: p * (g - (g * p).sum(-1)),
        ),
        Wrong(
            "the average is taken down the columns: softmax ran along the last dimension",
            lambda p, g: p * (g - (g * p).sum(-2, keepdims=True)),
        ),
    ),
    hints=(
        "Three steps: an average of g in each row, what each g is above it, and a factor for each.",
        "The average of g with the weights p is the sum of `g * p` along the last dimension; keep that dimension.",
        "Take it off g, and multiply by the probability of each.",
    ),
    why="The sum over i of g_i p_i (δ_ij - p_j) has one term with δ, p_j g_j; off it comes p_j times the average.",
)


EXERCISES = {
    "4.1": SLOPES,
    "4.2": USED_TWICE,
    "4.2b": WALK,
    "4.3": LEARN,
    "4.4": UNBROADCAST,
    "4.4b": LAYER,
    "4.9": SOFTMAX_RULE,
}
