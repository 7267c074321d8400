"""The curve of a loss while a model is trained, and the curves of several runs together."""

import csv
import math
import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gptlib._widget import View, plain_text, traitlets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLORS = ("#1f5f99", "#b5500b", "#2e7d32", "#a3339a", "#7a6100", "#b3261e")  # of the runs; loss.css has the same
SOFT, WARN = "#4b5b6b", "#a61b1b"
HUGE = 1e100  # a loss beyond it is marked as one that is no number: no axis reaches so far; loss.js has the same
FOLD = 64  # that many records are sent again with a new one; then they go to those that are not


class Point(NamedTuple):
    """What is kept of a record; None is a value that it did not have."""

    step: int
    train_loss: float | None
    val_loss: float | None
    sample: str | None


class LossView(View):
    """Losses as they come, in nats: `train(..., on_eval=view)` adds a point at each evaluation (lesson 08_training).

    It does so also while a cell runs. `lines` are levels to compare with, by name, as `{"ln V": 7.5}`; `title` stands
    above the picture. `add` puts another run into it. A record that does not go beyond the last step begins a run of
    its own. `record["sample"]`, if there is one, is a text that the model wrote; it is shown with its step. Traits both
    ways: `hover` (a step, or -1), `first` (the step the picture begins with), `log_steps`, `hidden` (the runs that are
    switched off). A ValueError for a record without its steps, and for lines that are no numbers.
    """

    _name = "loss"
    title = traitlets.Unicode().tag(sync=True)
    lines = traitlets.Dict().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    past = traitlets.List().tag(sync=True)  # rows of run, step, training, validation, and the sample if there is one
    recent = traitlets.List().tag(sync=True)  # the same for the newest records: all that is sent with a new one
    warning = traitlets.Unicode().tag(sync=True)
    hover = traitlets.Int(-1).tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)
    log_steps = traitlets.Bool(False).tag(sync=True)
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, lines: Mapping[str, float] | None = None, *, title: str = "") -> None:
        super().__init__(lines=checked_lines(lines or {}), title=title)
        self._runs: dict[str, list[Point]] = {}
        self._current = ""  # the name of the run that a record goes to

    @classmethod
    def from_csv(cls, *paths: str | Path, lines: Mapping[str, float] | None = None, title: str = "") -> "LossView":
        """The curves that logs hold: each path is a run folder, or its `log.csv`; ValueError for no path."""
        if not paths:
            raise ValueError("no path was given: name at least one run folder or log.csv")
        view = cls(lines, title=title)
        for path in map(Path, paths):
            folder = path if path.is_dir() else path.parent
            name = folder.resolve().name
            view.add(str(path) if name in view.names else name, read_log(path))
        return view

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Add a record to the run that was added or begun last, or begin a run with it."""
        point = to_point(record)
        current = self._runs.get(self._current)
        with self.hold_sync():
            if current is None or (current and point.step <= current[-1].step):
                current = self._begin(self._free_name())
            current.append(point)
            row = as_row(self.names.index(self._current), point)
            if len(self.recent) < FOLD:
                self.recent = [*self.recent, row]
            else:
                self.past, self.recent = self.past + self.recent, [row]
            self._warn(self._current, point)

    def add(self, name: str, records: Iterable[Mapping[str, Any]] = ()) -> None:
        """A run of this name, in place of the one that had it; records to come go on with it.

        ValueError for a name that is no text, and for records whose steps do not grow.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"name is {name!r}: give the run a name, a text, to tell it from the others")
        points = [to_point(record) for record in records]
        for before, after in pairwise(points):
            if after.step <= before.step:
                raise ValueError(f"step {after.step} of {name!r} comes after step {before.step}: put records in order")
        with self.hold_sync():
            if name not in self._runs:
                self._begin(name)
            self._runs[name], self._current = points, name
            self.past = [as_row(i, point) for i, name in enumerate(self.names) for point in self._runs[name]]
            self.recent, self.warning = [], ""
            for name, run in self._runs.items():
                for point in run:
                    self._warn(name, point)

    def _begin(self, name: str) -> list[Point]:
        self.names = [*self.names, name]
        self._runs[name], self._current = [], name
        return self._runs[name]

    def _free_name(self) -> str:
        number = len(self.names) + 1
        while f"run {number}" in self._runs:
            number += 1
        return f"run {number}"

    def _warn(self, name: str, point: Point) -> None:
        """Name the first loss that is no finite number; all of them are marked in the picture."""
        for what, value in (("training", point.train_loss), ("validation", point.val_loss)):
            if not self.warning and value is not None and math.isnan(finite(value)):
                called = "not a number" if math.isnan(value) else "infinite" if math.isinf(value) else f"{value:g}"
                self.warning = f"{name}: the {what} loss is {called} at step {point.step}"

    @property
    def records(self) -> dict[str, list[Point]]:
        """The points of each run."""
        return {name: list(points) for name, points in self._runs.items()}

    def __repr__(self) -> str:
        runs = [f"{name}: {len(points)} records" for name, points in self._runs.items()]
        return f"LossView({'; '.join(runs) or 'no records yet'})"

    def range_of(self, name: str) -> Any:
        return "LossView" if name in ("hover", "first", "log_steps") else None

    # ---- the picture

    @property
    def shown(self) -> dict[str, list[Point]]:
        """The points that the picture has: of the runs that are switched on, from `first` on."""
        runs = {name: points for name, points in self._runs.items() if name not in self.hidden}
        return {name: [point for point in points if point.step >= self.first] for name, points in runs.items()}

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture, in inches."""
        return (7.6, 4.5 if self._last_sample() else 3.6)

    def draw(self, figure: "Figure | SubFigure") -> None:
        sample = self._last_sample()
        if sample is None:
            axes = figure.subplots()
        else:
            upper, below = figure.subfigures(2, 1, height_ratios=[4, 1])
            axes = upper.subplots()
            text = textwrap.shorten(sample.sample or "", 260, placeholder=" ...")
            said = f"step {sample.step:,} writes:\n" + textwrap.fill(text, 95)
            below.text(0.03, 0.95, plain_text(said), va="top", color=SOFT)
        self._draw_curves(axes)

    def _last_sample(self) -> Point | None:
        samples = [point for points in self.shown.values() for point in points if point.sample]
        return samples[-1] if samples else None

    def _draw_curves(self, axes: "Axes") -> None:
        for name, points in self.shown.items():
            color = COLORS[self.names.index(name) % len(COLORS)]
            for what, field, width in (("training", 1, 1.0), ("validation", 2, 2.2)):
                curve = [(point.step, point[field]) for point in points if point[field] is not None]
                steps, values = [step for step, _ in curve], [finite(value) for _, value in curve]
                label = what if len(self.shown) == 1 else f"{name}, {what}"
                axes.plot(steps, values, color=color, lw=width, marker="o", ms=1.5 * width, label=plain_text(label))
                broken = [step for step, value in zip(steps, values, strict=True) if math.isnan(value)]
                top = axes.get_xaxis_transform()  # x in steps, y as a share of the height
                if broken:
                    axes.plot(broken, [0.97] * len(broken), "x", color=WARN, transform=top)
        if self.log_steps:
            axes.set_xscale("symlog", linthresh=1)
        axes.set(xlabel="updates", ylabel="loss, nats per token")
        empty = "" if any(self.shown.values()) else "no records yet"
        heading = ": ".join(filter(None, [self.title, self.warning or empty]))
        axes.set_title(plain_text(heading), loc="left", fontsize=10, color=WARN if self.warning else "black")
        axes.spines[["top", "right"]].set_visible(False)
        self._draw_lines(axes)
        if any(self.shown.values()):
            axes.legend(loc="upper right", fontsize=8, edgecolor="none", framealpha=0.9)
        else:
            axes.set_xticks([])

    def _draw_lines(self, axes: "Axes") -> None:
        """The levels, dashed; their names at the right, pushed apart where they are near."""
        low, high = axes.get_ylim()
        around = 0.2 * (high - low) if self.first else math.inf  # far levels do not squeeze a part that is looked at
        near = {name: level for name, level in self.lines.items() if low - around <= level <= high + around}
        for level in near.values():
            axes.axhline(level, color=SOFT, lw=1, ls=(0, (4, 3)))
        low, high = axes.get_ylim()
        places = spread(list(near.values()), 0.07 * (high - low), low, high)
        across = axes.get_yaxis_transform()  # x as a share of the width, y in nats
        for (name, level), place in zip(near.items(), places, strict=True):
            label, line = {"xytext": (1.03, place), "textcoords": across}, {"arrowstyle": "-", "color": SOFT, "lw": 0.6}
            text = plain_text(f"{name} {level:.2f}")
            axes.annotate(text, (1, level), xycoords=across, va="center", color=SOFT, arrowprops=line, **label)


def finite(value: float) -> float:
    """The value, or NaN, which a curve leaves out."""
    return value if abs(value) <= HUGE else math.nan


def spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Where the labels of these places stand: in their order, at least `gap` apart, and below `high`."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    at = low - gap
    for i in order:
        at = moved[i] = max(places[i], at + gap)
    at = high + gap
    for i in reversed(order):
        at = moved[i] = min(moved[i], at - gap)
    return moved


def as_row(run: int, point: Point) -> list[Any]:
    """A point as JSON can hold it; what is not finite goes as text, in JavaScript's words."""

    def number(value: float | None) -> float | str | None:
        if value is None or math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    row = [run, point.step, number(point.train_loss), number(point.val_loss)]
    return row if point.sample is None else [*row, point.sample]


