"""A script that uses gptlib as a user would: `test_wheel.py` runs it, and mypy reads it as strictly as it can."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import gptlib
from gptlib.data import encode_text, get_batch, pick_device, split_text
from gptlib.sampling import filter_logits, surprise


def learn(folder: Path) -> list[dict[str, float]]:
    """Train a small model on the first tales, and keep it."""
    text = gptlib.load_text("tales")[:20_000]
    tokenizer = gptlib.BPETokenizer.train(text, vocab_size=300)
    tokens, val_tokens = (encode_text(part, tokenizer) for part in split_text(text, val_fraction=0.2))
    sizes = gptlib.GPTConfig(vocab_size=tokenizer.vocab_size, block_size=32, n_layer=1, n_head=2, n_embd=16)
    model = gptlib.GPT(sizes)
    config = gptlib.TrainConfig(max_steps=2, batch_size=2, device="cpu")
    return gptlib.train(model, tokens, val_tokens, config, tokenizer=tokenizer, run_dir=folder)


def write(folder: Path) -> str:
    """Go on from a prompt in several ways."""
    model, tokenizer = gptlib.load(folder, device=pick_device("cpu"))
    idx = torch.tensor([tokenizer.encode("Once upon")])
    longer = gptlib.generate(model, idx, max_new_tokens=4, temperature=0.8, top_k=20, stop=tokenizer.end_id)
    bits: float = surprise(model, tokenizer, "Once upon a time").sum().item()
    pieces = list(gptlib.stream(model, tokenizer, "Once", max_new_tokens=4, stop=["."]))
    best = gptlib.n_best(model, tokenizer, "Once", n=2, max_new_tokens=4)[0]
    with gptlib.record(model) as seen:
        logits = model(idx)
    kept = filter_logits(logits[:, -1], top_p=0.9)
    assert longer.shape[0] == 1 and bits > 0 and pieces and kept.shape == (1, tokenizer.vocab_size)
    assert len(seen) == model.config.n_layer and best.log_probability < 0
    return gptlib.complete(model, tokenizer, "Once", max_new_tokens=4)


def move(folder: Path) -> gptlib.GPT:
    """To the files of Hugging Face and back."""
    model, _ = gptlib.load_run(folder)
    return gptlib.from_hf(gptlib.to_hf(model, folder / "hf"))


def look(folder: Path) -> str:
    """What the notebooks show; it needs the extra `notebooks`."""
    model, tokenizer = gptlib.load(folder)
    view = gptlib.AttentionView(model, "Once upon a time", tokenizer, mode="heat")
    pair = gptlib.side_by_side(view, gptlib.LossView.from_csv(folder))
    return str(pair.to_html()) + str(gptlib.tokens_html(tokenizer, "Once"))


def windows(text: str) -> tuple[int, ...]:
    """Batches of characters."""
    tokenizer = gptlib.CharTokenizer.train(text)
    x, y = get_batch(encode_text(text, tokenizer), batch_size=2, block_size=8)
    return (*x.shape, *y.shape)


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        history = learn(Path(place))
        print(history[-1]["step"], write(Path(place))[:4], move(Path(place)).config.n_layer, windows("abc " * 20))
