"""The exercises of 02_data: a split that does not leak, types of ids, batches, and windows for evaluation."""

import random
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exercises import Exercise, Wrong

Parts = tuple[list[str], list[str]]


# ---- 2.4 split first


def split_then_cut(text: str, T: int, n_val: int) -> tuple[list[str], list[str]]:
    edge = len(text) - n_val
    train, val = text[:edge], text[edge:]
    return (
        [train[i : i + T] for i in range(len(train) - T + 1)],
        [val[i : i + T] for i in range(len(val) - T + 1)],
    )


def cut(text: str, T: int) -> list[str]:
    return [text[i : i + T] for i in range(len(text) - T + 1)]


def broken_split(text, T, n_val):
    windows = [text[i : i + T] for i in range(len(text) - T + 1)]
    random.shuffle(windows)
    return windows[n_val:], windows[:n_val]


def split_inputs(rng: random.Random) -> tuple[str, int, int]:
    """A text without a letter that comes twice, so that every letter says where it was."""
    N, T = rng.randint(24, 60), rng.randint(3, 5)
    letters = rng.sample(string.ascii_letters + string.digits, k=N)
    return "".join(letters), T, rng.randint(T + 2, N // 2 - 2)


def use_split(attempt: Callable[..., Parts], text: str, T: int, n_val: int) -> dict[str, object] | None:
    """Whether letters stand in both parts; if not, where the parts lie; if that is right, the windows in any order."""
    parts = attempt(text, T, n_val)
    if parts is None:
        return None
    train, val = ([*map(str, part)] for part in parts)
    starts = [sorted(text.find(window[:1]) for window in part) or [0] for part in (train, val)]
    apart = starts[0][-1] < starts[1][0] or starts[1][-1] < starts[0][0]
    if set("".join(train)) & set("".join(val)):
        return {"letters in both parts": "beside the border" if apart else "all over the text"}
    if not all(window in text for window in train + val):
        return {"letters in both parts": "none", "windows": "not as in the text"}
    if not apart:
        return {"letters in both parts": "none", "the windows of validation": "lie among those of training"}
    return {"letters in both parts": "none", "train": sorted(train), "val": sorted(val)}


def windows_in_order(text: str, T: int, n_val: int) -> Parts:
    windows = cut(text, T)
    return windows[:-n_val], windows[-n_val:]


def end_to_end(text: str, T: int, n_val: int) -> Parts:
    """Windows laid end to end, and one from the middle kept away."""
    windows = cut(text, T)[::T]
    return windows[:1] + windows[2:], windows[1:2]


def shuffled_letters(text: str, T: int, n_val: int) -> Parts:
    return split_then_cut("".join(random.sample(text, k=len(text))), T, n_val)


SPLIT = Exercise(
    split_then_cut,
    "the text is split before anything is cut, so no letter stands in both parts",
    split_inputs,
    kind="mend",
    text="Windows of T letters. The last n_val letters of the text should be for validation, and for nothing else.",
    given=broken_split,
    use=use_split,
    wrong=(
        Wrong(
            "windows overlap, and they were split at random: what validation asks was seen in training; "
            "which comes first, the split or the cut?",
            broken_split,
            13,
        ),
        Wrong(
            "the windows are split in order, and those beside the border still share letters: split the text itself",
            windows_in_order,
            13,
        ),
        Wrong(
            "no letter stands in both parts now, and validation still lies between windows of training: "
            "its tale was read on both sides; keep the end of the text away",
            end_to_end,
            13,
        ),
        Wrong(
            "the letters were shuffled, not the windows, and there is no text left to learn from",
            shuffled_letters,
        ),
        Wrong(
            "the text is split and not cut: each part should be a list of windows",
            lambda text, T, n_val: (text[:-n_val], text[-n_val:]),
        ),
        Wrong(
            "the text is split, and it is the first letters that are kept away; the last ones should be",
            lambda text, T, n_val: (cut(text[n_val:], T), cut(text[:n_val], T)),
        ),
        Wrong(
            "the two parts are swapped: most of the text should be for training",
            lambda text, T, n_val: split_then_cut(text, T, n_val)[::-1],
        ),
        Wrong(
            "the last window of each part is missing: from how many places can a window of T letters be cut?",
            lambda text, T, n_val: tuple(part[:-1] for part in split_then_cut(text, T, n_val)),
            14,
        ),
        Wrong(
            "some windows at the end of a part are too short; the last start is T letters before the end",
            lambda text, T, n_val: tuple(
                [part[i : i + T] for i in range(len(part))] for part in (text[:-n_val], text[-n_val:])
            ),
            14,
        ),
        Wrong(
            "windows lie end to end now, and most starts are never used; inside a part an overlap leaks nothing",
            lambda text, T, n_val: tuple(cut(part, T)[::T] for part in (text[:-n_val], text[-n_val:])),
            15,
        ),
    ),
    hints=(
        "In which order do the three lines cut, shuffle and split? What do two neighbouring windows share?",
        "Split the string first: `text[:edge]` and `text[edge:]`. Which edge leaves n_val letters behind it?",
        "Then cut each part on its own with the same comprehension. The shuffle is not needed any more.",
    ),
    why="Windows that overlap carry the answers of their neighbours along; a border in the text cannot be crossed.",
)


# ---- 2.5 two bytes


WRAPPED = Exercise(
    lambda: ", ".join(map(str, np.array([65535, 65536, 65543]).astype(np.uint16).tolist())),
    "after 65,535 it starts again from the beginning, and nothing is said",
    kind="predict",
    text="What does `np.array([65535, 65536, 65543]).astype(np.uint16)` make of the three ids?",
    choices=("65535, 65535, 65535", "65535, 65536, 65543", "65535, 0, 7", "an OverflowError"),
    wrong=(
        Wrong("it does not stop at the largest number it has, as a clipped picture would", "65535, 65535, 65535", 16),
        Wrong(
            "two bytes have 65,536 patterns, and 0 is one of them; not all three ids can fit", "65535, 65536, 65543", 16
        ),
        Wrong(
            "an error would be kind; a conversion by `astype` never looks whether numbers fit", "an OverflowError", 16
        ),
    ),
    hints=(
        "Which is the largest number that 16 bits can write?",
        "`astype` keeps the lowest 16 bits of each number, and drops what is above them.",
        "The lowest 16 bits of a number are what is left when it is divided by 65,536.",
    ),
    why="The ids come back modulo 65,536. That is why the type has to follow from the size of the vocabulary.",
)


def ids_array(ids: list[int], vocab_size: int) -> np.ndarray:
    return np.array(ids, dtype=np.uint16 if vocab_size <= 2**16 else np.uint32)


def ids_inputs(rng: random.Random) -> tuple[list[int], list[int]]:
    """A few small ids, and sizes of vocabularies, two of them at the border of two bytes."""
    sizes = [rng.randint(300, 30_000), rng.randint(40_000, 65_000), 65_536, 65_537, rng.randint(70_000, 200_000)]
    return [rng.randrange(300) for _ in range(rng.randint(2, 6))], sizes


def use_ids(attempt: Callable[..., Any], ids: list[int], sizes: list[int]) -> dict[str, object] | None:
    """What is read back and how much room it takes: of these ids, and with the largest of the vocabulary, too."""
    found: dict[str, object] = {}
    for size in sizes:
        for what, some in ((f"{size:,} entries", ids), (f"the largest of {size:,} ids", [*ids, size - 1])):
            try:
                array = attempt(some, size)
            except OverflowError:
                found[what] = "an OverflowError"
                continue
            if array is None:
                return None
            found[what] = {"bytes per id": np.asarray(array).itemsize, "ids": np.asarray(array).tolist()}
    return found


def typed(choose: Callable[[list[int], int], Any]) -> Callable[..., np.ndarray]:
    """The ids in the type that is chosen, which wraps around if it is too small."""
    return lambda ids, vocab_size: np.array(ids).astype(choose(ids, vocab_size))


IDS = Exercise(
    ids_array,
    "the largest id is one less than the size of the vocabulary",
    ids_inputs,
    text="The ids as a numpy array of two bytes each, or of four where a vocabulary of this size needs them.",
    use=use_ids,
    wrong=(
        Wrong(
            "two bytes whatever the vocabulary: ids from 65,536 on start again from 0; "
            "round-trip a batch of large ids to text",
            typed(lambda ids, vocab_size: np.uint16),
            16,
        ),
        Wrong(
            "two bytes whatever the vocabulary: numpy refuses the first id that does not fit, and that may come late",
            lambda ids, vocab_size: np.array(ids, dtype=np.uint16),
            16,
        ),
        Wrong(
            "int16 spends half of its numbers on what is below 0, so ids from 32,768 on become negative",
            typed(lambda ids, vocab_size: np.int16 if vocab_size <= 2**16 else np.int32),
            16,
        ),
        Wrong(
            "int16 ends at 32,767, as half of its numbers lie below 0, and numpy refuses larger ids",
            lambda ids, vocab_size: np.array(ids, dtype=np.int16 if vocab_size <= 2**16 else np.int32),
            16,
        ),
        Wrong(
            "from 32,769 entries on it takes four bytes; how far do two count, if no bit of them is spent on a sign?",
            typed(lambda ids, vocab_size: np.uint16 if vocab_size <= 2**15 else np.uint32),
        ),
        Wrong(
            "at 65,537 entries two bytes are one short: what is the largest id there?",
            typed(lambda ids, vocab_size: np.uint16 if vocab_size - 1 <= 2**16 else np.uint32),
            16,
        ),
        Wrong(
            "a vocabulary of 65,536 gets four bytes; what is its largest id?",
            typed(lambda ids, vocab_size: np.uint16 if vocab_size < 2**16 else np.uint32),
        ),
        Wrong(
            "the type depends on which ids happen to be in this text; two files of one tokenizer would differ",
            typed(lambda ids, vocab_size: np.uint16 if max(ids) < 2**16 else np.uint32),
        ),
        Wrong(
            "eight bytes per id, numpy's own choice for whole numbers; the file is four times as long as it may be",
            lambda ids, vocab_size: np.array(ids),
        ),
        Wrong(
            "four bytes whatever the vocabulary; most vocabularies of this series fit into two",
            typed(lambda ids, vocab_size: np.uint32),
        ),
    ),
    hints=(
        "Which is the largest id of a vocabulary with `vocab_size` entries?",
        "Two bytes without a sign are `np.uint16`, and four are `np.uint32`. How far does the first one count?",
        "Decide by `vocab_size`, not by the ids of this text, and pass the type as `dtype` to `np.array`.",
    ),
    why="The ids of 65,536 entries end at 65,535, the largest number of two bytes; one entry more needs four.",
)


# ---- 2.6 batches


def batch(tokens: np.ndarray, chosen: np.ndarray, T: int) -> tuple[np.ndarray, np.ndarray]:
    windows = tokens[chosen[:, None] + np.arange(T + 1)]
    return windows[:, :-1], windows[:, 1:]


def batch_inputs(rng: random.Random) -> tuple[np.ndarray, np.ndarray, int]:
    """Ids of more than 50 kinds, and starts of which the largest possible one is sometimes one."""
    T, n_starts = rng.randint(2, 8), rng.randint(8, 20)
    tokens = np.array(rng.sample(range(60_000), k=T + n_starts), dtype=np.uint16)
    chosen = rng.sample(range(n_starts - 1), k=rng.randint(2, 5)) + rng.choice([[], [n_starts - 1]])
    return tokens, np.array(chosen), T


def table(chosen: np.ndarray, n: int, first: int = 0) -> np.ndarray:
    return chosen[:, None] + np.arange(first, first + n)


BATCH = Exercise(
    batch,
    "y is x one place further on, up to the last token",
    batch_inputs,
    text="x: the T tokens from each start on; y: for each of them the token that follows it in the text. No loop.",
    wrong=(
        Wrong(
            "y is x itself, and a model that copies is always right: is x without its first token "
            "equal to y without its last? a loss near 0 on text is never luck",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], tokens[table(chosen, T)]),
            11,
        ),
        Wrong(
            "y is shifted twice: it skips the token that comes next; shift in exactly one place",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], tokens[table(chosen, T, 2)]),
            12,
        ),
        Wrong(
            "starts and steps are both rows, and numpy adds them one by one; one of them has to be a column",
            lambda tokens, chosen, T: (tokens[chosen + np.arange(T)], tokens[chosen + np.arange(1, T + 1)]),
        ),
        Wrong(
            "the last answer of each row is the row's own first token; its true answer lies one beyond the window",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], np.roll(tokens[table(chosen, T)], -1, axis=1)),
        ),
        Wrong(
            "the rows are one token too short: T questions and their answers need one token more than T",
            lambda tokens, chosen, T: (tokens[table(chosen, T)][:, :-1], tokens[table(chosen, T)][:, 1:]),
            14,
        ),
        Wrong(
            "each id has grown by one; it is the place in the text that should",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], tokens[table(chosen, T)] + 1),
        ),
        Wrong(
            "y is cut from x, and so it is one token short: the last answer is not in x",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], tokens[table(chosen, T)][:, 1:]),
        ),
        Wrong(
            "one answer per window: a window asks at each of its places, so y is as large as x",
            lambda tokens, chosen, T: (tokens[table(chosen, T)], tokens[chosen + T]),
        ),
        Wrong(
            "whole windows are left out, the first and the last one, not the first and the last token of each",
            lambda tokens, chosen, T: (tokens[table(chosen, T + 1)][:-1], tokens[table(chosen, T + 1)][1:]),
        ),
        Wrong(
            "the windows stand in columns; a row should be a window: which of the two arrays gets the new axis?",
            lambda tokens, chosen, T: tuple(part.T for part in batch(tokens, chosen, T)),
        ),
    ),
    hints=(
        "How many tokens of the text does a row need, if each of its T tokens is to have one behind it?",
        "`chosen[:, None]` is a column, `np.arange(T + 1)` a row; their sum is a table of places, (B, T + 1).",
        "`tokens[...]` of that table are the windows. x is all but their last column; and y?",
    ),
    why="One table of T + 1 places per window serves both: x without the last column, y without the first.",
)


