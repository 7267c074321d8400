"""Properties of the tokenizers, on the exported module; each test says which mistake it is for."""

import itertools
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import regex
import tiktoken
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from gptlib._tokenizer import LETTERS, as_letters, count_chunks
from gptlib.tokenizer import (
    END_OF_TEXT,
    GPT2_PATTERN,
    BPETokenizer,
    CharTokenizer,
    Remembered,
    Tokenizer,
    as_replacements,
    changed_pairs,
    encode_word,
    load_tokenizer,
    mirrored,
    safe_cut,
    split_chunks,
    split_specials,
    train_merges,
)

Pair = tuple[bytes, bytes]
BYTES = [bytes([b]) for b in range(256)]
TALES = (resources.files("gptlib.corpora") / "tales.txt").read_text(encoding="utf-8")
SAMPLE = TALES[:40_000]
AWKWARD = [
    "",
    "a",
    "안녕하세요",
    "🐸🐸",
    "tab\tand\r\nline",
    "  many   spaces  ",
    "\x00\x7f\x85\xa0",
    "e\u0301",
    "don't 12.5%",
]
# special tokens that overlap each other, begin with white space, or hold letters of ordinary words
SPECIALS = [END_OF_TEXT, "<a>", "<a><b>", " x ", "\n\n#"]
# characters that a Unicode version all our libraries know has given a class; surrogates are no text
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cn")))
# pieces of special tokens, white space and words, so that every cut and every collision comes up
PIECES = [
    "the",
    " ",
    "  ",
    "\n",
    "\n\n",
    "'s",
    "<a>",
    "<",
    "a",
    "><b>",
    "<b>",
    " x ",
    "x",
    "#",
    "é",
    "\u3000",
    "9",
    END_OF_TEXT,
]
TRICKY_TEXT = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
ALLOWED = st.one_of(st.sampled_from(["none", "all"]), st.sets(st.sampled_from(SPECIALS)))


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    return BPETokenizer.train(SAMPLE + " é è 한국 한글 🐸🐸 " * 9, 700, SPECIALS)


@pytest.fixture(scope="module")
def chars() -> CharTokenizer:
    return CharTokenizer("".join(PIECES) + SAMPLE, SPECIALS)


def train_slowly(chunk_counts: dict[bytes, int], n_merges: int) -> list[Pair]:
    """Training by its definition: count everything again before every merge."""
    words = {tuple(bytes([b]) for b in chunk): n for chunk, n in chunk_counts.items()}
    merges: list[Pair] = []
    for _ in range(n_merges):
        counts: Counter[Pair] = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                counts[pair] += n
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        words = {join_by_text(word, best): n for word, n in words.items()}
    return merges


def join_by_text(word: Sequence[bytes], pair: Pair) -> tuple[bytes, ...]:
    """Merging by another way than the module's: a stack that looks back."""
    done: list[bytes] = []
    fresh = True  # whether the last token may still be the left half
    for token in word:
        if done and fresh and (done[-1], token) == pair:
            done[-1] += token
            fresh = False
        else:
            done.append(token)
            fresh = True
    return tuple(done)


# Pieces and merges


def pairs_in(word: str) -> Counter[str]:
    return Counter(map("".join, pairwise(word)))


@given(st.text("abc", max_size=14), st.sampled_from(["aa", "ab", "ca"]))
def test_only_neighbours_of_a_join_change(word: str, pair: str) -> None:
    """For a pair left in, taken out twice or not put in: `aaaa` has three pairs and two merges (B1.1, B1.2)."""
    counts, joined = pairs_in(word), word.replace(pair, "Z")
    for gone, made in changed_pairs(joined, pair, "Z"):
        counts[gone] -= 1
        counts[made] += 1
    del counts[pair]
    assert +counts == pairs_in(joined)


@example([b"", b"\x00", b"a", b"a\x00", b"\xff"])  # the smallest byte behind the shorter one
@given(st.lists(st.binary(max_size=4), max_size=9))
def test_mirrored_turns_the_order_round(tokens: list[bytes]) -> None:
    """For a heap whose ties fall to the smallest, or to the shorter of two that begin alike (B1.4)."""
    assert sorted(tokens, key=mirrored) == sorted(tokens, reverse=True)


