"""What bad input gets from the tokenizers: one sentence that names the value and what to do."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer, load_tokenizer

BPE = BPETokenizer.train("low lower lowest", 264)
CHARS = CharTokenizer.train("low lower lowest")
BYTES = {i: bytes([i]) for i in range(256)}


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (
            lambda: BPETokenizer.train("a", 256),
            ValueError,
            "vocab_size is 256, but 256 bytes and 1 .* need 257: raise it",
        ),
        (lambda: BPETokenizer.train("a", 257, ["<a>", "<b>"]), ValueError, "vocab_size is 257, but .* 2 .* need 258"),
        (
            lambda: BPETokenizer.train("a", 300, END_OF_TEXT),
            ValueError,
            "special_tokens is '<.endoftext.>': give a list",
        ),
        (lambda: BPETokenizer.train("a", 300, ["<a>", "<a>"]), ValueError, r"\['<a>', '<a>'\]: give .* distinct texts"),
        (lambda: CharTokenizer("a", [""]), ValueError, r"special_tokens is \[''\]: .* none of them empty"),
        (lambda: BPETokenizer.train("a", 300, pattern="(a"), ValueError, r"pattern '\(a' is no regular .*: correct it"),
        (lambda: BPETokenizer(BYTES, [], [], "(a)|b"), ValueError, r"pattern '\(a\)\|b' has a group .*: write \(\?:"),
        (lambda: BPETokenizer({0: b"a"}, []), ValueError, "vocabulary lacks b'.x00': it needs all 256 bytes"),
        (lambda: BPETokenizer(BYTES, [(b"a", b"b")]), ValueError, "vocabulary lacks b'ab': .* what each merge makes"),
        (
            lambda: BPETokenizer(dict(enumerate([*BYTES.values(), b"abc", b"ab"])), [(b"ab", b"c"), (b"a", b"b")]),
            ValueError,
            "merge 0 joins b'ab', which none before it makes: keep the order of learning",
        ),
        (
            lambda: BPETokenizer(
                dict(enumerate([*BYTES.values(), b"ab", b"bc", b"abc", b"abcd"])),
                [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc"), (b"abc", b"d"), (b"ab", b"c")],
            ),
            ValueError,
            "merge 4 makes b'abc', which one before it joins: keep the order of learning",
        ),
        (
            lambda: BPETokenizer(BYTES | {256: b"ab"}, [(b"a", b"b"), (b"a", b"b")]),
            ValueError,
            "merge 1 joins b'a' and b'b' a second time: remove it",
        ),
        (lambda: BPETokenizer.train("a", "300"), ValueError, "vocab_size is '300': give a whole number, such as 4096"),
        (lambda: BPETokenizer.train("a", 300.0), ValueError, "vocab_size is 300.0: give a whole number"),
        (lambda: BPETokenizer.train("a", 300, None), ValueError, "special_tokens is None: give a list"),
        (lambda: CharTokenizer("a", {"<a>"}), ValueError, "special_tokens is {'<a>'}: give a list"),
        (lambda: BPE.encode(None), ValueError, "the text is of type NoneType: give a str"),
        (lambda: BPE.encode(b"low"), ValueError, "the text is of type bytes: give a str"),
        (lambda: BPE.decode("123"), ValueError, "'123' is no row of ids: give whole numbers, as encode does"),
        (lambda: BPE.decode([97.9]), ValueError, r"\[97\.9\] is no row of ids"),
        (lambda: BPE.decode(97), ValueError, "97 is no row of ids"),
        (
            lambda: BPETokenizer(BYTES, [], []).encode("a", {"<b>"}),
            ValueError,
            "'<b>' is no special token here: this tokenizer has none",
        ),
        (
            lambda: BPETokenizer.train("a", 1_114_113),
            ValueError,
            "vocab_size is 1114113, but there are 1114112 characters for tokens: lower it",
        ),
        (lambda: BPETokenizer(BYTES | {300: b"ab"}, []), ValueError, "257 ids .* must be 0 to 256: number them again"),
        (lambda: BPE.encode("a", {"<b>"}), ValueError, "'<b>' is no special token here: allow .* <.endoftext.>"),
        (lambda: BPE.encode("a", "some"), ValueError, "'some' is no special token here"),
        (lambda: list(CHARS.encode_iter(["a"], ["<b>"])), ValueError, "'<b>' is no special token here"),
        (lambda: BPE.encode("half \ud83d"), ValueError, r"'\\ud83d' is half a surrogate pair, .*: remove it"),
        (lambda: BPETokenizer.train("\udcff", 300), ValueError, r"'\\udcff' is half a surrogate pair"),
        (
            lambda: CHARS.encode("lëw"),
            ValueError,
            "character 'ë' is not in the vocabulary of 8 characters: remove it, train",
        ),
        (lambda: BPE.decode([97, 264]), KeyError, "no token has the id 264: the ids go from 0 to 263"),
        (lambda: BPE.decode_bytes([-1]), KeyError, "no token has the id -1"),
        (lambda: CHARS.decode([9]), KeyError, "no token has the id 9: the ids go from 0 to 8"),
        (lambda: BPETokenizer(BYTES, [], []).end_id, KeyError, "has no token <.endoftext.>: train one with it"),
    ],
)
def test_a_wrong_value_gets_a_sentence(call: Callable[[], Any], kind: type[Exception], sentence: str) -> None:
    """For a bare KeyError, an IndexError much later, or ids that are wrong without a word (B1.6, B1.7, B1.9)."""
    with pytest.raises(kind, match=sentence) as caught:
        call()
    assert caught.value.__cause__ is None and "\n" not in str(caught.value)


def test_a_missing_or_foreign_text_file(tmp_path: Path) -> None:
    """For a traceback from deep inside, or text that is read in the encoding of the system (B1.10)."""
    missing, latin = tmp_path / "no.txt", tmp_path / "latin.txt"
    latin.write_bytes("Zoë".encode("latin-1"))
    for train in (CharTokenizer.train, lambda path: BPETokenizer.train(path, 300)):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*no\.txt.*: check the path"):
            train(missing)
        with pytest.raises(ValueError, match=r"the folder .* has no \.txt file with text in it"):
            (tmp_path / "empty").mkdir(exist_ok=True)
            train(tmp_path / "empty")
        with pytest.raises(ValueError, match=r"latin\.txt' is not UTF-8 \(byte 2 is 0xeb\): save it as UTF-8"):
            train(latin)


@pytest.mark.parametrize(
    ("vocab", "merges", "sentence"),
    [
        (None, "a b\n", r"there is no file .*vocab\.json: give the paths of a vocab\.json and a merges\.txt"),
        ("{}", None, r"there is no file .*merges\.txt: give the paths"),
        ("{ half", "a b\n", r"vocab\.json is no vocabulary in the format of GPT-2: give its vocab\.json"),
        ('["a"]', "a b\n", r"vocab\.json is no vocabulary"),
        ('{"a b": 0}', "a b\n", r"vocab\.json is no vocabulary"),
        ('{"a": "x"}', "a b\n", r"vocab\.json is no vocabulary"),
        (
            "{}",
            "#version: 0.2\na b\nabc\n",
            r"line 3 of .*merges\.txt is 'abc', not two tokens with a space between them",
        ),
        ("{}", "a b c\n", r"line 1 of .*merges\.txt is 'a b c', not two tokens"),
        ("{}", "a \n", r"vocabulary lacks b'.x00'"),
        ("{}", "a 한\n", r"line 1 of .*merges\.txt is 'a 한', not two tokens"),
        ("{}", "a b\n", r"the vocabulary lacks b'.x00': it needs all 256 bytes"),
    ],
)
def test_files_unlike_gpt2s(vocab: str | None, merges: str | None, sentence: str, tmp_path: Path) -> None:
    """For two files given in the wrong order, a file of another kind, or a KeyError from deep inside."""
    vocab_json, merges_txt = tmp_path / "vocab.json", tmp_path / "merges.txt"
    for path, content in ((vocab_json, vocab), (merges_txt, merges)):
        if content is not None:
            path.write_text(content, encoding="utf-8", newline="\n")
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        BPETokenizer.from_files(vocab_json, merges_txt)
    assert caught.value.__cause__ is None and "\n" not in str(caught.value)


def test_the_name_of_a_file_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a tokenizer that learned from the letters of a file's name, without a word."""
    monkeypatch.chdir(tmp_path)
    Path("tales.txt").write_text("low lower", encoding="utf-8", newline="\n")
    for train in (CharTokenizer.train, lambda source: BPETokenizer.train(source, 300)):
        with pytest.raises(
            ValueError, match=r"'tales.txt' is the name of a file, not a text: pass Path\('tales.txt'\)"
        ):
            train("tales.txt")
        train("no such file.txt")
    with pytest.raises(ValueError, match="is a folder: name a file in it"):
        BPE.save(tmp_path)


