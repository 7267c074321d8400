"""Stops a call that does not come back, and keeps what it prints from filling the page."""

import _thread
import contextlib
import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class TooSlow(Exception):
    """The call took longer than it may."""


def limited(call: Callable[[], Any], seconds: float) -> Any:
    """What `call()` gives; after `seconds` it is interrupted, as by the stop button, and TooSlow is raised.

    Only the main thread can be interrupted; elsewhere the call runs without a limit.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    lock, state = threading.Lock(), {"running": True, "fired": False}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, nothing can be stopped

    def stop() -> None:
        with lock:
            if state["running"]:
                state["fired"] = True
                _thread.interrupt_main()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    try:
        timer.start()
        value = call()
        with lock:
            state["running"] = False
        if state["fired"]:
            time.sleep(1)  # the interrupt is on its way: let it arrive here, and not in the reader's next line
    except KeyboardInterrupt:
        if state["fired"]:
            raise TooSlow from None
        raise
    finally:
        timer.cancel()
        with lock:
            state["running"] = False
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    return value


@contextlib.contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Nothing is printed meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()) if on else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def same_dice(seed: str) -> Iterator[None]:
    """Global random numbers begin with `seed` and go on afterwards as if nothing had been drawn."""
    import random

    before = random.getstate()
    random.seed(seed)
    torch = sys.modules.get("torch")
    torch_before = torch.get_rng_state() if torch else None
    if torch:
        torch.manual_seed(random.getrandbits(32))
    try:
        yield
    finally:
        random.setstate(before)
        if torch:
            torch.set_rng_state(torch_before)
