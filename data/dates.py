"""Dates written in many ways, each with its one ISO form: a small translation task whose answers are exact.

`draw` writes a day, a month, a year or a span of days as people write them, and says what ISO 8601 calls it:

    Sunday, the third of March, nineteen eighty-five   1985-03-03
    3.3.1985   3/3/1985   3.III.1985                   1985-03-03
    Sept 1985                                          1985-09
    nineteen oh five                                   1905
    March 3-9, 1985                                    1985-03-03/1985-03-09

Between dots the day comes first, between slashes the month, or the year if it begins; so no text has two meanings.
Weekdays are those of the calendar (the Gregorian one, also for the years before it came to all countries).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple


def _words(items: str) -> list[str]:
    return items.split()


SEED = 12
FIRST_YEAR, LAST_YEAR = 1600, 2099

MONTHS = _words("January February March April May June July August September October November December")
SHORT_MONTHS = _words("Jan Feb Mar Apr May June July Aug Sept Oct Nov Dec")
ROMAN_MONTHS = _words("I II III IV V VI VII VIII IX X XI XII")
WEEKDAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
ONES = _words("""zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""")
TENS = _words("- - twenty thirty forty fifty sixty seventy eighty ninety")
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}


class Pair(NamedTuple):
    """A text as someone may write it, and its ISO form."""

    source: str
    target: str


# ---- numbers in words ----------------------------------------------------------------------------------------------


def cardinal(n: int) -> str:
    """A number below 100 in words: "twenty-one"."""
    tens, ones = divmod(n, 10)
    if n < 20:
        return ONES[n]
    return f"{TENS[tens]}-{ONES[ones]}" if ones else TENS[tens]


def ordinal(n: int) -> str:
    """Its ordinal in words: "twenty-first"."""
    *before, last = cardinal(n).split("-")
    return "-".join([*before, ORDINALS.get(last, last + "th")])


def short_ordinal(n: int) -> str:
    """Its ordinal in digits: "21st"."""
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def spoken_years(year: int) -> list[str]:
    """All ways in which a year is said, the plainest first: "nineteen oh five", "two thousand and five"."""
    century, rest = divmod(year, 100)
    if year == 2000:
        return ["two thousand"]
    if rest == 0:
        return [f"{cardinal(century)} hundred"]
    if 2000 < year < 2010:
        return [f"two thousand and {cardinal(rest)}", f"two thousand {cardinal(rest)}"]
    return [f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"]


# ---- the ways to write a day, a month, a year, a span ----------------------------------------------------------------


def _year(rng: random.Random, year: int) -> str:
    return rng.choice([str(year), str(year), rng.choice(spoken_years(year))])


def _month(rng: random.Random, month: int) -> str:
    return rng.choice([MONTHS[month - 1], SHORT_MONTHS[month - 1]])


def _ordinal(rng: random.Random, day: int) -> str:
    return rng.choice([short_ordinal, ordinal])(day)


def _weekday(rng: random.Random, day: date) -> str:
    name = WEEKDAYS[day.weekday()]
    return rng.choice([name, name[:3]])


def _padded(rng: random.Random, *numbers: int) -> list[str]:
    """All with two digits, or all with as few as they need."""
    return [f"{n:02}" for n in numbers] if rng.random() < 0.5 else [str(n) for n in numbers]


def _with_dots(rng: random.Random, d: date) -> str:
    day, month = _padded(rng, d.day, d.month)
    return f"{day}.{month}.{d.year}"


def _with_slashes(rng: random.Random, d: date) -> str:
    day, month = _padded(rng, d.day, d.month)
    return rng.choice([f"{month}/{day}/{d.year}", f"{d.year}/{month}/{day}"])


DAYS: list[Callable[[random.Random, date], str]] = [
    lambda rng, d: f"{d.day} {_month(rng, d.month)} {_year(rng, d.year)}",
    lambda rng, d: f"{_month(rng, d.month)} {d.day}, {_year(rng, d.year)}",
    lambda rng, d: f"{_month(rng, d.month)} {_ordinal(rng, d.day)}, {_year(rng, d.year)}",
    lambda rng, d: f"the {_ordinal(rng, d.day)} of {_month(rng, d.month)}, {_year(rng, d.year)}",
    lambda rng, d: f"{_weekday(rng, d)}, the {_ordinal(rng, d.day)} of {_month(rng, d.month)}, {_year(rng, d.year)}",
    lambda rng, d: f"{_weekday(rng, d)}, {d.day} {_month(rng, d.month)} {_year(rng, d.year)}",
    lambda rng, d: f"{d.day}.{ROMAN_MONTHS[d.month - 1]}.{d.year}",
    _with_dots,
    _with_slashes,
]
MONTH_OF_YEAR: list[Callable[[random.Random, date], str]] = [
    lambda rng, d: f"{_month(rng, d.month)} {_year(rng, d.year)}",
    lambda rng, d: f"in {_month(rng, d.month)} of {_year(rng, d.year)}",
    lambda rng, d: f"{_padded(rng, d.month)[0]}/{d.year}",
]
YEARS: list[Callable[[random.Random, date], str]] = [
    lambda rng, d: _year(rng, d.year),
    lambda rng, d: f"the year {_year(rng, d.year)}",
    lambda rng, d: f"in {_year(rng, d.year)}",
]
SPANS: list[Callable[[random.Random, date, date], str]] = [
    lambda rng, a, b: f"{a.day} to {b.day} {_month(rng, a.month)} {_year(rng, a.year)}",
    lambda rng, a, b: f"{_month(rng, a.month)} {a.day}-{b.day}, {_year(rng, a.year)}",
    lambda rng, a, b: f"{short_ordinal(a.day)} to {short_ordinal(b.day)} of {_month(rng, a.month)}, {a.year}",
]


def draw(rng: random.Random) -> Pair:
    """Write one of 20: 14 days, 3 spans inside a month, 2 months and 1 year, with all days of all years alike."""
    first, last = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
    day = first + timedelta(days=rng.randrange((last - first).days + 1))
    kind = rng.randrange(20)
    if kind < 14:
        return Pair(rng.choice(DAYS)(rng, day), day.isoformat())
    if kind < 17:
        until = day + timedelta(days=rng.randint(1, 20))
        if until.month == day.month:
            return Pair(rng.choice(SPANS)(rng, day, until), f"{day.isoformat()}/{until.isoformat()}")
        return draw(rng)
    if kind < 19:
        return Pair(rng.choice(MONTH_OF_YEAR)(rng, day), day.isoformat()[:7])
    return Pair(rng.choice(YEARS)(rng, day), day.isoformat()[:4])


def pairs(n: int, seed: int = SEED) -> list[Pair]:
    """`n` pairs with `n` different sources; the first ones stay the same when `n` grows."""
    if n < 1:
        raise ValueError(f"n is {n}, but a task needs at least one pair; give n=1 or more")
    rng = random.Random(seed)
    found: dict[str, Pair] = {}
    while len(found) < n:
        pair = draw(rng)
        found.setdefault(pair.source, pair)
    return list(found.values())


def split(n_train: int, n_held_out: int, seed: int = SEED) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from, and pairs to be asked for: no source of the one stands in the other."""
    if min(n_train, n_held_out) < 0:
        raise ValueError(f"n_train is {n_train} and n_held_out {n_held_out}; give 0 or more of each")
    drawn = pairs(n_train + n_held_out, seed)
    return drawn[:n_train], drawn[n_train:]
