"""Loops, gather, numpy and torch's own calls, for the exercises of 10."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def scores_in_a_loop(weights, queries, keys):
    total = 0.0
    for i in range(len(queries)):
        total = total + weights[..., queries[i], keys[i]]
    return total / len(queries)


def scores_by_one_hot(weights, queries, keys):
    wanted = torch.zeros(weights.shape[-2:], dtype=torch.float64)
    for query, key in zip(queries, keys, strict=True):
        wanted[query, key] += 1 / len(keys)
    return torch.einsum("...ts,ts->...", weights.double(), wanted)


def scores_flat(weights, queries, keys):
    places = torch.tensor(queries) * weights.size(-1) + torch.tensor(keys)
    return weights.flatten(-2).index_select(-1, places).mean(-1)


def scores_numpy(weights, queries, keys):
    return weights.numpy()[..., queries, keys].mean(-1)


def silent_result(scores, v, silent):
    out = torch.softmax(scores, dim=-1) @ v
    out[:, silent] = 0
    return out


def silent_values(scores, v, silent):
    v = v.clone()
    v[:, silent] = 0
    return torch.softmax(scores, dim=-1) @ v


def silent_by_gate(scores, v, silent):
    gate = torch.ones(v.size(1))
    gate[silent] = 0
    return torch.einsum("bhts,bhsd,h->bhtd", scores.softmax(3), v, gate)


def silent_loop(scores, v, silent):
    heads = [scores[:, h].softmax(-1) @ v[:, h] * (h != silent) for h in range(v.shape[1])]
    return torch.stack(heads, dim=1)


def keys_in_loops(ids):
    keys = []
    for t in range(len(ids)):
        place = -1
        for s in range(t):
            if ids[s] == ids[t]:
                place = s + 1
        keys.append(place)
    return keys


def keys_backwards(ids):
    return [next((s + 1 for s in range(t - 1, -1, -1) if ids[s] == ids[t]), -1) for t in range(len(ids))]


def keys_numpy(ids):
    same = np.tril(np.equal.outer(ids, ids), -1) if ids else np.zeros((0, 0))
    return [int(row.nonzero()[0][-1]) + 1 if row.any() else -1 for row in same]


def lens_at_once(x, blocks, norm, head):
    rows = [x]
    for block in blocks:
        x = block(x)
        rows.append(x)
    return head(norm(torch.stack(rows)))


def lens_filled(x, blocks, norm, head):
    first = head(norm(x))
    logits = torch.empty(len(blocks) + 1, *first.shape)
    logits[0] = first
    for i in range(len(blocks)):
        x = blocks[i](x)
        logits[i + 1] = head(norm(x))
    return logits


def prefix_in_a_loop(model, idx):
    whole, most = model(idx), 0.0
    for t in range(1, idx.shape[1]):
        part = model(idx[:, :t])
        for b in range(len(idx)):
            for place in range(t):
                most = max(most, float((part[b, place] - whole[b, place]).abs().max()))
    return most


def prefix_with_the_whole_text_too(model, idx):
    with torch.no_grad():
        whole = model(idx).double()
        return max(float((model(idx[:, :t]) - whole[:, :t]).norm(float("inf"))) for t in range(1, idx.size(1) + 1))


def prefix_numpy(model, idx):
    whole = model(idx).numpy()
    return np.max([np.abs(model(idx[:, : t + 1]).numpy() - whole[:, : t + 1]).max() for t in range(idx.size(1) - 1)])


def healed_by_torch(x):
    normed = F.layer_norm(x, x.shape[-1:])
    return x + F.scaled_dot_product_attention(normed, normed, normed, is_causal=True)


def healed_in_a_loop(x):
    out = torch.empty_like(x)
    for b, text in enumerate(x):
        rows = [(row - row.mean()) / math.sqrt(((row - row.mean()) ** 2).mean() + 1e-5) for row in text]
        for t in range(len(rows)):
            scores = torch.stack([rows[t] @ rows[s] for s in range(t + 1)]) / len(rows[t]) ** 0.5
            out[b, t] = text[t] + sum(share * rows[s] for s, share in enumerate(scores.softmax(0)))
    return out


def healed_double(x):
    normed = F.layer_norm(x.double(), (x.size(2),), eps=1e-5)
    past = torch.full((x.size(1),) * 2, -math.inf).triu(1)
    return x + (torch.einsum("btc,bsc->bts", normed, normed) / x.size(2) ** 0.5 + past).softmax(2) @ normed


RIGHT = {
    "10.2": [scores_in_a_loop, scores_by_one_hot, scores_flat, scores_numpy],
    "10.3": [silent_result, silent_values, silent_by_gate, silent_loop],
    "10.4": [keys_in_loops, keys_backwards, keys_numpy],
    "10.5b": [lens_at_once, lens_filled],
    "10.6": [prefix_in_a_loop, prefix_with_the_whole_text_too, prefix_numpy],
    "10.6b": [healed_by_torch, healed_in_a_loop, healed_double],
}
