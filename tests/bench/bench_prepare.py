"""`gptlib prepare` on tales that were never told before: megabytes a second, and the memory of all its processes.

    python tests/bench/bench_prepare.py [--megabytes 60] [--gigabyte]

The whole command is timed, from its start to its end, the tokenizer included. `--gigabyte` measures a text of 1,000 MB
instead and needs 4 GB of disk; each of the two leaves what the other found.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _results import HERE, keep, option

from gptlib._token_files import read_header
from gptlib.corpora import tales

SEED = 5000  # of the first corpus; the package's own has another
VOCAB_SIZE = 8192


def write_tales(path: Path, megabytes: float) -> int:
    """Fill a file with tales of one seed after the other, and give back its size in bytes."""
    seeds = count(SEED)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while file.tell() < megabytes * 1e6:
            file.write(f"{tales.corpus(2000, next(seeds))}\n{tales.END_OF_TEXT}\n")
        return file.tell()


def measure(path: Path, engine: str) -> dict[str, Any]:
    """Prepare a text; what came of it, how fast, and the most memory that its processes had at one time."""
    out = path.with_name(f"{path.stem}-{engine}")
    command = [sys.executable, "-m", "gptlib", "prepare", str(path), "--out", str(out), "--vocab_size", str(VOCAB_SIZE)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--engine", engine], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    peak = {"rss": 0.0, "pss": 0.0}
    watcher = threading.Thread(target=watch, args=(process, peak))
    watcher.start()
    process.communicate()
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode:
        raise SystemExit(f"the command failed: {' '.join(command)}")
    headers = [read_header(out / f"{part}.tokens") for part in ("train", "val")]
    return {
        "seconds": round(seconds, 2),
        "megabytes_per_second": round(path.stat().st_size / 1e6 / seconds, 1),
        "peak_megabytes": {name: round(value) for name, value in peak.items()} if peak["rss"] else None,
        "tokens": sum(header["count"] for header in headers),
        "tokenizer": headers[0]["tokenizer"][:8],
    }


def watch(process: subprocess.Popen, peak: dict[str, float]) -> None:
    """Ask twenty times a second how much memory a process and those below it have; Linux only."""
    while process.poll() is None and Path("/proc/self/smaps_rollup").exists():
        found = [memory_of(pid) for pid in [process.pid, *children_of(process.pid)]]
        for name in peak:
            peak[name] = max(peak[name], sum(memory[name] for memory in found))
        time.sleep(0.05)


def children_of(pid: int) -> Iterator[int]:
    """The processes that this one started, and theirs."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, tasks.read_text(encoding="ascii").split()):
                yield from (child, *children_of(child))
        except OSError:  # ended meanwhile
            continue


def memory_of(pid: int) -> dict[str, float]:
    """Megabytes in memory (`rss`), and with what is shared counted in shares (`pss`)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {"rss": 0.0, "pss": 0.0}
    kilobytes = {line.split(":")[0].lower(): int(line.split()[1]) for line in lines}
    return {name: kilobytes[name] * 1024 / 1e6 for name in ("rss", "pss")}


if __name__ == "__main__":
    gigabyte = "--gigabyte" in sys.argv
    megabytes = 1000.0 if gigabyte else float(option(sys.argv, "--megabytes", "60"))
    with TemporaryDirectory() as folder:
        path = Path(folder, "tales.txt")
        size = write_tales(path, megabytes)
        found = {engine: measure(path, engine) for engine in (["auto"] if gigabyte else ["tiktoken", "own"])}
    if len({(one["tokens"], one["tokenizer"]) for one in found.values()}) > 1:
        raise SystemExit(f"the engines disagree: {found}")
    results = HERE / "results" / "prepare.json"
    before = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    measured = {"text_megabytes": round(size / 1e6, 1), "vocab_size": VOCAB_SIZE, **found}
    names = ("a_gigabyte", "some") if gigabyte else ("some", "a_gigabyte")
    keep("prepare", {names[0]: measured, names[1]: before.get(names[1])})
