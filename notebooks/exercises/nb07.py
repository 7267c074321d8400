"""The exercises of 07_model: the beginning, the guard, the tie, the forward pass, and what a model costs."""

import math
import random
import re
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from exercises import Exercise, Property, Wrong
from gptlib.attention import causal_mask
from gptlib.blocks import Block, LayerNorm
from gptlib.model import GPTConfig


def generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


class Model(nn.Module):
    """The parts of a GPT as PyTorch makes them, with nothing done about their beginning."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.n_embd)
        self.position_embedding = nn.Embedding(config.block_size, config.n_embd)
        self.blocks = nn.ModuleList(Block(config.n_embd, config.n_head) for _ in range(config.n_layer))
        self.norm = LayerNorm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.token_embedding.weight


def undisturbed(config: GPTConfig) -> Model:
    """A model, made without taking random numbers from the reader's."""
    with torch.random.fork_rng(devices=[]):
        return Model(config)


def forward(model: nn.Module, idx: Tensor) -> Tensor:
    T = idx.size(1)
    x = model.token_embedding(idx) + model.position_embedding(torch.arange(T))  # (B, T, C)
    for block in model.blocks:
        x = block(x, mask=causal_mask(T))
    return model.head(model.norm(x))  # (B, T, V)


# ---- 7.5 the beginning


def initialise(model: nn.Module) -> None:
    L = len(model.blocks)
    for name, p in model.named_parameters():
        if p.dim() == 2:
            writes = name.endswith(("attention.out.weight", "mlp.down.weight"))
            nn.init.normal_(p, std=0.02 / math.sqrt(2 * L) if writes else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(p)
        else:
            nn.init.ones_(p)


def begin(
    writer: Callable[[int], float] = lambda L: 0.02 / math.sqrt(2 * L),
    writers: tuple[str, ...] = ("attention.out.weight", "mlp.down.weight"),
    skip: tuple[str, ...] = (),
    norms: float | None = 1.0,
    biases: float | None = 0.0,
) -> Callable[[nn.Module], None]:
    """`initialise` with one step replaced."""

    def variant(model: nn.Module) -> None:
        for name, p in model.named_parameters():
            if any(part in name for part in skip):
                continue
            if p.dim() == 2:
                nn.init.normal_(p, std=writer(len(model.blocks)) if name.endswith(writers) else 0.02)
            else:
                value = biases if name.endswith("bias") else norms
                p.data = p.data if value is None else torch.full_like(p, value)

    return variant


def everything_drawn(model: nn.Module) -> None:
    initialise(model)
    for p in model.parameters():
        if p.dim() == 1:
            nn.init.normal_(p, std=0.02)


def mean_for_size(model: nn.Module) -> None:
    initialise(model)
    for p in model.parameters():
        if p.dim() == 2:
            nn.init.normal_(p, 0.02)


def initialise_inputs(rng: random.Random) -> tuple[int, int, int]:
    """V, C and L."""
    return rng.randint(90, 120), rng.choice([24, 32]), rng.choice([2, 4])


def use_initialise(attempt: Callable[[nn.Module], object], V: int, C: int, L: int) -> dict[str, object]:
    """The start loss, and how large each kind of weight is, measured against how large it should be."""
    model = Model(GPTConfig(vocab_size=V, block_size=24, n_layer=L, n_head=2, n_embd=C))
    attempt(model)
    found: dict[str, object] = {}
    with torch.no_grad():
        for part, weights in parts(model).items():
            writes = part in ("attention.out", "mlp.down")
            size, unit = (0.02 / math.sqrt(2 * L), "0.02/√(2L)") if writes else (0.02, "0.02")
            found[f"{part} / {unit}"] = steps(weights.std().item() / size)
        biases = torch.cat([p for name, p in model.named_parameters() if name.endswith("bias")])
        norms = torch.cat([p for name, p in model.named_parameters() if "norm" in name and name.endswith("weight")])
        found["biases"] = values(biases)
        found["weights of the norms"] = values(norms)
        found["head and token table are one"] = model.head.weight is model.token_embedding.weight
        logits = forward(model, torch.arange(48).view(2, 24) % V)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), torch.arange(48) * 7 % V)
        found["start loss is about ln V"] = bool(loss < 1.2 * math.log(V))
    return found


