"""The commands that need a model, and so torch: `gptlib train`, `generate`, `eval`, `info` and `doctor`.

Every field of the dataclasses below, of `GPTConfig` and of `TrainConfig` is a flag: tyro reads the names, types,
defaults and comments from them.
"""

import dataclasses
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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from gptlib import __version__
from gptlib._files import write_json
from gptlib._hub import is_pretrained
from gptlib._n_best import n_best
from gptlib._prepare import is_prepared, read_prepared
from gptlib._presets import preset
from gptlib._processes import Processes, joined
from gptlib._run_folder import read_config
from gptlib._runs import RUNS, find_run, label, load, shipped
from gptlib._speed import peak
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

    preset: str | None = None
    """settings to begin with, which other flags change: speedrun, which learns in few updates (with --tokenizer char
    it takes other sizes), or plain, nanoGPT's recipe for a CPU"""
    data_path: str = "tales"
    """a text file in UTF-8, a gzip or a folder of .txt; a folder that `gptlib prepare` made; tales, pydocs or
    tinyshakespeare"""
    tokenizer: str | None = None
    """bpe (learned from the text, vocab_size tokens: the default), char, or the path of a tokenizer.json"""
    run_dir: Path | None = None
    """where the run goes; by default a new folder below runs/"""
    resume: bool = False
    """go on with the run in run_dir, or with the newest one"""
    tensorboard: bool = False
    """also write what TensorBoard reads into the run folder"""
    model: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    training: tyro.conf.OmitArgPrefixes[TrainFlags] = field(default_factory=TrainFlags)


@dataclass(frozen=True)
class Generate:
    """Write on from a prompt, token by token, or find the likeliest ways to go on."""

    prompt: str | None = None
    """how the text begins"""
    prompt_file: Path | None = None
    """a text to go on with in its style; --prompt, if given too, follows it"""
    run: Path | None = None
    """a run folder; by default the newest below runs/, or else the model that ships with gptlib"""
    max_new_tokens: int = 200
    """stop after so many tokens, if the text has not ended before"""
    min_new_tokens: int = 0
    """neither end nor look for a stop in the first so many tokens"""
    stop: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """end in front of this text; may be given several times"""
    forbid: tuple[str, ...] = ()
    """texts that must not be written, not even inside a word"""
    require: tuple[str, ...] = ()
    """texts that must be written: the likeliest way is searched for, as with --n_best"""
    n_best: int | None = None
    """print so many of the best continuations with their log-probabilities, instead of drawing one"""
    length_power: float = 1.0
    """with --n_best: 1 ranks by the mean log-probability of a token, 0 by that of the whole text"""
    temperature: float | None = None
    """0 takes the likeliest token each time, 1 draws as the model was trained, more is wilder; by default 0.8"""
    top_k: int | None = None
    """draw among this many likeliest tokens"""
    top_p: float | None = None
    """draw among the likeliest tokens that together have this probability"""
    repetition_penalty: float = 1.0
    """above 1, tokens that are in the text already become less likely"""
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
        refuse_vocab_size(args, tokenizer)
        return tokenizer, parts, {"tokenizer_fingerprint": tokenizer.fingerprint}
    text = load_text(args.data_path)
    train_text, val_text = split_text(text)
    tokenizer = kept or make_tokenizer(args, text, train_text)
    if kept or args.tokenizer not in (None, "bpe"):
        refuse_vocab_size(args, tokenizer)
    parts = {"train": encoded(train_text, tokenizer), "val": encoded(val_text, tokenizer)}
    return tokenizer, parts, {"text_sha256": sha256(text)}


def refuse_vocab_size(args: Train, tokenizer: Tokenizer) -> None:
    """A size that was asked for of a tokenizer that is not learned now."""
    asked = args.model.vocab_size
    if asked not in (ModelFlags().vocab_size, tokenizer.vocab_size):
        raise ValueError(
            f"--vocab_size {asked} is for a tokenizer that is learned from the text, and this one is made already, "
            f"with {tokenizer.vocab_size} tokens: leave --vocab_size out"
        )


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


def from_preset(args: Train) -> Train:
    """The flags of a preset; an explicit number of epochs is not overruled by its number of updates."""
    fields = preset(args.preset, args.tokenizer)
    if args.training.epochs != TrainFlags().epochs:
        fields.pop("max_steps", None)
    model, training = (
        {f.name: fields.pop(f.name) for f in dataclasses.fields(kind) if f.name in fields}
        for kind in (GPTConfig, TrainConfig)
    )
    return Train(preset=args.preset, model=ModelFlags(**model), training=TrainFlags(**training), **fields)


