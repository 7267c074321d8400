"""`AttentionView` in Chromium: from the input to the painted frame, and how much has to be sent; beside bertviz.

    python tests/bench/bench_views.py [--rounds 40]

The pages are the ones of `to_html`, opened from disk; the mouse and the keys are real ones, sent by playwright. A time
runs from the event's own time stamp to the first task after the frame in which the view drew. bertviz is measured in
the same run where it can be imported (its views need a network, so only what it makes is measured, not what it draws).
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from _results import keep, option
from torch import Tensor

from gptlib._attention_view import AttentionView

SIZES = [(12, 12, 128), (12, 12, 256)]
LIMITS = {"hover": 20, "layer": 60}  # milliseconds, at 128 tokens
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
WATCH = """(kind) => {
    const root = document.querySelector('.gptlib-attention');
    window.times = [];
    window.drawn = root.dataset.draws;
    window.watching?.abort();
    window.watching = new AbortController();
    window.addEventListener(kind, (event) => {
        requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = () => {
                if (root.dataset.draws === window.drawn) return;  // this input changed nothing
                window.drawn = root.dataset.draws;
                window.times.push(performance.now() - event.timeStamp);
            };
            channel.port2.postMessage(0);
        });
    }, { capture: true, signal: window.watching.signal });
}"""


def random_weights(L: int, H: int, T: int) -> Tensor:
    """Causal attention that is sharp in places, as in a trained model."""
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(L, H, T, T, generator=generator)
    return scores.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -torch.inf).softmax(-1)


def tokens_of(T: int) -> list[str]:
    return [f"word{t}" for t in range(T)]


@contextmanager
def opened(view: AttentionView) -> Iterator[Any]:
    """The view in Chromium, as a page."""
    from playwright.sync_api import sync_playwright

    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(view.to_html(Path(folder) / "view.html").as_uri())
        page.wait_for_selector(".gptlib[data-ready]")
        yield page
        browser.close()


def measured(page: Any, kind: str, inputs: list[Callable[[], None]]) -> dict[str, float]:
    """Milliseconds from each of these inputs to the frame that shows it."""
    inputs[0]()
    page.wait_for_timeout(200)
    page.evaluate(WATCH, kind)
    for number, act in enumerate(inputs[1:], start=1):
        act()
        page.wait_for_function(f"window.times.length >= {number}", timeout=10_000)
    times = sorted(page.evaluate("window.times"))
    return {"median": round(median(times), 1), "p95": round(times[int(0.95 * len(times))], 1), "n": len(times)}


def hovers(page: Any, mode: str, rounds: int) -> dict[str, float]:
    """The mouse goes from token to token, or from cell to cell of the map."""
    if mode == "heat":
        page.locator(".map").evaluate("(el) => el.scrollIntoView()")
        box = page.locator(".map canvas").first.bounding_box()
        places = [(box["x"] + 120 + 9 * n, box["y"] + 140 + 9 * n) for n in range(rounds + 1)]
    else:
        items = page.locator(".tokens").first.locator(".token")
        boxes = [items.nth(n).bounding_box() for n in range(rounds + 1)]
        places = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes]
    return measured(page, "mousemove", [lambda place=place: page.mouse.move(*place) for place in places])


def layers(page: Any, rounds: int) -> dict[str, float]:
    """Page Down and Page Up, all the way there and back."""
    page.mouse.move(5, 5)
    page.locator(".tokens .token[tabindex='0']").first.focus()
    keys = (["PageDown"] * 11 + ["PageUp"] * 11) * (rounds // 22 + 1)
    return measured(page, "keydown", [lambda key=key: page.keyboard.press(key) for key in keys[: rounds + 1]])


def view_times(weights: Tensor, rounds: int) -> dict[str, Any]:
    T = weights.size(-1)
    result: dict[str, Any] = {}
    for mode in ("lines", "heat", "grid", "neuron"):
        q, k = torch.randn(2, *weights.shape[:3], 64, generator=torch.Generator().manual_seed(1))
        vectors = {"q": q, "k": k} if mode == "neuron" else {}
        with opened(AttentionView(weights, tokens_of(T), mode=mode, **vectors)) as page:
            result[mode] = {"hover_ms": hovers(page, mode, rounds), "layer_ms": layers(page, rounds)}
            print(T, mode, result[mode], flush=True)
    return result


def sizes(weights: Tensor) -> dict[str, float]:
    """What has to be sent, in megabytes, and the seconds to make it."""
    tokens, result = tokens_of(weights.size(-1)), {}
    for dtype in ("u8", "f32"):
        began = perf_counter()
        view = AttentionView(weights, tokens, dtype=dtype)
        result[f"{dtype}_seconds"] = round(perf_counter() - began, 3)
        result[f"{dtype}_mb"] = round(len(view.weights) / 1e6, 2)
        result[f"{dtype}_to_html_mb"] = round(len(view.to_html()) / 1e6, 2)
    return result


def bertviz_sizes(weights: Tensor) -> dict[str, float] | None:
    """The same for bertviz's head view, or None where it is not installed."""
    try:
        from bertviz import head_view
    except ImportError:
        return None
    began = perf_counter()
    html = head_view([layer[None] for layer in weights], tokens_of(weights.size(-1)), html_action="return")
    return {"seconds": round(perf_counter() - began, 2), "mb": round(len(html.data.encode()) / 1e6, 2)}


def main() -> None:
    rounds = int(option(sys.argv, "--rounds", "40"))
    load = round(os.getloadavg()[0], 1)  # of other work on this machine, which makes every frame late
    result: dict[str, Any] = {"rounds": rounds, "limits_ms": LIMITS, "load_before": load}
    for L, H, T in SIZES:
        weights = random_weights(L, H, T)
        result[f"{L}x{H}x{T}"] = {
            "attention_view": sizes(weights) | view_times(weights, rounds),
            "bertviz_head_view": bertviz_sizes(weights),
        }
    keep("views", result)


if __name__ == "__main__":
    main()