def parts(model: nn.Module) -> dict[str, Tensor]:
    """The tables, and of each kind of map that of the block where its weights are largest."""
    found = {"token_embedding": model.token_embedding.weight, "position_embedding": model.position_embedding.weight}
    for name in ("attention.qkv", "attention.out", "mlp.up", "mlp.down"):
        found[name] = max((block.get_submodule(name).weight for block in model.blocks), key=torch.std)
    return found


def steps(ratio: float) -> float:
    """The nearest half power of two: what chance does to a size is far smaller than such a step."""
    return 2 ** (round(2 * math.log2(ratio)) / 2) if 0 < ratio < math.inf else ratio


def values(p: Tensor) -> str:
    """Of all numbers the one that they are, or that they differ."""
    return f"all {p[0].item():g}" if p.eq(p[0]).all() else "drawn by chance"


INITIALISE = Exercise(
    initialise,
    "small enough for ln V, large enough to learn, and a stream that does not swell",
    initialise_inputs,
    text="Give every matrix of a tied model the size 0.02, the two writers of each block 0.02 / √(2L), biases 0 and "
    "the weights of norms 1, all in place. L is len(model.blocks).",
    use=use_initialise,
    wrong=(
        Wrong(
            "nothing has changed: a new tensor under the name of a parameter does not reach the model; fill the one "
            "that is there",
            lambda model: None,
        ),
        Wrong(
            "the tables keep the size 1 that `nn.Embedding` gives them: each token is sure of itself, and the start "
            "loss is several times ln V",
            begin(skip=("embedding",)),
            45,
        ),
        Wrong(
            "the position table keeps the size 1 that `nn.Embedding` gives it; the token table is right, by its own "
            "name or by that of the head that it is tied to",
            begin(skip=("position_embedding",)),
            45,
        ),
        Wrong(
            "the writers are as large as the rest: with 2L additions the stream swells with depth",
            begin(lambda L: 0.02),
        ),
        Wrong("the writers are divided by the root of L; how often does a block add?", begin(lambda L: 0.02 / L**0.5)),
        Wrong("0.02 was given as the mean, and the size is 1: print mean and std of a table", mean_for_size, 45),
        Wrong(
            "a block writes twice: the MLP's writer is smaller now, that of attention is not",
            begin(writers=("mlp.down.weight",)),
        ),
        Wrong("the biases are left as PyTorch drew them", begin(biases=None)),
        Wrong(
            "the weights and biases of norms and maps are drawn, too; a norm that multiplies by 0.02 silences what it "
            "feeds",
            everything_drawn,
        ),
        Wrong(
            "the weights of the norms are 0: nothing passes, and yet the start loss is ln V; it is no proof",
            begin(norms=0.0),
        ),
    ),
    hints=(
        "Go through `model.named_parameters()`. What tells a matrix from a bias or a norm?",
        "`p.dim() == 2` holds for matrices, the tables among them; `nn.init.normal_(p, std=...)` fills one in place.",
        "The names of the writers end with `attention.out.weight` and `mlp.down.weight`; names of biases end with "
        "`bias`, and what is left are the weights of norms.",
    ),
    why="By names and dimensions nothing is forgotten. A tied table has one parameter, which is met once.",
)


# ---- 7.6 the guard


def guard(idx: Tensor, past: int, block_size: int) -> None:
    total = past + idx.size(1)
    if total > block_size:
        raise ValueError(f"{total} tokens do not fit into a context of {block_size}; give the last {block_size}")


def guard_inputs(rng: random.Random) -> tuple[Tensor, int, int]:
    """Texts that fit, that just fit, that do not, and some that only do not because of what was read before."""
    B, block_size = rng.choice([2, 3, 40]), rng.randint(8, 20)
    past = rng.choice([0, rng.randint(2, 6)])
    T = block_size - past + rng.choice([-1, 0, 1, 3])
    return torch.randint(50, (B, T), generator=generator(rng)), past, block_size


