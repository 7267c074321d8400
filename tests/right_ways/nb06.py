"""Loops, einsum, other precisions and torch's own calls, for the exercises of 06."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gptlib.attention import causal_mask
from gptlib.blocks import Block, gelu


def norm_in_a_loop(x, weight, bias, eps):
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            token = [float(value) for value in x[b, t]]
            mean = sum(token) / len(token)
            variance = sum((value - mean) ** 2 for value in token) / len(token)
            for c, value in enumerate(token):
                out[b, t, c] = (value - mean) / math.sqrt(variance + eps) * weight[c] + bias[c]
    return out


def torch_norm(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def norm_by_var(x, weight, bias, eps):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + eps) * weight + bias


def norm_in_numpy(x, weight, bias, eps):
    x, weight, bias = (t.numpy().astype(np.float64) for t in (x, weight, bias))
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias


def norm_einsum(x, weight, bias, eps):
    C = x.size(-1)
    d = x - torch.einsum("btc->bt", x)[..., None] / C
    return d / (torch.einsum("btc,btc->bt", d, d)[..., None] / C + eps) ** 0.5 * weight + bias


def rms_in_a_loop(x, weight, eps):
    rows = [token / math.sqrt(sum(float(v) ** 2 for v in token) / len(token) + eps) for text in x for token in text]
    return torch.stack(rows).view_as(x) * weight


def torch_rms(x, weight, eps):
    return F.rms_norm(x, (x.size(-1),), weight, eps)


def rms_by_length(x, weight, eps):
    x = x.double()
    return x / (x.norm(dim=-1, keepdim=True) ** 2 / x.shape[-1] + eps).sqrt() * weight


def mlp_from_scratch(x, up, down, dropout, training):
    out = gelu(x @ up.weight.T + up.bias) @ down.weight.T + down.bias
    if training:
        out = out * (torch.rand(out.shape) >= dropout) / (1 - dropout)
    return out


def mlp_tanh(x, up, down, dropout, training):
    return F.dropout(down(F.gelu(up(x), approximate="tanh")), p=dropout, training=training)


def mlp_of_layers(x, up, down, dropout, training):
    drop = nn.Dropout(dropout)
    drop.train(training)
    return drop(nn.Sequential(up, nn.GELU(), down)(x))


def mlp_gelu_tanh_from_scratch(x, up, down, dropout, training):
    x = up(x)
    x = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    x = down(x)
    return x if not training else nn.Dropout(dropout)(x)


def block_in_steps(x, norm1, attention, norm2, mlp):
    found = attention(norm1(x))
    x = torch.add(x, found)
    thought = mlp(norm2(x))
    return thought + x


def block_on_a_copy(x, norm1, attention, norm2, mlp):
    x = x.clone()
    x += attention(norm1(x))
    x += mlp(norm2(x))
    return x


def block_in_a_loop(x, norm1, attention, norm2, mlp):
    for norm, part in ((norm1, attention), (norm2, mlp)):
        x = x + part(norm(x))
    return x


class MaskEachTime(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.block = Block(n_embd, n_head)

    def forward(self, x):
        return self.block(x, mask=causal_mask(x.size(1), device=x.device))


class SavedBuffer(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.block = Block(n_embd, n_head)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))

    def forward(self, x):
        T = x.shape[1]
        return self.block(x, self.tril[:T, :T] == 1)


class MovedInForward(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.mask = causal_mask(block_size)
        self.block = Block(n_embd, n_head)

    def forward(self, x):
        return self.block(x, mask=self.mask[None, None, : x.size(1), : x.size(1)].to(x.device))


def positions_in_a_loop(T, C):
    rows = []
    for t in range(T):
        row = []
        for i in range(C // 2):
            angle = t / 10_000 ** (2 * i / C)
            row += [math.sin(angle), math.cos(angle)]
        rows.append(row)
    return torch.tensor(rows)


def positions_filled_in(T, C):
    out = torch.zeros(T, C)
    speed = torch.exp(torch.arange(0, C, 2) * (-math.log(10_000.0) / C))
    out[:, 0::2] = torch.sin(torch.arange(T).unsqueeze(1) * speed)
    out[:, 1::2] = torch.cos(torch.arange(T).unsqueeze(1) * speed)
    return out


def positions_in_numpy(T, C):
    angle = np.outer(np.arange(T), 10_000.0 ** (-2 * np.arange(C // 2) / C))
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(T, C)


def positions_by_parity(T, C):
    channel = torch.arange(C)
    angle = torch.einsum("t,c->tc", torch.arange(T).double(), 10_000.0 ** -((channel - channel % 2).double() / C))
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


RIGHT = {
    "6.2": [norm_in_a_loop, torch_norm, norm_by_var, norm_in_numpy, norm_einsum],
    "6.2c": [rms_in_a_loop, torch_rms, rms_by_length],
    "6.4": [mlp_from_scratch, mlp_tanh, mlp_of_layers, mlp_gelu_tanh_from_scratch],
    "6.5": [block_in_steps, block_on_a_copy, block_in_a_loop],
    "6.5b": [MaskEachTime, SavedBuffer, MovedInForward],
    "6.7": [positions_in_a_loop, positions_filled_in, positions_in_numpy, positions_by_parity],
}
