"""What the encoder-decoder says about sizes, ids and settings that make no sense."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gptlib._checks import require


def check_config(c: Any) -> None:
    """ValueError for the first field of an `EncoderDecoderConfig` that no model can have."""
    require(c, "vocab_size n_layer n_head n_embd", lambda v: type(v) is int and v >= 1, "an int of at least 1")
    if c.n_embd % (2 * c.n_head):
        below = c.n_embd - c.n_embd % (2 * c.n_head)
        way_out = f"take {below} or {below + 2 * c.n_head}" if below else "the two look swapped"
        raise ValueError(f"n_embd is {c.n_embd}, which {c.n_head} heads cannot share in even parts; {way_out}")
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
    require(c, "look_around", lambda v: isinstance(v, bool), "True or False")


def check_ids(name: str, ids: Tensor, vocab_size: int) -> None:
    """ValueError unless these are (batch, positions) of ids that the vocabulary has."""
    if ids.dim() != 2 or ids.is_floating_point() or ids.dtype.itemsize < 4 or ids.size(1) == 0:
        raise ValueError(f"{name} has shape {tuple(ids.shape)} and {ids.dtype}; give (batch, positions) of torch.int64")
    if ids.device.type == "cpu" and ids.numel() and not 0 <= ids.min() <= ids.max() < vocab_size:  # a GPU would wait
        found = f"{name} holds ids from {ids.min()} to {ids.max()}"
        raise ValueError(f"{found}, but they go from 0 to {vocab_size - 1}; use the model's tokenizer")


def check_sources(sources: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    """ValueError for no source at all, an empty one, and a length that leaves no room for an answer."""
    if not len(sources):
        raise ValueError("sources is empty; give at least one text as a list of ids")
    empty = [place for place, ids in enumerate(sources) if not len(ids)]
    if empty:
        raise ValueError(f"sources[{empty[0]}] is empty; give at least one token to translate")
    if type(max_new_tokens) is not int or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give an int of at least 1")


def check_smoothing(smoothing: float) -> None:
    """ValueError for a share of the target that is none."""
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; give 0 or more, below 1")


def check_loss(value: float, step: int) -> float:
    """The loss, or a ValueError if it is no number any more."""
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {step}; lower the learning rates, and look for NaN in the input")
    return value