def use_guard(attempt: Callable[..., object], idx: Tensor, past: int, block_size: int) -> dict[str, object]:
    """Whether the text is refused, and which numbers the sentence names."""
    try:
        value = attempt(idx.clone(), past, block_size)
    except (IndexError, RuntimeError, AssertionError) as error:
        return {"refused with": type(error).__name__}
    except ValueError as error:
        numbers = re.findall(r"\d+", str(error).replace(",", ""))
        return {
            "refused with": "ValueError",
            "names how many there are": str(past + idx.size(1)) in numbers,
            "names how many fit": str(block_size) in numbers,
        }
    cut = isinstance(value, Tensor) and value.shape != idx.shape
    return {"refused with": None, "given back": "a part of the text" if cut else "nothing new"}


def refuse(wrong: bool, sentence: str, kind: type[Exception] = ValueError) -> None:
    if wrong:
        raise kind(sentence)


GUARD = Exercise(
    guard,
    "a ValueError with both numbers, and only for what does not fit",
    guard_inputs,
    text="A ValueError, unless the `past` tokens that were read before and those of idx, (B, T), fit into block_size. "
    "Its sentence names both numbers: how many tokens there are, and how many fit.",
    use=use_guard,
    wrong=(
        Wrong(
            "nothing is refused: a text that is too long ends in an IndexError without a number, and on a GPU in an "
            "assert that spoils the session",
            lambda idx, past, block_size: None,
            44,
        ),
        Wrong(
            "the text is cut without a word; whoever gave it believes that all of it was read",
            lambda idx, past, block_size: idx[:, -(block_size - past) :],
            44,
        ),
        Wrong(
            "what the cache has read before does not count: a new token can still be one too many",
            lambda idx, past, block_size: guard(idx, 0, block_size),
            44,
        ),
        Wrong(
            "a text that just fits is refused",
            lambda idx, past, block_size: refuse(
                past + idx.size(1) >= block_size, f"{past + idx.size(1)} are more than {block_size}"
            ),
        ),
        Wrong(
            "the texts are counted and not their tokens; which axis of (B, T) is the place in the text?",
            lambda idx, past, block_size: refuse(past + len(idx) > block_size, f"{past + len(idx)} > {block_size}"),
        ),
        Wrong(
            "the sentence has no numbers: how long was the text, and how much fits?",
            lambda idx, past, block_size: refuse(past + idx.size(1) > block_size, "the text is too long"),
            44,
        ),
        Wrong(
            "the sentence says how much fits, and not how many tokens there are",
            lambda idx, past, block_size: refuse(past + idx.size(1) > block_size, f"more than {block_size} tokens"),
            44,
        ),
        Wrong(
            "the sentence says how many tokens there are, and not how many fit",
            lambda idx, past, block_size: refuse(past + idx.size(1) > block_size, f"{past + idx.size(1)} tokens"),
            44,
        ),
        Wrong(
            "the sentence counts the new tokens only; with those that the cache holds there are more",
            lambda idx, past, block_size: refuse(past + idx.size(1) > block_size, f"{idx.size(1)}, {block_size}"),
        ),
        Wrong(
            "an `assert` is for your own slips, and `python -O` leaves it out; what others give is a ValueError",
            lambda idx, past, block_size: refuse(past + idx.size(1) > block_size, "", AssertionError),
        ),
    ),
    hints=(
        "Which number must not be larger than `block_size`? Its parts are known without looking at a single id.",
        "`idx.size(1)` tokens come behind `past` others. Together they may be as many as the context has places.",
        '`raise ValueError(f"...")` with both numbers in braces.',
    ),
    why="The length is known without waiting for a GPU, so the guard costs nothing. And the sentence tells what to do.",
)


# ---- 7.7 the tie


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def after_loading() -> str:
    """Tried on a small model."""
    model = undisturbed(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=1, n_embd=2))
    before = count(model)
    model.load_state_dict({name: p.detach().clone() for name, p in model.state_dict().items()}, assign=True)
    return {0: "as many as before", 7 * 2: "V × C more", -7 * 2: "V × C fewer"}[count(model) - before]


