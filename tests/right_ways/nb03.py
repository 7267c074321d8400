"""Loops, other libraries and other precisions, for the exercises of 03."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def bigram_in_loops(ids, V, extra):
    table = []
    for i in range(V):
        row = [extra + sum(1 for t in range(len(ids) - 1) if ids[t] == i and ids[t + 1] == j) for j in range(V)]
        table.append([count / sum(row) for count in row])
    return np.array(table)


def bigram_torch(ids, V, extra):
    counts = torch.full((V, V), extra)
    one = torch.ones(len(ids) - 1)
    counts.index_put_((torch.from_numpy(ids[:-1]), torch.from_numpy(ids[1:])), one, accumulate=True)
    return F.normalize(counts, p=1, dim=1)


def bigram_bincount(ids, V, extra):
    counts = np.bincount(ids[:-1] * V + ids[1:], minlength=V * V).reshape(V, V) + extra
    return (counts.T / counts.sum(1)).T


def bigram_add_at(ids, V, extra):
    counts = np.zeros((V, V), dtype=np.float32)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    counts += extra
    return counts / counts.sum(1)[:, None]


def softmax_in_a_loop(x, dim):
    moved = x.movedim(dim, -1)
    out = torch.empty_like(moved)
    for place in np.ndindex(*moved.shape[:-1]):
        row = moved[place].tolist()
        top = max(row)
        e = [math.exp(number - top) for number in row]
        out[place] = torch.tensor([number / sum(e) for number in e])
    return out.movedim(-1, dim)


def softmax_by_logarithms(x, dim):
    return (x - x.logsumexp(dim, keepdim=True)).exp()


def softmax_numpy(x, dim):
    e = np.exp(x.double().numpy() - x.double().numpy().max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def softmax_with_max_of_torch(x, dim):
    x = x - torch.max(x, dim=dim, keepdim=True).values
    return x.exp() / torch.sum(x.exp(), dim=dim).unsqueeze(dim)


def cross_entropy_in_a_loop(logits, targets):
    total, n = 0.0, 0
    for row, target in zip(logits.flatten(0, -2), targets.flatten().tolist(), strict=True):
        if target >= 0:
            total += torch.logsumexp(row.double(), 0) - row[target].double()
            n += 1
    return total / n


def cross_entropy_masked_sum(logits, targets):
    log_p = torch.log_softmax(logits, -1)
    mask = (targets >= 0).float()
    picked = torch.gather(log_p, -1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(picked * mask).sum() / mask.sum()


def cross_entropy_one_hot(logits, targets):
    hit = targets[..., None] == torch.arange(logits.size(-1))
    return -(logits.log_softmax(-1) * hit).sum() / hit.sum()


def cross_entropy_torch(logits, targets):
    return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


def batch_loss_flat(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def batch_loss_reshaped(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B * T, V), targets.reshape(B * T))


def batch_loss_log_softmax(logits, targets):
    return F.nll_loss(torch.log_softmax(logits, dim=-1).permute(0, 2, 1), targets)


def batch_loss_by_hand(logits, targets):
    B, T, _ = logits.shape
    p = torch.softmax(logits, dim=-1)
    return -sum(math.log(p[b, t, targets[b, t]]) for b in range(B) for t in range(T)) / (B * T)


def batch_loss_once_more(logits, targets):
    """Log-probabilities are logits, too: a second softmax leaves them as they are."""
    return F.cross_entropy(logits.log_softmax(-1).mT, targets)


def scores_in_a_loop(batches, n_bytes):
    total, n = 0.0, 0
    for batch in batches:
        for p in batch:
            total -= math.log2(p)
            n += 1
    return 2 ** (total / n), total / n_bytes


def scores_numpy(batches, n_bytes):
    p = np.concatenate([np.array(batch) for batch in batches])
    return np.exp(-np.log(p).mean()), -np.log2(p).sum() / n_bytes


def scores_weighted(batches, n_bytes):
    sizes = torch.tensor([len(batch) for batch in batches])
    means = torch.stack([-torch.tensor(batch).log().mean() for batch in batches])
    mean = (means * sizes).sum() / sizes.sum()
    return mean.exp(), mean * sizes.sum() / math.log(2) / n_bytes


def scores_by_product(batches, n_bytes):
    p = math.prod(p for batch in batches for p in batch)
    return p ** (-1 / sum(len(batch) for batch in batches)), -math.log2(p) / n_bytes


def mixed_in_loops(counts, lower, weight):
    table = []
    for row in counts.tolist():
        n = sum(row) + weight
        table.append([(count + weight * p) / n for count, p in zip(row, lower.tolist(), strict=True)])
    return torch.tensor(table)


def mixed_by_shares(counts, lower, weight):
    """How far a row trusts its own counts."""
    n = counts.sum(1, keepdim=True).double()
    trust = n / (n + weight)
    return trust * counts / n.clamp(min=1) + (1 - trust) * lower.double()


def mixed_numpy(counts, lower, weight):
    table = counts.numpy() + weight * lower.numpy()
    return table / table.sum(1, keepdims=True)


RIGHT = {
    "3.2": [bigram_in_loops, bigram_torch, bigram_bincount, bigram_add_at],
    "3.3": [softmax_in_a_loop, softmax_by_logarithms, softmax_numpy, softmax_with_max_of_torch, torch.softmax],
    "3.4": [cross_entropy_in_a_loop, cross_entropy_masked_sum, cross_entropy_one_hot, cross_entropy_torch],
    "3.4b": [
        batch_loss_flat,
        batch_loss_reshaped,
        batch_loss_log_softmax,
        batch_loss_by_hand,
        batch_loss_once_more,
        lambda logits, targets: torch.stack([*map(F.cross_entropy, logits, targets)]).mean(),
    ],
    "3.6": [scores_in_a_loop, scores_numpy, scores_weighted, scores_by_product],
    "3.7": [mixed_in_loops, mixed_by_shares, mixed_numpy],
}
