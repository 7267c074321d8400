"""What notebook 01 leaves out: the files of a tokenizer, and the sentences about what cannot be one."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import regex

if TYPE_CHECKING:
    from gptlib.tokenizer import BPETokenizer

Merge = tuple[bytes, bytes]

# A visible letter for each byte, as GPT-2's files have it: the visible characters of Latin-1 stand for themselves.
VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
LETTERS = {b: chr(b) for b in VISIBLE} | {b: chr(256 + i) for i, b in enumerate(sorted({*range(256)} - {*VISIBLE}))}
BYTE_OF = {letter: b for b, letter in LETTERS.items()}

# ---- what a tokenizer is made of


def utf8(text: str) -> bytes:
    """The bytes of a text; half a surrogate pair, which is no character, is a `ValueError`."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"{half!r} is half a surrogate pair, which UTF-8 cannot hold: remove it") from None


def check_pattern(pattern: str) -> None:
    """`ValueError` unless it is a regular expression without groups that capture."""
    try:
        groups = regex.compile(pattern).groups
    except regex.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression ({error}): correct it") from None
    if groups:
        raise ValueError(f"the pattern {pattern!r} has a group that captures: write (?:...) in place of (...)")


def check_specials(special_tokens: Sequence[str]) -> None:
    """`ValueError` unless these are distinct texts that are not empty."""
    wrong = isinstance(special_tokens, str) or not isinstance(special_tokens, Sequence)  # the order gives the ids
    if wrong or "" in special_tokens or len(set(special_tokens)) < len(special_tokens):
        raise ValueError(f"special_tokens is {special_tokens!r}: give a list of distinct texts, none of them empty")


def choose_specials(allowed: Literal["none", "all"] | Collection[str], known: Collection[str]) -> Collection[str]:
    """The special tokens a caller allows; ValueError for a name that the tokenizer does not have."""
    if allowed in ("none", "all"):
        return known if allowed == "all" else ()
    chosen = [allowed] if isinstance(allowed, str) else list(allowed)
    for text in chosen:
        if text not in known:
            some = f"allow none, all or some of {', '.join(known)}" if known else "this tokenizer has none"
            raise ValueError(f"{text!r} is no special token here: {some}")
    return chosen


def check_training(vocab_size: int, special_tokens: Sequence[str], pattern: str) -> None:
    """`ValueError` unless there is room for the bytes and the special tokens, and a character for each token."""
    check_specials(special_tokens)
    check_pattern(pattern)
    if not isinstance(vocab_size, int):
        raise ValueError(f"vocab_size is {vocab_size!r}: give a whole number, such as 4096")
    n, least = len(special_tokens), 256 + len(special_tokens)
    if vocab_size < least:
        raise ValueError(f"vocab_size is {vocab_size}, but 256 bytes and {n} special tokens need {least}: raise it")
    if vocab_size > 0x110000:
        raise ValueError(f"vocab_size is {vocab_size}, but there are {0x110000} characters for tokens: lower it")


def ids_of_tokens(vocab: Mapping[int, bytes], tokens: Iterable[bytes]) -> dict[bytes, int]:
    """The id of each of these tokens; `ValueError` if the vocabulary lacks one or skips an id."""
    if sorted(vocab) != list(range(len(vocab))):
        raise ValueError(f"the {len(vocab)} ids of a vocabulary must be 0 to {len(vocab) - 1}: number them again")
    ids = {token: i for i, token in sorted(vocab.items(), reverse=True)}  # of equal tokens the first counts
    for token in tokens:
        if token not in ids:
            raise ValueError(f"the vocabulary lacks {token!r}: it needs all 256 bytes and what each merge makes")
    return {token: ids[token] for token in tokens}


def ids_of_specials(
    vocab: dict[int, bytes], id_of: Mapping[bytes, int], special_tokens: Sequence[str]
) -> dict[str, int]:
    """The id of each special token, with those added to `vocab` that it does not hold beside the ordinary tokens."""
    ids = {}
    for text in special_tokens:
        token = utf8(text)
        given = (i for i, known in vocab.items() if known == token and id_of.get(token) != i)
        ids[text] = next(given, len(vocab))
        vocab[ids[text]] = token
    return ids


# White space and what follows it. Four control characters are white space for `re` and not for `regex`.
STRETCH = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+")


def count_chunks(texts: Iterable[str], pattern: str) -> Counter[str]:
    """How often each chunk occurs in some texts. GPT-2's pattern is run only once over each distinct stretch.

    It always begins a chunk before white space that follows something else, so stretches with the same count may be
    joined and cut together.
    """
    from gptlib.tokenizer import GPT2_PATTERN, split_chunks  # which imports this module

    if pattern != GPT2_PATTERN:
        return Counter(chunk for text in texts for chunk in split_chunks(text, pattern))
    counts: Counter[str] = Counter()
    inner: Counter[str] = Counter()

    def empty_inner() -> None:
        of_count: dict[int, list[str]] = defaultdict(list)
        for stretch, n in inner.items():
            of_count[n].append(stretch)
        for n, same in of_count.items():
            for chunk, times in Counter(split_chunks("".join(same))).items():
                counts[chunk] += n * times
        inner.clear()

    for text in texts:
        stretches = STRETCH.findall(text)
        for end in stretches[:1] + stretches[1:][-1:]:  # which may lack the white space, or what follows it
            counts.update(split_chunks(end))
        inner.update(stretches[1:-1])
        if len(inner) > 1_000_000:  # some hundred megabytes
            empty_inner()
    empty_inner()
    return counts


