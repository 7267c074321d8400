"""What the tokenizer is held against: the industry's tokenizers built from ours, and training by its definition."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

import rustbpe
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from gptlib.tokenizer import END_OF_TEXT, GPT2_PATTERN, BPETokenizer

Pair = tuple[bytes, bytes]

# GPT-2's files and Hugging Face write a byte as a printable character: the 188 that are printable in Latin-1 stand for
# themselves, the others take the characters from 256 on.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
HIDDEN = [byte for byte in range(256) if byte not in PRINTABLE]
SIGN_OF = {byte: chr(byte) for byte in PRINTABLE} | {byte: chr(256 + n) for n, byte in enumerate(HIDDEN)}


def in_signs(token: bytes) -> str:
    """A token as GPT-2's files write it."""
    return "".join(SIGN_OF[byte] for byte in token)


def byte_level(model: models.Model) -> tokenizers.Tokenizer:
    """A Hugging Face tokenizer that cuts as GPT-2 does and works on bytes."""
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return made


def as_hugging_face(ours: BPETokenizer) -> tokenizers.Tokenizer:
    """The same vocabulary, merges and special tokens in Hugging Face's tokenizer."""
    special_ids = set(ours.special_tokens.values())
    vocab = {in_signs(token): i for i, token in ours.vocab.items() if i not in special_ids}
    made = byte_level(models.BPE(vocab, [(in_signs(left), in_signs(right)) for left, right in ours.merges]))
    made.add_tokens([tokenizers.AddedToken(text, special=True, normalized=False) for text in ours.special_tokens])
    return made


def train_hugging_face(
    texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = (END_OF_TEXT,)
) -> tokenizers.Tokenizer:
    """Hugging Face's own training; its ties fall to other pairs than ours."""
    made = byte_level(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(special_tokens), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return made


def train_rustbpe(texts: Iterable[str], vocab_size: int) -> rustbpe.Tokenizer:
    """rustbpe's training, which knows no special tokens; its ties fall to other pairs than ours."""
    made = rustbpe.Tokenizer()
    made.train_from_iterator(texts, vocab_size, pattern=GPT2_PATTERN)
    return made


def train_by_definition(chunks: Iterable[bytes], numbers: Collection[int]) -> Iterator[tuple[Pair, bool]]:
    """Each merge in turn, everything counted anew before it, and whether other pairs occur as often.

    `numbers` says how often each chunk occurs.
    """
    words = [[bytes([byte]) for byte in chunk] for chunk in chunks]
    while True:
        counts: Counter[Pair] = Counter()
        for word, n in zip(words, numbers, strict=True):
            for pair in pairwise(word):
                counts[pair] += n
        if not counts:
            return
        best = max(counts, key=lambda pair: (counts[pair], pair))
        yield best, list(counts.values()).count(counts[best]) > 1
        words = [join(word, best) for word in words]


def join(word: list[bytes], pair: Pair) -> list[bytes]:
    """Join every occurrence of a pair, from left to right, using no token twice."""
    if pair[0] not in word:
        return word
    joined, i = [], 0
    while i < len(word):
        found = (word[i], *word[i + 1 : i + 2]) == pair
        joined.append(b"".join(pair) if found else word[i])
        i += 2 if found else 1
    return joined
