"""Loops, einsum, numpy and torch's own calls, for the exercises of 12."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def padding_in_a_loop(ids, pad_id):
    rows = [[[[i != pad_id for i in row]]] for row in ids.tolist()]
    return torch.tensor(rows)


def padding_for_every_query(ids, pad_id):
    B, S = ids.shape
    return ids.ne(pad_id).view(B, 1, 1, S).repeat(1, 1, S, 1)


def padding_unsqueezed(ids, pad_id):
    return ~(ids == pad_id).unsqueeze(1).unsqueeze(2)


def padding_numpy(ids, pad_id):
    return (ids.numpy() != pad_id)[:, np.newaxis, np.newaxis]


def cross_by_torch(x, memory, to_q, to_k, to_v, mask):
    return F.scaled_dot_product_attention(x @ to_q, memory @ to_k, memory @ to_v, attn_mask=mask)


def cross_by_einsum(x, memory, to_q, to_k, to_v, mask):
    q, k, v = x.double() @ to_q.double(), memory.double() @ to_k.double(), memory.double() @ to_v.double()
    scores = torch.einsum("btd,bsd->bts", q, k) * q.size(2) ** -0.5
    scores = torch.where(mask, scores, torch.tensor(-math.inf, dtype=torch.float64))
    return torch.einsum("bts,bsd->btd", scores.softmax(-1), v)


def cross_in_loops(x, memory, to_q, to_k, to_v, mask):
    out = torch.zeros(*x.shape[:2], to_v.shape[1])
    for b in range(len(x)):
        places = [s for s in range(memory.shape[1]) if mask[b, 0, s]]
        keys, values = memory[b, places] @ to_k, memory[b, places] @ to_v
        for t in range(x.shape[1]):
            query = x[b, t] @ to_q
            shares = (keys @ query / math.sqrt(len(query))).softmax(0)
            for share, value in zip(shares, values, strict=True):
                out[b, t] += share * value
    return out


def forcing_by_slices(target, start_id, end_id):
    whole = [start_id, *list(target), end_id]
    return whole[:-1], whole[1:]


def forcing_in_a_loop(target, start_id, end_id):
    reads, asked, last = [], [], start_id
    for token in target:
        reads.append(last)
        asked.append(token)
        last = token
    return [*reads, last], [*asked, end_id]


def forcing_copied(target, start_id, end_id):
    reads, asked = list(target), list(target)
    reads.insert(0, start_id)
    asked.append(end_id)
    return [reads, asked]


def smoothing_by_torch(logits, targets, smoothing):
    return F.cross_entropy(logits, targets, ignore_index=-1, label_smoothing=smoothing)


def smoothing_by_target(logits, targets, smoothing):
    V, kept = logits.size(1), targets >= 0
    wanted = F.one_hot(targets[kept], V) * (1 - smoothing) + smoothing / V
    return -(wanted * logits[kept].log_softmax(-1)).sum() / kept.sum()


def smoothing_in_a_loop(logits, targets, smoothing):
    losses = []
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        if target == -1:
            continue
        log_p, loss = row - row.exp().sum().log(), 0.0
        for i in range(len(row)):
            loss -= (smoothing / len(row) + (1 - smoothing) * (i == target)) * float(log_p[i])
        losses.append(loss)
    return sum(losses) / len(losses)


def smoothing_masked(logits, targets, smoothing):
    keep = (targets != -1).float()
    log_p = torch.log_softmax(logits, 1)
    plain = log_p.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return -(((1 - smoothing) * plain + smoothing * log_p.mean(1)) * keep).sum() / keep.sum()


def score_by_formula(log_probability, length, alpha):
    penalty = (5 + length) ** alpha / (5 + 1) ** alpha
    return log_probability / penalty


def score_by_logs(log_probability, length, alpha):
    return log_probability * math.exp(-alpha * (math.log(5 + length) - math.log(6)))


def score_tensor(log_probability, length, alpha):
    return torch.tensor(log_probability) / torch.tensor((5.0 + length) / 6.0).pow(alpha)


def beams_in_loops(beams, log_p, width, end_id):
    candidates = []
    for b in range(len(beams)):
        total, ids = beams[b]
        if len(ids) > 0 and ids[-1] == end_id:
            candidates.append((total, list(ids)))
            continue
        for i in range(log_p.shape[1]):
            candidates.append((total + float(log_p[b, i]), [*list(ids), i]))
    candidates.sort(key=lambda candidate: -candidate[0])
    return candidates[:width]


def beams_by_topk(beams, log_p, width, end_id):
    """An ended beam goes on with one token at no cost, which is left out again."""
    ended = [ids[-1:] == [end_id] for _, ids in beams]
    free = torch.full((log_p.size(1),), -math.inf)
    free[end_id] = 0.0
    rows = torch.stack([free if over else row for over, row in zip(ended, log_p, strict=True)])
    totals = torch.tensor([total for total, _ in beams])[:, None] + rows
    best = totals.flatten().topk(width)
    found = []
    for total, place in zip(best.values, best.indices.tolist(), strict=True):
        row, i = divmod(place, log_p.size(1))
        found.append((total, beams[row][1] if ended[row] else [*beams[row][1], i]))
    return found


def beams_cut_twice(beams, log_p, width, end_id):
    """No beam can have more than `width` among the best, so each may be cut first."""
    found = []
    for (total, ids), row in zip(beams, log_p, strict=True):
        if ids and ids[-1] == end_id:
            found.append((total, tuple(ids)))
            continue
        best = row.topk(min(width, len(row)))
        found += [(total + p.item(), (*ids, i.item())) for p, i in zip(*best, strict=True)]
    return tuple(sorted(found, reverse=True)[:width])


RIGHT = {
    "12.3": [padding_in_a_loop, padding_for_every_query, padding_unsqueezed, padding_numpy],
    "12.4": [cross_by_torch, cross_by_einsum, cross_in_loops],
    "12.8": [forcing_by_slices, forcing_in_a_loop, forcing_copied],
    "12.9": [smoothing_by_torch, smoothing_by_target, smoothing_in_a_loop, smoothing_masked],
    "12.12": [score_by_formula, score_by_logs, score_tensor],
    "12.12b": [beams_in_loops, beams_by_topk, beams_cut_twice],
}