def to_point(record: Mapping[str, Any]) -> Point:
    """What a record says; `ValueError` for what is no record."""
    if not isinstance(record, Mapping):
        given = type(record).__name__
        raise ValueError(f"a record is of type {given}: give a mapping with step, train_loss and val_loss")
    if "step" not in record or not {"train_loss", "val_loss"} & record.keys():
        names = ", ".join(map(str, record)) or "nothing"
        raise ValueError(f"a record has only {names}: it needs step, and train_loss or val_loss")
    try:
        step = index(record["step"])
    except TypeError:
        step = -1
    if step < 0:
        raise ValueError(f"step is {record['step']!r}: give the number of updates made, an integer from 0 on")
    losses = [to_number(name, record.get(name)) for name in ("train_loss", "val_loss")]
    sample = record.get("sample")
    if not isinstance(sample, str | None):
        raise ValueError(f"sample is of type {type(sample).__name__}: give the text that the model wrote, a str")
    if sample is not None:
        sample = sample.encode(errors="replace").decode()  # half a surrogate pair can be neither sent nor drawn
    return Point(step, *losses, sample)


def to_number(name: str, value: Any) -> float | None:
    """A float, of whatever is one number; `ValueError` for the rest."""
    try:
        if isinstance(value, str):
            raise TypeError
        return None if value is None else float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}: give one number") from None


