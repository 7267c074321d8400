"""The tales: the grammar, its probabilities, and the file made from it.

The bugs looked for: a draw that leaves no trace (the floor would be too high), a text with two derivations (too high as
well), and a mark that could be guessed from the words before it (recall would measure nothing).
"""

import random
import re
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from gptlib.corpora import tales

FOLDER = Path(tales.__file__).parent
CORPUS = (FOLDER / "tales.txt").read_text(encoding="utf-8")
TEXTS = tales.split_tales(CORPUS)
# Run-time type checks make reading five times slower; test_every_shape_reads_back keeps them.
quick = pytest.mark.no_type_checks


@pytest.fixture(scope="module")
def told():
    """The committed tales once more, as the generator tells them."""
    rng = random.Random(tales.SEED)
    return [tales.tell(rng) for _ in range(tales.TALES)]


@pytest.fixture(scope="module")
def sample(told, request):
    """Every fifth tale, or all of them with --long."""
    return told if request.config.getoption("--long", default=False) else told[::5]


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def marked(tale):
    return {name: tale.text[start:end] for name, (start, end) in tale.marks.items()}


@quick
def test_the_file_is_made_again_byte_for_byte(tmp_path):
    tales.make(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == (FOLDER / "tales.txt").read_bytes()


def test_the_file_has_one_tale_between_two_marker_lines():
    lines = CORPUS.split("\n")
    assert lines.count(tales.END_OF_TEXT) == len(TEXTS) - 1 == tales.TALES - 1
    assert CORPUS.isascii() and CORPUS.endswith("\n") and "" not in lines[:-1]
    assert 1_400_000 < len(CORPUS) < 1_700_000


@quick
def test_reading_finds_the_probability_and_the_marks_of_the_generator(sample):
    for tale in sample:
        assert tales.read(tale.text) == tale
        assert tales.score(tale.text) == tale.bits


@quick
def test_no_tale_has_two_derivations(sample):
    assert {tales.derivations(tale.text) for tale in sample} == {1}


def test_every_shape_reads_back():
    rng = random.Random(1)
    for shape in tales.SHAPES:
        for _ in range(3):
            tale = tales.tell(rng, shape)
            assert tales.read(tale.text) == tale, tale.text


@quick
def test_all_shapes_are_used_and_no_two_are_the_same(told):
    assert len(tales.SHAPES) >= 40
    assert len(set(tales.SHAPES.values())) == len(tales.SHAPES)
    rng, shapes = random.Random(tales.SEED), list(tales.SHAPES)
    used = Counter()
    for tale in told:
        state = rng.getstate()
        used[shapes[int(rng.random() * len(shapes))]] += 1  # the shape is the first draw of a tale
        rng.setstate(state)
        assert tales.tell(rng) == tale
    assert set(used) == set(shapes)


@quick
def test_every_alternative_of_every_symbol_is_used(monkeypatch):
    drawn, draw = set(), tales._Teller.draw

    def draw_and_note(teller, symbol):
        option = draw(teller, symbol)
        drawn.add((symbol, option))
        return option

    monkeypatch.setattr(tales._Teller, "draw", draw_and_note)
    assert tales.corpus() == CORPUS
    assert drawn == {(symbol, option) for symbol, options in tales.GRAMMAR.items() for option in options}
    assert all(len(options) == len(set(options)) for options in tales.GRAMMAR.values())


def all_tales(grammar, template):
    """Every text a small grammar makes, with its probability, by brute force: a third way to the same numbers."""

    def write(parts, taken, known):
        if not parts:
            yield "", Fraction(1)
            return
        head, *rest = parts
        name, _, symbol = head.partition(":")
        if name in known:
            options, symbol = [known[name]], None
        elif symbol or name in grammar:
            symbol = symbol or name
            options = [option for option in grammar[symbol] if (symbol, option) not in taken]
        else:
            options, symbol = [head], None
        for option in options:
            more = taken | {(symbol, option)} if symbol else taken
            for text, probability in write(rest, more, {**known, name: option} if ":" in head else known):
                yield option + text, probability / len(options)

    parts = [part for part in re.split(r"\{(.*?)\}", template) if part]
    return list(write(parts, frozenset(), {}))


def test_probabilities_of_a_small_grammar_add_to_one(monkeypatch):
    grammar = {"name": ["Ada", "Ben", "Mei"], "food": ["a pie", "a pie tin"], "x": ["ran", "sat"]}
    template = "{hero:name} {x} with {name}, ate {food} and {x}. So {hero} slept."
    monkeypatch.setattr(tales, "GRAMMAR", grammar)
    monkeypatch.setattr(tales, "SHAPES", {"only": template})
    every = all_tales(grammar, template)
    assert len(every) == 3 * 2 * 2 * 2
    assert sum(probability for _, probability in every) == 1
    for text, probability in every:
        assert tales.read(text).probability == probability
    assert {tales.tell(random.Random(seed)).text for seed in range(300)} == {text for text, _ in every}


def test_two_derivations_are_counted_and_summed(monkeypatch):
    monkeypatch.setattr(tales, "GRAMMAR", {"a": ["x", "x y"], "b": [" y z", " z"]})
    monkeypatch.setattr(tales, "SHAPES", {"only": "{a}{b}"})
    assert tales.derivations("x y z") == 2
    assert tales.score("x y z") == 1.0
    assert tales.score("x z") == 2.0


@quick
def test_draws_are_uniform():
    """300 draws for each of the 48 names: the count of each lies within five standard deviations."""
    rng, count = random.Random(3), Counter()
    for _ in range(300 * 48):
        teller = tales._Teller(rng)
        count[teller.draw("name")] += 1
    assert len(count) == 48
    assert all(abs(n - 300) < 5 * 300**0.5 for n in count.values())


def test_the_vocabulary_and_the_lengths(told):
    assert len(set(words(CORPUS.replace(tales.END_OF_TEXT, "")))) >= 600
    assert len(set(TEXTS)) == len(TEXTS)
    for tale in told:
        assert 65 <= len(tale.text.split()) <= 125
        assert len(re.findall(r"[\w']+|[^\w\s]", tale.text)) <= 175
        assert '"' in tale.text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |[{}]|[.!?] [a-z]", tale.text), tale.text


def test_each_mark_repeats_what_the_beginning_named(told):
    for tale in told:
        start = tale.text.split("\n")[0]
        marks = marked(tale)
        assert set(marks) == set(tales.MARKS)
        kinds = {"thing": "lost_thing", "place": "far_place", "person": "name"}
        for name, text in marks.items():
            assert text[0] == " " and text[1:] in tales.WORDS[kinds[name]]
            assert len(re.findall(rf"\b{text[1:]}\b", start)) == 1
        people = set(re.findall(r"\w+", start)) & set(tales.WORDS["name"])
        assert len(people) == 2, "only the hero and the other person have names"
        for kind in ("lost_thing", "far_place"):
            assert len(set(words(tale.text)) & set(tales.WORDS[kind])) == 1, tale.text


def test_no_marked_word_stands_in_the_25_words_before_it(told):
    for tale in told:
        for name, (start, end) in tale.marks.items():
            before = re.findall(r"[\w']+", tale.text[:start])[-25:]
            assert tale.text[start:end].strip() not in before, (name, tale.text)


def test_the_beginning_decides_the_last_sentence(told):
    for tale in told:
        trait = next(trait for trait in tales.TRAITS if f" {trait}." in tale.text.split("\n")[0])
        hero = next(name for name in re.findall(r"\w+", tale.text) if name in tales.WORDS["name"])
        assert tale.text.endswith(" " + tales.TRAITS[trait].replace("{hero}", hero))


def test_a_girl_is_she_and_a_boy_is_he(told):
    for tale in told:
        hero = next(name for name in re.findall(r"\w+", tale.text) if name in tales.WORDS["name"])
        wrong = {"he", "his", "him"} if hero in tales.GIRLS else {"she", "her"}
        assert not wrong & set(words(tale.text)), tale.text


def test_a_trigram_model_does_not_recall(told):
    """Greedy choice from the two words before, trained on nine tenths: under 10 % of the last tenth all right."""
    cut = len(told) * 9 // 10
    follows = defaultdict(Counter)
    for tale in told[:cut]:
        tokens = re.findall(r"[\w']+|[^\w\s]", tale.text)
        for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False):
            follows[a, b][c] += 1

    def right(tale, name):
        start, end = tale.marks[name]
        seen = follows[tuple(re.findall(r"[\w']+|[^\w\s]", tale.text[:start])[-2:])]
        return bool(seen) and max(seen, key=seen.get) == tale.text[start:end].strip()

    held_out = told[cut:]
    assert len(held_out) >= 300
    one = {name: sum(right(tale, name) for tale in held_out) / len(held_out) for name in tales.MARKS}
    assert max(one.values()) < 0.1
    assert sum(all(right(tale, name) for name in tales.MARKS) for tale in held_out) / len(held_out) < 0.1


