"""What LensView says of logits: against a softmax written out, with nothing of the model in between."""

import math

import numpy as np
import pytest

pytest.importorskip("anywidget")
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptlib._lens_view import LensView
from gptlib.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("abcd\n ", special_tokens=())
V = TOKENIZER.vocab_size


def random_logits(seed: int, rows: int, places: int, scale: float = 3.0) -> tuple[torch.Tensor, list[int]]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, places, V, generator=generator)
    return logits, torch.randint(0, V, (places,), generator=generator).tolist()


def shown(i: int) -> str:
    return TOKENIZER.decode([i]).replace(" ", "␣").replace("\n", "⏎")


def sent(view: LensView, name: str, dtype: str, *shape: int) -> np.ndarray:
    """What the browser reads."""
    return np.frombuffer(getattr(view, name), dtype).reshape(shape)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6), st.integers(1, 9))
def test_every_cell_is_the_softmax_of_its_logits(seed: int, rows: int, places: int, top: int) -> None:
    """For rows and places that are swapped, guesses out of order, and shares that belong to another token."""
    logits, ids = random_logits(seed, rows, places)
    view, top = LensView(logits, ids, TOKENIZER, top=top), min(top, V)
    guesses, shares = (sent(view, name, t, rows, places, top) for name, t in (("guesses", "<i4"), ("shares", "<f4")))
    for row in range(rows):
        for place in range(places):
            weights = [math.exp(x) for x in logits[row, place].tolist()]
            best = sorted(range(V), key=lambda i: -weights[i])[:top]
            expected = [(shown(i), pytest.approx(weights[i] / sum(weights), rel=1e-5)) for i in best]
            assert view.at(row, place) == expected
            browser = [view.vocabulary[i] for i in guesses[row, place]]
            assert [*zip(browser, shares[row, place].tolist(), strict=True)] == view.at(row, place)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 6))
def test_the_next_token_is_the_one_after(seed: int, rows: int, places: int) -> None:
    """For a shift that is missing or made twice, and a rank that counts from 0."""
    logits, ids = random_logits(seed, rows, places)
    view = LensView(logits, ids, TOKENIZER)
    read = {"next_shares": "<f4", "next_ranks": "<i4", "right": "<i4"}
    shares, ranks, right = (sent(view, name, dtype, rows, places - 1) for name, dtype in read.items())
    for row in range(rows):
        for place in range(places - 1):
            x, following = logits[row, place].tolist(), ids[place + 1]
            assert shares[row, place] == pytest.approx(math.exp(x[following]) / sum(map(math.exp, x)), rel=1e-5)
            assert ranks[row, place] == 1 + sum(other > x[following] for other in x)
            better = sum(other > x[following] for other in x)
            assert right[row, place] == (better if better < view.top else -1)


def test_of_two_with_one_share_the_right_one_is_marked() -> None:
    """A rank does not say which of two equally likely tokens is the one that comes next."""
    view = LensView(torch.zeros(1, 2, V), [0, V - 1], TOKENIZER, top=V)
    place = sent(view, "right", "<i4", 1, 1)[0, 0]
    assert view.at(0, 0)[place][0] == view.tokens[1]
    assert sent(view, "next_ranks", "<i4", 1, 1) == [[1]]


def test_ranks_where_all_shares_are_zero() -> None:
    """500 against 5 to 1: in float32 all shares but the first are 0, and the ranks are not all 2."""
    logits = torch.arange(V, 0, -1).float().repeat(1, 2, 1)
    logits[0, 0, 0] = 500.0
    view = LensView(logits, [0, V - 1], TOKENIZER, top=V)
    assert sent(view, "next_ranks", "<i4", 1, 1) == [[V]]
    assert [token for token, _ in view.at(0, 0)] == [shown(i) for i in range(V)]