LOADED = Exercise(
    after_loading,
    "the file holds two names, and each got a tensor of its own: the tie is broken",
    kind="predict",
    text="A tied model is saved, each name with its tensor, and loaded with `load_state_dict(saved, assign=True)`, "
    "which puts the tensors of the file in the place of the model's own. How many parameters does it have then?",
    choices=("as many as before", "V × C more", "V × C fewer"),
    wrong=(
        Wrong(
            "under how many names does the file hold the table, and can it say that they were one?",
            "as many as before",
            46,
        ),
        Wrong("every name of the model is in the file, so nothing can go missing", "V × C fewer"),
    ),
    hints=(
        "How many names does a tied model have for its one table?",
        "Print the keys of `state_dict()`: the table stands there under both names, as two tensors of equal numbers.",
        "With `assign=True` each name gets its tensor of the file. Is `head.weight` still the embedding's?",
    ),
    why="Equal numbers are not one table. After one step of training the two differ, and nobody is told.",
)


# ---- 7.8 the forward pass


def config_of(rng: random.Random) -> GPTConfig:
    n_head = rng.randint(1, 4)
    return GPTConfig(
        vocab_size=rng.randint(5, 60),
        block_size=rng.randint(4, 20),
        n_layer=rng.randint(1, 4),
        n_head=n_head,
        n_embd=n_head * 2 * rng.randint(1, 6),
        bias=rng.random() < 0.5,
        tied=rng.random() < 0.5,
    )


def forward_inputs(rng: random.Random) -> tuple[nn.Module, Tensor]:
    """A model of two blocks, all of its weights so large that each part is heard."""
    n_head, V, T = rng.choice([1, 2]), rng.randint(5, 9), rng.randint(3, 7)
    config = GPTConfig(V, max(T, V), n_layer=2, n_head=n_head, n_embd=n_head * rng.randint(3, 5))
    model = undisturbed(config).eval()
    dice = generator(rng)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=dice) * 0.5)
    return model, torch.randint(V, (2, T), generator=dice)


def through(x: Tensor, blocks: nn.ModuleList) -> Tensor:
    for block in blocks:
        x = block(x, mask=causal_mask(x.size(1)))
    return x


def embedded(model: nn.Module, idx: Tensor) -> Tensor:
    return model.token_embedding(idx) + model.position_embedding(torch.arange(idx.size(1)))


def without_positions(model: nn.Module, idx: Tensor) -> Tensor:
    return model.head(model.norm(through(model.token_embedding(idx), model.blocks)))


def without_mask(model: nn.Module, idx: Tensor) -> Tensor:
    x = embedded(model, idx)
    for block in model.blocks:
        x = block(x)
    return model.head(model.norm(x))


def places_by_id(model: nn.Module, idx: Tensor) -> Tensor:
    x = model.token_embedding(idx) + model.position_embedding(idx)
    return model.head(model.norm(through(x, model.blocks)))


def answers_not_kept(model: nn.Module, idx: Tensor) -> Tensor:
    return model.head(model.norm(embedded(model, idx)))


def last_block_alone(model: nn.Module, idx: Tensor) -> Tensor:
    return model.head(model.norm(model.blocks[-1](embedded(model, idx), mask=causal_mask(idx.size(1)))))


def a_norm_after_each(model: nn.Module, idx: Tensor) -> Tensor:
    x = embedded(model, idx)
    for block in model.blocks:
        x = model.norm(block(x, mask=causal_mask(idx.size(1))))
    return model.head(x)


def added_again(model: nn.Module, idx: Tensor) -> Tensor:
    x = embedded(model, idx)
    for block in model.blocks:
        x = x + block(x, mask=causal_mask(idx.size(1)))
    return model.head(model.norm(x))


def knows_places(attempt: Callable[..., Tensor], model: nn.Module, idx: Tensor) -> bool:
    logits = attempt(model, torch.full_like(idx, 2))
    return logits.shape != (*idx.shape, model.config.vocab_size) or not torch.allclose(
        logits[:, 0], logits[:, 1], atol=1e-4
    )


def knows_no_future(attempt: Callable[..., Tensor], model: nn.Module, idx: Tensor) -> bool:
    future = idx.clone()
    future[:, -1] = (future[:, -1] + 1) % model.config.vocab_size
    return torch.allclose(attempt(model, future)[:, :-1], attempt(model, idx)[:, :-1], atol=1e-4)


