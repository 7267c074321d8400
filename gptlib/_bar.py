"""The bar that shows how far a run is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from gptlib.training import Trainer


@contextmanager
def bar(run: "Trainer", shown: bool) -> Iterator[Callable[[], None]]:
    """A bar of tokens while the block runs, if it is to be shown; the function given back moves it to where the run is.

    The first call says where it begins.
    """
    n, quiet = run.tokens_per_update, not (shown and run.processes.leads)
    with tqdm(total=run.total * n, unit=" tokens", unit_scale=True, disable=quiet) as line:

        def show() -> None:
            for loss in run.progress.losses[-1:]:
                line.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            line.update(run.progress.step * n - line.n)

        yield show
