"""What LossView keeps and sends: every point once, whatever the losses are, and little with each new one."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from test_training import CONFIG, TOKENIZER, TOKENS, VAL, tiny

from gptlib._loss_view import FOLD, LossView, spread
from gptlib.training import train

LOSSES = st.sampled_from([math.nan, math.inf, -math.inf, None]) | st.floats()


def record(step: int, train_loss: Any = 2.0, val_loss: Any = 3.0, **more: Any) -> dict[str, Any]:
    return {"step": step, "train_loss": train_loss, "val_loss": val_loss, **more}


def rows(view: LossView) -> list[list[Any]]:
    """What a page that is loaded now finds, after the way through JSON, which knows no NaN."""
    state = json.loads(json.dumps(view.get_state(), allow_nan=False, default=str))
    return state["past"] + state["recent"]


class Messages(LossView):
    """A view that keeps what it sends to the browser, as text."""

    def _send(self, message: dict[str, Any], buffers: Any = None) -> None:
        if message.get("method") == "update":
            self.__dict__.setdefault("sent", []).append(json.dumps(message["state"], allow_nan=False))


@given(st.lists(st.tuples(LOSSES, LOSSES), max_size=2 * FOLD + 2))
@example([(1.0, 2.0)] * (2 * FOLD + 2))
def test_no_point_is_lost_or_comes_twice(losses: list[tuple[float | None, float | None]]) -> None:
    """For a fold that drops the newest record or sends old ones twice, and for a NaN that stops the page."""
    view = LossView()
    for step, pair in enumerate(losses):
        view(record(step, *pair))

    def back(value: Any) -> Any:
        words = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
        return words.get(value, value)

    found = [(run, step, back(t), back(v)) for run, step, t, v in rows(view)]
    assert repr(found) == repr([(0, step, *pair) for step, pair in enumerate(losses)])


def test_each_record_sends_little() -> None:
    """For a view that sends the whole curve each time: a thousand records would be some 20 MB."""
    view = Messages(lines={"ln V": 7.5})
    view.sent = []
    for step in range(1000):
        view(record(step, 1 / (step + 1), 2 / (step + 1)))
    sizes = sorted(map(len, view.sent))
    assert len(view.sent) == 1000  # one message each, also where two traits change
    assert sizes[len(sizes) // 2] < 60 * FOLD
    assert sum(sizes) < 3e6
    assert all("lines" not in json.loads(message) for message in view.sent)


def test_the_messages_alone_give_all_points() -> None:
    """What a page has that was open all the time: later messages change earlier traits and lose nothing."""
    view, state = Messages(), {"past": [], "recent": []}
    view.sent = []
    for step in range(3 * FOLD + 5):
        view(record(step))
        state |= json.loads(view.sent[-1])
        assert [row[1] for row in state["past"] + state["recent"]] == list(range(step + 1))


def test_training_feeds_it_and_the_log_gives_the_same(tmp_path: Path) -> None:
    """From `on_eval` and from `log.csv` the same curve; `load` from the folder and from the file."""
    view, run = LossView(), tmp_path / "wide"
    history = train(tiny(), TOKENS, VAL, CONFIG, tokenizer=TOKENIZER, run_dir=run, on_eval=view)
    assert [row[1:] for row in rows(view)] == [[r["step"], r["train_loss"], r["val_loss"]] for r in history]
    for path in (run, run / "log.csv", str(run)):
        read = LossView.from_csv(path)
        assert read.names == ["wide"]
        assert rows(read) == rows(view)


def test_runs_of_several_folders_have_their_names(tmp_path: Path) -> None:
    """For two runs that fall into one because their folders have the same name."""
    text = "step,train_loss,val_loss\n0,3.0,4.0\n10,2.0,\n"
    paths = [tmp_path / part / "log.csv" for part in ("a/run", "b/run", "wide")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    view = LossView.from_csv(*[path.parent for path in paths])
    assert view.names == ["run", str(paths[1].parent), "wide"]
    assert [(row[0], row[1], row[3]) for row in rows(view)] == [
        (i, s, v) for i in range(3) for s, v in ((0, 4.0), (10, None))
    ]


def test_a_step_that_goes_back_begins_a_run() -> None:
    """A cell that trains is run again: two curves, not one that jumps back."""
    view = LossView()
    for step in (0, 10, 20, 0, 10, 10):
        view(record(step))
    assert {name: [p.step for p in points] for name, points in view.records.items()} == {
        "run 1": [0, 10, 20],
        "run 2": [0, 10],
        "run 3": [10],
    }


def test_a_named_run_is_gone_on_with_and_replaced() -> None:
    view = LossView()
    view.add("wide")
    view(record(0))
    view.add("deep", [record(0), record(5)])
    view(record(7))
    assert [(row[0], row[1]) for row in rows(view)] == [(0, 0), (1, 0), (1, 5), (1, 7)]
    view.add("wide", [record(3)])
    assert [(row[0], row[1]) for row in rows(view)] == [(0, 3), (1, 0), (1, 5), (1, 7)]
    assert view.names == ["wide", "deep"]
    view(record(4))  # of the one that was given anew: so a cell that trains two models can be run twice
    assert [(row[0], row[1]) for row in rows(view)] == [(0, 3), (1, 0), (1, 5), (1, 7), (0, 4)]
    assert [point.step for point in view.records["wide"]] == [3, 4]
    view.add("run 3", [record(0)])
    view(record(0))  # the number 4 is the next one, and free
    assert view.names == ["wide", "deep", "run 3", "run 4"]


@pytest.mark.parametrize("value, word", [(math.nan, "not a number"), (math.inf, "infinite"), (1e308, "1e+308")])
def test_what_is_no_number_is_named(value: float, word: str) -> None:
    """The first one is named, with its run and its step; a run that is given anew without it is well again."""
    view = LossView()
    view(record(0))
    assert view.warning == ""
    view(record(10, val_loss=torch.tensor(value, dtype=torch.float64)))
    view(record(20, value, value))
    assert view.warning == f"run 1: the validation loss is {word} at step 10"
    view.add("run 1", [record(0)])
    assert view.warning == ""


def test_repr_is_the_same_whatever_the_losses() -> None:
    """nbval compares it: neither an address nor a loss may stand in it."""
    views = [LossView() for _ in range(2)]
    assert repr(views[0]) == "LossView(no records yet)"
    for view, loss in zip(views, (1.0, 2.0), strict=True):
        view(record(0, loss))
        view(record(1, loss))
    assert repr(views[0]) == repr(views[1]) == "LossView(run 1: 2 records)"


def test_samples_go_with_their_points() -> None:
    view = LossView()
    view(record(0, sample="once"))
    view(record(1))
    assert rows(view) == [[0, 0, 2.0, 3.0, "once"], [0, 1, 2.0, 3.0]]
    view(record(2, sample="half a pair \ud800"))  # no message and no picture could hold it
    assert rows(view)[2][4] == "half a pair ?"
    assert "half a pair ?" in view.to_svg()


PLACES = st.lists(st.floats(0, 10), min_size=1, max_size=8)


@given(PLACES)
def test_labels_do_not_overlap(places: list[float]) -> None:
    """Each at least a gap from the next, in the order of their levels, none beyond the top, and unmoved if they can."""
    moved = spread(places, 1.0, 0.0, 10.0)
    order = sorted(range(len(places)), key=places.__getitem__)
    near = pairwise(order)
    assert all(moved[after] - moved[before] >= 1 - 1e-9 for before, after in near)
    assert all(0 <= place <= 10 for place in moved)
    if all(b - a >= 1 for a, b in pairwise(sorted(places))):
        assert moved == pytest.approx(places, abs=1e-9)  # 1 - 1e-78 is 1


def lines_of(view: LossView) -> dict[str, tuple[list[float], list[float]]]:
    """The curves in the picture, by label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=view.size, layout="constrained")
    view.draw(figure)
    figure.draw_without_rendering()
    axes = [axes for part in (figure.subfigs or [figure]) for axes in part.axes]
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes[0].lines}


