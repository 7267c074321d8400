"""The exercises of 05_attention: the average of the past, masks, one head of attention, and many."""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 5.1 the average of the past


def past_average(x: Tensor) -> Tensor:
    T = x.size(-2)
    return x.cumsum(dim=-2) / torch.arange(1, T + 1).unsqueeze(-1)


def past_average_inputs(rng: random.Random) -> tuple[Tensor]:
    return (normal(rng, rng.randint(1, 9), rng.randint(1, 5)),)


def without_itself(x: Tensor) -> Tensor:
    earlier = x.cumsum(dim=-2) - x
    return earlier / torch.arange(len(x)).clamp(min=1).unsqueeze(-1)


def before_itself(x: Tensor) -> Tensor:
    return torch.stack([x[:t].mean(dim=0) for t in range(len(x))])


def by_columns(x: Tensor) -> Tensor:
    shares = torch.ones(len(x), len(x)).tril()
    return shares / shares.sum(dim=0)


PAST_AVERAGE = Exercise(
    past_average,
    "each row is the mean of itself and the rows above it",
    past_average_inputs,
    text="Row t of the answer is the mean of rows 0 to t of x, which has shape (T, C).",
    wrong=(
        Wrong(
            "each row is the mean of all rows, so row 0 already knows the last word; which rows may row t use?",
            lambda x: x.mean(dim=-2, keepdim=True).expand_as(x),
        ),
        Wrong(
            "every row is divided by T; how many rows have been added up by row t?",
            lambda x: x.cumsum(dim=-2) / x.size(-2),
        ),
        Wrong("the rows are added up and not yet divided", lambda x: x.cumsum(dim=-2)),
        Wrong("row t is the mean of the rows before it; may a word not count itself?", without_itself),
        Wrong(
            "the sum runs along the channels; `dim` should be the axis of the words",
            lambda x: x.cumsum(dim=-1) / torch.arange(1, x.size(-1) + 1),
        ),
        Wrong("row 0 is the mean of nothing: rows 0 to t, with row t among them", before_itself),
        Wrong(
            "each column of the shares adds up to 1; which should, the shares of a row or of a column?",
            lambda x: by_columns(x) @ x,
        ),
        Wrong(
            "the softmax sees zeros where the future is, and exp(0) = 1: hidden rows get a share too",
            lambda x: torch.ones(len(x), len(x)).tril().softmax(-1) @ x,
            22,
        ),
        Wrong(
            "each row is the mean of itself and the rows after it: the past is where t is smaller",
            lambda x: past_average(x.flip(-2)).flip(-2),
        ),
    ),
    hints=(
        "Add up first, divide afterwards. What stands in row 2 before you divide?",
        "`x.cumsum(dim=0)` adds each row to all rows above it. Row t is then the sum of t + 1 rows.",
        "Divide by 1, 2, ..., T, one number per row: a column of shape (T, 1).",
    ),
    why="`cumsum` sums rows 0 to t, and the column 1, 2, ..., T divides each row by how many it has.",
)


# ---- 5.3 a window


def window_mask(T: int, w: int) -> Tensor:
    distance = torch.arange(T)[:, None] - torch.arange(T)
    return (distance >= 0) & (distance < w)


def window_inputs(rng: random.Random) -> tuple[int, int]:
    return rng.randint(4, 9), rng.choice([1, 2, 3, 12])


def distances(T: int) -> Tensor:
    return torch.arange(T)[:, None] - torch.arange(T)


