"""Loops, numpy, other precision and torch's own optimizers and clipping, for the exercises of 08."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def torch_adamw(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    parameter = nn.Parameter(p.clone())
    optimizer = torch.optim.AdamW([parameter], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    state = {"step": torch.tensor(float(t - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.state[parameter] = state
    parameter.grad = g.clone()
    optimizer.step()
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]


def adamw_in_numpy(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    p, g, m, v = (x.double().numpy() for x in (p, g, m, v))
    m, v = m + (1 - beta1) * (g - m), v + (1 - beta2) * (g * g - v)
    bigger = math.sqrt(1 - beta2**t)
    return (1 - lr * weight_decay) * p - lr / (1 - beta1**t) * m / (np.sqrt(v) / bigger + eps), m, v


def adamw_decay_beside(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    """Both moves start from the old p."""
    m, v = m.lerp(g, 1 - beta1), v.lerp(g.square(), 1 - beta2)
    move = m / (1 - beta1**t) / ((v / (1 - beta2**t)) ** 0.5 + eps) + weight_decay * p
    return p - lr * move, m, v


def groups_by_name(model, weight_decay):
    decay, keep = [], []
    for name, p in model.named_parameters():
        (keep if p.dim() < 2 or "embedding" in name else decay).append(p)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0}]


def groups_by_module(model, weight_decay):
    """Module by module; what was seen as an embedding is not taken again, and the order of groups is another."""
    seen, decay, keep = set(), [], []
    for module in model.modules():
        for p in module.parameters(recurse=False):
            if id(p) not in seen:
                seen.add(id(p))
                (decay if isinstance(module, nn.Linear) and p.ndim == 2 else keep).append(p)
    return [{"params": keep, "weight_decay": 0.0}, {"params": iter(decay), "weight_decay": weight_decay}]


def one_group_each(model, weight_decay):
    return [
        {"params": [p], "weight_decay": weight_decay * (p.dim() > 1 and "embedding" not in name)}
        for name, p in model.named_parameters()
    ]


def rate_by_half_angle(step, max_lr, min_lr, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) * (max_lr / warmup_steps)
    done = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * math.cos(math.pi / 2 * done) ** 2


def rate_from_torch(step, max_lr, min_lr, warmup_steps, total_steps):
    if warmup_steps > 0 and step < warmup_steps:
        return torch.tensor(max_lr) * (step + 1) / warmup_steps
    step = torch.tensor(min(step, total_steps), dtype=torch.float64)
    return (max_lr + min_lr) / 2 + (max_lr - min_lr) / 2 * torch.cos(
        math.pi * (step - warmup_steps) / (total_steps - warmup_steps)
    )


def torch_clip(grads, max_norm):
    params = [nn.Parameter(torch.zeros_like(g)) for g in grads]
    for p, g in zip(params, grads, strict=True):
        p.grad = g.clone()
    nn.utils.clip_grad_norm_(params, max_norm)
    return [p.grad for p in params]


def clip_with_if(grads, max_norm):
    total = 0.0
    for g in grads:
        for number in g.flatten().tolist():
            total += number * number
    length = total**0.5
    if length <= max_norm:
        return grads
    return [max_norm / length * g for g in grads]


def clip_one_vector(grads, max_norm):
    flat = np.concatenate([g.double().numpy().ravel() for g in grads])
    return tuple(g / max(1.0, np.linalg.norm(flat) / max_norm) for g in grads)


def perplexity_token_by_token(model, tokens, T):
    with torch.no_grad():
        surprises = [
            -model(tokens[None, i : i + 1])[0, 0].log_softmax(-1)[tokens[i + 1]] for i in range(len(tokens) - 1)
        ]
    return torch.stack(surprises).mean().exp()


def perplexity_of_all_losses(model, tokens, T):
    losses = []
    for x, y in zip(tokens[:-1].split(T), tokens[1:].split(T), strict=True):
        losses += F.cross_entropy(model(x[None])[0], y, reduction="none").tolist()
    return float(np.exp(np.mean(losses)))


def perplexity_as_a_product(model, tokens, T):
    """Each window to the power of its share."""
    out, begin = 1.0, 0
    while begin + 1 < len(tokens):
        y = tokens[begin + 1 : begin + 1 + T]
        loss = model(tokens[begin : begin + len(y)][None], y[None])[1].item()
        out *= math.exp(loss) ** (len(y) / (len(tokens) - 1))
        begin += T
    return out


def update_as_one_batch(model, optimizer, pieces, step, rate, max_norm):
    x, y = (torch.cat(side) for side in zip(*pieces, strict=True))
    for group in optimizer.param_groups:
        group["lr"] = rate(step)
    optimizer.zero_grad()
    model(x, y)[1].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return "what is given back does not matter"


def update_cleared_afterwards(model, optimizer, pieces, step, rate, max_norm):
    total = sum(model(x, y)[1] for x, y in pieces) / len(pieces)
    total.backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
    for p in model.parameters():
        p.grad *= min(1.0, max_norm / norm)
    optimizer.param_groups[0]["lr"] = rate(step)
    optimizer.step()
    model.zero_grad()


def update_by_hand(model, optimizer, pieces, step, rate, max_norm):
    """Without the optimizer, divided at the end, weighed by targets."""
    grads = [torch.zeros_like(p) for p in model.parameters()]
    for x, y in pieces:
        parts = torch.autograd.grad(model(x, y)[1] * y.numel(), list(model.parameters()))
        grads = [g + part for g, part in zip(grads, parts, strict=True)]
    grads = clip_with_if([g / sum(y.numel() for _, y in pieces) for g in grads], max_norm)
    with torch.no_grad():
        for p, g in zip(model.parameters(), grads, strict=True):
            p -= rate(step) * g


RIGHT = {
    "8.2": [torch_adamw, adamw_in_numpy, adamw_decay_beside],
    "8.3": [groups_by_name, groups_by_module, one_group_each],
    "8.5": [rate_by_half_angle, rate_from_torch],
    "8.6": [torch_clip, clip_with_if, clip_one_vector],
    "8.9": [perplexity_token_by_token, perplexity_of_all_losses, perplexity_as_a_product],
    "8.12": [update_as_one_batch, update_cleared_afterwards, update_by_hand],
}