def batch_maker(tokens: np.ndarray, batch_size: int, T: int) -> tuple[Tensor, Tensor]:
    chosen = torch.randint(len(tokens) - T, (batch_size,)).numpy()
    windows = torch.from_numpy(tokens[chosen[:, None] + np.arange(T + 1)].astype(np.int64))
    return windows[:, :-1], windows[:, 1:]


def broken_batch_maker(tokens, batch_size, T):
    chosen = torch.randint(len(tokens) - T - 1, (batch_size,)).numpy()
    windows = torch.from_numpy(tokens[chosen[:, None] + np.arange(T + 1)].astype(np.int16))
    return windows[:, :-1], windows[:, 1:]


def maker_inputs(rng: random.Random) -> tuple[np.ndarray, int, int]:
    """Ids that no 16 bits with a sign hold, few places to begin at, and enough windows to draw each."""
    T, n_starts, first = rng.randint(2, 6), rng.randint(3, 8), rng.randint(40_000, 65_000)
    return np.arange(first, first + T + n_starts).astype(np.uint16), 300, T


def use_maker(attempt: Callable[..., Any], tokens: np.ndarray, batch_size: int, T: int) -> dict[str, object] | None:
    """What must hold of a batch, whatever was drawn: types first. Tokens are numbers in a row and say their place."""
    drawn = attempt(tokens, batch_size, T)
    if drawn is None:
        return None
    x, y = drawn
    if x.shape != y.shape:
        return {"shapes": (tuple(x.shape), tuple(y.shape))}
    types = {str(part.dtype) if isinstance(part, Tensor) else "a numpy array" for part in (x, y)}
    if not types <= {"torch.int64", "torch.int32"}:
        return {"an embedding wants torch.int64 or torch.int32": ", ".join(sorted(types))}
    places = [np.asarray(part).astype(np.int64) - int(tokens[0]) for part in (x, y)]
    if min(x.min(), y.min()) < 0:
        return {"an embedding wants torch.int64 or torch.int32": "it gets them", "smallest id": "below 0"}
    return {
        "an embedding wants torch.int64 or torch.int32": "it gets them",
        "how far y lies behind x": np.unique(places[1] - places[0]).tolist(),
        "starts drawn": np.unique(places[0][:, 0]).tolist(),
    }


