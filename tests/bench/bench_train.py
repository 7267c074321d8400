"""The tales with all defaults: what three seeds reach and how long they take, and how the recall jumps.

    python tests/bench/bench_train.py [--seeds 3] [--curves muon,adamw,plain]

Each seed is a run of the command `gptlib train`, timed as a whole. The curves train the same model again in this
process and measure the recall at every evaluation; their seconds are those of the updates alone. `adamw` trains all
weights with AdamW at a rate of 0.001; `plain` begins with random value and output maps in attention.
"""

import json
import math
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from _results import keep, option

from gptlib.corpora import tales
from gptlib.data import documents, encode_text, load_text, split_text
from gptlib.model import GPT, GPTConfig, count_parameters
from gptlib.sampling import recall
from gptlib.tokenizer import BPETokenizer
from gptlib.training import TrainConfig, train


def command(seed: int, folder: Path) -> dict[str, float]:
    """Run `gptlib train --seed` with its defaults; what its evaluation says, and the seconds of the whole process."""
    run = folder / f"bench_seed{seed}"
    shutil.rmtree(run, ignore_errors=True)
    began = time.perf_counter()
    argv = [sys.executable, "-m", "gptlib", "train", "--seed", str(seed), "--run_dir", str(run)]
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    facts = json.loads((run / "config.json").read_text(encoding="utf-8"))["facts"]
    return {"seed": seed, "seconds": round(seconds, 1)} | facts["evaluation"]


def curve(kind: str, seed: int = 0) -> dict[str, object]:
    """Loss and recall through one training with the defaults, every 50 updates."""
    train_text, val_text = split_text(load_text("tales"))
    tokenizer = BPETokenizer.train(documents(train_text), GPTConfig().vocab_size)
    train_tokens, val_tokens = encode_text(train_text, tokenizer), encode_text(val_text, tokenizer)
    told = [tales.read(text) for text in documents(val_text)]
    floor = sum(tale.bits for tale in told) * math.log(2) / (len(val_tokens) - 1)
    torch.manual_seed(seed)
    model = GPT(replace(GPTConfig(), vocab_size=tokenizer.vocab_size))
    if kind == "plain":
        for block in model.blocks:
            for weight in (block.attention.qkv.weight, block.attention.out.weight):
                torch.nn.init.normal_(weight, std=0.02)
    points: list[dict[str, float]] = []

    def note(record: dict[str, float]) -> None:
        speed = record["tokens_per_second"]
        since = record["tokens"] - (points[-1]["tokens"] if points else 0)
        seconds = (points[-1]["seconds"] if points else 0.0) + (since / speed if speed else 0.0)
        points.append(
            {
                "step": record["step"],
                "tokens": record["tokens"],
                "seconds": round(seconds, 2),
                "val_loss": round(record["val_loss"], 5),
                "above_floor": round(record["val_loss"] / floor - 1, 5),
                "recall": round(recall(model, tokenizer, told[:100]), 3),
            }
        )

    changes = {"optimizer": "adamw", "lr": 1e-3} if kind == "adamw" else {}
    config = replace(TrainConfig(seed=seed, eval_every=50), **changes)
    train(model, train_tokens, val_tokens, config, tokenizer=tokenizer, on_eval=note)
    return {"seed": seed, "optimizer": kind, "curve": points, "floor": floor, "size": count_parameters(model)}


if __name__ == "__main__":
    seeds = range(int(option(sys.argv, "--seeds", "3")))
    kinds = [name for name in option(sys.argv, "--curves", "muon,adamw,plain").split(",") if name]
    commands = [command(seed, Path("runs")) for seed in seeds]
    curves = [curve(kind) for kind in kinds]
    keep("train_tales", {"commands": commands, "runs": curves, "floor_nats_per_token": curves[0]["floor"]})
