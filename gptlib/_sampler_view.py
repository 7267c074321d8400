"""The next token's bars in the browser: as the model gives them, and as they are drawn from."""

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable
from itertools import takewhile
from numbers import Integral, Real
from operator import eq, index
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gptlib._checks_sampling import check_same_tokens, check_sampling
from gptlib._token_html import INK, SIGN_INK, SPECIAL, check_view, count
from gptlib._token_view import LINE, draw_boxes, drawn, lay_out, paper, shown_parts
from gptlib._widget import Refused, View, traitlets
from gptlib.language import perplexity
from gptlib.model import GPT, KVCache
from gptlib.sampling import choose, filter_logits, last_logits, prompt_ids, start_ids
from gptlib.tokenizer import Tokenizer
from gptlib.training import evaluating

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

LIKELY = (0.01, 0.05, 0.2, 0.5)  # where the color of a taken token changes
WARMTH = ("#f28e2b", "#f7b46d", "#fbd3a4", "#fde8cf", "#eef2f6")  # the less likely, the warmer
OWN, NOW, CUT = "#b9cfe4", "#1f5f99", "#5f6f7f"
BAR = 0.21  # inches of a picture for a bar


def rounded(value: float) -> float:
    """Six digits: what a page needs of a probability."""
    return float(f"{value:.6g}")


def percent(p: float) -> str:
    """A probability as people read it."""
    return f"{100 * p:.1f} %" if p >= 0.001 or p == 0 else "< 0.1 %"


def check_parts(model: GPT, tokenizer: Tokenizer, bars: int) -> None:
    """ValueError unless these are a model, its tokenizer, and a number of bars."""
    if not isinstance(model, GPT):
        raise ValueError(f"model is of type {type(model).__name__}: give a GPT first, then its tokenizer")
    check_view(tokenizer, 1)
    check_same_tokens(model, tokenizer)
    if bars < 1:
        raise ValueError(f"bars is {bars}: give how many tokens to show, at least 1")


def check_kinds(**values: Any) -> None:
    """ValueError for what is no number."""
    for name, value in values.items():
        kind, said = (Integral, "an integer") if name in ("top_k", "seed", "bars") else (Real, "a number")
        if name in ("top_k", "top_p"):
            kind, said = kind | None, f"{said}, or None to keep all"
        if not isinstance(value, kind):
            raise ValueError(f"{name} is {value!r}: give {said}")


def read_prompt(model: GPT, tokenizer: Tokenizer, prompt: str) -> tuple[list[int], int]:
    """The ids of a prompt, cut to the context as `generate` does, and how many there were before."""
    if not isinstance(prompt, str):
        raise ValueError(f"the prompt is of type {type(prompt).__name__}: give a str")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the view says that it was cut
        ids = prompt_ids(model, tokenizer, prompt)[0].tolist()
    return ids, len(start_ids(tokenizer)) + len(tokenizer.encode(prompt))


