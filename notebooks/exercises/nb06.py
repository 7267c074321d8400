"""The exercises of 06_blocks: normalisation, the MLP, one block and its mask, and positions."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from exercises import Exercise, Property, Wrong
from gptlib.attention import causal_mask
from gptlib.blocks import Block


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def normal(rng: random.Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(rng))


# ---- 6.2 LayerNorm


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    deviation = x - x.mean(dim=-1, keepdim=True)
    variance = deviation.square().mean(dim=-1, keepdim=True)
    return deviation / torch.sqrt(variance + eps) * weight + bias


def tokens(rng: random.Random) -> tuple[Tensor, int]:
    """Two texts: one token with equal channels, one so small that it matters where eps is added."""
    T, C = rng.randint(3, 5), rng.randint(2, 9)
    x = normal(rng, 2, T, C) + 1
    x[0, 0] = 3.0
    x[1, 1] = 0.003 * normal(rng, C)
    return x, C


def layer_norm_inputs(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, float]:
    x, C = tokens(rng)
    return x, normal(rng, C), normal(rng, C), 1e-5


def norm_over(
    dim: int | tuple[int, ...], correction: int = 0, root: Callable[[Tensor, float], Tensor] | None = None
) -> Callable[..., Tensor]:
    """LayerNorm over another axis, with another variance or another divisor."""

    def variant(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        variance = x.var(dim, correction=correction, keepdim=True)
        size = torch.sqrt(variance + eps) if root is None else root(variance, eps)
        return (x - x.mean(dim, keepdim=True)) / size * weight + bias

    return variant


def without_keepdim(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


def plain(attempt: Callable[..., Any], x: Tensor, eps: float) -> Tensor:
    """What it makes of x with a weight of 1 and a bias of 0."""
    return torch.as_tensor(attempt(x, torch.ones(x.size(-1)), torch.zeros(x.size(-1)), eps)).detach().double()


def no_nan(attempt: Callable[..., Any], x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> bool:
    return bool(torch.as_tensor(attempt(x, weight, bias, eps)).isfinite().all())


def alone(attempt: Callable[..., Any], x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> bool:
    """Whether the last token is the same when all others are others."""
    others = x.clone()
    others[:, :-1], others[0] = 5 - 2 * others[:, :-1], 2 * others[0] + 1
    return torch.allclose(plain(attempt, others, eps)[1, -1], plain(attempt, x, eps)[1, -1], atol=1e-4)


def mean_is_0(attempt: Callable[..., Any], x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> bool:
    return bool(plain(attempt, x, eps).mean(-1).abs().max() < 1e-3)


def variance_is_1(attempt: Callable[..., Any], x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> bool:
    wide = 10 * torch.arange(x[0].numel()).sin().view(1, *x.shape[1:])
    return bool((plain(attempt, wide, eps).var(-1, correction=0) - 1).abs().max() < 0.02)


LAYER_NORM = Exercise(
    layer_norm,
    "each token alone, the squares averaged over C, eps under the root",
    layer_norm_inputs,
    text="LayerNorm of x, (..., C), without loops; weight and bias have shape (C,).",
    wrong=(
        Wrong(
            "the squares are averaged over C - 1, as `var` does unless told otherwise; a loss never shows it, "
            "F.layer_norm does",
            norm_over(-1, correction=1),
            35,
        ),
        Wrong(
            "mean and variance are taken over time: change the last token, and the first one's answer moves",
            norm_over(1),
            36,
        ),
        Wrong(
            "mean and variance are taken over the batch: what a token becomes depends on the other texts",
            norm_over(0),
            36,
        ),
        Wrong("one mean serves all tokens together; each token has its own", norm_over((0, 1, 2))),
        Wrong(
            "`std` averages the squares over C - 1 unless told otherwise, and `eps` comes too late, behind the root",
            norm_over(-1, correction=1, root=lambda variance, eps: variance.sqrt() + eps),
            35,
        ),
        Wrong(
            "`eps` is missing: a token whose channels are all equal becomes 0 / 0",
            norm_over(-1, root=lambda variance, eps: variance.sqrt()),
        ),
        Wrong(
            "`eps` is added to the root; for tokens of tiny numbers it matters that it is added earlier",
            norm_over(-1, root=lambda variance, eps: variance.sqrt() + eps),
        ),
        Wrong(
            "it divides by the variance; what is the typical size of a number, in the number's own unit?",
            norm_over(-1, root=lambda variance, eps: variance + eps),
        ),
        Wrong(
            "`weight` and `bias` are not used",
            lambda x, weight, bias, eps: layer_norm(x, torch.ones_like(weight), torch.zeros_like(bias), eps),
        ),
        Wrong(
            "without its axis kept, the mean of a token does not line up with that token's channels: print both shapes",
            without_keepdim,
        ),
    ),
    properties=(
        Property("a token whose channels are all equal becomes NaN: what does it divide by?", no_nan),
        Property("a token's answer moves when other tokens change; each should be treated alone", alone),
        Property("with a weight of 1 and a bias of 0 the mean of each token should be 0, and is not", mean_is_0),
        Property(
            "with a weight of 1 and a bias of 0 the squares of a token should average 1, and do not", variance_is_1
        ),
    ),
    hints=(
        "Which axis holds the channels of one token? Mean and variance are taken along it alone.",
        "`x.mean(dim=-1, keepdim=True)` has shape (..., 1) and can be subtracted. The variance is the mean of the "
        "squares of what remains.",
        "Divide by `torch.sqrt(variance + eps)`. Weight and bias come last, in this order, one number per channel.",
    ),
    why="`dim=-1` treats each token alone, and `keepdim=True` keeps a 1 where the channels were, so all lines up.",
)


# ---- 6.2b the axis


AXES = {"over the channels": -1, "over time": 1, "over the batch": 0}


def leaking_axis() -> str:
    """Found by changing the last token and looking at the first."""
    x = torch.arange(24.0).view(2, 3, 4).sin()
    future = x.clone()
    future[:, 2] = 5 - future[:, 2]
    weight, bias = torch.ones(4), torch.zeros(4)
    changed = {
        name: not torch.allclose(
            norm_over(dim)(x, weight, bias, 1e-5)[:, 0], norm_over(dim)(future, weight, bias, 1e-5)[:, 0]
        )
        for name, dim in AXES.items()
    }
    (leak,) = [name for name, moved in changed.items() if moved]
    return leak


LEAK = Exercise(
    leaking_axis,
    "a mean over time holds what comes later, and each token is told a share of it",
    kind="predict",
    text="Mean 0 and variance 1 can be had over three axes of (B, T, C). Over which one does a token see the future?",
    choices=tuple(AXES),
    wrong=(
        Wrong(
            "that mean holds the numbers of a single token; change another token, and does it move?",
            "over the channels",
        ),
        Wrong(
            "that mean holds the tokens at the same place of other texts: a leak, but from whom?",
            "over the batch",
            36,
        ),
    ),
    hints=(
        "Ask of each axis: which numbers go into one mean?",
        "The future of a token is what stands behind it in the same text. Which mean holds that?",
        "x has the axes batch, time and channels; the place in the text is one of the three.",
    ),
    why="A mean over time is the same for all tokens of a text, the last included: change that, and all answers move.",
)


# ---- 6.2c a norm without a mean


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    mean_square = x.square().mean(dim=-1, keepdim=True)
    return x / torch.sqrt(mean_square + eps) * weight


def rms_inputs(rng: random.Random) -> tuple[Tensor, Tensor, float]:
    x, C = tokens(rng)
    x[0, 0] = 0.0
    return x, normal(rng, C), 1e-5


def rms_over(
    dim: int | tuple[int, ...] = -1, root: Callable[[Tensor, float], Tensor] = lambda square, eps: (square + eps).sqrt()
) -> Callable[..., Tensor]:
    """RMSNorm over another axis or with another divisor."""

    def variant(x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return x / root(x.square().mean(dim, keepdim=True), eps) * weight

    return variant


def squares_average_1(attempt: Callable[..., Any], x: Tensor, weight: Tensor, eps: float) -> bool:
    wide = 3 + 10 * torch.arange(x.numel()).sin().view_as(x)
    out = torch.as_tensor(attempt(wide, torch.ones(x.size(-1)), eps)).detach().double()
    return bool((out.square().mean(-1) - 1).abs().max() < 0.02)


RMS_NORM = Exercise(
    rms_norm,
    "divided by the root of the mean square: every token gets the same size, and means are left in",
    rms_inputs,
    kind="design",
    text="RMSNorm: divide each token of x, (..., C), by the root of the mean of its squares, then scale by weight.",
    wrong=(
        Wrong(
            "the mean is still subtracted: that is LayerNorm without a bias",
            lambda x, weight, eps: layer_norm(x, weight, torch.zeros_like(weight), eps),
        ),
        Wrong(
            "the mean is still subtracted before squaring: that is a variance, not a mean square",
            lambda x, weight, eps: x / torch.sqrt(x.var(-1, correction=0, keepdim=True) + eps) * weight,
        ),
        Wrong(
            "the squares are added up and not averaged: with more channels the answer gets smaller",
            lambda x, weight, eps: x / torch.sqrt(x.square().sum(-1, keepdim=True) + eps) * weight,
        ),
        Wrong("it divides by the mean square itself, whose unit is squared", rms_over(root=torch.add)),
        Wrong("`eps` is missing: a token of zeros becomes 0 / 0", rms_over(root=lambda square, eps: square.sqrt())),
        Wrong(
            "`eps` is added to the root; for tokens of tiny numbers it matters that it is added earlier",
            rms_over(root=lambda square, eps: square.sqrt() + eps),
        ),
        Wrong("the squares of all tokens are averaged together; each token has its own size", rms_over((0, 1, 2))),
        Wrong("the squares are averaged over time, so the first token is told of the last", rms_over(1), 36),
        Wrong(
            "without its axis kept, the size of a token does not line up with that token's channels: print both shapes",
            lambda x, weight, eps: x / torch.sqrt(x.square().mean(-1) + eps) * weight,
        ),
        Wrong("`weight` is not used", lambda x, weight, eps: rms_norm(x, torch.ones_like(weight), eps)),
    ),
    properties=(Property("with a weight of 1 the squares of a token should average 1, and do not", squares_average_1),),
    hints=(
        "Take your LayerNorm and cross out whatever needs the mean. What is left to divide by?",
        "`x.square().mean(dim=-1, keepdim=True)` is the mean square of each token.",
        "`eps` joins the mean square before the root is taken. Nothing is subtracted, and there is no bias.",
    ),
    why="The line stays flat: what depth blows up is the size, not the mean. Zhang and Sennrich (2019) found that a "
    "model does as well with it, and Llama uses it. Shifting a token now changes the answer, stretching does not.",
)


# ---- 6.4 the MLP


def mlp(x: Tensor, up: nn.Linear, down: nn.Linear, dropout: float, training: bool) -> Tensor:
    hidden = F.gelu(up(x))
    out = down(hidden)
    return F.dropout(out, dropout) if training else out


def mlp_inputs(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float]:
    """A batch, the weights and biases of the two maps, and a dropout that is no half."""
    C = rng.randint(3, 6)
    weights = normal(rng, 4 * C, C), normal(rng, 4 * C), 0.4 * normal(rng, C, 4 * C), normal(rng, C)
    return normal(rng, 4, 12, C), *weights, rng.choice([0.25, 0.3, 0.35])


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.size(1), weight.size(0))
    layer.weight.data, layer.bias.data = weight, bias
    return layer


def use_mlp(
    attempt: Callable[..., Tensor], x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float
) -> object:
    """What it answers in both modes. Which numbers are dropped is chance, so only their share is looked at."""
    up, down = linear(w1, b1), linear(w2, b2)
    found: dict[str, object] = {}
    with torch.no_grad():
        exact, tanh = down(F.gelu(up(x))), down(F.gelu(up(x), approximate="tanh"))
        for mode, training in (("training False", False), ("training True", True)):
            out = attempt(x.clone(), up, down, p, training)
            if out is None:
                return None
            if not isinstance(out, Tensor) or out.shape != x.shape:
                return {mode: out}
            dropped = out == 0
            found[f"{mode}, dropped"] = nearest(dropped.float().mean().item(), (0.0, p))
            found[f"{mode}, the rest"] = what_is_left(out, dropped, exact, tanh)
    return found


def nearest(share: float, shares: tuple[float, ...]) -> float:
    """The expected share that it is, as far as chance allows to tell; else itself."""
    return min((s for s in shares if abs(share - s) <= (0.2 if s and share else 0)), default=share)


def what_is_left(out: Tensor, dropped: Tensor, exact: Tensor, tanh: Tensor) -> Tensor:
    """The answer as if nothing were dropped, with the factor that dropout gave; either form of GELU is one."""
    ratio = (out / exact)[~dropped].median()
    for form in (exact, tanh):
        factor = (out / form)[~dropped].median()
        if torch.allclose(out, torch.where(dropped, 0.0, factor * form), rtol=1e-4, atol=1e-5):
            return factor * exact
    return torch.where(dropped, ratio * exact, out)


def bends(attempt: Callable[..., Tensor], x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float) -> bool:
    rest = linear(w1, b1), linear(w2, b2), p, False
    with torch.no_grad():
        return not torch.allclose(attempt(x, *rest) + attempt(-x, *rest), 2 * attempt(0 * x, *rest), atol=1e-3)


def own_dropout(out: Tensor, p: float) -> Tensor:
    """Dropout that forgets to make up for what is missing."""
    return out * (F.dropout(torch.ones_like(out), p) != 0)


MLP = Exercise(
    mlp,
    "wider, bent, back, and numbers are dropped in training only",
    mlp_inputs,
    text="The MLP: widen x with `up`, bend it with GELU (either form), bring it back with `down`; dropout last, and "
    "only if training is true.",
    use=use_mlp,
    wrong=(
        Wrong(
            "nothing bends between the two maps: up to a constant f(-x) is -f(x), so the two are one map",
            lambda x, up, down, p, training: F.dropout(down(up(x)), p, training),
            40,
        ),
        Wrong(
            "the bend comes after the way back, so the two maps still stand side by side and are one",
            lambda x, up, down, p, training: F.dropout(F.gelu(down(up(x))), p, training),
            40,
        ),
        Wrong(
            "that is the bend with a corner: what does it do to a hidden number of -1, and what does GELU do?",
            lambda x, up, down, p, training: F.dropout(down(F.relu(up(x))), p, training),
        ),
        Wrong(
            "it drops numbers also when training is false: the same text gets another answer each time, and the "
            "validation loss depends on the dropout",
            lambda x, up, down, p, training: F.dropout(down(F.gelu(up(x))), p),
            34,
        ),
        Wrong("nothing is dropped, not even in training", lambda x, up, down, p, training: down(F.gelu(up(x)))),
        Wrong(
            "it drops when training is false and not when it is true",
            lambda x, up, down, p, training: F.dropout(down(F.gelu(up(x))), p, not training),
            34,
        ),
        Wrong(
            "the hidden numbers are dropped; here dropout comes last, after the way back",
            lambda x, up, down, p, training: down(F.dropout(F.gelu(up(x)), p, training)),
        ),
        Wrong(
            "some numbers are dropped and the others not made larger for it: the mean in training is too small",
            lambda x, up, down, p, training: own_dropout(mlp(x, up, down, p, False), p if training else 0.0),
        ),
        Wrong(
            "`dropout` is used as the share that stays; it is the share that goes",
            lambda x, up, down, p, training: F.dropout(down(F.gelu(up(x))), 1 - p, training),
        ),
        Wrong(
            "x itself is added; that is the block's work, not the MLP's",
            lambda x, up, down, p, training: x + mlp(x, up, down, p, training),
        ),
    ),
    properties=(
        Property("nothing bends: without dropout f(-x) is -f(x), up to a constant; the two maps are one", bends),
    ),
    hints=(
        "Three steps forward, and a fourth that depends on `training`. Where must the bend stand to be of use?",
        "`up` and `down` are layers: call them. Between them comes `F.gelu`.",
        "`F.dropout(out, dropout)` drops always: look for its third argument, or call it only if `training`.",
    ),
    why="Without the bend the two maps are one. And dropout is a disturbance of the training: whoever measures or "
    "writes wants the same answer twice.",
)


# ---- 6.5 the block


def block(
    x: Tensor,
    norm1: Callable[[Tensor], Tensor],
    attention: Callable[[Tensor], Tensor],
    norm2: Callable[[Tensor], Tensor],
    mlp: Callable[[Tensor], Tensor],
) -> Tensor:
    x = x + attention(norm1(x))
    return x + mlp(norm2(x))


def centre(x: Tensor, shift: Tensor) -> Tensor:
    return x - x.mean(dim=-1, keepdim=True) + shift


def mix(x: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(x.cumsum(dim=1) @ weight)


def bend(x: Tensor, weight: Tensor) -> Tensor:
    return torch.relu(x @ weight)


def block_inputs(rng: random.Random) -> tuple[object, ...]:
    """A stream and four parts that take turns in telling what they got; the two norms differ."""
    T, C = rng.randint(2, 5), rng.randint(3, 8)
    parts = (
        partial(centre, shift=normal(rng, C)),
        partial(mix, weight=normal(rng, C, C)),
        partial(centre, shift=normal(rng, C)),
        partial(bend, weight=normal(rng, C, C)),
    )
    return normal(rng, 2, T, C) + 1, *parts


def norm_in_the_stream(x, norm1, attention, norm2, mlp):
    x = norm1(x + attention(x))
    return norm2(x + mlp(x))


def around_the_part_alone(x, norm1, attention, norm2, mlp):
    x = norm1(x)
    x = x + attention(x)
    x = norm2(x)
    return x + mlp(x)


def second_adds_to_the_old(x, norm1, attention, norm2, mlp):
    found = x + attention(norm1(x))
    return x + mlp(norm2(found))


def second_replaces(x, norm1, attention, norm2, mlp):
    return mlp(norm2(x + attention(norm1(x))))


def first_replaces(x, norm1, attention, norm2, mlp):
    x = attention(norm1(x))
    return x + mlp(norm2(x))


def silent(attempt: Callable[..., Any], x: Tensor, norm1: Any, attention: Any, norm2: Any, mlp: Any) -> bool:
    out = attempt(x.clone(), norm1, torch.zeros_like, norm2, torch.zeros_like)
    return torch.allclose(torch.as_tensor(out, dtype=x.dtype), x)


def without_attention(attempt: Callable[..., Any], x: Tensor, norm1: Any, attention: Any, norm2: Any, mlp: Any) -> bool:
    out = attempt(x.clone(), norm1, torch.zeros_like, norm2, mlp)
    return torch.allclose(torch.as_tensor(out, dtype=x.dtype), x + mlp(norm2(x)), rtol=1e-3, atol=1e-4)


BLOCK = Exercise(
    block,
    "each part reads a norm of the stream and adds to the stream itself",
    block_inputs,
    text="One pre-norm block from four functions: norm1, attention, norm2, mlp.",
    wrong=(
        Wrong(
            "each part replaces what it reads: with both parts silent x should come out, and the gradient of layer 1 "
            "needs a way around them",
            lambda x, norm1, attention, norm2, mlp: mlp(norm2(attention(norm1(x)))),
            38,
        ),
        Wrong(
            "attention replaces the stream; what was there before is lost",
            first_replaces,
            38,
        ),
        Wrong("the MLP replaces the stream; what was there before is lost", second_replaces, 38),
        Wrong(
            "the stream itself is normalised after each addition: post-norm, which a silent block tells apart",
            norm_in_the_stream,
            37,
        ),
        Wrong(
            "what is added to is already normalised: with both parts silent x should come out, to the last bit",
            around_the_part_alone,
            37,
        ),
        Wrong(
            "the norms stand behind the parts, so each part reads the stream at whatever size it has",
            lambda x, norm1, attention, norm2, mlp: second_norm_behind(x + norm1(attention(x)), norm2, mlp),
            37,
        ),
        Wrong(
            "the MLP adds to the x from before attention: what attention found does not stay in the stream",
            second_adds_to_the_old,
            37,
        ),
        Wrong(
            "the MLP reads the stream from before attention; first look, then think about what was seen",
            lambda x, norm1, attention, norm2, mlp: x + attention(norm1(x)) + mlp(norm2(x)),
        ),
        Wrong(
            "both parts read through the same norm; each has one of its own",
            lambda x, norm1, attention, norm2, mlp: block(x, norm1, attention, norm1, mlp),
        ),
        Wrong(
            "the parts read the stream without their norms",
            lambda x, norm1, attention, norm2, mlp: block(x, lambda x: x, attention, lambda x: x, mlp),
        ),
    ),
    properties=(
        Property("with both parts silent x itself should come out, and it does not", silent),
        Property(
            "with a silent attention the MLP should still read the stream, through its own norm, and add to it",
            without_attention,
        ),
    ),
    hints=(
        "Follow the straight line in the picture from bottom to top. Is there ever a norm on it?",
        "A branch leaves the stream, goes through a norm and a part, and is added where it comes back.",
        "The first branch is `attention(norm1(x))`. Give its sum with x the name x again, and do the same once more.",
    ),
    why="Between input and output lie only additions, so the gradient has a way straight through. Written "
    "`x = x + ...` and not `x += ...`, which would change the caller's tensor.",
)


def second_norm_behind(x: Tensor, norm2: Callable[[Tensor], Tensor], mlp: Callable[[Tensor], Tensor]) -> Tensor:
    return x + norm2(mlp(x))


# ---- 6.5b a block that keeps its mask


class MaskedBlock(nn.Module):
    def __init__(self, n_embd: int, n_head: int, block_size: int) -> None:
        super().__init__()
        self.block = Block(n_embd, n_head)
        self.register_buffer("mask", causal_mask(block_size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        T = x.size(1)
        return self.block(x, mask=self.mask[:T, :T])


class BrokenMaskedBlock(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.block = Block(n_embd, n_head)
        self.mask = causal_mask(block_size)

    def forward(self, x):
        return self.block(x, mask=self.mask)


class CutOnly(BrokenMaskedBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, mask=self.mask[: x.size(1), : x.size(1)])


class BufferOnly(MaskedBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, mask=self.mask)


class LastRows(MaskedBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, mask=self.mask[-x.size(1) :, : x.size(1)])


class WithoutMask(MaskedBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class MadeOnTheCPU(MaskedBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, mask=causal_mask(x.size(1)))


class MaskAsWeight(MaskedBlock):
    def __init__(self, n_embd: int, n_head: int, block_size: int) -> None:
        super().__init__(n_embd, n_head, block_size)
        del self.mask
        self.mask = nn.Parameter(causal_mask(block_size), requires_grad=False)


def masked_inputs(rng: random.Random) -> tuple[Tensor, int, int]:
    """A text as long as the block, the number of heads, and the length of a shorter text."""
    n_head, T = rng.choice([1, 2]), rng.randint(4, 7)
    return normal(rng, 2, T, n_head * rng.randint(2, 4)), n_head, rng.randint(2, T - 1)


class Listener(nn.Module):
    """Stands in for the block and keeps the mask that it is given."""

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: object = None) -> Tensor:
        self.heard = mask
        return x


class Moving(TorchFunctionMode):
    """Every `.to` makes a copy, as on the way to another device, so that what moves can be told from what stays.

    What is made anew without being told where is noted, too: it would lie on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nowhere = self.moved = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is Tensor.to:
            self.moved = True
            return out.clone()
        makes = func in (torch.ones, torch.zeros, torch.full, torch.arange, torch.empty, torch.tensor)
        self.nowhere |= makes and (kwargs or {}).get("device") is None
        return out