WINDOW = Exercise(
    window_mask,
    "a word sees itself and the w - 1 words before it",
    window_inputs,
    kind="design",
    text="The causal mask (T, T) of a layer in which each word sees only the last w words, itself among them.",
    wrong=(
        Wrong(
            "the row sees the future: entry (t, s) must be false where s is larger than t",
            lambda T, w: distances(T).abs() < w,
        ),
        Wrong(
            "rows and columns are swapped, so each word sees itself and what comes after; row t is the query",
            lambda T, w: window_mask(T, w).T,
            mistake=25,
        ),
        Wrong(
            "no word sees itself; what is the softmax of a first row in which nothing is left?",
            lambda T, w: (distances(T) > 0) & (distances(T) <= w),
            mistake=26,
        ),
        Wrong(
            "the window is one too wide: with w = 1 a word should see only itself",
            lambda T, w: (distances(T) >= 0) & (distances(T) <= w),
        ),
        Wrong(
            "the window is one too narrow: a word should count among the w that it sees",
            lambda T, w: (distances(T) >= 0) & (distances(T) < max(w - 1, 1)),
        ),
        Wrong("the whole past is seen: nothing limits how far back", lambda T, w: distances(T) >= 0),
        Wrong("the whole future is seen: nothing hides what comes after the word", lambda T, w: distances(T) < w),
        Wrong(
            "a word does not see itself, and only w - 1 words before it",
            lambda T, w: (distances(T) > 0) & (distances(T) < w),
            26,
        ),
        Wrong(
            "it is true where a word may not look; in this series a mask is true where it may",
            lambda T, w: ~window_mask(T, w),
        ),
    ),
    hints=(
        "Ask of each pair (t, s) how far s lies behind t.",
        "`torch.arange(T)[:, None] - torch.arange(T)` is that distance, for all pairs at once.",
        "The distance must be at least 0 and less than w. `&` joins two conditions on tensors.",
    ),
    why="Distance 0 is the word itself, w - 1 the farthest it may see; below 0 lies the future.",
)


# ---- 5.4 the size of a score


TYPICAL_SCORE = Exercise(
    lambda: "8",
    "64 terms of variance 1 have a sum of variance 64, and its root is the typical size",
    kind="predict",
    text="Queries and keys are random numbers of mean 0 and variance 1. How large is a typical score when D is 64?",
    choices=("1", "8", "64", "4096"),
    wrong=(
        Wrong("the terms do not average out to the size of one: 64 of them are added, not averaged", "1"),
        Wrong("64 is the variance of the sum; the typical size is measured in the same unit as the score", "64"),
        Wrong("terms with both signs cancel in part: their sum grows slower than their number", "4096"),
    ),
    hints=(
        "What is the variance of one product of two such numbers?",
        "Variances of independent terms add up. The score has D terms.",
        "The typical size of a number with mean 0 is the root of its variance.",
    ),
    why="Var(q·k) = D, so a score is about √D large: 8 for D = 64, 16 for D = 256.",
)