def test_the_example_worked_by_hand() -> None:
    """For a wrong count, a wrong tie or a wrong id in the example that the lesson works on paper (B1.1, B1.4, B1.7)."""
    tokenizer = BPETokenizer.train("aaabdaaabac", 260)
    assert tokenizer.merges == [(b"a", b"a"), (b"aa", b"a"), (b"aaa", b"b")]
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]


@given(
    st.dictionaries(st.text("abc ", min_size=1, max_size=9).map(str.encode), st.integers(1, 5), max_size=8),
    st.integers(0, 30),
)
def test_the_fast_trainer_equals_the_definition(chunk_counts: dict[bytes, int], n_merges: int) -> None:
    """For a count that is not taken back, and for ties that fall to whoever comes first (B1.1, B1.2, B1.4)."""
    assert train_merges(chunk_counts, n_merges) == train_slowly(chunk_counts, n_merges)


@pytest.mark.no_type_checks  # 65,536 merges are enough work
def test_more_tokens_than_there_are_characters_before_the_surrogates() -> None:
    """For a character that stands for a token and is half a surrogate pair, numbers 0xD800 to 0xDFFF."""
    chunk_counts = {bytes(chunk): 1 for chunk in itertools.product(range(256), repeat=2)}
    merges = train_merges(chunk_counts, 2**17)
    assert merges == [(bytes([a]), bytes([b])) for a in range(255, -1, -1) for b in range(255, -1, -1)]
    replacements = as_replacements(merges)
    ranks = {tuple(pair): rank for rank, (pair, _) in enumerate(replacements)}
    for rank in (0xD800 - 256, 0xDFFF - 256, 2**16 - 1):
        word = b"".join(merges[rank]).decode("latin-1")
        assert encode_word(word, ranks, replacements) == chr(256 + rank)


def test_the_order_of_the_texts_does_not_matter() -> None:
    """For ties broken by the order in which pairs were met (B1.4)."""
    tales = SAMPLE.split(END_OF_TEXT)
    shuffled = random.Random(5).sample(tales, len(tales))
    assert BPETokenizer.train(tales, 400).merges == BPETokenizer.train(shuffled, 400).merges
    for names in itertools.permutations(["ox", "hen", "yak"]):
        assert train_merges({name.encode(): 1 for name in names}, 1) == [(b"y", b"a")]


WHITE = st.text(st.sampled_from(" \n\t\r\x1c\x1f\x85\xa0\u2028\u3000a!9'é"), max_size=30)


@given(st.one_of(ANY_TEXT, WHITE, TRICKY_TEXT.map(lambda text: text * 3)))
def test_chunks_counted_by_stretches_are_the_chunks(text: str) -> None:
    """For a cut inside white space, where the pattern looks ahead; `re` and `regex` differ in what white space is."""
    assert count_chunks([text], GPT2_PATTERN) == Counter(split_chunks(text))


@given(st.lists(WHITE, max_size=5), st.sampled_from([GPT2_PATTERN, r"\S+|\s+"]))
def test_chunks_of_several_texts_do_not_touch(texts: list[str], pattern: str) -> None:
    """For a chunk that begins in one text and ends in the next."""
    assert count_chunks(texts, pattern) == Counter(chunk for text in texts for chunk in split_chunks(text, pattern))


@given(ANY_TEXT, st.sampled_from([GPT2_PATTERN, r"\w+", r"\S+|\s+", "a*", "(?i)the", "x", r"(?r)\w+"]))
def test_chunks_add_up_to_the_text(text: str, pattern: str) -> None:
    """For a pattern that skips something: what no alternative takes would be lost (B1.5)."""
    chunks = split_chunks(text, pattern)
    assert "".join(chunks) == text and all(chunks)


def test_no_token_crosses_a_chunk(bpe: BPETokenizer) -> None:
    """For merging across words, as in ` dog!` or `e t` (B1.5), and for letters that ASCII does not know (B1.10)."""
    for left, right in bpe.merges:
        token = (left + right).decode("utf-8", errors="ignore")
        assert len(split_chunks(token)) <= 1, token
    assert split_chunks("Zoë's 12 dogs!") == ["Zoë", "'s", " 12", " dogs", "!"]