def after_moving(layer: nn.Module, x: Tensor) -> dict[str, object]:
    """Whether the mask that the block gets after `.to` is still the one from before, or one that is made nowhere."""
    layer.block = Listener()
    layer(x)
    before = layer.block.heard
    with Moving():
        layer.to("cpu")
    with Moving() as use:
        layer(x)
    after = layer.block.heard
    both = isinstance(before, Tensor) and isinstance(after, Tensor)
    stays = both and before.data_ptr() == after.data_ptr()
    return {"the mask stays behind": stays, "it is made on the CPU": use.nowhere and not use.moved}


def use_masked(attempt: type[nn.Module], x: Tensor, n_head: int, short: int) -> dict[str, object]:
    """Its answers with fixed weights, and whether all of it goes along to another device."""
    T, C = x.shape[1:]
    layer = attempt(C, n_head, T)
    with torch.no_grad():
        for i, p in enumerate(layer.block.parameters()):
            p.copy_(torch.arange(p.numel()).add(i).sin().view_as(p))
        found: dict[str, object] = {"parameters": sum(p.numel() for p in layer.parameters())}
        found["full text"] = layer(x)
        try:
            answer = layer(x[:, :short])
        except (RuntimeError, ValueError, TypeError) as error:
            answer = type(error).__name__
        found["a shorter text runs"] = not isinstance(answer, str)
        found |= after_moving(layer, x)
        found["shorter text"] = answer
    return found


