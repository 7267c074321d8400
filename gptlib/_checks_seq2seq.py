"""What the encoder-decoder says about sizes, ids and settings that make no sense."""

import math
import reprlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gptlib._checks import require


def check_config(c: Any) -> None:
    """ValueError for the first field of an `EncoderDecoderConfig` that no model can have."""
    require(c, "vocab_size n_layer n_head n_embd", lambda v: type(v) is int and v >= 1, "an int of at least 1")
    require(c, "look_around", lambda v: isinstance(v, bool), "True or False")
    if c.look_around and c.n_head == 1:
        raise ValueError(
            "look_around keeps the channels of one head for the place, and n_head is 1; take 2 or more heads, or "
            "look_around=False"
        )
    step = 2 * c.n_head if c.look_around else math.lcm(2, c.n_head)  # a sine and a cosine are two channels
    if c.n_embd % step:
        below = c.n_embd - c.n_embd % step
        way_out = f"take {below} or {below + step}" if below else f"take {step}"
        if c.n_embd < c.n_head:
            way_out = "the two look swapped"
        raise ValueError(f"n_embd is {c.n_embd}, but with n_head {c.n_head} it must be a multiple of {step}; {way_out}")
    last = c.vocab_size - 1
    specials = "pad_id start_id end_id"
    require(c, specials, lambda v: type(v) is int and 0 <= v <= last, f"an id of the vocabulary, 0 to {last}")
    ids = [getattr(c, name) for name in specials.split()]
    if len(set(ids)) < 3:
        raise ValueError(f"pad_id, start_id and end_id are {', '.join(map(str, ids))}; give three ids")
    require(c, "dropout", lambda v: 0 <= v < 1, "0 or more, below 1")
    require(c, "norm_eps", lambda v: 0 < v < 1, "a small number such as 1e-5")
    require(c, "norm", lambda v: v in ("pre", "post"), "pre or post")
    require(c, "gelu", lambda v: v in ("erf", "tanh"), "erf or tanh")


def check_ids(name: str, ids: Tensor, vocab_size: int) -> None:
    """ValueError unless these are (batch, positions) of ids that the vocabulary has."""
    if not isinstance(ids, Tensor):
        raise ValueError(f"{name} is a {type(ids).__name__}; give a tensor (batch, positions) of torch.int64")
    if ids.dim() != 2 or ids.dtype not in (torch.int64, torch.int32) or ids.size(1) == 0:
        raise ValueError(f"{name} has shape {tuple(ids.shape)} and {ids.dtype}; give (batch, positions) of torch.int64")
    if ids.device.type == "cpu" and ids.numel() and not 0 <= ids.min() <= ids.max() < vocab_size:  # a GPU would wait
        found = f"{name} holds ids from {ids.min()} to {ids.max()}"
        raise ValueError(f"{found}, but they go from 0 to {vocab_size - 1}; use the model's tokenizer")


def check_rows(target: Tensor, memory: Tensor) -> None:
    """ValueError unless there is a source for each target."""
    if len(target) != len(memory):
        raise ValueError(f"target has {len(target)} texts and the source {len(memory)}; give one for each")


def check_lists(texts: Sequence[Sequence[int]]) -> None:
    """ValueError for a text that is not encoded, and for a single one where several are wanted."""
    for ids in [texts] if isinstance(texts, str) else texts:
        if isinstance(ids, (str, int)) or getattr(ids, "ndim", 1) != 1:
            raise ValueError(f"{reprlib.repr(ids)} is no list of ids; encode a text, and put a single one in a list")


def check_sources(sources: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    """ValueError for no source at all, an empty one, and a length that leaves no room for an answer."""
    if not len(sources):
        raise ValueError("sources is empty; give at least one text as a list of ids")
    check_lists(sources)
    empty = [place for place, ids in enumerate(sources) if not len(ids)]
    if empty:
        raise ValueError(f"sources[{empty[0]}] is empty; give at least one token to translate")
    if type(max_new_tokens) is not int or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give an int of at least 1")


def check_batches(count: int, batch_size: int, pool: int) -> None:
    """ValueError where no batch would ever come."""
    if min(count, batch_size, pool) < 1:
        found = f"there are {count} pairs for batches of {batch_size}, {pool} at a time"
        raise ValueError(f"{found}; give at least one of each")


def check_smoothing(logits: Tensor, targets: Tensor, smoothing: float) -> None:
    """ValueError for targets of another shape, and for a share of the target that is none."""
    if logits.shape[:-1] != targets.shape:
        wanted = f"logits of shape {tuple(logits.shape)} belong to targets of shape {tuple(logits.shape[:-1])}"
        raise ValueError(f"{wanted}, and these have {tuple(targets.shape)}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; give 0 or more, below 1")


def check_loss(value: float, step: int) -> float:
    """The loss, or a ValueError if it is no number any more."""
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {step}; lower the learning rates, and look for NaN in the input")
    return value