# Encoding and decoding


@given(text=st.one_of(ANY_TEXT, TRICKY_TEXT), allowed=ALLOWED)
def test_every_text_comes_back(bpe: BPETokenizer, text: str, allowed: str | set[str]) -> None:
    """For lost letters, unknown characters and special tokens with other text than their own (B1.2, B1.6, B1.9)."""
    ids = bpe.encode(text, allowed)
    assert bpe.decode(ids) == text
    assert bpe.decode_bytes(ids) == text.encode("utf-8")
    assert all(0 <= i < bpe.vocab_size for i in ids)


@given(text=TRICKY_TEXT, allowed=ALLOWED)
def test_characters_come_back(chars: CharTokenizer, text: str, allowed: str | set[str]) -> None:
    """For the same, with one token per character (B1.6, B1.9)."""
    ids = chars.encode(text, allowed)
    assert chars.decode(ids) == text and chars.decode_bytes(ids) == text.encode("utf-8")
    pieces = split_specials(text, allowed_set(allowed))
    tokens = [token for i, piece in enumerate(pieces) for token in ([piece] if i % 2 else piece)]
    assert [chars.vocab[i] for i in ids] == tokens


def allowed_set(allowed: str | set[str]) -> list[str]:
    return SPECIALS if allowed == "all" else [] if allowed == "none" else sorted(allowed)


@pytest.mark.parametrize("text", [*AWKWARD, SAMPLE[:2000]])
def test_encoding_goes_by_rank(bpe: BPETokenizer, text: str) -> None:
    """For merging the first or the longest token found: other ids that decode just as well (B1.3)."""
    for chunk in split_chunks(text):
        word = tuple(bytes([b]) for b in chunk.encode())
        for pair in bpe.merges:  # what training did to its own text
            word = join_by_text(word, pair)
        assert bpe.encode(chunk) == [bpe.id_of[token] for token in word]


def test_rank_beats_length_and_place() -> None:
    """For the same, on three letters: training joins `b` and `c` before `ab` exists (B1.3)."""
    for merges, chunk, tokens in [
        ([(b"b", b"c"), (b"a", b"b")], "abc", [b"a", b"bc"]),
        ([(b"a", b"b"), (b"c", b"a")], "cab", [b"c", b"ab"]),
    ]:
        tokenizer = BPETokenizer(dict(enumerate([*BYTES, *map(b"".join, merges)])), merges)
        assert [tokenizer.vocab[i] for i in tokenizer.encode(chunk)] == tokens


@pytest.mark.parametrize("length", [1, 2, 42, 43, 44, 45, 1000, 5000])
def test_long_words_are_no_exception(bpe: BPETokenizer, length: int) -> None:
    """For two ways to encode, of which the one for long words gives other tokens (B1.3)."""
    assert len(bpe.merges) == 439
    rng = random.Random(length)
    for letters in ("a", "ab", "thesandi", "aé"):
        word = "".join(rng.choices(letters, k=length)).encode().decode("latin-1")
        replayed = word
        for pair, new in bpe.replacements:
            replayed = replayed.replace(pair, new)
        assert encode_word(word, bpe.ranks, bpe.replacements) == replayed


def test_equal_ranks_are_joined_from_the_left() -> None:
    """For `a`, `aa` in the place of `aa`, `a`: of equal pairs the last one joined first, in a short word (B1.2)."""
    others = [(bytes([left]), bytes([right])) for left in range(40) for right in range(20)]  # so that words are short
    replacements = as_replacements([(b"a", b"a"), *others])
    ranks = {(pair[0], pair[1]): rank for rank, (pair, _) in enumerate(replacements)}
    for word in ("aaa", "aaaaa", "baaab", "aaabaaa"):
        assert encode_word(word, ranks, replacements) == word.replace("aa", chr(256))


def test_tokens_made_twice() -> None:
    """For a merge that is lost because another makes the same token: both must lead to the same id (B1.3)."""
    merges = [(b"a", b"b"), (b"b", b"c"), (b"ab", b"c"), (b"a", b"bc"), (b"abc", b"d")]
    vocab = dict(enumerate([*BYTES, b"ab", b"bc", b"abc", b"abcd"]))
    for order in (merges, [merges[i] for i in (1, 0, 3, 2, 4)]):
        tokenizer = BPETokenizer(vocab, order)
        assert tokenizer.encode("abcd") == [259] and tokenizer.encode("abc") == [258]