MASKED_BLOCK = Exercise(
    MaskedBlock,
    "the mask goes where the model goes, and is as large as the text",
    masked_inputs,
    kind="mend",
    text="A block that keeps a mask for its longest text. What happens to a shorter one, and after `.to(device)`?",
    given=BrokenMaskedBlock,
    use=use_masked,
    wrong=(
        Wrong(
            "the mask has one fixed size, so a shorter text does not fit; and as a plain attribute it stays behind "
            "when the model moves to a GPU",
            BrokenMaskedBlock,
            32,
        ),
        Wrong(
            "a shorter text works now; but the mask is a plain attribute, and `.to(device)` leaves it behind",
            CutOnly,
            32,
        ),
        Wrong(
            "the mask moves with the model now; a text shorter than the block still does not fit: what shape must the "
            "mask of T tokens have?",
            BufferOnly,
            32,
        ),
        Wrong(
            "the rows are cut from the end of the mask, where everything may be seen: a short text sees its future",
            LastRows,
            32,
        ),
        Wrong("both complaints are gone, and so is the mask: each word sees its future", WithoutMask, 25),
        Wrong(
            "a mask made anew fits every text; but this one is made on the CPU, wherever the model is: whose device "
            "should it take?",
            MadeOnTheCPU,
            32,
        ),
        Wrong(
            "the mask is a parameter now: it is counted among the weights and handed to the optimizer",
            MaskAsWeight,
            32,
        ),
    ),
    hints=(
        "Give it five tokens with `block_size=8`, and print the shape of the mask that it uses.",
        "A tensor that belongs to a module without being learned is a buffer: `register_buffer(name, tensor)`.",
        "The mask of a short text is the top left corner of the large one: T rows and T columns.",
    ),
    why="A buffer goes along with `.to(device)`; a plain attribute does not. Making the mask anew in each call, on the "
    "device of x, is right as well: that is what our model does.",
)


