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
    # the recipe of lesson 08's last section: the start, the windows and the way down are chosen for few updates
    "speedrun": {
        "scale": "unit",
        "look_back": 1,
        "shuffle": True,
        "schedule": "linear",
        "min_lr": 0.0,
        "warmup_steps": 5,
        "momentum": 0.9,
        "muon_lr": 0.03,
        "weight_decay": 0.1,
        "max_steps": 480,
        "eval_every": 240,
    },
}
WITH_CHARACTERS: dict[str, dict[str, Any]] = {  # what a preset does otherwise when every character is a token
    "speedrun": {
        "block_size": 64,
        "batch_size": 20,
        "muon_lr": 0.04,
        "start": "random",
        "look_back": 4,
        "tied": False,
        "max_steps": 150,
        "eval_every": 150,
    },
}


def preset(name: str, tokenizer: str | None = None) -> dict[str, Any]:
    """The fields of a preset, for a tokenizer; `ValueError` with the names that there are."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose {' or '.join(PRESETS)}, or leave --preset out")
    return PRESETS[name] | (WITH_CHARACTERS.get(name, {}) if tokenizer == "char" else {})