def test_memory_of_chunks_is_bounded(bpe: BPETokenizer) -> None:
    """For a server that never forgets a word, and for a memory that gives back the wrong chunk."""
    remembered = Remembered(bpe.encode_chunk, limit=10)
    words = [f"word{i}" for i in range(25)] * 2
    for word in words:
        assert list(remembered[word]) == bpe.encode(word)
        assert len(remembered) <= 10


def test_a_chunk_that_comes_back_is_not_encoded_again() -> None:
    """For a memory that is emptied each time, not when it is full: the same ids, much later."""
    computed: list[str] = []
    remembered = Remembered(lambda word: computed.append(word) or [len(word)], limit=3)
    for word in ["a", "bb", "ccc"] * 2:
        assert remembered[word] == [len(word)]
    assert computed == ["a", "bb", "ccc"]
    tokenizer = BPETokenizer.train("low lower", 260)
    tokenizer.remembered = Remembered(lambda word: computed.append(word) or tokenizer.encode_chunk(word))
    computed.clear()
    assert list(tokenizer.encode_iter(["low lower ", "lowest\n"] * 20)) == tokenizer.encode("low lower lowest\n" * 20)
    assert len(computed) == len(set(computed)) > 3


@pytest.fixture(scope="module")
def apart(bpe: BPETokenizer) -> tuple[BPETokenizer, tiktoken.Encoding]:
    """A tokenizer whose special tokens do not begin alike, as tiktoken has no rule for those, and tiktoken's twin."""
    ordinary = {i: bpe.vocab[i] for i in range(256 + len(bpe.merges))}
    tokenizer = BPETokenizer(ordinary, bpe.merges, [text for text in SPECIALS if text != "<a><b>"])
    return tokenizer, tokenizer.to_tiktoken()


@pytest.mark.parametrize("pattern", [r"\w+", r"\S+|\s+", "x", r"(?i)the", "a+", r"(?<=a)b+"])
def test_tiktoken_with_another_pattern(pattern: str) -> None:
    """For text that tiktoken drops because no alternative takes it (B1.5)."""
    tokenizer = BPETokenizer.train(SAMPLE[:3000], 400, pattern=pattern)
    theirs = tokenizer.to_tiktoken()
    for text in [*AWKWARD, SAMPLE[:2000], "axb abbb The THE tHe xx"]:
        assert theirs.encode_ordinary(text) == tokenizer.encode(text)


@given(text=st.one_of(ANY_TEXT, TRICKY_TEXT), allowed=ALLOWED)
def test_tiktoken_gives_the_same_ids(
    apart: tuple[BPETokenizer, tiktoken.Encoding], text: str, allowed: str | set[str]
) -> None:
    """For every way in which ids can be valid and yet differ: rank, pattern, specials (B1.3, B1.5, B1.6, B1.10)."""
    tokenizer, theirs = apart
    chosen = set(allowed_set(allowed)) & set(tokenizer.special_tokens)
    assert theirs.encode(text, allowed_special=chosen, disallowed_special=()) == tokenizer.encode(text, chosen)


def test_hugging_face_gives_the_same_tokens(bpe: BPETokenizer) -> None:
    """For the same, against a second implementation that takes merges rather than ids."""
    tokenizers = pytest.importorskip("tokenizers")
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    sign = bytes_to_unicode()  # a printable character for each byte
    spell = lambda token: "".join(sign[b] for b in token)  # noqa: E731
    vocab = {spell(token): i for token, i in bpe.id_of.items()}
    hf = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, [(spell(a), spell(b)) for a, b in bpe.merges]))
    hf.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in [*AWKWARD, SAMPLE[:5000]]:
        assert hf.encode(text).ids == bpe.encode(text)


