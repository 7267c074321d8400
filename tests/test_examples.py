"""Every public name has an example in `examples.md`, and each of them runs and prints what stands there."""

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_docstrings import METHODS, NAMES, Name, homes

FILE = Path(__file__).with_name("examples.md")
# What a notebook calls by itself when it shows a view, and what calling a module does: no user writes these.
UNWRITTEN = {"forward", "__call__", "draw", "size", "range_of", "page_state", "set_state"}
UNWRITTEN |= {"shown", "strips", "strength"}


def examples() -> Iterator[tuple[str, str, str]]:
    """Name, the lines that its part shares, and its own."""
    shared = ""
    for piece in re.split(r"^(?=##)", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = piece.partition("\n")
        code = "\n".join(re.findall(r"^```python\n(.*?)^```$", body, re.MULTILINE | re.DOTALL))
        assert ">>> " in code, f"{heading} has no lines to run"
        if heading.startswith("### "):
            yield heading.removeprefix("### "), shared, code
        else:
            shared = code


EXAMPLES = {name: (shared, own) for name, shared, own in examples()}


def test_each_public_name_has_one_example() -> None:
    names = [name.where for name in NAMES]
    assert len(EXAMPLES) == len(list(examples())), "a heading stands twice"
    assert EXAMPLES.keys() == set(names), "a name without an example, or an example without a name"
    order = [name.partition(".")[0] for name in EXAMPLES]
    assert order == sorted(order, key=order.index), "the names of a part stand together"


def test_what_gptlib_offers_is_among_them() -> None:
    shown = {name.partition(".")[2] for name in EXAMPLES}
    assert shown >= homes().keys()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.where)
def test_each_method_is_written_in_the_example_of_its_class(method: Name) -> None:
    of_class, name = method.where.rpartition(".")[::2]
    assert name in UNWRITTEN or f".{name}" in EXAMPLES[of_class][1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_uses_its_name(name: str) -> None:
    """In its own lines, or in those that its part shares."""
    assert re.search(rf"\b{name.rpartition('.')[2]}\b", "".join(EXAMPLES[name]))


@pytest.mark.no_type_checks
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_stands_there(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the checks at run time, so that an error is the sentence that a user sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPTLIB_DEVICE", raising=False)
    shared, own = EXAMPLES[name]
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(shared + own, {"__name__": "example"}, name, str(FILE), 0)
    result = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(test, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted > shared.count(">>> ")


def test_a_wrong_example_would_be_seen() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(test, out=lambda text: None).failed == 1
