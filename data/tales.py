"""Short tales for a small GPT, told by a grammar that also knows how probable each tale is.

`tell` draws a tale, `score` reads one back and returns its bits: minus log2 of its probability. Summed over held-out
tales that is the entropy floor, which no model can beat. Run this file to write `tales.txt` again, byte for byte.

The whole grammar is one dictionary, `GRAMMAR`. It maps a symbol to its alternatives, which are templates:

    {food}          draw an alternative of the symbol `food`
    {hero:name}     draw an alternative of `name` and remember it as `hero`
    {hero}          repeat what was remembered
    {hero.their}    repeat it in another form, which `FORMS` holds
    {thing!}        repeat it, and mark the place: here a reader must remember

A tale begins with one of `SHAPES`, all equally likely. After that one rule gives the probabilities: every alternative
of a symbol that this tale has not drawn yet is equally likely.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

END_OF_TEXT = "<|endoftext|>"
TALES, SEED = 3200, 20  # what tales.txt is made with
MARKS = ("thing", "place", "person")


def _list(items: str) -> list[str]:
    return " ".join(items.split()).split(", ")


# ---- the words -----------------------------------------------------------------------------------------------------

GIRLS = _list("""Ada, Amina, Bella, Clara, Dora, Elsa, Freya, Greta, Hana, Ines, Juno, Kira, Lena, Mei, Nadia, Olga,
Petra, Rosa, Sofia, Tilda, Una, Vera, Wanda, Zoe""")
BOYS = _list("""Adam, Ben, Carlos, Dan, Emil, Felix, Gus, Hugo, Ivan, Jonas, Kofi, Leo, Max, Noah, Omar, Paul, Ravi,
Sam, Tom, Udo, Viktor, Walter, Yusuf, Zack""")

# What the hero is like at the beginning decides, word for word, how the tale ends.
TRAITS = {
    "counted everything twice": "Then little {hero} counted the stars twice, and none was missing.",
    "sang to the bees": "That evening little {hero} sang the bees a new song.",
    "always asked why": "And for once little {hero} did not ask why.",
    "could never sit still": "Then little {hero} sat still for a whole hour.",
    "was afraid of the dark": "Now little {hero} walks in the dark without a shiver.",
    "talked to the moon": "The moon heard all about it from little {hero}.",
    "collected odd socks": "As thanks, little {hero} gave away the two best socks.",
    "forgot to say thank you": "This time little {hero} said thank you twice.",
    "hated to wait": "Some things, little {hero} learned, are worth waiting for.",
    "told endless stories": "It was the longest story that little {hero} ever told.",
    "wanted to go to sea": "Years later little {hero}, now a captain, named a ship after it.",
    "was too shy to speak": "And shy little {hero} chattered all the way home.",
    "loved to dance": "Then little {hero} danced until the dust flew.",
    "kept a diary": "That night little {hero} filled nine pages of the diary.",
    "longed for a friend": "And little {hero} had found a friend for life.",
    "baked terrible pies": "To celebrate, little {hero} baked a pie, and it was terrible.",
    "liked to sleep late": "The next day little {hero} slept until noon.",
    "grumbled at breakfast": "And little {hero} did not grumble at breakfast for a year.",
    "dreamed of flying": "That night little {hero} flew over the rooftops, fast asleep.",
    "never shared a crumb": "Ever since, little {hero} has shared every crumb.",
    "planted sunflowers": "Next summer a sunflower from little {hero} grew there.",
    "laughed at everything": "Then little {hero} laughed until the shutters shook.",
    "went barefoot all year": "And little {hero} ran home barefoot through the clover.",
    "drew on every wall": "The picture little {hero} drew of it is still on the wall.",
}

_SHE = {"they": "she", "They": "She", "them": "her", "their": "her"}
_HE = {"they": "he", "They": "He", "them": "him", "their": "his"}
FORMS: dict[str, dict[str, str]] = {
    **dict.fromkeys(GIRLS, _SHE),
    **dict.fromkeys(BOYS, _HE),
    **{trait: {"ending": ending} for trait, ending in TRAITS.items()},
}

WORDS = {
    "name": GIRLS + BOYS,
    "trait_of_hero": list(TRAITS),
    "lost_thing": _list("""key, whistle, compass, button, ribbon, mitten, locket, marble, spoon, puppet, feather, map,
