"""Where a pretrained model lies, in a folder or on the Hugging Face hub, and what its files hold (lesson 11)."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gptlib._files import write_json, write_text
from gptlib._tokenizer import Merge, as_letters, from_letters, read_merge, utf8
from gptlib.tokenizer import END_OF_TEXT

CONFIG, MODEL, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
MODEL_FILES = (CONFIG, MODEL, INDEX, "model-*.safetensors")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
# what transformers reads along with the weights or the tokenizer
BESIDE = ("tokenizer_config.json", "added_tokens.json", "special_tokens_map.json", "generation_config.json")
SIZES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")  # the short names of what OpenAI published
NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)  # owner/model, or one of the short names
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


# ---- where it is


def find_folder(source: str | Path, files: Sequence[str]) -> Path:
    """The folder of that path, or else a folder with these files of the model that has this name on the hub."""
    if not isinstance(source, str | Path):
        raise ValueError(f"{source!r:.50} names no model: give a folder, or a name on the hub, as 'gpt2'")
    if is_there(source, Path.is_dir):
        return Path(source)
    if isinstance(source, Path) or not NAME.fullmatch(source):
        kind = "is a file" if is_there(source, Path.is_file) else "is not there"
        raise FileNotFoundError(
            f"the folder {str(source)!r} {kind}: give one with {CONFIG} and {MODEL}, or a name on the hub, as 'gpt2'"
        )
    return fetch(source, files)


def is_there(source: str | Path, kind: Callable[[Path], bool]) -> bool:
    """Whether there is a folder or a file of that name; nothing has none, or one that is too long."""
    try:
        return source != "" and kind(Path(source))
    except OSError:
        return False


def fetch(name: str, files: Sequence[str]) -> Path:
    """Download what is not there yet; huggingface_hub keeps it for the next time, also for one without a network."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    except ImportError:
        sentence = f"there is no folder {name!r}, and to ask the hub for it needs huggingface_hub"
        raise ModuleNotFoundError(f"{sentence}: pip install 'gptlib[hub]'", name="huggingface_hub") from None
    way_out = "connect to a network, or give a folder"
    try:
        full = f"openai-community/{name}" if name in SIZES else name
        folder = Path(snapshot_download(full, allow_patterns=[*files]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(f"there is no folder {name!r}, and no such model on the hub: check the name") from error
    except Exception as error:  # whatever a network can do
        reason = " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
        raise FileNotFoundError(f"{name!r} could not be had from the hub ({reason[:150]}): {way_out}") from error
    if not any(found for pattern in files for found in folder.glob(pattern)):  # without a network: others, of earlier
        raise FileNotFoundError(f"{name!r} could not be had from the hub (nothing of {', '.join(files)}): {way_out}")
    return folder


def is_pretrained(source: str | Path) -> bool:
    """Whether this is a folder in the format of Hugging Face, or, if there is no such folder, a short name of GPT-2."""
    if not is_there(source, Path.is_dir):
        return str(source) in SIZES
    try:
        described = json.loads((Path(source) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(described, dict) and "model_type" in described


# ---- what it holds


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; `ValueError` if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # no JSON, or no UTF-8; or thousands of brackets in one another
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: copy or download it again")
    return value


def read_description(folder: Path) -> dict[str, Any]:
    """The `config.json` of a GPT-2."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}: give the folder of a GPT-2, as transformers saves it")
    described = read_json(path)
    if "model_type" not in described and "model" in described:
        raise ValueError(f"{folder} is a run folder of gptlib, not of Hugging Face: read it with gptlib.load")
    return described


def require_room(config: Any, tensors: Mapping[str, Any]) -> None:
    """`ValueError` for sizes that these tensors cannot have; to find it out by making the model can take minutes."""
    shapes = [shape for tensor in tensors.values() if 0 not in (shape := tuple(tensor.shape))]
    longest = max((size for shape in shapes for size in shape), default=0)
    if config.n_layer > len(tensors):
        found = f"the number of tensors is {len(tensors):,}"
        raise ValueError(f"n_layer is {config.n_layer:,} in this configuration, and {found}: correct one")
    sizes = {"vocab_size": config.vocab_size, "n_positions": config.block_size, "n_embd": config.n_embd}
    for name, size in sizes.items():
        if size > longest:
            raise ValueError(
                f"{name} is {size:,} in this configuration, and no tensor is longer than {longest:,}: correct one"
            )


def require_numbers(tensors: Mapping[str, Any]) -> None:
    """`ValueError` for a model that was made on the device `meta`, where tensors are shapes alone."""
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise ValueError(f"{name} is on the device meta and holds no numbers: load the model before you give it")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file. `stored[a:b]` reads these rows, and keeps nothing else of the file in memory."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __getitem__(self, rows: slice) -> Tensor:
        # Opened anew each time, since what was read stays mapped into memory while the file is open.
        with safe_open(self.path, framework="pt") as file:
            return file.get_slice(self.name)[rows]


def open_tensors(folder: Path, ignore: re.Pattern[str]) -> dict[str, StoredTensor]:
    """All tensors of the one file or the several that hold a model, but for names that are to be ignored."""
    stored = {}
    for path, names in files_of(folder).items():
        if not path.is_file():
            raise FileNotFoundError(f"{folder} lacks {path.name}, which its {INDEX} names: download it again")
        try:
            with safe_open(path, framework="pt") as file:
                for name in set(file.keys()) if names is None else names:
                    if not ignore.fullmatch(name):
                        part = file.get_slice(name)
                        stored[name] = StoredTensor(path, name, tuple(part.get_shape()), DTYPES[part.get_dtype()])
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}): copy or download it again") from error
        except KeyError as error:
            way_out = f"save it with {', '.join(DTYPES)}"
            raise ValueError(f"{name} in {path} holds numbers of the type {error}: {way_out}") from None
    return stored


def files_of(folder: Path) -> dict[Path, list[str] | None]:
    """The files of a model, each with the names that the index gives it, or with None for all that it holds."""
    if (folder / MODEL).is_file():
        return {folder / MODEL: None}
    if (folder / INDEX).is_file():
        files: dict[Path, list[str] | None] = {}
        try:
            for name, file in read_json(folder / INDEX)["weight_map"].items():
                files.setdefault(folder / file, []).append(name)
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{folder / INDEX} is damaged: copy or download it again") from None
        return files
    if list(folder.glob("*.bin")):
        way_out = "open it with transformers and save it again with save_pretrained"
        raise FileNotFoundError(f"{folder} has no {MODEL}, and what is pickled is not read here: {way_out}")
    raise FileNotFoundError(f"{folder} has no {MODEL}: give the folder of a GPT-2, as transformers saves it")


# ---- its tokenizer


def tokenizer_files(folder: Path) -> tuple[Path, Path, list[str]] | None:
    """Where the two files of GPT-2's tokenizer are, and which special tokens they know; None if they are not there."""
    vocab_json, merges_txt = folder / "vocab.json", folder / "merges.txt"
    if not (vocab_json.is_file() and merges_txt.is_file()):
        return None
    known, named = read_json(vocab_json), named_specials(folder)
    return vocab_json, merges_txt, [text for text in known if text in named]


def named_specials(folder: Path) -> list[str]:
    """The end of a text, and the special tokens that a `tokenizer_config.json` lists beside it."""
    path = folder / "tokenizer_config.json"
    about = read_json(path) if path.is_file() else {}
    lists = [about.get(name) for name in ("additional_special_tokens", "extra_special_tokens")]  # the old and new word
    return [END_OF_TEXT, *(text for named in lists if isinstance(named, list) for text in named)]


def tokenizer_parts(folder: Path) -> tuple[dict[int, bytes], list[Merge], list[str]]:
    """Vocabulary, merges and special tokens of a `tokenizer.json`; `ValueError` if it cuts texts in another way."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has neither tokenizer.json nor vocab.json and merges.txt: give their folder")
    fields = read_json(path)
    if "kind" in fields:
        raise ValueError(f"{path} is a tokenizer that gptlib saved: read it with gptlib.load_tokenizer")
    with known_format(path):
        cuts = cuts_of(fields)
    for name, (found, wanted) in cuts.items():
        if found != wanted:
            said = str(found)[:50]
            raise ValueError(f"{path} has the {name} {said!r}, and GPT-2 {wanted!r}: give the tokenizer of a GPT-2")
    with known_format(path):
        model, added = fields["model"], {token["content"]: int(token["id"]) for token in added_tokens(fields)}
        spelled = {i: text for text, i in model["vocab"].items()}
        vocab = {i: from_letters(text) for i, text in spelled.items() if text not in added}
        merges = [read_merge(merge if isinstance(merge, str) else " ".join(merge)) for merge in model["merges"]]
        return vocab | {i: utf8(text) for text, i in added.items()}, merges, list(added)


@contextmanager
def known_format(path: Path) -> Iterator[None]:
    """A `ValueError` with one sentence for whatever is missing in a file, or is not what it should be."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError(f"{path} is not in a format known here: give vocab.json and merges.txt") from None


def added_tokens(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The special tokens of a `tokenizer.json`."""
    return fields.get("added_tokens") or []


def cuts_of(fields: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By what decides the ids of a text: what the file says, and what GPT-2 does.

    GPT-2 cuts a text into chunks and merges their bytes. It puts no token in front or behind, and neither does a
    template that is the text alone; and a special token takes nothing of what is beside it.
    """
    model, before, behind = fields["model"], fields["pre_tokenizer"], fields.get("post_processor") or {}
    is_text_alone = [list(piece) for piece in behind.get("single", ())] == [["Sequence"]]
    asked = {
        "type of the model": (model.get("type", "BPE"), "BPE"),
        "normalizer": (fields.get("normalizer"), None),
        "pre_tokenizer": (before["type"], "ByteLevel"),
        "use_regex": (before.get("use_regex", True), True),
        "add_prefix_space": (before.get("add_prefix_space", True), False),
        "post_processor": ("ByteLevel" if is_text_alone else behind.get("type", "ByteLevel"), "ByteLevel"),
        "dropout": (model.get("dropout") or None, None),
        "continuing_subword_prefix": (model.get("continuing_subword_prefix") or None, None),
        "end_of_word_suffix": (model.get("end_of_word_suffix") or None, None),
        "ignore_merges": (model.get("ignore_merges", False), False),
    }
    for name in ("lstrip", "rstrip", "single_word"):
        asked[f"{name} of a special token"] = (any(token.get(name) for token in added_tokens(fields)), False)
    return asked


def write_tokenizer(folder: Path, tokenizer: Any, block_size: int) -> None:
    """The two files in which GPT-2 is published, and what transformers asks beside them."""
    specials = list(tokenizer.special_tokens)
    ids = {i: text for text, i in tokenizer.special_tokens.items()}
    vocab = {ids[i] if i in ids else as_letters(token): i for i, token in sorted(tokenizer.vocab.items())}
    if len(vocab) < tokenizer.vocab_size:
        raise ValueError(f"a special token of {specials} is spelled as an ordinary one: GPT-2's files cannot hold both")
    end = END_OF_TEXT if END_OF_TEXT in specials else None
    others = [text for text in specials if text != END_OF_TEXT]
    about = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": block_size, "add_prefix_space": False}
    about |= {"bos_token": end, "eos_token": end, "unk_token": end, "additional_special_tokens": others}
    write_json(folder / "vocab.json", vocab)
    merges = [f"{as_letters(left)} {as_letters(right)}" for left, right in tokenizer.merges]
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]) + "\n")
    write_json(folder / "tokenizer_config.json", about)


def require_empty(path: str | Path) -> Path:
    """The folder to write a model to, made if need be; `ValueError` if it holds one, or cannot be made."""
    if not isinstance(path, str | Path):
        raise ValueError(f"a model cannot be written to a {type(path).__name__}: name a folder")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # below a file, a name that is too long, a disk that is full
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"the folder {str(path)[:100]!r} cannot be made ({reason}): name another") from error
    for name in (CONFIG, MODEL, INDEX, "pytorch_model.bin", *TOKENIZER_FILES, *BESIDE):
        if (folder / name).exists():
            raise ValueError(f"{folder} holds a {name} already, which would be lost or mixed up: name another folder")
    return folder
