"""Named sets of flags for `gptlib train --preset NAME`: what is given beside the name wins over them."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # what nanoGPT trains on a CPU in a minute or two, as a measure for everything else
    "plain": {
        "tokenizer": "char",
        "block_size": 64,
        "n_layer": 4,
        "n_head": 4,
        "n_embd": 128,
        "dropout": 0.0,
        "start": "random",
        "max_steps": 2000,
        "batch_size": 12,
        "optimizer": "adamw",
        "lr": 1e-3,
        "min_lr": 0.1,
        "warmup_steps": 100,
        "betas": (0.9, 0.99),
        "weight_decay": 0.1,
        "grad_clip": 1.0,
    },
}


def preset(name: str) -> dict[str, Any]:
    """The fields of a preset; `ValueError` with the names that there are."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose {' or '.join(PRESETS)}, or leave --preset out")
    return dict(PRESETS[name])