FORWARD = Exercise(
    forward,
    "tokens plus positions, the blocks with the mask, the last norm, the head",
    forward_inputs,
    text="The forward pass of a text that is read at once: from ids (B, T) to logits (B, T, V).",
    wrong=(
        Wrong(
            "positions are missing: feed one token again and again, and the logits are the same everywhere",
            without_positions,
            43,
        ),
        Wrong(
            "what feeds the head? count the norms: two in each block, and one more",
            lambda model, idx: model.head(through(embedded(model, idx), model.blocks)),
            39,
        ),
        Wrong(
            "the last norm is used after every block; it belongs to the end of the stream",
            a_norm_after_each,
        ),
        Wrong("the mask is missing: change a later token, and earlier logits move", without_mask, 25),
        Wrong(
            "the positions are looked up by token; where a token stands does not depend on which it is",
            places_by_id,
            43,
        ),
        Wrong("x is added behind each block; a block has already added to it", added_again),
        Wrong("what the blocks answer is not kept: the stream arrives as it set out", answers_not_kept),
        Wrong("each block reads the embedding, so only the last one counts; they stand in a row", last_block_alone),
        Wrong(
            "these are probabilities; logits are asked for, since the loss takes the softmax itself",
            lambda model, idx: forward(model, idx).softmax(-1),
        ),
        Wrong(
            "only the last place is answered; in training each place learns",
            lambda model, idx: forward(model, idx)[:, -1],
        ),
    ),
    properties=(
        Property("change the last token, and earlier logits move: who sees the future?", knows_no_future),
        Property("one token again and again gets the same logits everywhere: where are the places?", knows_places),
    ),
    hints=(
        "Follow the drawing of 7.2 from left to right. What is added before the first block?",
        "`model.position_embedding(torch.arange(T))` is (T, C) and is added to the tokens of every text.",
        "Each block gets what the one before it gave, and `causal_mask(T)`. Behind the last come `norm` and `head`.",
    ),
    why="One row of the position table for each place, the same for all texts; each block adds to the stream; the last "
    "norm brings it to the size that the head is used to.",
)


# ---- 7.10 how many parameters


def parameters(config: GPTConfig) -> int:
    V, C, L = config.vocab_size, config.n_embd, config.n_layer
    tables = V * C * (1 if config.tied else 2) + config.block_size * C
    norms = (2 * L + 1) * C * (2 if config.bias else 1)
    biases = L * 9 * C if config.bias else 0  # 3C + C in the attention, 4C + C in the MLP
    return tables + L * 12 * C**2 + norms + biases


def number(
    tables: Callable[[GPTConfig], int] = lambda c: c.vocab_size * (1 if c.tied else 2) + c.block_size,
    block: int = 12,
    layers: Callable[[GPTConfig], int] = lambda c: c.n_layer,
    biases: Callable[[GPTConfig], int] = lambda c: 9 if c.bias else 0,
    norms: Callable[[GPTConfig], int] = lambda c: (2 * c.n_layer + 1) * (2 if c.bias else 1),
) -> Callable[[GPTConfig], int]:
    """The formula with one of its terms replaced."""
    return lambda c: c.n_embd * (tables(c) + layers(c) * (block * c.n_embd + biases(c)) + norms(c))


def grows(attempt: Callable[[GPTConfig], int], small: GPTConfig, large: GPTConfig) -> bool:
    return attempt(large) - attempt(small) == parameters(large) - parameters(small)


