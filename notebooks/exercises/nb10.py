"""The exercises of notebook 10: what a token shows, and the rows from bytes to tokens."""

import random
from itertools import pairwise

from exercises import Exercise


def signs(token: bytes) -> str:
    shown = ""
    for character in token.decode("utf-8", errors="surrogateescape"):
        code = ord(character)
        stray = 0xDC80 <= code <= 0xDCFF
        shown += f"⟨{code - 0xDC00:02X}⟩" if stray else {" ": "␣", "\n": "⏎"}.get(character, character)
    return shown


def signs_inputs(rng: random.Random) -> tuple[bytes]:
    """Characters of one to four bytes, cut anywhere, and single bytes that belong nowhere."""
    data = "".join(rng.choice("ab \nëß한🦊") for _ in range(rng.randint(0, 6))).encode()
    data += bytes(rng.choices([0x80, 0xC3, 0xE2, 0xFF], k=rng.randint(0, 2)))
    begin, end = sorted(rng.randint(0, len(data)) for _ in range(2))
    return (data[begin:end],)


def rows(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[list[bytes]]:
    row = [chunk[i : i + 1] for i in range(len(chunk))]
    found = [row]
    while present := [pair for pair in merges if pair in pairwise(row)]:
        joined: list[bytes] = []
        for token in row:
            if joined and (joined[-1], token) == present[0]:
                joined[-1] += token
            else:
                joined.append(token)
        row = joined
        found.append(row)
    return found


def rows_inputs(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Up to five different merges of letters or of what earlier ones made, and a chunk in which letters come back."""
    tokens, merges = [b"a", b"b", b"c"], []
    for _ in range(rng.randint(0, 5)):
        pair = (rng.choice(tokens), rng.choice(tokens))
        if pair[0] + pair[1] not in tokens:
            merges.append(pair)
            tokens.append(pair[0] + pair[1])
    return bytes(rng.choices(b"abc", weights=[4, 2, 1], k=rng.randint(1, 12))), merges


EXERCISES = {
    "10.1": Exercise(signs, "whole characters stay, and a byte on its own shows its digits", signs_inputs),
    "10.3": Exercise(rows, "one row for each merge, the pair learned first before all others", rows_inputs),
}
