"""The tokenizer against its peers, by turns: training, encoding, memory, and chunks that hardly end.

    python tests/bench/bench_tokenizer.py [--text FILE] [--rounds 5] [--only training,encoding,memory,chunks]

All get the same text and the same number of tokens. Every timing has a tokenizer of its own that has seen nothing, and
a ratio is the median over the rounds. FILE, or tinyshakespeare where it is in `data/`, opens the text; then come pydocs
and tales of many seeds, so that nothing is repeated. With `--only` the table is printed and nothing is kept.
"""

import io
import random
import sys
import tempfile
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import regex
from _peers import as_hugging_face, train_by_definition, train_hugging_face, train_rustbpe
from _results import keep, option, race
from _texts import all_different, english, made_up

from gptlib.tokenizer import BPETokenizer, split_chunks

SMALL = 1_115_394  # bytes of tinyshakespeare
LARGE = 10 * SMALL
V = 4096
Row = dict[str, Any]
Makers = Mapping[str, Callable[[], Callable[[], Any]]]


def row(what: str, unit: str, ours: float, judged: float, aim: float | None = None, **peer: Any) -> Row:
    """One line: what was measured, and whether the value to judge, ours or a ratio, reaches the aim if there is one."""
    return {"what": what, "unit": unit, "ours": ours, **peer, "aim": aim, "met": None if aim is None else judged <= aim}


def compare(what: str, makers: Makers, rounds: int, aims: Mapping[str, float] | None = None) -> Iterator[Row]:
    """The first task against each of the others; the aim is for their ratio."""
    first, *others = race(makers, rounds).items()
    for peer, seconds in others:
        ratio = median(ours / theirs for ours, theirs in zip(first[1], seconds, strict=True))
        times = {"peer": peer, "theirs": round(median(seconds), 4), "ratio": round(ratio, 3)}
        yield row(what, "s", round(median(first[1]), 4), ratio, (aims or {}).get(peer), **times)


# ---- training


def pieces(text: str, size: int = 10_000) -> list[str]:
    """The text cut only where GPT-2's pattern cuts it in any case: some peers are faster on many short texts."""
    parts = [match[0] for match in regex.finditer(rf"(?s).{{{size}}}.*?(?<=\S)(?=\s)|.+", text)]
    assert "".join(parts) == text
    return parts


def trainers(text: str) -> Makers:
    """Ours and Hugging Face's have one special token among the 4,096; rustbpe knows none."""
    parts = pieces(text)
    return {
        "ours": lambda: partial(BPETokenizer.train, text, V),
        "tokenizers": lambda: partial(train_hugging_face, [text], V),
        "tokenizers, in pieces": lambda: partial(train_hugging_face, parts, V),
        "rustbpe": lambda: partial(train_rustbpe, [text], V - 1),
        "rustbpe, in pieces": lambda: partial(train_rustbpe, parts, V - 1),
    }


def training(small: str, large: str, rounds: int) -> Iterator[Row]:
    """On real text of two sizes, on text of many different words, and beside the definition."""
    yield from compare("train on 1.1 MB", trainers(small), rounds, {"tokenizers": 0.7, "rustbpe": 5})
    yield from compare("train on 11 MB", trainers(large), rounds, {"tokenizers": 0.25, "rustbpe": 5})
    sizes = {"11 MB": trainers(large)["ours"], "ours on 1.1 MB": trainers(small)["ours"]}
    yield from compare("train on 11 MB", sizes, rounds, {"ours on 1.1 MB": 10})
    yield from compare("train on 11 MB of made-up words", trainers(made_up(LARGE, 300_000)), min(rounds, 3))
    yield from compare("train on 1.1 MB, no word twice", trainers(all_different(SMALL)), min(rounds, 3))
    short = small[:200_000]
    chunks = [chunk.encode() for chunk in split_chunks(short)]
    naive = partial(train_by_definition, chunks, [1] * len(chunks))
    makers: Makers = {
        "ours": lambda: partial(BPETokenizer.train, short, 512, []),
        "the definition": lambda: lambda: list(islice(naive(), 512 - 256)),
    }
    assert [pair for pair, _ in islice(naive(), 20)] == makers["ours"]()().merges[:20]
    yield from compare("train 512 tokens on 200 kB", makers, 1)


# ---- encoding