def run_train(args: Train) -> None:
    with joined() as processes:
        go_on = train_together(args, processes)
    if go_on:
        sys.exit(130)


def train_together(args: Train, processes: Processes) -> bool:
    """Train; only the leading process prints and measures. Gives back whether the run was stopped and can go on."""
    config, plan = GPTConfig(**asdict(args.model)), TrainConfig(**asdict(args.training))
    now = RUNS / datetime.now().strftime("%Y%m%d-%H%M%S")
    run_dir, kept = processes.from_leader(lambda: args.run_dir or now), None
    if args.resume:
        kept = kept_tokenizer(args, run_dir)
        plan = resumed_plan(plan, as_begun(args).training)
    tokenizer, parts, about_text = share_texts(args, kept, processes)
    config = replace(config, vocab_size=tokenizer.vocab_size)
    train_tokens, val_tokens = parts["train"].tokens, parts["val"].tokens
    torch.manual_seed(plan.seed)
    model = GPT(config)
    total = updates_to_do(plan, len(train_tokens), config.block_size, processes.count)
    fastest = processes.mean(peak(processes.device(plan.device), plan.precision)) * processes.count
    if processes.leads:
        print_expectations(args.data_path, plan, model, tokenizer, train_tokens, val_tokens, processes, fastest)
        print(f"run folder  {run_dir}", flush=True)
    seen: list[dict[str, float]] = []
    watchers = [seen.append]
    if args.tensorboard and processes.leads:
        from gptlib._watch import tensorboard

        watchers.append(tensorboard(run_dir))
    began = time.perf_counter()
    history = train(
        model,
        train_tokens,
        val_tokens,
        plan,
        tokenizer=tokenizer,
        run_dir=run_dir,
        resume=args.resume,
        on_eval=lambda record: [watch(record) for watch in watchers],
        progress=True,
        facts={"data_path": args.data_path, **about_text},
    )
    seconds, stopped = time.perf_counter() - began, history[-1]["step"] < total
    if not processes.leads:
        return stopped
    print_speed(history, len(seen), flops_per_token(config), fastest)
    if stopped:
        program = f"torchrun --nproc_per_node={processes.count} -m gptlib" if processes.together else "gptlib"
        go_on = f"{program} train --resume --run_dir {shlex.quote(str(run_dir))}"
        print(f"stopped by a signal and saved; go on with: {go_on}", file=sys.stderr)
        return True
    best, _ = load_run(run_dir, device=processes.device(plan.device))
    loss = min(record["val_loss"] for record in history)  # of the best model
    result = measure(best, tokenizer, parts["val"], is_tales=args.data_path == "tales", loss=loss)
    add_facts(run_dir, evaluation=result)
    print(f"trained for {seconds:.0f} s; the validation text: {in_words(result)}")
    val_begins = tokenizer.decode(val_tokens[:100].tolist()).replace(END_OF_TEXT, "")
    opening = " ".join(val_begins.split()[:4])
    print(f'the run is in {run_dir}; try: gptlib generate --prompt "{opening}"')
    return False


def share_texts(args: Train, kept: Tokenizer | None, processes: Processes) -> tuple[Tokenizer, dict[str, Part], Any]:
    """What `find_texts` finds; the leading process comes first, so that one downloads and learns the tokenizer."""
    found = find_texts(args, kept) if processes.leads else None
    tokenizer = processes.from_leader(lambda: found[0])
    return found or find_texts(args, tokenizer)


def print_speed(history: Sequence[dict[str, float]], n_seen: int, flops: int, fastest: float) -> None:
    """The tokens per second up to the last `n_seen` records, and the share of the measured peak that their work is."""
    spans = [(b["tokens"] - a["tokens"], b["tokens_per_second"]) for a, b in pairwise(history)]
    spans = spans[max(0, len(spans) - n_seen) :]
    if spans:
        speed = sum(tokens for tokens, _ in spans) / sum(tokens / speed for tokens, speed in spans)
        share = f"{speed * flops / fastest:.0%} of the peak (model FLOPs utilisation)"
        print(f"\nspeed       {speed:,.0f} tokens/s, {share}")