def test_a_text_that_the_grammar_cannot_make_is_refused(told):
    good = told[0].text
    name = marked(told[0])["thing"]
    swapped = next(f" {thing}" for thing in tales.WORDS["lost_thing"] if f" {thing}" not in good)
    at = told[0].marks["thing"]
    broken = {
        "an added word": good + " again",
        "an added line": good + "\n",
        "a changed word": good.replace(" the ", " a ", 1),
        "the wrong thing at the end": good[: at[0]] + swapped + good[at[1] :],
        "a missing ending": good[: good.rindex(" ")],
        "nothing": "",
        "two tales": f"{good}\n{told[1].text}",
    }
    assert name in good
    for what, text in broken.items():
        with pytest.raises(ValueError, match="grammar cannot make") as error:
            tales.score(text)
        assert "\n" not in str(error.value), what


@quick
def test_a_strange_word_is_refused_wherever_it_stands(sample):
    for tale in sample[:5]:
        tokens = tale.text.split(" ")
        for i in range(len(tokens)):
            text = " ".join([*tokens[:i], "zebra", *tokens[i + 1 :]])
            with pytest.raises(ValueError, match="reads"):
                tales.score(text)


def test_errors_of_the_generator():
    with pytest.raises(KeyError, match="No shape is called 'sad'"):
        tales.tell(random.Random(0), "sad")
    with pytest.raises(ValueError, match="n=0"):
        tales.corpus(0)


