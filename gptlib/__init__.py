"""gptlib: a GPT built from an empty file in numbered notebooks, and used with one line.

    import gptlib
    model, tokenizer = gptlib.load("tales")
    print(gptlib.complete(model, tokenizer, "Once upon a time"))

Each module comes from the notebook of the same name. What is listed in `__all__` is imported on first use, so that
`import gptlib` takes milliseconds and asks for nothing that is not needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors: the names of `_HOME`, which they cannot follow
    from gptlib._attention_view import AttentionView as AttentionView
    from gptlib._loss_view import LossView as LossView
    from gptlib._n_best import n_best as n_best
    from gptlib._run_folder import load_run as load_run
    from gptlib._run_folder import save_run as save_run
    from gptlib._runs import load as load
    from gptlib._sampler_view import SamplerView as SamplerView
    from gptlib._token_html import merges_html as merges_html
    from gptlib._token_html import tokens_html as tokens_html
    from gptlib._token_view import TokenView as TokenView
    from gptlib._widget import side_by_side as side_by_side
    from gptlib.data import load_text as load_text
    from gptlib.model import GPT as GPT
    from gptlib.model import GPTConfig as GPTConfig
    from gptlib.model import record as record
    from gptlib.pretrained import from_hf as from_hf
    from gptlib.pretrained import gpt2_tokenizer as gpt2_tokenizer
    from gptlib.pretrained import load_pretrained as load_pretrained
    from gptlib.pretrained import to_hf as to_hf
    from gptlib.sampling import complete as complete
    from gptlib.sampling import generate as generate
    from gptlib.sampling import stream as stream
    from gptlib.tokenizer import BPETokenizer as BPETokenizer
    from gptlib.tokenizer import CharTokenizer as CharTokenizer
    from gptlib.tokenizer import load_tokenizer as load_tokenizer
    from gptlib.training import TrainConfig as TrainConfig
    from gptlib.training import train as train
    from gptlib.viz import logit_lens as logit_lens

__version__ = "0.1.0"

_HOME = {
    "load": "_runs",
    "load_tokenizer": "tokenizer",
    "BPETokenizer": "tokenizer",
    "CharTokenizer": "tokenizer",
    "load_text": "data",
    "GPT": "model",
    "GPTConfig": "model",
    "record": "model",
    "TrainConfig": "training",
    "train": "training",
    "load_run": "_run_folder",
    "save_run": "_run_folder",
    "generate": "sampling",
    "stream": "sampling",
    "complete": "sampling",
    "n_best": "_n_best",
    "from_hf": "pretrained",
    "to_hf": "pretrained",
    "gpt2_tokenizer": "pretrained",
    "load_pretrained": "pretrained",
    "AttentionView": "_attention_view",
    "TokenView": "_token_view",
    "SamplerView": "_sampler_view",
    "LossView": "_loss_view",
    "side_by_side": "_widget",
    "logit_lens": "viz",
    "tokens_html": "_token_html",
    "merges_html": "_token_html",
}

__all__ = ["__version__", *_HOME]

# Which extra brings a module that only some of these names need.
_EXTRA = dict.fromkeys(("anywidget", "ipywidgets", "traitlets", "matplotlib", "PIL"), "gptlib[notebooks]")


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(
                f"gptlib has no {name!r}; it offers {', '.join(_HOME)}, and its modules by their names"
            )
        try:
            module = import_module(f"gptlib.{_HOME[name]}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("gptlib"):
                raise
            way_out = f"pip install '{_EXTRA.get(error.name, error.name)}'"
            sentence = f"gptlib.{name} needs {error.name}, which is not installed: {way_out}"
            raise ModuleNotFoundError(sentence, name=error.name) from error
        return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
