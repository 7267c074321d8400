"""The command `gptlib`, also called as `python -m gptlib`: it reads the flags, and answers a mistake with one sentence.

`gptlib prepare` stands here, and the commands that need a model in `_commands`: preparing a text needs no torch, which
would take a second to import and 200 MB of memory.
"""

import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from gptlib._prepare import LEARNED, available_cores, prepare


@dataclass(frozen=True)
class Prepare:
    """Turn a text of any size into a tokenizer and token files to train from, on all cores; a stop costs little."""

    source: tyro.conf.Positional[str | None] = None
    """a text file in UTF-8, a gzip, a folder of .txt files, or tales, pydocs or tinyshakespeare"""
    data_path: str | None = None
    """the same as source, named as in the other commands"""
    out: Path | None = None
    """the folder to write into; by default prepared/NAME"""
    vocab_size: int = LEARNED
    """tokens of the vocabulary that is learned"""
    tokenizer: str = "bpe"
    """bpe (learned from the text), char, or the path of a tokenizer.json"""
    sample_mb: float = 16
    """megabytes to learn the tokenizer from, spread evenly over the training part; 0 takes all of it"""
    val_fraction: float = 0.1
    """the share at the end that is held back for validation, 1 MB at most"""
    workers: int | None = None
    """processes that encode; by default one per core"""
    engine: Literal["auto", "own", "tiktoken"] = "auto"
    """what encodes, with the same ids: auto takes tiktoken if it is installed"""


def run_prepare(args: Prepare) -> None:
    """Prepare a text and say what came of it."""
    if bool(args.source) == bool(args.data_path):
        raise ValueError(
            "name the text to prepare, once: gptlib prepare big.txt, or gptlib prepare --data_path big.txt"
        )
    source = args.source or args.data_path
    out = args.out or Path("prepared") / Path(source).resolve().name.removesuffix(".gz").removesuffix(".txt")
    report = prepare(
        source,
        out,
        vocab_size=args.vocab_size,
        tokenizer=args.tokenizer,
        sample_mb=args.sample_mb,
        val_fraction=args.val_fraction,
        workers=args.workers,
        engine=args.engine,
        progress=True,
    )
    if report.was_finished:
        print(f"{out} is prepared already: nothing was done")
    print(f"tokenizer   {report.tokenizer.vocab_size:,} tokens, {report.tokenizer.fingerprint[:8]}")
    for part, header in report.headers.items():
        count, n_bytes = header["count"], header["text_bytes"]
        print(f"{part:12}{count:,} tokens of {header['dtype']} for {n_bytes:,} bytes, {n_bytes / count:.2f} each")
    if not report.was_finished:
        speed = sum(header["text_bytes"] for header in report.headers.values()) / 1e6 / report.seconds
        print(f"time        {report.seconds:.1f} s, {speed:.1f} MB/s, {args.workers or available_cores()} workers")
    print(f"go on with: gptlib train --data_path {shlex.quote(str(out))}")


def main(argv: list[str] | None = None) -> None:
    """Run a command; what a user can mend is answered with one sentence and exit status 2."""
    argv = sys.argv[1:] if argv is None else argv
    warnings.showwarning = lambda message, *_: print(f"gptlib: {message}", file=sys.stderr)
    try:
        if argv[:1] == ["prepare"]:
            run_prepare(tyro.cli(Prepare, prog="gptlib prepare", args=argv[1:], use_underscores=True))
        else:
            run_command(argv)
    except (ValueError, FloatingPointError, ModuleNotFoundError, OSError, MemoryError) as error:
        sys.exit(complain(error))
    except KeyError as error:
        sys.exit(complain(error.args[0]))
    except KeyboardInterrupt:
        sys.exit(130)


def run_command(argv: list[str]) -> None:
    """Run a command that needs a model, or show what commands there are."""
    from gptlib import _commands as c
    from gptlib._processes import told_once

    args = told_once(lambda: read_flags(argv))
    c.RUN[type(args)](args)


def read_flags(argv: list[str]) -> Any:
    """A command with its flags; what is not said comes from a preset, or from the run that goes on."""
    from gptlib import _commands as c

    args = parse(argv, c.Train())
    if isinstance(args, c.Train) and args.resume:
        return parse(argv, c.as_begun(args))
    if isinstance(args, c.Train) and args.preset:
        return parse(argv, c.from_preset(args))
    return args


def parse(argv: list[str], train: Any) -> Any:
    """What the flags say, or show what commands there are; `train` is what a training is that has no flags."""
    from gptlib import _commands as c

    command = (
        Annotated[c.Train, tyro.conf.subcommand("train", default=train)]
        | Annotated[c.Generate, tyro.conf.subcommand("generate")]
        | Annotated[c.Eval, tyro.conf.subcommand("eval")]
        | Annotated[Prepare, tyro.conf.subcommand("prepare")]
        | Annotated[c.Info, tyro.conf.subcommand("info")]
        | Annotated[c.Doctor, tyro.conf.subcommand("doctor")]
    )
    about = "The commands of gptlib: prepare a text, train on it, measure, and write on from a prompt."
    return tyro.cli(command, prog="gptlib", description=about, args=argv, use_underscores=True)


def complain(sentence: object) -> int:
    print(f"gptlib: {sentence}", file=sys.stderr)
    return 2
