"""What `side_by_side` says to what it cannot show."""

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
