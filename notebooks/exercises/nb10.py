"""The exercises of 10_attention_maps: what a head does, what hangs on it, what layers say, and leaks."""

import math
import random
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 10.2 a score for a pattern


def look_score(weights: Tensor, queries: list[int], keys: list[int]) -> Tensor:
    found = [weights[..., query, key] for query, key in zip(queries, keys, strict=True)]  # of shape (...) each
    return torch.stack(found).mean(dim=0)


def look_score_inputs(rng: random.Random) -> tuple[Tensor, list[int], list[int]]:
    """Rows that add up to 1: of one head, of heads, of layers and heads; often more keys than queries."""
    T = rng.randint(3, 7)
    S = rng.choice([T, rng.randint(8, 9)])
    weights = torch.softmax(2 * normal(rng, *rng.choice([(), (3,), (2, 3), (2, 3)]), T, S), dim=-1)
    pairs = rng.randint(1, 6)
    return weights, [rng.randrange(T) for _ in range(pairs)], [rng.randrange(S) for _ in range(pairs)]


def strongest(weights: Tensor, queries: list[int], keys: list[int]) -> Tensor:
    return (weights[..., queries, :].argmax(-1) == torch.tensor(keys)).float().mean(-1)


LOOK_SCORE = Exercise(
    look_score,
    "the pairs one by one, and their mean for each head",
    look_score_inputs,
    text="The mean weight that queries[i] gives to keys[i], for each of the heads: (..., T, S) becomes (...).",
    wrong=(
        Wrong(
            "one number for all heads; each layer and head should keep a score of its own",
            lambda weights, queries, keys: weights[..., queries, keys].mean(),
        ),
        Wrong(
            "the mean runs over the first axis, which holds layers or heads; print the shape before the mean",
            lambda weights, queries, keys: weights[..., queries, keys].mean(dim=0),
        ),
        Wrong(
            "two axes in front are taken for granted; there may be none, one or more",
            lambda weights, queries, keys: weights[:, :, queries, keys].mean(dim=-1),
        ),
        Wrong(
            "the weights of the pairs are there, one by one; their mean is asked for",
            lambda weights, queries, keys: weights[..., queries, keys],
        ),
        Wrong(
            "every query is scored with every key; the first query belongs to the first key alone, and so on",
            lambda weights, queries, keys: weights[..., queries, :][..., keys].mean(dim=(-2, -1)),
        ),
        Wrong(
            "queries and keys are swapped: a row belongs to the token that looks",
            lambda weights, queries, keys: weights[..., keys, queries].mean(dim=-1),
        ),
        Wrong(
            "the weights are added up and not divided: six pairs may then score 6",
            lambda weights, queries, keys: weights[..., queries, keys].sum(dim=-1),
        ),
        Wrong(
            "the sum is divided by the number of rows; how many pairs have been added up?",
            lambda weights, queries, keys: weights[..., queries, keys].sum(dim=-1) / weights.size(-2),
        ),
        Wrong("it counts how often the key is the strongest one; how strong it is should count", strongest),
        Wrong(
            "the largest of the weights is given; a head that is right once would have a perfect score",
            lambda weights, queries, keys: weights[..., queries, keys].amax(dim=-1),
        ),
    ),
    hints=(
        "Take the weights of the pairs first, for all heads at once. What shape do they have before the mean?",
        "Two lists between the brackets go in step: `table[[0, 2], [1, 3]]` has the two entries (0, 1) and (2, 3).",
        "`weights[..., queries, keys]` has shape (..., pairs). The mean runs over the axis of the pairs.",
    ),
    why="Indexing with two lists takes pairs; the dots keep layers and heads, however many axes they have.",
)


# ---- 10.3 a silent head


def heads_without(scores: Tensor, v: Tensor, silent: int) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    weights[:, silent] = 0
    return weights @ v


def broken_heads_without(scores, v, silent):
    scores = scores.clone()
    scores[:, silent] = 0
    return torch.softmax(scores, dim=-1) @ v


