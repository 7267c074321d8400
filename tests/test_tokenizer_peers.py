"""Our tokenizer beside the industry's: the same ids on any text, the same merges, the same files; all offline."""

import json
import random
import socket
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from itertools import islice, pairwise
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import regex
import tiktoken
import tokenizers
from _peers import (
    Pair,
    as_hugging_face,
    byte_level,
    in_signs,
    join,
    train_by_definition,
    train_hugging_face,
    train_rustbpe,
)
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models

from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, split_chunks, train_merges

TALES = (resources.files("gptlib.corpora") / "tales.txt").read_text(encoding="utf-8")
SCRIPTS = """the cat's tail, don't we'll I'd they've she's I'm you're 1234 5.50% ½ Ⅷ ٣٤ ๕๖
Η γάτα κοιμάται στον ήλιο. Кошка спит на солнце. Կատուն քնած է։ კატას სძინავს.
החתול ישן בשמש. القطة نائمة تحت الشمس. گربه در آفتاب خوابیده است. ܩܛܘ ܕܡܟ
बिल्ली धूप में सोती है। বিড়ালটি রোদে ঘুমায়। பூனை வெயிலில் தூங்குகிறது. แมวนอนกลางแดด ឆ្មាដេក ድመት ተኝቷል
猫が日なたで眠っています。ネコ 猫在阳光下睡觉。 고양이가 햇볕에서 자요. Con mèo ngủ dưới nắng. Zoë naïve e\u0301 n\u0303
🐸🐸 👩\u200d👧 🇳🇱 ☀️ ∑∫≤ → « » “quoted” ‘it’s’ __init__(self, *args) -> None: ## ### #! \t\t\tx\r\n\r\n  y\u00a0z
"""
# They overlap, begin with white space, or hold some where a piece could end.
SPECIALS = [END_OF_TEXT, "<a>", "a><b>", " x ", "\n\n#", "ß猫", "| a long mark |"]

# White space of every kind, control characters, and what looks like white space and is none.
BLANKS = [chr(c) for c in range(0x110000) if chr(c).isspace()] + ["\x00", "\x1b", "\x7f", "\u180e", "\u200b", "\ufeff"]
UNICODE = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
MARKS = st.text(st.characters(categories=("Mn", "Mc", "Me", "Cf", "Nd", "Nl", "No")), max_size=8)
RIGHT_TO_LEFT = st.text(st.characters(min_codepoint=0x590, max_codepoint=0x8FF), max_size=12)
WORDS = st.sampled_from(sorted({word for text in (TALES[:3000], SCRIPTS) for word in text.split()}))
CONTRACTIONS = st.sampled_from(["'s", "'S", "'ll", "'ve ", "'re", "'", "’s", "'t's", " 'd", "'m1"])
NUMBERS = st.integers(0, 10**12).map(str)
SPACES = st.text(st.sampled_from(BLANKS + [" "] * 30 + ["\n"] * 10), min_size=1, max_size=6)
RUNS = st.builds(
    str.__mul__, st.sampled_from(["a", "ab", "é", "🐸", " ", "\n", "0", "-", "\u0301"]), st.integers(1, 1200)
)
LONG = st.builds(
    lambda seed, size, letters: "".join(random.Random(seed).choices(letters, k=size)),
    st.integers(0, 10**6),
    st.integers(1, 3000),
    st.sampled_from(["ab", "the", "etaoinshr", "猫é"]),
)
MIXED = st.lists(
    st.one_of(
        WORDS, SPACES, CONTRACTIONS, NUMBERS, MARKS, RIGHT_TO_LEFT, UNICODE, RUNS, LONG, st.sampled_from(SPECIALS)
    ),
    max_size=12,
).map("".join)
TEXT = st.one_of(UNICODE, MIXED)


def alphabet_of(pattern: str) -> Callable[[str], set[str]]:
    """Finds the characters of a class with tiktoken, which leaves out what its pattern does not match."""
    single = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding(pattern, pat_str=pattern, mergeable_ranks=single, special_tokens={})
    return lambda text: set(encoding.decode(encoding.encode_ordinary(text)))


CLASSES = [r"\p{L}", r"\p{N}", r"\s"]
THEIR_CLASSES = [(pattern, alphabet_of(pattern)) for pattern in CLASSES]


