"""What a model would say after each of its layers, at each place of a text, as a table to look into."""

from collections.abc import Sequence
from operator import index
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gptlib._token_html import check_view, plain
from gptlib._widget import Refused, View, plain_text, traitlets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLUMNS, STRIPS = 11, 3  # of the picture: so many places beside one another, so many strips below one another
FULL, INK, SOFT, RIGHT = "#9fc9ee", "#1f2933", "#4b5b6b", "#f28e2b"


class LensView(View):
    """Logits of several layers, as a table: the top guess of each at each place, how sure (lesson 10_attention_maps).

    `logits` has shape (rows, places, vocabulary), one row per layer from the embedding on, as `rows` names them; `ids`
    are the tokens of the `tokenizer` that were read, so that the right next token of a place is the id after it. Point
    at a cell for its `top` guesses. Traits both ways: `hover` ([row, place], or [-1, -1]), `color` ("guess", "next" or
    "rank": what the colour says) and the `title`. What does not fit together is a ValueError.
    """

    _name = "lens"
    title = traitlets.Unicode().tag(sync=True)
    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)  # as they are shown
    vocabulary = traitlets.List(traitlets.Unicode()).tag(sync=True)  # the tokens that are guessed, each once
    top = traitlets.Int().tag(sync=True)
    limit = traitlets.Int().tag(sync=True)  # the last rank there is
    guesses = traitlets.Bytes().tag(sync=True)  # (R, T, top) int32, numbers in vocabulary
    shares = traitlets.Bytes().tag(sync=True)  # (R, T, top) float32, their probabilities
    next_shares = traitlets.Bytes().tag(sync=True)  # (R, T - 1) float32, of the token that comes next
    next_ranks = traitlets.Bytes().tag(sync=True)  # (R, T - 1) int32, from 1 on
    right = traitlets.Bytes().tag(sync=True)  # (R, T - 1) int32, which guess is what comes next, or -1
    hover = traitlets.List(traitlets.Int(), [-1, -1]).tag(sync=True)
    color = traitlets.Enum(("guess", "next", "rank"), "guess").tag(sync=True)

    def __init__(
        self,
        logits: Any,
        ids: Sequence[int],
        tokenizer: Any,
        *,
        rows: Sequence[str] | None = None,
        top: int = 5,
        title: str = "",
    ) -> None:
        scores, ids = checked(logits, ids, tokenizer)
        rows = ["embedding", *(f"after block {n}" for n in range(1, len(scores)))] if rows is None else list(rows)
        if len(rows) != len(scores):
            raise ValueError(f"{len(rows)} rows are named and the logits have {len(scores)}: give one name per layer")
        if not isinstance(top, int) or top < 1:
            raise ValueError(f"top is {top!r}: ask for at least 1 guess per cell")
        found = [best_of(row, ids, min(top, scores.size(-1))) for row in scores]  # one by one, to save memory
        self._best, self._shares, self._next_shares, self._next_ranks = map(np.stack, zip(*found, strict=True))
        numbers, places = np.unique(self._best, return_inverse=True)
        same = self._best[:, :-1] == np.array(ids[1:], dtype=np.int64)[:, None]  # (R, T - 1, top)
        self._right = np.where(same.any(axis=-1), same.argmax(axis=-1), -1)  # of two with one share, one is right
        super().__init__(
            title=title,
            rows=rows,
            tokens=[shown(tokenizer, i) for i in ids],
            vocabulary=[shown(tokenizer, int(i)) for i in numbers],
            top=self._best.shape[-1],
            limit=scores.size(-1),
            guesses=places.astype("<i4").tobytes(),
            shares=self._shares.astype("<f4").tobytes(),
            next_shares=self._next_shares.astype("<f4").tobytes(),
            next_ranks=self._next_ranks.astype("<i4").tobytes(),
            right=self._right.astype("<i4").tobytes(),
        )
        self._guesses = places.reshape(self._best.shape)

    def at(self, row: int, place: int) -> list[tuple[str, float]]:
        """The guesses of a layer at a place, the likeliest first, as they are shown, with their probabilities."""
        guesses, shares = self._guesses[row, place], self._shares[row, place]
        return [(self.vocabulary[i], float(share)) for i, share in zip(guesses, shares, strict=True)]

    def __repr__(self) -> str:
        return f"LensView({len(self.rows)} rows, {len(self.tokens)} tokens)"

    def range_of(self, name: str) -> Any:
        return {"hover": (len(self.rows), len(self.tokens)), "color": "LensView"}.get(name)

    @traitlets.validate("hover")
    def _check_hover(self, proposal: dict[str, Any]) -> list[int]:
        where = proposal["value"]
        sides = (len(self.rows), len(self.tokens))
        if where != [-1, -1] and not (len(where) == 2 and all(0 <= i < n for i, n in zip(where, sides, strict=True))):
            raise Refused(f"hover is {where}: give [row, place] inside of {list(sides)}, or [-1, -1] for none")
        return where

    # ---- the picture

    @property
    def strips(self) -> list[range]:
        """Which places stand beside one another in the picture."""
        places = range(len(self.tokens))
        return [places[start : start + COLUMNS] for start in places[::COLUMNS][:STRIPS]]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture, in inches."""
        return 1.3 + 0.68 * len(self.strips[0]), 0.3 + (0.34 * (len(self.rows) + 2) + 0.1) * len(self.strips)

    def draw(self, figure: "Figure | SubFigure") -> None:
        for axes, places in zip(figure.subplots(len(self.strips), squeeze=False)[:, 0], self.strips, strict=True):
            self._draw_strip(axes, places)
        left_out = len(self.tokens) - self.strips[-1].stop
        more = f"; {left_out} more places are in the widget" if left_out else ""
        what = {"guess": "the guess's probability", "next": "the next token's probability", "rank": "its rank"}
        heading = (
            f"{self.title + ': ' if self.title else ''}the top guess of each layer; blue: {what[self.color]}{more}"
        )
        figure.suptitle(plain_text(heading), fontsize=8, x=0.01, ha="left")

    def _draw_strip(self, axes: "Axes", places: range) -> None:
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Rectangle

        bottom, strong = len(self.rows), np.array(to_rgb(FULL))
        for x, place in enumerate(places):
            self._write(axes, x, -1, self.tokens[place], weight="bold")
            if place + 1 < len(self.tokens):
                self._write(axes, x, bottom, self.tokens[place + 1], color=SOFT)
            for y in range(bottom):
                color = 1 - self.strength(y, place) * (1 - strong)
                right = place + 1 < len(self.tokens) and self._right[y, place] == 0
                frame = {"edgecolor": RIGHT, "lw": 1.6, "zorder": 2} if right else {"edgecolor": "#c9d1d9", "lw": 0.5}
                axes.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=color, **frame))
                self._write(axes, x, y, self.at(y, place)[0][0], color=INK)
        axes.set(xlim=(-0.5, COLUMNS - 0.5 if len(self.strips) > 1 else len(places) - 0.5), ylim=(bottom + 0.5, -1.5))
        axes.set_xticks([])
        axes.set_yticks(range(-1, bottom + 1), ["reads", *map(plain_text, self.rows), "comes next"])
        axes.tick_params(length=0, labelsize=7)
        axes.spines[:].set_visible(False)

    @staticmethod
    def _write(axes: "Axes", x: int, y: int, text: str, **style: Any) -> None:
        short = text if len(text) <= 9 else text[:8] + "…"
        axes.text(x, y, plain_text(short), ha="center", va="center", fontsize=7, zorder=3, **style)

    def strength(self, row: int, place: int) -> float:
        """How strong the colour of a cell is, from 0 to 1, by what `color` says."""
        if self.color == "guess":
            return float(self._shares[row, place, 0])
        if place + 1 == len(self.tokens):
            return 0.0
        if self.color == "next":
            return float(self._next_shares[row, place])
        return float(1 - np.log(self._next_ranks[row, place]) / np.log(max(self.limit, 2)))


def best_of(scores: torch.Tensor, ids: list[int], top: int) -> tuple[np.ndarray, ...]:
    """Of one layer: the likeliest tokens (T, top) with their probabilities, and of what comes next share and rank."""
    shares = scores.float().softmax(dim=-1)  # (T, V)
    best = scores.topk(top, dim=-1).indices  # of the logits, as the rank: small shares are all 0
    following = torch.tensor(ids[1:], dtype=torch.int64, device=scores.device)[:, None]  # (T - 1, 1)
    next_shares = shares[:-1].gather(1, following)[:, 0]
    next_ranks = 1 + (scores[:-1] > scores[:-1].gather(1, following)).sum(dim=-1)
    return tuple(x.cpu().numpy() for x in (best, shares.gather(1, best), next_shares, next_ranks))


def checked(logits: Any, ids: Sequence[int], tokenizer: Any) -> tuple[torch.Tensor, list[int]]:
    """Logits as a tensor and ids as plain integers; `ValueError` for what does not fit together."""
    try:
        scores = torch.as_tensor(logits).detach()
    except (TypeError, ValueError, RuntimeError):
        given = type(logits).__name__
        raise ValueError(f"logits are of type {given}: give a tensor of (rows, places, vocabulary)") from None
    if scores.dim() != 3 or 0 in scores.shape:
        raise ValueError(f"logits have shape {tuple(scores.shape)}: give (rows, places, vocabulary), none of them 0")
    if not scores.is_floating_point():
        raise ValueError(f"logits are {scores.dtype}: give the floats that the model gives, not ids")
    try:
        ids = [index(i) for i in ids]
    except TypeError:
        raise ValueError(
            f"ids is {short(ids)}: give the ids of the tokens that were read, a list of integers"
        ) from None
    if len(ids) != scores.size(1):
        raise ValueError(f"there are {len(ids)} ids and logits at {scores.size(1)} places: give those of the same text")
    for i in ids:
        if not 0 <= i < scores.size(-1):
            raise ValueError(f"id {i} has no logit: the vocabulary of these logits has {scores.size(-1)} tokens")
    check_view(tokenizer, 1)
    most = scores.amax(dim=-1)  # (R, T): NaN where one is NaN, -inf where all are, and no share can be given then
    if not most.isfinite().all():
        row = int((~most.isfinite()).any(dim=1).nonzero()[0])
        raise ValueError(f"the logits of row {row} are not all numbers: find out where the model makes NaN first")
    return scores, ids


def shown(tokenizer: Any, i: int) -> str:
    """A token with nothing hidden in it."""
    return plain(tokenizer.decode_bytes([i]))
