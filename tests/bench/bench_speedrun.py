"""The preset `speedrun` beside the plain recipe on tinyshakespeare, by itself on the tales, and what each part brings.

    python tests/bench/bench_speedrun.py [--text tinyshakespeare] [--rounds 2] [--seeds 3]
        [--parts race,tales,table,tales_table]

`race` runs both commands as whole processes, by turns, and `tales` runs the preset once for each seed; both are timed
from start to exit. `table` and `tales_table` take one part after the other out of the recipe, with the same data and
seeds, and keep the loss (on the tales also the recall) that is left; their times do not matter. A part of the bench
that is not run keeps what it measured before.
"""

import dataclasses
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import torch
from _results import HERE, keep, option

from gptlib._presets import preset
from gptlib.corpora import tales
from gptlib.data import documents, encode_text, load_text, split_text
from gptlib.model import GPT, GPTConfig
from gptlib.sampling import recall
from gptlib.tokenizer import BPETokenizer, CharTokenizer
from gptlib.training import TrainConfig, train

WITHOUT = {  # what stands in place of each part of the recipe
    "look_back": {"look_back": 0},
    "unit scale": {"scale": "small"},
    "Muon": {"optimizer": "adamw", "lr": 3e-3},
    "untied head": {"tied": True},
    "linear to 0, short warm-up": {"schedule": "cosine", "min_lr": 0.02, "warmup_steps": 30},
    "Muon's rate and memory": {"muon_lr": 0.02, "momentum": 0.95},
    "additions from 0": {"start": "copy"},
}
WITHOUT_ON_TALES = {"shuffle": {"shuffle": False}}  # it deals documents, and the other text is a single one


def command(*flags: str) -> dict[str, float]:
    """Run `gptlib train` with these flags; the seconds of the whole process, and what its evaluation says."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        began = perf_counter()
        argv = [sys.executable, "-m", "gptlib", "train", *flags, "--run_dir", str(run)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = perf_counter() - began
        facts = json.loads((run / "config.json").read_text(encoding="utf-8"))["facts"]
    found = {"seconds": round(seconds, 1)} | {name: round(value, 4) for name, value in facts["evaluation"].items()}
    print(" ".join(flags), found, file=sys.stderr)
    return found


def race(text: str, rounds: int) -> dict[str, Any]:
    """Both recipes by turns; neither evaluates on the way."""
    flags = {
        name: ["--preset", name, "--data_path", text, "--tokenizer", "char", "--eval_every", "100000"]
        for name in ("plain", "speedrun")
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in flags}
    for seed in range(rounds):
        for name in flags:
            runs[name].append(command(*flags[name], "--seed", str(seed)))
    seconds = {name: mean(run["seconds"] for run in found) for name, found in runs.items()}
    return {"runs": runs, "speedrun_over_plain": round(seconds["speedrun"] / seconds["plain"], 3)}


def trained(data: Any, fields: dict[str, Any], seed: int) -> tuple[GPT, float]:
    """A model trained with these fields of both configurations, and its validation loss."""
    tokenizer, train_tokens, val_tokens = data
    sizes = {f.name for f in dataclasses.fields(GPTConfig)}
    torch.manual_seed(seed)
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **{k: v for k, v in fields.items() if k in sizes}))
    plan = TrainConfig(**{k: v for k, v in fields.items() if k not in sizes} | {"seed": seed, "eval_every": 10**6})
    return model, train(model, train_tokens, val_tokens, plan, tokenizer=tokenizer)[-1]["val_loss"]


def table(text: str, seeds: range) -> dict[str, Any]:
    """The loss on characters without each part, for each seed."""
    raw = load_text(text)
    tokenizer = CharTokenizer.train(documents(raw))
    data = tokenizer, *(encode_text(part, tokenizer) for part in split_text(raw))
    recipe, rows = preset("speedrun", "char"), {}
    for name, change in {"the whole recipe": {}, **WITHOUT}.items():
        rows[name] = [round(trained(data, recipe | change, seed)[1], 4) for seed in seeds]
        print(name, rows[name], file=sys.stderr)
    return rows


def table_on_tales(seeds: range) -> dict[str, Any]:
    """The loss above the floor and the recall on the tales without each part, for each seed."""
    train_text, val_text = split_text(load_text("tales"))
    tokenizer = BPETokenizer.train(documents(train_text), GPTConfig().vocab_size)
    data = tokenizer, encode_text(train_text, tokenizer), encode_text(val_text, tokenizer)
    told = [tales.read(text) for text in documents(val_text)]
    floor = sum(tale.bits for tale in told) * math.log(2) / (len(data[2]) - 1)
    rows: dict[str, list[dict[str, float]]] = {}
    for name, change in WITHOUT_ON_TALES.items():
        for seed in seeds:
            model, loss = trained(data, preset("speedrun") | change, seed)
            found = {"above_floor": round(loss / floor - 1, 4), "recall": round(recall(model, tokenizer, told), 4)}
            rows.setdefault(name, []).append(found)
        print(name, rows[name], file=sys.stderr)
    return rows


if __name__ == "__main__":
    text = option(sys.argv, "--text", "tinyshakespeare")
    parts = option(sys.argv, "--parts", "race,tales,table,tales_table").split(",")
    seeds = range(int(option(sys.argv, "--seeds", "3")))
    path = HERE / "results" / "speedrun.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "race" in parts:
        found["race"] = race(text, int(option(sys.argv, "--rounds", "2")))
    if "tales" in parts:
        found["tales"] = [command("--preset", "speedrun", "--seed", str(seed)) for seed in seeds]
    if "table" in parts:
        found["without_on_characters"] = table(text, seeds)
    if "tales_table" in parts:
        found["without_on_tales"] = table_on_tales(seeds)
    keep("speedrun", {name: value for name, value in found.items() if name not in ("command", "commit", "machine")})
