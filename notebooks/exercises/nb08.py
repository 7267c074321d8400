"""The exercises of 08_training: the loop, AdamW, which weights decay, the rate, clipping, measuring, one update."""

import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exercises import Exercise, Property, Wrong


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


class Pairs(nn.Module):
    """A model as small as can be: from each token a row of logits for the next, and an offset for all rows."""

    def __init__(self, table: Tensor, block_size: int) -> None:
        super().__init__()
        self.table, self.offset = nn.Parameter(table.clone()), nn.Parameter(torch.zeros(len(table)))
        self.block_size = block_size

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
        if idx.size(1) > self.block_size:
            raise ValueError(f"{idx.size(1)} tokens do not fit into a context of {self.block_size}")
        logits = self.table[idx] + self.offset
        return logits if targets is None else (logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


# ---- 8.1 a gradient that nobody clears


def times_as_long() -> str:
    """Ten batches that are all alike: the gradient after the tenth over that after the first."""
    weights, lengths = torch.ones(3, requires_grad=True), []
    for _ in range(10):
        (weights**2).sum().backward()
        lengths.append(weights.grad.norm().item())
    return f"{lengths[9] / lengths[0]:.3g}"


NEVER_CLEARED = Exercise(
    times_as_long,
    "each call adds its gradient to the sum of those before",
    kind="predict",
    text="`p.grad = None` is forgotten. The rate is so small that the weights hardly move, and the batches are much "
    "alike. How many times as long as the first gradient is the one along which the tenth step goes?",
    choices=("1", "3.16", "10", "1024"),
    wrong=(
        Wrong("that would be so if `backward()` set the gradient; print `p.grad` after two calls on one batch", "1"),
        Wrong(
            "so it would grow if each gradient had a direction of its own; here all of them point nearly the same way",
            "3.16",
        ),
        Wrong("so it would grow if each call doubled what is there; what does it do with it?", "1024"),
    ),
    hints=(
        "What stands in `p.grad` when `backward()` is called for the second time on the same batch?",
        "`backward()` finds the gradient of before, and does not throw it away.",
        "Call the first gradient g. What stands there after two calls, and after three?",
    ),
    why="`backward()` adds, so after ten batches that are alike the sum has ten times the length of one.",
)


# ---- 8.2 one AdamW update


def adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    p = p * (1 - lr * weight_decay)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    step = (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return p - lr * step, m, v


def adamw_inputs(rng: random.Random) -> tuple:
    """Large rates, decay and eps, so that each slip in their order shows."""
    p, g, m, v = normal(rng, 4, rng.randint(1, 4), 3)
    t, lr, eps = rng.choice([1, 2, 3, 9]), rng.uniform(0.1, 0.5), rng.choice([1e-8, 0.3])
    return p, g, m, v.abs() + 0.1, t, lr, rng.choice([0.8, 0.9]), rng.choice([0.95, 0.99]), eps, rng.uniform(0.3, 0.8)


def adamw_with(
    decay: Callable[..., Tensor] = lambda p, lr, weight_decay: p * (1 - lr * weight_decay),
    late: bool = False,
    in_gradient: bool = False,
    size: Callable[..., Tensor] = lambda v, share, eps: (v / share).sqrt() + eps,
    corrected: bool = True,
    swapped: bool = False,
    times: Callable[[int], int] = lambda t: t,
    square: Callable[[Tensor], Tensor] = lambda g: g**2,
    fresh: bool = True,
    gives_corrected: bool = False,
) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """The update with one step replaced."""

    def variant(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
        if swapped:
            beta1, beta2 = beta2, beta1
        if in_gradient:
            g = g + weight_decay * p
        elif not late:
            p = decay(p, lr, weight_decay)
        m = beta1 * m + ((1 - beta1) if fresh else 1) * g
        v = beta2 * v + ((1 - beta2) if fresh else 1) * square(g)
        shares = (1 - beta1 ** times(t), 1 - beta2 ** times(t)) if corrected else (1, 1)
        p = p - lr * (m / shares[0]) / size(v, shares[1], eps)
        m, v = (m / shares[0], v / shares[1]) if gives_corrected else (m, v)
        return decay(p, lr, weight_decay) if late else p, m, v

    return variant


ADAMW = Exercise(
    adamw,
    "decay beside the gradient, both means corrected, and only then the division",
    adamw_inputs,
    text="One AdamW update: the decay, the two means, the corrected step. Give back the new p, m and v.",
    wrong=(
        Wrong(
            "the decay comes after the step, so it shrinks the step as well: take ten steps beside torch's, with a "
            "large rate and a large decay",
            adamw_with(late=True),
            52,
        ),
        Wrong(
            "eps is added before the correction, so the correction enlarges it too: try eps = 0.1 beside torch's",
            adamw_with(size=lambda v, share, eps: (v.sqrt() + eps) / share**0.5),
            52,
        ),
        Wrong(
            "eps stands inside the root; there it is a square, and 1e-8 counts as much as 1e-4 outside",
            adamw_with(size=lambda v, share, eps: (v / share + eps).sqrt()),
            52,
        ),
        Wrong(
            "the decay is added to the gradient, and Adam divides it by its own size: ten times more decay, no more "
            "shrinking",
            adamw_with(in_gradient=True),
            52,
        ),
        Wrong("there is no decay in it: with a gradient of 0, p should still shrink", adamw_with(lambda p, lr, wd: p)),
        Wrong(
            "the decay is not multiplied by the learning rate: at a rate of 0 nothing should move",
            adamw_with(lambda p, lr, wd: p * (1 - wd)),
        ),
        Wrong(
            "the means are not corrected: both begin at 0 and are too small at first, not by the same factor",
            adamw_with(corrected=False),
        ),
        Wrong(
            "the powers of beta count from 0: t is 1 at the first update, and 1 minus beta to the power 0 is nothing",
            adamw_with(times=lambda t: t - 1),
        ),
        Wrong("beta1 and beta2 have changed places: the first belongs to m", adamw_with(swapped=True)),
        Wrong(
            "the corrected means are given back, and the next update would correct them once more",
            adamw_with(gives_corrected=True),
        ),
        Wrong(
            "v gathers the gradient itself; what is the root of a mean that may be negative?",
            adamw_with(square=lambda g: g),
        ),
        Wrong(
            "a mean takes beta of the old and only the rest of the new: m and v get the new in full",
            adamw_with(fresh=False),
        ),
    ),
    hints=(
        "Four lines: p shrinks, m moves, v moves, and p goes along m divided by the size.",
        "The corrected means are m / (1 - beta1**t) and v / (1 - beta2**t); `m` and `v` themselves stay uncorrected.",
        "Divide the corrected m by the root of the corrected v, and add eps to that root. p has shrunk by the factor "
        "1 - lr * weight_decay before, whatever the gradient is.",
    ),
    why="The decay does not pass through the division, so it pulls at the same strength wherever the gradient is large "
    "or small. The means are given back uncorrected, since the next update goes on from them.",
)


# ---- 8.3 which weights decay


class Tied(nn.Module):
    """The parameters of a GPT by kind: two embeddings, a norm, a map, and a head, tied or not."""

    def __init__(self, V: int, C: int, tied: bool) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(V, C), nn.Embedding(4, C)
        self.norm, self.map, self.head = nn.LayerNorm(C), nn.Linear(C, C), nn.Linear(C, V, bias=False)
        if tied:
            self.head.weight = self.token_embedding.weight


def decay_maps_only(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    params = list(model.parameters())
    return [
        {"params": [p for p in params if p.dim() >= 2 and id(p) not in tables], "weight_decay": weight_decay},
        {"params": [p for p in params if p.dim() < 2 or id(p) in tables], "weight_decay": 0.0},
    ]


def decay_inputs(rng: random.Random) -> tuple[int, int, bool, float]:
    return rng.randint(5, 9), rng.randint(2, 4), rng.random() < 0.6, rng.uniform(0.1, 0.5)


def use_groups(attempt: Callable[..., Any], V: int, C: int, tied: bool, weight_decay: float) -> dict[str, str]:
    """For each parameter, in words, what becomes of it."""
    model, found = Tied(V, C, tied), {}
    groups = list(attempt(model, weight_decay))
    for group in (group for group in groups if not isinstance(group, dict)):
        raise TypeError(f"a group is a dict with params and weight_decay, and this one is a {type(group).__name__}")
    groups = [(group.get("weight_decay"), list(group["params"])) for group in groups]
    words = {weight_decay: "decays", 0: "keeps its size", None: "decays as the optimizer has it"}
    for name, p in model.named_parameters():
        decays = [decay for decay, params in groups for other in params if other is p]
        found[name] = words.get(decays[0], "decays by another number") if len(decays) == 1 else "in two groups"
        found[name] = found[name] if decays else "in no group"
    return found


def split_by(decays: Callable[[str, Tensor], bool], twice: bool = False) -> Callable[..., list[dict[str, Any]]]:
    """Two groups by name and tensor; with `twice`, a tied matrix comes under both of its names."""

    def variant(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        named = list(model.named_parameters(remove_duplicate=not twice))
        return [
            {"params": [p for name, p in named if decays(name, p)], "weight_decay": weight_decay},
            {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
        ]

    return variant


def without_zero(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    first, second = decay_maps_only(model, weight_decay)
    return [first, {"params": second["params"]}]


DECAY = Exercise(
    decay_maps_only,
    "maps decay; tables, norms and biases do not; and each weight stands in one place",
    decay_inputs,
    kind="design",
    text="Two groups for an optimizer, from a model: now embeddings do not decay either, as biases and norms. A head "
    "that is tied to an embedding is an embedding.",
    use=use_groups,
    wrong=(
        Wrong(
            "everything decays; pull the scale of a norm to 0, and what comes out of it?",
            split_by(lambda n, p: True),
            51,
        ),
        Wrong(
            "embeddings decay as before: the row of a token that is in no batch shrinks all the same, towards nothing",
            split_by(lambda name, p: p.dim() >= 2),
            51,
        ),
        Wrong(
            "the matrix of embedding and head stands in both groups, once by each name: list the ids of all parameters",
            split_by(lambda name, p: p.dim() >= 2 and "embedding" not in name, twice=True),
            51,
        ),
        Wrong(
            "biases decay, and a bias is no map: look at the number of dimensions",
            split_by(lambda name, p: not name.startswith("norm") and "embedding" not in name),
            51,
        ),
        Wrong(
            "the scale of the norm decays: it is a weight by name, and begins at 1",
            split_by(lambda name, p: name.endswith("weight") and "embedding" not in name),
            51,
        ),
        Wrong(
            "all that is called `weight` decays: embeddings and the scale of the norm are called so, too",
            split_by(lambda name, p: name.endswith("weight")),
            51,
        ),
        Wrong(
            "the head never decays, tied or not: a head of its own is a map like the others",
            split_by(lambda name, p: p.dim() >= 2 and "embedding" not in name and "head" not in name),
        ),
        Wrong(
            "nobody told the second group its decay, so the optimizer's default applies to it: 0.01 for AdamW",
            without_zero,
        ),
        Wrong(
            "the embeddings are in neither group, so they never learn: all groups together should hold every weight",
            lambda model, wd: [
                {
                    "params": [p for n, p in model.named_parameters() if p.dim() >= 2 and "emb" not in n],
                    "weight_decay": wd,
                },
                {"params": [p for n, p in model.named_parameters() if p.dim() < 2], "weight_decay": 0.0},
            ],
        ),
    ),
    hints=(
        "A number of dimensions is not enough any more: a table of embeddings has two, as a map has.",
        "`model.named_parameters()` gives each parameter with its name, and lists a tied matrix once, under the name "
        "that comes first.",
        'A parameter decays if it has two dimensions and no "embedding" in its name; the second group holds all '
        "others, with a decay of its own.",
    ),
    why="The row of a token gets a gradient only when the token comes up, and decay pulls at it in every update: rare "
    "tokens would lose what they know. Whether it helps is to be measured: train both ways and compare the loss on "
    "tokens that are rare.",
)


# ---- 8.5 the rate


def rate_of(step, max_lr, min_lr, warmup_steps, total_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= total_steps:
        return min_lr
    share = 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))
    return min_lr + share * (max_lr - min_lr)


def rate_inputs(rng: random.Random) -> tuple[float, float, int, int]:
    warmup = rng.choice([0, 2, 3, 6])
    return rng.uniform(0.5, 2), rng.uniform(0.05, 0.3), warmup, warmup + rng.randint(3, 12)


def use_rate(attempt: Callable[..., float], max_lr: float, min_lr: float, warmup: int, total: int) -> dict[str, list]:
    """The rates of all updates, and of a few more."""
    return {"rate of step": [attempt(step, max_lr, min_lr, warmup, total) for step in range(total + 4)]}


def rate_with(
    warm: Callable[[int, int], float] = lambda step, warmup: (step + 1) / warmup,
    progress: Callable[[int, int, int], float] = lambda step, warmup, total: (step - warmup) / (total - warmup),
    share: Callable[[float], float] = lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    last: Callable[[float, float], float] = lambda max_lr, min_lr: min_lr,
    end: bool = True,
    floor: bool = True,
) -> Callable[..., float]:
    """The schedule with one part replaced."""

    def variant(step: int, max_lr: float, min_lr: float, warmup: int, total: int) -> float:
        if step < warmup:
            return max_lr * warm(step, warmup)
        if end and step >= total:
            return last(max_lr, min_lr)
        part = share(progress(step, warmup, total))
        return part * max_lr + (1 - part) * (min_lr if floor else 0.0)

    return variant


def moves_at_once(attempt: Callable[..., float], max_lr: float, min_lr: float, warmup: int, total: int) -> bool:
    return float(attempt(0, max_lr, min_lr, warmup, total)) > 0


def meets_the_peak(attempt: Callable[..., float], max_lr: float, min_lr: float, warmup: int, total: int) -> bool:
    return abs(float(attempt(warmup, max_lr, min_lr, warmup, total)) - max_lr) < 1e-4


def meets_the_floor(attempt: Callable[..., float], max_lr: float, min_lr: float, warmup: int, total: int) -> bool:
    return abs(float(attempt(total, max_lr, min_lr, warmup, total)) - min_lr) < 1e-4


RATE = Exercise(
    rate_of,
    "the first update moves, and nothing jumps where warm-up and cosine meet",
    rate_inputs,
    text="The rate of update `step`: a warm-up, then half a cosine from max_lr to min_lr, then min_lr.",
    use=use_rate,
    wrong=(
        Wrong(
            "the rate of the first update is 0: a batch is computed and thrown away; print the rates from 0 on",
            rate_with(warm=lambda step, warmup: step / warmup),
            53,
        ),
        Wrong(
            "the rate jumps where warm-up and cosine meet: the cosine is `warmup_steps` ahead; plot it from 0 on",
            rate_with(progress=lambda step, warmup, total: step / total),
            53,
        ),
        Wrong(
            "the cosine has counted the warm-up but is stretched over the rest: it is past its end before the run is",
            rate_with(progress=lambda step, warmup, total: step / (total - warmup)),
            53,
        ),
        Wrong(
            "the cosine begins at the peak and comes too late to the floor: at the end a jump is left",
            rate_with(progress=lambda step, warmup, total: (step - warmup) / total),
            53,
        ),
        Wrong(
            "the last update of the warm-up stays below the peak: its share is warmup over warmup + 1",
            rate_with(warm=lambda step, warmup: (step + 1) / (warmup + 1)),
        ),
        Wrong("the way down is a straight line", rate_with(share=lambda done: 1 - done)),
        Wrong(
            "it comes down like a quarter of a cosine: at the end it still falls steeply",
            rate_with(share=lambda done: math.cos(math.pi * done / 2)),
        ),
        Wrong("behind `total_steps` the cosine goes on, and climbs again", rate_with(end=False)),
        Wrong(
            "the cosine falls to 0 and not to `min_lr`, so the rate jumps up at the end",
            rate_with(floor=False),
        ),
        Wrong(
            "from `total_steps` on the rate is 0: nothing is learned any more", rate_with(last=lambda high, low: 0.0)
        ),
    ),
    properties=(
        Property("the first update has a rate of 0: a whole batch for nothing", moves_at_once),
        Property(
            "at `warmup_steps` the rate is not the peak, so it jumps where warm-up and cosine meet", meets_the_peak
        ),
        Property("at `total_steps` the rate has not come down to the floor", meets_the_floor),
    ),
    hints=(
        "Three cases, one after the other: in the warm-up, at the end or behind it, and between.",
        "Between, count how much of the way down is done: 0 at `warmup_steps`, 1 at `total_steps`.",
        "The cosine of pi times that share runs from 1 to -1. Move and shrink it so that it runs from 1 to 0, and mix "
        "`max_lr` and `min_lr` with it.",
    ),
    why="The last update of the warm-up and the first of the cosine are both at the peak, and both ends of the cosine "
    "are flat: nothing jumps.",
)


# ---- 8.6 clipping


def clip(grads, max_norm):
    norm = math.sqrt(sum(g.square().sum().item() for g in grads))
    factor = min(1, max_norm / (norm + 1e-6))
    return [g * factor for g in grads]


def clip_inputs(rng: random.Random) -> tuple[list[Tensor], float]:
    """Several tensors of different length; the limit above, below and far below the length of all together."""
    generators = generator(rng)
    grads = [torch.randn(rng.randint(1, 5), 2, generator=generators) * rng.choice([0.3, 1, 3]) for _ in range(3)]
    return grads, rng.choice([0.1, 1.0, 3.0, 100.0])


def scaled(norm: Callable[[list[Tensor]], float], always: bool = False) -> Callable[..., list[Tensor]]:
    """Clipping with another length."""

    def variant(grads: list[Tensor], max_norm: float) -> list[Tensor]:
        factor = max_norm / (norm(grads) + 1e-6)
        return [g * (factor if always else min(1.0, factor)) for g in grads]

    return variant


def whole_length(grads: Iterable[Tensor]) -> float:
    return torch.cat([g.flatten() for g in grads]).norm().item()


def within_the_limit(attempt: Callable[..., Any], grads: list[Tensor], max_norm: float) -> bool:
    return whole_length(attempt(grads, max_norm)) < 1.001 * max_norm


def leaves_short_ones(attempt: Callable[..., Any], grads: list[Tensor], max_norm: float) -> bool:
    before = whole_length(grads)
    return before > max_norm or abs(whole_length(attempt(grads, max_norm)) - before) < 1e-3 * before


def points_the_same_way(attempt: Callable[..., Any], grads: list[Tensor], max_norm: float) -> bool:
    before, after = (torch.cat([torch.as_tensor(g).flatten() for g in gs]) for gs in (grads, attempt(grads, max_norm)))
    return F.cosine_similarity(before, after, dim=0).item() > 0.999


CLIP = Exercise(
    clip,
    "one length and one factor for all, so the direction stays",
    clip_inputs,
    text="All gradients are one vector. If it is longer than max_norm, bring it to that length, by one factor for all.",
    wrong=(
        Wrong(
            "each tensor is clipped by its own length, and the direction changes: all of them are one vector",
            lambda grads, most: [g * min(1.0, most / (g.norm().item() + 1e-6)) for g in grads],
            53,
        ),
        Wrong("nothing is clipped, however long", lambda grads, most: list(grads), 53),
        Wrong(
            "the lengths of the tensors are added; the length of one long vector is the root of all its squares",
            scaled(lambda grads: sum(g.norm().item() for g in grads)),
        ),
        Wrong("the squares are added up, and the root is missing", scaled(lambda grads: whole_length(grads) ** 2)),
        Wrong(
            "only the longest tensor decides; the others belong to the vector too",
            scaled(lambda grads: max(g.norm().item() for g in grads)),
        ),
        Wrong(
            "the largest entry decides, and not the length",
            scaled(lambda grads: max(g.abs().max().item() for g in grads)),
        ),
        Wrong(
            "short gradients are made longer: what is below the limit should stay as it is",
            scaled(whole_length, always=True),
        ),
        Wrong(
            "each entry is cut at the limit, which changes the direction",
            lambda grads, most: [g.clamp(-most, most) for g in grads],
            53,
        ),
        Wrong(
            "a gradient above the limit comes to length 1, whatever the limit",
            lambda grads, most: [g / (whole_length(grads) if whole_length(grads) > most else 1) for g in grads],
        ),
    ),
    properties=(
        Property("the direction has changed: one factor for all tensors leaves it as it is", points_the_same_way),
        Property("afterwards all tensors together are still longer than the limit", within_the_limit),
        Property("a gradient that was short enough has changed", leaves_short_ones),
    ),
    hints=(
        "First the length, one number for all tensors. Then one factor, again for all.",
        "Add up the squares of all entries of all tensors; the root of that is the length.",
        "The factor is the limit divided by the length, but never more than 1.",
    ),
    why="One factor keeps the direction: the step becomes shorter and leads where it led. The 1e-6 keeps a gradient of "
    "0 from dividing by 0.",
)


# ---- 8.9 how good is it


def perplexity_of(model: nn.Module, tokens: Tensor, T: int) -> float:
    total, count = 0.0, 0
    for begin in range(0, len(tokens) - 1, T):
        window = tokens[begin : begin + T + 1].unsqueeze(0)
        loss = model(window[:, :-1], window[:, 1:])[1].item()
        total += loss * (window.size(1) - 1)
        count += window.size(1) - 1
    return math.exp(total / count)


def broken_perplexity(model, tokens, T):
    values = []
    for begin in range(0, len(tokens) - 1, T):
        window = tokens[begin : begin + T + 1].unsqueeze(0)
        loss = model(window[:, :-1], window[:, 1:])[1].item()
        values.append(math.exp(loss))
    return sum(values) / len(values)


def perplexity_inputs(rng: random.Random) -> tuple[nn.Module, Tensor, int]:
    """Two or three full windows and a short one; the model is sure of itself, so that windows differ."""
    V, T = rng.randint(3, 6), rng.randint(4, 7)
    tokens = torch.randint(V, (rng.randint(2, 3) * T + rng.randint(1, T - 2) + 1,), generator=generator(rng))
    return Pairs(2 * normal(rng, V, V), T), tokens, T


def windows(tokens: Tensor, T: int, stride: int | None = None) -> list[tuple[Tensor, Tensor]]:
    starts = range(0, len(tokens) - 1, stride or T)
    cut = [tokens[begin : begin + T + 1][None] for begin in starts]
    return [(window[:, :-1], window[:, 1:]) for window in cut if window.size(1) > 1]


def measured(
    mean: Callable[[list[float], list[int]], float], cut: Callable[[Tensor, int], list] = windows
) -> Callable[..., float]:
    """The losses and sizes of the windows, put together in another way."""

    def variant(model: nn.Module, tokens: Tensor, T: int) -> float:
        pairs = cut(tokens, T)
        return mean([model(x, y)[1].item() for x, y in pairs], [y.size(1) for _, y in pairs])

    return variant


def weighted(losses: Iterable[float], sizes: list[int]) -> float:
    return sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)


def drawn(tokens: Tensor, T: int) -> list[tuple[Tensor, Tensor]]:
    starts = torch.randint(len(tokens) - T, (len(range(0, len(tokens) - 1, T)),)).tolist()
    return [(tokens[None, i : i + T], tokens[None, i + 1 : i + T + 1]) for i in starts]


def gives_the_same_again(attempt: Callable[..., float], model: nn.Module, tokens: Tensor, T: int) -> bool:
    return abs(attempt(model, tokens, T) - attempt(model, tokens, T)) < 1e-6


PERPLEXITY = Exercise(
    perplexity_of,
    "a mean over tokens, each scored once, and one exponential at the end",
    perplexity_inputs,
    kind="mend",
    text="The perplexity of a text, read in windows of T, of which the last is shorter. Two slips are in it.",
    given=broken_perplexity,
    wrong=(
        Wrong(
            "it is a mean of exponentials, and one bad window lifts it above all measure; losses are averaged first",
            broken_perplexity,
            59,
        ),
        Wrong(
            "the exponential comes once now, but the short last window counts as much as a full one: weigh by tokens",
            measured(lambda losses, sizes: math.exp(sum(losses) / len(losses))),
            59,
        ),
        Wrong(
            "windows weigh what they hold now, but it is still a mean of exponentials: when does exp belong?",
            measured(lambda losses, sizes: weighted(map(math.exp, losses), sizes)),
            59,
        ),
        Wrong(
            "the windows are drawn anew in each call, so the same model scores differently: fix them, each token once",
            measured(lambda losses, sizes: math.exp(weighted(losses, sizes)), drawn),
            59,
        ),
        Wrong(
            "the short window is weighed as if it were full: how many targets has it?",
            measured(lambda losses, sizes: math.exp(sum(losses) * sizes[0] / sum(sizes))),
            59,
        ),
        Wrong(
            "the tokens of a window are counted, and one of them is no target: nothing stands in front of the first",
            measured(
                lambda losses, sizes: math.exp(
                    sum(loss * (n + 1) for loss, n in zip(losses, sizes, strict=True)) / (sum(sizes) + 1)
                )
            ),
        ),
        Wrong(
            "the short window is left out, and with it the last tokens: each token should be scored once",
            measured(
                lambda losses, sizes: math.exp(weighted(losses, sizes)),
                lambda tokens, T: [pair for pair in windows(tokens, T) if pair[1].size(1) == T],
            ),
            59,
        ),
        Wrong(
            "windows begin T + 1 apart, so every first token of a window is scored by nobody; let them share one token",
            measured(
                lambda losses, sizes: math.exp(weighted(losses, sizes)), lambda tokens, T: windows(tokens, T, T + 1)
            ),
        ),
        Wrong("that is the mean loss in nats; a perplexity is asked for", measured(weighted)),
        Wrong(
            "the losses of all tokens are added up and never divided by how many there are",
            measured(lambda losses, sizes: math.exp(weighted(losses, sizes) * sum(sizes))),
        ),
    ),
    properties=(Property("two calls give two numbers: nothing in it should be left to chance", gives_the_same_again),),
    hints=(
        "Try it on losses that you choose: two windows with 2.0 and 4.0, of 100 tokens and of 4.",
        "Gather losses, and turn them into a perplexity once, behind the loop.",
        "A window of n targets adds its loss n times; keep a second sum for how many targets there were.",
    ),
    why="The exponential of a mean and the mean of exponentials differ whenever the losses do, and a mean of means is "
    "right only where all parts are of one size.",
)


# ---- 8.12 one update


def update(model, optimizer, pieces, step, rate, max_norm):
    optimizer.zero_grad()
    for x, y in pieces:
        loss = model(x, y)[1] / len(pieces)
        loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate(step)
    optimizer.step()


def update_inputs(rng: random.Random) -> tuple[Tensor, Tensor, int, float]:
    """The table of a model, the ids of two updates, the number of the first, and a limit that is met or not."""
    V, pieces = rng.randint(4, 6), rng.randint(2, 3)
    ids = torch.randint(V, (2, pieces, 2, 2, rng.randint(3, 4)), generator=generator(rng))
    return normal(rng, V, V), ids, rng.choice([0, 0, 0, 2]), rng.choice([0.2, 100.0])


def a_rate(step: int) -> float:
    return 0.1 * (step + 1)


def use_update(
    attempt: Callable[..., Any], table: Tensor, ids: Tensor, step: int, max_norm: float
) -> dict[str, Tensor]:
    """The weights after one update, and after another one: a gradient left over shows in the second."""
    model, found = Pairs(table, 8), {}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    for n, pieces in enumerate(ids):
        attempt(model, optimizer, [(x, y) for x, y in pieces], step + n, a_rate, max_norm)
        found[f"weights after update {n + 1}"] = torch.cat([p.detach().flatten() for p in model.parameters()])
    return found


def moved(attempt: Callable[..., Any], table: Tensor, ids: Tensor, rate: float, max_norm: float) -> Tensor:
    """How far all weights move in one update."""
    model = Pairs(table, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    attempt(model, optimizer, [(x, y) for x, y in ids], 0, lambda step: rate, max_norm)
    return torch.cat([(model.table - table).flatten(), model.offset]).detach()


def rests_at_rate_0(attempt: Callable[..., Any], table: Tensor, ids: Tensor, step: int, max_norm: float) -> bool:
    return not moved(attempt, table, ids[0], 0.0, max_norm).any()


def is_a_mean(attempt: Callable[..., Any], table: Tensor, ids: Tensor, step: int, max_norm: float) -> bool:
    once, twice = (moved(attempt, table, ids[0].repeat(n, 1, 1, 1), 0.1, 100.0) for n in (1, 2))
    return torch.allclose(once, twice, atol=1e-5)


def is_clipped(attempt: Callable[..., Any], table: Tensor, ids: Tensor, step: int, max_norm: float) -> bool:
    return moved(attempt, table, ids[0], 0.1, max_norm).norm().item() < 0.1001 * max_norm


def update_with(
    clear: str = "first",
    clip: str = "once",
    share: Callable[[Tensor, list], float] = lambda y, pieces: 1 / len(pieces),
    number: Callable[[int, list], int] = lambda step, pieces: step,
    set_rate: str = "before",
    step_per_piece: bool = False,
) -> Callable[..., None]:
    """One update with a part of it in another place."""

    def variant(model, optimizer, pieces, step, rate, max_norm):
        def move() -> None:
            if set_rate == "before":
                optimizer.param_groups[0]["lr"] = rate(number(step, pieces))
            optimizer.step()

        def shorten() -> None:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)

        if clear == "first":
            optimizer.zero_grad()
        for x, y in pieces:
            if clear == "each piece":
                optimizer.zero_grad()
            (model(x, y)[1] * share(y, pieces)).backward()
            if clip == "each piece":
                shorten()
            if step_per_piece:
                shorten()
                move()
                optimizer.zero_grad()
        if clip == "once" or (clip == "not at first" and step):
            shorten()
        if clear == "before the step":
            optimizer.zero_grad()
        if not step_per_piece:
            move()
        if set_rate == "after":
            optimizer.param_groups[0]["lr"] = rate(step)

    return variant


UPDATE = Exercise(
    update,
    "cleared once, the mean over all pieces, clipped once, moved once, at this update's rate",
    update_inputs,
    text="One update from several pieces of a batch, all of one size: clear, add up, clip, set the rate, step.",
    use=use_update,
    wrong=(
        Wrong(
            "gradients are never cleared, so each update drags those of all before: print their length for ten updates",
            update_with(clear="never"),
            49,
        ),
        Wrong(
            "no weight moves: is there a step, and does nobody clear the gradients between `backward()` and the step?",
            update_with(clear="before the step"),
            49,
        ),
        Wrong(
            "the gradients of the pieces are added up and not averaged: 4 pieces of 8 should be 1 batch of 32",
            update_with(share=lambda y, pieces: 1.0),
            50,
        ),
        Wrong(
            "only the last piece counts, by its share: is `backward()` called for each, and what clears gradients?",
            update_with(clear="each piece"),
            50,
        ),
        Wrong(
            "only the last piece counts, and decides alone: are gradients cleared for every piece?",
            update_with(clear="each piece", share=lambda y, pieces: 1.0),
            50,
        ),
        Wrong(
            "the losses of all tokens are added up and not averaged: before it is clipped, the gradient is as many "
            "times too long as there are tokens",
            update_with(share=lambda y, pieces: y.numel()),
            54,
        ),
        Wrong(
            "the rate is looked up by the number of pieces seen, so the warm-up is over too soon: it counts updates",
            update_with(number=lambda step, pieces: step * len(pieces)),
            53,
        ),
        Wrong(
            "the rate is set after the step, so each update moves at the rate of the one before",
            update_with(set_rate="after"),
        ),
        Wrong(
            "the rate is never set: the optimizer goes on with the one that it was made with",
            update_with(set_rate="never"),
        ),
        Wrong("nothing is clipped: one bad batch undoes what was learned", update_with(clip="never"), 53),
        Wrong("clipping is skipped in update 0: `if step` is false there", update_with(clip="not at first"), 53),
        Wrong(
            "clipped after every piece, while the sum is not complete: pieces that came first weigh less",
            update_with(clip="each piece"),
            53,
        ),
        Wrong(
            "there is a step for every piece: that is as many updates as pieces",
            update_with(step_per_piece=True, clip="never", share=lambda y, pieces: 1.0),
        ),
    ),
    properties=(
        Property(
            "at a rate of 0 weights move: is the rate of every group set, and in front of the step?", rests_at_rate_0
        ),
        Property("the same pieces twice over make another update: 4 pieces of 8 should be 1 batch of 32", is_a_mean),
        Property("the step is longer than the rate times `max_norm`: is the whole gradient clipped?", is_clipped),
    ),
    hints=(
        "Five things: which happen once in an update, and which for every piece?",
        "In the loop: the loss of a piece, divided by the number of pieces, and its `backward()`, which adds.",
        'Behind the loop, in this order: clip all parameters together, set `group["lr"]` of every group in '
        "`optimizer.param_groups`, `optimizer.step()`. In front of it: `optimizer.zero_grad()`.",
    ),
    why="`backward()` adds, so the loop leaves the mean over all pieces. Only the whole gradient has the length that "
    "clipping is about, and only updates are counted by the schedule.",
)


EXERCISES = {
    "8.1": NEVER_CLEARED,
    "8.2": ADAMW,
    "8.3": DECAY,
    "8.5": RATE,
    "8.6": CLIP,
    "8.9": PERPLEXITY,
    "8.12": UPDATE,
}
