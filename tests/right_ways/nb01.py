"""Loops, replacements, heaps and other patterns, for the exercises of 01."""

import re
from collections import Counter, defaultdict
from itertools import groupby, pairwise

import regex

from gptlib.tokenizer import GPT2_PATTERN, CharTokenizer, split_chunks, split_specials, train_merges


def ids_by_try(text, known):
    characters = sorted(set(known))
    ids = []
    for character in text:
        try:
            ids.append(characters.index(character))
        except ValueError:
            raise ValueError(f"never saw {character!a}: use another text") from None
    return ids


def ids_with_all_named(text, known):
    new = [character for character in text if character not in set(known)]
    if new:
        raise ValueError("not in the vocabulary: " + ", ".join(map(repr, new)))
    return [sorted(set(known)).index(character) for character in text]


def ids_of_the_package(text, known):
    return CharTokenizer(known, []).encode(text)


def merge_into_the_last(tokens, pair):
    merged = []
    for token in tokens:
        if merged and type(merged[-1]) is str and (merged[-1], token) == tuple(pair):
            merged[-1] = ("".join(pair),)  # boxed, so that nothing joins it again
        else:
            merged.append(token)
    return [token if isinstance(token, str) else token[0] for token in merged]


def merge_by_replacement(tokens, pair):
    """One character per kind of token, as the notebook does it afterwards."""
    kinds = [*dict.fromkeys([*tokens, *pair])]
    word = "".join(chr(kinds.index(token)) for token in tokens)
    new = chr(len(kinds))
    word = word.replace("".join(chr(kinds.index(half)) for half in pair), new)
    return [*map([*kinds, "".join(pair)].__getitem__, map(ord, word))]


def merge_with_an_iterator(tokens, pair):
    places, out = iter(range(len(tokens))), []
    for i in places:
        if tokens[i] == pair[0] and i + 1 < len(tokens) and tokens[i + 1] == pair[1]:
            next(places)
            out += [pair[0] + pair[1]]
        else:
            out += [tokens[i]]
    return out


def train_by_the_package(chunks, n_merges):
    return train_merges(Counter(chunks), n_merges)


def train_by_sorting(chunks, n_merges):
    words = [[bytes([b]) for b in chunk] for chunk in chunks]
    merges = []
    for _ in range(n_merges):
        counts = defaultdict(int)
        for word in words:
            for i in range(len(word) - 1):
                counts[word[i], word[i + 1]] += 1
        if len(counts) == 0:
            return merges
        winner = sorted(counts.items(), key=lambda item: (item[1], item[0]))[-1][0]
        merges += [winner]
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == winner:
                    word[i : i + 2] = [winner[0] + winner[1]]
                i += 1
    return merges


def split_with_re(text):
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+|\d| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
    return re.findall(pattern, text.replace("\r", ""))


def split_with_the_package(text):
    return split_chunks(text.replace("\r\n", "\n"), GPT2_PATTERN.replace(r" ?\p{N}+", r"\p{N}"))


def split_long_form(text):
    text = "\n".join(text.split("\r\n"))
    return [match.group() for match in regex.finditer(GPT2_PATTERN.replace("| ?\\p{N}+|", "|[\\p{N}]|"), text)]


def encode_by_replay(chunk, merges):
    tokens = [bytes([b]) for b in chunk]
    for left, right in merges:
        tokens = merge_with_an_iterator(tokens, (left, right))
    return tokens


def encode_one_place_at_a_time(chunk, merges):
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    tokens = [chunk[i : i + 1] for i in range(len(chunk))]
    while len(tokens) > 1:
        found = [(ranks.get(pair, float("inf")), i) for i, pair in enumerate(pairwise(tokens))]
        rank, i = min(found)
        if rank == float("inf"):
            break
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


def encode_marked(text, specials, allowed=()):
    ids = []
    for i, piece in enumerate(split_specials(text, allowed)):
        ids += [specials[piece]] if i % 2 else list(piece.encode("utf-8"))
    return ids


def encode_by_walking(text, specials, allowed=()):
    ids = []
    while text:
        name = next((name for name in allowed if text.startswith(name)), None)
        ids += [specials[name]] if name else text[0].encode()
        text = text[len(name or " ") :]
    return ids


def encode_where_it_is_allowed(text, specials, allowed=()):
    pattern = "(" + "|".join(re.escape(special) for special in specials) + ")"
    ids = []
    for special, pieces in groupby(re.split(pattern, text), key=lambda piece: piece in allowed):
        for piece in pieces:
            ids.extend([specials[piece]] if special else piece.encode())
    return ids


RIGHT = {
    "1.1": [ids_by_try, ids_with_all_named, ids_of_the_package],
    "1.3": [merge_into_the_last, merge_by_replacement, merge_with_an_iterator],
    "1.4": [train_by_the_package, train_by_sorting],
    "1.5": [split_with_re, split_with_the_package, split_long_form],
    "1.7": [encode_by_replay, encode_one_place_at_a_time],
    "1.8": [encode_marked, encode_by_walking, encode_where_it_is_allowed],
}
