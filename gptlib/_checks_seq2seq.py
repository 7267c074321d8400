"""What the encoder-decoder says about sizes, ids and settings that make no sense."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor


def _require(ok: bool, name: str, value: Any, way_out: str) -> None:
    if not ok:
        raise ValueError(f"{name} is {value!r}; {way_out}")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_config(c: Any) -> None:
    """ValueError for the first field of an `EncoderDecoderConfig` that no model can have."""
    for name in ("vocab_size", "n_layer", "n_head", "n_embd"):
        _require(_is_whole(getattr(c, name), 1), name, getattr(c, name), "give an int of at least 1")
    if c.n_embd % (2 * c.n_head):
        below = c.n_embd - c.n_embd % (2 * c.n_head)
        way_out = f"take {below} or {below + 2 * c.n_head}" if below else "the two look swapped"
        raise ValueError(f"n_embd is {c.n_embd}, which {c.n_head} heads cannot share in even parts; {way_out}")
    specials = {name: getattr(c, name) for name in ("pad_id", "start_id", "end_id")}
    for name, value in specials.items():
        fits = _is_whole(value, 0) and value < c.vocab_size
        _require(fits, name, value, f"give an id of the vocabulary, 0 to {c.vocab_size - 1}")
    if len(set(specials.values())) < 3:
        raise ValueError(f"pad_id, start_id and end_id are {', '.join(map(str, specials.values()))}; give three ids")
    _require(_is_number(c.dropout) and 0 <= c.dropout < 1, "dropout", c.dropout, "give 0 or more, below 1")
    _require(_is_number(c.norm_eps) and 0 < c.norm_eps < 1, "norm_eps", c.norm_eps, "try 1e-5")
    _require(c.norm in ("pre", "post"), "norm", c.norm, "choose 'pre' or 'post'")
    _require(c.gelu in ("erf", "tanh"), "gelu", c.gelu, "choose 'erf' or 'tanh'")
    _require(isinstance(c.look_around, bool), "look_around", c.look_around, "give True or False")


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
    _require(_is_whole(max_new_tokens, 1), "max_new_tokens", max_new_tokens, "give at least 1")


def check_smoothing(smoothing: float) -> None:
    """ValueError for a share of the target that is none."""
    _require(_is_number(smoothing) and 0 <= smoothing < 1, "smoothing", smoothing, "give 0 or more, below 1")


def check_loss(value: float, step: int) -> float:
    """The loss, or a ValueError if it is no number any more."""
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {step}; lower the learning rates, and look for NaN in the input")
    return value
