"""SamplerView: the bars are the distribution that is drawn from, on known logits and against `generate`."""

import json
import math
import warnings
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("anywidget")
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptlib._sampler_view import SamplerView, percent
from gptlib.data import pick_device
from gptlib.model import GPT, GPTConfig
from gptlib.sampling import generate, prompt_ids, surprise
from gptlib.tokenizer import END_OF_TEXT, BPETokenizer, CharTokenizer

CHARS = CharTokenizer("abcdefg \n")
END = CHARS.end_id
ENDLESS = CharTokenizer("abcdefg \n", special_tokens=("|",))
BYTES = BPETokenizer.train("the cat sat on the mat " * 3, vocab_size=270)


def tiny(vocab_size: int = CHARS.vocab_size, block_size: int = 8) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size, block_size=block_size, n_layer=2, n_head=2, n_embd=16))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)  # so that tokens differ in probability
    return model.to(pick_device())


MODEL = tiny()


class Known(GPT):
    """A model of known probabilities: the last token alone decides what comes next."""

    def __init__(self, probabilities: torch.Tensor) -> None:
        super().__init__(GPTConfig(len(probabilities), block_size=64, n_layer=1, n_head=1, n_embd=2))
        self.table = probabilities.log()

    def forward(self, idx: torch.Tensor, cache: Any = None) -> torch.Tensor:
        return self.table[idx.cpu()]


SHARES = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.04, 0.03, 0.01, 0.01, 0.005, 0.005])
KNOWN = Known(SHARES.expand(10, 10))