def test_a_missing_tokenizer_file(tmp_path: Path) -> None:
    """For a traceback where a wrong path was given."""
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no tokenizer file .*: check the path"):
            load_tokenizer(path)


@pytest.mark.parametrize("tokenizer", [BPE, CHARS], ids=["bpe", "chars"])
def test_a_damaged_tokenizer_file(tokenizer: BPETokenizer | CharTokenizer, tmp_path: Path) -> None:
    """For a file cut short by a full disk, with a field missing, or with bytes that are no text."""
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    whole = path.read_text(encoding="utf-8")
    fields = json.loads(whole)
    damaged = [whole[: len(whole) // 2].encode(), b"", b"\xff\xfe", b"\x00" * 100, b"[" * 100_000]
    damaged += [
        json.dumps({k: v for k, v in fields.items() if k != name}).encode() for name in fields if name != "format"
    ]
    damaged += [json.dumps({**fields, name: None}).encode() for name in fields if name != "format"]
    if tokenizer is BPE:
        damaged += [json.dumps({**fields, "vocab": fields["vocab"][1:]}).encode()]
        damaged += [
            json.dumps({**fields, "merges": ["q z"]}).encode(),
            json.dumps({**fields, "merges": ["q"]}).encode(),
            json.dumps({**fields, "merges": [["q", "z"]]}).encode(),
            json.dumps({**fields, "vocab": [1]}).encode(),
        ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"the tokenizer file .*tokenizer\.json is damaged: save the tokenizer again"
        ):
            load_tokenizer(path)


def test_a_file_of_another_format(tmp_path: Path) -> None:
    """For a Hugging Face tokenizer.json, which has the same name, and for a format of a later version."""
    path = tmp_path / "tokenizer.json"
    for content, found in (
        (b'{"version": "1.0", "model": {}}', "None"),
        (b"[1]", "None"),
        (b'{"format": "x 2"}', "'x 2'"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"has the format {found}, not 'gptlib tokenizer 2': give a file that"):
            load_tokenizer(path)


def test_a_tokenizer_of_the_other_kind(tmp_path: Path) -> None:
    """For a character tokenizer handed to code that wants merges."""
    path = tmp_path / "tokenizer.json"
    CHARS.save(path)
    with pytest.raises(ValueError, match=r"holds no BPETokenizer: load it with CharTokenizer\.load"):
        BPETokenizer.load(path)


def test_without_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a traceback of an import that the reader never wrote."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tiktoken":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"to_tiktoken needs tiktoken: install it with pip install 'gptlib\[fast\]'"):
        BPE.to_tiktoken()


def test_tiktoken_cannot_stand_an_empty_chunk() -> None:
    """For a panic in somebody else's Rust."""
    with pytest.raises(ValueError, match=r"the pattern 'a\*.*' fits an empty text, .*: write \+ for \*"):
        BPETokenizer(BYTES, [], [], "a*").to_tiktoken()


def test_tiktoken_would_take_what_no_merge_leads_to() -> None:
    """For other ids without a word: it looks a chunk up before it merges (B1.3)."""
    merges = [(b"a", b"b"), (b"c", b"d"), (b"b", b"cd"), (b"a", b"bcd")]
    tokenizer = BPETokenizer(BYTES | {256 + i: left + right for i, (left, right) in enumerate(merges)}, merges)
    assert tokenizer.encode("abcd") == [256, 257]
    with pytest.raises(ValueError, match=r"the merges never lead to b'abcd', which tiktoken takes at once: remove"):
        tokenizer.to_tiktoken()


def test_tiktoken_wants_ids_in_the_order_of_the_merges() -> None:
    """For ids that tiktoken would take for ranks: it would merge in another order without a word (B1.3)."""
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    tokens = [b"abc", b"ab", b"bc"]
    tokenizer = BPETokenizer(BYTES | {256 + i: token for i, token in enumerate(tokens)}, merges)
    with pytest.raises(ValueError, match=r"the ids do not follow the order of the merges, .*: renumber them"):
        tokenizer.to_tiktoken()