def disputed(text: str) -> set[str]:
    """The characters that `regex` and tiktoken class differently, as each has the tables of another Unicode version."""
    return {c for pattern, find in THEIR_CLASSES for c in set(regex.findall(pattern, text)) ^ find(text)}


def undisputed(text: str) -> str:
    """The text without them: no rule could make their ids equal."""
    without = disputed(text)
    return "".join(c for c in text if c not in without) if without else text


@cache
def trained(name: str) -> BPETokenizer:
    """Tokenizers that have learned from different texts."""
    texts = {
        "tales": (TALES[:60_000], 900),
        "pydocs": ("\n".join(topics.values())[:80_000], 1000),
        "scripts": (SCRIPTS + "".join(random.Random(1).choices(SCRIPTS.split(" "), k=2000)), 1200),
        "letters": ("".join(random.Random(2).choices("the ab\n猫é", [9, 9, 9, 5, 5, 5, 1, 3, 3], k=4000)), 700),
        "bytes": ("", 256 + len(SPECIALS)),
    }
    if name == "uncut":  # merges across all that the pattern cuts apart, so that any other cut gives other ids
        runs = [blank * n for blank in " \n\t\u3000" for n in (1, 2, 3, 4)]
        pieces = [*SCRIPTS.split(), *BLANKS, *runs, *runs, "'s", "'S", "'LL", "'", "a", "9", "²", "_"]
        text = "".join(random.Random(3).choices(pieces, k=9000))
        learned = BPETokenizer.train(text, 1500, SPECIALS, r"(?s).{1,300}")
        return BPETokenizer(dict(islice(learned.vocab.items(), 256 + len(learned.merges))), learned.merges, SPECIALS)
    text, vocab_size = texts[name]
    return BPETokenizer.train(text, vocab_size, SPECIALS)


NAMES = ["tales", "pydocs", "scripts", "letters", "bytes", "uncut"]


@cache
def tiktokens(name: str) -> tiktoken.Encoding:
    return trained(name).to_tiktoken()


@cache
def hugging_faces(name: str) -> tokenizers.Tokenizer:
    return as_hugging_face(trained(name))


# ---- the same ids


def test_the_libraries_class_every_character_alike() -> None:
    """For a class of ours that differs, such as a white space that is none: only new characters may be disputed."""
    newest = unicodedata if unicodedata.unidata_version < "16.1" else unicodedata.ucd_3_2_0
    known = "".join(c for c in map(chr, range(0x110000)) if newest.category(c) not in ("Cn", "Cs"))
    assert len(known) > 90_000 and set(BLANKS) - set(known) <= {"\u200b", "\ufeff", "\u180e"}
    assert not disputed(known)
    for pattern in CLASSES:
        outside = tokenizers.Regex(f"[^{pattern}]")
        theirs = tokenizers.pre_tokenizers.Split(outside, "removed").pre_tokenize_str(known)
        assert set("".join(part for part, _ in theirs)) == set(regex.findall(pattern, known)), pattern


@pytest.mark.parametrize("name", NAMES)
@given(
    text=TEXT.map(undisputed), allowed=st.one_of(st.sampled_from(["none", "all"]), st.sets(st.sampled_from(SPECIALS)))
)
@example(text="\u3000\u3000a \u2028\x85b\x1c\x1dc\u200b d\u180e", allowed="none")
@example(text=" x x  x <a><b>\n\n\n#<a><a>a><b>", allowed="all")
@example(text="a" * 501 + " " + "ab" * 1501, allowed="none")
def test_tiktoken_gives_the_same_ids(name: str, text: str, allowed: Any) -> None:
    """For ids that are valid and yet differ: by rank, by the cutting, at a special token, in a long chunk."""
    ours, theirs = trained(name), tiktokens(name)
    chosen = set(SPECIALS if allowed == "all" else [] if allowed == "none" else allowed)
    ids = ours.encode(text, allowed)
    assert ids == theirs.encode(text, allowed_special=chosen, disallowed_special=())
    assert ours.decode(ids) == theirs.decode(ids) == text


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXT.map(undisputed))
@example(text="\u3000\u3000a \u2028\x85b\x1c\x1dc\u200b d\u180e")
@example(text="it's it'S 'LL I'LL we'll '’s ² ½ _a_ 9²")
@example(text=" x x  x <a><b>\n\n\n#<a><a>a><b>")
def test_hugging_face_gives_the_same_ids(name: str, text: str) -> None:
    """For the same, against merges that are merges: tiktoken joins whatever two make a token."""
    ours, theirs = trained(name), hugging_faces(name)
    theirs.encode_special_tokens = False
    assert ours.encode(text, "all") == theirs.encode(text, add_special_tokens=False).ids
    theirs.encode_special_tokens = True
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


