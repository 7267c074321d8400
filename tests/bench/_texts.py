"""Texts to measure on, of any size, in which nothing is repeated to fill them up."""

import random
from collections.abc import Iterator
from itertools import accumulate, count, pairwise, product
from pathlib import Path
from pydoc_data.topics import topics

from gptlib.corpora import tales
from gptlib.tokenizer import END_OF_TEXT

SHAKESPEARE = Path(__file__).resolve().parents[2] / "data" / "tinyshakespeare.txt"
SEED = 1000  # of the first corpus of tales; the one in the package has another


def english(size: int, path: str | None = None) -> tuple[str, str]:
    """What it is, and `size` bytes of it: the file `path`, or tinyshakespeare if it is there; then pydocs; then tales.

    A longer one begins with the shorter one. No special token is in it, as the peers would take it for text.
    """
    parts: dict[str, str] = {}
    for name, text in sources(path):
        if len("".join(parts.values()).encode()) >= size:
            break
        parts[name] = parts.get(name, "") + text.replace(END_OF_TEXT, "") + "\n"
    return " + ".join(parts), cut("".join(parts.values()), size)


def sources(path: str | None) -> Iterator[tuple[str, str]]:
    """Name and text of what there is, the tales without end."""
    if path or SHAKESPEARE.is_file():
        file = Path(path) if path else SHAKESPEARE
        yield file.stem, file.read_text(encoding="utf-8")
    yield "pydocs", "\n\n".join(topics.values())
    for seed in count(SEED):
        yield "tales", tales.corpus(2000, seed)


def made_up(size: int, n_words: int, seed: int = 1) -> str:
    """Words of two to five made-up syllables; how often each occurs falls with its number, as in English."""
    rng = random.Random(seed)
    syllables = ["".join(letters) for letters in product("bcdfghjklmnprstvwz", "aeiou", ["", "", "n", "r", "s", "l"])]
    words = list({"".join(rng.choices(syllables, k=rng.randint(2, 5))): None for _ in range(n_words)})
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    return cut(" ".join(rng.choices(words, cum_weights=weights, k=size // 4)), size)


def all_different(size: int, seed: int = 2) -> str:
    """Words of random letters, of which hardly one comes twice, ten on a line."""
    rng = random.Random(seed)
    letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=size))
    lengths = accumulate(rng.randint(4, 9) for _ in range(size // 4))
    places = [0, *(place for place in lengths if place < size)]
    words = [letters[i:j] for i, j in pairwise([*places, size])]
    return cut("\n".join(" ".join(words[i : i + 10]) for i in range(0, len(words), 10)), size)


def cut(text: str, size: int) -> str:
    """The first `size` bytes; half a character at the end is left out."""
    return text.encode()[:size].decode(errors="ignore")
