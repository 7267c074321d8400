"""The commands that need a model, and so torch: `gptlib train`, `generate`, `eval`, `info` and `doctor`.

Every field of the dataclasses below, of `GPTConfig` and of `TrainConfig` is a flag: tyro reads the names, types,
defaults and comments from them.
"""

import hashlib
import json
import math
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from gptlib import __version__
from gptlib._files import write_json
from gptlib._prepare import is_prepared, read_prepared
from gptlib._run_folder import read_config
from gptlib._runs import RUNS, find_run, label, load, shipped
from gptlib.data import documents, encode_text, load_text, open_tokens, pick_device, split_text
from gptlib.language import bits_per_byte, perplexity
from gptlib.model import GPT, GPTConfig, count_parameters, flops_per_token
from gptlib.sampling import recall, stream
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer, load_tokenizer
from gptlib.training import TrainConfig, evaluate, load_run, train, updates_to_do, window_starts


@dataclass(frozen=True)
class ModelFlags(GPTConfig):
    """The sizes of the model (lesson 07_model)."""

    def __post_init__(self) -> None:
        """Nothing yet: what cannot be is said when a `GPTConfig` is made of the flags, in one sentence."""


@dataclass(frozen=True)
class TrainFlags(TrainConfig):
    """How it is trained (lesson 08_training)."""

    def __post_init__(self) -> None:
        """Nothing yet, as above."""


@dataclass(frozen=True)
class Train:
    """Train a GPT on a text, from raw characters to a run folder that can write."""

    data_path: str = "tales"
    """a text file in UTF-8, a gzip or a folder of .txt; a folder that `gptlib prepare` made; tales, pydocs or
    tinyshakespeare"""
    tokenizer: str | None = None
    """bpe (learned from the text, vocab_size tokens: the default), char, or the path of a tokenizer.json"""
    run_dir: Path | None = None
    """where the run goes; by default a new folder below runs/"""
    resume: bool = False
    """go on with the run in run_dir, or with the newest one"""
    model: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    training: tyro.conf.OmitArgPrefixes[TrainFlags] = field(default_factory=TrainFlags)


@dataclass(frozen=True)
class Generate:
    """Write on from a prompt, token by token."""

    prompt: str
    """how the text begins"""
    run: Path | None = None
    """a run folder; by default the newest below runs/, or else the model that ships with gptlib"""
    max_new_tokens: int = 200
    """stop after so many tokens, if the text has not ended before"""
    temperature: float = 0.8
    """0 takes the likeliest token each time, 1 draws as the model was trained, more is wilder"""
    top_k: int | None = None
    """draw among this many likeliest tokens"""
    top_p: float | None = None
    """draw among the likeliest tokens that together have this probability"""
    seed: int | None = None
    """the same seed writes the same text"""
    device: str = "auto"
    """cpu, cuda, mps, or auto: cuda if there is one, else cpu"""


@dataclass(frozen=True)
class Eval:
    """Measure a run: loss, perplexity and bits per byte of its validation text, or of another text."""

    run: Path | None = None
    """a run folder; by default the newest below runs/, or else the model that ships with gptlib"""
    data_path: str | None = None
    """measure on the whole of this text, or on the val.tokens of a prepared folder, instead of the run's own"""
    json: bool = False
    """print one line of JSON"""
    device: str = "auto"
    """cpu, cuda, mps, or auto"""


@dataclass(frozen=True)
class Info:
    """Say what a run is: its sizes, its training, its evaluation."""

    run: Path | None = None
    """a run folder; by default the newest below runs/, or else the model that ships with gptlib"""


@dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, the device, and a forward pass against the CPU."""

    device: str = "auto"
    """the device to check"""


# ---- texts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """The ids of a text, and how many bytes they stand for; the text itself, if it did not come as ids."""

    tokens: np.ndarray
    n_bytes: int
    documents: Sequence[str] | None = None


def encoded(text: str, tokenizer: Tokenizer) -> Part:
    """A text as a part."""
    docs = documents(text)
    return Part(encode_text(text, tokenizer), sum(len(document.encode()) for document in docs), docs)


def find_texts(args: Train, kept: Tokenizer | None) -> tuple[Tokenizer, dict[str, Part], dict[str, str]]:
    """Tokenizer, training and validation part, and what tells the text from others; `kept` is a resumed run's."""
    folder = Path(args.data_path)
    if is_prepared(folder):
        tokenizer, parts = prepared_parts(folder)
        if args.tokenizer in ("bpe", "char"):
            raise ValueError(f"{folder} has a tokenizer of its own: leave --tokenizer {args.tokenizer} out")
        given = kept or (load_tokenizer(args.tokenizer) if args.tokenizer else tokenizer)
        if given.fingerprint != tokenizer.fingerprint:
            whose = "the run's" if kept else args.tokenizer
            raise ValueError(
                f"{folder} was prepared with the tokenizer {tokenizer.fingerprint[:8]}, and {whose} is "
                f"{given.fingerprint[:8]}: leave --tokenizer out, or prepare the text with this one"
            )
        return tokenizer, parts, {"tokenizer_fingerprint": tokenizer.fingerprint}
    text = load_text(args.data_path)
    train_text, val_text = split_text(text)
    tokenizer = kept or make_tokenizer(args, text, train_text)
    parts = {"train": encoded(train_text, tokenizer), "val": encoded(val_text, tokenizer)}
    return tokenizer, parts, {"text_sha256": sha256(text)}


def prepared_parts(folder: Path) -> tuple[Tokenizer, dict[str, Part]]:
    """The tokenizer of a prepared folder, and its token files as memory maps."""
    tokenizer, headers = read_prepared(folder)
    parts = {part: open_tokens(folder / f"{part}.tokens", tokenizer) for part in headers}
    return tokenizer, {part: Part(tokens, headers[part]["text_bytes"]) for part, tokens in parts.items()}


def make_tokenizer(args: Train, text: str, train_text: str) -> Tokenizer:
    if args.tokenizer == "char":
        return CharTokenizer.train(documents(text))  # of the whole text: a character of the last tenth is no stranger
    if args.tokenizer in (None, "bpe"):
        return BPETokenizer.train(documents(train_text), args.model.vocab_size)
    return load_tokenizer(args.tokenizer)


# ---- train -----------------------------------------------------------------------------------------------------------


def as_begun(args: Train) -> Train:
    """The flags with which a run was begun that is to go on: what the user does not say again stays so."""
    run_dir = find_run(args.run_dir)
    if run_dir == shipped():
        raise FileNotFoundError(f"there is no run below {RUNS}/ to go on with: start one without --resume")
    described = read_config(run_dir)
    try:
        settings = described["training"] | {"betas": tuple(described["training"]["betas"])}
        model, training = ModelFlags(**described["model"]), TrainFlags(**settings)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{run_dir / 'config.json'} has no settings that this gptlib can go on with: {error}"
        ) from error
    data_path = described["facts"].get("data_path", args.data_path)
    return Train(data_path=data_path, run_dir=run_dir, resume=True, model=model, training=training)


def resumed_plan(plan: TrainConfig, begun: TrainConfig) -> TrainConfig:
    """The plan of a run that goes on: of two lengths the one counts that was changed."""
    changed = plan.epochs != begun.epochs and plan.max_steps == begun.max_steps
    return replace(plan, max_steps=None) if changed else plan


def kept_tokenizer(args: Train, run_dir: Path) -> Tokenizer:
    """The tokenizer of a run that goes on; `ValueError` if the flags name another."""
    kept = load_tokenizer(run_dir / "tokenizer.json")
    kind = {"char": CharTokenizer, "bpe": BPETokenizer}.get(args.tokenizer)
    if kind is None and args.tokenizer:
        same = load_tokenizer(args.tokenizer).fingerprint == kept.fingerprint
    else:
        same = isinstance(kept, kind or object)
    if not same:
        raise ValueError(f"{run_dir} was begun with another tokenizer than {args.tokenizer}: leave --tokenizer out")
    return kept


