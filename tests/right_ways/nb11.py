"""Other loops, regular expressions, numpy and torch's own calls, for the exercises of 11."""

import math
import re

import numpy as np
import torch
import torch.nn.functional as F

WORDS = {"token_embedding": "wte", "position_embedding": "wpe", "blocks": "h", "norm": "ln_f", "head": "lm_head"}
WORDS |= {"norm1": "ln_1", "norm2": "ln_2", "attention": "attn", "qkv": "c_attn", "out": "c_proj"}
WORDS |= {"up": "c_fc", "down": "c_proj"}


def name_in_a_loop(name):
    parts = []
    for part in name.split("."):
        if part in WORDS:
            part = WORDS[part]
        parts.append(part)
    return ".".join(parts)


def name_by_pattern(name):
    return re.sub(r"[^.]+", lambda found: WORDS.get(found[0], found[0]), name)


def name_longest_first(name):
    ours = f".{name}."
    for word in sorted(WORDS, key=len, reverse=True):
        ours = ours.replace(f".{word}.", f".{WORDS[word]}.")
    return ours.strip(".")


def ours(n_layer):
    block = ["norm1", "attention.qkv", "attention.out", "norm2", "mlp.up", "mlp.down"]
    parts = [f"blocks.{i}.{part}" for i in range(n_layer) for part in block] + ["norm"]
    tables = ["token_embedding.weight", "position_embedding.weight"]
    return tables + [f"{part}.{kind}" for part in parts for kind in ("weight", "bias")]


def state_from_their_side(theirs, n_layer):
    to_ours = {name_in_a_loop(name): name for name in ours(n_layer)}
    state = {}
    for name, tensor in theirs.items():
        name = name.removeprefix("transformer.")
        if re.search(r"\.c_\w+\.weight$", name):
            tensor = tensor.t().contiguous()
        state[to_ours[name]] = tensor
    return state


def state_by_our_parts(theirs, n_layer):
    prefix = "transformer." if any(name.startswith("transformer.") for name in theirs) else ""
    maps = ("qkv.weight", "out.weight", "up.weight", "down.weight")
    found = {name: theirs[prefix + name_by_pattern(name)].clone() for name in ours(n_layer)}
    return {name: tensor.transpose(0, 1) if name.endswith(maps) else tensor for name, tensor in found.items()}


def state_numpy(theirs, n_layer):
    state = state_by_our_parts(theirs, n_layer)
    return {name: tensor.numpy().astype(np.float64) for name, tensor in state.items()}


def settings_by_table(described):
    defaults = {"n_head": 12, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}
    found = defaults | {{"num_attention_heads": "n_head"}.get(name, name): value for name, value in described.items()}
    kinds = {"gelu": "erf", "gelu_python": "erf"}
    return found["n_head"], kinds.get(found["activation_function"], "tanh"), found["layer_norm_epsilon"]


def settings_in_steps(described):
    heads = 12
    for name in ("n_head", "num_attention_heads"):
        if name in described:
            heads = described[name]
    gelu = "tanh"
    if described.get("activation_function") == "gelu":
        gelu = "erf"
    eps = 1e-5
    if "layer_norm_epsilon" in described:
        eps = described["layer_norm_epsilon"]
    return [heads, gelu, eps]


def table_in_place(model, table):
    with torch.no_grad():
        model.token_embedding.weight.copy_(table)
    return model


def table_as_data(model, table):
    model.head.weight.data = table.detach().clone()
    return model


def table_by_state(model, table):
    model.load_state_dict({"token_embedding.weight": table, "head.weight": table})


def table_head_first(model, table):
    model.head.weight = torch.nn.Parameter(table.clone())
    model.token_embedding.weight = model.head.weight
    return model


def one_parameter(model, table):
    weight = torch.nn.Parameter(table + 0)
    model.token_embedding.weight, model.head.weight = weight, weight
    return model


def measure_in_a_loop(nats, text):
    bits = 0.0
    for one in nats.tolist():
        bits += one / math.log(2)
    return bits / len(bytes(text, "utf-8"))


def measure_numpy(nats, text):
    return np.log2(np.exp(nats.double().numpy())).sum() / len(text.encode("utf-8"))


def measure_by_tokens(nats, text):
    bits_per_token, bytes_per_token = nats.mean() / math.log(2), len(text.encode()) / len(nats)
    return bits_per_token / bytes_per_token


def answer_by_cross_entropy(logits, ids, n_prompt):
    return F.cross_entropy(logits[n_prompt - 1 : -1], ids[n_prompt:], reduction="sum") / math.log(2)


def answer_in_a_loop(logits, ids, n_prompt):
    bits = 0.0
    for t in range(n_prompt, len(ids)):
        powers = [math.exp(float(x)) for x in logits[t - 1]]
        bits -= math.log2(powers[int(ids[t])] / sum(powers))
    return bits


def answer_cut_afterwards(logits, ids, n_prompt):
    p = logits[:-1].double().softmax(1)
    all_bits = -p[torch.arange(len(ids) - 1), ids[1:]].log2()
    return all_bits[n_prompt - 1 :].sum()


def answer_numpy(logits, ids, n_prompt):
    x = logits.numpy().astype(float)
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    rows = np.arange(n_prompt - 1, len(ids) - 1)
    return -log_p[rows, ids.numpy()[rows + 1]].sum() / np.log(2)


RIGHT = {
    "11.1": [name_in_a_loop, name_by_pattern, name_longest_first],
    "11.2": [state_from_their_side, state_by_our_parts, state_numpy],
    "11.3": [settings_by_table, settings_in_steps],
    "11.6": [table_in_place, table_as_data, table_by_state, table_head_first, one_parameter],
    "11.9": [measure_in_a_loop, measure_numpy, measure_by_tokens],
    "11.10": [answer_by_cross_entropy, answer_in_a_loop, answer_cut_afterwards, answer_numpy],
}