def print_expectations(
    data_path: str,
    plan: TrainConfig,
    model: GPT,
    tokenizer: Tokenizer,
    train_tokens: np.ndarray,
    val_tokens: np.ndarray,
    processes: Processes,
    fastest: float,
) -> None:
    """What is about to be done, and how long it takes at the least if nothing but products took time."""
    c, t, n = model.config, plan, processes.count
    updates = updates_to_do(t, len(train_tokens), c.block_size, n)
    per_update = t.batch_size * t.accumulation * n * c.block_size
    by_document = window_starts(train_tokens, tokenizer, c.block_size) is not None
    windows = "from the beginning of each document" if by_document else "from anywhere"
    epoch = len(train_tokens) / per_update
    sizes = f"{c.n_layer} layers, {c.n_head} heads, {c.n_embd} channels, context {c.block_size}"
    work, where = flops_per_token(c) * per_update * updates, processes.device(t.device)
    each = f", {n} processes" if processes.together else ""
    print(f"text        {data_path}: {len(train_tokens):,} tokens to train on, {len(val_tokens):,} held back")
    print(f"model       {count_parameters(model):,} parameters: {sizes}, vocabulary {c.vocab_size:,}")
    print(f"updates     {updates:,} of {per_update:,} tokens each, {epoch:,.0f} to an epoch; windows {windows}")
    print(f"work        {work / 1e12:,.1f} TFLOP on {where}, {t.precision}{each}")
    print(f"peak        {fastest / 1e9:,.0f} GFLOP/s in large products: {work / fastest:,.0f} s at the least")
    print(f"loss        begins near ln {c.vocab_size:,} = {math.log(c.vocab_size):.2f}")


# ---- eval ------------------------------------------------------------------------------------------------------------


def run_eval(args: Eval) -> None:
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir, device=device_of(args.device))
    data_path = args.data_path or facts_of(run_dir).get("data_path")
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


def measure(
    model: GPT, tokenizer: Tokenizer, part: Part, is_tales: bool, loss: float | None = None
) -> dict[str, float]:
    """Loss in nats per token, if it is not known yet, perplexity, bits per byte; on the tales floor and recall."""
    if loss is None:
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


def facts_of(run_dir: Path) -> dict[str, Any]:
    """What a run says of its making; of a model that others trained nothing is known."""
    return {} if is_pretrained(run_dir) else read_config(run_dir)["facts"]


def add_facts(run_dir: Path, **facts: Any) -> None:
    config = read_config(run_dir)
    write_json(run_dir / "config.json", config | {"facts": config["facts"] | facts})


# ---- generate --------------------------------------------------------------------------------------------------------


def run_generate(args: Generate) -> None:
    before = read_prompt(args)
    search = args.n_best is not None or bool(args.require)
    if search:
        refuse_drawing(args)
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir, device=device_of(args.device))
    print(f"[{label(run_dir)}]", file=sys.stderr, flush=True)
    shown = args.prompt or ""
    conditions = {"stop": args.stop, "min_new_tokens": args.min_new_tokens, "forbid": args.forbid}
    if search:
        wanted = {"require": args.require, "length_power": args.length_power}
        n = 1 if args.n_best is None else args.n_best
        for text, total, ids in n_best(
            model, tokenizer, before + shown, n, args.max_new_tokens, **wanted, **conditions
        ):
            print(f"log-probability {total:.2f}, {total / max(1, len(ids)):.2f} per token\n{shown}{text}\n", flush=True)
        return
    generator = torch.Generator()
    if args.seed is None:
        generator.seed()
    else:
        generator.manual_seed(args.seed)
    pieces = stream(
        model,
        tokenizer,
        before + shown,
        args.max_new_tokens,
        temperature=0.8 if args.temperature is None else args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        repetition_penalty=args.repetition_penalty,
        generator=generator,
        **conditions,
    )
    print(shown, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def read_prompt(args: Generate) -> str:
    """The text of the prompt file, or nothing; `ValueError` if there is nothing at all to go on from."""
    if args.prompt_file is not None:
        return "\n".join(documents(load_text(args.prompt_file)))
    if args.prompt is None:
        raise ValueError('there is nothing to go on from: give --prompt "Once upon a time", or --prompt_file PATH')
    return ""


def refuse_drawing(args: Generate) -> None:
    """`ValueError` for flags that mean nothing where nothing is drawn."""
    unset = {"temperature": None, "top_k": None, "top_p": None, "seed": None, "repetition_penalty": 1.0}
    for name, value in unset.items():
        if getattr(args, name) != value:
            raise ValueError(
                f"--{name} is {getattr(args, name)}, but --n_best and --require look for the likeliest text and draw "
                f"nothing: leave it out"
            )


# ---- info and doctor -------------------------------------------------------------------------------------------------


def run_info(args: Info) -> None:
    run_dir = find_run(args.run)
    model, tokenizer = load(run_dir)
    config = {"model": asdict(model.config)} if is_pretrained(run_dir) else read_config(run_dir)
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