def silent_inputs(rng: random.Random) -> tuple[Tensor, Tensor, int]:
    """Scores with the future hidden, of two texts and three or four heads, and the head that is to fall silent."""
    B, H, T, D = 2, rng.randint(3, 4), rng.randint(4, 6), rng.randint(2, 3)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    return normal(rng, B, H, T, T).masked_fill(future, -math.inf), normal(rng, B, H, T, D), rng.randrange(H)


def hide_all(scores: Tensor, v: Tensor, silent: int) -> Tensor:
    scores = scores.clone()
    scores[:, silent] = -math.inf
    return torch.softmax(scores, dim=-1) @ v


def silence_at(axis: int) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Weights set to zero along another axis than that of the heads."""

    def variant(scores: Tensor, v: Tensor, silent: int) -> Tensor:
        weights = torch.softmax(scores, dim=-1)
        if not silent < weights.size(axis):
            raise IndexError(f"index {silent} is out of bounds for dimension {axis}")
        return weights.index_fill(axis, torch.tensor([silent]), 0) @ v

    return variant


def only_that_head(scores: Tensor, v: Tensor, silent: int) -> Tensor:
    out = torch.softmax(scores, dim=-1) @ v
    kept = torch.zeros_like(out)
    kept[:, silent] = out[:, silent]
    return kept


def take_out(scores: Tensor, v: Tensor, silent: int) -> Tensor:
    out = torch.softmax(scores, dim=-1) @ v
    return torch.cat([out[:, :silent], out[:, silent + 1 :]], dim=1)


def empty_values(scores: Tensor, v: Tensor, silent: int) -> Tensor:
    v[:, silent] = 0
    return torch.softmax(scores, dim=-1) @ v


SILENT = Exercise(
    heads_without,
    "a silent head hands over nothing, and the others go on as before",
    silent_inputs,
    kind="mend",
    text="It should give what all heads found, with zeros for the silent one. Find the slip, and mend it.",
    given=broken_heads_without,
    wrong=(
        Wrong(
            "the head still speaks: equal scores make an even row, and even what the mask had hidden is averaged in",
            broken_heads_without,
            mistake=22,
        ),
        Wrong(
            "nothing is left to share in its rows, and 0 divided by 0 is nan: that is what the head hands over",
            hide_all,
        ),
        Wrong(
            "it is the first axis that was cut, a text of the batch; which of (B, H, T, T) holds the heads?",
            silence_at(0),
        ),
        Wrong("the silent number was taken for a key: in all heads that token is overlooked", silence_at(3)),
        Wrong("the silent number was taken for a query: in all heads that token gets nothing", silence_at(2)),
        Wrong("all others are silent, and this one alone speaks", only_that_head),
        Wrong("the head is cut out of its axis; the map behind it still expects the channels of all", take_out),
        Wrong(
            "the result is right, and the caller's values have lost a head for good; leave the arguments as they are",
            empty_values,
        ),
    ),
    hints=(
        "Print one row of the silent head's weights. What does softmax make of equal scores?",
        "A row of softmax adds up to 1, whatever goes in. So the head must fall silent behind it.",
        "Set the weights of that head, or its share of the result, to zero, and nothing before the softmax.",
    ),
    why="Softmax cannot be told to give nothing; a head is silenced where its result is handed over.",
)


# ---- 10.4 where induction looks


def induction_keys(ids: list[int]) -> list[int]:
    behind = {}
    keys = []
    for t, i in enumerate(ids):
        keys.append(behind.get(i, -1))
        behind[i] = t + 1
    return keys


def induction_keys_inputs(rng: random.Random) -> tuple[list[int]]:
    """Few different ids, so that many come back, some more than once and some at once."""
    return ([10 + rng.randrange(rng.choice([3, 8])) for _ in range(rng.randint(0, 12))],)


def earlier(ids: list[int], t: int) -> list[int]:
    return [s for s in range(t) if ids[s] == ids[t]]


def keys_by(of: Callable[[list[int], int, list[int]], int], none: int = -1) -> Callable[[list[int]], list[int]]:
    """For each position `of(ids, t, its earlier places)`, or `none` where there are none."""
    return lambda ids: [of(ids, t, earlier(ids, t)) if earlier(ids, t) else none for t in range(len(ids))]


def not_at_once(ids: list[int]) -> list[int]:
    return [max((s + 1 for s in earlier(ids, t) if s < t - 1), default=-1) for t in range(len(ids))]


INDUCTION_KEYS = Exercise(
    induction_keys,
    "behind the latest earlier place of the same id",
    induction_keys_inputs,
    text="For each position the one behind the latest earlier position with the same id, or -1.",
    wrong=(
        Wrong(
            "that is the earlier place itself; what stands there is known already, and what came next is wanted",
            keys_by(lambda ids, t, places: places[-1]),
        ),
        Wrong(
            "that is the place in front of the earlier one; an induction head reads on, not back",
            keys_by(lambda ids, t, places: places[-1] - 1),
        ),
        Wrong(
            "the first earlier place was taken; where an id stood several times, the latest counts",
            keys_by(lambda ids, t, places: places[0] + 1),
        ),
        Wrong(
            "each position finds itself and points at the token that comes next, which nobody knows yet",
            lambda ids: list(range(1, len(ids) + 1)),
        ),
        Wrong(
            "a first time gives 0, and 0 is a place where one can look",
            keys_by(lambda ids, t, places: places[-1] + 1, none=0),
        ),
        Wrong(
            "those are the ids that came next; the places where they stand are wanted",
            keys_by(lambda ids, t, places: ids[places[-1] + 1]),
        ),
        Wrong(
            "positions whose id is new are left out; the answer needs an entry for each of them",
            lambda ids: [earlier(ids, t)[-1] + 1 for t in range(len(ids)) if earlier(ids, t)],
        ),
        Wrong(
            "a token that comes twice in a row is overlooked: the token just before is an earlier place too",
            not_at_once,
        ),
        Wrong(
            "it says how far back, and not where",
            keys_by(lambda ids, t, places: t - places[-1]),
        ),
    ),
    hints=(
        "Go through the ids from left to right. What do you have to remember about each id that you have seen?",
        "A dictionary from id to place. Look the present id up before you write it in.",
        "Write in the place *behind* the present one; what is not there yet gives -1.",
    ),
    why="The dictionary holds the latest place only, as each new one writes over the one before.",
)


# ---- 10.5 what layers would say


def first_guess() -> str:
    """Of a stream that holds only its tokens, read through a tied head."""
    table = torch.randn(64, 32, generator=torch.Generator().manual_seed(10))
    guesses = (F.layer_norm(table, (32,)) @ table.T).argmax(-1)
    return "the token that was read last" if torch.equal(guesses, torch.arange(64)) else "another one"


FIRST_GUESS = Exercise(
    first_guess,
    "head and embedding are one table, and a vector is most like itself",
    kind="predict",
    text="Last norm and output head are applied before the first block, behind 'painting the'. What is the guess?",
    choices=(
        "the word that comes next, bracelet",
        "the token that was read last",
        "the commonest token of the tales",
        "none: all tokens have about the same probability",
    ),
    wrong=(
        Wrong(
            "nobody has looked back yet, and the bracelet stood many tokens ago", "the word that comes next, bracelet"
        ),
        Wrong(
            "nothing has counted tokens yet; with which vectors is the stream compared in the head?",
            "the commonest token of the tales",
        ),
        Wrong(
            "the stream is not empty there: it holds an embedding, and the head compares it with a table you know",
            "none: all tokens have about the same probability",
        ),
    ),
    hints=(
        "What is in the stream before anybody has looked at another token?",
        "The embedding of a token, and its place. And what are the rows of the output head?",
        "Both are tied (notebook 07): one table. With which of its rows has a row the largest product?",
    ),
    why="A tied head asks which embedding the stream is most like, and before the first block it is one.",
)


def layer_logits(
    x: Tensor, blocks: Sequence[Callable[[Tensor], Tensor]], norm: Callable[[Tensor], Tensor], head: Callable
) -> Tensor:
    stream = [x]  # (B, T, C) each
    for block in blocks:
        stream.append(block(stream[-1]))
    return torch.stack([head(norm(x)) for x in stream])  # (N, B, T, V)


def make_block(rng: random.Random, C: int) -> Callable[[Tensor], Tensor]:
    W = normal(rng, C, C)
    return lambda x: x + torch.tanh(x.cumsum(dim=-2) @ W)


def lens_inputs(rng: random.Random) -> tuple[Tensor, list[Callable], Callable, Callable]:
    """A stream, two to four blocks that add to it, a norm with weights of its own and a head without a bias."""
    B, T, C, V = rng.randint(1, 2), rng.randint(2, 4), rng.randint(3, 5), rng.randint(6, 8)
    x, (gain, shift), table = 3 * normal(rng, B, T, C), normal(rng, 2, C), normal(rng, V, C)
    blocks = [make_block(rng, C) for _ in range(rng.randint(2, 4))]
    return x, blocks, lambda x: F.layer_norm(x, (C,), gain, shift), lambda x: x @ table.T


def read_stream(x: Tensor, blocks: Sequence[Callable]) -> Tensor:
    stream = [x]
    for block in blocks:
        stream.append(block(stream[-1]))
    return torch.stack(stream)


def norm_in_stream(x: Tensor, blocks: Sequence[Callable], norm: Callable, head: Callable) -> Tensor:
    logits = [head(x := norm(x))]
    for block in blocks:
        logits.append(head(x := norm(block(x))))
    return torch.stack(logits)


def norm_fed_on(x: Tensor, blocks: Sequence[Callable], norm: Callable, head: Callable) -> Tensor:
    logits = [head(norm(x))]
    for block in blocks:
        logits.append(head(x := norm(block(x))))
    return torch.stack(logits)


def added_twice(x: Tensor, blocks: Sequence[Callable], norm: Callable, head: Callable) -> Tensor:
    logits = [head(norm(x))]
    for block in blocks:
        x = x + block(x)
        logits.append(head(norm(x)))
    return torch.stack(logits)


def norm_once(x: Tensor, blocks: Sequence[Callable], norm: Callable, head: Callable) -> Tensor:
    stream = read_stream(x, blocks)
    return head(torch.cat([stream[:-1], norm(stream[-1:])]))


LENS = Exercise(
    layer_logits,
    "norm and head beside the stream, which goes on as it is",
    lens_inputs,
    text="The logits after 0, 1, ... blocks, (N, B, T, V). x is what the embedding gives; all others are functions.",
    wrong=(
        Wrong(
            "the head reads the stream as it is; what stands between the last block and the head of a GPT?",
            lambda x, blocks, norm, head: head(read_stream(x, blocks)),
        ),
        Wrong(
            "only the last row went through the norm; a lens treats each layer as if it were the last",
            norm_once,
        ),
        Wrong(
            "the norm has changed the stream itself: the next block should read what the block before it gave",
            norm_in_stream,
        ),
        Wrong(
            "from the second block on the stream has been through the norm; a block reads it as it is",
            norm_fed_on,
        ),
        Wrong(
            "what a block gives was added to the stream once more; it has added its part already",
            added_twice,
        ),
        Wrong(
            "each block was given the embedding; block 1 reads what block 0 has made of it",
            lambda x, blocks, norm, head: head(norm(torch.stack([x, *(block(x) for block in blocks)]))),
        ),
        Wrong(
            "the first row is missing: what is said before any block?",
            lambda x, blocks, norm, head: head(norm(read_stream(x, blocks)[1:])),
        ),
        Wrong(
            "the last row is missing: after all blocks it must say what the model says",
            lambda x, blocks, norm, head: head(norm(read_stream(x, blocks)[:-1])),
        ),
        Wrong(
            "that is what each block adds, read by itself; the lens reads the sum so far",
            lambda x, blocks, norm, head: head(
                norm(torch.cat([x[None], read_stream(x, blocks)[1:] - read_stream(x, blocks)[:-1]]))
            ),
        ),
        Wrong(
            "only the last token's logits are kept; the lens is for all tokens",
            lambda x, blocks, norm, head: head(norm(read_stream(x, blocks)))[:, :, -1],
        ),
        Wrong(
            "those are probabilities; logits are what the head gives",
            lambda x, blocks, norm, head: head(norm(read_stream(x, blocks))).softmax(-1),
        ),
    ),
    hints=(
        "Keep the stream after each block in a list that begins with x. How long is it in the end?",
        "Only a block may change the stream. What norm and head make of it goes into the answer, and not to a block.",
        "`torch.stack` makes a list of (B, T, C) into (N, B, T, C); norm and head take any axes in front.",
    ),
    why="The same norm and head for each, since the question is what the model would say if it had to stop there.",
)


# ---- 10.6 no leak passes


def prefix_difference(model: Callable[[Tensor], Tensor], idx: Tensor) -> float:
    whole = model(idx)  # (B, T, V)
    moves = [(model(idx[:, :t]) - whole[:, :t]).abs().max() for t in range(1, idx.size(1))]
    return torch.stack(moves).max().item()


LEAKS = ["none", "one place", *4 * ["all that follows", "odd length"], "length 1", "length 1"]


def prefix_inputs(rng: random.Random) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Models that mix tokens: some see one too far, some leak into one place, some are odd at one length of text."""
    B, T, V, leak = rng.randint(2, 3), rng.randint(4, 7), rng.randint(3, 5), rng.choice(LEAKS)
    table = normal(rng, V, V)  # (V, V)
    mix = torch.rand(T, T, generator=generator(rng)).tril(rng.choice([0, 0, 1]))  # (T, T)
    query = rng.randrange(T - 2)
    if leak in ("one place", "all that follows"):
        mix[query, rng.randrange(query + 1, T) if leak == "one place" else slice(query + 1, T)] = 3.0
    odd, shift = {"length 1": 1, "odd length": rng.randint(2, T - 1)}.get(leak, 0), rng.choice([-20.0, 20.0])
    place = rng.randrange(max(1, odd - 1))  # not the last of that length

    def model(idx: Tensor) -> Tensor:
        length = idx.size(1)
        logits = mix[:length, :length] @ table[idx]  # (B, T, V)
        logits[-1, place] += shift * (length == odd)  # in the last text alone
        return logits

    return model, torch.randint(0, V, (B, T), generator=generator(rng))