def run_train(args: Train) -> None:
    config, plan = GPTConfig(**asdict(args.model)), TrainConfig(**asdict(args.training))
    run_dir, kept = args.run_dir or RUNS / datetime.now().strftime("%Y%m%d-%H%M%S"), None
    if args.resume:
        kept = kept_tokenizer(args, run_dir)
        plan = resumed_plan(plan, as_begun(args).training)
    tokenizer, parts, about_text = find_texts(args, kept)
    config = replace(config, vocab_size=tokenizer.vocab_size)
    train_tokens, val_tokens = parts["train"].tokens, parts["val"].tokens
    torch.manual_seed(plan.seed)
    model = GPT(config)
    print_expectations(args.data_path, plan, model, tokenizer, train_tokens, val_tokens, run_dir)
    began = time.perf_counter()
    history = train(
        model,
        train_tokens,
        val_tokens,
        plan,
        tokenizer=tokenizer,
        run_dir=run_dir,
        resume=args.resume,
        progress=True,
        facts={"data_path": args.data_path, **about_text},
    )
    seconds = time.perf_counter() - began
    if history[-1]["step"] < updates_to_do(plan, len(train_tokens), config.block_size):
        go_on = f"gptlib train --resume --run_dir {shlex.quote(str(run_dir))}"
        print(f"\nstopped by a signal and saved; go on with: {go_on}", file=sys.stderr)
        sys.exit(130)
    best, _ = load_run(run_dir, device=device_of(plan.device))
    result = measure(best, tokenizer, parts["val"], is_tales=args.data_path == "tales")
    add_facts(run_dir, evaluation=result)
    print(f"\ntrained for {seconds:.0f} s; the validation text: {in_words(result)}")
    val_begins = tokenizer.decode(val_tokens[:100].tolist()).replace(END_OF_TEXT, "")
    opening = " ".join(val_begins.split()[:4])
    print(f'the run is in {run_dir}; try: gptlib generate --prompt "{opening}"')


def print_expectations(
    data_path: str,
    plan: TrainConfig,
    model: GPT,
    tokenizer: Tokenizer,
    train_tokens: np.ndarray,
    val_tokens: np.ndarray,
    run_dir: Path,
) -> None:
    c, t = model.config, plan
    updates = updates_to_do(t, len(train_tokens), c.block_size)
    per_update = t.batch_size * t.accumulation * c.block_size
    by_document = window_starts(train_tokens, tokenizer, c.block_size) is not None
    windows = "from the beginning of each document" if by_document else "from anywhere"
    epoch = len(train_tokens) / per_update
    sizes = f"{c.n_layer} layers, {c.n_head} heads, {c.n_embd} channels, context {c.block_size}"
    work = flops_per_token(c) * per_update * updates / 1e12
    print(f"text        {data_path}: {len(train_tokens):,} tokens to train on, {len(val_tokens):,} held back")
    print(f"model       {count_parameters(model):,} parameters: {sizes}, vocabulary {c.vocab_size:,}")
    print(f"updates     {updates:,} of {per_update:,} tokens each, {epoch:,.0f} to an epoch; windows {windows}")
    print(f"work        {work:,.1f} TFLOP on {device_of(t.device)}, {t.precision}")
    print(f"loss        begins near ln {c.vocab_size:,} = {math.log(c.vocab_size):.2f}")
    print(f"run folder  {run_dir}", flush=True)


# ---- eval ------------------------------------------------------------------------------------------------------------


def run_eval(args: Eval) -> None:
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir, device=device_of(args.device))
    data_path = args.data_path or read_config(run_dir)["facts"].get("data_path")
    if data_path is None:
        raise ValueError(f"{run_dir} does not say what it was trained on: name a text with --data_path")
    if is_prepared(Path(data_path)):
        made_with, parts = prepared_parts(Path(data_path))
        if made_with.fingerprint != tokenizer.fingerprint:
            raise ValueError(
                f"{data_path} was prepared with the tokenizer {made_with.fingerprint[:8]}, and the run's is "
                f"{tokenizer.fingerprint[:8]}: name a text that is not prepared, or a run trained on this one"
            )
        part = parts["val"]
    else:
        text = load_text(data_path) if args.data_path else split_text(load_text(data_path))[1]
        part = encoded(text, tokenizer)
    result = {"run": str(run_dir), "data_path": data_path, **measure(model, tokenizer, part, data_path == "tales")}
    print(json.dumps(result) if args.json else f"{label(run_dir)} on {data_path}: {in_words(result)}")