def test_the_picture_shows_what_the_widget_shows() -> None:
    """For a PNG that forgets the switches; a point that is no number is a gap."""
    view = LossView(lines={"$ln V$": 7.5, "near": 7.4})
    view.add("a", [record(0, 5.0, 6.0), record(10, math.inf, 4.0), record(20, 3.0, 3.5)])
    view.add("b$", [record(0, 4.0, None), record(10, 2.0, 2.5)])
    shown = lines_of(view)
    assert shown["a, validation"] == ([0, 10, 20], [6.0, 4.0, 3.5])
    assert shown["a, training"][1][::2] == [5.0, 3.0]
    assert math.isnan(shown["a, training"][1][1])
    assert shown[r"b\$, validation"] == ([10], [2.5])
    view.first, view.hidden = 10, ["b$"]
    shown = lines_of(view)
    assert shown["validation"] == ([10, 20], [4.0, 3.5])
    assert not any(label.startswith("b") for label in shown)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record(0)],
        [record(0, math.nan, math.nan)],
        [record(0, sample="a $1 coin $")],
        [record(0, 1e308, 1e18), record(1, -1e308)],
    ],
)
def test_there_is_always_a_picture(records: list[dict[str, Any]]) -> None:
    """No records, one, none that is a number, numbers that no axis reaches, a text with dollars: never an error."""
    view = LossView({"ln V": 7.5})
    for each in records:
        view(each)
    bundle = view._repr_mimebundle_()[0]
    assert bundle["image/png"].startswith("iVBOR")
    assert view.to_svg() == view.to_svg()
    assert "ln V 7.50" in view.to_svg()
