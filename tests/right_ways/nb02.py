"""Loops, sliding windows, torch, other types and formulas, for the exercises of 02."""

import itertools
import random

import numpy as np
import torch

from gptlib.data import eval_batches, get_batch


def split_in_a_loop(text, T, n_val):
    edge, train, val = len(text) - n_val, [], []
    for i in range(len(text) - T + 1):
        if i + T <= edge:
            train.append(text[i : i + T])
        elif i >= edge:
            val.append(text[i : i + T])
    return train, val


def split_and_shuffle(text, T, n_val):
    parts = []
    for part in (text[:-n_val], text[-n_val:]):
        parts.append(["".join(window) for window in zip(*(part[i:] for i in range(T)), strict=False)])
        random.shuffle(parts[-1])
    return parts


def ids_signed_when_large(ids, vocab_size):
    return np.array(ids, dtype="<u2" if vocab_size < 65_537 else np.int32)


def ids_smallest_type(ids, vocab_size):
    return np.asarray(ids).astype(np.promote_types(np.min_scalar_type(vocab_size - 1), np.uint16))


def ids_as_a_tensor(ids, vocab_size):
    return torch.tensor(ids).to(torch.int32 if vocab_size > 2**16 else torch.uint16)


def batch_in_a_loop(tokens, chosen, T):
    x = [[tokens[start + t] for t in range(T)] for start in chosen]
    y = [[tokens[start + t + 1] for t in range(T)] for start in chosen]
    return np.array(x), np.array(y)


def batch_by_sliding(tokens, chosen, T):
    windows = np.lib.stride_tricks.sliding_window_view(tokens, T + 1)[chosen]
    return windows[:, :T], windows[:, 1:]


def batch_by_torch(tokens, chosen, T):
    rows = torch.stack([torch.from_numpy(tokens.astype(np.int64))[i : i + T + 1] for i in chosen.tolist()])
    return rows[:, :-1], rows[:, 1:]


def batch_by_take(tokens, chosen, T):
    places = np.add.outer(chosen, np.arange(T))
    return tokens.take(places), tokens.take(places + 1)


def maker_by_stacking(tokens, batch_size, T):
    starts = torch.randint(0, len(tokens) - T, (batch_size,))
    x = torch.stack([torch.from_numpy(tokens[i : i + T].astype(np.int64)) for i in starts])
    y = torch.stack([torch.from_numpy(tokens[i + 1 : i + T + 1].astype(np.int64)) for i in starts])
    return x, y


def maker_with_other_dice(tokens, batch_size, T):
    starts = np.random.default_rng(len(tokens)).integers(0, len(tokens) - T - 1, size=batch_size, endpoint=True)
    rows = torch.tensor(tokens[starts[:, None] + np.arange(T + 1)].tolist(), dtype=torch.int32)
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def maker_of_the_package(tokens, batch_size, T):
    return get_batch(tokens, batch_size, T)


def windows_in_a_loop(n_tokens, block_size):
    spans, begin = [], 0
    while begin + 1 < n_tokens:
        end = begin + block_size
        if end > n_tokens - 1:
            end = n_tokens - 1
        spans += [(begin, end)]
        begin = end
    return spans


def windows_by_edges(n_tokens, block_size):
    edges = [*range(0, n_tokens - 1, block_size), n_tokens - 1]
    return list(itertools.pairwise(edges))


def windows_by_numpy(n_tokens, block_size):
    answers = np.array_split(np.arange(n_tokens - 1), range(block_size, n_tokens - 1, block_size))
    return [(part[0], part[-1] + 1) for part in answers]


def windows_of_the_package(n_tokens, block_size):
    """Its batches come sorted by length; here in the order of the text."""
    batches = eval_batches(np.arange(n_tokens), 1, block_size)
    return sorted((int(x[0, 0]), int(y[0, -1])) for x, y in batches)


def overlapping_by_formula(n_tokens, block_size, stride):
    """The first window, and one more for every `stride` tokens begun behind it."""
    last = n_tokens - 1
    n_more = -(-max(0, last - block_size) // stride)
    ends = [min(block_size + i * stride, last) for i in range(n_more + 1)]
    triples = [(i * stride, end, end - before) for i, (before, end) in enumerate(zip([0, *ends], ends, strict=False))]
    return triples if last > 0 else []


def overlapping_until_the_end(n_tokens, block_size, stride):
    spans = []
    for begin in range(0, n_tokens - 1, stride):
        end = min(begin + block_size, n_tokens - 1)
        before = spans[-1][1] if spans else 0
        spans.append((begin, end, end - before))
        if end == n_tokens - 1:
            break
    return spans


RIGHT = {
    "2.4": [split_in_a_loop, split_and_shuffle],
    "2.5b": [ids_signed_when_large, ids_smallest_type, ids_as_a_tensor],
    "2.6": [batch_in_a_loop, batch_by_sliding, batch_by_torch, batch_by_take],
    "2.6b": [maker_by_stacking, maker_with_other_dice, maker_of_the_package],
    "2.8": [windows_in_a_loop, windows_by_edges, windows_by_numpy, windows_of_the_package],
    "2.8b": [overlapping_by_formula, overlapping_until_the_end],
}
