"""Dates in many forms turned into one: the encoder-decoder of lesson 12 beside a decoder alone, over several seeds.

    python tests/bench/bench_seq2seq.py [--seeds 3] [--only decoder_only]

All see the same batches, have about as many weights, and are asked for the same 500 held-out texts. An answer counts if
it is right to the last character. Seconds are those of the training alone, by the clock and of the processor, on one
thread; the encoder-decoder is also trained on two.
"""

import json
import sys
from collections.abc import Callable
from statistics import mean
from time import perf_counter, process_time
from typing import Any

import torch
from _results import HERE, keep, option

from gptlib.corpora import dates
from gptlib.model import GPT, GPTConfig, count_parameters
from gptlib.sampling import generate_each
from gptlib.seq2seq import (
    EncoderDecoder,
    EncoderDecoderConfig,
    Pair,
    batches_by_length,
    beam_search,
    exact_match,
    fit,
    make_batch,
    pad,
    smoothed_cross_entropy,
)
from gptlib.tokenizer import CharTokenizer

SPECIALS = ("<pad>", "<start>", "<end>")
TRAIN_PAIRS, HELD_OUT_PAIRS = dates.split(20_000, 500)
TOKENIZER = CharTokenizer.train("".join(p.source + p.target for p in TRAIN_PAIRS), SPECIALS)
PAD, START, END = (TOKENIZER.special_tokens[text] for text in SPECIALS)
V = TOKENIZER.vocab_size


def as_ids(pairs: list[dates.Pair]) -> list[Pair]:
    return [(TOKENIZER.encode(pair.source), TOKENIZER.encode(pair.target)) for pair in pairs]


TRAIN, HELD_OUT = as_ids(TRAIN_PAIRS), as_ids(HELD_OUT_PAIRS)


def timed(model: torch.nn.Module, loss_of: Callable[[Any], torch.Tensor], steps: int, seed: int) -> dict[str, float]:
    """Train, and say how long that took."""
    batches = batches_by_length(TRAIN, 32, torch.Generator().manual_seed(seed))
    clock, processor = perf_counter(), process_time()
    fit(model, batches, loss_of, steps)
    clock, processor = perf_counter() - clock, process_time() - processor
    return {"seconds": round(clock, 1), "cpu_seconds": round(processor, 1), "parameters": count_parameters(model)}


def both(seed: int, steps: int, with_beams: bool = False, **settings: Any) -> dict[str, float]:
    """An encoder-decoder; with beams if asked for."""
    torch.manual_seed(seed)
    config = EncoderDecoderConfig(V, PAD, START, END, **settings)
    model = EncoderDecoder(config)

    def loss_of(batch: list[Pair]) -> torch.Tensor:
        source, reads, asked = make_batch(batch, config)
        return smoothed_cross_entropy(model(source, reads), asked)

    result = timed(model, loss_of, steps, seed) | {"greedy": exact_match(model, HELD_OUT)}
    if with_beams:
        found = [beam_search(model, source, 24)[0][1] for source, _ in HELD_OUT]
        result["beams"] = mean(ids == target for ids, (_, target) in zip(found, HELD_OUT, strict=True))
    return result


def decoder_only(seed: int, steps: int, source_counts: bool = False) -> dict[str, float]:
    """A GPT that goes on from the source; with `source_counts` it is asked to write the source, too."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(V, block_size=128, n_layer=2, n_head=4, n_embd=64, scale="unit", look_back=4))

    def loss_of(batch: list[Pair]) -> torch.Tensor:
        reads = pad([[*source, START, *target] for source, target in batch], PAD)
        before = [[*source[1:], START] if source_counts else [-1] * len(source) for source, _ in batch]
        asked = pad([[*first, *target, END] for first, (_, target) in zip(before, batch, strict=True)], -1)
        return smoothed_cross_entropy(model(reads), asked)

    result = timed(model, loss_of, steps, seed)
    prompts = [[*source, START] for source, _ in HELD_OUT]
    texts = generate_each(model, prompts, 24, temperature=0, stop=END)
    right = [text == [*prompt, *t, END] for text, prompt, (_, t) in zip(texts, prompts, HELD_OUT, strict=True)]
    return result | {"greedy": mean(right)}


def on_two_threads(run: Callable[[], dict[str, float]]) -> dict[str, float]:
    torch.set_num_threads(2)
    try:
        return run()
    finally:
        torch.set_num_threads(1)


RUNS: dict[str, Callable[[int], dict[str, float]]] = {
    "encoder_decoder": lambda seed: both(seed, 600, with_beams=True),
    "two_threads": lambda seed: on_two_threads(lambda: both(seed, 600)),
    "half_as_long": lambda seed: both(seed, 300, with_beams=True),
    "post_norm": lambda seed: both(seed, 600, norm="post"),
    "without_look_around": lambda seed: both(seed, 600, look_around=False),
    "decoder_only": lambda seed: decoder_only(seed, 600),
    "decoder_only_source_counts": lambda seed: decoder_only(seed, 600, source_counts=True),
    "decoder_only_twice_as_long": lambda seed: decoder_only(seed, 1200),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    kept = HERE / "results" / "seq2seq.json"
    results = json.loads(kept.read_text(encoding="utf-8"))["results"] if kept.exists() else {}
    for name, run in RUNS.items():
        if option(sys.argv, "--only", "") in name:
            runs = [run(seed) for seed in range(int(option(sys.argv, "--seeds", "3")))]
            results[name] = {key: [r[key] for r in runs] for key in runs[0]}
            print(name, results[name], file=sys.stderr, flush=True)
            keep("seq2seq", {"held_out": len(HELD_OUT), "results": results}, table=name)