TIGHT = st.lists(st.sampled_from([*SPECIALS, *"<a> \n#", "\u3000", "  ", "\n\n", "| a long", "猫"]), max_size=20).map(
    "".join
)


@given(text=st.one_of(TEXT.map(undisputed), TIGHT), cuts=st.lists(st.integers(0, 10_000), max_size=9))
@example(text="a" + " " * 5 + "\n" * 5 + "b" + "\u3000" * 5 + "c" + "\t" * 5 + "d", cuts=list(range(25)))
@example(text="a x x \n\n#a><b> x | a long mark || a long", cuts=list(range(45)))
def test_pieces_give_the_ids_of_the_whole_in_the_industry(text: str, cuts: list[int]) -> None:
    """For a token that ends where a piece ends: the whole is encoded by tiktoken."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for name in ("scripts", "uncut"):
        ids = trained(name).encode_iter((text[i:j] for i, j in pairwise(places)), "all")
        assert list(ids) == tiktokens(name).encode(text, allowed_special="all")


@given(ids=st.lists(st.integers(0, 255) | st.integers(0, 1199), max_size=30))
def test_any_ids_decode_to_the_same_text(ids: list[int]) -> None:
    """For another number of replacement characters in the place of bytes that are no text."""
    ours = trained("scripts")
    assert ours.decode_bytes(ids) == tiktokens("scripts").decode_bytes(ids)
    assert "".join(ours.decode_iter(ids)) == ours.decode(ids) == tiktokens("scripts").decode(ids)


@given(
    letters=st.sampled_from(["ab", "abc ", "aé猫 \n", "a'sl 1", "\x00\U0010ffff a"]),
    seed=st.integers(0, 10**6),
    size=st.integers(0, 300),
    n_merges=st.integers(0, 120),
)
def test_small_vocabularies_agree_with_both(letters: str, seed: int, size: int, n_merges: int) -> None:
    """For merges that overlap and shadow each other, which real text seldom learns."""
    rng = random.Random(seed)
    ours = BPETokenizer.train("".join(rng.choices(letters, k=size)), 257 + n_merges)
    tik, face = ours.to_tiktoken(), as_hugging_face(ours)
    for _ in range(5):
        text = "".join(rng.choices(letters, k=rng.randint(1, 60)))
        assert ours.encode(text) == tik.encode_ordinary(text) == face.encode(text).ids


def test_of_special_tokens_that_begin_alike_the_longest_is_taken_as_by_hugging_face() -> None:
    """For an alternation in the order of the list; tiktoken has no rule for them."""
    specials = ["<|a", "<|a|>", "<|", "|>|>", END_OF_TEXT]
    for order in (specials, specials[::-1], sorted(specials)):
        ours = BPETokenizer.train(SCRIPTS, 400, order)
        theirs = as_hugging_face(ours)
        rng = random.Random(4)
        for _ in range(300):
            text = "".join(rng.choices([*specials, "<", "|", ">", "a", " "], k=8))
            assert ours.encode(text, "all") == list(ours.encode_iter(text, "all")) == theirs.encode(text).ids, text


def test_tiktoken_is_built_without_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For a vocabulary that is fetched by name: it would be another one, and offline there would be none."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("this test has no network")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(OSError, match="this test has no network"):
        tiktoken.get_encoding("gpt2")
    encoding = trained("tales").to_tiktoken()
    assert encoding.encode(TALES[:2000], allowed_special="all") == trained("tales").encode(TALES[:2000], "all")
    assert not list(tmp_path.iterdir())


# ---- the same merges


def definition(chunk_counts: dict[bytes, int], n_merges: int) -> list[Pair]:
    return [pair for pair, _ in islice(train_by_definition(chunk_counts, chunk_counts.values()), n_merges)]


def until_a_tie(chunk_counts: dict[bytes, int], n_merges: int) -> list[Pair]:
    """The merges before the first one that a tie rule decides."""
    merges = []
    for pair, tied in islice(train_by_definition(chunk_counts, chunk_counts.values()), n_merges):
        if tied:
            break
        merges.append(pair)
    return merges


def merges_of(theirs: tokenizers.Tokenizer) -> list[Pair]:
    """What Hugging Face's training learned, in bytes."""
    byte_of = {in_signs(bytes([byte])): byte for byte in range(256)}
    pairs = json.loads(theirs.to_str())["model"]["merges"]
    return [tuple(bytes(byte_of[sign] for sign in part) for part in pair) for pair in pairs]