def measure(model: GPT, tokenizer: Tokenizer, part: Part, is_tales: bool) -> dict[str, float]:
    """Loss in nats per token, perplexity, bits per byte; for the tales also their floor and the recall."""
    loss = evaluate(model, part.tokens, starts=window_starts(part.tokens, tokenizer, model.config.block_size))
    bits = bits_per_byte(loss, len(part.tokens) - 1, part.n_bytes)
    result = {"loss": loss, "perplexity": perplexity(loss), "bits_per_byte": bits}
    if is_tales:
        from gptlib.corpora import tales

        told = [tales.read(document) for document in part.documents]
        floor = sum(tale.bits for tale in told) / part.n_bytes
        result |= {"floor": floor, "above_floor": bits / floor - 1, "recall": recall(model, tokenizer, told)}
    return result


def in_words(result: dict[str, Any]) -> str:
    words = f"loss {result['loss']:.4f}, perplexity {result['perplexity']:.2f}, "
    words += f"{result['bits_per_byte']:.4f} bits per byte"
    if "floor" in result:
        words += f", {result['above_floor']:.1%} above the entropy floor of {result['floor']:.4f}, "
        words += f"recall {result['recall']:.1%}"
    return words


def device_of(name: str) -> torch.device:
    """The device of a `--device` flag, whose "auto" also asks `GPTLIB_DEVICE`."""
    return pick_device(None if name == "auto" else name)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_facts(run_dir: Path, **facts: Any) -> None:
    config = read_config(run_dir)
    write_json(run_dir / "config.json", config | {"facts": config["facts"] | facts})


# ---- generate --------------------------------------------------------------------------------------------------------


def run_generate(args: Generate) -> None:
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir, device=device_of(args.device))
    print(f"[{label(run_dir)}]", file=sys.stderr, flush=True)
    generator = torch.Generator()
    if args.seed is None:
        generator.seed()
    else:
        generator.manual_seed(args.seed)
    pieces = stream(
        model,
        tokenizer,
        args.prompt,
        args.max_new_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        generator=generator,
    )
    print(args.prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


# ---- info and doctor -------------------------------------------------------------------------------------------------


def run_info(args: Info) -> None:
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir)
    config = read_config(run_dir)
    print(f"{label(run_dir)}: gptlib {__version__}, {count_parameters(model):,} parameters, {type(tokenizer).__name__}")
    for title, values in config.items():
        if isinstance(values, dict):
            print(title + "".join(f"\n  {name:13} {value}" for name, value in values.items()))


def run_doctor(args: Doctor) -> None:
    print(f"gptlib {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for package in ("torch", "numpy", "regex", "safetensors", "matplotlib", "jupyterlab", "ipywidgets", "tiktoken"):
        try:
            print(f"{package:12} {version(package)}")
        except PackageNotFoundError:
            print(f"{package:12} is not installed")
    device = device_of(args.device)
    print(f"{'device':12} {device}, {torch.get_num_threads()} CPU threads")
    model, tokenizer = load("tales")
    idx = torch.tensor([[tokenizer.end_id, *tokenizer.encode("Once upon a time there was")]])
    with torch.inference_mode():
        here = model(idx)
        there = model.to(device)(idx.to(device)).cpu()
    difference = (here - there).abs().max().item()
    agrees = difference < 1e-3
    print(f"{'forward pass':12} {'agrees with' if agrees else 'DIFFERS from'} the CPU's (by {difference:.1e} at most)")
    if not agrees:
        raise ValueError(f"logits on {device} differ from the CPU's by {difference:.1e}: do not trust results from it")


RUN = {Train: run_train, Generate: run_generate, Eval: run_eval, Info: run_info, Doctor: run_doctor}