PARAMETERS = Exercise(
    parameters,
    "12 C² weights per block, the tables, and the few in norms and biases",
    lambda rng: (config_of(rng),),
    text="From a configuration to the number of parameters, without building a model.",
    wrong=(
        Wrong(
            "a tied table is counted twice: two names, one parameter",
            number(lambda c: 2 * c.vocab_size + c.block_size),
            46,
        ),
        Wrong(
            "without a tie the head has a table of its own, and it is not counted",
            number(lambda c: c.vocab_size + c.block_size),
        ),
        Wrong("the position table is missing", number(lambda c: c.vocab_size * (1 if c.tied else 2))),
        Wrong("one block is counted; there are `n_layer`", number(layers=lambda c: 1)),
        Wrong("the way out of attention is missing: a block has four maps", number(block=11)),
        Wrong("the MLP goes up and comes down again: those are two maps of this size", number(block=8)),
        Wrong(
            "the last norm is missing, the one in front of the head",
            number(norms=lambda c: 2 * c.n_layer * (2 if c.bias else 1)),
        ),
        Wrong(
            "a norm has a weight for each channel, and more where `config.bias` is true",
            number(norms=lambda c: 2 * c.n_layer + 1),
        ),
        Wrong(
            "biases are counted also where `config.bias` is false",
            number(biases=lambda c: 9, norms=lambda c: 2 * (2 * c.n_layer + 1)),
        ),
        Wrong(
            "the maps of a block have no biases in this count; each of their outputs has one if `config.bias`",
            number(biases=lambda c: 0),
        ),
    ),
    properties=(
        Property(
            "untie the head, and the count should grow by one table of V × C",
            lambda attempt, c: grows(attempt, replace(c, tied=True), replace(c, tied=False)),
        ),
        Property(
            "switch `config.bias` on: the count should grow by what maps and norms add, and by nothing else",
            lambda attempt, c: grows(attempt, replace(c, bias=False), replace(c, bias=True)),
        ),
        Property(
            "make the context longer by one: the count should grow by one row of C numbers",
            lambda attempt, c: grows(attempt, c, replace(c, block_size=c.block_size + 1)),
        ),
        Property(
            "add one block: the count should grow by four maps, their biases and two norms",
            lambda attempt, c: grows(attempt, c, replace(c, n_layer=c.n_layer + 1)),
        ),
    ),
    hints=(
        "Three sums: the tables, what stands in a block, and the norms. Which of them is multiplied by `n_layer`?",
        "The tables have V × C and `block_size` × C numbers, and V × C more for a head that is not tied.",
        "The outputs of the four maps of a block are 3C, C, 4C and C: so many biases. There are 2L + 1 norms.",
    ),
    why="Nearly all of it stands in the blocks and in the tables; the small terms are what makes the count a check.",
)


# ---- 7.10b a pile of blocks


class Stack(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(config.n_embd, config.n_head) for _ in range(config.n_layer)])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask=mask)
        return x


class BrokenStack(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.blocks = [Block(config.n_embd, config.n_head) for _ in range(config.n_layer)]

    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask=mask)
        return x


class SharedStack(Stack):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList([Block(config.n_embd, config.n_head)] * config.n_layer)


class OneBlock(Stack):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        self.blocks = self.blocks[:1]


class MaskLost(Stack):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class OnlyTheFirstUsed(Stack):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.blocks[0](x, mask=mask)


def stack_inputs(rng: random.Random) -> tuple[GPTConfig, Tensor]:
    C = 2 * rng.randint(2, 4)
    return GPTConfig(9, 9, n_layer=rng.randint(2, 4), n_head=2, n_embd=C), torch.randn(
        2, 4, C, generator=generator(rng)
    )


def use_stack(attempt: type[nn.Module], config: GPTConfig, x: Tensor) -> dict[str, object]:
    """How many numbers PyTorch sees in it, which of them learn, and what it answers with fixed weights."""
    stack = attempt(config)
    with torch.no_grad():
        for i, p in enumerate(stack.parameters()):
            p.copy_(torch.arange(p.numel()).add(i).sin().view_as(p))
    out = stack(x, causal_mask(x.size(1)))
    found: dict[str, object] = {"the number of parameters": count(stack)}
    if out.requires_grad:
        out.square().sum().backward()
    found["parameters without a gradient"] = sum(p.numel() for p in stack.parameters() if p.grad is None)
    return found | ({"the answer": out} if found["the number of parameters"] else {})


STACK = Exercise(
    Stack,
    "n_layer blocks, each of them its own, and all of them known to PyTorch",
    stack_inputs,
    kind="mend",
    text="A pile of n_layer blocks that runs without complaint. How many parameters does it have? Mend it.",
    given=BrokenStack,
    use=use_stack,
    wrong=(
        Wrong(
            "PyTorch does not look into a plain list: print the number of parameters, and derive it by hand",
            BrokenStack,
            41,
        ),
        Wrong(
            "the same block stands in every place, so all layers share their weights: print the number of parameters, "
            "and derive it by hand",
            SharedStack,
            42,
        ),
        Wrong("there is one block only; `n_layer` says how many there should be", OneBlock),
        Wrong(
            "all blocks are there, and only the first is used: list the weights without a gradient", OnlyTheFirstUsed
        ),
        Wrong("the blocks are known now, and the mask does not reach them: each token sees its future", MaskLost, 25),
    ),
    hints=(
        "Print `sum(p.numel() for p in stack.parameters())`. What would 12 C² per block give?",
        "A module finds parts that are its own attributes, and those in containers that PyTorch knows.",
        "Look up `nn.ModuleList`. It takes the list as it is: make sure that it holds different blocks.",
    ),
    why="What stands in a plain list is not trained, not saved and not moved. `[block] * n` is one block under n "
    "numbers; a comprehension makes a new one each time.",
)