def largest(
    moved: Callable[[Callable, Tensor, Tensor, int], Tensor], lengths: Callable[[int], Sequence[int]]
) -> Callable[[Callable, Tensor], float]:
    """The largest of `moved(model, idx, whole, t)` over these lengths."""

    def variant(model: Callable, idx: Tensor) -> float:
        whole = model(idx)
        return max(moved(model, idx, whole, t).max().item() for t in lengths(idx.size(1)))

    return variant


def all_lengths(T: int) -> range:
    return range(1, T)


def move(model: Callable, idx: Tensor, whole: Tensor, t: int) -> Tensor:
    return (model(idx[:, :t]) - whole[:, :t]).abs()


def fewer_texts(model: Callable, idx: Tensor) -> float:
    whole = model(idx)
    return max((model(idx[:b]) - whole[:b]).abs().max().item() for b in range(1, len(idx)))


def added_up(model: Callable, idx: Tensor) -> float:
    whole = model(idx)
    return sum(move(model, idx, whole, t).max().item() for t in range(1, idx.size(1)))


def does_see_a_leak(attempt: Callable, model: Callable, idx: Tensor) -> bool:
    """A model that shows the next token at every place must be caught."""
    shown = attempt(lambda idx: F.one_hot(idx.roll(-1, 1), 9).float(), torch.tensor([[1, 2, 3, 4]]))
    return abs(float(shown) - 1) < 1e-4