def test_bytes_are_joined_before_they_are_decoded(bpe: BPETokenizer) -> None:
    """For decoding token by token, and for strict decoding of half a character (B1.8)."""
    ids = list("ë🐸".encode())  # single bytes, as a model may write them
    assert bpe.decode(ids) == "ë🐸"
    assert bpe.decode(ids[:1]) == "\ufffd" and bpe.decode_bytes(ids[:1]) == b"\xc3"
    assert bpe.decode(ids[:-1]).startswith("ë\ufffd")


@given(text=st.one_of(ANY_TEXT, TRICKY_TEXT), cut=st.integers(0, 50))
def test_streamed_text_is_the_text(bpe: BPETokenizer, text: str, cut: int) -> None:
    """For half a character shown as U+FFFD in the middle of a stream, and for a last half that is lost (B1.8)."""
    ids = bpe.encode(text)[:cut] + list("🐸".encode())[: cut % 5]
    pieces = list(bpe.decode_iter(ids))
    assert "".join(pieces) == bpe.decode(ids) and len(pieces) == len(ids) + 1
    if text.count("\ufffd") == 0 and not cut % 5 and cut >= len(bpe.encode(text)):
        assert "\ufffd" not in "".join(pieces)


def test_streaming_shows_a_character_with_its_last_byte(bpe: BPETokenizer) -> None:
    """For a stream that waits for the end, or for the next token, with what is complete (B1.8)."""
    assert list(bpe.decode_iter(b"a\xc3\xabb\xf0\x9f")) == ["a", "", "ë", "b", "", "", "\ufffd"]


def test_ids_may_come_as_a_tensor(bpe: BPETokenizer, chars: CharTokenizer) -> None:
    """For a lookup by object: a tensor's elements hash by identity, and none would be found."""
    for tokenizer in (bpe, chars):
        ids = tokenizer.encode("the tale")
        assert tokenizer.decode(torch.tensor(ids)) == tokenizer.decode(iter(ids)) == "the tale"


# Special tokens and the size of the vocabulary


@given(text=TRICKY_TEXT)
def test_special_tokens_are_ordinary_text_unless_allowed(bpe: BPETokenizer, chars: CharTokenizer, text: str) -> None:
    """For user text that injects control tokens, and for special tokens that fall into many ids (B1.6)."""
    for tokenizer in (bpe, chars):
        special = set(tokenizer.special_tokens.values())
        assert not special & set(tokenizer.encode(text))
        found = [i for i in tokenizer.encode(text, "all") if i in special]
        assert found == [tokenizer.special_tokens[piece] for piece in split_specials(text, SPECIALS)[1::2]]
        one = tokenizer.encode(f"the{END_OF_TEXT}the{END_OF_TEXT}", {END_OF_TEXT})
        assert one.count(tokenizer.end_id) == 2
        assert not special & set(tokenizer.encode(f"the{END_OF_TEXT}", set()))


def test_of_two_special_tokens_the_longer_one_is_taken() -> None:
    """For an alternation in the order of the list, where `<a>` hides `<a><b>` (B1.6)."""
    for order in (["<a>", "<a><b>"], ["<a><b>", "<a>"]):
        tokenizer = BPETokenizer.train("", 300, order)
        assert tokenizer.encode("<a><b><a>", "all") == [tokenizer.special_tokens[t] for t in ("<a><b>", "<a>")]


def test_special_tokens_are_never_counted_in_training() -> None:
    """For learning the marks between documents as words (B1.6)."""
    tales = [tale.strip("\n") for tale in SAMPLE.split(END_OF_TEXT)]
    joined = BPETokenizer.train(END_OF_TEXT.join(tales), 400)
    assert joined.merges == BPETokenizer.train(tales, 400).merges
    assert not any(b"endof" in left + right for left, right in joined.merges)
    assert CharTokenizer.train("ab" + END_OF_TEXT).characters == ["a", "b"]


@pytest.mark.parametrize("specials", [[END_OF_TEXT], SPECIALS, []])
@pytest.mark.parametrize("n_merges", [0, 1, 100])
def test_bytes_merges_and_special_tokens_make_the_vocabulary(specials: list[str], n_merges: int) -> None:
    """For forgetting the 256 bytes or the special tokens in the size, or their order in the ids (B1.7)."""
    tokenizer = BPETokenizer.train(SAMPLE, 256 + n_merges + len(specials), specials)
    assert tokenizer.vocab_size == len(tokenizer.vocab) == 256 + n_merges + len(specials)
    assert len(tokenizer.merges) == n_merges
    expected = [bytes([b]) for b in range(256)] + [a + b for a, b in tokenizer.merges] + [s.encode() for s in specials]
    assert tokenizer.vocab == dict(enumerate(expected))
    assert list(tokenizer.special_tokens.items()) == [(s, 256 + n_merges + i) for i, s in enumerate(specials)]