def test_the_data_card_tells_the_truth(told):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    quoted = "\n".join(line.removeprefix(">").strip() for line in card.split("\n") if line.startswith(">"))
    assert re.sub(r"\n+", " ", quoted) in [text.replace("\n", " ") for text in TEXTS]
    last = told[len(told) * 9 // 10 :]
    floor = sum(tale.bits for tale in last) / sum(len(tale.text.encode()) for tale in last)
    lengths = [len(tale.text.split()) for tale in told]
    facts = {
        "tales": f"{len(told):,}",
        "bytes of the file": f"{len(CORPUS.encode()):,}",
        "words": f"{sum(lengths):,}",
        "words per tale, mean": f"{sum(lengths) / len(told):.1f}",
        "words per tale, least and most": f"{min(lengths)} and {max(lengths)}",
        "bytes per tale, mean": f"{sum(len(tale.text) for tale in told) / len(told):.1f}",
        "different words, in lower case": f"{len(set(words(' '.join(TEXTS)))):,}",
        "shapes": f"{len(tales.SHAPES)}",
        "bits per tale, mean": f"{sum(tale.bits for tale in told) / len(told):.2f}",
        "tales in the last tenth": f"{len(last)}",
        "entropy floor of the last tenth, bits per byte": f"{floor:.5f}",
    }
    missing = [line for line in (f"| {name} | {value} |" for name, value in facts.items()) if line not in card]
    assert not missing, "Put these rows into data/README.md:\n" + "\n".join(missing)
