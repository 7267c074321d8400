"""The exercises of 03_language_models: counted tables, softmax, the loss and its slips, its units, and smoothing."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 3.1 the probability of a text


def goes_on_with_bra() -> str:
    """Counted in the word itself: what follows a, times what follows b, times what follows r."""
    pairs = list(pairwise("abracadabra"))
    product = 1.0
    for before, after in pairwise("abra"):
        product *= pairs.count((before, after)) / sum(pair[0] == before for pair in pairs)
    return f"1/{round(1 / product)}"


CHAIN = Exercise(
    goes_on_with_bra,
    "two of the four letters after an a are a b; after b comes r, and after r comes a, every time",
    kind="predict",
    text="A model has counted the pairs of abracadabra. After the first a, how probably does it go on with bra?",
    choices=("1/8", "1/5", "1/2", "1"),
    wrong=(
        Wrong(
            "three steps, each taken as doubtful as the first; which letters ever follow b, and which follow r?", "1/8"
        ),
        Wrong(
            "that is the share of ab among all ten pairs; the a is given, so only the pairs that begin with a matter",
            "1/5",
        ),
        Wrong("bra is certain once the b is there; is the b certain?", "1"),
    ),
    hints=(
        "Three steps: from a to b, from b to r, from r to a. Multiply.",
        "List what follows each a in abracadabra; the last a has no follower. Then do the same for b and for r.",
        "Only the first step is in doubt. How many of the letters that follow an a are a b?",
    ),
    why="p(b|a) · p(r|b) · p(a|r) = 2/4 · 1 · 1.",
)


# ---- 3.2 a table of probabilities


def bigram_table(ids: np.ndarray, V: int, extra: float) -> np.ndarray:
    counts = np.full((V, V), float(extra))
    for before, after in pairwise(ids.tolist()):
        counts[before, after] += 1
    return counts / counts.sum(axis=1, keepdims=True)


def bigram_inputs(rng: random.Random) -> tuple[np.ndarray, int, float]:
    """Some ids come often, some never, and the text ends elsewhere than it begins."""
    V = rng.randint(4, 6)
    ids = [0, *rng.choices(range(V - 1), weights=[2**i for i in range(V - 1)], k=rng.randint(12, 30)), V - 2]
    return np.array(ids), V, rng.choice([0.25, 0.5, 2.0])


def counted(ids: np.ndarray, V: int, extra: float = 0.0) -> np.ndarray:
    return extra + np.bincount(ids[:-1] * V + ids[1:], minlength=V * V).reshape(V, V)


def rows(counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return counts / counts.sum(1, keepdims=True)


def each_pair_once(ids: np.ndarray, V: int, extra: float) -> np.ndarray:
    counts = np.full((V, V), extra)
    counts[ids[:-1], ids[1:]] += 1
    return rows(counts)


def adds_up_along_rows(attempt: Callable[..., Any], ids: np.ndarray, V: int, extra: float) -> bool:
    return np.allclose(np.asarray(attempt(ids, V, extra), dtype=float).sum(1), 1, atol=1e-4)


BIGRAM = Exercise(
    bigram_table,
    "a row for each id, and each row adds up to 1",
    bigram_inputs,
    text="The table (V, V) of a bigram model: counts of pairs, `extra` added to each, every row divided by its sum.",
    wrong=(
        Wrong(
            "the columns add up to 1, not the rows: what comes after i stands in row i",
            lambda ids, V, extra: counted(ids, V, extra) / counted(ids, V, extra).sum(0, keepdims=True),
        ),
        Wrong(
            "columns are divided by the sums of rows: without `keepdims` the sums lie down and stretch the wrong way",
            lambda ids, V, extra: counted(ids, V, extra) / counted(ids, V, extra).sum(1),
        ),
        Wrong(
            "the whole table adds up to 1: these are shares of all pairs; the question is what comes after a given id",
            lambda ids, V, extra: counted(ids, V, extra) / counted(ids, V, extra).sum(),
        ),
        Wrong(
            "`extra` is not used: rows that were never seen are 0 divided by 0, and new pairs impossible",
            lambda ids, V, extra: rows(counted(ids, V)),
        ),
        Wrong(
            "`extra` is added after the division: look at the sum of a row",
            lambda ids, V, extra: rows(counted(ids, V)) + extra,
        ),
        Wrong(
            "only pairs that never came get `extra`; the others begin at it, too, and count from there",
            lambda ids, V, extra: rows(np.where(counted(ids, V) > 0, counted(ids, V), extra)),
        ),
        Wrong(
            "rows and columns are swapped: the row is the id before, the column the id after",
            lambda ids, V, extra: rows(counted(ids, V, extra).T),
        ),
        Wrong(
            "each kind of pair is counted once, however often it came: `table[i, j] += 1` with arrays keeps only one",
            each_pair_once,
        ),
        Wrong(
            "every second pair is left out: an id is the end of one pair and the beginning of the next",
            lambda ids, V, extra: rows(extra + sum(counted(ids[i : i + 2], V) for i in range(0, len(ids) - 1, 2))),
        ),
        Wrong(
            "one pair too many: after the last id comes nothing, and not the first one again",
            lambda ids, V, extra: rows(counted(np.append(ids, ids[:1]), V, extra)),
        ),
    ),
    properties=(Property("a row does not add up to 1: divide it by the sum of its counts", adds_up_along_rows),),
    hints=(
        "Two steps: count first, then divide. With `extra` in every place, no row is empty.",
        "Begin with `np.full((V, V), float(extra))` and go through `pairwise(ids)`, or use `count_pairs` from above.",
        "Divide by the sum along axis 1. It must stay a column, (V, 1), so that numpy stretches it along the rows.",
    ),
    why="Row i holds what came after i. `keepdims=True` keeps the sums as a column, one for each row.",
)


# ---- 3.3 softmax


def softmax(x: Tensor, dim: int) -> Tensor:
    exponentials = (x - x.amax(dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def softmax_inputs(rng: random.Random) -> tuple[Tensor, int]:
    """Three dimensions, often of one size so that no shape complains; any `dim`; small numbers or very large ones.

    The large ones lie thousands apart, so that every way to compute it exactly gives the same.
    """
    shape = rng.choice([rng.sample(range(2, 6), 3), [rng.randint(3, 4)] * 3])
    dim, n = rng.choice([0, 1, 2, -1, -2, -3]), math.prod(shape)
    if rng.random() < 0.5:
        return 2 * normal(rng, *shape), dim
    return 1000.0 * (torch.randperm(n, generator=generator(rng)) - n // 2).reshape(shape), dim


def less(off: Callable[[Tensor, int], Tensor | float]) -> Callable[[Tensor, int], Tensor]:
    """A softmax with another number taken off."""

    def variant(x: Tensor, dim: int) -> Tensor:
        exponentials = (x - off(x, dim)).exp()
        return exponentials / exponentials.sum(dim, keepdim=True)

    return variant


def largest(x: Tensor, dim: int) -> Tensor:
    return x.amax(dim, keepdim=True)


def adds_up(attempt: Callable[..., Any], x: Tensor, dim: int) -> bool:
    sums = torch.as_tensor(attempt(x, dim)).double().sum(dim)
    return torch.allclose(sums, torch.ones_like(sums), atol=1e-3)


SOFTMAX = Exercise(
    softmax,
    "the largest comes off first, so no exponential is above 1",
    softmax_inputs,
    text="Exponentials along `dim`, divided by their sum, so that no exponential overflows.",
    wrong=(
        Wrong(
            "exp overflows on large logits, and infinite by infinite is NaN; what may be taken off all of them?",
            less(lambda x, dim: 0.0),
        ),
        Wrong(
            "the largest of the whole tensor is taken off: far below it every exponential is 0, and 0/0 is NaN",
            less(lambda x, dim: x.max()),
        ),
        Wrong(
            "the smallest is taken off: what is left is never below 0, and its exponential overflows all the same",
            less(lambda x, dim: x.amin(dim, keepdim=True)),
        ),
        Wrong(
            "divided by the largest instead of shifted by it: differences of logits must stay as they are",
            lambda x, dim: torch.softmax(x / largest(x, dim), dim),
        ),
        Wrong(
            "large logits are cut to 80 before the exponential, so different ones become equal; shift them, do not cut",
            lambda x, dim: torch.softmax(x.clamp(max=80.0), dim),
        ),
        Wrong(
            "the divisor is the sum of the whole tensor: sums along `dim` should be 1 each",
            lambda x, dim: (x - largest(x, dim)).exp() / (x - largest(x, dim)).exp().sum(),
        ),
        Wrong(
            "always along the last dimension: what is `dim` for?",
            lambda x, dim: torch.softmax(x, -1),
        ),
        Wrong(
            "the sums have lost their dimension, so they do not line up with what they divide: see `keepdim`",
            lambda x, dim: (x - largest(x, dim)).exp() / (x - largest(x, dim)).exp().sum(dim),
        ),
        Wrong(
            "the largest numbers have lost their dimension before they are taken off: see `keepdim`",
            lambda x, dim: torch.softmax(x - x.amax(dim), dim),
        ),
        Wrong("these are logarithms of probabilities; one exponential is missing", torch.log_softmax),
        Wrong(
            "the largest is taken off above the fraction bar and not below it: both must use the same exponentials",
            lambda x, dim: (x - largest(x, dim)).exp() / x.exp().sum(dim, keepdim=True),
        ),
    ),
    properties=(Property("look at the sums along `dim`, for large logits as well: each should be 1", adds_up),),
    hints=(
        "Adding the same number to all logits changes nothing. Which number makes the largest exponential exactly 1?",
        "`x.amax(dim, keepdim=True)` is the largest along `dim`; after it came off, all are 0 or below.",
        "Take exponentials then, and divide by their sum along `dim`, with `keepdim=True` again.",
    ),
    why="The largest becomes exp(0) = 1, no other is larger, and the sum is at least 1: no overflow, and no 0/0.",
)


# ---- 3.4 cross-entropy


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    keep = targets != -1
    logits, targets = logits[keep], targets[keep]
    right = logits.gather(-1, targets[:, None])[:, 0]
    return (logits.logsumexp(-1) - right).mean()


def cross_entropy_inputs(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Several texts of several places, some of them padding, and now and then a model that is very sure."""
    B, T, V = rng.randint(2, 4), rng.randint(3, 6), rng.choice([7, 8, 9])
    logits = rng.choice([1.0, 300.0]) * normal(rng, B, T, V)
    targets = torch.randint(0, V, (B, T), generator=generator(rng))
    targets[0, T - rng.randint(1, 2) :] = -1  # the first text is shorter than the others
    targets[1, rng.randrange(T)] = 0
    return logits, targets


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """One per place, 0 at padding."""
    return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-1, reduction="none")


