"""The exercises of 01_tokenizer: characters it never saw, merging, training, chunks, encoding, special tokens."""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import pairwise
from typing import Any

import regex

from exercises import Exercise, Wrong

# ---- 1.1 a character it never saw


def ids_of_characters(text: str, known: str) -> list[int]:
    id_of = {character: i for i, character in enumerate(sorted(set(known)))}
    for character in text:
        if character not in id_of:
            raise ValueError(f"the character {character!r} is not in the vocabulary: train on a text that has it")
    return [id_of[character] for character in text]


def broken_ids(text, known):
    id_of = {character: i for i, character in enumerate(sorted(set(known)))}
    return [id_of.get(character, 0) for character in text]


def characters_inputs(rng: random.Random) -> tuple[str, str]:
    """Most texts have characters that are new, one that sorts before the letters and perhaps one behind."""
    known = "".join(rng.sample("abcdehmnostz ", k=rng.randint(5, 10)))
    text = rng.choices(known, k=rng.randint(3, 8))
    for character in rng.choice(["", "", rng.choice("QJ#"), *[rng.choice("QJ#") + rng.choice("ëéß안🐸")] * 2]):
        text.insert(rng.randint(0, len(text)), character)
    return "".join(text), known * rng.randint(1, 2)


def use_ids(attempt: Callable[..., Any], text: str, known: str) -> dict[str, object]:
    """The ids, or whether the sentence of the ValueError names the first character that is new."""
    try:
        return {"ids": attempt(text, known)}
    except ValueError as error:
        new = next((character for character in text if character not in known), "")
        said = str(error).replace(text, "")
        named = bool(new) and (new in said or ascii(new)[1:-1] in said)
        return {"a ValueError that names the first new character": named}


def indexed(text: str, characters: Iterable[str]) -> list[int]:
    """The ids in a given order of characters; KeyError for a new one."""
    id_of = {character: i for i, character in enumerate(characters)}
    return [id_of[character] for character in text]


def id_or_none(character: str, known: str) -> int | None:
    return sorted(set(known)).index(character) if character in known else None


def shared_unknown(text: str, known: str) -> list[int]:
    characters = sorted(set(known))
    return [characters.index(c) if c in characters else len(characters) for c in text]


def order_of_known(text: str, known: str) -> list[int]:
    ids_of_characters(text, known)
    return indexed(text, dict.fromkeys(known))


def nameless(text: str, known: str) -> list[int]:
    if set(text) - set(known):
        raise ValueError("unknown character")
    return ids_of_characters(text, known)


CHARACTERS = Exercise(
    ids_of_characters,
    "what the vocabulary does not have is refused by name, so every row of ids means one text",
    characters_inputs,
    kind="mend",
    text="A new character becomes another one, in silence. Raise a ValueError instead, which names the first new one.",
    given=broken_ids,
    use=use_ids,
    wrong=(
        Wrong(
            "a new character gets the id of a known one, and another text comes back; "
            "what should a tokenizer do with a character it never saw?",
            broken_ids,
            9,
        ),
        Wrong(
            "a character it never saw ends in a KeyError, as in any dictionary; what should the error tell?",
            lambda text, known: indexed(text, sorted(set(known))),
            9,
        ),
        Wrong(
            "a new character gets None, which is no id; the model is the next to stumble over it, far from here",
            lambda text, known: [id_or_none(character, known) for character in text],
            9,
        ),
        Wrong(
            "new characters are left out: the ids are valid, and the text has become shorter in silence",
            lambda text, known: ids_of_characters([c for c in text if c in known], known),
            9,
        ),
        Wrong(
            "all new characters share one id: `Zoë` and `Zoé` become the same ids, and no decoder tells them apart",
            shared_unknown,
            9,
        ),
        Wrong(
            "each new character gets an id of its own; a model trained before has no row of numbers for it",
            lambda text, known: indexed(text, [*sorted(set(known)), *dict.fromkeys(c for c in text if c not in known)]),
            9,
        ),
        Wrong(
            "the vocabulary is made anew with each text, so ids move; a model has learned the old ones",
            lambda text, known: indexed(text, sorted(set(known + text))),
            9,
        ),
        Wrong(
            "the vocabulary is made from `text` and not from `known`, so the same letter has another id in each text",
            lambda text, known: indexed(text, sorted(set(text))),
            9,
        ),
        Wrong(
            "the ids follow the order in which `known` has the characters; the vocabulary is sorted",
            order_of_known,
        ),
        Wrong("the ValueError does not say which character it is about; whoever gets it has to search", nameless),
    ),
    hints=(
        "What does `.get(character, 0)` give for a character that is not there, and whose id is that?",
        "Look at every character of the text before you give back any id: `if character not in id_of`.",
        'Raise the error there, with the character in an f-string: `{character!r}` shows it even if it is a "\\n".',
    ),
    why="An error can be acted on: train on more text, or use bytes. A silent id spoils the text for good.",
)


