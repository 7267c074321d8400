"""The sentences that training says about what cannot be trained."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from gptlib.model import GPT


def require(owner: Any, names: str, good: Callable[[Any], bool], wanted: str) -> None:
    """`ValueError` for the first field, of those named in one string, whose value is not good."""
    for name in names.split():
        value = getattr(owner, name)
        try:
            fine = good(value)
        except TypeError:  # no number at all
            fine = False
        if not fine:
            raise ValueError(f"{name} is {value!r}: choose {wanted}")


def check_fits(model: GPT, texts: Sequence[np.ndarray], precision: str, device: torch.device) -> None:
    """`ValueError` for float16 without a GPU, for texts too short, and for token ids that the model does not know."""
    if precision == "float16" and device.type != "cuda":
        raise ValueError(f"precision is 'float16' and the device {device}: it needs cuda; choose bfloat16 or float32")
    for name, tokens, needed in zip(("training", "validation"), texts, (model.config.block_size + 1, 2), strict=True):
        if len(tokens) < needed:
            raise ValueError(
                f"the {name} text has {len(tokens)} tokens and needs at least {needed} (the context is "
                f"{model.config.block_size}): use a longer text or a smaller block_size"
            )
    largest, known = max(int(tokens.max(initial=0)) for tokens in texts), model.config.vocab_size
    if largest >= known:
        raise ValueError(f"the text has the id {largest}, and the model knows {known}: use one tokenizer for both")


def require_finite(name: str, value: float, step: int, before: Sequence[float]) -> float:
    """The loss, or `FloatingPointError` if it is no number any more; `before` may hold the last one that was."""
    if not math.isfinite(value):
        was = "".join(f" (it was {loss:.3f} before)" for loss in before[-1:])
        raise FloatingPointError(
            f"the {name} became {value} at step {step}{was}: lower lr, muon_lr or grad_clip, or use float32; "
            f"a run folder keeps its last saved state"
        )
    return value
