"""One training step of nanoGPT's CPU recipe: this package against Hugging Face's GPT-2 of the same size, by turns.

    python tests/bench/bench_step.py [--rounds 20]

4 layers, 4 heads, 128 channels, context 64, batch 12, 65 characters, no dropout; forward, backward, clipping, update.
"""

import sys

import torch
from _results import keep, option, take_turns
from transformers import GPT2Config, GPT2LMHeadModel

from gptlib.model import GPT, GPTConfig, flops_per_token
from gptlib.training import TrainConfig, clip_grad_norm, make_optimizers

V, B, T = 65, 12, 64


def ours(optimizer: str) -> "callable":
    model = GPT(GPTConfig(vocab_size=V, block_size=T, n_layer=4, n_head=4, n_embd=128))
    optimizers = make_optimizers(model, TrainConfig(optimizer=optimizer))

    def step() -> None:
        loss = model(x, y)[1]
        loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def theirs() -> "callable":
    sizes = {"vocab_size": V, "n_positions": T, "n_layer": 4, "n_head": 4, "n_embd": 128}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **ends, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)).train()
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(model(input_ids=x).logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def product() -> None:
    left @ right


if __name__ == "__main__":
    rounds = int(option(sys.argv, "--rounds", "20"))
    torch.manual_seed(0)
    x, y = torch.randint(V, (2, B, T))
    left, right = torch.randn(2, 1024, 1024)
    tasks = {"ours_adamw": ours("adamw"), "ours_muon": ours("muon"), "gpt2_adamw": theirs(), "product": product}
    ms = take_turns(tasks, rounds)
    work = flops_per_token(GPTConfig(vocab_size=V, block_size=T, n_layer=4, n_head=4, n_embd=128)) * B * T
    peak = 2 * 1024**3 / ms["product"] * 1e-6
    keep(
        "step",
        {
            "milliseconds": {name: round(value, 2) for name, value in ms.items()},
            "ours_over_gpt2": round(ms["ours_adamw"] / ms["gpt2_adamw"], 3),
            "ours_muon_over_gpt2": round(ms["ours_muon"] / ms["gpt2_adamw"], 3),
            "peak_gflop_per_second": round(peak, 1),
            "share_of_peak": round(work / ms["ours_adamw"] * 1e-6 / peak, 3),
        },
    )
