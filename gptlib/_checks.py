"""The sentences that training says about what cannot be trained."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gptlib.model import GPT

if TYPE_CHECKING:
    from gptlib.training import TrainConfig, Trainer


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


def check_config(config: "TrainConfig") -> None:
    """`ValueError` for the first field with which nothing can be trained."""
    require(config, "epochs lr muon_lr grad_clip", lambda v: 0 < v < math.inf, "a number above 0")
    require(config, "batch_size accumulation eval_every", lambda v: v >= 1, "1 or more")
    require(config, "max_steps", lambda v: v is None or v >= 1, "1 or more, or None")
    require(config, "warmup_steps weight_decay seed", lambda v: 0 <= v < math.inf, "0 or more")
    require(config, "min_lr", lambda v: 0 <= v <= 1, "a share of the peak, from 0 to 1")
    require(config, "momentum", lambda v: 0 <= v < 1, "0 or more, below 1")
    require(config, "schedule", lambda v: v in ("cosine", "linear"), "cosine or linear")
    require(config, "betas", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v), "two shares, each below 1")
    require(config, "optimizer", lambda v: v in ("muon", "adamw"), "muon or adamw")
    require(config, "precision", lambda v: v in ("float32", "bfloat16", "float16"), "float32, bfloat16 or float16")
    require(config, "compile shuffle", lambda v: isinstance(v, bool), "True or False")


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


def require_finite(name: str, value: float, run: "Trainer") -> float:
    """The loss, or `FloatingPointError` with what may have made it no number."""
    if math.isfinite(value):
        return value
    step = run.progress.step
    known = run.progress.losses or [record["val_loss"] for record in run.progress.history]
    if not step or not known:
        broken = [name for name, p in run.model.named_parameters() if not p.isfinite().all()]
        cause = f"{broken[0]} is not finite" if broken else f"its weights are too large for {run.config.precision}"
        raise FloatingPointError(
            f"the {name} is {value} at step {step}, before any update: {cause}, so load or make the model again"
        )
    one, two, three = likely_causes(run.config)
    raise FloatingPointError(
        f"the {name} became {value} at step {step} (it was {known[-1]:.3f} before): likely {one}, {two}, or {three}; "
        f"mend that in another run, a run folder keeps its last saved state"
    )


def likely_causes(config: "TrainConfig") -> list[str]:
    """Three reasons why a loss became no number, the likeliest first."""
    rates = f"lr={config.lr:g}" + f" or muon_lr={config.muon_lr:g}" * (config.optimizer == "muon")
    coarse = {"float16": "float16 overflowed above 65,504", "bfloat16": "bfloat16 was too coarse"}
    limits = [f"warmup_steps={config.warmup_steps} is too low", f"grad_clip={config.grad_clip:g} is too high"]
    if config.warmup_steps and config.grad_clip > 1:
        limits.reverse()
    causes = [f"{rates} is too high", coarse.get(config.precision), *limits]
    return [cause for cause in causes if cause][:3]


OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory|bad_alloc|ALLOC_FAILED")


@contextmanager
def enough_memory(run: "Trainer") -> Iterator[None]:
    """`MemoryError` with the sizes to lower for whatever way an allocation fails; other errors pass as they are."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        sizes, size, passes = run.model.config, run.config.batch_size, run.config.accumulation
        part = next((n for n in range(2, size + 1) if size % n == 0), 1)
        same = (
            f"batch_size from {size} to {size // part} and raise accumulation from {passes} to {passes * part}, which "
        )
        raise MemoryError(
            f"there is not enough memory on {run.device}: lower {f'{same}makes the same batch, or ' * (size > 1)}"
            f"block_size ({sizes.block_size}), n_embd ({sizes.n_embd}) or n_layer ({sizes.n_layer})"
        ) from error
