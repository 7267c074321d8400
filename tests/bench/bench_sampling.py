"""Writing text one token at a time, batch 1: this package against Hugging Face's `generate`, by turns.

    python tests/bench/bench_sampling.py [--rounds 7] [--compile yes]

Both models have the same sizes, random weights in float32 and the same GELU, take the likeliest token or draw, and
write the same number of tokens behind 8. The limit is the time to read the weights once for each token. The small
model has one thread, as both write slower with two; the large one has two, so that memory is read at its full speed.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from statistics import median
from time import perf_counter

import torch
from _results import keep, option, race
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from gptlib._linear import linear
from gptlib.model import GPT, GPTConfig
from gptlib.sampling import generate

SIZES = {
    "small": (GPTConfig(65, block_size=256, n_layer=4, n_head=4, n_embd=128, gelu="tanh"), 240, 1),
    "gpt2": (GPTConfig(50257, block_size=1024, n_layer=12, n_head=12, n_embd=768, gelu="tanh"), 48, 2),
}
FASTER = {"cpp_wrapper": True, "size_asserts": False, "nan_asserts": False, "alignment_asserts": False}


def peer(config: GPTConfig) -> GPT2LMHeadModel:
    sizes = {"n_positions": config.block_size, "n_layer": config.n_layer, "n_head": config.n_head}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=config.vocab_size, n_embd=config.n_embd, **sizes, **ends)).eval()


@torch.no_grad()
def peer_writes(model: GPT2LMHeadModel, idx: Tensor, new: int, sample: bool) -> None:
    length = {"max_new_tokens": new, "min_new_tokens": new, "pad_token_id": 0}
    dials = {"top_k": 0} if sample else {}
    out = model.generate(idx, attention_mask=torch.ones_like(idx), do_sample=sample, use_cache=True, **length, **dials)
    assert out.size(1) == idx.size(1) + new


def weights_read(model: GPT) -> int:
    """Bytes of weights that one token needs: all but the embeddings, of which it takes one row each."""
    tables = {model.position_embedding.weight} | (set() if model.config.tied else {model.token_embedding.weight})
    return sum(p.nbytes for p in model.parameters() if p not in tables)


def measure(config: GPTConfig, new: int, threads: int, rounds: int, compiled: bool) -> dict[str, object]:
    """Tokens per second of each way, the median over the rounds, and the quotients by the peer's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, theirs = GPT(config).eval(), peer(config)
    idx = torch.randint(config.vocab_size, (1, 8))
    few = max(new // 8, 4)  # without a cache it takes long
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "peer": (partial(peer_writes, theirs, idx, new, False), new),
        "cached": (partial(generate, model, idx, new, temperature=0), new),
        "peer_sampling": (partial(peer_writes, theirs, idx, new, True), new),
        "cached_sampling": (partial(generate, model, idx, new), new),
        "uncached": (partial(generate, model, idx, few, temperature=0, use_cache=False), few),
    }
    if compiled:
        fast = deepcopy(model)
        fast.compile(options=FASTER)
        ways["compiled"] = (partial(generate, fast, idx, new, temperature=0), new)
        assert torch.equal(ways["compiled"][0](), ways["cached"][0]())
    for write, _ in ways.values():
        write()
    seconds = race({name: partial(lambda write: write, write) for name, (write, _) in ways.items()}, rounds)
    speed = {name: ways[name][1] / median(times) for name, times in seconds.items()}
    over = {name: value / speed["peer_sampling" if "sampling" in name else "peer"] for name, value in speed.items()}
    return {
        "tokens_per_second": {name: round(value, 1) for name, value in speed.items()},
        "over_peer": {name: round(value, 2) for name, value in over.items() if "peer" not in name},
        "threads": threads,
        "megabytes_per_token": round(weights_read(model) / 1e6, 1),
    }


def bandwidths(rounds: int) -> dict[str, float]:
    """Gigabytes per second: a sum over 400 MB, and a vector times matrices of GPT-2's shape in either layout."""
    shape, count = (3072, 768), 48
    stored_out = [torch.randn(shape) for _ in range(count)]
    stored_in = [w.t().contiguous().t() for w in stored_out]
    x, much = torch.randn(1, 1, 768), torch.randn(count * shape[0] * shape[1])

    def products(product: Callable[[Tensor, Tensor], Tensor], weights: list[Tensor]) -> None:
        for w in weights:
            product(x, w)

    tasks = {
        "read": much.sum,
        "product_out_in": partial(products, torch.nn.functional.linear, stored_out),
        "product_in_out": partial(products, torch.nn.functional.linear, stored_in),
        "product_ours": partial(products, linear, stored_out),
    }
    for task in tasks.values():
        task()
    seconds = race({name: partial(lambda task: task, task) for name, task in tasks.items()}, rounds)
    return {name: round(much.nbytes / median(times) * 1e-9, 1) for name, times in seconds.items()}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    rounds = int(option(sys.argv, "--rounds", "7"))
    with_compile = option(sys.argv, "--compile", "yes") == "yes"
    began = perf_counter()
    gigabytes = bandwidths(rounds)
    results = {name: measure(*size, rounds, with_compile) for name, size in SIZES.items()}
    for result in results.values():
        for name in ("read", "product_ours"):
            limit = gigabytes[name] * 1e3 / result["megabytes_per_token"]
            result[f"limit_by_{name}"] = round(limit, 1)
            result[f"share_of_{name}"] = round(result["tokens_per_second"]["cached"] / limit, 3)
    keep("sampling", {"seconds": round(perf_counter() - began), "gigabytes_per_second": gigabytes, **results})