def expected(temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """The distribution of `SHARES` after the filters, with plain numbers: they stand in falling order."""
    shares = SHARES.double().tolist()
    if temperature == 0:
        return [1.0] + [0.0] * 9
    shares = [p ** (1 / temperature) for p in shares]
    shares = [p if place < (top_k or 10) else 0.0 for place, p in enumerate(shares)]
    total, before = sum(shares), 0.0
    kept = []
    for p in shares:
        kept.append(p if before < (top_p or 1.0) * total - 1e-9 else 0.0)
        before += p
    return [p / sum(kept) for p in kept]


@pytest.mark.parametrize("temperature", [0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 7, 50])
@pytest.mark.parametrize("top_p", [None, 0.3, 0.85, 1.0])
def test_the_bars_are_the_filtered_distribution(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Own and filtered, by hand; cut is what has no chance; the shown and the rest add up to one."""
    view = SamplerView(KNOWN, CHARS, "a", temperature=temperature, top_k=top_k, top_p=top_p, bars=6)
    bars, (n, own, now, kept) = view.shown["bars"], view.shown["rest"]
    wanted = expected(temperature, top_k, top_p)
    assert [bar[0] for bar in bars] == list(range(6)) and n == 4
    assert [bar[3] for bar in bars] == pytest.approx(SHARES[:6].tolist(), rel=1e-4)
    assert [bar[4] for bar in bars] == pytest.approx(wanted[:6], abs=1e-5)
    assert [bool(bar[5]) for bar in bars] == [p > 0 for p in wanted[:6]]
    assert (own, now) == (pytest.approx(SHARES[6:].sum().item()), pytest.approx(sum(wanted[6:]), abs=1e-5))
    assert kept == sum(p > 0 for p in wanted)


def test_what_is_shown_is_how_often_it_is_drawn() -> None:
    """300 draws; five standard deviations. And never one that is cut."""
    view = SamplerView(KNOWN, CHARS, "a", temperature=1.5, top_k=5, top_p=0.9)
    seen = Counter()
    for _ in range(300):
        seen[view.sample()] += 1
        view.undo()
    for i, *_, now, kept in view.shown["bars"]:
        assert abs(seen[i] / 300 - now) <= 5 * math.sqrt(now * (1 - now) / 300)
        assert kept or not seen[i]


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0}, {"temperature": 1.7, "top_k": 6}, {"temperature": 0.7, "top_p": 0.8}]
)
@pytest.mark.parametrize("prompt", ["ab", "abcabcabcabc"])
def test_the_path_is_what_generate_writes(prompt: str, settings: dict[str, Any]) -> None:
    """The same seed, token for token, with the cache and past the end of the context of eight."""
    view = SamplerView(MODEL, ENDLESS, prompt, seed=5, **settings)
    path = [view.sample() for _ in range(16)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        idx = prompt_ids(MODEL, ENDLESS, prompt)
    generator = torch.Generator().manual_seed(5)
    assert path == generate(MODEL, idx, 16, generator=generator, **settings)[0, idx.size(1) :].tolist() == view.path
    view.reset()
    assert [view.sample() for _ in range(3)] == path[:3], "reset begins the draws anew"


@pytest.mark.parametrize("tokenizer", [CHARS, CharTokenizer("abcdefg \n", special_tokens=())], ids=["end", "no end"])
def test_the_surprise_of_a_path_is_that_of_its_text(tokenizer: CharTokenizer) -> None:
    """It is the model's own, whatever the filters are. For a shift by one, and for the filtered probability instead."""
    model = tiny(tokenizer.vocab_size, block_size=16)
    view = SamplerView(model, tokenizer, "abc", temperature=0.3, top_k=2)
    view.path = tokenizer.encode("gab fe")
    bits = surprise(model, tokenizer, "abcgab fe")[-6:].tolist()
    shown = [p for *_, p in view.shown["path"]]
    assert shown == pytest.approx([2**-b for b in bits], rel=1e-4)
    assert view.bits == pytest.approx(sum(bits), rel=1e-5) == view.shown["bits"]
    assert view.perplexity == pytest.approx(2 ** (sum(bits) / 6), rel=1e-5) == view.shown["perplexity"]
    assert view.text == "abcgab fe"


PATHS = st.lists(st.lists(st.integers(0, CHARS.vocab_size - 2), max_size=9), min_size=1, max_size=4)


@given(PATHS)
def test_however_a_path_came_about_its_bars_are_those_of_its_ids(paths: list[list[int]]) -> None:
    """Forward, back and sideways, within the context and past it. For a cache that keeps what was taken back."""
    view = SamplerView(MODEL, CHARS, "ab", bars=CHARS.vocab_size)
    for path in paths:
        view.path = path
        ids = (prompt_ids(MODEL, CHARS, "ab")[0].tolist() + path)[-8:]
        with torch.no_grad():
            own = MODEL(torch.tensor([ids], device=pick_device()))[0, -1].softmax(-1).cpu()
        assert {bar[0]: bar[3] for bar in view.shown["bars"]} == pytest.approx(dict(enumerate(own.tolist())), abs=1e-5)
        shares = [bar[3] for bar in view.shown["bars"]]
        assert shares == sorted(shares, reverse=True)


def test_the_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One token is read at a time, and nothing is read for another temperature."""
    view, sizes = SamplerView(MODEL, CHARS, "abc"), []
    view.model.register_forward_pre_hook(lambda _, given: sizes.append(given[0].size(1)))
    view.take(1)
    view.take(2)
    view.temperature, view.top_k = 0.5, 3
    view.undo(2)
    assert sizes == [1, 1]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = tiny().train(training)
    model.config = GPTConfig(**{**vars(model.config), "dropout": 0.5})
    view = SamplerView(model, CHARS, "ab")
    view.take(1)
    assert model.training is training
    twin = SamplerView(model, CHARS, "ab")
    twin.take(1)
    assert view.shown == twin.shown, "no dropout"


# ---- taking and going back


def test_steps_can_be_taken_back_one_by_one() -> None:
    view = SamplerView(MODEL, CHARS, "ab")
    states = [view.shown]
    for i in (3, 0, 5):
        view.take(i)
        states.append(view.shown)
    assert view.path == [3, 0, 5] and [row[0] for row in view.shown["path"]] == [3, 0, 5]
    for state in states[-2::-1]:
        view.undo()
        assert view.shown == state
    view.undo()
    assert view.path == []
    view.path = [3, 0, 5]
    assert [bar[3] for bar in view.shown["bars"]] == pytest.approx([bar[3] for bar in states[-1]["bars"]], rel=1e-4)
    view.undo(2)
    assert view.path == [3]
    view.undo(9)
    assert view.path == []


def test_taking_the_mark_ends_the_text() -> None:
    view = SamplerView(MODEL, CHARS, "ab")
    assert view.shown["end"] == END and not view.ended
    view.take(1)
    view.take(END)
    assert view.ended and view.text == "ab" + CHARS.decode([1]) and view.shown["bars"] == []
    view.undo()
    assert not view.ended and view.shown["bars"]


def test_without_a_mark_nothing_ends() -> None:
    view = SamplerView(MODEL, ENDLESS, "ab")
    view.take(END)
    assert not view.ended and view.shown["end"] == -1 and view.text == "ab|"


def test_it_says_what_the_model_does_not_see() -> None:
    """And warns nobody: a notebook would print that."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = SamplerView(MODEL, CHARS, "abcabc")  # with the mark in front seven of eight
        assert view.shown["note"] == ""
        view.path = [1, 1]
        assert view.shown["note"] == "Prompt and path have 9 tokens; the model sees only the last 8 of them."
        view.prompt = "a" * 20
        assert view.shown["note"] == "Prompt and path have 21 tokens; the model sees only the last 8 of them."


def test_another_prompt_begins_anew() -> None:
    view = SamplerView(MODEL, CHARS, "ab")
    view.take(1)
    view.hover = 2
    view.prompt = "gfe"
    assert (view.path, view.hover, view.typed) == ([], -1, "gfe")
    assert view.shown == SamplerView(MODEL, CHARS, "gfe").shown


def test_tokens_are_bytes() -> None:
    """A path of halves of characters; its text shows what it can."""
    view = SamplerView(tiny(BYTES.vocab_size), BYTES, "the", bars=5)
    view.path = [*"é".encode(), 0xC3]
    assert view.text == "theé\ufffd"
    assert [row[1] for row in view.shown["path"]] == [["", "C3"], ["", "A9"], ["", "C3"]]
    assert BYTES.special_tokens[END_OF_TEXT] == view.shown["end"]


def test_only_the_shown_bars_are_sent() -> None:
    view = SamplerView(tiny(BYTES.vocab_size), BYTES, "the", bars=5)
    assert len(json.dumps(view.page_state())) < 1500
    assert len(SamplerView(MODEL, CHARS, "a", bars=500).shown["bars"]) == CHARS.vocab_size


# ---- the page


class Page(SamplerView):
    """A view that hears a page."""

    def press(self, what: str, *given: Any, after: int | None = None) -> None:
        after = len(self.path) if after is None else after
        self._handle_custom_msg({"do": what, "with": list(given), "after": after}, [])


def test_each_button_of_the_page_does_what_it_says() -> None:
    view, twin = Page(MODEL, CHARS, "ab", seed=1), SamplerView(MODEL, CHARS, "ab", seed=1)
    answered = view.answered
    view.press("take", 4)
    assert view.path == [4]
    view.press("sample")
    twin.take(4)
    assert view.path == [4, twin.sample()]
    view.press("take", 2)
    view.press("keep", 1)
    assert view.path == [4]
    view.press("undo")
    assert view.path == []
    view.press("take", 3)
    view.press("reset")
    assert view.path == [] and view.answered == answered + 7


def test_a_button_pressed_twice_on_the_same_bars_counts_once() -> None:
    """The second click was meant for the bars of the first; the page hears that it was answered all the same."""
    view = Page(MODEL, CHARS, "ab")
    answered = view.answered
    view.press("take", 4, after=0)
    view.press("take", 4, after=0)
    assert view.path == [4] and view.answered == answered + 2


def test_the_page_types_a_prompt_and_moves_sliders() -> None:
    view = SamplerView(MODEL, CHARS, "ab")
    view.set_state({"typed": "ba"})
    assert view.prompt == "ba" and view.shown == SamplerView(MODEL, CHARS, "ba").shown
    view.set_state({"typed": ""})
    assert view.prompt == "ba" and view.problem == "the prompt is empty; give at least one character to go on from"
    view.set_state({"typed": "bX"})
    assert view.prompt == "ba" and view.problem.startswith("the character 'X'")
    view.set_state({"typed": "ba"})
    assert view.problem == ""
    view.set_state({"temperature": 0, "top_k": 3, "top_p": 0.5})
    assert view.shown == SamplerView(MODEL, CHARS, "ba", temperature=0).shown
    view.set_state({"top_k": None, "top_p": None, "temperature": 1.0})
    assert view.shown == SamplerView(MODEL, CHARS, "ba").shown


# ---- what nothing runs for


def test_it_says_what_it_is() -> None:
    view = SamplerView(MODEL, CHARS, "ab", temperature=0.8, top_k=5)
    assert repr(view) == "SamplerView(0 tokens taken, temperature 0.8, top-k 5, top-p off)"
    view.take(1)
    view.top_k, view.top_p = None, 0.95
    assert repr(view) == "SamplerView(1 token taken, temperature 0.8, top-k off, top-p 0.95)"


@pytest.mark.parametrize("path", [[], [1, 0, 8, 8, 1] * 8, [1, END]])
def test_its_picture_is_always_the_same(path: list[int]) -> None:
    pictures = []
    for _ in range(2):
        view = SamplerView(MODEL, CHARS, "ab", top_k=3, bars=5)
        view.path = path
        pictures.append(view.to_svg())
    assert pictures[0] == pictures[1]
    assert view.to_png().startswith(b"\x89PNG")
    assert ("has ended" in pictures[0]) == (END in path) and ("cut" in pictures[0]) == (END not in path)


def test_a_small_share_is_not_said_to_be_none() -> None:
    assert [percent(p) for p in (0, 1e-7, 0.001, 0.5, 1)] == ["0.0 %", "< 0.1 %", "0.1 %", "50.0 %", "100.0 %"]
