"""The dates: every answer read back independently, no text with two meanings, nothing shared by the two parts.

The bugs looked for: a wrong answer (day and month swapped, an ordinal, a leap year), a text that means two dates, and a
held-out text that was trained on.
"""

import random
import re
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from gptlib.corpora import dates

N = 6000
PAIRS = dates.pairs(N)
pytestmark = pytest.mark.no_type_checks  # twenty calls for each pair

UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
UNITS += " sixteen seventeen eighteen nineteen"
NUMBERS = {name: n for n, name in enumerate(UNITS.split())} | {"oh": 0}
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS |= {name: 10 * n for n, name in enumerate(TENS.split(), 2)}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
ORDINALS |= {"twentieth": 20, "thirtieth": 30}
MONTHS = {date(2000, m, 1).strftime("%b"): m for m in range(1, 13)}


def number(text):
    """Digits, or words, as a number; an ordinal as well."""
    text = re.sub(r"(?<=\d)(st|nd|rd|th)$", "", text)
    if text.isdecimal():
        return int(text)
    total = 0
    for word in re.split("[ -]", text.replace(" and ", " ")):
        if word in ("hundred", "thousand"):
            total *= {"hundred": 100, "thousand": 1000}[word]
        elif word in ORDINALS:
            total += ORDINALS[word]
        else:
            total += NUMBERS[word.removesuffix("th")]
    return total


def year(text):
    """Of two numbers said after each other the first is the century."""
    if text.isdecimal() or "hundred" in text or "thousand" in text:
        return number(text)
    century, rest = text.split(" ", 1)
    return 100 * number(century) + sum(map(number, rest.split(" ")))


def understand(text):
    """Another reader than the writer: one pattern after the other."""
    if match := re.fullmatch(r"(\d+)\.(\w+)\.(\d{4})", text):
        day, month, y = match.groups()
        month = (
            int(month) if month.isdecimal() else dict(zip(["I", "V", "X"], (1, 5, 10), strict=True)).get(month, month)
        )
        if isinstance(month, str):
            values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in month]
            month = sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
        return date(int(y), month, int(day)).isoformat()
    if match := re.fullmatch(r"(\d{4})/(\d+)/(\d+)", text):
        return date(*map(int, match.groups())).isoformat()
    if match := re.fullmatch(r"(\d+)/(\d+)/(\d{4})", text):
        month, day, y = map(int, match.groups())
        return date(y, month, day).isoformat()
    if match := re.fullmatch(r"(\d+)/(\d{4})", text):
        return f"{match[2]}-{int(match[1]):02}"
    weekday = None
    if match := re.match(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, ", text):
        weekday, text = match[1], text[match.end() :]
    month = re.search(r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*", text)
    if not month:
        return f"{year(re.sub('^(the year |in )', '', text))}"
    before, after = text[: month.start()].strip(), text[month.end() :].strip()
    m = MONTHS[month[1]]
    before = re.sub(r"^(the|in)\b|\bof$", "", before).strip()
    after = re.sub(r"^of ", "", after)
    days, _, y = after.rpartition(", ") if not before and "," in after else (before, "", after.removeprefix(", "))
    if not days:
        return f"{year(y)}-{m:02}"
    found = [date(year(y), m, number(day)) for day in re.split(r" to |(?<=\d)-(?=\d)", days)]
    if weekday:
        assert found[0].strftime("%a") == weekday
    return "/".join(day.isoformat() for day in found)


def test_another_reader_understands_every_text():
    for source, target in PAIRS:
        assert understand(source) == target, source


def test_no_text_has_two_meanings():
    rng, meant = random.Random(1), {}
    for _ in range(30_000):
        source, target = dates.draw(rng)
        assert meant.setdefault(source, target) == target


def test_the_same_seed_gives_the_same_pairs_and_more_of_them_the_same_beginning():
    assert dates.pairs(50) == PAIRS[:50]
    assert dates.pairs(50, seed=13) != PAIRS[:50]
    assert len({pair.source for pair in PAIRS}) == N


def test_the_held_out_part_shares_no_text_with_the_other():
    train, held_out = dates.split(3000, 500)
    assert (len(train), len(held_out)) == (3000, 500)
    assert not {pair.source for pair in train} & {pair.source for pair in held_out}


def test_all_forms_all_months_and_both_ends_of_the_years_come():
    lengths = Counter(len(pair.target) for pair in PAIRS)
    assert set(lengths) == {4, 7, 10, 21}
    assert min(lengths.values()) > N / 50
    months = {pair.target[5:7] for pair in PAIRS if len(pair.target) > 4}
    years = {int(pair.target[:4]) for pair in PAIRS}
    assert len(months) == 12 and min(years) == dates.FIRST_YEAR and max(years) == dates.LAST_YEAR
    every_day, day = set(), date(2024, 1, 1)
    while day.year == 2024:
        every_day.add(day.isoformat()[5:])
        day += timedelta(days=1)
    assert {pair.target[5:] for pair in dates.pairs(20_000) if len(pair.target) == 10} == every_day


def test_numbers_in_words():
    assert [dates.cardinal(n) for n in (0, 13, 20, 21, 99)] == [
        "zero",
        "thirteen",
        "twenty",
        "twenty-one",
        "ninety-nine",
    ]
    assert [dates.ordinal(n) for n in (1, 12, 20, 30, 31)] == [
        "first",
        "twelfth",
        "twentieth",
        "thirtieth",
        "thirty-first",
    ]
    assert [dates.short_ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "31st"]
    )
    for y in range(dates.FIRST_YEAR, dates.LAST_YEAR + 1):
        assert {year(way) for way in dates.spoken_years(y)} == {y}


def test_the_data_card_tells_what_is_there():
    card = (Path(dates.__file__).parent / "README.md").read_text(encoding="utf-8")
    train, held_out = dates.split(20_000, 500)
    known = {pair.target for pair in train}
    lengths = [len(pair.source) for pair in train]
    rows = {
        "characters of a source, mean": f"{sum(lengths) / len(lengths):.1f}",
        "characters of a source, least and most": f"{min(lengths)} and {max(lengths)}",
        "different characters": str(len(set("".join(s + t for s, t in train)))),
        "held-out answers that no training pair has": f"{sum(pair.target not in known for pair in held_out)} of 500",
    }
    for name, value in rows.items():
        assert f"| {name} | {value} |" in card