PREFIX = Exercise(
    prefix_difference,
    "every prefix alone, against the same positions of the whole",
    prefix_inputs,
    text="How much the logits of the first t tokens move, at most, when the others follow, over all t from 1 to T - 1.",
    wrong=(
        Wrong(
            "the ends of the text are given alone, and may depend on what came before: cut behind, not in front",
            largest(lambda model, idx, whole, t: (model(idx[:, t:]) - whole[:, t:]).abs(), all_lengths),
        ),
        Wrong(
            "a logit that falls counts as none that moves: what is the largest of -3 and 0?",
            largest(lambda model, idx, whole, t: model(idx[:, :t]) - whole[:, :t], all_lengths),
        ),
        Wrong(
            "one length of text is tried; a leak of one step in the middle does not show when only the last is cut",
            largest(move, lambda T: [T - 1]),
        ),
        Wrong(
            "the shortest prefix, a single token, is not tried",
            largest(move, lambda T: range(2, T)),
        ),
        Wrong(
            "only the last token of each prefix is compared; those before it may move as well",
            largest(lambda model, idx, whole, t: move(model, idx, whole, t)[:, -1], all_lengths),
        ),
        Wrong(
            "only the first token's logits are compared; every place can leak",
            largest(lambda model, idx, whole, t: move(model, idx, whole, t)[:, 0], all_lengths),
        ),
        Wrong(
            "the positions are shifted by one: the first t of the whole text begin at 0",
            largest(lambda model, idx, whole, t: (model(idx[:, :t]) - whole[:, 1 : t + 1]).abs(), all_lengths),
        ),
        Wrong(
            "a mean hides one place that leaks among many that do not",
            largest(lambda model, idx, whole, t: move(model, idx, whole, t).mean(), all_lengths),
        ),
        Wrong(
            "each token was given alone, without those before it; a prefix begins at the first token",
            largest(lambda model, idx, whole, t: (model(idx[:, t : t + 1]) - whole[:, t : t + 1]).abs(), range),
        ),
        Wrong(
            "texts were cut off the batch, and not tokens off a text: idx has shape (B, T)",
            fewer_texts,
        ),
        Wrong(
            "each prefix is compared with one that is a token longer; the whole text is the measure",
            largest(
                lambda model, idx, whole, t: (model(idx[:, :t]) - model(idx[:, : t + 1])[:, :t]).abs(), all_lengths
            ),
        ),
        Wrong("the moves of all lengths are added up; the largest is asked for", added_up),
        Wrong(
            "only the first text of the batch is compared",
            largest(lambda model, idx, whole, t: move(model, idx, whole, t)[:1], all_lengths),
        ),
    ),
    properties=(
        Property(
            "try a model that gives the next token as one-hot logits: the largest move should be 1", does_see_a_leak
        ),
    ),
    hints=(
        "Call the model once with all T tokens, and once for each t. Which rows of the whole belong to which call?",
        "`model(idx[:, :t])` has shape (B, t, V). Its rows are places 0 to t - 1 of the text.",
        "Take the difference without its sign, the largest of it, and the largest over all t.",
    ),
    why="Cutting a text cannot change what was said before the cut, unless the model has looked behind it.",
)