def tokens_of(theirs: Any) -> list[bytes]:
    """What rustbpe's training learned: the new tokens in their order."""
    return [bytes(token) for token, _ in sorted(theirs.get_mergeable_ranks(), key=lambda item: item[1])[256:]]


def test_the_definition_by_hand() -> None:
    """For a definition that is wrong itself: counts with overlaps, merges without, and the greatest pair of bytes."""
    assert join([b"a"] * 5, (b"a", b"a")) == [b"aa", b"aa", b"a"]
    steps = list(train_by_definition([b"aaabdaaabac"], [1]))[:3]
    assert steps == [((b"a", b"a"), False), ((b"aa", b"a"), True), ((b"aaa", b"b"), False)]
    assert definition({b"ab": 1, b"b\xff": 1, b"b\x00": 1}, 3) == [(b"b", b"\xff"), (b"b", b"\x00"), (b"a", b"b")]
    assert definition({b"xab": 1, b"yabc": 1}, 3) == [(b"a", b"b"), (b"y", b"ab"), (b"yab", b"c")]


@given(
    chunk_counts=st.sampled_from([b"a", b"ab", b"abc", b"\x00\xff", b"\x00\x01a", b"\xfe\xffa"]).flatmap(
        lambda letters: st.dictionaries(
            st.lists(st.sampled_from(letters), min_size=1, max_size=14).map(bytes), st.integers(1, 4), max_size=12
        )
    ),
    n_merges=st.integers(0, 60),
)
@example(chunk_counts={b"a" * 13: 1, b"a" * 6: 3, b"ba" * 5: 2}, n_merges=40)
@example(chunk_counts={b"ab": 1, b"abc": 1, b"ab\x00": 1, b"a\xff": 2}, n_merges=9)
def test_training_equals_its_definition(chunk_counts: dict[bytes, int], n_merges: int) -> None:
    """For a count that is not taken back, an overlap counted twice, a stale entry, and ties that fall elsewhere."""
    assert train_merges(chunk_counts, n_merges) == definition(chunk_counts, n_merges)
    backwards = dict(reversed(chunk_counts.items()))
    assert train_merges(backwards, n_merges) == train_merges(chunk_counts, n_merges)


@given(
    letters=st.sampled_from(["ab", "aab ", "abcde '\n", "\x00é猫 "]),
    seed=st.integers(0, 10**6),
    size=st.integers(0, 400),
)
def test_training_on_text_equals_its_definition(letters: str, seed: int, size: int) -> None:
    """For chunks that are counted wrongly on the way from the text to the trainer."""
    text = "".join(random.Random(seed).choices(letters, k=size))
    counts = Counter(chunk.encode() for chunk in split_chunks(text))
    assert BPETokenizer.train(text, 256 + 50, []).merges == definition(counts, 50)


@given(
    words=st.dictionaries(st.text("abcdeé猫", min_size=1, max_size=8), st.integers(1, 2000), min_size=1, max_size=10),
    n_merges=st.integers(1, 40),
)
def test_training_equals_the_industrys_up_to_the_first_tie(words: dict[str, int], n_merges: int) -> None:
    """For a definition that is not what others train by: where no two pairs tie, there is one answer."""
    text = "".join(f" {word}" * n for word, n in words.items())
    counts = Counter(chunk.encode() for chunk in split_chunks(text))
    expected = until_a_tie(counts, n_merges)
    assert BPETokenizer.train(text, 257 + len(expected)).merges == expected
    assert merges_of(train_hugging_face([text], 257 + len(expected))) == expected
    assert tokens_of(train_rustbpe([text], 256 + len(expected))) == [left + right for left, right in expected]


def test_on_real_text_the_first_tie_is_far_off() -> None:
    """For a comparison that ends before it begins, as small texts tie early."""
    text = TALES[:800_000].replace(END_OF_TEXT, "")
    expected = until_a_tie(Counter(chunk.encode() for chunk in split_chunks(text)), 60)
    assert len(expected) >= 20
    assert BPETokenizer.train(text, 257 + len(expected)).merges == expected
    assert merges_of(train_hugging_face([text], 257 + len(expected))) == expected
    assert tokens_of(train_rustbpe([text], 256 + len(expected))) == [left + right for left, right in expected]