def test_training_stops_when_every_chunk_is_one_token() -> None:
    """For a vocabulary padded with nothing, or an empty text that stops the program (B1.7)."""
    assert BPETokenizer.train("abab", 1000).vocab_size == 256 + 2 + 1
    for nothing in ("", [], END_OF_TEXT):
        assert BPETokenizer.train(nothing, 1000).vocab_size == 257


def test_a_special_token_that_the_vocabulary_holds_keeps_its_id() -> None:
    """For GPT-2's vocabulary, which lists its special token: a second id would lie outside the embedding (B1.7)."""
    vocab = {i: bytes([255 - i]) for i in range(256)} | {
        256: END_OF_TEXT.encode(),
        257: b"ab",
    }  # bytes in another order
    tokenizer = BPETokenizer(vocab, [(b"a", b"b")])
    assert tokenizer.vocab_size == 258 and tokenizer.end_id == 256
    assert tokenizer.encode("ab" + END_OF_TEXT, "all") == [257, 256]
    assert tokenizer.encode("b") == [255 - ord("b")]


def test_a_special_token_may_be_spelled_like_an_ordinary_one() -> None:
    """For one id with two meanings: then ordinary text would hold a control token (B1.6)."""
    tokenizer = BPETokenizer.train("abab", 1000, ["ab", "a"])
    special = set(tokenizer.special_tokens.values())
    assert len(special) == 2 and not special & set(tokenizer.encode("abab a"))
    assert tokenizer.encode("ab", "all") == [tokenizer.special_tokens["ab"]]


def test_sources() -> None:
    """For a path taken as text, or a text split into its characters; and for line ends of another system (B1.10)."""
    assert BPETokenizer.train("low lower", 260).merges == BPETokenizer.train(["low lower"], 260).merges
    assert BPETokenizer.train(iter(["low", " lower"]), 260).merges == BPETokenizer.train("low lower", 260).merges


def test_a_file_is_read_as_utf8_with_any_line_ends(tmp_path: Path) -> None:
    """For a token that holds a carriage return, and for the encoding of the system (B1.10)."""
    path = tmp_path / "text.txt"
    path.write_bytes("Zoë\r\nZoë\r\nZoë\r\n".encode())
    assert CharTokenizer.train(path).characters == ["\n", "Z", "o", "ë"]
    assert BPETokenizer.train(path, 262).merges == BPETokenizer.train("Zoë\nZoë\nZoë\n", 262).merges


# Piece by piece


def cut_up(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[i:j] for i, j in pairwise(places)]


@given(text=st.one_of(TRICKY_TEXT, ANY_TEXT), cuts=st.lists(st.integers(0, 1000), max_size=8), allowed=ALLOWED)
def test_pieces_give_the_ids_of_the_whole(
    bpe: BPETokenizer, text: str, cuts: list[int], allowed: str | set[str]
) -> None:
    """For a word, a run of white space or a special token that is cut by the end of a piece."""
    assert list(bpe.encode_iter(cut_up(text, cuts), allowed)) == bpe.encode(text, allowed)
    assert list(bpe.encode_iter(text, allowed)) == bpe.encode(text, allowed)  # one character at a time


@given(text=TRICKY_TEXT, cuts=st.lists(st.integers(0, 1000), max_size=8), allowed=ALLOWED)
def test_pieces_of_characters(chars: CharTokenizer, text: str, cuts: list[int], allowed: str | set[str]) -> None:
    """For the same, with the character tokenizer."""
    assert list(chars.encode_iter(cut_up(text, cuts), allowed)) == chars.encode(text, allowed)