def checked_lines(lines: Mapping[str, float]) -> dict[str, float]:
    """The levels as plain numbers; `ValueError` for what cannot be drawn."""
    if not isinstance(lines, Mapping):
        raise ValueError(f"lines is of type {type(lines).__name__}: give names with levels, as in {{'ln V': 7.5}}")
    levels = {str(name): to_number(f"the level of {name!r}", level) for name, level in lines.items()}
    for name, level in levels.items():
        if level is None or math.isnan(finite(level)):
            raise ValueError(f"the level of {name!r} is {level}: give one finite number, not beyond {HUGE:g}")
    return levels  # type: ignore[return-value]


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a `log.csv`, given it or its folder."""
    log = path / "log.csv" if path.is_dir() else path
    if not log.is_file():
        raise FileNotFoundError(
            f"there is no log {log}: give a run folder that train or save_run wrote, or its log.csv"
        )
    try:
        records = [plain_record(row) for row in csv.DictReader(log.read_text(encoding="utf-8").splitlines())]
        if not records:
            raise ValueError("it has no records")
        return records
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{log} is no log of a run ({error}): give one with step, train_loss and val_loss") from error


def plain_record(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of a log as a record; `ValueError` for one that says no loss."""
    record: dict[str, Any] = {name: float(row[name]) for name in ("train_loss", "val_loss") if row.get(name)}
    if not record or not row.get("step"):
        raise ValueError(f"a row has only {', '.join(name for name, value in row.items() if value) or 'nothing'}")
    return {"step": int(float(row["step"])), **record}