# ---- 1.3 merge a pair


def merge_tokens(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def merge_inputs(rng: random.Random) -> tuple[list[str], tuple[str, str]]:
    """Mostly three equal letters in a row, where matches overlap; or two pairs that read alike when joined."""
    if rng.random() < 0.4:
        tokens = [*rng.choices(["ab", "a"], k=2), "ab", "a", *rng.choices(["a", "b", "ba"], k=2), "a", "ba"]
        return tokens, rng.choice([("ab", "a"), ("a", "ba")])
    tokens = rng.choices(["a", "a", "b", "ab"], k=rng.randint(0, 9))
    if rng.random() < 0.15:
        return tokens, ("a", "b")
    i, run = rng.choice([len(tokens), rng.randint(0, len(tokens))]), ["a"] * rng.choice([3, 4])
    return [*tokens[:i], "b", *run, *tokens[i:]], ("a", "a")


def merge_every_match(tokens: list[Any], pair: tuple[Any, Any]) -> list[Any]:
    found = [i for i in range(len(tokens) - 1) if (tokens[i], tokens[i + 1]) == pair]
    inside = {i + 1 for i in found}
    return [pair[0] + pair[1] if i in found else token for i, token in enumerate(tokens) if i not in inside]


def merge_without_skipping(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    return ["".join(pair) if tuple(tokens[i : i + 2]) == pair else token for i, token in enumerate(tokens)]


def merge_in_a_for_loop(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    return merge_without_skipping(tokens, pair)[: max(0, len(tokens) - 1)]


def merge_and_the_last_again(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged = merge_without_the_tail(tokens, pair)
    return [*merged, tokens[-1]]


def merge_once(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == pair:
            return [*tokens[:i], "".join(pair), *tokens[i + 2 :]]
    return tokens


def merge_in_text(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    joined = "".join(pair)
    return [joined if letter == "Z" else letter for letter in "".join(tokens).replace(joined, "Z")]


def merge_what_reads_alike(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(tokens):
        found = "".join(tokens[i : i + 2]) == "".join(pair) and i + 1 < len(tokens)
        merged.append("".join(pair) if found else tokens[i])
        i += 2 if found else 1
    return merged


def merge_without_the_tail(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(tokens) - 1:
        found = (tokens[i], tokens[i + 1]) == pair
        merged.append("".join(pair) if found else tokens[i])
        i += 2 if found else 1
    return merged


def merge_beyond_the_end(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(tokens):
        found = (tokens[i], tokens[i + 1]) == pair
        merged.append("".join(pair) if found else tokens[i])
        i += 2 if found else 1
    return merged


MERGE = Exercise(
    merge_tokens,
    "left to right, no token twice",
    merge_inputs,
    text="Every place in `tokens` where `pair` stands becomes one token, from left to right; no token is used twice.",
    wrong=(
        Wrong(
            "matches that overlap all count, and letters disappear; after a merge, step over both of its tokens",
            merge_every_match,
            2,
        ),
        Wrong(
            "`aaaa` has three pairs and two merges, and here every pair counted becomes a merge: "
            "the second token of a pair is written down again",
            merge_without_skipping,
            1,
        ),
        Wrong(
            "the second token of a pair is written down again, and the last token is lost; "
            "adding to i in a `for` loop has no effect on where it goes next",
            merge_in_a_for_loop,
            1,
        ),
        Wrong(
            "the last token is added at the end even where it is part of a pair, or where there is none",
            merge_and_the_last_again,
        ),
        Wrong("it stops after the first place where the pair stands", merge_once),
        Wrong(
            "the tokens are joined to one text first, and then nobody knows where one ended; `ab` may be one token",
            merge_in_text,
        ),
        Wrong(
            "two tokens that read like the pair are taken for it: `a`+`ba` is not the pair `ab`+`a`",
            merge_what_reads_alike,
        ),
        Wrong("the last token is lost when it is not part of a pair", merge_without_the_tail),
        Wrong(
            "at the last token there is no next one to look at; which i is the largest with a token behind it?",
            merge_beyond_the_end,
        ),
        Wrong(
            "nothing is merged; is what you compare with `pair` a tuple, as it is? a list never equals one",
            lambda tokens, pair: list(tokens),
        ),
        Wrong(
            "the pair is put in as it is, a tuple; the new token is its two strings joined",
            lambda tokens, pair: [pair if token == "+" else token for token in merge_tokens_marked(tokens, pair)],
        ),
    ),
    hints=(
        "Go through the list with an index i, and look at two tokens at a time. Where does i go after a match?",
        "After a match the next token to look at is i + 2, else i + 1; a `while` loop lets you choose.",
        "`tuple(tokens[i : i + 2]) == pair` is false by itself at the last token, where the slice has one element.",
    ),
    why="After a match the loop steps over both tokens, so none is used twice, and a lone last token stays.",
)


def merge_tokens_marked(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    """As `merge_tokens`, with + for the new token."""
    merged, i = [], 0
    while i < len(tokens):
        found = tuple(tokens[i : i + 2]) == pair
        merged.append("+" if found else tokens[i])
        i += 2 if found else 1
    return merged


# ---- 1.4 train


def train(chunks: list[bytes], n_merges: int) -> list[tuple[bytes, bytes]]:
    words = [[chunk[i : i + 1] for i in range(len(chunk))] for chunk in chunks]
    merges = []
    while len(merges) < n_merges:
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        words = [merge_tokens(word, best) for word in words]
    return merges


def train_inputs(rng: random.Random) -> tuple[list[bytes], int]:
    """Few letters, so that ties and overlaps come up all the time; a chunk comes twice; merges may run out."""
    chunks = [bytes(rng.choices(b"abc", weights=[6, 3, 2], k=rng.randint(1, 7))) for _ in range(rng.randint(2, 4))]
    run = rng.choice([b"aaaa", b"aaaab", b"baaaaa"])
    return [*chunks, run, *rng.choices(chunks, k=2)], rng.choice([1, 2, 3, 40, 40, 40])


Words = list[list[bytes]]


def count_pairs(words: Words) -> Counter[tuple[bytes, bytes]]:
    return Counter(pair for word in words for pair in pairwise(word))


def greatest(counts: Counter[Any]) -> Any:
    return max(counts, key=lambda pair: (counts[pair], pair))


def trainer(
    count: Callable[[Words], Counter[Any]] = count_pairs,
    choose: Callable[[Counter[Any]], Any] = greatest,
    merge: Callable[[list[Any], tuple[Any, Any]], list[Any]] = merge_tokens,
    least: int = 1,
    cut: Callable[[list[bytes]], list[list[Any]]] = lambda chunks: [[bytes([b]) for b in chunk] for chunk in chunks],
) -> Callable[..., Any]:
    """The trainer with one step replaced."""

    def variant(chunks: list[bytes], n_merges: int) -> list[tuple[bytes, bytes]]:
        words, merges = cut(chunks), []
        while len(merges) < n_merges and (counts := count(words)) and max(counts.values()) >= least:
            merges.append(choose(counts))
            words = [merge(word, merges[-1]) for word in words]
        return merges

    return variant


def count_merges(words: Words) -> Counter[tuple[bytes, bytes]]:
    """How many of each pair could be merged: in aaaa two."""
    counts: Counter[tuple[bytes, bytes]] = Counter()
    for word in words:
        for pair in set(pairwise(word)):
            counts[pair] += len(word) - len(merge_tokens(word, pair))
    return counts


def from_the_first_count(chunks: list[bytes], n_merges: int) -> list[tuple[bytes, bytes]]:
    counts = count_pairs([[bytes([b]) for b in chunk] for chunk in chunks])
    return sorted(counts, key=lambda pair: (counts[pair], pair), reverse=True)[:n_merges]


def chunk_by_chunk(chunks: list[bytes], n_merges: int) -> list[tuple[bytes, bytes]]:
    merges: list[tuple[bytes, bytes]] = []
    for chunk in chunks:
        merges += train([chunk], n_merges - len(merges))
    return merges


def until_it_raises(chunks: list[bytes], n_merges: int) -> list[tuple[bytes, bytes]]:
    merges = train(chunks, n_merges)
    return merges if len(merges) == n_merges else [max([])]


TRAIN = Exercise(
    train,
    "count, take the winner by the rule, merge inside each chunk, count again",
    train_inputs,
    text="The first `n_merges` merges of some chunks, as pairs; fewer if none is left. Of equal counts the greatest.",
    wrong=(
        Wrong(
            "two pairs have the same count, and the one met first wins, so the order of the text decides; "
            "write down who wins",
            trainer(choose=lambda counts: max(counts, key=counts.get)),
            4,
        ),
        Wrong(
            "of pairs with the same count the smallest wins; the rule here says the greatest",
            trainer(choose=lambda counts: min(counts, key=lambda pair: (-counts[pair], pair))),
            4,
        ),
        Wrong(
            "the chunks are joined to one text, and a token may reach across a border; merge inside a chunk only",
            trainer(cut=lambda chunks: [[bytes([b]) for chunk in chunks for b in chunk]]),
            5,
        ),
        Wrong(
            "pairs that overlap are counted as often as they can be merged: `aaaa` has three pairs `aa`; "
            "count pairs, and leave the stepping over to the merge",
            trainer(count_merges),
            1,
        ),
        Wrong(
            "the same pair wins each time: the chunks stay as they were; a merge gives back a new list, so keep it",
            trainer(merge=lambda word, pair: word),
        ),
        Wrong(
            "all merges come from the first count; a merge changes the text, and then the counts",
            from_the_first_count,
        ),
        Wrong(
            "the greatest pair wins, however often it occurs: `max` of a Counter looks at its keys",
            trainer(choose=max),
        ),
        Wrong(
            "each chunk is trained for itself; the counts are those of all chunks together",
            chunk_by_chunk,
        ),
        Wrong(
            "it stops when every pair occurs once; the trainer goes on until there is no pair at all",
            trainer(least=2),
        ),
        Wrong("it raises when no pair is left; fewer merges than `n_merges` are right there", until_it_raises),
        Wrong(
            "the tokens are numbers: a byte string gives numbers when you go through it, "
            "and two of them added are another number, not two bytes side by side",
            trainer(cut=lambda chunks: [list(chunk) for chunk in chunks]),
        ),
    ),
    hints=(
        "Four steps in a loop: count the pairs of all chunks, choose one, write it down, merge it in every chunk.",
        "Begin with a list of single bytes per chunk, `chunk[i : i + 1]`. Count with `Counter` and `pairwise`, "
        "chunk by chunk.",
        "`max(counts, key=...)` chooses; let the key be a tuple whose second part decides a tie. "
        "An empty `counts` ends it.",
    ),
    why="Nothing is remembered from one round to the next but the text itself, which is slow and cannot go wrong.",
)


# ---- 1.5 another pattern

LETTERS_AND_SIGNS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split_digits(text: str) -> list[str]:
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return regex.findall(pattern, text.replace("\r\n", "\n"))


def split_inputs(rng: random.Random) -> tuple[str]:
    """Text of a Windows editor with all that the pattern has a word for, in another order each time."""
    words = ["Zoë", "it's", " dogs", "  frogs", " 12", "1984", " 2048", "\r\nx", "!", " (ß)", "\r\n?", "\r\n\r\n"]
    text = rng.choices(words, k=rng.randint(1, 3)) + rng.sample(words, k=rng.randint(3, 6))
    return ("".join([*text, rng.choice(["", ".", "\r\n"])]),)


def splitter(
    digits: str = r"\p{N}",
    ends: Callable[[str], str] = lambda text: text.replace("\r\n", "\n"),
    change: tuple[str, str] = ("", ""),
    engine: Any = regex,
) -> Callable[[str], list[str]]:
    """The splitter with other digits, line ends or another change of its pattern."""
    pattern = LETTERS_AND_SIGNS.replace("DIGITS", digits).replace(*change)
    return lambda text: engine.findall(pattern, ends(text))


SPLIT = Exercise(
    split_digits,
    "line ends are mended before the cut, and `regex` knows the letters and digits of every script",
    split_inputs,
    kind="design",
    text="Cut as GPT-2 does, with two changes: each digit is a chunk of its own; before that, `\\r\\n` becomes `\\n`.",
    wrong=(
        Wrong(
            "the module `re` knows no `\\p{L}`; which package does?",
            splitter(engine=re),
            10,
        ),
        Wrong(
            "`a-z` has no ë: `Zoë` is cut in two; is there a class for the letters of every script?",
            lambda text: regex.findall(
                r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", text.replace("\r\n", "\n")
            ),
            10,
        ),
        Wrong(
            "a `\\r` is left, and becomes part of a token; normalise line ends before anything is counted",
            splitter(ends=str),
            10,
        ),
        Wrong("a run of digits is still one chunk", splitter(r" ?\p{N}+")),
        Wrong(
            "the first digit takes the space with it, so ` 1` and `1` will be two tokens for one digit",
            splitter(r" ?\p{N}"),
        ),
        Wrong(
            "the line ends are mended after the cut, and the cut may go through the middle of one",
            lambda text: [chunk.replace("\r\n", "\n") for chunk in splitter(ends=str)(text)],
            10,
        ),
        Wrong(
            "the line ends are gone: lines run into each other, and the text cannot be put together again",
            splitter(ends=lambda text: text.replace("\r\n", "")),
        ),
        Wrong(
            "the line end at the end of the text is lost; `splitlines` does not say whether there was one",
            splitter(ends=lambda text: "\n".join(text.splitlines())),
        ),
        Wrong(
            "each line end has become two: `\\r\\n` is one line end of two characters",
            splitter(ends=lambda text: text.replace("\r", "\n")),
            10,
        ),
        Wrong(
            "`findall` gives what round brackets took, if there are any; brackets that only group begin with `?:`",
            splitter(change=("?:", "")),
        ),
    ),
    hints=(
        "Which alternative of the table takes the digits, and what in it lets it take more than a single one?",
        "`\\p{N}` is one digit of any script. Take the space and the repetition away from that alternative only.",
        'Call `.replace("\\r\\n", "\\n")` on the text first; then `regex.findall` with the changed pattern.',
    ),
    why="With a chunk per digit no merge can join digits, so a number is always spelled the same way.",
)


# ---- 1.7 encode by rank


def encode(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [chunk[i : i + 1] for i in range(len(chunk))]
    while True:
        present = [pair for pair in merges if pair in pairwise(tokens)]
        if not present:
            return tokens
        tokens = merge_tokens(tokens, present[0])


def encode_inputs(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Merges that want the same letters, in one order or another, and a chunk in which they meet."""
    x, y, z = rng.sample([b"a", b"b", b"c"], k=3)
    merges = rng.sample([(x, y), (y, z), (x, x), (z, x)], k=4)
    merges.insert(rng.randint(merges.index((y, z)) + 1, 4), (x, y + z))
    parts = rng.choices([x + y + z, x + y + z, x + x + x, x + x + x, y + z, z + x], k=rng.choice([0, *[4, 5, 6] * 5]))
    return b"".join(parts), merges[: rng.choice([0, 3, *[5] * 8])]


def encoder(
    choose: Callable[..., Any],
    rounds: int = 99,
) -> Callable[..., list[bytes]]:
    """Joins the pair that `choose(tokens, merges)` names until there is none of the merges left."""

    def variant(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
        tokens = [bytes([b]) for b in chunk]
        for _ in range(rounds):
            if not set(merges) & set(pairwise(tokens)):
                break
            tokens = merge_tokens(tokens, choose(tokens, merges))
        return tokens

    return variant


def first_learned(tokens: list[bytes], merges: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    return min(set(merges) & set(pairwise(tokens)), key=merges.index)


def most_frequent(tokens: list[bytes], merges: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    counts = Counter(pair for pair in pairwise(tokens) if pair in merges)
    return max(counts, key=lambda pair: (counts[pair], pair))


def longest_first(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    known = {left + right for left, right in merges} | {bytes([b]) for b in chunk}
    tokens = []
    while chunk:
        tokens.append(max((token for token in known if chunk.startswith(token)), key=len))
        chunk = chunk[len(tokens[-1]) :]
    return tokens


def rank_of_every_pair(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [bytes([b]) for b in chunk]
    while len(tokens) > 1:
        tokens = merge_tokens(tokens, min(pairwise(tokens), key=merges.index))
    return tokens


def join_everything(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [bytes([b]) for b in chunk]
    while len(tokens) > 1:
        known = [pair for pair in merges if pair in pairwise(tokens)]
        tokens = merge_tokens(tokens, known[0] if known else (tokens[0], tokens[1]))
    return tokens


def as_numbers(chunk: bytes, merges: list[tuple[bytes, bytes]]) -> list[int]:
    return list(chunk)


ENCODE = Exercise(
    encode,
    "the pair learned first is joined first",
    encode_inputs,
    text="The tokens of `chunk`: of all pairs present, join the one that stands first in `merges`, until none is left.",
    wrong=(
        Wrong(
            "the first pair found from the left is joined; which of the merges was learned first?",
            encoder(lambda tokens, merges: next(pair for pair in pairwise(tokens) if pair in merges)),
            3,
        ),
        Wrong(
            "the longest token that fits is taken; it decodes, and training spelled this word otherwise: "
            "which merge was learned first?",
            longest_first,
            3,
        ),
        Wrong(
            "the merge learned last goes first; training did it the other way round",
            encoder(lambda tokens, merges: max(set(merges) & set(pairwise(tokens)), key=merges.index)),
            3,
        ),
        Wrong(
            "the pair that this word has most often goes first; counting was for training, the order is fixed now",
            encoder(most_frequent),
            3,
        ),
        Wrong(
            "a pair that was never learned has no place in `merges`, and asking for it raises; leave such pairs out",
            rank_of_every_pair,
        ),
        Wrong(
            "pairs that were never learned are joined, too, until one token is left; when is the work done?",
            join_everything,
        ),
        Wrong(
            "one merge is done and then it stops; the new token may be half of a further pair",
            encoder(first_learned, rounds=1),
        ),
        Wrong(
            "of the pairs it knows the smallest one goes first, as `min` compares their bytes; what is a pair's rank?",
            encoder(lambda tokens, merges: min(set(merges) & set(pairwise(tokens)))),
            3,
        ),
        Wrong(
            "nothing is joined: `merge_tokens` gives back a new list and leaves the old one as it is",
            lambda chunk, merges: [bytes([b]) for b in chunk],
        ),
        Wrong(
            "nothing is joined, and numbers come back: `chunk[i : i + 1]` is a byte string, `chunk[i]` a number",
            as_numbers,
        ),
    ),
    hints=(
        "Training saw this word, too. In which order did it join its letters?",
        "Look through `merges` from its beginning; the first one that is among `pairwise(tokens)` is to be joined.",
        "Join it everywhere with `merge_tokens`, then look again from the beginning; stop when none is present.",
    ),
    why="It replays the training on one word, so a word gets the tokens with which the model has learned it.",
)


# ---- 1.8 special tokens


def encode_text(text: str, specials: dict[str, int], allowed: Collection[str] = ()) -> list[int]:
    if not allowed:
        return list(text.encode())
    ids = []
    for piece in regex.split("(" + "|".join(map(regex.escape, allowed)) + ")", text):
        ids += [specials[piece]] if piece in allowed else piece.encode()
    return ids


def broken_encode(text, specials, allowed=()):
    ids = []
    pattern = "(" + "|".join(map(regex.escape, specials)) + ")"
    for piece in regex.split(pattern, text):
        ids += [specials[piece]] if piece in specials else piece.encode()
    return ids


SPECIALS = {"<|endoftext|>": 256, "<|user|>": 257, "<|model|>": 258}


def specials_inputs(rng: random.Random) -> tuple[str, dict[str, int], tuple[str, ...]]:
    """Texts with every special token, allowed or not, some of them right behind one that is allowed."""
    names = rng.sample(sorted(SPECIALS), k=3)
    allowed = tuple(names[: rng.choice([0, 0, 1, 1, 2])])
    words = ["Hi!", "Zoë", " and ", "<", "|>"]
    middle = [names[0], rng.choice(words), names[0], names[2], names[0], rng.choice([*words, names[1]]), names[1]]
    return "".join([rng.choice(words), *middle, rng.choice(["", *words])]), dict(SPECIALS), allowed


def special_encoder(
    cut: Callable[[Collection[str]], Collection[str]] = lambda allowed: allowed,
    among: Callable[[Collection[str]], Collection[str]] = lambda allowed: allowed,
    brackets: str = "(%s)",
    times: int = 0,
    plain: Callable[[str], Iterable[int]] = str.encode,
) -> Callable[..., list[int]]:
    """The encoder with other tokens to cut at or to take for special."""

    def variant(text: str, specials: dict[str, int], allowed: Collection[str] = ()) -> list[int]:
        pattern = brackets % "|".join(map(regex.escape, cut(allowed)))
        pieces = regex.split(pattern, text, maxsplit=times) if cut(allowed) else [text]
        ids = []
        for piece in pieces:
            ids += [specials[piece]] if piece in among(allowed) else plain(piece)
        return ids

    return variant


def refuse_the_rest(text: str, specials: dict[str, int], allowed: Collection[str] = ()) -> list[int]:
    if any(name in text for name in specials if name not in allowed):
        raise ValueError("not allowed")
    return broken_encode(text, specials)


def all_of_them(allowed: Collection[str]) -> Collection[str]:
    return SPECIALS


ENCODE_SPECIALS = Exercise(
    encode_text,
    "only what the caller allows is cut out, and only that becomes a control token",
    specials_inputs,
    kind="mend",
    text="A special token should get its id only if it is among `allowed`; else it is text like any other, in bytes.",
    given=broken_encode,
    wrong=(
        Wrong(
            "whatever the caller allows, every special token in a text becomes a control token: "
            "whoever wrote the text now steers the program",
            broken_encode,
            6,
        ),
        Wrong(
            "special tokens that are allowed are encoded as ordinary text, byte by byte; "
            "cut them out first, and mind what `|` means in a pattern",
            lambda text, specials, allowed=(): list(text.encode()),
            6,
        ),
        Wrong(
            "as soon as one special token is allowed, all are; the caller named which",
            lambda text, specials, allowed=(): broken_encode(text, specials) if allowed else list(text.encode()),
            6,
        ),
        Wrong(
            "the text is cut at what is allowed, and then a piece that equals another special token still gets its id",
            special_encoder(among=all_of_them),
            6,
        ),
        Wrong(
            "it is the wrong way round: what is allowed stays text, and what is not becomes a control token",
            special_encoder(all_of_them, lambda allowed: set(SPECIALS) - set(allowed)),
            6,
        ),
        Wrong(
            "the special tokens are cut out and thrown away; round brackets in the pattern keep what it was cut at",
            special_encoder(brackets="%s"),
        ),
        Wrong("only the first special token of the text is cut out", special_encoder(times=1)),
        Wrong(
            "ordinary text comes as code points, and ë would be 235; its bytes are wanted",
            special_encoder(plain=lambda piece: map(ord, piece)),
        ),
        Wrong(
            "what is not allowed is thrown away; the reader may have meant it, so it stays, as text",
            special_encoder(all_of_them, plain=lambda piece: b"" if piece in SPECIALS else piece.encode()),
        ),
        Wrong("what is not allowed raises an error; here it should be text like any other", refuse_the_rest),
    ),
    hints=(
        "Call it with nothing allowed. In which lines does the function ask what is allowed?",
        "Two lines decide: at what the text is cut, and which pieces get the id of a special token.",
        "A piece may equal a special token that is not allowed. Ask `piece in ...` of the right collection.",
    ),
    why="The caller knows which texts to trust; the tokenizer does not. So nothing is special until it is allowed.",
)


# ---- 1.11 how many merges


N_MERGES = Exercise(
    lambda: 2048 - 256 - 1,
    "256 bytes + merges + special tokens = vocabulary",
    kind="predict",
    text="A vocabulary of 2,048 tokens, one of them special. How many merges must be learned?",
    choices=(1791, 1792, 2047, 2048),
    wrong=(
        Wrong("the special token needs an id as well: 256 + merges + special tokens = vocabulary", 1792, 7),
        Wrong("the 256 bytes have ids before anything is merged", 2047, 7),
        Wrong(
            "merges are not the whole vocabulary: what has an id before anything is merged, and what after?", 2048, 7
        ),
    ),
    hints=(
        "Which ids does an untrained tokenizer have?",
        "Every merge makes one new token. Which tokens does no merge make?",
        "256 + merges + special tokens = vocabulary.",
    ),
    why="One too many, and the last token has an id that the model's table of 2,048 rows does not have.",
)


EXERCISES = {
    "1.1": CHARACTERS,
    "1.3": MERGE,
    "1.4": TRAIN,
    "1.5": SPLIT,
    "1.7": ENCODE,
    "1.8": ENCODE_SPECIALS,
    "1.11": N_MERGES,
}