@pytest.mark.parametrize("specials", [["<a>", "<a><b>"], ["# x"], [" x "], ["\n\n#", "\n"]], ids=repr)
def test_pieces_that_end_inside_a_special_token(specials: list[str]) -> None:
    """For giving out one character too many: a longer special token could still be arriving (B1.6)."""
    parts = [*specials, "a", " "]
    for tokenizer in (BPETokenizer.train("", 300, specials), CharTokenizer("<a>b# x\n", specials)):
        for text in map("".join, itertools.product(parts, repeat=3)):
            whole = tokenizer.encode(text, "all")
            assert list(tokenizer.encode_iter(text, "all")) == whole
            for cut in range(len(text)):
                assert list(tokenizer.encode_iter([text[:cut], text[cut:]], "all")) == whole


@pytest.mark.parametrize("pattern", [r"\S+|\s+", r"(?s).+", r"\w+(?= \w)|.", r"(?<=a)b+", r"\s\S+"])
def test_pieces_with_another_pattern(pattern: str) -> None:
    """For cutting where only GPT-2's pattern may be cut: another one can look as far as it likes."""
    tokenizer = BPETokenizer.train(SAMPLE[:3000], 300, SPECIALS, pattern)
    rng = random.Random(3)
    for _ in range(200):
        text = "".join(rng.choices(PIECES, k=8))
        pieces = cut_up(text, [rng.randrange(1000) for _ in range(4)])
        assert list(tokenizer.encode_iter(pieces, "all")) == tokenizer.encode(text, "all")