def maker(
    over: int = 0,
    dtype: Any = np.int64,
    shift: int = 1,
    convert: Callable[[Tensor], Tensor] = lambda windows: windows,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The batch maker with another range of starts, type or shift."""

    def variant(tokens: np.ndarray, batch_size: int, T: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(tokens) - T + over, (batch_size,)).numpy()
        windows = convert(torch.from_numpy(tokens[chosen[:, None] + np.arange(T + shift)].astype(dtype)))
        return windows[:, :T], windows[:, shift:]

    return variant


MAKER = Exercise(
    batch_maker,
    "every start is drawn, none runs over the end, and an embedding takes the ids",
    maker_inputs,
    kind="mend",
    text="It should draw from all N - T starts, and give ids of up to 65,535 that an embedding takes. Two slips.",
    given=broken_batch_maker,
    use=use_maker,
    wrong=(
        Wrong(
            "ids of 16 bits with a sign: an embedding wants Long or Int, and the larger ids have become negative",
            broken_batch_maker,
            17,
        ),
        Wrong(
            "the last token of the text is never an answer: what is the largest start i with i + T + 1 <= N?",
            maker(over=-1),
            14,
        ),
        Wrong(
            "one start too many: its last answer lies behind the end, and an unlucky draw stops the training",
            maker(over=1),
            14,
        ),
        Wrong(
            "ids as they lie in the file: an embedding does not take unsigned 16 bits; convert when the batch is made",
            maker(dtype=np.uint16),
            17,
        ),
        Wrong(
            "numpy arrays come back, and a model takes tensors",
            lambda tokens, batch_size, T: tuple(part.numpy() for part in batch_maker(tokens, batch_size, T)),
        ),
        Wrong(
            "a longer type comes too late: 16 bits with a sign have made large ids negative before",
            maker(dtype=np.int16, convert=lambda windows: windows.long()),
            17,
        ),
        Wrong(
            "an embedding looks rows up, and there is no row 2.0: whole numbers are wanted", maker(dtype=np.float32), 17
        ),
        Wrong("y is two tokens further on than x now: one shift is enough", maker(over=-1, shift=2), 12),
    ),
    hints=(
        "Ask two questions of a large batch: which is the largest id in `y`, and what is `x.dtype`?",
        "`torch.randint(n, ...)` draws from 0 to n - 1. Which n draws each of the N - T starts?",
        "The other slip is the type. It must be wide enough for 65,535, and one that an embedding takes.",
    ),
    why="`randint` leaves out its end, so N - T is right as it is; and ids become int64 in the batch, not in the file.",
)


# ---- 2.8 evaluation


def windows(n_tokens: int, block_size: int) -> list[tuple[int, int]]:
    last = n_tokens - 1
    return [(begin, min(begin + block_size, last)) for begin in range(0, last, block_size)]


def windows_inputs(rng: random.Random) -> tuple[int, int]:
    """Half of the texts are as long as so many full windows and the token before them."""
    block_size = rng.randint(2, 8)
    return rng.randint(1, 5) * block_size + 1 + rng.choice([0, *rng.choices(range(1, block_size), k=1)]), block_size


def laid(n_tokens: int, block_size: int, step: int, stop: int = -1, end: int = -1) -> list[tuple[int, int]]:
    """Windows `step` apart, up to a token counted from the end of the text."""
    return [(begin, min(begin + block_size, n_tokens + end)) for begin in range(0, n_tokens + stop, step)]


def last_one_moved_back(n_tokens: int, block_size: int) -> list[tuple[int, int]]:
    *before, _ = windows(n_tokens, block_size)
    return [*before, (max(0, n_tokens - 1 - block_size), n_tokens - 1)]


WINDOWS = Exercise(
    windows,
    "every token but the first is asked for once",
    windows_inputs,
    text="Pairs (begin, end) of windows laid end to end; every token but the first is an answer exactly once.",
    wrong=(
        Wrong(
            "the last token of the text is a question, and nothing follows it: `y` ends one place behind `x`",
            lambda n_tokens, block_size: laid(n_tokens, block_size, block_size, stop=0, end=0),
            14,
        ),
        Wrong(
            "the last window begins where nothing is left to ask; when is there nothing?",
            lambda n_tokens, block_size: laid(n_tokens, block_size, block_size, stop=0),
            14,
        ),
        Wrong(
            "the rest that fills no whole window is left out; count the tokens that are asked for",
            lambda n_tokens, block_size: [(a, b) for a, b in windows(n_tokens, block_size) if b - a == block_size],
        ),
        Wrong(
            "the last window reaches over the end of the text: it is shorter than the others",
            lambda n_tokens, block_size: [(begin, begin + block_size) for begin in range(0, n_tokens - 1, block_size)],
        ),
        Wrong(
            "the last window was moved back to be full, and asks for tokens a second time",
            last_one_moved_back,
            15,
        ),
        Wrong(
            "a window begins at every token, as in training: count how often each token is asked for",
            lambda n_tokens, block_size: [(begin, begin + block_size) for begin in range(n_tokens - block_size)],
            15,
        ),
        Wrong(
            "the stride is one larger than a window, so a token is skipped between two: count the tokens asked for",
            lambda n_tokens, block_size: laid(n_tokens, block_size, block_size + 1),
            15,
        ),
        Wrong(
            "the stride is half a window, so most tokens are asked for twice: count the tokens asked for",
            lambda n_tokens, block_size: laid(n_tokens, block_size, max(1, block_size // 2)),
            15,
        ),
        Wrong(
            "`end` is taken for the last token of a window; in a slice it is the first one behind it",
            lambda n_tokens, block_size: [(begin, end - 1) for begin, end in windows(n_tokens, block_size)],
        ),
        Wrong(
            "the last windows know of no end: one may reach over it, and one may begin where nothing is left to ask",
            lambda n_tokens, block_size: [(begin, begin + block_size) for begin in range(0, n_tokens, block_size)],
        ),
    ),
    hints=(
        "Write the windows of 10 tokens and T = 4 down, from the picture above. Then those of 9 tokens.",
        "`range` with a step gives the beginnings. Where must it stop, if the last token asks nothing?",
        "`min` makes the last window shorter. Which is the largest `end` for which `tokens[end]` exists?",
    ),
    why="The last token only answers, so both the beginnings and the ends stop at `n_tokens - 1`.",
)


def overlapping(n_tokens: int, block_size: int, stride: int) -> list[tuple[int, int, int]]:
    spans, answered, begin = [], 0, 0
    while answered < n_tokens - 1:
        end = min(begin + block_size, n_tokens - 1)
        spans.append((begin, end, end - answered))
        answered, begin = end, begin + stride
    return spans


def overlapping_inputs(rng: random.Random) -> tuple[int, int, int]:
    """Strides shorter than a window, and now and then a whole one, in texts of several windows."""
    block_size = rng.randint(3, 8)
    stride = rng.choice([block_size, *range(1, block_size), *range(1, block_size)])
    return rng.randint(1, 5 * block_size), block_size, stride


def with_all_begins(n_tokens: int, block_size: int, stride: int) -> list[tuple[int, int, int]]:
    spans, answered = [], 0
    for begin in range(0, n_tokens - 1, stride):
        end = min(begin + block_size, n_tokens - 1)
        spans.append((begin, end, end - answered))
        answered = end
    return spans


def use_overlapping(
    attempt: Callable[..., Any], n_tokens: int, block_size: int, stride: int
) -> dict[str, object] | None:
    """Where the windows lie; if they lie right, how many of their answers count."""
    triples = attempt(n_tokens, block_size, stride)
    if triples is None:
        return None
    spans = [(begin, end) for begin, end, _ in triples]
    if spans != [(begin, end) for begin, end, _ in overlapping(n_tokens, block_size, stride)]:
        return {"windows": spans}
    return {"windows": spans, "answers that count": [n for _, _, n in triples]}


OVERLAPPING = Exercise(
    overlapping,
    "every answer counts once, and all but the first have at least block_size - stride tokens before them",
    overlapping_inputs,
    kind="design",
    use=use_overlapping,
    text="Triples (begin, end, n): windows `stride` apart that overlap, of which only the last n answers count.",
    wrong=(
        Wrong(
            "all answers of a window count, so those in the overlap count several times: count the tokens scored",
            lambda n_tokens, block_size, stride: [
                (begin, end, end - begin) for begin, end, _ in overlapping(n_tokens, block_size, stride)
            ],
            15,
        ),
        Wrong(
            "the first window counts no more than `stride` answers, and no later one makes up for the rest",
            lambda n_tokens, block_size, stride: [
                (begin, end, min(n, stride)) for begin, end, n in overlapping(n_tokens, block_size, stride)
            ],
            15,
        ),
        Wrong(
            "the last window counts `stride` answers like the others, and it may have fewer that are new",
            lambda n_tokens, block_size, stride: [
                (begin, end, stride if begin else n) for begin, end, n in overlapping(n_tokens, block_size, stride)
            ],
            15,
        ),
        Wrong(
            "each window counts `stride` answers, the first and the last one, too; add them up: how many should it be?",
            lambda n_tokens, block_size, stride: [
                (begin, end, stride) for begin, end, _ in overlapping(n_tokens, block_size, stride)
            ],
            15,
        ),
        Wrong(
            "the windows still lie end to end; the stride is how far one begins behind the other",
            lambda n_tokens, block_size, stride: [
                (begin, end, end - begin) for begin, end in windows(n_tokens, block_size)
            ],
        ),
        Wrong(
            "the last windows have nothing new to answer: when has every token been answered?",
            with_all_begins,
        ),
        Wrong(
            "the stride is taken for what two windows share; it is how far one begins behind the other",
            lambda n_tokens, block_size, stride: overlapping(n_tokens, block_size, max(1, block_size - stride)),
        ),
        Wrong(
            "what fills no whole window at the end is left out",
            lambda n_tokens, block_size, stride: [
                span for span in overlapping(n_tokens, block_size, stride) if span[1] - span[0] == block_size
            ],
        ),
        Wrong(
            "the last token of the text is a question, and nothing follows it",
            lambda n_tokens, block_size, stride: overlapping(n_tokens + 1, block_size, stride),
            14,
        ),
    ),
    hints=(
        "Keep two numbers in a loop: where the next window begins, and how many tokens have been answered so far.",
        "The answers of a window reach as far as its `end`. How many of them are new?",
        "Go on while fewer than `n_tokens - 1` answers are in; `begin` grows by `stride`, whatever was answered.",
    ),
    why="The stride sets the price: at a quarter of a window a model reads the text four times, for more context.",
)


EXERCISES = {
    "2.4": SPLIT,
    "2.5": WRAPPED,
    "2.5b": IDS,
    "2.6": BATCH,
    "2.6b": MAKER,
    "2.8": WINDOWS,
    "2.8b": OVERLAPPING,
}
