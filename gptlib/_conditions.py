"""Conditions on a text: what would break them, and the sentences about those that no text can keep."""

import math
from collections.abc import Callable, Collection, Sequence
from functools import cache

from gptlib.tokenizer import END_OF_TEXT, Tokenizer

Texts = str | Collection[str]


def as_texts(name: str, given: Texts) -> tuple[str, ...]:
    """One text or several, as a tuple; `ValueError` for what is no text, is empty, or that no bytes spell."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{name} holds {text!r}, which is no text; give a str, or several")
        if not text:
            raise ValueError(f"{name} holds an empty text, which stands everywhere; give at least one character")
        if any(c == "\ufffd" or 0xD800 <= ord(c) < 0xE000 for c in text):
            raise ValueError(f"{name} holds {text!r}, which stands for bytes that are no character; leave it out")
    return texts


def check_conditions(max_new_tokens: int, min_new_tokens: int, repetition_penalty: float = 1.0) -> None:
    """`ValueError` for lengths that contradict each other, and for a penalty that is none."""
    if min_new_tokens < 0:
        raise ValueError(f"min_new_tokens is {min_new_tokens}; give 0 or more")
    if min_new_tokens > max_new_tokens >= 0:
        raise ValueError(
            f"min_new_tokens is {min_new_tokens} and max_new_tokens is {max_new_tokens}; lower the first or raise the "
            f"second"
        )
    if not 0 < repetition_penalty < math.inf:
        raise ValueError(
            f"repetition_penalty is {repetition_penalty}; give 1 for none, or a little more, such as 1.2, against "
            f"repetition"
        )


def find_stop(text: str, stops: Collection[str], start: int = 0) -> int:
    """Where the first stop behind `start` begins, or else the length of the text."""
    return min((i for i in (text.find(stop, start) for stop in stops) if i >= 0), default=len(text))


def completing(tokens: Sequence[bytes], texts: Collection[bytes]) -> Callable[[bytes], list[int]]:
    """A function that says which tokens would complete one of the texts behind some bytes.

    All tokens are looked at once, and once more for each way to cut a text in two that comes up; never at each step.
    """
    alone = [i for i, token in enumerate(tokens) if any(text in token for text in texts)]
    beginning = cache(lambda rest: [i for i, token in enumerate(tokens) if token.startswith(rest)])

    def behind(tail: bytes) -> list[int]:
        rests = [text[k:] for text in texts for k in range(1, len(text)) if tail.endswith(text[:k])]
        return alone + [i for rest in rests for i in beginning(rest)]

    return behind


def tokens_completing(tokenizer: Tokenizer, forbidden: Collection[str]) -> Callable[[Sequence[int]], list[int]]:
    """A function that says which tokens would complete a forbidden text behind some ids.

    It works on bytes, so that a character in pieces is seen too. The end mark spells nothing.
    """
    texts = [text.encode() for text in forbidden]
    reach = max(map(len, texts), default=1)  # each token has a byte at least
    silent = tokenizer.special_tokens.get(END_OF_TEXT)
    tokens = [b"" if i == silent else tokenizer.token_bytes[i] for i in range(tokenizer.vocab_size)]
    behind = completing(tokens, texts)
    return lambda ids: behind(b"".join(tokens[i] for i in ids[-reach:]))


def spellings_of(
    tokenizer: Tokenizer, required: Collection[str], stops: Collection[str], forbidden: Collection[str]
) -> dict[str, list[tuple[int, ...]]]:
    """The ids that spell each required text, as it is and behind a space; `ValueError` for what cannot be written."""
    spellings: dict[str, list[tuple[int, ...]]] = {}
    for text in required:
        for name, others in (("forbid", forbidden), ("stop", stops)):
            inside = [other for other in others if other in text]
            if inside:
                raise ValueError(f"{text!r} is required, and {name} holds {inside[0]!r}; leave out one of the two")
        spellings[text] = []
        for spelled in (text, " " + text):
            if any(other in spelled for other in (*forbidden, *stops)):
                continue  # with its space it must not stand there
            try:
                ids = tuple(tokenizer.encode(spelled))
            except ValueError as error:
                if spelled == text:
                    raise ValueError(f"{text!r} is required, and cannot be spelled: {error}") from None
            else:
                spellings[text].append(ids)
    return spellings


def check_search(n: int, width: int, length_power: float) -> None:
    """`ValueError` for a number of continuations or beams below 1, and for a power that is no number from 0 on."""
    for name, value in (("n", n), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    if not 0 <= length_power < math.inf:
        raise ValueError(
            f"length_power is {length_power}; give 0 to rank by the log-probability of the whole text, or 1 to rank by "
            f"the mean of its tokens"
        )