def test_pieces_are_given_out_as_they_come(bpe: BPETokenizer) -> None:
    """For an `encode_iter` that collects everything first: a file larger than memory could not be encoded."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in SAMPLE.splitlines(keepends=True):
            taken += 1
            yield line

    ids = bpe.encode_iter(lines(), "all")
    first = list(itertools.islice(ids, 20))
    assert taken <= 3 and first == bpe.encode(SAMPLE, "all")[:20]


def test_text_without_a_safe_place_is_not_searched_again_and_again(bpe: BPETokenizer, monkeypatch: Any) -> None:
    """For a file of blank lines that takes minutes: each one would search all that came before it."""
    searched = 0

    def counting(text: str, *args: Any) -> int:
        nonlocal searched
        searched += len(text)
        return safe_cut(text, *args)

    monkeypatch.setattr("gptlib.tokenizer.safe_cut", counting)
    ids = list(bpe.encode_iter(["\n"] * 5000 + ["the "] * 5000))
    assert ids == bpe.encode("\n" * 5000 + "the " * 5000)
    assert searched < 10 * 25_000


def words_that_never_come_back(n_bytes: int) -> Iterator[str]:
    """Lines of made-up words: hardly a chunk comes twice, which is the worst that can happen to a memory of chunks."""
    rng = random.Random(0)
    while n_bytes > 0:
        line = " ".join("".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(9)) + "\n"
        n_bytes -= len(line)
        yield line


@pytest.mark.no_type_checks  # they take memory and time of their own
def test_memory_does_not_grow_with_the_text(scale: Callable[[int, int], int]) -> None:
    """For an `encode_iter` that keeps the text, the ids, or every chunk it ever saw."""
    tokenizer = BPETokenizer.train("low lower", 260)
    lines = words_that_never_come_back(scale(300_000, 5_000_000))
    tracemalloc.start()
    try:
        n = sum(1 for _ in tokenizer.encode_iter(lines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n > 200_000 and peak < 1_000_000


# Files


def both(bpe: BPETokenizer, chars: CharTokenizer) -> list[Tokenizer]:
    odd = BPETokenizer(bpe.vocab, bpe.merges, SPECIALS, r"\S+|\s+")
    return [bpe, chars, odd, BPETokenizer.train("abab", 300, ["ab", "a"]), CharTokenizer("", [])]


def test_a_saved_tokenizer_is_the_same_tokenizer(bpe: BPETokenizer, chars: CharTokenizer, tmp_path: Path) -> None:
    """For a file that loses the order of merges, a pattern, an id, or bytes that are no text (B1.3, B1.7, B1.10)."""
    path = tmp_path / "tokenizer.json"
    for tokenizer in both(bpe, chars):
        tokenizer.save(path)
        for again in (load_tokenizer(path), type(tokenizer).load(str(path))):
            assert type(again) is type(tokenizer)
            for name in {"vocab", "special_tokens", "merges", "pattern", "characters"} & set(vars(tokenizer)):
                assert getattr(again, name) == getattr(tokenizer, name)
                assert list(again.vocab) == sorted(tokenizer.vocab)


def test_the_file_is_json_with_one_merge_a_line(bpe: BPETokenizer, tmp_path: Path) -> None:
    """For a file that differs between systems, or that nobody can read or compare (B1.10)."""
    path = tmp_path / "tokenizer.json"
    bpe.save(path)
    content = path.read_bytes()
    assert b"\r" not in content and content.endswith(b"\n")
    assert json.loads(content)["format"] == "gptlib tokenizer 2"
    lines = [line.strip(" ,") for line in content.decode().splitlines()]
    assert '"h e"' in lines and (b"h", b"e") in bpe.merges


def test_a_stop_while_saving_leaves_the_old_file(bpe: BPETokenizer, tmp_path: Path, monkeypatch: Any) -> None:
    """For half a file in the place of a whole one."""
    path = tmp_path / "tokenizer.json"
    bpe.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        BPETokenizer.train("a", 300).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_fingerprint_tells_tokenizers_apart(bpe: BPETokenizer, chars: CharTokenizer, tmp_path: Path) -> None:
    """For token files read with another tokenizer: whatever changes an id must change the fingerprint."""
    path = tmp_path / "tokenizer.json"
    ordinary = {i: bpe.vocab[i] for i in range(256 + len(bpe.merges))}
    swapped = ordinary | {300: ordinary[301], 301: ordinary[300]}
    others = [
        BPETokenizer(ordinary, bpe.merges, SPECIALS[:2]),
        BPETokenizer(ordinary, bpe.merges, SPECIALS[::-1]),
        BPETokenizer(ordinary, bpe.merges, SPECIALS, r"\S+|\s+"),
        BPETokenizer(ordinary, bpe.merges[:-1], SPECIALS),
        BPETokenizer(swapped, bpe.merges, SPECIALS),
        CharTokenizer("ab"),
        CharTokenizer("ab", []),
    ]
    assert len({tokenizer.fingerprint for tokenizer in [bpe, chars, *others]}) == len(others) + 2
    for tokenizer in [bpe, chars, *others]:
        tokenizer.save(path)
        assert load_tokenizer(path).fingerprint == tokenizer.fingerprint
        assert len(tokenizer.fingerprint) == 64


def test_letters_are_gpt2s() -> None:
    """For one byte spelled by another letter than in the files of others."""
    assert set(LETTERS.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert [as_letters(bytes([b])) for b in b" \n\xad\xa0\xffa"] == ["Ġ", "Ċ", "Ń", "ł", "ÿ", "a"]


def test_files_like_gpt2s(bpe: BPETokenizer, tmp_path: Path) -> None:
    """For a lost first merge, a merge that begins with the sign of a comment, or a special token spelled in letters."""
    vocab_json, merges_txt = tmp_path / "vocab.json", tmp_path / "merges.txt"
    tokenizer = BPETokenizer.train("## ## ## #version # the  \n\x85\xa0ë", 290, ["<a b>", END_OF_TEXT])
    names = {as_letters(token): i for token, i in tokenizer.id_of.items()} | tokenizer.special_tokens
    vocab_json.write_text(json.dumps(names), encoding="utf-8")
    lines = [f"{as_letters(left)} {as_letters(right)}" for left, right in tokenizer.merges]
    assert "# #" in lines
    for end in ("\n", "\r\n"):
        for first in (["#version: 0.2"], []):
            merges_txt.write_bytes((end.join([*first, *lines]) + end).encode())
            again = BPETokenizer.from_files(vocab_json, str(merges_txt), ["<a b>", END_OF_TEXT])
            assert again.fingerprint == tokenizer.fingerprint


def test_the_pattern_is_gpt2s(bpe: BPETokenizer) -> None:
    """For a pattern that differs in one alternative: it must cut as the original, written out again here."""
    original = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    for text in [*AWKWARD, SAMPLE[:5000], "we'll I'd I'm they've she's don't 'quoted' 3'4 \n \n x"]:
        assert split_chunks(text) == regex.findall(original, text)
