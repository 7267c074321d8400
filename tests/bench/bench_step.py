"""One training step of nanoGPT's CPU recipe: this package against Hugging Face's GPT-2 of the same size, by turns.

    python tests/bench/bench_step.py [--rounds 20]

4 layers, 4 heads, 128 channels, context 64, batch 12, 65 characters, no dropout; forward, backward, clipping, update.
The peak is torch's own product of two 1024 x 1024 matrices, in the same turns; where our linear maps ask oneDNN
(`gptlib._linear`), its product and a step without it are measured, too. Rates are tiny: a model that learns one batch
by heart meets numbers so small that a CPU is slow with them.
"""

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from _results import keep, option, take_turns
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2LMHeadModel

from gptlib import _linear
from gptlib.model import GPT, GPTConfig, flops_per_token
from gptlib.training import TrainConfig, clip_grad_norm, make_optimizers

V, B, T, RATE = 65, 12, 64, 1e-6
CONFIG = GPTConfig(vocab_size=V, block_size=T, n_layer=4, n_head=4, n_embd=128)
KINDS = {  # of operations in the two passes, by parts of the profiler's names; the first that fits counts
    "attention": ("scaled_dot_product",),
    "GELU": ("gelu",),
    "norms": ("layer_norm", "LayerNorm"),
    "loss": ("softmax", "gather", "where", "scatter", "Softmax", "Gather", "Where", "aten::div", "aten::ne"),
    "linear maps": ("linear", "Linear", "addmm", "Addmm", "aten::mm", "aten::sum", "aten::copy_", "aten::t"),
}


def parts(kind: str, compiled: bool = False) -> tuple[Callable[[], None], ...]:
    """The three parts of a step: both passes, clipping, and the update."""
    model = GPT(CONFIG)
    optimizers = make_optimizers(model, TrainConfig(optimizer=kind, lr=RATE, muon_lr=RATE))
    learner = torch.compile(model) if compiled else model

    def update() -> None:
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return (lambda: learner(x, y)[1].backward()), (lambda: clip_grad_norm(model.parameters(), 1.0)), update


def ours(kind: str, compiled: bool = False, onednn: bool = True) -> Callable[[], None]:
    passes, clip, update = parts(kind, compiled)

    def step() -> None:
        _linear.MKL_IS_SLOW = onednn and HAS_ONEDNN
        passes()
        clip()
        update()

    return step


def theirs() -> Callable[[], None]:
    sizes = {"vocab_size": V, "n_positions": T, "n_layer": 4, "n_head": 4, "n_embd": 128}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **ends, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(model(input_ids=x).logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def where_it_goes(kind: str, steps: int = 100) -> dict[str, float]:
    """Milliseconds of each part of a step; the passes are split as the profiler splits them."""
    named = dict(zip(("passes", "clipping", "optimizer"), parts(kind), strict=True))
    seconds: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(steps):
        for name, part in named.items():
            began = perf_counter()
            part()
            seconds[name].append(perf_counter() - began)
    ms = {name: median(times) * 1e3 for name, times in seconds.items()}
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(steps):
            named["passes"]()
    split = dict.fromkeys([*KINDS, "rest of the passes"], 0.0)
    events = seen.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    for event in events:
        fits = [name for name, words in KINDS.items() if any(word in event.key for word in words)]
        split[fits[0] if fits else "rest of the passes"] += ms["passes"] * event.self_cpu_time_total / whole
    return split | {name: ms[name] for name in ("clipping", "optimizer")}


if __name__ == "__main__":
    rounds = int(option(sys.argv, "--rounds", "20"))
    HAS_ONEDNN = _linear.MKL_IS_SLOW
    torch.manual_seed(0)
    x, y = torch.randint(V, (2, B, T))
    left, right = torch.randn(2, 1024, 1024)
    began = perf_counter()
    compiled = ours("adamw", compiled=True)
    compiled()
    compile_seconds = perf_counter() - began
    tasks = {"ours_adamw": ours("adamw"), "ours_compiled": compiled, "ours_muon": ours("muon"), "gpt2_adamw": theirs()}
    if HAS_ONEDNN:
        tasks |= {"ours_without_onednn": ours("adamw", onednn=False)}
        tasks |= {"product_onednn": lambda: _linear._product(left, right)}
    ms = take_turns(tasks | {"product": lambda: left @ right}, rounds)
    work = flops_per_token(CONFIG) * B * T
    peaks = {name: 2 * 1024**3 / ms[name] * 1e-6 for name in ms if name.startswith("product")}
    _linear.MKL_IS_SLOW = HAS_ONEDNN
    keep(
        "step",
        {
            "milliseconds": {name: round(value, 2) for name, value in ms.items()},
            "ours_over_gpt2": round(ms["ours_adamw"] / ms["gpt2_adamw"], 3),
            "ours_muon_over_gpt2": round(ms["ours_muon"] / ms["gpt2_adamw"], 3),
            "compile_seconds": round(compile_seconds, 1),
            "peak_gflop_per_second": round(peaks["product"], 1),
            "peaks_gflop_per_second": {name: round(value, 1) for name, value in peaks.items()},
            "share_of_peak": round(work / ms["ours_adamw"] * 1e-6 / peaks["product"], 3),
            "shares_of_peak": {
                name: round(work / ms[name] * 1e-6 / peaks["product"], 3) for name in ms if name not in peaks
            },
            "where_it_goes_ms": {
                kind: {name: round(value, 2) for name, value in where_it_goes(kind).items()}
                for kind in ("adamw", "muon")
            },
        },
    )