# ---- 5.5 one head


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = q @ k.mT / math.sqrt(k.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def attention_inputs(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Two texts and three heads, so that a softmax over the wrong axis shows; no mask, a causal one, one with holes.

    Now and then scores of ten thousands, in whole numbers, so that every way to add them up gives the same.
    """
    T, D = rng.choice([3, 5, 6, 7]), rng.choice([4, 16])
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    holes = torch.rand(T, T, generator=generator(rng)) < 0.3
    mask = rng.choice([causal, causal & ~holes | torch.eye(T, dtype=torch.bool), None])
    if rng.random() < 0.4:
        q, k = torch.randint(-3, 4, (2, 2, 3, T, D), generator=generator(rng)).float()
        return q * 2.0**14, k, normal(rng, 2, 3, T, D), mask
    q, k, v = 2 * normal(rng, 3, 2, 3, T, D)
    return q, k, v, mask


def attend(
    scale: Callable[[Tensor], float] = lambda q: math.sqrt(q.size(-1)),
    hide: Callable[[Tensor, Tensor], Tensor] = lambda scores, mask: scores.masked_fill(~mask, -math.inf),
    dim: int = -1,
) -> Callable[..., Tensor]:
    """Attention with one step replaced."""

    def variant(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = q @ k.mT / scale(q)
        scores = scores if mask is None else hide(scores, mask)
        return torch.softmax(scores, dim=dim) @ v

    return variant


def mask_after(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = torch.softmax(q @ k.mT / math.sqrt(q.size(-1)), dim=-1)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ v


def rows_are_means(attempt: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> bool:
    """With values of 1 everywhere, an average is 1."""
    out = attempt(q, k, torch.ones_like(v), mask)
    return torch.allclose(torch.as_tensor(out, dtype=torch.float32), torch.ones_like(v), atol=1e-3)


def by_hand(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = q @ k.mT / math.sqrt(q.size(-1))
    e = torch.exp(scores if mask is None else scores.masked_fill(~mask, -math.inf))
    return e / e.sum(-1, keepdim=True) @ v


def divided_again(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = torch.softmax(q @ k.mT / math.sqrt(q.size(-1)), dim=-1)
    weights = weights if mask is None else weights * mask
    return weights / weights.sum(-1, keepdim=True) @ v


def keys_ask(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return attention(k, q, v, mask)


def past_keeps_its_answers(
    attempt: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
) -> bool:
    """With a causal mask, another last word changes only the last row."""
    if mask is None or k.abs().max() > 100:
        return True
    last = torch.arange(k.size(-2))[:, None] == k.size(-2) - 1
    before, after = attempt(q, k, v, mask), attempt(q, k + 3 * last, v - 2 * last, mask)
    return bool((torch.as_tensor(before - after)[..., :-1, :].abs() < 1e-3).all())


ATTENTION = Exercise(
    attention,
    "scores, scale, mask, softmax over the keys, values",
    attention_inputs,
    text="Scores, scale, mask, softmax, values: q, k and v are (..., T, D), mask is true where a query may look.",
    wrong=(
        Wrong(
            "the scores are divided by the root of the embedding's size, all heads together; a score has only D terms",
            attend(scale=lambda q: math.sqrt(q.size(-1) * q.size(1))),
            mistake=18,
        ),
        Wrong(
            "the scores are not divided; plot the largest weight of each row for D = 16, 64, 256",
            attend(lambda q: 1.0),
            19,
        ),
        Wrong(
            "the scores are divided by D; what is the variance of q·k, and its root?", attend(lambda q: q.size(-1)), 20
        ),
        Wrong(
            "the scores are divided by D squared; what is the variance of q·k?", attend(lambda q: q.size(-1) ** 2), 20
        ),
        Wrong(
            "the mask comes after the softmax: print the sums of the rows; their denominator has seen the future",
            mask_after,
            21,
        ),
        Wrong(
            "hidden scores are set to 0, and exp(0) = 1: hidden words still vote",
            attend(hide=lambda scores, mask: scores.masked_fill(~mask, 0.0)),
            22,
        ),
        Wrong(
            "the softmax runs over the queries; which sum must be 1, that of a row or of a column?", attend(dim=-2), 23
        ),
        Wrong(
            "the softmax runs over the heads (dim=1); draw the box (B, H, T, T): which sum must be 1?",
            attend(dim=1),
            24,
        ),
        Wrong(
            "the mask is not used: change a later word, and earlier answers move",
            attend(hide=lambda scores, mask: scores),
            25,
        ),
        Wrong(
            "the mask is used the wrong way round: it is true where a query may look",
            attend(hide=lambda scores, mask: scores.masked_fill(mask, -math.inf)),
            25,
        ),
        Wrong(
            "the scores are divided by the root of the number of words; D is the length of one query",
            attend(scale=lambda q: math.sqrt(q.size(-2))),
        ),
        Wrong(
            "the scores are divided by the root of the number of heads; with heads in front, D is the last size",
            attend(scale=lambda q: math.sqrt(q.size(1))),
        ),
        Wrong(
            "the scores are multiplied by the root of D; they should get smaller", attend(lambda q: q.size(-1) ** -0.5)
        ),
        Wrong("the keys ask and the queries answer: a row of the scores should belong to a query", keys_ask),
        Wrong(
            "exp overflows where scores are large; subtract the largest score of a row first: the shares stay the same",
            by_hand,
        ),
        Wrong(
            "masked after the softmax and divided again: where hidden words had taken everything, 0 is divided by 0",
            divided_again,
            21,
        ),
        Wrong(
            "hidden scores get a large negative number, and a model can learn lower ones: below which are none?",
            attend(hide=lambda scores, mask: scores.masked_fill(~mask, -1e4)),
            27,
        ),
    ),
    properties=(
        Property(
            "another last word changes the answers of words before it: how does the future get in?",
            past_keeps_its_answers,
        ),
        Property("a row's weights do not add up to 1: values of 1 everywhere should give 1", rows_are_means),
    ),
    hints=(
        "Two matrix products with a softmax between them. Where does the mask go, before or after the softmax?",
        "`q @ k.mT` are the scores, (..., T, T): a row per query. Divide them by the root of D, which is `q.size(-1)`.",
        "`scores.masked_fill(~mask, -math.inf)` hides; the softmax runs over `dim=-1`, the keys; then `@ v`.",
    ),
    why="The order matters: masked before the softmax, a hidden word has weight exp(-inf) = 0 and no share in the sum.",
)


# ---- 5.6 heads


def split_heads(x: Tensor, n_head: int) -> Tensor:
    B, T, C = x.shape
    return x.view(B, T, n_head, C // n_head).transpose(1, 2)


def split_inputs(rng: random.Random) -> tuple[Tensor, int]:
    B, H, T, D = rng.randint(2, 5), *rng.sample(range(2, 6), 3)
    return torch.arange(B * T * H * D).view(B, T, H * D).float(), H


SPLIT = Exercise(
    split_heads,
    "cut the channels first, then bring the heads in front",
    split_inputs,
    text="From (B, T, C) to (B, H, T, D) with D = C // n_head: head h gets channels h * D on of every token.",
    wrong=(
        Wrong(
            "asking for (B, H, T, D) at once cuts the text, not the channels; what should element [0, 1, 0] hold?",
            lambda x, H: x.reshape(x.size(0), H, x.size(1), -1),
            28,
        ),
        Wrong(
            "the heads are cut and still stand behind the tokens: (B, T, H, D)",
            lambda x, H: x.view(*x.shape[:2], H, -1),
        ),
        Wrong(
            "each head gets every n_head-th channel; head 0 should get the first D channels, side by side",
            lambda x, H: x.view(*x.shape[:2], -1, H).permute(0, 3, 1, 2),
        ),
        Wrong(
            "the channels are cut into D pieces of H: name the sizes of your view one by one",
            lambda x, H: x.view(*x.shape[:2], -1, H).transpose(1, 2),
        ),
        Wrong(
            "texts and heads are swapped: (H, B, T, D)",
            lambda x, H: x.view(*x.shape[:2], H, -1).permute(2, 0, 1, 3),
        ),
        Wrong(
            "tokens and channels of a head are swapped: (B, H, D, T)",
            lambda x, H: x.view(*x.shape[:2], H, -1).permute(0, 2, 3, 1),
        ),
    ),
    hints=(
        "Two steps, and the first must leave the tokens where they are. Which axis is cut?",
        "`view` with four sizes cuts the channels of each token into heads, if the first two sizes stay.",
        "Then heads and tokens change places: dimensions 1 and 2.",
    ),
    why="`view` keeps the order of the numbers, so only the last axis may be cut; `transpose` then reorders the axes.",
)


def merge_heads(x: Tensor) -> Tensor:
    B, H, T, D = x.shape
    return x.transpose(1, 2).reshape(B, T, H * D)


def broken_merge(x):
    B, H, T, D = x.shape
    return x.transpose(1, 2).view(B, T, H * D)


def merge_inputs(rng: random.Random) -> tuple[Tensor]:
    B, H, T, D = rng.randint(2, 5), *rng.sample(range(2, 6), 3)
    return (torch.arange(B * H * T * D).view(B, H, T, D).float(),)


MERGE = Exercise(
    merge_heads,
    "first the heads behind the tokens again, then the join, with a copy where numbers do not lie side by side",
    merge_inputs,
    kind="mend",
    text="It should put the heads side by side again, from (B, H, T, D) to (B, T, C). Run it, and mend it.",
    given=broken_merge,
    wrong=(
        Wrong(
            "`view` never copies, and after `transpose` the numbers of one token do not lie side by side",
            broken_merge,
            30,
        ),
        Wrong(
            "joined without bringing the heads back behind the tokens: undo the split in reverse order",
            lambda x: x.reshape(x.size(0), x.size(2), -1),
            29,
        ),
        Wrong(
            "the channels of all heads are shuffled together: heads should stand in front of their channels",
            lambda x: x.permute(0, 2, 3, 1).reshape(x.size(0), x.size(2), -1),
        ),
        Wrong(
            "tokens have changed places with channels, and not with heads: which two axes did the split swap?",
            lambda x: x.transpose(2, 3).reshape(x.size(0), x.size(2), -1),
        ),
        Wrong(
            "the heads are joined, and the answer is (B, C, T): tokens and channels have changed places",
            lambda x: x.transpose(1, 2).flatten(2, 3).mT,
        ),
    ),
    hints=(
        "Read the last line of the error: which of the two calls raises it?",
        "After `transpose` the numbers of one token do not lie side by side in memory. `view` never copies.",
        "Keep the transpose. Replace `view` by the call that copies where it must, or call `.contiguous()` before it.",
    ),
    why="`transpose` changes how memory is read, not what lies in it; joining two axes then needs a copy.",
)


# ---- 5.7 the layer


class Head(nn.Module):
    def __init__(self, C: int, D: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(C, D, bias=False)
        self.to_k = nn.Linear(C, D, bias=False)
        self.to_v = nn.Linear(C, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        future = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(1)
        scores = (q @ k.mT / math.sqrt(q.size(-1))).masked_fill(future, -math.inf)
        return torch.softmax(scores, dim=-1) @ v


class BrokenHead(nn.Module):
    def __init__(self, C, D):
        super().__init__()
        self.to_q = nn.Linear(C, D, bias=False)
        self.to_k = nn.Linear(C, D, bias=False)
        self.to_v = nn.Linear(C, D, bias=False)

    def forward(self, x):
        q, k, v = self.to_q(x), self.to_k(x), self.to_k(x)
        future = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(1)
        scores = (q @ k.mT / math.sqrt(q.size(-1))).masked_fill(future, -math.inf)
        return torch.softmax(scores, dim=-1) @ v


class ValuesForAll(Head):
    def forward(self, x: Tensor) -> Tensor:
        self.to_k = self.to_v
        return super().forward(x)


class QueriesForAll(Head):
    def forward(self, x: Tensor) -> Tensor:
        v = self.to_q(x)
        return attention(self.to_q(x), self.to_k(x), v, torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril())


class Swapped(Head):
    def forward(self, x: Tensor) -> Tensor:
        self.to_k, self.to_v = self.to_v, self.to_k
        return super().forward(x)


class KeysAsk(Head):
    def forward(self, x: Tensor) -> Tensor:
        self.to_q, self.to_k = self.to_k, self.to_q
        return super().forward(x)


class WideScale(Head):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        q = q * math.sqrt(q.size(-1) / x.size(-1))
        return attention(q, k, v, torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril())


class NoMask(Head):
    def forward(self, x: Tensor) -> Tensor:
        return attention(self.to_q(x), self.to_k(x), self.to_v(x))


def head_inputs(rng: random.Random) -> tuple[Tensor, Tensor]:
    """A batch of two texts, and the weights of the three maps."""
    C, D = rng.randint(4, 6), rng.randint(2, 3)
    return normal(rng, 2, rng.randint(3, 6), C), normal(rng, 3, D, C)


def use_head(attempt: type[nn.Module], x: Tensor, weights: Tensor) -> dict[str, object]:
    """Its answer with these weights, and which of its weights have no part in it."""
    if isinstance(attempt, nn.Module):
        raise TypeError("pass the class itself, not a head that is built")
    head = attempt(x.size(-1), weights.size(1))
    named = {name: getattr(head, name) for name in ("to_q", "to_k", "to_v")}
    with torch.no_grad():
        for linear, weight in zip(named.values(), weights, strict=True):
            linear.weight.copy_(weight)
    out = head(x)
    if not isinstance(out, Tensor):
        return {"its answer": out}
    out.sum().backward()
    idle = [name for name, linear in named.items() if linear.weight.grad is None]
    return {"its answer": out, "maps without a gradient": idle}


HEAD = Exercise(
    Head,
    "queries, keys and values each from their own map, so every weight gets a gradient",
    head_inputs,
    kind="mend",
    text="A head that trains without complaint. Which of its maps never changes? Mend it, and keep the names.",
    given=BrokenHead,
    use=use_head,
    wrong=(
        Wrong(
            "the values come from `to_k`; list the weights without a gradient: `to_v` has no part in it", BrokenHead, 31
        ),
        Wrong("the values come from `to_q`; each of the three maps has one job", QueriesForAll, 31),
        Wrong("keys and values come from the same map now, `to_v`; each of the three has one job", ValuesForAll, 31),
        Wrong("keys and values have changed places: the keys come from `to_v`", Swapped),
        Wrong("queries and keys have changed places: the queries come from `to_k`", KeysAsk),
        Wrong("the root is that of the embedding's size now; a score has as many terms as a key", WideScale, 18),
        Wrong("the values are right now, and the mask is gone: each word sees its future", NoMask, 25),
    ),
    hints=(
        "Call `.backward()` on the sum of its answer and print the `.grad` of the three weights.",
        "One of them is None: that map is never used.",
        "Look at the line that makes q, k and v, and read the name of each map aloud.",
    ),
    why="A copied line that was not changed. The loss goes down all the same: keys are poor values, not useless ones.",
)


EXERCISES = {
    "5.1": PAST_AVERAGE,
    "5.3": WINDOW,
    "5.4": TYPICAL_SCORE,
    "5.5": ATTENTION,
    "5.6": SPLIT,
    "5.6b": MERGE,
    "5.7": HEAD,
}