# ---- 7.11 what a token costs


def flops(config: GPTConfig, T: int) -> int:
    V, C, L = config.vocab_size, config.n_embd, config.n_layer
    return 6 * (L * 12 * C**2 + V * C) + 12 * L * C * T


def flops_inputs(rng: random.Random) -> tuple[GPTConfig, int]:
    config = config_of(rng)
    return config, rng.randint(2, config.block_size)


def cost(
    each: int = 6,
    looking: int = 12,
    others: Callable[[GPTConfig], int] = lambda c: c.vocab_size * c.n_embd,
    layers: Callable[[GPTConfig], int] = lambda c: c.n_layer,
) -> Callable[[GPTConfig, int], int]:
    """The operations with one of the numbers replaced."""
    return lambda c, T: each * (12 * c.n_layer * c.n_embd**2 + others(c)) + looking * layers(c) * c.n_embd * T


FLOPS = Exercise(
    flops,
    "6 for each weight in a product, 12 C T in each layer for attention",
    flops_inputs,
    text="From a configuration and the length T of the text to the operations of a training step for each token.",
    wrong=(
        Wrong("this is the way forward only; a training step also goes back, with twice the work", cost(2, 4)),
        Wrong("the way back counts as much as the way forward here; it has two gradients to make", cost(4, 8)),
        Wrong("the products of attention count forward only; they have gradients as well", cost(6, 4)),
        Wrong("queries meet keys, and then the values are mixed: those are two products", cost(6, 6)),
        Wrong("attention is missing: the part that grows with T", cost(6, 0)),
        Wrong("attention counts for one layer only", cost(layers=lambda c: 1)),
        Wrong("the head is missing: its product with V × C numbers is a large one", cost(others=lambda c: 0)),
        Wrong(
            "a table costs nothing when it is looked up; only the head multiplies",
            cost(others=lambda c: c.vocab_size * c.n_embd * (1 if c.tied else 2) + c.block_size * c.n_embd),
        ),
        Wrong(
            "every parameter is counted; tables that are looked up, norms and biases should be left out",
            lambda c, T: 6 * parameters(c) + 12 * c.n_layer * c.n_embd * T,
        ),
        Wrong("this is the cost of the whole text; asked for is that of each token", lambda c, T: T * flops(c, T)),
    ),
    properties=(
        Property(
            "with another `block_size` it gives another number; it is T that counts, and looking up a place is free",
            lambda attempt, c, T: attempt(c, T) == attempt(replace(c, block_size=c.block_size + 9), T),
        ),
        Property(
            "make T longer by one: attention should grow, in each layer by the same amount, and nothing else",
            lambda attempt, c, T: attempt(c, T + 1) - attempt(c, T) == flops(c, T + 1) - flops(c, T),
        ),
        Property(
            "without the part that grows with T there should be 6 operations left for each weight in a product",
            lambda attempt, c, T: (T + 1) * attempt(c, T) - T * attempt(c, T + 1) == flops(c, 0),
        ),
    ),
    hints=(
        "Two sums: products with weights, and products of tokens with tokens. Which of them grows with T?",
        "Weights in products: 12 C² in each block, and those of the head. Each takes 2 operations forward, 4 back.",
        "The products of attention take 4 C T forward in each layer, and twice that on the way back.",
    ),
    why="Of all parameters only those in products count, the head's table once, tied or not.",
)


EXERCISES = {
    "7.5": INITIALISE,
    "7.6": GUARD,
    "7.7": LOADED,
    "7.8": FORWARD,
    "7.10": PARAMETERS,
    "7.10b": STACK,
    "7.11": FLOPS,
}
