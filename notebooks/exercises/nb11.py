"""The exercises of 11_pretrained: other names, other sides, and the bits of an answer."""

import math
import random

import torch
from torch import Tensor

from exercises import Exercise

WORDS = {"token_embedding": "wte", "position_embedding": "wpe", "blocks": "h", "norm": "ln_f", "head": "lm_head"}
WORDS |= {"norm1": "ln_1", "norm2": "ln_2", "attention": "attn", "qkv": "c_attn", "out": "c_proj"}
WORDS |= {"up": "c_fc", "down": "c_proj"}


def their_name(name: str) -> str:
    return ".".join(WORDS.get(part, part) for part in name.split("."))


def shapes(n_layer: int, V: int, T: int, C: int) -> dict[str, tuple[int, ...]]:
    """Our tensors, the head left out."""
    block = {"norm1": (C,), "attention.qkv": (3 * C, C), "attention.out": (C, C)}
    block |= {"norm2": (C,), "mlp.up": (4 * C, C), "mlp.down": (C, 4 * C)}
    named: dict[str, tuple[int, ...]] = {"token_embedding.weight": (V, C), "position_embedding.weight": (T, C)}
    for i in range(n_layer):
        for part, shape in block.items():
            named |= {f"blocks.{i}.{part}.weight": shape, f"blocks.{i}.{part}.bias": shape[:1]}
    return named | {"norm.weight": (C,), "norm.bias": (C,)}


def name_inputs(rng: random.Random) -> tuple[str]:
    """Any of our names, of a layer with one or two digits too, or the head's."""
    return (rng.choice([*shapes(rng.randint(1, 12), 5, 4, 2), "head.weight"]),)


def our_state(theirs: dict[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    state = {}
    for ours in shapes(n_layer, 1, 1, 1):
        name = their_name(ours)
        tensor = theirs[name] if name in theirs else theirs[f"transformer.{name}"]
        state[ours] = tensor.T if ".c_" in name and name.endswith("weight") else tensor
    return state


def state_inputs(rng: random.Random) -> tuple[dict[str, Tensor], int]:
    """A file in some order, with or without the prefix; numbers as they come, so that a square map shows its side."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    n_layer, C, prefix = rng.randint(1, 3), rng.randint(2, 4), rng.choice(["", "transformer."])
    theirs = {}
    for ours, shape in shapes(n_layer, rng.randint(5, 9), rng.randint(5, 9), C).items():
        name = their_name(ours)
        turned = ".c_" in name and name.endswith("weight")
        theirs[prefix + name] = torch.randn(shape[::-1] if turned else shape, generator=generator)
    names = list(theirs)
    rng.shuffle(names)
    return {name: theirs[name] for name in names}, n_layer


def answer_bits(logits: Tensor, ids: Tensor, n_prompt: int) -> Tensor:
    log_p = logits.log_softmax(dim=-1)[n_prompt - 1 : -1]
    return -log_p.gather(1, ids[n_prompt:, None]).sum() / math.log(2)


def answer_inputs(rng: random.Random) -> tuple[Tensor, Tensor, int]:
    """A prompt of one token or more, an answer of one or more."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    V, n_prompt, n_answer = rng.randint(3, 9), rng.randint(1, 6), rng.randint(1, 5)
    T = n_prompt + n_answer
    ids = torch.randint(V, (T,), generator=generator)
    return 2 * torch.randn(T, V, generator=generator), ids, n_prompt


EXERCISES = {
    "11.1": Exercise(their_name, "each part has its word, and a number stays a number", name_inputs),
    "11.2": Exercise(
        our_state, "every tensor in its place, and every linear map turned, the square ones too", state_inputs
    ),
    "11.10": Exercise(
        answer_bits, "the row before an id speaks about it, and the prompt does not count", answer_inputs
    ),
}