# ---- 10.6b a fourth patient


def patient_d(x: Tensor) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    spread = x.var(dim=-1, correction=0, keepdim=True)
    normed = (x - mean) / torch.sqrt(spread + 1e-5)
    past = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
    scores = (normed @ normed.mT / math.sqrt(x.size(-1))).masked_fill(~past, -math.inf)
    return x + torch.softmax(scores, dim=-1) @ normed


def broken_patient_d(x):
    mean = x.mean(dim=1, keepdim=True)
    spread = x.var(dim=1, correction=0, keepdim=True)
    normed = (x - mean) / torch.sqrt(spread + 1e-5)
    past = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
    scores = (normed @ normed.mT / math.sqrt(x.size(-1))).masked_fill(~past, -math.inf)
    return x + torch.softmax(scores, dim=-1) @ normed


def patient_inputs(rng: random.Random) -> tuple[Tensor]:
    return (2 * normal(rng, rng.randint(2, 3), rng.randint(4, 6), rng.randint(5, 7)) + 1,)


def ill(
    mean: int | tuple[int, ...] = -1,
    spread: int | tuple[int, ...] = -1,
    correction: int = 0,
    past: Callable[[Tensor], Tensor] = torch.tril,
    dim: int = -1,
    inside: Callable[[Tensor], Tensor] = lambda x: x,
) -> Callable[[Tensor], Tensor]:
    """The patient mended, and then with one thing wrong."""

    def variant(x: Tensor) -> Tensor:
        normed = (x - x.mean(mean, keepdim=True)) / torch.sqrt(
            x.var(spread, correction=correction, keepdim=True) + 1e-5
        )
        mask = past(torch.ones(x.size(1), x.size(1))) > 0
        scores = (normed @ normed.mT / math.sqrt(x.size(-1))).masked_fill(~mask, -math.inf)
        return inside(x) + torch.softmax(scores, dim=dim) @ normed

    return variant