flute, bell, coin, scarf, mirror, candle, ring, ball, crown, pencil, shell, doll, bracelet, lantern, kite, comb, drum,
bead"""),
    "far_place": _list("""mill, orchard, bridge, harbour, market, lighthouse, farm, pond, lake, castle, barn, bakery,
school, library, station, fountain, tower, ferry, inn, cottage, beach, meadow, museum, crossroads"""),
    "job": _list("""baker, miller, gardener, tailor, potter, painter, shepherd, fiddler, cobbler, weaver, farmer,
        sailor, blacksmith, carpenter, beekeeper, clockmaker, teacher, fisher, cook, hatter, poet, doctor, forester,
        diver"""),
    "a_fine": _list("""a small, an old, a shiny, a pretty, a curious, a plain, a fine, a lucky, a precious, a crooked,
        a dusty, a bright, a funny, an unusual, a tiny, an elegant, a striped, a spotted, a lovely, a strange, a
        splendid, a battered, a faded, a gleaming, a simple, a rare, a magic, an ancient, a beautiful, an odd"""),
    "colour": _list("""red, blue, green, yellow, white, black, purple, copper, pink, brown, grey, silver, golden,
        turquoise, scarlet, violet"""),
    "weather": _list("""windy, rainy, foggy, snowy, sunny, frosty, stormy, cloudy, misty, chilly, breezy, mild, damp,
        warm, cold, hazy"""),
    "day": _list("morning, afternoon, evening, Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "month": _list("January, February, March, April, May, June, July, August, September, October, November, December"),
    "number": _list("two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, twenty"),
    "garment": _list("pocket, coat, apron, sleeve, jacket, satchel, knapsack, cloak, waistcoat, sack, hood, trousers"),
    "animal": _list("""hen, fox, goat, mouse, hedgehog, rabbit, badger, duck, goose, frog, toad, crow, robin, sparrow,
        squirrel, cat, puppy, donkey, pony, lamb, snail, beetle, heron, magpie, swan, mole, beaver, raccoon"""),
    "mood": _list("""friendly, sleepy, polite, plump, wise, clever, cheeky, grumpy, muddy, quick, fluffy, proud, bold,
        hungry, cheerful, skinny"""),
    "feeling": _list("""sad, tired, gloomy, lonely, worried, sorry, glum, restless, lonesome, miserable, cross, weary,
        bored, downcast, puzzled, bothered, nervous, tearful, forlorn, troubled"""),
    "food": _list("""a slice of bread, a warm bun, two plums, an apple, a piece of cheese, a pancake, a bowl of soup,
        a boiled egg, some raisins, a ginger biscuit, a handful of nuts, a pear, a jam tart, some porridge, a carrot,
        a honey cake, a baked potato, a dumpling, a sausage, some cherries, a waffle, a sandwich, a muffin, some
        noodles, a pickle, a jar of jam, a radish, a lemon drop, some popcorn, a bag of peanuts"""),
    "nook": _list("""under the bed, behind the oven, inside the boots, under the carpet, on top of the wardrobe, in
        the hayloft, beneath the pillows, among the cabbages, behind the curtains, under the porch, in the sugar bowl,
        up the chimney, in the coal bucket, along the hedge, under the wagon, in the rain barrel, behind the woodpile,
        in the laundry, beneath the oak, in the attic, down in the cellar, inside the piano, among the nettles,
        between the floorboards"""),
    "junk": _list("""cobwebs, an empty bottle, a lost sock, crumbs, a bent nail, dust, three dry leaves, an old boot,
        a sleeping moth, a broken plate, a knot of wool, straw, a rusty hook, last week's news, a bald broom, a dead
        battery, a torn glove, mud, half a saw, a very surprised spider, a playing card, onion skins, wood shavings, a
        forgotten tooth"""),
    "sound": _list("""an owl hooting, the clock ticking, the wind sighing, a dog barking, rain on the roof, the stairs
        creaking, mice in the wall, the sea roaring, frogs croaking, crickets chirping, leaves rustling, thunder
        rolling, a baby crying, a horse snoring, a door slamming, the kettle humming"""),
    "traveller": _list("""pedlar, soldier, tinker, clown, juggler, stranger, pilgrim, pirate, knight, piper, dancer,
        wizard, giant, princess, hunter, monk"""),
    "task": _list("""push the cart, mend the wheel, carry the firewood, feed the mule, fold the tent, catch the pig,
        wash the pots, climb the hill, patch the sail, find the road, stir the stew, chase off the wasps, tie the
        knots, read the signpost, cross the stream, light the fire"""),
    "carrier": _list("""the wind, the river, a whirlwind, the tide, a flood, a landslide, a wave, a gust, a storm, a
        hurricane, a blizzard, a breeze"""),
    "perch": _list("windowsill, doorstep, table, shelf, bench, roof, balcony, stool, swing, cushion, pier, stump"),
    "price": _list("""pennies, ducats, shillings, pearls, eggs, pumpkins, wishes, cheeses, kisses, songs, turnips,
        riddles"""),
    "softly": _list("""softly, kindly, quietly, gently, wisely, solemnly, slowly, politely, cheerfully, calmly,
        gravely, warmly, sternly, shyly, brightly, briskly"""),
    "lament": _list("""I will not give up, There must be a way, I wish it were here, Everything goes wrong today, I
        shall not cry, Luck has forgotten me, Perhaps tomorrow, I must be brave, It was my only wish, I could howl,
        This is no fun at all, Somebody must help me, My heart is so heavy, I need a plan, Oh bother, How very
        unfair"""),
    "sighed": _list("sighed, muttered, whispered, sobbed, groaned, mumbled, sniffed, murmured"),
    "hurrah": _list("""At last, Hooray, How wonderful, I knew it, What a day, Bless my boots, Oh my, Thank heavens,
        Well I never, Goodness me, Jumping jellyfish, Yippee, It is true, How marvellous, Just look, Happy me, Sweet
        honeycomb, Great pumpkins, Heavens above, My oh my, Three cheers, I could sing, Good gracious, Splendid"""),
    "cried": _list("""cried, shouted, laughed, sang, whooped, cheered, exclaimed, squealed, called, yelled, gasped,
        piped"""),
    "storm": _list("rain, snow, hail, pour, thunder, drizzle, sleet, blow"),
    "box": _list("drawer, chest, cupboard, trunk, barrel, hamper, crate, suitcase, pot, vase, tin, wheelbarrow"),
    "busily": _list("""polishing, admiring, wrapping, guarding, dusting, holding, mending, painting, cleaning,
        hugging, studying, warming"""),
    "beyond": _list("hills, woods, fields, mountains, marshes, moors, dunes, valleys"),
    "sped": _list("""ran, hurried, raced, hopped, galloped, rushed, dashed, marched, trotted, tiptoed, stumbled,
        strolled, skipped, scampered, crept, bounced"""),
}

# ---- the sentences -------------------------------------------------------------------------------------------------

SENTENCES = {
    # who it is about
    "opening": [
        "Once upon a time there was little {hero:name}, who {trait:trait_of_hero}.",
        "Once upon a time little {hero:name} {trait:trait_of_hero}.",
        "Everyone knew little {hero:name}, who {trait:trait_of_hero}.",
        "Long ago there lived little {hero:name}, who {trait:trait_of_hero}.",
        "This is the tale of little {hero:name}, who {trait:trait_of_hero}.",
        "No child was like little {hero:name}, who {trait:trait_of_hero}.",
    ],
    "giver": ["Cousin {person:name} the {job}"],
    "treasure": ["{a_fine} {colour} {thing:lost_thing}"],
    "gift": [
        "{giver} at the {place:far_place} gave {hero.them} {treasure}.",
        "From {giver} at the {place:far_place} {hero.they} got {treasure}.",
        "{hero.They} had {treasure} from {giver} at the {place:far_place}.",
        "At the {place:far_place} {giver} made {hero.them} {treasure}.",
    ],
    "one_day": ["But one {weather} {day}", "Then, one {weather} {day},", "Alas, one {weather} {day}"],
    # eight ways in which a thing goes missing or is longed for
    "dropped": [
        "{one_day} it slipped through a hole in {hero.their} {garment}.",
        "{one_day} it fell out of {hero.their} {garment} and was lost.",
        "{one_day} {hero.they} found {hero.their} {garment} empty.",
    ],
    "stolen": [
        "{one_day} a {mood} {animal} snatched it and was gone.",
        "{one_day} a {mood} {animal} carried it off.",
        "{one_day} {hero.they} saw a {mood} {animal} run away with it.",
    ],
    "swept_away": [
        "{one_day} {carrier} swept it off the {perch}.",
        "{one_day} {hero.they} left it on the {perch}, and {carrier} took it.",
    ],
    "swapped": [
        "{one_day} {hero.they} swapped it for {food} and was sorry at once.",
        "{one_day} a {traveller} talked {hero.them} into swapping it for {food}.",
    ],
    "lent": [
        "{giver} at the {place:far_place} lent {hero.them} {treasure}. "
        '"Bring it back by {month}!" But {hero.they} lost it in the {beyond}.',
        "At the {place:far_place} {giver} lent {hero.them} {treasure}. "
        '"I need it in {month}!" But soon it was lost in the {beyond}.',
    ],
    "too_dear": [
        "{giver} at the {place:far_place} was selling {treasure}. "
        "It cost {number} {price}, and little {hero} had none.",
        'At the {place:far_place} {giver} had {treasure} for sale. "Only {number} {price}!" But {hero.they} had none.',
    ],
    "promised": [
        "At the {place:far_place} {giver} promised {hero.them} {treasure}. "
        '"It will be ready in {due:month}!" But {due} came and went.',
        "{giver} at the {place:far_place} promised {hero.them} {treasure}. After {number} weeks it had still not come.",
    ],
    "hidden": [
        "For {hero.their} birthday {giver} at the {place:far_place} hid {treasure}. "
        '"Find it by {day}!" said a {colour} note.',
        'As a game {giver} at the {place:far_place} hid {treasure}. "It is yours if you find it by {month}!"',
    ],
    # six ways in which it comes back: first what the hero does ...
    "search": [
        "Little {hero} looked {nook} and {nook}, but found only {junk}.",
        "Little {hero} looked {nook} and found only {junk}.",
        "All {hero.they} found {nook} was {junk}.",
    ],
    "meet_animal": [
        '{search} "Why so {feeling}?" asked a {mood} {guide:animal}. Little {hero} explained and gave it {food}.',
        '{search} Then {hero.they} shared {food} with a {mood} {guide:animal}. "You look {feeling}," it said {softly}.',
    ],
    "dream": [
        "That night little {hero} felt {feeling} and heard {sound}. In a dream a {colour} {animal} spoke {softly}: "
        '"Go back to where it began."',
        "Little {hero} went to bed, {feeling}, and heard {sound} until a dream came. "
        '"Look where it all began," said a {colour} {animal} {softly}.',
    ],
    "ask_around": [
        "First little {hero} asked a {traveller}, who had only seen {junk}. "
        'Then {hero.they} asked a {traveller} eating {food}. "Ask its first owner!"',
        "Little {hero} asked a {mood} {traveller}, who was busy with {food}. "
        '"I only have {junk}," was the {feeling} answer. "Ask its first owner!"',
    ],
    "bad_weather": [
        '{search} Then it began to {storm}. "{lament}," {sighed} little {hero}, {feeling} and wet.',
        '{search} "{lament}," {sighed} little {hero}. It began to {storm}, and {hero.they} felt {feeling}.',
    ],
    "good_deed": [
        "On the road little {hero} met a {feeling} {guest:traveller}, shared {food} and helped to {task}. "
        '"One good turn deserves another," said the {guest} {softly}.',
        "A {feeling} {guest:traveller} came by. Little {hero} offered {food} and helped to {task}. "
        '"Now I shall help you," said the {guest} {softly}.',
    ],
    "letter": [
        'In {colour} ink little {hero} wrote: "{lament}." A {mood} {animal} took it over the {beyond}. '
        "For {number} days {hero.they} ate {food} and waited.",
        '"{lament}," wrote little {hero} in {colour} ink. A {mood} {animal} took the letter over the {beyond}, '
        "and {hero.they} waited for {number} days.",
    ],
    # ... and then how it ends: the three marks
    "animal_leads": [
        "The {guide} {sped} ahead to the {place!}, where Cousin {person!} was {busily} the {thing!}.",
        '"Follow me," said the {guide} and {sped} to the {place!}. There was Cousin {person!}, {busily} the {thing!}.',
    ],
    "dream_comes_true": [
        "Little {hero} woke and {sped} to the {place!}. The {thing!} lay on a {perch}. Cousin {person!} smiled.",
        "At dawn {hero.they} {sped} to the {place!}. On a {perch} sat Cousin {person!}, {busily} the {thing!}.",
    ],
    "giver_knows": [
        "So {hero.they} asked Cousin {person!}, who led {hero.them} to the {place!}. In a {box} lay the {thing!}.",
        "So {hero.they} asked Cousin {person!}, who {sped} to the {place!}, opened a {box} and took out the {thing!}.",
    ],
    "shelter": [
        "{hero.They} {sped} to the {place!} for shelter. There was Cousin {person!} with {food} and the {thing!}.",
        "{hero.They} {sped} to the {place!} to get dry, and met Cousin {person!}, who was {busily} the {thing!}.",
    ],
    "parcel": [
        "The {guest} came from the {place!} with a {box} from Cousin {person!}. In it was the {thing!}.",
        "The {guest} {sped} to the {place!} and came back with Cousin {person!}, who was {busily} the {thing!}.",
    ],
    "answer": [
        'Cousin {person!} answered: "Meet me at the {place!}!" Little {hero} {sped} there and got the {thing!}.',
        "At last Cousin {person!} answered. Little {hero} {sped} to the {place!}, and in a {box} was the {thing!}.",
    ],
    "joy": ['"{hurrah}!" {cried} little {hero}.', 'Little {hero} {cried}: "{hurrah}!"'],
}

# ---- the shapes: eight ways to lose a thing, six ways to get it back -------------------------------------------------

WAYS_OUT = {
    "dropped": "{opening} {gift} {dropped}",
    "stolen": "{opening} {gift} {stolen}",
    "swept away": "{opening} {gift} {swept_away}",
    "swapped": "{opening} {gift} {swapped}",
    "lent": "{opening} {lent}",
    "too dear": "{opening} {too_dear}",
    "promised": "{opening} {promised}",
    "hidden": "{opening} {hidden}",
}
WAYS_BACK = {
    "an animal leads": "{meet_animal}\n{animal_leads} {joy} {trait.ending}",
    "a dream comes true": "{dream}\n{dream_comes_true} {joy} {trait.ending}",
    "the giver knows": "{ask_around}\n{giver_knows} {joy} {trait.ending}",
    "shelter from the weather": "{bad_weather}\n{shelter} {joy} {trait.ending}",
    "a good deed": "{good_deed}\n{parcel} {joy} {trait.ending}",
    "a letter is answered": "{letter}\n{answer} {joy} {trait.ending}",
}
SHAPES: dict[str, str] = {f"{a}, {b}": f"{out}\n{back}" for a, out in WAYS_OUT.items() for b, back in WAYS_BACK.items()}
GRAMMAR: dict[str, list[str]] = {**SENTENCES, **WORDS}


# ---- telling -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tale:
    """A tale, its probability, and where it names the thing, the place and the person again (each with its space)."""

    text: str
    probability: Fraction
    marks: dict[str, tuple[int, int]]

    @property
    def bits(self) -> float:
        """Minus log2 of the probability."""
        return _bits(self.probability)


def _bits(probability: Fraction) -> float:
    return math.log2(probability.denominator) - math.log2(probability.numerator)


@cache
def _split(template: str) -> tuple[str, ...]:
    """Literal text and slots by turns: "The {guide} ran." gives ("The ", "guide", " ran.")."""
    return tuple(re.split(r"\{(.*?)\}", template))


class _Teller:
    """Writes templates from left to right and keeps what was drawn."""

    def __init__(self, rng: random.Random):
        self.rng, self.text, self.ways = rng, "", 1  # 1 / ways is the probability
        self.remembered: dict[str, str] = {}
        self.drawn: dict[str, list[str]] = {}
        self.marks: dict[str, tuple[int, int]] = {}

    def choose(self, options: list[str]) -> str:
        self.ways *= len(options)
        # random() is the one method whose values Python promises to keep from version to version.
        return options[int(self.rng.random() * len(options))]

    def draw(self, symbol: str) -> str:
        drawn = self.drawn.setdefault(symbol, [])
        drawn.append(self.choose([option for option in GRAMMAR[symbol] if option not in drawn]))
        return drawn[-1]

    def write(self, template: str) -> None:
        for i, part in enumerate(_split(template)):
            if i % 2 == 0:
                self.text += part
            elif part in GRAMMAR:
                self.write(self.draw(part))
            elif ":" in part:
                name, symbol = part.split(":")
                self.remembered[name] = self.draw(symbol)
                self.text += self.remembered[name]
            elif "." in part:
                name, form = part.split(".")
                self.write(FORMS[self.remembered[name]][form])
            else:
                self.repeat(part)

    def repeat(self, part: str) -> None:
        name = part.rstrip("!")
        self.text += self.remembered[name]
        if part.endswith("!"):
            self.marks[name] = (len(self.text) - len(self.remembered[name]) - 1, len(self.text))


def tell(rng: random.Random, shape: str | None = None) -> Tale:
    """Draw one tale; with `shape`, a key of `SHAPES`, one of that shape. The probability is always the grammar's."""
    if shape is not None and shape not in SHAPES:
        raise KeyError(f"No shape is called {shape!r}; take a key of tales.SHAPES, such as {next(iter(SHAPES))!r}.")
    teller = _Teller(rng)
    drawn = teller.choose(list(SHAPES))
    teller.write(SHAPES[shape or drawn])
    return Tale(teller.text, Fraction(1, teller.ways), teller.marks)