def read_texts(source: str | Path | Iterable[str]) -> Iterable[str]:
    """The texts to train on: a `Path` is read as a UTF-8 file, a `str` is the text itself."""
    if isinstance(source, str):
        if len(source) < 250 and "\n" not in source and source.endswith((".txt", ".gz")) and Path(source).is_file():
            raise ValueError(f"{source!r} is the name of a file, not a text: pass Path({source!r}) to read it")
        return [source]
    if not isinstance(source, Path):
        return source
    from gptlib._texts import text_blocks  # it imports the tokenizers in its turn

    return ["".join(text_blocks(source))]


def check_text(text: object) -> None:
    """`ValueError` for what is no `str`."""
    if not isinstance(text, str):
        raise ValueError(f"the text is of type {type(text).__name__}: give a str")


def as_tiktoken(tokenizer: "BPETokenizer") -> Any:
    """A `tiktoken.Encoding` that gives the same ids; `ValueError` where it could not."""
    from gptlib.tokenizer import encode_word  # which imports this module

    try:
        import tiktoken
    except ImportError:
        raise ImportError("to_tiktoken needs tiktoken: install it with pip install 'gptlib[fast]'") from None
    pattern = tokenizer.pattern
    if regex.fullmatch(pattern, ""):
        raise ValueError(f"the pattern {pattern!r} fits an empty text, which tiktoken cannot stand: write + for *")
    of_merges = tokenizer.ids[256:]  # tiktoken takes ids for ranks
    if of_merges != sorted(of_merges):
        raise ValueError("the ids do not follow the order of the merges, as tiktoken needs: renumber them")
    for left, right in tokenizer.merges:  # tiktoken looks a chunk up before it merges
        if len(encode_word((left + right).decode("latin-1"), tokenizer.ranks, tokenizer.replacements)) > 1:
            raise ValueError(
                f"the merges never lead to {left + right!r}, which tiktoken takes at once: remove that merge"
            )
    if tokenizer.places is None:  # not GPT-2's, which takes every character
        pattern = f"{pattern}|(?:(?!{pattern})[\\s\\S])+"  # what lies between two matches is a chunk as well
    return tiktoken.Encoding(
        "gptlib", pat_str=pattern, mergeable_ranks=tokenizer.id_of, special_tokens=tokenizer.special_tokens
    )


# ---- files


def as_letters(token: bytes) -> str:
    """A token with a visible letter for each byte, as in GPT-2's files."""
    return "".join(LETTERS[byte] for byte in token)


def from_letters(text: str) -> bytes:
    """The token that `as_letters` spelled so; `KeyError` for a letter that stands for no byte."""
    return bytes(BYTE_OF[letter] for letter in text)


def read_merge(line: str) -> Merge:
    """A merge from two tokens in letters with a space between them."""
    left, right = map(from_letters, line.split(" "))
    return left, right


def bpe_fields(
    vocab: Mapping[int, bytes], merges: Sequence[Merge], specials: Iterable[str], pattern: str
) -> dict[str, Any]:
    """What a `BPETokenizer` is made of, as plain values; `bpe_parts` goes back."""
    return {
        "pattern": pattern,
        "special_tokens": list(specials),
        "vocab": [as_letters(vocab[i]) for i in range(len(vocab))],
        "merges": [f"{as_letters(left)} {as_letters(right)}" for left, right in merges],
    }


def bpe_parts(fields: Mapping[str, Any]) -> tuple[dict[int, bytes], list[Merge], list[str], str]:
    """The arguments of a `BPETokenizer` from what `bpe_fields` gave."""
    vocab = dict(enumerate(map(from_letters, fields["vocab"])))
    return vocab, list(map(read_merge, fields["merges"])), fields["special_tokens"], fields["pattern"]


def read_fields(path: Path, file_format: str) -> dict[str, Any]:
    """The JSON object of a tokenizer file; `ValueError` for a damaged file or another format."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no tokenizer file {path}: check the path, or save a tokenizer there first")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # no JSON, or no UTF-8; or thousands of brackets in one another
        raise damaged(path) from None
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != file_format:
        raise ValueError(f"{path} has the format {found!r}, not {file_format!r}: give a file that save() wrote")
    return fields


def damaged(path: Path) -> ValueError:
    """What to raise for a tokenizer file in which something is missing, or not what it should be."""
    return ValueError(f"the tokenizer file {path} is damaged: save the tokenizer again")


def read_published(vocab_json: Path, merges_txt: Path, specials: Sequence[str]) -> tuple[dict[int, bytes], list[Merge]]:
    """Vocabulary and merges from the two files in which GPT-2 is published, or from others like them."""
    for path in (vocab_json, merges_txt):
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}: give the paths of a vocab.json and a merges.txt")
    try:
        listed = json.loads(vocab_json.read_text(encoding="utf-8"))
        vocab = {int(i): utf8(token) if token in specials else from_letters(token) for token, i in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{vocab_json} is no vocabulary in the format of GPT-2: give its vocab.json") from None
    merges = []
    for number, line in enumerate(merges_txt.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            merges.append(read_merge(line))
        except (ValueError, KeyError):
            wrong = f"line {number} of {merges_txt} is {line[:50]!r}, not two tokens with a space between them"
            raise ValueError(f"{wrong}: give the merges.txt that belongs to {vocab_json}") from None
    return vocab, merges
