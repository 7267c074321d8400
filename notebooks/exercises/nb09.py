"""The exercises of 09_sampling: the greedy loop, the filters, a step with a cache, the finished loop, and streams."""

import codecs
import math
import random
from collections.abc import Callable
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 9.1 the greedy loop


def greedy(next_logits: Callable[[list[int]], Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    ids = list(ids)
    for _ in range(max_new):
        ids.append(next_logits(ids).argmax().item())
        if ids[-1] == stop:
            break
    return ids


def greedy_inputs(rng: random.Random) -> tuple[Callable[[list[int]], Tensor], list[int], int, int]:
    """Logits that depend on all ids and on their places; a stop id in the prompt stops nothing."""
    V = rng.randint(3, 5)
    table = normal(rng, 64, V, V)
    ids = [rng.randrange(V) for _ in range(rng.randint(2, 5))]

    def next_logits(ids: list[int]) -> Tensor:
        return table[torch.arange(len(ids)), torch.tensor(ids)].sum(dim=0)

    max_new = 0 if rng.random() < 0.35 else rng.randint(2, 9)
    return next_logits, ids, max_new, rng.choice([ids[-1], rng.randrange(V)])


def greedy_with(
    look: Callable[[list[int]], list[int]] = lambda ids: ids,
    choose: Callable[[Tensor], int] = lambda logits: logits.argmax().item(),
    stops: Callable[[list[int], int, int], bool] = lambda ids, given, stop: ids[-1] == stop,
    result: Callable[[list[int], int], list[int]] = lambda ids, given: ids,
    stop_first: bool = False,
    copy: bool = True,
) -> Callable[..., list[int]]:
    """The loop with one part replaced."""

    def variant(next_logits: Callable[[list[int]], Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
        given, ids = len(ids), list(ids) if copy else ids
        for _ in range(max_new):
            new = choose(next_logits(look(ids)))
            if stop_first and new == stop:
                break
            ids.append(new)
            if not stop_first and stops(ids, given, stop):
                break
        return result(ids, given)

    return variant


def until_long_enough(next_logits: Callable[..., Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    return greedy(next_logits, ids, max(0, max_new - len(ids)), stop)


def while_no_stop(next_logits: Callable[..., Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    ids, end = list(ids), len(ids) + max_new
    while ids[-1] != stop and len(ids) < end:
        ids.append(next_logits(ids).argmax().item())
    return ids


def never_looks_again(next_logits: Callable[..., Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    return greedy(lambda _: next_logits(ids), ids, max_new, stop)


def at_least_one(next_logits: Callable[..., Tensor], ids: list[int], max_new: int, stop: int) -> list[int]:
    return greedy(next_logits, ids, max(1, max_new), stop)


GREEDY = Exercise(
    greedy,
    "look at all ids, append the likeliest, end at the stop",
    greedy_inputs,
    text="Append the likeliest id until there are max_new new ones or `stop` was appended; return all ids.",
    wrong=(
        Wrong("nothing stops it: the loop should end once `stop` was appended", greedy_with(stops=lambda *_: False)),
        Wrong(
            "the stop ends the loop and is not appended; the caller would not see that the text is complete",
            greedy_with(stop_first=True),
        ),
        Wrong(
            "a stop at the end of the prompt ends everything: only an id that was appended should stop the loop",
            while_no_stop,
        ),
        Wrong(
            "a stop anywhere in the prompt ends the loop after one token: look at the id just appended",
            greedy_with(stops=lambda ids, given, stop: stop in ids),
        ),
        Wrong(
            "`max_new` counts the ids given as well, so a long prompt leaves no room for new ones", until_long_enough
        ),
        Wrong(
            "the model is always shown the ids given alone: what was appended should be seen as well", never_looks_again
        ),
        Wrong("with `max_new` at 0 one id is appended all the same: the end is looked for too late", at_least_one),
        Wrong(
            "only the last id is shown to the model, and it forgets what stood before: pass all ids so far",
            greedy_with(look=lambda ids: ids[-1:]),
        ),
        Wrong("the ids given are missing in what comes back", greedy_with(result=lambda ids, given: ids[given:])),
        Wrong("it takes the least likely id", greedy_with(choose=lambda logits: logits.argmin().item())),
        Wrong("the caller's list has grown: work on a copy", greedy_with(copy=False)),
    ),
    hints=(
        "A loop of at most `max_new` rounds, and a way out of it. What has to happen before the loop, so that the list "
        "of the caller stays as it is?",
        "One round: ask `next_logits` with all ids so far, find the place of the largest logit, append it.",
        "`.argmax().item()` is that place as a number. Then compare the id just appended with `stop`.",
    ),
    why="The stop is looked for only among new ids, so a prompt may end in it: a tale begins behind one.",
)


# ---- 9.2 the dial


def at_half() -> str:
    first, second = torch.softmax(torch.tensor([2.0, 1.0, 0.0]) / 0.5, dim=-1)[:2].tolist()
    return f"{first / second:.1f}"


TEMPERATURE = Exercise(
    at_half,
    "the difference of the logits doubles, so the ratio is squared",
    kind="predict",
    text="Logits 2, 1 and 0: at T = 1 the first token is e = 2.7 times as likely as the second. And at T = 0.5?",
    choices=("1.6", "2.7", "5.4", "7.4"),
    wrong=(
        Wrong("so it is at T = 2: a half makes the differences larger, as it divides", "1.6"),
        Wrong("the temperature changes the logits before softmax, and softmax sees larger differences", "2.7"),
        Wrong("the difference of the logits is doubled; what does that make of e to the power of it?", "5.4"),
    ),
    hints=(
        "What are the three logits after the division?",
        "The ratio of two probabilities is e to the difference of their logits: what both are divided by is the same.",
        "How large is the difference of the first two, divided by a half?",
    ),
    why="exp((2 - 1) / 0.5) = exp(2) = 7.4: a ratio is raised to the power 1 / T.",
)


# ---- 9.3 what is drawn from


def probabilities_of(logits, temperature, k):
    if temperature == 0:
        temperature, k = 1.0, 1
    order = logits.argsort(descending=True, stable=True)
    left = torch.full_like(logits, -math.inf)
    left[order[:k]] = logits[order[:k]] / temperature
    return torch.softmax(left, dim=-1)


def probabilities_inputs(rng: random.Random) -> tuple[Tensor, float, int]:
    """Three kinds of places: a tie at the k-th, a k above the vocabulary, temperature 0."""
    V = rng.randint(4, 7)
    logits, kind = 2 * normal(rng, V), rng.choice(["tie", "wide", "cold"])
    temperature, k = rng.choice([0.4, 0.7, 2.0]), rng.randint(2, V - 2)
    if kind == "tie":
        order = logits.argsort(descending=True)
        logits[order[k]] = logits[order[k - 1]]
    return logits, 0 if kind == "cold" else temperature, V + rng.randint(1, 9) if kind == "wide" else k


def smallest_first(logits: Tensor, k: int) -> Tensor:
    """True for the k likeliest, the smaller id first among equals."""
    keep = torch.zeros_like(logits, dtype=torch.bool)
    keep[logits.argsort(descending=True, stable=True)[:k]] = True
    return keep


def by_value(logits: Tensor, k: int) -> Tensor:
    return logits >= logits.topk(k).values[-1]


def cold(logits: Tensor) -> Tensor:
    return F.one_hot(logits.argmax(), len(logits)).float()


def probabilities_with(
    keep: Callable[[Tensor, int], Tensor] = smallest_first,
    soften: Callable[[Tensor, float], Tensor] = lambda left, T: torch.softmax(left / T, dim=-1),
    guard: bool = True,
) -> Callable[[Tensor, float, int], Tensor]:
    """Keep, then soften, with one of the two replaced, or without the case of temperature 0."""

    def variant(logits: Tensor, temperature: float, k: int) -> Tensor:
        if guard and temperature == 0:
            return cold(logits)
        return soften(logits.masked_fill(~keep(logits, k), -math.inf), temperature)

    return variant


def filter_after(logits: Tensor, temperature: float, k: int) -> Tensor:
    if temperature == 0:
        return cold(logits)
    return torch.softmax(logits / temperature, dim=-1) * smallest_first(logits, k)


def sums_to_one(attempt: Callable[..., Tensor], *arguments: Any) -> bool:
    return abs(torch.as_tensor(attempt(*arguments)).sum().item() - 1) < 1e-3


def is_number(attempt: Callable[..., Tensor], *arguments: Any) -> bool:
    return not bool(torch.as_tensor(attempt(*arguments)).isnan().any())


def at_most_k(attempt: Callable[..., Tensor], logits: Tensor, temperature: float, k: int) -> bool:
    return int((torch.as_tensor(attempt(logits, temperature, k)) > 0).sum()) <= k


PROBABILITIES = Exercise(
    probabilities_of,
    "the likeliest k by order, one softmax of logits over T, and a meaning for 0",
    probabilities_inputs,
    text="The probabilities to draw from at a temperature, of the k likeliest tokens alone; at 0 only the likeliest.",
    wrong=(
        Wrong(
            "at temperature 0 it gives NaN: a logit divided by 0 is infinite; which token should be left there?",
            probabilities_with(guard=False),
            56,
        ),
        Wrong(
            "k above the vocabulary is an error, and of equals at the k-th place all stay: count places, not values",
            probabilities_with(by_value),
            56,
        ),
        Wrong(
            "of equals at the k-th place all stay, so more than k are left; how many are in a slice of the order?",
            probabilities_with(lambda logits, k: by_value(logits, min(k, len(logits)))),
            56,
        ),
        Wrong(
            "k above the vocabulary is an error, though it asks for nothing impossible",
            probabilities_with(lambda logits, k: smallest_first(logits, logits.topk(k).indices.numel())),
            56,
        ),
        Wrong(
            "of equals at the k-th place the larger id stays; a stable sort puts the smaller one first",
            probabilities_with(lambda logits, k: smallest_first(logits.flip(0), k).flip(0)),
            56,
        ),
        Wrong(
            "softmax twice: probabilities lie so close together that the second one takes them for nearly equal",
            probabilities_with(soften=lambda left, T: torch.softmax(torch.softmax(left / T, dim=-1), dim=-1)),
            57,
        ),
        Wrong(
            "the temperature comes after softmax, and softmax again: only logits can be divided by it",
            probabilities_with(soften=lambda left, T: torch.softmax(torch.softmax(left, dim=-1) / T, dim=-1)),
            57,
        ),
        Wrong(
            "the probabilities are divided by the temperature and do not add up to 1: divide what goes into softmax",
            probabilities_with(soften=lambda left, T: torch.softmax(left, dim=-1) / T),
            57,
        ),
        Wrong(
            "the logits are multiplied by the temperature: which way should a small one move the leader?",
            probabilities_with(soften=lambda left, T: torch.softmax(left * T, dim=-1)),
        ),
        Wrong(
            "tokens are left out after softmax, and the rest does not add up to 1",
            filter_after,
        ),
    ),
    properties=(
        Property("there is NaN in it: what does softmax make of infinities, or of nothing?", is_number),
        Property("the probabilities do not add up to 1", sums_to_one),
        Property("more than k tokens are left", at_most_k),
    ),
    hints=(
        "Three steps and an exception: who stays, the temperature, softmax. At temperature 0 only one token stays; "
        "then the temperature does not matter.",
        "`logits.argsort(descending=True, stable=True)` has the ids from the likeliest on; a slice of it never raises.",
        "Begin with a tensor full of minus infinity, put the logits of the ids that stay into it, divide, and take "
        "softmax once, at the very end.",
    ),
    why="Minus infinity stays minus infinity under the division, and softmax makes a 0 of it: so the rest adds up to 1 "
    "by itself. Temperature 0 is the same with k = 1.",
)


# ---- 9.4 top-p


def top_p_mask(probabilities: Tensor, top_p: float) -> Tensor:
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=0) - ordered
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter(0, order, before < top_p)


def top_p_inputs(rng: random.Random) -> tuple[Tensor, float]:
    """A sure model and an unsure one; p never near a sum of probabilities, where rounding would decide."""
    sharpness = rng.choice([0.5, 2.0, 6.0])
    probabilities = torch.softmax(sharpness * normal(rng, rng.randint(3, 9)), dim=0)
    sums = [0.0, *probabilities.sort(descending=True).values.cumsum(dim=0).tolist()]
    wide = [(low, high) for low, high in pairwise(sums) if high - low > 0.01]
    low, high = rng.choice(wide)
    return probabilities, rng.uniform(low + 0.003, high - 0.003)


def top_p_by(
    keep: Callable[[Tensor, Tensor, float], Tensor], descending: bool = True, back: bool = True
) -> Callable[[Tensor, float], Tensor]:
    """A mask from the ordered probabilities and their sums, put back in the order of the tokens."""

    def variant(probabilities: Tensor, top_p: float) -> Tensor:
        ordered, order = probabilities.sort(descending=descending)
        kept = keep(ordered, ordered.cumsum(dim=0), top_p)
        return torch.zeros_like(kept).scatter(0, order, kept) if back else kept

    return variant


def first_and_below(ordered: Tensor, sums: Tensor, top_p: float) -> Tensor:
    kept = sums <= top_p
    kept[0] = True
    return kept


def one_more(ordered: Tensor, sums: Tensor, top_p: float) -> Tensor:
    return F.pad(sums - ordered < top_p, (1, 0), value=True)[:-1]


def reaches(attempt: Callable[..., Any], probabilities: Tensor, top_p: float) -> bool:
    return float(probabilities[torch.as_tensor(attempt(probabilities, top_p)).bool()].sum()) >= top_p


TOP_P = Exercise(
    top_p_mask,
    "a token stays while the mass in front of it is below p",
    top_p_inputs,
    text="True for the tokens that top-p keeps: the fewest likeliest ones that together reach p.",
    wrong=(
        Wrong(
            "the token that crosses the line is thrown out, and where the first one crosses, none is left: measure the "
            "mass in front of a token",
            top_p_by(lambda ordered, sums, top_p: sums <= top_p),
            55,
        ),
        Wrong(
            "the first token is saved now, but elsewhere the one that crosses the line is still thrown out",
            top_p_by(first_and_below),
            55,
        ),
        Wrong("one token too many: the one behind the crossing stays as well", top_p_by(one_more), 55),
        Wrong(
            "the answer is in order of size: each true must go back to the place of its token",
            top_p_by(lambda ordered, sums, top_p: sums - ordered < top_p, back=False),
        ),
        Wrong(
            "the mask is read through `order`, which mixes it once more: entry i of `order` says where entry i belongs",
            lambda probabilities, top_p: top_p_mask(probabilities.sort(descending=True).values, top_p)[
                probabilities.argsort(descending=True)
            ],
        ),
        Wrong(
            "the probabilities are added up as they stand; top-p begins with the largest",
            lambda probabilities, top_p: probabilities.cumsum(dim=0) - probabilities < top_p,
        ),
        Wrong(
            "it begins with the least likely: sort from the largest on",
            top_p_by(lambda ordered, sums, top_p: sums - ordered < top_p, descending=False),
        ),
        Wrong(
            "each probability is compared with p on its own; it is their sum that should reach p",
            lambda probabilities, top_p: probabilities >= top_p,
        ),
        Wrong(
            "true stands for the tokens that are thrown out",
            lambda probabilities, top_p: ~top_p_mask(probabilities, top_p),
        ),
    ),
    properties=(Property("the tokens that stay do not reach p together", reaches),),
    hints=(
        "Sort from the largest on. What stands in front of the first token, and is that below p?",
        "The mass in front of a token is the cumulative sum without the token's own share.",
        "The comparison gives a mask in order of size. `sort` also gives where each one came from; `scatter`, or an "
        "assignment to `mask[order]`, puts it back.",
    ),
    why="In front of the first token stands nothing, so it always stays. The one that crosses the line has less than "
    "p in front of it, so it stays, too.",
)


# ---- 9.5 one token and a cache


def cached_step(new, places, maps, keys, values):
    q, k, v = (new + places[len(keys)]) @ maps
    keys, values = torch.cat([keys, k]), torch.cat([values, v])
    out = F.scaled_dot_product_attention(q, keys, values)
    return out, keys, values


def broken_step(new, places, maps, keys, values):
    q, k, v = (new + places[0]) @ maps
    keys, values = torch.cat([keys, k]), torch.cat([values, v])
    out = F.scaled_dot_product_attention(q, keys, values, is_causal=True)
    return out, keys, values


def step_inputs(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    C, D, n = rng.randint(3, 5), rng.randint(2, 4), rng.randint(1, 5)
    return normal(rng, 1, C), normal(rng, 8, C), normal(rng, 3, C, D), normal(rng, n, D), normal(rng, n, D)


def step_with(
    place: Callable[[int], int] = lambda n: n,
    causal: bool = False,
    seen: slice = slice(None),
    grown: bool = True,
    behind: bool = True,
) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """The step with one part replaced."""

    def variant(
        new: Tensor, places: Tensor, maps: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (new + places[place(len(keys))]) @ maps
        all_keys, all_values = (torch.cat(pair if behind else pair[::-1]) for pair in ([keys, k], [values, v]))
        out = F.scaled_dot_product_attention(q, all_keys[seen], all_values[seen], is_causal=causal)
        return (out, all_keys, all_values) if grown else (out, keys, values)

    return variant


STEP = Exercise(
    cached_step,
    "the new token stands behind all others, and may look at every one of them",
    step_inputs,
    kind="mend",
    text="One new token goes through a head of attention: it gets its place, its key and value join those of before, "
    "and its query looks at all of them. Two slips are in it.",
    given=broken_step,
    wrong=(
        Wrong(
            "every token stands at place 0, and its query sees only the oldest key: compare with the whole text",
            broken_step,
            33,
        ),
        Wrong(
            "it looks at all keys now, but still believes that it stands at place 0: how many stand in front of it?",
            step_with(place=lambda n: 0),
            33,
        ),
        Wrong(
            "its place is right now, but one causal query is taken for the first: it sees the oldest key alone",
            step_with(causal=True),
            33,
        ),
        Wrong(
            "the place is counted with the new token in it: the first token of a text stands at 0",
            step_with(lambda n: n + 1),
            33,
        ),
        Wrong("it gets the place of the token in front of it", step_with(lambda n: n - 1), 33),
        Wrong("it gets the last place of the table, wherever it stands", step_with(lambda n: -1)),
        Wrong("it looks at itself alone: what were the keys kept for?", step_with(seen=slice(-1, None))),
        Wrong("it looks at the past and not at itself", step_with(seen=slice(-1))),
        Wrong(
            "the keys and values that come back have not grown: the next token will miss this one",
            step_with(grown=False),
        ),
        Wrong(
            "the new key and value stand in front of the old ones; what is counted from the front would be wrong",
            step_with(behind=False),
        ),
    ),
    hints=(
        "Give it a text of two tokens, one after the other, and both at once to `F.scaled_dot_product_attention` with "
        "`is_causal=True`. Which number of the second row differs first?",
        "`places` has a row for each place in a text. How many tokens are in the cache when a new one comes?",
        "A causal mask is cut from its upper left corner: one row of it belongs to the first token. Which keys must "
        "be hidden from the newest one?",
    ),
    why="A token that comes last may look at everything, so no mask is needed; the number of keys is its place.",
)


# ---- 9.6 the loop, finished


class Little(nn.Module):
    """Logits from all tokens before, and their places, with dropout; a text above the context is a ValueError."""

    def __init__(self, table: Tensor, block_size: int, training: bool) -> None:
        super().__init__()
        self.config = SimpleNamespace(block_size=block_size, vocab_size=table.size(1))
        self.table, self.drop = nn.Parameter(table), nn.Dropout(0.5)
        self.train(training)

    def forward(self, idx: Tensor) -> Tensor:
        T = idx.size(1)
        size = self.config.block_size
        if size < T:
            raise ValueError(f"{T} tokens do not fit into a context of {size}; give the last {size}")
        return self.drop(self.table[torch.arange(T), idx]).cumsum(dim=1)


def generate(model: nn.Module, idx: Tensor, max_new: int) -> Tensor:
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            for _ in range(max_new):
                logits = model(idx[:, -model.config.block_size :])[:, -1]
                idx = torch.cat([idx, logits.argmax(dim=-1, keepdim=True)], dim=1)
    finally:
        model.train(was)
    return idx


def generate_inputs(rng: random.Random) -> tuple[nn.Module, Tensor, int]:
    """Two texts that outgrow the context; a model that is training, and now and then one that is not."""
    V, size, T = rng.randint(7, 9), rng.randint(3, 5), rng.randint(2, 3)
    idx = torch.randint(V, (2, T), generator=generator(rng))
    return Little(normal(rng, size, V, V), size, rng.random() < 0.65), idx, rng.randint(4, 6)


def use_generate(attempt: Callable[..., Tensor], model: nn.Module, idx: Tensor, max_new: int) -> dict[str, Any]:
    return {"ids": attempt(model, idx, max_new), "model.training afterwards": model.training}


def generate_with(
    window: Callable[[Tensor, int], Tensor] = lambda idx, size: idx[:, -size:],
    choose: Callable[[Tensor], Tensor] = lambda logits: logits[:, -1].argmax(dim=-1, keepdim=True),
    evaluates: bool = True,
    afterwards: Callable[[bool], bool] = lambda was: was,
    result: Callable[[Tensor, int], Tensor] = lambda idx, given: idx,
    forgets: bool = False,
) -> Callable[[nn.Module, Tensor, int], Tensor]:
    """The loop with one part replaced."""

    def variant(model: nn.Module, idx: Tensor, max_new: int) -> Tensor:
        was, given = model.training, idx.size(1)
        model.train(was and not evaluates)
        for _ in range(max_new):
            seen = window(idx, model.config.block_size)
            idx = torch.cat([seen if forgets else idx, choose(model(seen))], dim=1)
        model.train(afterwards(was))
        return result(idx, given)

    return variant


def writes_the_same_again(attempt: Callable[..., Tensor], model: nn.Module, idx: Tensor, max_new: int) -> bool:
    return bool((torch.as_tensor(attempt(model, idx, max_new)) == torch.as_tensor(attempt(model, idx, max_new))).all())


GENERATE = Exercise(
    generate,
    "dropout off while it writes, the mode of before afterwards, and the last position decides",
    generate_inputs,
    text="The greedy loop for a model and a batch: (B, T) in, (B, T + max_new) out, also past the context. Afterwards "
    "the model is in the mode it was in.",
    use=use_generate,
    wrong=(
        Wrong(
            "dropout is on while it writes, so chance decides which logit is the largest: which mode is the model in?",
            generate_with(evaluates=False),
            58,
        ),
        Wrong(
            "the model stays in eval mode, so the training that goes on afterwards has no dropout, and nobody says so",
            generate_with(afterwards=lambda was: False),
            58,
        ),
        Wrong(
            "afterwards the model is in train mode, even if it was not before: remember the mode it was in",
            generate_with(afterwards=lambda was: True),
            58,
        ),
        Wrong(
            "every position of the text brings a token, and all of them are appended: only the last one is new",
            generate_with(choose=lambda logits: logits.argmax(dim=-1)),
            57,
        ),
        Wrong(
            "the logits of the first position decide; what is asked for is what follows the last",
            generate_with(choose=lambda logits: logits[:, 0].argmax(dim=-1, keepdim=True)),
            57,
        ),
        Wrong(
            "past the context the model refuses the text: show it only what it can look at",
            generate_with(window=lambda idx, size: idx),
        ),
        Wrong(
            "past the context it looks at the beginning of the text, and the new tokens are not seen at all",
            generate_with(window=lambda idx, size: idx[:, :size]),
        ),
        Wrong(
            "what was cut off for the model is lost in the answer, too: keep the whole text",
            generate_with(forgets=True),
        ),
        Wrong("the prompt is missing in what comes back", generate_with(result=lambda idx, given: idx[:, given:])),
    ),
    properties=(
        Property(
            "called twice it writes two texts: is dropout off while it writes, and nothing drawn?",
            writes_the_same_again,
        ),
    ),
    hints=(
        "Before the loop: remember `model.training`, then `model.eval()`. What comes behind the loop?",
        "In the loop the model sees the last `model.config.block_size` ids, and of its logits (B, T, V) only those of "
        "the last position count.",
        "The argmax of (B, V) with `keepdim=True` is a column (B, 1), which `torch.cat(..., dim=1)` appends. After the "
        "loop, `model.train(...)` takes the mode as its argument.",
    ),
    why="With `try` and `finally` the mode comes back even when something fails in between. `evaluating` from notebook "
    "08 is that in one word.",
)


# ---- 9.7 text as it comes


def pieces(tokens: list[bytes]) -> list[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [decoder.decode(token) for token in tokens]


def pieces_inputs(rng: random.Random) -> tuple[list[bytes]]:
    """Characters of one to four bytes, cut anywhere; one is cut for sure behind a complete one; an empty piece too."""
    data = "".join(rng.choice("ab .éß한국🦊🙂") for _ in range(rng.randint(1, 9))).encode()
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(0, len(data))))
    letter, fox = rng.choice("ab").encode(), rng.choice("é한🦊").encode()
    split = rng.randint(1, len(fox) - 1)
    return ([data[a:b] for a, b in pairwise([0, *cuts, len(data)])] + [letter + fox[:split], fox[split:]],)


def all_or_nothing(tokens: list[bytes]) -> list[str]:
    """Whatever is held is shown when all of it can be decoded, and not before."""
    held, shown = b"", []
    for token in tokens:
        held += token
        try:
            shown.append(held.decode())
            held = b""
        except UnicodeDecodeError:
            shown.append("")
    return shown


def all_so_far(tokens: list[bytes]) -> list[str]:
    return list(accumulate(pieces(tokens)))


def lost_halves(tokens: list[bytes]) -> list[str]:
    """A piece that cannot be decoded is dropped."""
    shown = []
    for token in tokens:
        try:
            shown.append(token.decode())
        except UnicodeDecodeError:
            shown.append("")
    return shown


def joined_is_the_text(attempt: Callable[..., Any], tokens: list[bytes]) -> bool:
    return "".join(attempt(tokens)) == b"".join(tokens).decode()


def one_for_each(attempt: Callable[..., Any], tokens: list[bytes]) -> bool:
    return len(list(attempt(tokens))) == len(tokens)


PIECES = Exercise(
    pieces,
    "an incomplete character waits for its last byte",
    pieces_inputs,
    text="For each piece of bytes the text that can be shown after it; an incomplete character is held back.",
    wrong=(
        Wrong(
            "a piece that ends in the middle of a character cannot be decoded alone: join bytes before you decode",
            lambda tokens: [token.decode() for token in tokens],
            8,
        ),
        Wrong(
            "incomplete characters are replaced by U+FFFD: each half is decoded alone, and should wait for the other",
            lambda tokens: [token.decode(errors="replace") for token in tokens],
            8,
        ),
        Wrong(
            "characters that are cut are lost: both halves are left out, where one should wait for the other",
            lambda tokens: [token.decode(errors="ignore") for token in tokens],
            8,
        ),
        Wrong("a piece with an incomplete character is lost, with all that is in it", lost_halves, 8),
        Wrong(
            "complete characters wait with the incomplete one behind them: hold back only its bytes",
            all_or_nothing,
            8,
        ),
        Wrong("each entry is all the text so far; show what is new", all_so_far),
        Wrong(
            "everything comes at the end: it is right, and nobody wants to wait for it",
            lambda tokens: [""] * (len(tokens) - 1) + [b"".join(tokens).decode()],
        ),
        Wrong(
            "entries without text are missing; there is one for each piece",
            lambda tokens: [p for p in pieces(tokens) if p],
        ),
    ),
    properties=(
        Property("there is not one entry for each piece", one_for_each),
        Property("joined, the entries are not the text", joined_is_the_text),
    ),
    hints=(
        "Keep the bytes that were not shown yet, and put the next piece behind them. How many of them are complete?",
        'An incomplete character is at most three bytes at the end. What does `decode` with `errors="ignore"` leave '
        "out of bytes that are valid up to there?",
        "Decode what is held, leaving out an incomplete end; encode the answer again to see how many bytes were shown; "
        "keep the rest. Or look into the module `codecs` for a decoder that remembers.",
    ),
    why="An incremental decoder keeps the bytes of an unfinished character until the next call.",
)


EXERCISES = {
    "9.1": GREEDY,
    "9.2": TEMPERATURE,
    "9.3": PROBABILITIES,
    "9.4": TOP_P,
    "9.5": STEP,
    "9.6": GENERATE,
    "9.7": PIECES,
}
