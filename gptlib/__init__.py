"""gptlib: a GPT built from an empty file in numbered notebooks, and used with one line.

    import gptlib
    model, tokenizer = gptlib.load("tales")
    print(gptlib.complete(model, tokenizer, "Once upon a time"))

Each module comes from the notebook of the same name. What is listed in `__all__` is imported on first use, so that
`import gptlib` takes milliseconds and asks for nothing that is not needed.
"""

from importlib import import_module
from typing import Any

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
    "load_run": "training",
    "save_run": "training",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"gptlib has no {name!r}; it offers {', '.join(_HOME)}, and its modules by their names")
    try:
        module = import_module(f"gptlib.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gptlib"):
            raise
        raise ModuleNotFoundError(
            f"gptlib.{name} needs {error.name}, which is not installed: pip install {error.name}", name=error.name
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