def encoders(trained: BPETokenizer, text: str) -> Makers:
    """Each gets a new tokenizer with our vocabulary and merges."""

    def fresh() -> BPETokenizer:
        return BPETokenizer(
            {i: trained.vocab[i] for i in range(256 + len(trained.merges))},
            trained.merges,
            list(trained.special_tokens),
        )

    def by_hugging_face(name: str) -> Callable[[], list[int]]:
        theirs = as_hugging_face(trained)
        fast = lambda: theirs.encode_batch_fast([text])[0].ids  # noqa: E731
        return fast if name == "fast" else lambda: theirs.encode(text).ids

    return {
        "ours": lambda: partial(fresh().encode, text),
        "tokenizers": lambda: by_hugging_face("encode"),
        "tokenizers, encode_batch_fast": lambda: by_hugging_face("fast"),
        "tiktoken": lambda: partial(fresh().to_tiktoken().encode_ordinary, text),
        "our encode_iter, by lines": lambda: partial(list, fresh().encode_iter(io.StringIO(text, newline=""))),
    }


def encoding(small: str, large: str, rounds: int) -> Iterator[Row]:
    """The same ids first, then how long they take; three times as fast is a ratio of a third."""
    trained = BPETokenizer.train(small, V)
    for size, text in (("1.1 MB", small), ("11 MB", large)):
        makers = encoders(trained, text)
        expected = makers["ours"]()()
        assert all(make()() == expected for make in makers.values())
        yield from compare(f"encode {size}", makers, rounds, {"tokenizers": 1 / 3})


# ---- memory


def memory(small: str, large: str, rounds: int) -> Iterator[Row]:
    """What `encode_iter` holds at most while it goes through a file line by line, with a tokenizer that is new."""
    trained = BPETokenizer.train(small, V)
    growth(trained, "what the modules keep for themselves")
    texts = {"5 MB": large[:5_000_000], "10 MB": large[:10_000_000], "5 MB, no word twice": all_different(5_000_000)}
    for name, text in texts.items():
        megabytes = growth(trained, text)
        yield row(f"encode_iter over {name}: memory", "MB", round(megabytes, 3), megabytes, 1.0)


def growth(trained: BPETokenizer, text: str) -> float:
    """The peak of traced memory above the start, in megabytes; the ids are not kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(text, encoding="utf-8", newline="\n")
        trained.save(Path(folder) / "tokenizer.json")
        fresh = BPETokenizer.load(Path(folder) / "tokenizer.json")
        with path.open(encoding="utf-8", newline="\n") as file:
            tracemalloc.start()
            deque(fresh.encode_iter(file), maxlen=0)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return peak / 1e6


# ---- chunks


def chunks(small: str, large: str, rounds: int) -> Iterator[Row]:
    """One run of letters without a space. Hugging Face's training takes minutes on the long one, and stays away."""
    rng = random.Random(3)
    letters = {
        "100,000 random letters": ("abcdefghijklmnopqrstuvwxyz", 100_000),
        "1,000,000 of ACGT": ("ACGT", 1_000_000),
    }
    for name, (alphabet, size) in letters.items():
        text = "".join(rng.choices(alphabet, k=size))
        makers = {
            "ours": lambda text=text: partial(BPETokenizer.train, text, 512),
            "rustbpe": lambda text=text: partial(train_rustbpe, [text], 511),
        }
        if size <= 100_000:
            makers["tokenizers"] = lambda text=text: partial(train_hugging_face, [text], 512)
        yield from compare(f"train 512 tokens on {name}", makers, min(rounds, 3))
        makers = encoders(BPETokenizer.train(text, 512), text)
        yield from compare(f"encode {name}", makers, min(rounds, 3))


def as_table(rows: list[Row]) -> str:
    """One line per row; an aim is an upper limit."""
    lines = [("what", "ours", "peer", "theirs", "ratio", "aim", "")]
    for r in rows:
        theirs = (r["peer"], f"{r['theirs']:.3f} s", f"{r['ratio']:.2f}") if "peer" in r else ("", "", "")
        judged = ("", "") if r["aim"] is None else (f"<= {r['aim']:.3g}", "met" if r["met"] else "MISSED")
        lines.append((r["what"], f"{r['ours']:.3f} {r['unit']}", *theirs, *judged))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    rounds = int(option(sys.argv, "--rounds", "5"))
    path = option(sys.argv, "--text")
    (small_name, small), (large_name, large) = english(SMALL, path), english(LARGE, path)
    sections = {section.__name__: section for section in (training, encoding, memory, chunks)}
    only = option(sys.argv, "--only")
    rows = [r for name in (only.split(",") if only else sections) for r in sections[name](small, large, rounds)]
    if only:
        print(as_table(rows))
    else:
        versions = {name: metadata.version(name) for name in ("regex", "tokenizers", "rustbpe", "tiktoken")}
        texts = {"1.1 MB": small_name, "11 MB": large_name}
        keep("tokenizer", {"versions": versions, "tokens": V, "texts": texts, "rows": rows}, as_table(rows))
