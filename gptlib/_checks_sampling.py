"""What sampling says about settings and ids that make no sense."""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from .model import GPT
from .tokenizer import Tokenizer


def check_sampling(temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> None:
    """ValueError for a temperature, `top_k` or `top_p` that means nothing."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; give 0 for the likeliest token always, or a number above 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; give the number of tokens to keep, at least 1, or None to keep all")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; give the share of probability to keep, above 0 and at most 1")


def check_same_tokens(model: GPT, tokenizer: Tokenizer) -> None:
    """ValueError for a tokenizer that cannot be the model's own."""
    V = model.config.vocab_size
    if tokenizer.vocab_size != V:
        raise ValueError(f"the tokenizer has {tokenizer.vocab_size} tokens and the model {V}: give the model's own")


def check_prompt(model: GPT, idx: Tensor, max_new_tokens: int, stops: Collection[int] = ()) -> None:
    """ValueError for ids that the model cannot go on from, or a negative number of tokens."""
    if idx.dim() != 2 or idx.is_floating_point():
        raise ValueError(f"idx has shape {tuple(idx.shape)} and {idx.dtype}; give (batch, positions) of token ids")
    if idx.numel() == 0:
        raise ValueError(f"idx has shape {tuple(idx.shape)}, which is empty; give at least one token to go on from")
    V = model.config.vocab_size
    for name, ids in (("idx", (idx.min().item(), idx.max().item())), ("stop", stops)):
        wrong = [i for i in ids if not 0 <= i < V]
        if wrong:
            raise ValueError(f"{name} holds {wrong[0]}, but the ids go from 0 to {V - 1}; use this model's tokenizer")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give 0 or more")


def check_prompts(
    model: GPT, prompts: Sequence[Sequence[int]], max_new_tokens: int, stops: Collection[int] = ()
) -> None:
    """`check_prompt` for prompts of any lengths; an empty one is named by its place."""
    empty = [place for place, ids in enumerate(prompts) if not len(ids)]
    if empty:
        raise ValueError(f"prompts[{empty[0]}] is empty; give at least one token to go on from")
    ids = [i for prompt in prompts for i in prompt] or [0]
    check_prompt(model, torch.tensor([ids]), max_new_tokens, stops)
