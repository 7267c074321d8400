"""Loops, numpy, other decoders and torch's own attention with a mask, for the exercises of 09."""

import math
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F


def greedy_as_a_generator(next_logits, ids, max_new, stop):
    def go_on():
        text = list(ids)
        while not text[len(ids) :] or text[-1] != stop:
            logits = next_logits(text).tolist()
            text.append(logits.index(max(logits)))
            yield text[-1]

    return [*ids, *islice(go_on(), max_new)]


def greedy_counting_down(next_logits, ids, max_new, stop):
    if max_new == 0:
        return list(ids)
    new = int(torch.argmax(next_logits(ids)))
    longer = [*ids, new]
    return longer if new == stop else greedy_counting_down(next_logits, longer, max_new - 1, stop)


def greedy_with_while(next_logits, ids, max_new, stop):
    out = ids.copy()
    while len(out) < len(ids) + max_new:
        out += [int(np.argmax(next_logits(out).numpy()))]
        if out[-1] == stop:
            return out
    return tuple(out)


def probabilities_by_filter(logits, temperature, k):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).double()
    ranks = logits.argsort(descending=True, stable=True).argsort()
    return torch.softmax((logits / temperature).masked_fill(ranks >= k, -math.inf), dim=0)


def probabilities_in_a_loop(logits, temperature, k):
    order = sorted(range(len(logits)), key=lambda i: (-logits[i].item(), i))[: 1 if temperature == 0 else k]
    best, e = logits[order[0]].item(), np.zeros(len(logits))
    for i in order:
        e[i] = math.exp((logits[i].item() - best) / (temperature or 1))
    return e / e.sum()


def probabilities_scaled_again(logits, temperature, k):
    """Softmax first, then cut and divide by what is left; a power instead of a division; nearly 0 instead of 0."""
    p = torch.softmax(logits.double(), dim=-1) ** (1 / max(temperature, 1e-2))
    p[logits.argsort(descending=True, stable=True)[k if temperature else 1 :]] = 0
    return p / p.sum()


def top_p_in_a_loop(probabilities, top_p):
    keep, mass = [False] * len(probabilities), 0.0
    for i in sorted(range(len(probabilities)), key=lambda i: -probabilities[i]):
        if mass < top_p:
            keep[i] = True
        mass += probabilities[i].item()
    return torch.tensor(keep)


def top_p_all_pairs(probabilities, top_p):
    """The mass in front of a token: all that is likelier."""
    return (probabilities * (probabilities > probabilities[:, None])).sum(dim=1) < top_p


def top_p_by_length(probabilities, top_p):
    ordered, order = probabilities.double().sort(descending=True)
    n = int((ordered.cumsum(0) < top_p).sum()) + 1
    mask = np.zeros(len(probabilities), dtype=bool)
    mask[order[:n].numpy()] = True
    return mask


def step_by_hand(new, places, maps, keys, values):
    x = new[0] + places[keys.shape[0]]
    q, k, v = x @ maps[0], x @ maps[1], x @ maps[2]
    keys, values = torch.vstack([keys, k]), torch.vstack([values, v])
    weights = torch.softmax(keys @ q / math.sqrt(len(q)), dim=0)
    return (weights @ values)[None], keys, values


def step_with_a_mask(new, places, maps, keys, values):
    n, x = len(keys), new + places[len(keys)]
    keys, values = torch.cat([keys, x @ maps[1]]), torch.cat([values, x @ maps[2]])
    mask = torch.ones(n + 1, n + 1, dtype=torch.bool).tril()[-1:]
    return F.scaled_dot_product_attention(x @ maps[0], keys, values, attn_mask=mask), keys, values


def step_in_double(new, places, maps, keys, values):
    q, k, v = torch.einsum("tc,mcd->mtd", (new + places[len(keys)]).double(), maps.double())
    keys, values = torch.cat([keys.double(), k]), torch.cat([values.double(), v])
    return torch.softmax(q @ keys.T * keys.size(1) ** -0.5, dim=-1) @ values, keys, values


@contextmanager
def writing(model):
    was = model.training
    model.eval()
    yield
    model.train(was)


def generate_with_a_manager(model, idx, max_new):
    with writing(model), torch.inference_mode():
        for _ in range(max_new):
            new = model(idx[:, -model.config.block_size :])[:, -1, :].topk(1).indices
            idx = torch.cat((idx, new), dim=1)
    return idx


def generate_row_by_row(model, idx, max_new):
    was = model.training
    model.train(False)
    rows = [row.tolist() for row in idx]
    for row in rows:
        for _ in range(max_new):
            row.append(int(model(torch.tensor([row[-model.config.block_size :]]))[0, -1].argmax()))
    if was:
        model.train()
    return torch.tensor(rows)


def generate_into_a_buffer(model, idx, max_new):
    (B, T), size, was = idx.shape, model.config.block_size, model.training
    out = torch.zeros(B, T + max_new, dtype=torch.long)
    out[:, :T] = idx
    for t in range(T, T + max_new):
        logits = model.eval()(out[:, max(0, t - size) : t])
        out[:, t] = logits.softmax(-1)[:, -1].argmax(-1)
    model.train(was)
    return out


def pieces_with_ignore(pieces):
    held, shown = b"", []
    for piece in pieces:
        held += piece
        text = held.decode("utf-8", errors="ignore")
        held = held[len(text.encode()) :]
        shown.append(text)
    return shown


def pieces_by_what_is_new(pieces):
    """Decode all so far each time, and show what the last time had not."""
    shown, before = [], ""
    for n in range(1, len(pieces) + 1):
        data = b"".join(pieces[:n])
        while True:
            try:
                text = data.decode()
                break
            except UnicodeDecodeError:
                data = data[:-1]
        shown.append(text[len(before) :])
        before = text
    return shown


def pieces_by_first_byte(pieces):
    """The first byte of a character says how many it has."""
    held, shown = bytearray(), []
    for piece in pieces:
        held.extend(piece)
        text = ""
        while held:
            n = 1 if held[0] < 0x80 else 2 if held[0] < 0xE0 else 3 if held[0] < 0xF0 else 4
            if len(held) < n:
                break
            text += bytes(held[:n]).decode()
            del held[:n]
        shown.append(text)
    return tuple(shown)


RIGHT = {
    "9.1": [greedy_as_a_generator, greedy_counting_down, greedy_with_while],
    "9.3": [probabilities_by_filter, probabilities_in_a_loop, probabilities_scaled_again],
    "9.4": [top_p_in_a_loop, top_p_all_pairs, top_p_by_length],
    "9.5": [step_by_hand, step_with_a_mask, step_in_double],
    "9.6": [generate_with_a_manager, generate_row_by_row, generate_into_a_buffer],
    "9.7": [pieces_with_ignore, pieces_by_what_is_new, pieces_by_first_byte],
}
