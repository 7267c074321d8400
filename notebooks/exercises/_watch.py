"""Stops a call that does not come back, keeps what it prints from filling the page, and undoes what it sets."""

import _thread
import contextlib
import io
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SETTINGS = ("rng_state", "default_dtype", "deterministic_debug_mode")  # of torch, each with its get_ and set_
SHOWN = 2000  # characters of what a function prints: an endless loop can print a million lines in a second


class TooSlow(Exception):
    """The call took longer than it may."""


class Stopped(KeyboardInterrupt):
    """Somebody pressed the stop button; a function that raises KeyboardInterrupt by itself is no such thing."""


def limited(call: Callable[[], Any], seconds: float | None = None) -> Any:
    """What `call()` gives; after `seconds` it is interrupted, as by the stop button, and TooSlow is raised.

    Only the main thread can be interrupted; elsewhere the call runs without a limit. Code that catches everything is
    interrupted again and again, and then also at the next line, which is that of its `except`.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    over, state, traced = threading.Event(), {"over": False, "knocks": 0, "stopped": False}, sys.gettrace()

    def again(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and not state["over"]:
            raise KeyboardInterrupt
        return again

    def interrupted(number: int, frame: FrameType | None) -> None:
        state["stopped"] |= not state["knocks"]
        if state["over"]:
            return
        if state["knocks"] > 1:
            sys.settrace(again)
            while frame and frame.f_code is not limited.__code__:
                frame.f_trace, frame = again, frame.f_back
        raise KeyboardInterrupt

    def knock() -> None:
        pause = seconds
        while not over.wait(pause):
            state["knocks"] += 1
            if hasattr(signal, "pthread_kill"):  # this ends a sleep, too
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            else:
                _thread.interrupt_main()
            pause = 0.1

    watch = threading.Thread(target=knock, daemon=True)
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        if seconds is not None:
            watch.start()
        value = call()
    except BaseException:
        state["over"] = True  # first of all: from here on no interrupt raises anything
        if not state["knocks"] and not state["stopped"]:
            raise
    finally:
        state["over"] = True
        if state["knocks"] > 1:
            sys.settrace(traced)
        over.set()
        if seconds is not None:
            watch.join()  # after this nothing knocks, so that no interrupt arrives in the reader's next line
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    if state["stopped"]:
        raise Stopped
    if state["knocks"]:
        raise TooSlow
    return value


class Page(io.StringIO):
    """Takes what is printed, up to a length, and cannot be closed."""

    def write(self, text: str) -> int:
        return super().write(text[: max(0, SHOWN + 1 - self.tell())])

    def close(self) -> None:
        """A function may close what it prints to."""


@contextlib.contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """What is printed meanwhile is kept back, and with `on=False` printed afterwards, cut where it is endless."""
    page = Page()
    try:
        with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
            yield
    finally:
        text = page.getvalue()
        if text and not on:
            print(text[:SHOWN] + ("...\n" if len(text) > SHOWN else ""), end="")


@contextlib.contextmanager
def same_world(seed: str) -> Iterator[None]:
    """Global random numbers begin with `seed`; afterwards they and the settings of torch are as they were."""
    kept = [(random.getstate, random.setstate), (os.getcwd, os.chdir)]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy:
        kept += [(numpy.random.get_state, numpy.random.set_state)]
    if torch:
        kept += [(getattr(torch, f"get_{name}"), getattr(torch, f"set_{name}")) for name in SETTINGS]
        kept += [(torch.is_grad_enabled, torch.set_grad_enabled)]
    before = [(put, get()) for get, put in kept]
    random.seed(seed)
    if torch:
        torch.manual_seed(random.getrandbits(32))
    if numpy:
        numpy.random.seed(random.getrandbits(32))
    try:
        yield
    finally:
        for put, value in before:
            put(value)