def reshaped(logits: Tensor, targets: Tensor) -> Tensor:
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B, V, T), targets, ignore_index=-1)


def log_of_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    keep = targets >= 0
    return -torch.softmax(logits[keep], -1).gather(-1, targets[keep][:, None]).log().mean()


def is_finite(attempt: Callable[..., Any], logits: Tensor, targets: Tensor) -> bool:
    return bool(torch.as_tensor(attempt(logits, targets)).isfinite().all())


CROSS_ENTROPY = Exercise(
    cross_entropy,
    "from logits, and the mean over the places that are no padding",
    cross_entropy_inputs,
    text="The mean of minus log p of the targets, from logits (..., V) and targets (...); a target of -1 is left out.",
    wrong=(
        Wrong(
            "softmax twice: probabilities went in where logits are wanted, so even perfection has a loss far above 0",
            lambda logits, targets: cross_entropy(torch.softmax(logits, -1), targets),
            47,
        ),
        Wrong(
            "`reshape` pours the numbers anew, and each place gets logits of others; compute three places by hand",
            reshaped,
            48,
        ),
        Wrong(
            "the losses are added up and not divided: twice the text, twice the loss",
            lambda logits, targets: losses(logits, targets).sum(),
            54,
        ),
        Wrong(
            "the padding counts in the divisor: by how many losses should their sum be divided?",
            lambda logits, targets: losses(logits, targets).mean(),
        ),
        Wrong(
            "padding is scored as if the last token of the vocabulary were right: an index of -1 counts from the end",
            lambda logits, targets: losses(logits, targets % logits.size(-1)).mean(),
        ),
        Wrong(
            "a mean per text and then a mean of these: a short text counts as much as a long one; weight by tokens",
            lambda logits, targets: (losses(logits, targets).sum(1) / (targets >= 0).sum(1)).mean(),
            59,
        ),
        Wrong(
            "the probability is computed first and can be 0, its logarithm infinite: subtract logits, without softmax",
            log_of_softmax,
        ),
        Wrong(
            "the logarithm of the mean probability: take the logarithm of each, then the mean",
            lambda logits, targets: -torch.exp(-losses(logits, targets)[targets >= 0]).mean().log(),
        ),
        Wrong(
            "the sign: a good model finds the text probable, and its loss should be small, not below 0",
            lambda logits, targets: -cross_entropy(logits, targets),
        ),
        Wrong(
            "padding is scored as if token 0 were right: `clamp` keeps the index in range, and the place in the mean",
            lambda logits, targets: losses(logits, targets.clamp(min=0)).mean(),
        ),
        Wrong(
            "places whose target is token 0 are left out: only -1 is padding",
            lambda logits, targets: cross_entropy(logits, targets.where(targets > 0, -1)),
        ),
    ),
    properties=(
        Property("where a model is very sure, the loss is not finite: stay with logits, and `logsumexp`", is_finite),
    ),
    hints=(
        "For each place: the logarithm of the summed exponentials, less the logit of the target. Which places count?",
        "`targets != -1` picks them, from the logits as well: `logits[keep]` has shape (N, V).",
        "`logits.logsumexp(-1)` and `logits.gather(-1, targets[:, None])` are the two parts; the mean comes last.",
    ),
    why="Padding is dropped before anything is added, so sum and divisor agree, and no probability is ever computed.",
)