def test_numbers_of_any_kind_and_size() -> None:
    """float64, float16, numpy and a tensor that has a gradient give the same; 10,000 is no reason for NaN."""
    logits, ids = random_logits(0, 2, 3)
    logits = logits.half().float()
    views = [LensView(x, ids, TOKENIZER) for x in (logits, logits.double(), logits.half(), logits.numpy())]
    views.append(LensView(logits.clone().requires_grad_(), ids, TOKENIZER))
    assert all(view.at(1, 2) == [(t, pytest.approx(p, rel=1e-3)) for t, p in views[0].at(1, 2)] for view in views)
    assert LensView(1e4 * logits, ids, TOKENIZER).at(0, 0)[0][1] == pytest.approx(1)
    filtered = torch.full((1, 1, V), -math.inf)
    filtered[..., 3] = 2.0
    assert LensView(filtered, [0], TOKENIZER).at(0, 0)[0] == (shown(3), 1.0)


def test_rows_have_names_and_the_text_its_signs() -> None:
    ids = TOKENIZER.encode("a b\n")
    view = LensView(torch.zeros(3, 4, V), ids, TOKENIZER)
    assert view.rows == ["embedding", "after block 1", "after block 2"]
    assert view.tokens == ["a", "␣", "b", "⏎"]
    assert LensView(torch.zeros(1, 4, V), ids, TOKENIZER, rows=["all"]).rows == ["all"]
    assert repr(view) == "LensView(3 rows, 4 tokens)"


@pytest.mark.parametrize("color", ["guess", "next", "rank"])
def test_the_colour_says_what_it_is_asked(color: str) -> None:
    """Between 0 and 1, 1 for certainty, and nothing where nobody knows what comes."""
    logits = torch.zeros(1, 3, V)
    logits[0, 0, 1] = 50.0  # certain, and right
    logits[0, 1, 2] = 50.0  # certain, and wrong
    view = LensView(logits, [0, 1, 3], TOKENIZER)
    view.color = color
    strengths = [view.strength(0, place) for place in range(3)]
    assert strengths[0] == pytest.approx(1)
    assert strengths[1] == pytest.approx({"guess": 1, "next": 0, "rank": 1 - math.log(2) / math.log(V)}[color])
    assert strengths[2] == pytest.approx(1 / V if color == "guess" else 0)


def test_hover_stays_inside() -> None:
    view = LensView(torch.zeros(2, 3, V), [0, 1, 2], TOKENIZER)
    view.hover = [1, 2]
    for where in ([2, 0], [0, 3], [-1, 0], [0], [0, 0, 0]):
        with pytest.raises(ValueError, match=r"^hover is \[.*\]: give \[row, place\] inside of \[2, 3\]"):
            view.hover = where
        assert view.hover == [1, 2]
    view.hover = [-1, -1]


def test_views_of_the_same_size_are_linked() -> None:
    make = lambda rows: LensView(torch.zeros(rows, 3, V), [0, 1, 2], TOKENIZER)  # noqa: E731
    assert make(2).range_of("hover") == make(2).range_of("hover") != make(3).range_of("hover")
    assert make(2).range_of("tokens") is None


def texts(view: LensView) -> list[list[str]]:
    """What stands in the picture, strip by strip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=view.size, layout="constrained")
    view.draw(figure)
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


@pytest.mark.parametrize("places", [1, 2, 11, 12, 40])
def test_the_picture_has_every_place_that_fits(places: int) -> None:
    """One to three strips: what is read, the guess of each row, and what comes next, place by place."""
    logits, ids = random_logits(1, 2, places)
    view = LensView(logits, ids, TOKENIZER)
    expected: list[str] = []
    for place in range(min(places, 33)):
        following = [view.tokens[place + 1]] if place + 1 < places else []
        expected += [view.tokens[place], *following, view.at(0, place)[0][0], view.at(1, place)[0][0]]
    assert [text for strip in texts(view) for text in strip] == expected
    assert view._repr_mimebundle_()[0]["image/png"].startswith("iVBOR")
    assert view.to_svg() == view.to_svg()
    assert ("7 more places" in view.to_svg()) == (places == 40)


def test_what_is_sent_is_small() -> None:
    """12 blocks, 256 places, 5 guesses: numbers as bytes, some 0.2 MB, not a JSON of every guess."""
    generator = torch.Generator().manual_seed(0)
    view = LensView(torch.randn(13, 256, V, generator=generator), [0] * 256, TOKENIZER)
    assert len(view.to_html()) < 400_000
