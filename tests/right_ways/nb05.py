"""Loops, einsum, other precisions and torch's own calls, for the exercises of 05."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def averages_in_a_loop(x):
    out = torch.empty_like(x)
    for t in range(len(x)):
        total = 0
        for s in range(t + 1):
            total = total + x[s]
        out[t] = total / (t + 1)
    return out


def averages_by_matrix(x):
    shares = torch.ones(len(x), len(x), dtype=torch.float64).tril()
    return (shares / shares.sum(1, keepdim=True)) @ x.double()


def window_in_a_loop(T, w):
    return torch.tensor([[t - w < s <= t for s in range(T)] for t in range(T)])


def window_by_triangles(T, w):
    full = torch.ones(T, T, dtype=torch.bool)
    return full.tril() & full.triu(1 - w)


def attention_in_loops(q, k, v, mask=None):
    """As a beginner would write it; the values are added one by one."""
    out = torch.zeros_like(v)
    B, H, T, D = q.shape
    for b in range(B):
        for h in range(H):
            for t in range(T):
                scores = [float(q[b, h, t] @ k[b, h, s]) / D**0.5 for s in range(T)]
                allowed = [s for s in range(T) if mask is None or mask[t, s]]
                top = max(scores[s] for s in allowed)
                e = {s: math.exp(scores[s] - top) for s in allowed}
                for s in allowed:
                    out[b, h, t] += e[s] / sum(e.values()) * v[b, h, s]
    return out


def attention_einsum(q, k, v, mask=None):
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) * k.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(float("-inf")))
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), v)


def attention_very_negative(q, k, v, mask=None):
    scores = (q.double() @ k.double().transpose(-2, -1)) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores[..., ~mask] = -1e30
    return F.softmax(scores, dim=-1) @ v.double()


def attention_added_mask(q, k, v, mask=None):
    bias = 0 if mask is None else torch.zeros(mask.shape).masked_fill(mask.logical_not(), float("-inf"))
    return ((q / k.size(-1) ** 0.5) @ k.mT + bias).softmax(dim=3).matmul(v)


def torch_attention(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def split_by_chunks(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1), dim=1)


def split_in_a_loop(x, n_head):
    D = x.shape[-1] // n_head
    return torch.stack([x[:, :, h * D : (h + 1) * D] for h in range(n_head)], dim=1)


def split_unflatten(x, n_head):
    return x.unflatten(-1, (n_head, -1)).permute(0, 2, 1, 3)


def merge_contiguous(x):
    B, _, T, _ = x.shape
    return x.transpose(1, 2).contiguous().view(B, T, -1)


def merge_by_cat(x):
    return torch.cat(list(x.unbind(1)), dim=-1)


class OtherHead(nn.Module):
    def __init__(self, C: int, D: int) -> None:
        super().__init__()
        self.to_k, self.to_q, self.to_v = (nn.Linear(C, D, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(self.to_q(x), self.to_k(x), self.to_v(x), is_causal=True)


RIGHT = {
    "5.1": [averages_in_a_loop, averages_by_matrix, lambda x: x.cumsum(0) / torch.arange(1, len(x) + 1)[:, None]],
    "5.3": [window_in_a_loop, window_by_triangles],
    "5.5": [attention_in_loops, attention_einsum, attention_very_negative, attention_added_mask, torch_attention],
    "5.6": [split_by_chunks, split_in_a_loop, split_unflatten],
    "5.6b": [merge_contiguous, merge_by_cat, lambda x: torch.einsum("bhtd->bthd", x).flatten(2)],
    "5.7": [OtherHead],
}