def batch_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.transpose(1, 2), targets)


def broken_batch_loss(logits, targets):
    B, T, V = logits.shape
    p = torch.softmax(logits, dim=-1)
    return F.cross_entropy(p.reshape(B, V, T), targets)


def batch_loss_inputs(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Now and then as many places as tokens, so that V in the wrong dimension is not always refused."""
    B, T, V = rng.sample(range(2, 8), 3)
    V = rng.choice([T, V])
    return 2 * normal(rng, B, T, V), torch.randint(0, V, (B, T), generator=generator(rng))


def poured(logits: Tensor) -> Tensor:
    B, T, V = logits.shape
    return logits.reshape(B, V, T)


BATCH_LOSS = Exercise(
    batch_loss,
    "logits as they are, and the vocabulary brought to where it is looked for",
    batch_loss_inputs,
    kind="mend",
    text="The mean loss of a batch, from logits (B, T, V) and targets (B, T). Two slips are in it; mend both.",
    given=broken_batch_loss,
    wrong=(
        Wrong(
            "two slips are still there: what does `F.cross_entropy` take, and what does `reshape` do?",
            broken_batch_loss,
            48,
        ),
        Wrong(
            "one is mended: logits go in. `reshape` makes the shape, and puts logits of other places there",
            lambda logits, targets: F.cross_entropy(poured(logits), targets),
            48,
        ),
        Wrong(
            "one is mended: the shape. It still hands over probabilities, and softmax happens twice",
            lambda logits, targets: F.cross_entropy(torch.softmax(logits, -1).transpose(1, 2), targets),
            47,
        ),
        Wrong(
            "the softmax runs along the places or the batch now; what `F.cross_entropy` takes needs none",
            lambda logits, targets: F.cross_entropy(torch.softmax(logits, 1).transpose(1, 2), targets),
            47,
        ),
        Wrong(
            "the vocabulary stands last, and `F.cross_entropy` looks for it in dimension 1",
            F.cross_entropy,
        ),
        Wrong(
            "the losses are added up and not divided: the step would grow with the batch",
            lambda logits, targets: F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum"),
            54,
        ),
        Wrong(
            "logits and targets are flattened in different orders: which place is the second row of each?",
            lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.T.flatten()),
        ),
        Wrong(
            "`nll_loss` takes logarithms, and gets logits here: one step is missing",
            lambda logits, targets: F.nll_loss(logits.transpose(1, 2), targets),
        ),
        Wrong(
            "`nll_loss` takes logarithms, and gets probabilities here: the loss comes out below 0",
            lambda logits, targets: F.nll_loss(torch.softmax(logits, -1).transpose(1, 2), targets),
        ),
    ),
    hints=(
        "Compute the loss of the first place by hand, from `logits[0, 0]`. Which logits does the function use there?",
        "`F.cross_entropy` does the softmax itself. And `reshape` keeps the order of the numbers, whatever they mean.",
        "Give it logits. To bring V in front of T, swap two dimensions; or join B and T, in logits and targets alike.",
    ),
    why="`F.cross_entropy` wants logits, with V in dimension 1. `transpose` turns the box, numbers and all.",
)


# ---- 3.6 units


def scores(batches: list[list[float]], n_bytes: int) -> tuple[float, float]:
    nats = [-math.log(p) for batch in batches for p in batch]
    perplexity = math.exp(sum(nats) / len(nats))
    bits_per_byte = sum(nats) / math.log(2) / n_bytes
    return perplexity, bits_per_byte


def scores_inputs(rng: random.Random) -> tuple[list[list[float]], int]:
    """Batches of six, the last one short and full of surprises; a token has two to four bytes."""
    batches = [[rng.uniform(0.2, 0.9) for _ in range(6)] for _ in range(rng.randint(1, 3))]
    batches.append([rng.uniform(0.01, 0.2) for _ in range(rng.randint(1, 3))])
    return batches, sum(rng.randint(2, 4) for batch in batches for _ in batch)


def units(
    mean: Callable[[list[list[float]]], float] = lambda nats: sum(map(sum, nats)) / sum(map(len, nats)),
    perplexity: Callable[[float], float] = math.exp,
    bits: Callable[[float, int, int], float] = lambda mean, n, n_bytes: mean * n / math.log(2) / n_bytes,
) -> Callable[..., tuple[float, float]]:
    """Both numbers with one step replaced."""

    def variant(batches: list[list[float]], n_bytes: int) -> tuple[float, float]:
        nats = [[-math.log(p) for p in batch] for batch in batches]
        return perplexity(mean(nats)), bits(mean(nats), sum(map(len, nats)), n_bytes)

    return variant


def mean_of_means(nats: list[list[float]]) -> float:
    return sum(sum(batch) / len(batch) for batch in nats) / len(nats)


def mean_of_exponentials(batches: list[list[float]], n_bytes: int) -> tuple[float, float]:
    every = [1 / p for batch in batches for p in batch]
    return sum(every) / len(every), scores(batches, n_bytes)[1]


def mean_of_batch_perplexities(batches: list[list[float]], n_bytes: int) -> tuple[float, float]:
    return sum(scores([batch], 1)[0] for batch in batches) / len(batches), scores(batches, n_bytes)[1]


def log_of_mean(batches: list[list[float]], n_bytes: int) -> tuple[float, float]:
    every = [p for batch in batches for p in batch]
    loss = -math.log(sum(every) / len(every))
    return math.exp(loss), loss * len(every) / math.log(2) / n_bytes


SCORES = Exercise(
    scores,
    "the mean over all tokens, one exponential at the end; and all bits over all bytes",
    scores_inputs,
    text="Perplexity and bits per byte of a text, from the probability that each of its tokens got, batch by batch.",
    wrong=(
        Wrong(
            "the mean of the batch means: the short last batch counts as much as a full one; weight by tokens",
            units(mean=mean_of_means),
            59,
        ),
        Wrong(
            "the perplexity is a mean of exponentials, one per token; take the mean of the losses, then e to it, once",
            mean_of_exponentials,
            59,
        ),
        Wrong(
            "a perplexity per batch, and the mean of these: the exponential comes once, after the mean over all tokens",
            mean_of_batch_perplexities,
            59,
        ),
        Wrong(
            "the logarithm of the mean probability: first the loss of each token, then the mean",
            log_of_mean,
        ),
        Wrong(
            "the perplexity is right; what you give per byte is still in nats",
            units(bits=lambda mean, n, n_bytes: mean * n / n_bytes),
        ),
        Wrong(
            "from nats to bits the number grows: a bit is the smaller unit, so multiply or divide by ln 2?",
            units(bits=lambda mean, n, n_bytes: mean * n * math.log(2) / n_bytes),
        ),
        Wrong(
            "the perplexity is right, and the second number is bits per token; spread all bits over all bytes",
            units(bits=lambda mean, n, n_bytes: mean / math.log(2)),
        ),
        Wrong(
            "the mean loss is divided by the bytes: it is the total that is spread over them",
            units(bits=lambda mean, n, n_bytes: mean / math.log(2) / n_bytes),
        ),
        Wrong(
            "e to a loss in bits: base and unit must belong together",
            units(perplexity=lambda loss: math.exp(loss / math.log(2))),
        ),
        Wrong(
            "e to the sum of all losses: the mean per token is wanted, else a longer text has a larger perplexity",
            lambda batches, n_bytes: (
                1 / math.prod(p for batch in batches for p in batch),
                scores(batches, n_bytes)[1],
            ),
        ),
        Wrong("both numbers are right, in the other order", lambda batches, n_bytes: scores(batches, n_bytes)[::-1]),
    ),
    hints=(
        "Both numbers come from the losses of all tokens, whatever batch they were in. What is the loss of a token?",
        "Perplexity: e to the mean of `-math.log(p)` over all tokens, one exponential in all.",
        "Bits per byte: the sum of all losses, turned from nats into bits, over `n_bytes`.",
    ),
    why="Batches are only a way to get through the text. One sum over all tokens serves both numbers.",
)


# ---- 3.7 another smoothing


def mixed_table(counts: Tensor, lower: Tensor, weight: float) -> Tensor:
    return (counts + weight * lower) / (counts.sum(dim=1, keepdim=True) + weight)


def mixed_inputs(rng: random.Random) -> tuple[Tensor, Tensor, float]:
    """A row that was never seen, rows seen seldom and often, and a distribution with favourites."""
    V = rng.randint(4, 6)
    counts = torch.randint(0, 5, (V, V), generator=generator(rng)) * torch.tensor([1, 20, 1, 0, 3, 1][:V])[:, None]
    counts[0, 0], counts[0, 1] = 0, 7
    return counts, torch.softmax(normal(rng, V), -1), rng.choice([0.5, 3.0, 10.0])


def row_sums(counts: Tensor) -> Tensor:
    return counts.sum(1, keepdim=True)


def rows_are_distributions(attempt: Callable[..., Tensor], counts: Tensor, lower: Tensor, weight: float) -> bool:
    table = torch.as_tensor(attempt(counts, lower, weight), dtype=torch.float64)
    return torch.allclose(table.sum(1), torch.ones(len(table), dtype=torch.float64), atol=1e-4)


MIXED = Exercise(
    mixed_table,
    "each row counts `weight` imagined tokens more, spread as the shorter context says",
    mixed_inputs,
    kind="design",
    text="Each row of counts gets `weight` imagined tokens more, shared out as `lower` says, and adds up to 1.",
    wrong=(
        Wrong(
            "the imagined tokens are shared out evenly; what does the shorter context say is likely?",
            lambda counts, lower, weight: mixed_table(counts, torch.full_like(lower, 1 / len(lower)), weight),
        ),
        Wrong(
            "every place gets a full `weight`, whatever `lower` says: that is V times as many imagined tokens",
            lambda counts, lower, weight: (counts + weight) / (row_sums(counts) + weight * len(lower)),
        ),
        Wrong(
            "divided by the real tokens only: a row adds up to more than 1, and one never seen is divided by 0",
            lambda counts, lower, weight: (counts + weight * lower) / row_sums(counts),
        ),
        Wrong(
            "a row adds up to less than 1: `lower` adds up to 1 already, so how many imagined tokens are there in all?",
            lambda counts, lower, weight: (counts + weight * lower) / (row_sums(counts) + weight * len(lower)),
        ),
        Wrong(
            "`lower` runs down the columns: row i gets what `lower` says of token i, not of each that may come",
            lambda counts, lower, weight: (counts + weight * lower[:, None]) / (row_sums(counts) + weight),
        ),
        Wrong(
            "each column is divided by a row's sum: without `keepdim` the sums lie down as a row",
            lambda counts, lower, weight: (counts + weight * lower) / (counts.sum(1) + weight),
        ),
        Wrong(
            "only pairs that never came get imagined tokens; the others are to get theirs as well",
            lambda counts, lower, weight: torch.where(counts > 0, counts, weight * lower) / (row_sums(counts) + weight),
        ),
        Wrong(
            "the sum runs down the columns: divide by how often the row's own context was seen",
            lambda counts, lower, weight: (counts + weight * lower) / (counts.sum(0, keepdim=True) + weight),
        ),
        Wrong(
            "`lower` is left out: what never came is still impossible",
            lambda counts, lower, weight: counts / (row_sums(counts) + weight),
        ),
    ),
    properties=(
        Property(
            "a row does not add up to 1: real and imagined tokens are divided by how many there are",
            rows_are_distributions,
        ),
    ),
    hints=(
        "Imagine `weight` more tokens after each context. How many of them are token j?",
        "`weight * lower` is a row of (V,); added to the counts it goes to every row.",
        "Divide each row by its real tokens and the imagined ones together; keep the sums as a column.",
    ),
    why="A row seen often hardly notices them; one never seen is `lower` itself. In statistics: a Dirichlet prior.",
)


EXERCISES = {
    "3.1": CHAIN,
    "3.2": BIGRAM,
    "3.3": SOFTMAX,
    "3.4": CROSS_ENTROPY,
    "3.4b": BATCH_LOSS,
    "3.6": SCORES,
    "3.7": MIXED,
}
