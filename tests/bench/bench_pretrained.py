"""The most memory that loading a GPT-2 takes, beside the bytes of its weights: three ways, a process of its own each.

    python tests/bench/bench_pretrained.py [--rounds 3]

The file has the size of the small GPT-2, 124 M weights in float32, with random numbers. A process imports what it
needs, loads a tiny model once, and then the large one; what counts is how far its memory grows, at most, until every
weight has been read. Pages of the file that it maps are counted while they are mapped. Linux only: the numbers are
those of /proc.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from gptlib.model import GPT, GPTConfig
from gptlib.pretrained import from_hf, hf_name, is_turned, to_hf

CONFIG = GPTConfig(50257, block_size=1024, n_layer=12, n_head=12, n_embd=768, gelu="tanh", start="random")
TINY = GPTConfig(50, block_size=8, n_layer=2, n_head=2, n_embd=8, gelu="tanh")


def obvious(folder: Path) -> GPT:
    """Read the file, turn what must be turned, make a model, copy."""
    from safetensors.torch import load_file

    theirs = load_file(folder / "model.safetensors")
    model = GPT(CONFIG if folder.name == "large" else TINY)
    names = {ours: f"transformer.{hf_name(ours)}" for ours in model.state_dict() if ours != "head.weight"}
    state = {ours: theirs[name].t().contiguous() if is_turned(name) else theirs[name] for ours, name in names.items()}
    model.load_state_dict(state | {"head.weight": state["token_embedding.weight"]})
    return model


def peer(folder: Path) -> torch.nn.Module:
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    return GPT2LMHeadModel.from_pretrained(folder)


WAYS = {"ours": from_hf, "obvious": obvious, "transformers": peer}


def kilobytes(name: str) -> int:
    """A line of /proc/self/status: VmRSS is the memory now, VmHWM the most since it was last reset."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(way: str, folder: Path) -> dict[str, float]:
    """In a process of its own: how far memory grew at most, and how long it took."""
    WAYS[way](folder / "tiny")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8", newline="\n")
    before, began = kilobytes("VmRSS"), perf_counter()
    model = WAYS[way](folder / "large")
    seconds = perf_counter() - began
    assert all(p.sum().isfinite() for p in model.parameters())  # reads every weight
    return {"megabytes": (kilobytes("VmHWM") - before) * 1024 / 1e6, "seconds": seconds}


def in_new_process(way: str, folder: str) -> dict[str, float]:
    found = subprocess.run([sys.executable, __file__, "--way", way, folder], check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def main(rounds: int) -> None:
    from _results import keep

    torch.manual_seed(0)
    model = GPT(CONFIG)
    weights = sum(p.nbytes for p in model.parameters())
    with TemporaryDirectory() as folder:
        for name, config in (("large", CONFIG), ("tiny", TINY)):
            to_hf(model if config is CONFIG else GPT(config), Path(folder) / name)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(in_new_process(way, folder))
    ways: dict[str, Any] = {}
    for way, results in found.items():
        peak = max(result["megabytes"] for result in results)
        ways[way] = {
            "peak_megabytes": round(peak, 1),
            "times_the_weights": round(peak * 1e6 / weights, 3),
            "seconds": round(median(result["seconds"] for result in results), 2),
        }
    keep(
        "pretrained",
        {
            "rounds": rounds,
            "parameters": sum(p.numel() for p in model.parameters()),
            "weights_megabytes": round(weights / 1e6, 1),
            "ways": ways,
        },
    )


if __name__ == "__main__":
    if "--way" in sys.argv:
        print(json.dumps(measure(sys.argv[-2], Path(sys.argv[-1]))))
    else:
        from _results import option

        main(int(option(sys.argv, "--rounds", "3")))
