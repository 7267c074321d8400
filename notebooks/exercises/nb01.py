"""The exercises of notebook 01: merging a pair, encoding by rank, and how many merges a vocabulary has room for."""

import random
from itertools import pairwise

from exercises import Exercise


def merge(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    i = 0
    while i < len(tokens):
        found = tuple(tokens[i : i + 2]) == pair
        merged.append("".join(pair) if found else tokens[i])
        i += 2 if found else 1
    return merged


def merge_inputs(rng: random.Random) -> tuple[list[str], tuple[str, str]]:
    tokens = rng.choices(["a", "b", "ab"], weights=[6, 3, 1], k=rng.randint(0, 12))
    return tokens, (rng.choice("aab"), rng.choice("aab"))


def encode(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [chunk[i : i + 1] for i in range(len(chunk))]
    while True:
        present = [pair for pair in merges if pair in pairwise(tokens)]
        if not present:
            return tokens
        first, i = present[0], 0
        while i < len(tokens):
            if tuple(tokens[i : i + 2]) == first:
                tokens[i : i + 2] = [first[0] + first[1]]
            i += 1


def encode_inputs(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Up to five different merges of letters or of what earlier ones made, in an order in which the ranks matter."""
    tokens, merges = [b"a", b"b", b"c"], []
    for _ in range(rng.randint(0, 5)):
        pair = (rng.choice(tokens), rng.choice(tokens))
        if pair[0] + pair[1] not in tokens:
            merges.append(pair)
            tokens.append(pair[0] + pair[1])
    return bytes(rng.choices(b"abc", k=rng.randint(0, 12))), merges


EXERCISES = {
    "1.3": Exercise(reference=merge, inputs=merge_inputs, about="left to right, no token twice"),
    "1.7": Exercise(reference=encode, inputs=encode_inputs, about="the pair learned first is joined first"),
    "1.11": Exercise(reference=2048 - 256 - 1, about="256 bytes + merges + special tokens = vocabulary"),
}
