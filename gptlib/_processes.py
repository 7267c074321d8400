"""Several processes that train one model, as `torchrun` starts them: who is which, and what they tell each other.

The small values here always travel between the CPUs, also where the gradients travel between GPUs: so nobody waits for
a GPU to learn whether somebody pressed Ctrl-C, and a process that is gone is noticed at once.
"""

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gptlib.data import pick_device

T = TypeVar("T")
LAUNCHED = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}  # what torchrun puts into the environment
START = timedelta(minutes=5)  # to find each other
PATIENCE = timedelta(hours=2)  # for the first one's evaluation; who dies is noticed without a clock
LAST_WORDS = 20.0  # seconds that a process has to stop after a signal; torchrun kills it after 30
LOST = re.compile("peer|socket|connection|broken pipe|timed out|gloo|nccl|tcpstore", re.IGNORECASE)
ASKED = threading.Event()  # to stop, by the SIGTERM with which torchrun ends the rest when one has died
DIED = (
    "another process of this run died, so it ends here: find out why in what was printed above; the run folder keeps "
    "the last saved state, and the same command with resume goes on from it"
)


@dataclass(frozen=True)
class Processes:
    """One process among `count`; alone, everything here gives back what it was given."""

    rank: int = 0
    count: int = 1
    together: bool = False  # whether there is a group, which may have a single member

    @property
    def leads(self) -> bool:
        """Whether this one writes, prints and evaluates."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device of a configuration: among several GPUs each process takes its own."""
        device = pick_device(None if name == "auto" else name)
        if self.together and device.type == "cuda" and device.index is None:
            device = pick_device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
            torch.cuda.set_device(device)
        return device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients that are averaged over all processes while `backward` computes them."""
        return DistributedDataParallel(model) if self.together else model

    def averaging(self, wrapped: nn.Module, now: bool) -> AbstractContextManager[Any]:
        """For a forward and a backward pass: average the gradients `now`, or let them gather here for later."""
        return wrapped.no_sync() if self.together and not now else nullcontext()

    def own(self, batches: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, float]]:
        """This one's rows of batches that all have drawn, each with a weight for the mean loss of these rows.

        The mean over processes of the weighted losses, added up, is the mean loss over all targets of all the batches.
        """
        count = sum(int((y >= 0).sum()) for _, y in batches)
        rows = [(x.chunk(self.count)[self.rank], y.chunk(self.count)[self.rank]) for x, y in batches]
        return [(x, y, int((y >= 0).sum()) * self.count / count) for x, y in rows]

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        return self._reduced(value, dist.ReduceOp.SUM) / self.count

    def any_stops(self, asked: bool) -> bool:
        """Whether one of the processes was asked to stop: all of them get the same answer, and stop at one place."""
        return self._reduced(float(asked or ASKED.is_set()), dist.ReduceOp.MAX) > 0

    def from_leader(self, make: Callable[[], T]) -> T:
        """What the leading process makes, for all."""
        if not self.together:
            return make()
        box = [make() if self.leads else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        if not self.together:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def _reduced(self, value: float, operation: Any) -> float:
        if not self.together:
            return value
        number = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(number, operation)
        return number.item()


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Inside the block the processes that torchrun started are a group; without torchrun, this one is alone.

    A group that stands already is used and left standing. `ConnectionError` if they do not find each other, and if one
    of them dies on the way. When all fail, only the first says why; the others leave without a word.
    """
    if dist.is_available() and dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size(), together=True)
    elif os.environ.keys() >= LAUNCHED:
        store = start()
        try:
            with last_words(store), noticing_deaths():
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, lambda *_: ASKED.set())
                yield Processes(dist.get_rank(), dist.get_world_size(), together=True)
        except Exception as error:
            if is_first(store):
                raise
            raise SystemExit(2) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not after a failure: there is still a sentence to be said
        dist.destroy_process_group()
    else:
        yield ALONE


def start() -> Any:
    """Meet the others; give back the store that all of them see."""
    rank, count, host, port = (os.environ[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
    if not dist.is_available():
        raise ValueError(f"there are {count} processes, and this torch was built to run alone: start gptlib by itself")
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, *_ = next(dist.rendezvous("env://", int(rank), int(count), timeout=START))
        backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=int(rank), world_size=int(count), timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ConnectionError(
            f"process {rank} of {count} did not find the others at {host}:{port} ({str(error).splitlines()[0]}): "
            f"start all of them with torchrun, with a free port, on machines that reach each other"
        ) from error
    return store


def is_first(store: Any) -> bool:
    """Whether no process has said yet why the run ends: one sentence is enough."""
    try:
        return store.add("told", 1) == 1
    except RuntimeError:  # whoever kept the store is gone
        return True


@contextmanager
def noticing_deaths() -> Iterator[None]:
    """Turn what torch says when a process does not answer any more into one sentence."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or not LOST.search(str(error)):
            raise
        raise ConnectionError(DIED) from error


@contextmanager
def last_words(store: Any, seconds: float = LAST_WORDS) -> Iterator[None]:
    """When a process is asked to stop and hangs, because it waits for one that is gone, let it end with a sentence.

    Python runs a signal's handler between two of its own lines, which never come while a GPU waits for another one. A
    thread hears of the signal all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    ended = threading.Event()

    def listen() -> None:
        while number := os.read(read, 1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not ended.wait(seconds):
                if is_first(store):
                    print(
                        f"gptlib: asked to stop, this process waited {seconds:.0f} s in vain: {DIED}", file=sys.stderr
                    )
                os._exit(1)

    listener = threading.Thread(target=listen, daemon=True)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        os.close(write)  # the thread reads an end
        listener.join()
        os.close(read)


def told_once(make: Callable[[], T]) -> T:
    """What all processes make alike before they meet: if it cannot be made, the first one alone says so."""
    if not os.environ.keys() >= LAUNCHED or os.environ["RANK"] == "0":
        return make()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return make()
    except Exception:
        sys.exit(2)