# ---- 6.7 positions


def positions(T: int, C: int) -> Tensor:
    speed = 10_000.0 ** (-torch.arange(0, C, 2) / C)
    angle = torch.arange(T)[:, None] * speed
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def positions_inputs(rng: random.Random) -> tuple[int, int]:
    return rng.randint(2, 30), 2 * rng.randint(2, 8)


def angles(T: int, C: int, first: int = 0, step: int = 2) -> Tensor:
    """(T, C/2): the angle of each hand; the exponent grows by `step` / C from hand to hand."""
    return torch.arange(first, first + T)[:, None] * 10_000.0 ** (-step * torch.arange(C // 2) / C)


def taking_turns(one: Tensor, other: Tensor) -> Tensor:
    return torch.stack([one, other], dim=-1).flatten(1)


def a_speed_for_each_channel(T: int, C: int) -> Tensor:
    angle = torch.arange(T)[:, None] * 10_000.0 ** (-torch.arange(C) / C)
    angle[:, 0::2], angle[:, 1::2] = angle[:, 0::2].sin(), angle[:, 1::2].cos()
    return angle


POSITIONS = Exercise(
    positions,
    "sine and cosine take turns, and each hand is slower than the one before",
    positions_inputs,
    text="A row of sines and cosines for each of T positions, (T, C), with C even and without loops.",
    wrong=(
        Wrong(
            "all sines stand in front of all cosines; in a row they should take turns",
            lambda T, C: torch.cat([angles(T, C).sin(), angles(T, C).cos()], dim=1),
        ),
        Wrong(
            "the cosine of each hand comes first; channel 0 of position 0 should be 0",
            lambda T, C: taking_turns(angles(T, C).cos(), angles(T, C).sin()),
        ),
        Wrong(
            "the hands slow down half as fast as they should: compare the exponent of the last pair with the formula",
            lambda T, C: taking_turns(angles(T, C, step=1).sin(), angles(T, C, step=1).cos()),
        ),
        Wrong(
            "the hands slow down twice as fast as they should: is the 2 of the exponent counted twice?",
            lambda T, C: taking_turns(angles(T, C, step=4).sin(), angles(T, C, step=4).cos()),
        ),
        Wrong(
            "every channel has a speed of its own; sine and cosine of a pair belong to one hand",
            a_speed_for_each_channel,
        ),
        Wrong(
            "the first row is that of position 1; at position 0 all hands point the same way",
            lambda T, C: taking_turns(angles(T, C, 1).sin(), angles(T, C, 1).cos()),
        ),
        Wrong(
            "each hand is faster than the one before: multiplied where the formula divides",
            lambda T, C: taking_turns(
                (torch.arange(T)[:, None] * 10_000.0 ** (torch.arange(0, C, 2) / C)).sin(),
                (torch.arange(T)[:, None] * 10_000.0 ** (torch.arange(0, C, 2) / C)).cos(),
            ),
        ),
        Wrong("rows and columns are swapped: a row belongs to a position", lambda T, C: positions(T, C).T),
        Wrong(
            "these are the angles; what stands in the table are their sines and cosines",
            lambda T, C: taking_turns(angles(T, C), angles(T, C)),
        ),
    ),
    hints=(
        "How many hands are there for C channels, and what is the speed of hand i?",
        "`torch.arange(T)[:, None] * speed` gives all angles at once, (T, C/2), if `speed` holds one number per hand.",
        "`torch.stack` with `dim=-1` puts each sine beside its cosine; `flatten` lines the pairs up.",
    ),
    why="A column times a row is the table of all products. The exponent of hand i is 2i / C, so `arange(0, C, 2)`.",
)


EXERCISES = {
    "6.2": LAYER_NORM,
    "6.2b": LEAK,
    "6.2c": RMS_NORM,
    "6.4": MLP,
    "6.5": BLOCK,
    "6.5b": MASKED_BLOCK,
    "6.7": POSITIONS,
}