def without_norm(x: Tensor) -> Tensor:
    past = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
    scores = (x @ x.mT / math.sqrt(x.size(-1))).masked_fill(~past, -math.inf)
    return x + torch.softmax(scores, dim=-1) @ x


def earlier_rows_stay(attempt: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    cut = attempt(x[:, :2].clone())
    return torch.allclose(torch.as_tensor(cut).double(), torch.as_tensor(attempt(x)).double()[:, :2], atol=1e-4)


def texts_stay_apart(attempt: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    alone = attempt(x[:1].clone())
    return torch.allclose(torch.as_tensor(alone).double(), torch.as_tensor(attempt(x)).double()[:1], atol=1e-4)


PATIENT = Exercise(
    patient_d,
    "each token is normalised by its own channels, and the mask does the rest",
    patient_inputs,
    kind="mend",
    text="A block (B, T, C) with a map in perfect order, and the prefix check fails. Find the leak, and close it.",
    given=broken_patient_d,
    wrong=(
        Wrong(
            "the norm runs over the time: its mean has seen the end of the text, in front of any mask",
            broken_patient_d,
            mistake=36,
        ),
        Wrong(
            "the norm runs over the batch: a text's answer then changes with its neighbours",
            ill(mean=0, spread=0),
            36,
        ),
        Wrong(
            "mean and spread are those of a whole text, later tokens among them",
            ill(mean=(1, 2), spread=(1, 2)),
            36,
        ),
        Wrong(
            "one mean and one spread for the whole batch: every token has seen every other",
            ill(mean=(0, 1, 2), spread=(0, 1, 2)),
            36,
        ),
        Wrong("half mended: the mean belongs to a token now, the spread still to the whole time", ill(spread=1), 36),
        Wrong("half mended: the spread belongs to a token now, the mean still to the whole time", ill(mean=1), 36),
        Wrong(
            "the norm is right now, and the mask is gone: later tokens are looked at", ill(past=lambda ones: ones), 25
        ),
        Wrong("the norm is right now, and the mask shows the future in place of the past", ill(past=torch.triu), 25),
        Wrong(
            "the norm is right now, and no token may look at itself: what is left for the first?",
            ill(past=lambda ones: ones.tril(-1)),
            26,
        ),
        Wrong(
            "the leak is closed by taking the norm away altogether; over which numbers would it do no harm?",
            without_norm,
        ),
        Wrong(
            "the spread is a sum divided by C - 1 now; compare with `F.layer_norm`, which divides by C",
            ill(correction=1),
            35,
        ),
    ),
    properties=(
        Property("cut the text behind two tokens: their rows move, so something still looks ahead", earlier_rows_stay),
        Property("give one text alone: its rows move, so it depends on its neighbours", texts_stay_apart),
    ),
    hints=(
        "The mask is right. What happens before the mask, and what do those lines know of the whole text?",
        "x is (B, T, C). Along which axis are mean and spread taken, and which tokens are on it?",
        "A layer norm looks at each token alone: at its channels, the last axis. Two lines must change.",
    ),
    why="A norm over the time carries the end of the text into each token before any mask can hide it.",
)


EXERCISES = {
    "10.2": LOOK_SCORE,
    "10.3": SILENT,
    "10.4": INDUCTION_KEYS,
    "10.5": FIRST_GUESS,
    "10.5b": LENS,
    "10.6": PREFIX,
    "10.6b": PATIENT,
}
