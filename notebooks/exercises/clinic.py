"""The patients of lesson 10's leak clinic. The lesson finds out what is wrong with each: read this file afterwards."""

import math

import torch
from torch import Tensor

from gptlib.attention import MultiHeadAttention, merge_heads
from gptlib.model import GPT, GPTConfig


class Healthy(MultiHeadAttention):
    """Attention as in lesson 05, in steps that a fault can replace one by one. Meant for learning, not for speed."""

    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None, cache: object = None
    ) -> Tensor:
        T = x.size(1)
        mask = torch.ones(T, T, dtype=torch.bool, device=x.device) if mask is None else mask
        q, k, v = self.project(x)  # (B, H, T, D) each
        weights = self.weigh(q @ k.mT / math.sqrt(q.size(-1)), mask)  # (B, H, T, T)
        if self.seen is not None:
            self.seen.update(q=q, k=k, v=v, weights=weights)
        return self.out(merge_heads(weights @ v))  # (B, T, C)


class PatientA(Healthy):
    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        return torch.softmax(scores, dim=-1).masked_fill(~mask, 0.0)


class PatientB(Healthy):
    def weigh(self, scores: Tensor, mask: Tensor) -> Tensor:
        return torch.softmax(scores.masked_fill(~mask, 0.0), dim=-1)


class PatientC(Healthy):
    def project(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        B, T, C = x.shape
        return tuple(part.reshape(B, self.n_head, T, C // self.n_head) for part in self.qkv(x).chunk(3, dim=-1))


WARD = {"healthy": Healthy, "A": PatientA, "B": PatientB, "C": PatientC}


def admit(name: str, config: GPTConfig, seed: int = 0) -> GPT:
    """A GPT with the attention of a patient; with the same seed all begin with the same weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = GPT(config)
    for block in model.blocks:
        block.attention.__class__ = WARD[name]  # a patient has the same weights and goes wrong with them
    return model
