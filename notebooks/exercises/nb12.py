"""The exercises of 12_encoder_decoder: who sees what, what is asked for, and how an answer is searched."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 12.2 both directions


def same_reading() -> str:
    """Two texts that differ behind their first token, with and without a causal mask."""
    x = normal(random.Random(12), 2, 4, 3)
    x[1, 0] = x[0, 0]
    same = []
    for hidden in (torch.ones(4, 4, dtype=torch.bool).triu(1), torch.zeros(4, 4, dtype=torch.bool)):
        out = torch.softmax((x @ x.mT).masked_fill(hidden, -math.inf), dim=-1) @ x
        same.append(torch.allclose(out[0, 0], out[1, 0]))
    return {(True, False): "with the causal mask", (False, True): "without a mask"}.get(tuple(same), "in both")


SAME_READING = Exercise(
    same_reading,
    "masked, it has seen nothing but itself",
    kind="predict",
    text="'3/4/1999' and '3.4.1999' are read by one block. In which case is the row of the 3 the same in both?",
    choices=("with the causal mask", "without a mask", "in both", "in neither"),
    wrong=(
        Wrong("without one the first character sees all that follows, a slash or a dot", "without a mask"),
        Wrong("in one of the two cases the 3 may look at its neighbour, and the neighbours differ", "in both"),
        Wrong(
            "the texts differ behind the 3 only; is it allowed to look there in both cases?",
            "in neither",
        ),
    ),
    hints=(
        "Write down for each of the two cases at which places the first character may look.",
        "A causal mask hides what comes later. What comes before the first character?",
        "A row can differ only if something differs that it has looked at.",
    ),
    why="A reader from left to right cannot know what the 3 means when it reads it; later rows have to work it out.",
)


# ---- 12.3 padding


def padding_mask(ids: Tensor, pad_id: int) -> Tensor:
    return (ids != pad_id)[:, None, None, :]


def padding_inputs(rng: random.Random) -> tuple[Tensor, int]:
    """Rows of different lengths; the padding id is not always 0, and now and then a row is full, or empty."""
    pad_id, B, S = rng.randrange(9), rng.choice([2, 4]), rng.randint(5, 9)
    ids = torch.randint(9, (B, S), generator=generator(rng))
    ids[ids == pad_id] = (pad_id + 1) % 9
    for row in ids:
        row[rng.randint(0, S) :] = pad_id
    return ids, pad_id


def use_mask(attempt: Callable[[Tensor, int], Tensor], ids: Tensor, pad_id: int) -> Tensor:
    """The mask as attention uses it, for three heads: (B, 3, S, S)."""
    return torch.as_tensor(attempt(ids, pad_id)).expand(len(ids), 3, ids.size(1), ids.size(1))


def both_sides(ids: Tensor, pad_id: int) -> Tensor:
    real = ids != pad_id
    return real[:, None, :, None] & real[:, None, None, :]


PADDING = Exercise(
    padding_mask,
    "it hides keys, for all heads and all queries alike",
    padding_inputs,
    text="True where a query may look, so that it broadcasts to (B, H, T, S); ids has shape (B, S).",
    use=use_mask,
    wrong=(
        Wrong(
            "it hides queries, and padding is still looked at; which of the last two dimensions holds the keys?",
            lambda ids, pad_id: (ids != pad_id)[:, None, :, None],
        ),
        Wrong(
            "it is true where there is padding: in this series true means that a query may look",
            lambda ids, pad_id: (ids == pad_id)[:, None, None],
        ),
        Wrong(
            "the shape does not fit: each text has its own mask, the same for all heads and queries, so count the axes",
            lambda ids, pad_id: ids != pad_id,
        ),
        Wrong(
            "padding may not look at anything either: such rows have nothing to share, and nobody reads them",
            both_sides,
        ),
        Wrong("the padding id is given, and it is not always 0", lambda ids, pad_id: (ids != 0)[:, None, None]),
        Wrong(
            "the tokens of the first text alone decide; each text of the batch has its own padding",
            lambda ids, pad_id: (ids[:1] != pad_id)[:, None, None],
        ),
        Wrong(
            "the future is hidden too; a source is complete, and its reader may look in both directions",
            lambda ids, pad_id: (
                (ids != pad_id)[:, None, None] & torch.ones(2 * ids.shape[-1:], dtype=torch.bool).tril()
            ),
            25,
        ),
        Wrong(
            "those are numbers to add to the scores; this series has masks of true and false",
            lambda ids, pad_id: torch.zeros(ids.shape).masked_fill(ids == pad_id, -math.inf)[:, None, None],
        ),
    ),
    hints=(
        "Of the four dimensions, texts, heads, queries and keys, on which two does it depend what is hidden?",
        "`ids != pad_id` has shape (B, S): texts and keys. Two dimensions of size 1 are missing between them.",
        "Indexing with `None` puts a dimension of size 1 where it stands.",
    ),
    why="Keys are hidden, whoever asks; size 1 in the places of heads and queries says 'for all alike'.",
)


# ---- 12.4 two texts


def cross(x: Tensor, memory: Tensor, to_q: Tensor, to_k: Tensor, to_v: Tensor, mask: Tensor) -> Tensor:
    q, k, v = x @ to_q, memory @ to_k, memory @ to_v
    scores = (q @ k.mT / math.sqrt(q.size(-1))).masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def broken_cross(x, memory, to_q, to_k, to_v, mask):
    q, k, v = memory @ to_q, x @ to_k, x @ to_v
    scores = (q @ k.mT / math.sqrt(q.size(-1))).masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def cross_inputs(rng: random.Random) -> tuple[Tensor, ...]:
    """An answer and a source, now of one length and now of two; the end of the source is padding."""
    B, C, D = 2, rng.randint(3, 4), rng.choice([4, 9])
    T = rng.randint(3, 5)
    S = rng.choice([T, T, rng.randint(6, 7)])
    mask = torch.ones(B, 1, S, dtype=torch.bool)
    mask[0, :, S - 1 :], mask[1, :, S - rng.randint(0, 2) :] = False, False
    return normal(rng, B, T, C), normal(rng, B, S, C), *normal(rng, 3, C, D), mask


def crossed(
    sides: str = "xmm",
    hide: Callable[[Tensor, Tensor], Tensor] = lambda scores, mask: scores.masked_fill(~mask, -math.inf),
    afterwards: Callable[[Tensor, Tensor], Tensor] = lambda weights, mask: weights,
    dim: int = -1,
) -> Callable[..., Tensor]:
    """Cross attention with queries, keys and values from these sides, x or memory, or with another step replaced."""

    def variant(x: Tensor, memory: Tensor, to_q: Tensor, to_k: Tensor, to_v: Tensor, mask: Tensor) -> Tensor:
        q, k, v = ({"x": x, "m": memory}[side] @ to for side, to in zip(sides, (to_q, to_k, to_v), strict=True))
        weights = torch.softmax(hide(q @ k.mT / math.sqrt(q.size(-1)), mask), dim=dim)
        return afterwards(weights, mask) @ v

    return variant


def a_row_for_each_written_token(attempt: Callable[..., Tensor], x: Tensor, memory: Tensor, *rest: Tensor) -> bool:
    return attempt(x, memory, *rest).shape[:2] == x.shape[:2]


CROSS = Exercise(
    cross,
    "who writes asks, and who was read answers",
    cross_inputs,
    kind="mend",
    text="It should give a row for each token of the answer x, mixed from the source `memory`. Find the slip, mend it.",
    given=broken_cross,
    wrong=(
        Wrong(
            "the source asks and the answer is looked at; with two lengths even the mask no longer fits",
            broken_cross,
        ),
        Wrong(
            "queries and keys are right, and the values come from the answer: its own words are mixed", crossed("xmx")
        ),
        Wrong("the keys come from the answer: a weight then says nothing about the source", crossed("xxm")),
        Wrong(
            "queries and keys are on the wrong side still: the source asks, and the answer is compared", crossed("mxm")
        ),
        Wrong(
            "queries and values are on the wrong side: the source asks, and the answer's words are mixed",
            crossed("mmx"),
        ),
        Wrong("all three come from the source: it reads itself, and the answer asks nothing", crossed("mmm")),
        Wrong("all three come from the answer: the source is never read", crossed("xxx")),
        Wrong(
            "the sides are right now, and padding of the source still has a share: the mask is gone",
            crossed(hide=lambda scores, mask: scores),
        ),
        Wrong(
            "the sides are right now, and hidden scores are 0: exp(0) = 1, padding still votes",
            crossed(hide=lambda scores, mask: scores.masked_fill(~mask, 0.0)),
            mistake=22,
        ),
        Wrong(
            "the sides are right now, and the mask comes after the softmax: print the sums of the rows",
            crossed("xmm", lambda scores, mask: scores, lambda weights, mask: weights.masked_fill(~mask, 0.0)),
            21,
        ),
        Wrong(
            "the sides are right now, and only padding is looked at: the mask is true where one may look",
            crossed(hide=lambda scores, mask: scores.masked_fill(mask, -math.inf)),
        ),
        Wrong(
            "the sides are right now, and the softmax runs over the queries; which sum must be 1?", crossed(dim=-2), 23
        ),
    ),
    properties=(Property("it should have a row for each token of the answer", a_row_for_each_written_token),),
    hints=(
        "Call it with an answer of three tokens and a source of five. How many rows should come out?",
        "The query says what the token that is being written is looking for. Which text is it from?",
        "Keys and values belong together, and both are from the text that is read.",
    ),
    why="The scores are (T, S): a row for each token that is written, a column for each that was read.",
)


# ---- 12.8 teacher forcing


def teacher_forcing(target: list[int], start_id: int, end_id: int) -> tuple[list[int], list[int]]:
    return [start_id, *target], [*target, end_id]


def forcing_inputs(rng: random.Random) -> tuple[list[int], int, int]:
    """Targets with a token twice in a row, and an empty one now and then."""
    target = [rng.randrange(4) for _ in range(rng.randint(0, 6))]
    return target, rng.randint(10, 19), rng.randint(20, 29)


FORCING = Exercise(
    teacher_forcing,
    "one shift, made by the start before and the end behind",
    forcing_inputs,
    text="From a target what the decoder reads and what it is asked for, two lists of the same length.",
    wrong=(
        Wrong(
            "it reads what it is asked for, at the same place: it has to copy, and its loss will be wonderful",
            lambda target, start, end: ([*target, end], [*target, end]),
            mistake=11,
        ),
        Wrong(
            "both begin with the start: what it reads is what it is asked for, at the same place",
            lambda target, start, end: ([start, *target], [start, *target]),
            11,
        ),
        Wrong(
            "the start stands in both and the end in both: it is asked for what it reads",
            lambda target, start, end: ([start, *target, end], [start, *target, end]),
            11,
        ),
        Wrong(
            "shifted twice: at place 0 it is asked for the second token, and the first is never written",
            lambda target, start, end: ([start, *target], [*target[1:], end, end]),
            12,
        ),
        Wrong(
            "shifted twice, and one list is shorter now: the start in front has made the shift already",
            lambda target, start, end: ([start, *target], [*target[1:], end]),
            12,
        ),
        Wrong("both are the target as it is: nothing is shifted", lambda target, start, end: (target, target), 11),
        Wrong(
            "cut as the window of a GPT: an answer has a beginning and an end, and both are lost",
            lambda target, start, end: (target[:-1], target[1:]),
        ),
        Wrong(
            "what is asked for stops before the end, and one list is shorter; how will it know when to stop?",
            lambda target, start, end: ([start, *target], target),
        ),
        Wrong(
            "the last token is never read, and one list is shorter",
            lambda target, start, end: ([start, *target[:-1]], [*target, end]),
        ),
        Wrong(
            "shifted by itself and without the start: when it writes, it will begin with a token it has never read",
            lambda target, start, end: (target, [*target[1:], end]),
        ),
        Wrong(
            "it never learns to stop: where is it asked for the end?",
            lambda target, start, end: ([start, *target[:-1]], target),
        ),
        Wrong(
            "one list is longer than the other: there must be a question for each place that is read",
            lambda target, start, end: ([start, *target, end], [*target, end]),
        ),
        Wrong(
            "the two lists are swapped: reading comes first",
            lambda target, start, end: ([*target, end], [start, *target]),
        ),
        Wrong(
            "start and end are swapped: it begins with the end and is asked for the start",
            lambda target, start, end: ([end, *target], [*target, start]),
        ),
    ),
    hints=(
        "Write the target on two lines, and push the lower one to the left by one place. What is missing where?",
        "The upper line lacks something at its front, the lower one at its end.",
        "Both have one token more than the target. `[a, *list]` and `[*list, a]` make such lists.",
    ),
    why="What is asked for at a place is read one place later, and nowhere before.",
)


# ---- 12.9 smoothing


def smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    kept = targets != -1
    log_p = logits[kept].log_softmax(dim=-1)  # (N, V), only the places that count
    plain = -log_p.gather(1, targets[kept].unsqueeze(1)).mean()
    all_alike = -log_p.mean()
    return (1 - smoothing) * plain + smoothing * all_alike


def smoothing_inputs(rng: random.Random) -> tuple[Tensor, Tensor, float]:
    """Some places, at least one of them padding and one not."""
    N, V = rng.randint(3, 7), rng.randint(3, 6)
    targets = torch.randint(V, (N,), generator=generator(rng))
    targets[rng.sample(range(N), rng.randint(1, N - 1))] = -1
    return 2 * normal(rng, N, V), targets, rng.choice([0.1, 0.2, 0.4])


def smoothed_by(
    right: Callable[[float, int], float], others: Callable[[float, int], float], padding: str = "left out"
) -> Callable[[Tensor, Tensor, float], Tensor]:
    """What is asked of the right token and of each other one; padding is left out, counted or smoothed over."""

    def variant(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        V, kept, log_p = logits.size(-1), targets != -1, logits.log_softmax(-1)
        wanted = torch.full_like(log_p, others(smoothing, V))
        wanted[range(len(targets)), targets] = right(smoothing, V)
        if padding == "left out":
            return -(wanted * log_p).sum(-1)[kept].mean()
        if padding == "divides":
            return -(wanted * log_p).sum(-1)[kept].sum() / len(targets)
        if padding == "smoothed":
            plain = -log_p[range(len(targets)), targets][kept].mean()
            return (1 - smoothing) * plain - smoothing * log_p.mean()
        return -(wanted * log_p).sum(-1).mean()

    return variant


def a_share_and_the_rest(smoothing: float, V: int) -> float:
    return 1 - smoothing + smoothing / V


def a_share(smoothing: float, V: int) -> float:
    return smoothing / V


SMOOTHING = Exercise(
    smoothed_loss,
    "the parts of a target add up to 1, and padding has no part in it",
    smoothing_inputs,
    text="The cross entropy of (N, V) logits with smoothed targets, a mean over places; a target of -1 does not count.",
    wrong=(
        Wrong(
            "what is asked for adds up to less than 1: the right token has its own part of the share as well",
            smoothed_by(lambda smoothing, V: 1 - smoothing, a_share),
        ),
        Wrong(
            "what is asked for adds up to more than 1: the right token should give the share away first",
            smoothed_by(lambda smoothing, V: 1.0, a_share),
        ),
        Wrong(
            "the plain part counts whole and the smoothed part comes on top; it should give the share away first",
            lambda logits, targets, smoothing: (
                smoothed_loss(logits, targets, smoothing) + smoothing * smoothed_loss(logits, targets, 0.0)
            ),
        ),
        Wrong(
            "the smoothed part adds all V tokens up; each of them has a V-th of the share",
            lambda logits, targets, smoothing: (
                (1 - smoothing) * smoothed_loss(logits, targets, 0.0)
                + smoothing * logits.size(-1) * smoothed_loss(logits, targets, 1.0)
            ),
        ),
        Wrong(
            "-1 is no id, and a call that was not told to leave it out raises IndexError",
            lambda logits, targets, smoothing: F.cross_entropy(logits, targets, label_smoothing=smoothing),
        ),
        Wrong(
            "padding was made token 0, and is counted",
            lambda logits, targets, smoothing: F.cross_entropy(logits, targets.clamp(min=0), label_smoothing=smoothing),
        ),
        Wrong(
            "the share went to the others alone, V - 1 of them; here it is spread over the whole vocabulary",
            smoothed_by(lambda smoothing, V: 1 - smoothing, lambda smoothing, V: smoothing / (V - 1)),
        ),
        Wrong(
            "each other token got the whole share; all together should get it",
            smoothed_by(lambda smoothing, V: 1 - smoothing, lambda smoothing, V: smoothing),
        ),
        Wrong(
            "padding is counted: -1 is the last token to an index, and here it means that a place does not count",
            smoothed_by(a_share_and_the_rest, a_share, "counted"),
        ),
        Wrong(
            "the plain part leaves padding out, and the smoothed part counts it",
            smoothed_by(a_share_and_the_rest, a_share, "smoothed"),
        ),
        Wrong(
            "the sum leaves padding out, and the number it is divided by counts it",
            smoothed_by(a_share_and_the_rest, a_share, "divides"),
            mistake=59,
        ),
        Wrong(
            "the two parts are swapped: most of the target is spread over all tokens",
            lambda logits, targets, smoothing: smoothed_loss(logits, targets, 1 - smoothing),
        ),
        Wrong("nothing is smoothed", lambda logits, targets, smoothing: smoothed_loss(logits, targets, 0.0)),
        Wrong(
            "a sum over the places; their mean is asked for",
            lambda logits, targets, smoothing: smoothed_loss(logits, targets, smoothing) * (targets != -1).sum(),
            54,
        ),
    ),
    hints=(
        "Leave out the places with -1 first; then nothing that follows can count them.",
        "The loss has two parts: that of the plain target, and that of a target in which all V tokens are alike.",
        "A target with all tokens alike costs minus the mean of their log-probabilities. Mix the two by the share.",
    ),
    why="Mixing two targets that add up to 1 gives one that does, and cross entropy mixes as its targets do.",
)


# ---- 12.12 a fair score


def score(log_probability: float, length: int, alpha: float) -> float:
    return log_probability / ((5 + length) / 6) ** alpha


def score_inputs(rng: random.Random) -> tuple[float, int, float]:
    return -rng.uniform(0.1, 20.0), rng.randint(1, 40), rng.choice([0.0, 0.2, 0.6, 1.0])


SCORE = Exercise(
    score,
    "divided, so that a longer answer with the same log-probability wins",
    score_inputs,
    text="The score of an answer, the larger the better, from its log-probability, its length and alpha.",
    wrong=(
        Wrong(
            "it was multiplied: a log-probability is negative, so long answers are pushed down once more",
            lambda p, length, alpha: p * ((5 + length) / 6) ** alpha,
        ),
        Wrong(
            "the sign is turned: the likelier answer has the smaller score",
            lambda p, length, alpha: -p / ((5 + length) / 6) ** alpha,
        ),
        Wrong(
            "the penalty was taken away from the log-probability; it divides",
            lambda p, length, alpha: p - ((5 + length) / 6) ** alpha,
        ),
        Wrong(
            "the power is that of the upper number alone; the 6 has it too",
            lambda p, length, alpha: p / ((5 + length) ** alpha / 6),
        ),
        Wrong("divided by a power of the length alone; where is the 5?", lambda p, length, alpha: p / length**alpha),
        Wrong(
            "the 6 is on the wrong side: `a / b / c` divides by both; mind the brackets",
            lambda p, length, alpha: p / (5 + length) ** alpha / 6**alpha,
        ),
        Wrong("that is a mean per token, whatever alpha is", lambda p, length, alpha: p / length),
        Wrong(
            "the 6 is missing: the penalty of a single token should be 1",
            lambda p, length, alpha: p / (5 + length) ** alpha,
        ),
        Wrong(
            "alpha is no factor: with 0 nothing should change, and this divides by nothing",
            lambda p, length, alpha: p / (alpha * (5 + length) / 6),
        ),
        Wrong("alpha is not used: with 0 nothing should change", lambda p, length, alpha: p / ((5 + length) / 6)),
        Wrong(
            "a probability was made of it first; the score is about its logarithm",
            lambda p, length, alpha: math.exp(p) / ((5 + length) / 6) ** alpha,
        ),
    ),
    hints=(
        "What must come out for alpha = 0, and what for a length of 1?",
        "The penalty is 1 for a single token and grows with the length. Log-probabilities are negative.",
        "Divide by the penalty: a number below 0 then moves towards 0, and larger is better.",
    ),
    why="A negative number divided by more than 1 is less negative: length is paid back.",
)


# ---- 12.12b one step of beams


Beam = tuple[float, list[int]]


def next_beams(
    beams: list[tuple[float, list[int]]], log_p: Tensor, width: int, end_id: int
) -> list[tuple[float, list[int]]]:
    found = []
    for (total, ids), row in zip(beams, log_p.tolist(), strict=True):
        if ids and ids[-1] == end_id:
            found.append((total, ids))
        else:
            found += [(total + p, [*ids, i]) for i, p in enumerate(row)]
    return sorted(found, key=lambda beam: beam[0], reverse=True)[:width]


def beams_inputs(rng: random.Random) -> tuple[list[Beam], Tensor, int, int]:
    """One to three beams, of which one has often ended; sometimes all that begins is the empty answer."""
    V, count = rng.randint(4, 6), rng.choice([1, 2, 3, 3])
    end_id = rng.randrange(V)
    log_p = (2 * normal(rng, count, V)).log_softmax(-1)
    if count == 1:
        return [(0.0, [])], log_p, rng.choice([2, 3]), end_id
    length, over, beams = rng.randint(1, 3), rng.randrange(3), []
    for place in range(count):
        ids = [i if i != end_id else (i + 1) % V for i in (rng.randrange(V) for _ in range(length))]
        ended = place == over
        beams.append((-rng.uniform(0.5, 3.0) / (4 if ended else 1), [*ids, end_id] if ended else ids))
    return sorted(beams, key=lambda beam: beam[0], reverse=True), log_p, rng.choice([2, 3]), end_id


def beams_by(
    rank: Callable[[float, float], float] = lambda total, p: total + p,
    ended: str = "kept",
    each: bool = False,
) -> Callable[[list[Beam], Tensor, int, int], list[Beam]]:
    """Another total, another way with what has ended, or the best of each beam by itself."""

    def variant(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
        found = []
        for (total, ids), row in zip(beams, log_p.tolist(), strict=True):
            if ids[-1:] == [end_id] and ended != "grows":
                found += [(total, ids)] if ended == "kept" else []
                continue
            own = sorted([(rank(total, p), [*ids, i]) for i, p in enumerate(row)], key=lambda beam: -beam[0])
            found += own[:1] if each else own
        return sorted(found, key=lambda beam: -beam[0])[:width]

    return variant


def no_cut(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    return next_beams(beams, log_p, 1000, end_id)


def cut_each(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    found = []
    for beam, row in zip(beams, log_p, strict=True):
        found += next_beams([beam], row[None], width, end_id)
    return sorted(found, key=lambda beam: -beam[0])


def without_a_last(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    if not all(ids for _, ids in beams):
        raise IndexError("list index out of range")
    return next_beams(beams, log_p, width, end_id)


def one_list(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    found = []
    for (total, ids), row in zip(beams, log_p.tolist(), strict=True):
        if ids and ids[-1] == end_id:
            found.append((total, ids))
            continue
        for i, p in enumerate(row):
            ids.append(i)
            found.append((total + p, ids))
    return sorted(found, key=lambda beam: -beam[0])[:width]


def divided(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    found = next_beams(beams, log_p, 1000, end_id)
    return sorted(((total / len(ids), ids) for total, ids in found), key=lambda beam: -beam[0])[:width]


def greedy(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    return next_beams(beams, log_p, 1, end_id)


def worst_first(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    return next_beams(beams, log_p, 1000, end_id)[::-1][:width]


def best_last(beams: list[Beam], log_p: Tensor, width: int, end_id: int) -> list[Beam]:
    return next_beams(beams, log_p, width, end_id)[::-1]


BEAMS = Exercise(
    next_beams,
    "all beams are extended by all tokens, what has ended stays as it is, and the best of all go on",
    beams_inputs,
    kind="design",
    text="A step of beam search. What ends with end_id stays as it is, all others go on with each of the V tokens.",
    wrong=(
        Wrong(
            "what has ended grows on: behind the end token there is nothing to write, and its total falls",
            beams_by(ended="grows"),
        ),
        Wrong("what has ended is lost; it may still be the best answer of all", beams_by(ended="lost")),
        Wrong("each beam went on with its best token only; two of the best may begin alike", beams_by(each=True)),
        Wrong("one is left: that is greedy again", greedy),
        Wrong("each beam was cut by itself, and so more than `width` are left", cut_each),
        Wrong("nothing was cut: the number of beams would grow V-fold with each step", no_cut),
        Wrong("the worst were kept; a larger total is better, and all of them are negative", worst_first),
        Wrong("the right ones, with the best of them last", best_last),
        Wrong("the empty beginning has no last token to look at, and raises IndexError", without_a_last),
        Wrong(
            "all candidates of a beam share one list, which grows with each of them; make a new one for each", one_list
        ),
        Wrong("the totals were divided by the length; in a step all that count are sums", divided),
        Wrong(
            "only the last token counts; how likely its beginning was has been forgotten", beams_by(lambda total, p: p)
        ),
        Wrong("log-probabilities were multiplied; logarithms of factors add up", beams_by(lambda total, p: total * p)),
        Wrong(
            "a probability was added to a log-probability; take both as logarithms",
            beams_by(lambda total, p: total + math.exp(p)),
        ),
    ),
    hints=(
        "Make one list of all candidates first, from all beams, and choose at the end.",
        "A candidate of a beam that goes on is (total + p, ids and one token more), for each of the V tokens.",
        "Sort by the total with `reverse=True` and take the first `width`. A finished beam is a candidate as it is.",
    ),
    why="With a width of 1 this is greedy; the change is that candidates of all beams compete with one another.",
)


EXERCISES = {
    "12.2": SAME_READING,
    "12.3": PADDING,
    "12.4": CROSS,
    "12.8": FORCING,
    "12.9": SMOOTHING,
    "12.12": SCORE,
    "12.12b": BEAMS,
}