# ---- the same files


AWKWARD = [
    SCRIPTS,
    TALES[:3000],
    "",
    "#!# ## ### #version: 0.2",
    END_OF_TEXT * 2 + "\n" + END_OF_TEXT,
    "\x00\x7f\x85\xa0\xad",
]


def write_as_gpt2(folder: Path, tokenizer: BPETokenizer, specials: Sequence[str] = (END_OF_TEXT,)) -> tuple[Path, Path]:
    """The two files in GPT-2's published order: bytes by their sign, then the merges, the special token last."""
    signs = sorted(in_signs(bytes([byte])) for byte in range(256))
    tokens = [*signs, *(in_signs(left + right) for left, right in tokenizer.merges), *specials]
    vocab, merges = folder / "encoder.json", folder / "vocab.bpe"
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8", newline="\n")
    lines = ["#version: 0.2", *(f"{in_signs(left)} {in_signs(right)}" for left, right in tokenizer.merges)]
    merges.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return vocab, merges


def agree(ours: BPETokenizer, theirs: tokenizers.Tokenizer) -> None:
    """On ids, with and without special tokens, and so does tiktoken."""
    encoding = ours.to_tiktoken()
    for text in AWKWARD:
        theirs.encode_special_tokens = False
        assert ours.encode(text, "all") == theirs.encode(text).ids == encoding.encode(text, allowed_special="all")
        theirs.encode_special_tokens = True
        assert ours.encode(text) == theirs.encode(text).ids == encoding.encode_ordinary(text)
        assert ours.decode(ours.encode(text, "all")) == text


def test_the_files_of_gpt2(tmp_path: Path) -> None:
    """For bytes in another order, for a special token with a second id, for a merge line that begins with `#`."""
    learned = BPETokenizer.train(SCRIPTS + "##\n###\n#!\n" * 50, 700)
    vocab, merges = write_as_gpt2(tmp_path, learned)
    assert any(left == b"#" for left, _ in learned.merges), "else no line of the file could pass for a comment"
    ours = BPETokenizer.from_files(vocab, merges)
    assert ours.merges == learned.merges and ours.vocab_size == learned.vocab_size == 700
    assert ours.end_id == 699 and ours.encode("!") == [0] and ours.vocab[0] == b"!"
    theirs = byte_level(models.BPE.from_file(str(vocab), str(merges)))
    theirs.add_special_tokens([END_OF_TEXT])
    agree(ours, theirs)
    assert [ours.vocab[i] for i in ours.encode(SCRIPTS)] == [learned.vocab[i] for i in learned.encode(SCRIPTS)]


def test_the_files_that_hugging_face_writes(tmp_path: Path) -> None:
    """For a special token that comes first, and for merges whose ties fell to other pairs."""
    theirs = train_hugging_face([TALES[:50_000], SCRIPTS], 800)
    vocab, merges = theirs.model.save(str(tmp_path))
    ours = BPETokenizer.from_files(vocab, merges)
    assert ours.vocab_size == 800 and ours.end_id == theirs.token_to_id(END_OF_TEXT) == 0
    agree(ours, theirs)


def test_ours_in_their_files_and_back(tmp_path: Path) -> None:
    """For a token or a rank that is lost on the way through the format."""
    for name in NAMES:
        learned = trained(name)
        vocab, merges = as_hugging_face(learned).model.save(str(tmp_path))
        again = BPETokenizer.from_files(vocab, merges, SPECIALS)
        assert (again.vocab, again.merges, again.special_tokens) == (
            learned.vocab,
            learned.merges,
            learned.special_tokens,
        )


@pytest.mark.parametrize("kind", [str, Path])
def test_from_files_takes_texts_and_paths(tmp_path: Path, kind: type) -> None:
    """For a path that is joined or opened as only one of the two can be."""
    vocab, merges = write_as_gpt2(tmp_path, trained("tales"), SPECIALS)
    again = BPETokenizer.from_files(kind(vocab), kind(merges), SPECIALS)
    assert again.merges == trained("tales").merges and again.special_tokens == trained("tales").special_tokens
