"""Exercises of notebook 07: the forward pass, the number of parameters, the cost of a token."""

from random import Random

import torch
from torch import Tensor

from exercises import Exercise
from gptlib.attention import causal_mask
from gptlib.model import GPT, GPTConfig


def forward(model: GPT, idx: Tensor) -> Tensor:
    T = idx.size(1)
    x = model.token_embedding(idx) + model.position_embedding(torch.arange(T))  # (B, T, C)
    for block in model.blocks:
        x = block(x, mask=causal_mask(T))
    return model.head(model.norm(x))  # (B, T, V)


def forward_inputs(rng: Random) -> tuple[GPT, Tensor]:
    config = random_config(rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.getrandbits(32))
        model = GPT(config).eval()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))  # no norm that changes nothing, no head that hardly answers
        return model, torch.randint(config.vocab_size, (2, rng.randint(2, config.block_size)))


def random_config(rng: Random) -> GPTConfig:
    n_head = rng.randint(1, 4)
    return GPTConfig(
        vocab_size=rng.randint(5, 60),
        block_size=rng.randint(4, 20),
        n_layer=rng.randint(1, 4),
        n_head=n_head,
        n_embd=n_head * 2 * rng.randint(1, 6),
        bias=rng.random() < 0.5,
        tied=rng.random() < 0.5,
    )


def parameters(config: GPTConfig) -> int:
    V, C, L = config.vocab_size, config.n_embd, config.n_layer
    tables = V * C * (1 if config.tied else 2) + config.block_size * C
    norms = (2 * L + 1) * C * (2 if config.bias else 1)
    biases = L * 9 * C if config.bias else 0  # 3C + C in the attention, 4C + C in the MLP
    return tables + L * 12 * C**2 + norms + biases


def flops(config: GPTConfig, T: int) -> int:
    V, C, L = config.vocab_size, config.n_embd, config.n_layer
    return 6 * (L * 12 * C**2 + V * C) + 12 * L * C * T


def flops_inputs(rng: Random) -> tuple[GPTConfig, int]:
    config = random_config(rng)
    return config, rng.randint(1, config.block_size)


EXERCISES = {
    "7.1": Exercise(
        reference=forward,
        inputs=forward_inputs,
        about="tokens plus positions, the blocks with the mask, the last norm, the head",
    ),
    "7.2": Exercise(
        reference=parameters,
        inputs=lambda rng: (random_config(rng),),
        about="12 C² weights per block, the tables, and the few in norms and biases",
    ),
    "7.3": Exercise(
        reference=flops,
        inputs=flops_inputs,
        about="6 for each weight in a product, 12 C T in each layer for looking",
    ),
}
