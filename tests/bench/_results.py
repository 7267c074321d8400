"""Keep what a bench measured, with the command, the commit and the machine it was measured on."""

import gc
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent


def keep(name: str, result: Mapping[str, Any], table: str | None = None) -> Path:
    """Write `results/<name>.json` and print it, or a table in its place."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    about = {
        "command": " ".join(["python", *(Path(a).name if Path(a).exists() else a for a in sys.argv)]),
        "commit": commit.stdout.strip() or "unknown",
        "machine": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **about_torch(),
        },
    }
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({**about, **result}, indent=2) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{path.relative_to(HERE.parent.parent)}:\n{table or text}")
    return path


def about_torch() -> dict[str, Any]:
    """Its version and threads, if the bench uses it: to import it here would slow down what does without."""
    torch = sys.modules.get("torch")
    return {"threads": torch.get_num_threads(), "torch": torch.__version__} if torch else {}


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def take_turns(tasks: Mapping[str, Callable[[], Any]], rounds: int, calls: int = 10) -> dict[str, float]:
    """Median milliseconds of one call of each task, measured by turns so that a slow moment hits all alike."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = perf_counter()
            for _ in range(calls):
                task()
            seconds[name].append((perf_counter() - began) / calls)
    return {name: median(times) * 1e3 for name, times in seconds.items()}


def race(makers: Mapping[str, Callable[[], Callable[[], Any]]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in each round, by turns. Its maker gives a new task every time, so nothing is remembered."""
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            task = make()
            gc.collect()
            began = perf_counter()
            task()
            seconds[name].append(perf_counter() - began)
    return seconds


def option(arguments: Sequence[str], name: str, default: str | None = None) -> str | None:
    """The value behind `--name` among the arguments."""
    return arguments[arguments.index(name) + 1] if name in arguments else default