class SamplerView(View):
    """The likeliest next tokens after a prompt, to be taken one after the other (lesson 09_sampling).

    Each of the `bars` likeliest has two: what the model gives it, and what is left after `temperature`, `top_k` and
    `top_p`, from which `sample` draws with a generator of its own, begun with `seed`. `path` holds the ids taken. All
    of these, `prompt` and `hover`, the place of a bar or -1, can be set and follow the page. Of a text longer than the
    context the model sees the end, as in `generate`. Settings that mean nothing are a ValueError.
    """

    _name: ClassVar[str] = "sampler"
    prompt = traitlets.Unicode().tag(sync=True)
    typed = traitlets.Unicode().tag(sync=True)  # what stands in the box of the page: it may be no possible prompt
    problem = traitlets.Unicode().tag(sync=True)  # what is wrong with it
    answered = traitlets.Int().tag(sync=True)  # how many questions of the page were answered
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(None, allow_none=True).tag(sync=True)
    top_p = traitlets.Float(None, allow_none=True).tag(sync=True)
    path = traitlets.List(traitlets.Int()).tag(sync=True)
    hover = traitlets.Int(-1).tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)  # all that is drawn: the bars, never the whole vocabulary

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        prompt: str,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        bars: int = 20,
    ) -> None:
        check_kinds(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, bars=bars)
        check_parts(model, tokenizer, bars)
        check_sampling(temperature, top_k, top_p)
        self.model, self.tokenizer, self.seed, self.bars = model, tokenizer, seed, bars
        self._generator = torch.Generator().manual_seed(seed)
        self._begin(prompt)
        super().__init__(prompt=prompt, typed=prompt, temperature=temperature, top_k=top_k, top_p=top_p)
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        return f"SamplerView({count(len(self.path), 'token')} taken, {self._say_settings()})"

    def _say_settings(self) -> str:
        k, p = ("off" if value is None else f"{value:g}" for value in (self.top_k, self.top_p))
        return f"temperature {self.temperature:g}, top-k {k}, top-p {p}"

    # ---- what Python may ask

    @property
    def text(self) -> str:
        """The prompt and what was taken after it, without a mark at the end."""
        return self.prompt + self.tokenizer.decode(self.path[: -1 if self.ended else None])

    @property
    def ended(self) -> bool:
        """Whether the mark was taken that ends a text."""
        return bool(self.path) and self.path[-1] in start_ids(self.tokenizer)

    @property
    def bits(self) -> float:
        """The surprise of the path: minus log2 of the probability that the model itself gives it."""
        return max(0.0, -sum(self._log_p) / math.log(2))

    @property
    def perplexity(self) -> float:
        """The number of equally likely tokens that would surprise as much at each step; 1 for an empty path."""
        return perplexity(-sum(self._log_p) / max(1, len(self._log_p)))

    def take(self, token_id: int) -> None:
        """Go on with this token, `token_id`, also with one that the filters cut away."""
        self.path = [*self.path, index(token_id)]

    def sample(self) -> int:
        """Draw a token from what the filters keep, go on with it, and give its id; ValueError if the text has ended."""
        if self.ended:
            raise ValueError("the text has ended: undo() a step, or reset() to begin again")
        settings = self.temperature, self.top_k, self.top_p
        self.take(choose(self._logits[-1].unsqueeze(0), *settings, self._generator).item())
        return self.path[-1]

    def undo(self, steps: int = 1) -> None:
        """Go back so many steps, or to the prompt if there were fewer; ValueError for less than one."""
        if steps < 1:
            raise ValueError(f"steps is {steps}: give how many tokens to take back, at least 1")
        self.path = self.path[:-steps]

    def reset(self) -> None:
        """Go back to the prompt, and begin the draws anew with the seed."""
        self._generator.manual_seed(self.seed)
        self.path = []

    # ---- reading with the model

    def _begin(self, prompt: str) -> None:
        """Read a prompt: `_logits` holds those after the prompt, then after each token of the path."""
        self._prompt_ids, self._n_prompt = read_prompt(self.model, self.tokenizer, prompt)
        self._begun = prompt
        self._cache = KVCache(self.model.config)
        self._followed: list[int] = []
        self._log_p: list[float] = []
        self._logits = [self._read(self._prompt_ids)]

    def _read(self, ids: list[int]) -> Tensor:
        """The logits after some ids, (V,), which go on from what the cache has read, or leave it before its end."""
        cache = self._cache if self._cache.length < len(ids) else KVCache(self.model.config)
        self._cache = KVCache(self.model.config)  # an interrupt leaves nothing that is half read
        idx = torch.tensor([ids], device=next(self.model.parameters()).device)  # (1, T)
        with torch.inference_mode(), evaluating(self.model):
            logits = last_logits(self.model, idx, cache)[0].cpu()  # (V,)
        if logits.isnan().any():
            raise ValueError("the model gives NaN for the next token: its weights are broken, load or train it again")
        self._cache = cache
        return logits

    def _follow(self, path: list[int]) -> None:
        """Read what is new in a path."""
        same = sum(takewhile(bool, map(eq, path, self._followed)))
        self._followed = path[:same]
        del self._log_p[same:], self._logits[same + 1 :]
        for i in path[same:]:
            log_p = filter_logits(self._logits[-1]).log_softmax(-1)[i].item()
            self._logits.append(self._read([*self._prompt_ids, *path[: len(self._followed) + 1]]))
            self._log_p.append(log_p)
            self._followed.append(i)

    def _bars(self) -> tuple[list[tuple[int, float, float, bool]], list[float]]:
        """The likeliest tokens, each with its probability, that after the filters, and whether they keep it.

        Then of all others how many there are and their two probabilities, and how many of all tokens are kept.
        """
        if self.ended:
            return [], [0, 0.0, 0.0, 0]
        logits = self._logits[-1]
        filtered = filter_logits(logits, self.temperature, self.top_k, self.top_p)
        own, now, kept = filter_logits(logits).softmax(-1), filtered.softmax(-1), filtered.isfinite()  # (V,) each
        best = logits.argsort(descending=True, stable=True)[: self.bars]  # stable: smaller ids first, as in the filters
        others = torch.ones_like(kept).index_fill(0, best, False)
        bars = zip(best.tolist(), own[best].tolist(), now[best].tolist(), kept[best].tolist(), strict=True)
        rest = [int(others.sum()), own[others].sum().item(), now[others].sum().item(), int(kept.sum())]
        return list(bars), rest

    def _face(self, i: int) -> list[Any]:
        token = self.tokenizer.decode_bytes([i])
        return [shown_parts(token), token.hex()]

    def _note(self) -> str:
        n, size = self._n_prompt + len(self.path), self.model.config.block_size
        return f"Prompt and path have {n} tokens; the model sees only the last {size} of them." if n > size else ""

    def _packed(self) -> dict[str, Any]:
        """What the page draws."""
        ends, taken = start_ids(self.tokenizer), zip(self._followed, self._log_p, strict=True)
        bars, (n, *shares) = self._bars()
        return {
            "bars": [[i, *self._face(i), rounded(own), rounded(now), int(kept)] for i, own, now, kept in bars],
            "rest": [n, *map(rounded, shares)],
            "path": [[i, *self._face(i), rounded(math.exp(p))] for i, p in taken],
            "bits": rounded(self.bits),
            "perplexity": rounded(self.perplexity),
            "end": ends[0] if ends else -1,
            "size": self.tokenizer.vocab_size,
            "note": self._note(),
        }

    # ---- what follows what

    @traitlets.validate("temperature", "top_k", "top_p")
    def _check_settings(self, proposal: Any) -> Any:
        return value_or_refused(check_sampling, proposal.value, **{proposal.trait.name: proposal.value})

    @traitlets.validate("prompt")
    def _check_prompt(self, proposal: Any) -> str:
        return value_or_refused(read_prompt, proposal.value, self.model, self.tokenizer, proposal.value)

    @traitlets.validate("path")
    def _check_path(self, proposal: Any) -> list[int]:
        V, ends = self.tokenizer.vocab_size, start_ids(self.tokenizer)
        for place, i in enumerate(proposal.value):
            if not 0 <= i < V:
                raise Refused(f"path holds {i}, but the ids go from 0 to {V - 1}: give ids of this tokenizer")
            if i in ends and place < len(proposal.value) - 1:
                raise Refused(f"path goes on after the text has ended at place {place}: undo() or cut it there")
        return proposal.value

    @traitlets.validate("hover")
    def _check_hover(self, proposal: Any) -> int:
        n = len(self.shown.get("bars", ()))
        if not -1 <= proposal.value < n:
            raise Refused(f"hover is {proposal.value}: give the place of a bar, from 0 to {n - 1}, or -1 for none")
        return proposal.value

    @traitlets.observe("prompt")
    def _show_prompt(self, change: Any) -> None:
        if change.new != self._begun:  # it is at the start
            self._begin(change.new)
        with self.hold_sync():
            self.path = []
            self._show()
            self.typed, self.problem = change.new, ""

    @traitlets.observe("typed")
    def _take_typed(self, change: Any) -> None:
        try:
            self.prompt, self.problem = change.new, ""
        except ValueError as error:
            self.problem = str(error)
        self.answered += 1

    @traitlets.observe("path")
    def _show_path(self, change: Any) -> None:
        self._follow(change.new)
        self._show()

    @traitlets.observe("temperature", "top_k", "top_p")
    def _show_settings(self, _: Any) -> None:
        self.shown = self._packed()

    def _show(self) -> None:
        with self.hold_sync():
            self.hover = -1
            self.shown = self._packed()

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """Do what a button of the page asks for, unless the page shows another path than there is by now."""
        try:
            if content["after"] == len(self.path):
                ask = {
                    "take": self.take,
                    "sample": self.sample,
                    "undo": self.undo,
                    "reset": self.reset,
                    "keep": self._keep,
                }
                ask[content["do"]](*content["with"])
        finally:
            self.answered += 1

    def _keep(self, n: int) -> None:
        self.path = self.path[:n]

    # ---- the picture

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture, in inches."""
        lines = self._lay_out()[-1:]
        rows = len(self.shown["bars"]) or 1
        return 7.0, 0.85 + (2 * LINE + LINE * lines[0][1] if lines else 0) + BAR * rows

    def _lay_out(self) -> list[tuple[float, int, float, str]]:
        return lay_out([self.tokenizer.decode_bytes([i]) for i in self.path], 6.8)

    def draw(self, figure: "Figure | SubFigure") -> None:
        """Draw the bars of both kinds into `figure`, below the end of the prompt and the tokens taken."""
        axes = paper(figure, *self.size)
        prompt = self.prompt if len(self.prompt) <= 88 else "…" + self.prompt[-87:]
        given = drawn(prompt.encode()).replace("␣", " ")
        axes.text(0, 0.08, given, color=SIGN_INK, family="monospace", va="center", parse_math=False)
        boxes, y = self._lay_out(), 0.3
        colors = [self._color(i, p) for i, p in zip(self.path, self._log_p, strict=True)]
        draw_boxes(axes, boxes, colors, y)
        if boxes:
            y += LINE * (1 + boxes[-1][1])
            axes.text(0, y + 0.08, self._say_path(), color=SIGN_INK, va="center")
            y += LINE
        if self.ended:
            axes.text(0, y + 0.08, "The text has ended.", color=INK, va="center")
        rows, _ = self._bars()
        longest = max((max(own, now) for _, own, now, _ in rows), default=1.0)
        for place, (i, own, now, kept) in enumerate(rows):
            top, ink = y + BAR * place, INK if kept else CUT
            shown = drawn(self.tokenizer.decode_bytes([i]))
            shown = shown if len(shown) <= 18 else shown[:17] + "…"
            middle = {"va": "center_baseline", "color": ink, "parse_math": False}
            axes.text(1.5, top + BAR / 2, shown, family="monospace", ha="right", **middle)
            pale = 1.0 if kept else 0.45
            axes.barh([top + BAR / 2], 3.6 * own / longest, BAR * 0.8, left=1.6, color=OWN, alpha=pale)
            axes.barh([top + BAR / 2], 3.6 * now / longest, BAR * 0.4, left=1.6, color=NOW)
            said = f"{percent(own)} → {percent(now) if kept else 'cut'}"
            axes.text(5.3, top + BAR / 2, said, **middle)
        legend = f"{self._say_settings()}. Pale: the model's own probability; dark: after these"
        axes.text(0, self.size[1] - 0.25, legend, color=SIGN_INK, va="center")

    def _color(self, i: int, log_p: float) -> str:
        ends = start_ids(self.tokenizer)
        return SPECIAL if i in ends else WARMTH[bisect_right(LIKELY, math.exp(log_p))]

    def _say_path(self) -> str:
        return f"{count(len(self.path), 'token')}, {self.bits:.1f} bits, perplexity {self.perplexity:.2f}"


def value_or_refused(check: Callable[..., Any], value: Any, *given: Any, **named: Any) -> Any:
    """The value, or `Refused` with the sentence of the `ValueError` that the check raises."""
    try:
        check(*given, **named)
    except ValueError as error:
        raise Refused(str(error)) from None
    return value
