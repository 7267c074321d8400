"""Let Ctrl-C, and the signal by which a scheduler takes a machine back, wait for a good moment."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupt_later() -> Iterator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C or SIGTERM only raises a flag, which the function given back reads.

    A second one stops. Python lets the main thread alone listen to signals. In another thread, or where a program has
    its own way with a signal, nothing is changed for it, and it raises no flag.
    """
    asked = False

    def listen(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    untouched = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if threading.current_thread() is not threading.main_thread():
        untouched = {}
    untouched = {number: usual for number, usual in untouched.items() if signal.getsignal(number) is usual}
    for number in untouched:
        signal.signal(number, listen)
    try:
        yield lambda: asked
    finally:
        for number, usual in untouched.items():
            signal.signal(number, usual)


def interrupts(call: Callable[..., object], *arguments: object) -> bool:
    """Call something; whether it ended with Ctrl-C."""
    try:
        call(*arguments)
    except KeyboardInterrupt:
        return True
    return False
