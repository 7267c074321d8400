"""What `side_by_side` says to what it cannot show."""

from typing import Any

import pytest

pytest.importorskip("anywidget")
from gptlib._widget import View, side_by_side


class Nothing(View):
    """A widget without a script; it is never shown."""


@pytest.mark.parametrize(
    ("given", "named"),
    [((), "nothing"), ((Nothing(),), "Nothing"), ((Nothing(), "a text"), "Nothing, str"), ((3, 4), "int, int")],
)
def test_side_by_side_names_what_it_was_given(given: tuple, named: str) -> None:
    with pytest.raises(ValueError) as raised:
        side_by_side(*given)
    assert str(raised.value) == f"side_by_side was given {named}: give two or more widgets of gptlib"


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("alone", r"link is 'alone': give a list of names, as in link=\['alone'\]"),
        (["nope"], "link names 'nope', which none of the widgets has: give names of their traits"),
        (["alone", "layer"], "link names 'layer', which none"),
        ([5], "link names 5, which none"),
    ],
)
def test_names_that_link_nothing(link: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        side_by_side(Nothing(), Nothing(), link=link)
    side_by_side(Nothing(), Nothing())  # the names that it has by itself are for those who have them