# ---- reading back ----------------------------------------------------------------------------------------------------


class _Reading(NamedTuple):
    """One way to understand the text up to `at`."""

    at: int = 0
    ways: int = 1  # 1 / ways is the probability of the choices so far
    taken: frozenset[tuple[str, str]] = frozenset()  # (symbol, alternative)
    known: tuple[tuple[str, str], ...] = ()  # (name, value)
    marks: tuple[tuple[str, int, int], ...] = ()


class _Reader:
    """Follows every derivation of a text at once: each step turns a reading into the readings that can come next."""

    def __init__(self, text: str):
        self.text, self.furthest = text, 0
        self.memo: dict[tuple[str, _Reading], list[_Reading]] = {}

    def literal(self, words: str, reading: _Reading) -> list[_Reading]:
        if not self.text.startswith(words, reading.at):
            return []
        self.furthest = max(self.furthest, reading.at + len(words))
        return [reading._replace(at=reading.at + len(words))]

    def template(self, template: str, reading: _Reading) -> list[_Reading]:
        readings = [reading]
        for i, part in enumerate(_split(template)):
            step = self.slot if i % 2 else self.literal
            readings = [after for before in readings for after in step(part, before)]
        return readings

    def slot(self, slot: str, reading: _Reading) -> list[_Reading]:
        name, _, symbol = slot.partition(":")
        if symbol or name in GRAMMAR:
            readings = self.symbol(symbol or name, reading)
            if not symbol:
                return readings
            return [r._replace(known=(*r.known, (name, self.text[reading.at : r.at]))) for r in readings]
        name, _, form = slot.rstrip("!").partition(".")
        value = dict(reading.known)[name]
        readings = self.template(FORMS[value][form] if form else value, reading)
        if slot.endswith("!"):
            return [r._replace(marks=(*r.marks, (name, reading.at - 1, r.at))) for r in readings]
        return readings

    def symbol(self, symbol: str, reading: _Reading) -> list[_Reading]:
        if (symbol, reading) not in self.memo:
            free = [option for option in GRAMMAR[symbol] if (symbol, option) not in reading.taken]
            readings = []
            for option in free:
                if self.text.startswith(_split(option)[0], reading.at):  # look before a costly step
                    taken = reading.taken | {(symbol, option)}
                    readings += self.template(option, reading._replace(ways=reading.ways * len(free), taken=taken))
            self.memo[symbol, reading] = readings
        return self.memo[symbol, reading]


