"""Loops, other orders, models that are built and counted, for the exercises of 07."""

import copy
import math

import torch
from torch import nn

from gptlib.attention import causal_mask
from gptlib.blocks import Block, LayerNorm
from gptlib.model import GPT, count_parameters, flops_per_token


def initialise_by_modules(model):
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data.normal_(0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.zero_()
        if isinstance(module, LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for block in model.blocks:
        for writer in (block.attention.out, block.mlp.down):
            torch.nn.init.normal_(writer.weight, mean=0.0, std=0.02 * (2 * len(model.blocks)) ** -0.5)


def initialise_by_scaling(model):
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape) * 0.02 if p.ndim == 2 else torch.zeros_like(p))
        for name, p in model.named_parameters():
            if "norm" in name and "weight" in name:
                p += 1
        for block in model.blocks:
            block.attention.out.weight /= math.sqrt(2 * len(model.blocks))
            block.mlp.down.weight /= math.sqrt(2 * len(model.blocks))
    return model


def initialise_cut_off(model):
    """Nothing beyond three standard deviations."""
    n_layer = model.config.n_layer
    for name, p in model.named_parameters():
        std = 0.02 / (2 * n_layer) ** 0.5 if name.endswith(("out.weight", "down.weight")) else 0.02
        if p.dim() > 1:
            nn.init.trunc_normal_(p, std=std, a=-3 * std, b=3 * std)
        elif "bias" in name:
            p.data.fill_(0)


def guard_that_gives_back(idx, past, block_size):
    T = idx.shape[1]
    if T + past > block_size:
        message = "The model can look at %d tokens, but there are %d." % (block_size, T + past)  # noqa: UP031
        raise ValueError(message)
    return idx


def guard_with_more_words(idx, past, block_size):
    if block_size < past + idx.shape[-1]:
        raise ValueError(f"{past} + {idx.shape[-1]} = {past + idx.shape[-1]:,} tokens > {block_size:,}", idx.shape)
    return True


def forward_in_a_loop(model, idx):
    """Text by text, with the mask as numbers that are compared."""
    logits = []
    for text in idx:
        T = len(text)
        rows = [model.token_embedding.weight[text[t]] + model.position_embedding.weight[t] for t in range(T)]
        x = torch.stack(rows)[None]
        for i in range(len(model.blocks)):
            x = model.blocks[i](x, torch.tril(torch.ones(T, T)) > 0)
        logits.append(model.norm(x)[0] @ model.head.weight.T)
    return torch.stack(logits)


def forward_doubled(model, idx):
    B, T = idx.shape
    model = copy.deepcopy(model).double()
    places = torch.arange(T, device=idx.device).expand(B, T)
    x = model.token_embedding(idx) + model.position_embedding(places)
    mask = causal_mask(T, device=idx.device)
    for block in model.blocks:
        x = block(x, mask=mask[None, None])
    x = model.norm(x)
    return model.head(x)


def forward_by_slices(model, idx):
    x = model.token_embedding(idx)
    x = x + model.position_embedding.weight[: x.shape[1]]
    for block in model.blocks:
        x = block(x, mask=causal_mask(x.shape[1]))
    return torch.einsum("btc,vc->btv", model.norm(x), model.head.weight)


def counted(config):
    return count_parameters(GPT(config))


def by_parts(c):
    per_block = 3 * c.n_embd * c.n_embd + c.n_embd * c.n_embd + 2 * 4 * c.n_embd * c.n_embd
    norm = c.n_embd
    if c.bias:
        per_block += 3 * c.n_embd + c.n_embd + 4 * c.n_embd + c.n_embd
        norm += c.n_embd
    total = c.vocab_size * c.n_embd + c.block_size * c.n_embd
    for _ in range(c.n_layer):
        total += per_block + 2 * norm
    total += norm
    if not c.tied:
        total += c.n_embd * c.vocab_size
    return total


class StackOfNamed(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_layer = config.n_layer
        for i in range(config.n_layer):
            setattr(self, f"block{i}", Block(config.n_embd, config.n_head))

    def forward(self, x, mask=None):
        for i in range(self.n_layer):
            x = getattr(self, f"block{i}")(x, mask=mask)
        return x


class StackAppended(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(config.n_layer):
            self.layers.append(Block(config.n_embd, config.n_head))

    def forward(self, x, mask=None):
        for layer in self.layers:
            x = layer(x, mask)
        return x


class StackOfCopies(nn.Module):
    """They begin alike, as in PyTorch's own encoder, and go their own ways."""

    def __init__(self, config):
        super().__init__()
        block = Block(config.n_embd, config.n_head)
        self.blocks = nn.Sequential(*(copy.deepcopy(block) for _ in range(config.n_layer)))

    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask=mask)
        return x


def flops_three_times_forward(c, T):
    forward = 2 * (12 * c.n_layer * c.n_embd**2 + c.vocab_size * c.n_embd) + c.n_layer * 2 * (2 * c.n_embd * T)
    return 3 * forward


def flops_by_shapes(config, T):
    """Every product of one token with its sizes, (in, out); each gradient is such a product again."""
    V, C = config.vocab_size, config.n_embd
    block = [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C), (C, T), (T, C)]
    products = block * config.n_layer + [(C, V)]
    return sum(2 * a * b for a, b in products) * 3


RIGHT = {
    "7.5": [initialise_by_modules, initialise_by_scaling, initialise_cut_off],
    "7.6": [guard_that_gives_back, guard_with_more_words],
    "7.8": [forward_in_a_loop, forward_doubled, forward_by_slices],
    "7.10": [counted, by_parts],
    "7.10b": [StackOfNamed, StackAppended, StackOfCopies],
    "7.11": [flops_three_times_forward, lambda c, T: flops_per_token(c, T), flops_by_shapes],
}