def _readings(text: str) -> list[_Reading]:
    """All derivations of the whole text; a ValueError if there is none."""
    reader = _Reader(text)
    start = _Reading(ways=len(SHAPES))
    readings = [r for shape in SHAPES.values() for r in reader.template(shape, start) if r.at == len(text)]
    if not readings:
        good, bad = text[: reader.furthest][-30:], text[reader.furthest :][:30]
        raise ValueError(
            f"The tales' grammar cannot make this text: it reads {reader.furthest} of its {len(text)} characters, "
            f"up to {good!r}, but cannot go on with {bad!r}; give one whole tale."
        )
    return readings


def derivations(text: str) -> int:
    """In how many ways the grammar makes this text."""
    return len(_readings(text))


def read(text: str) -> Tale:
    """The tale with this text: its probability summed over all derivations, and the marks."""
    readings = _readings(text)
    marks = {name: (start, end) for name, start, end in readings[0].marks}
    return Tale(text, sum((Fraction(1, reading.ways) for reading in readings), Fraction(0)), marks)


def score(text: str) -> float:
    """Minus log2 of the probability of this tale, in bits, found by reading it back.

    The end-of-text token after a tale costs nothing: the ending line tells that the tale is over.
    """
    return read(text).bits


# ---- the file ------------------------------------------------------------------------------------------------------


def corpus(n: int = TALES, seed: int = SEED) -> str:
    """`n` tales, one after the other, with a line that holds only `<|endoftext|>` between them."""
    if n < 1:
        raise ValueError(f"A corpus needs at least one tale, not n={n}; give n=1 or more.")
    rng = random.Random(seed)
    return f"\n{END_OF_TEXT}\n".join(tell(rng).text for _ in range(n)) + "\n"


def split_tales(text: str) -> list[str]:
    """The tales of a corpus, as `score` and `read` take them."""
    return text.removesuffix("\n").split(f"\n{END_OF_TEXT}\n")


def make(path: str | Path | None = None) -> None:
    """Write the corpus, with its fixed number of tales and seed, to `path` or to `tales.txt` beside this file."""
    Path(path or Path(__file__).with_name("tales.txt")).write_text(corpus(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    make()
