"""What a prompt asks a poster for: a backdrop, and things with colour, number, size and place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from deployments.image.poster.vocabulary import LONGEST, Vocabulary, is_plural

Colour = tuple[int, int, int]
Ground = Literal[
    "plain",
    "sky",
    "sea",
    "beach",
    "snow",
    "forest",
    "city",
    "desert",
    "mountains",
    "meadow",
    "space",
    "room",
]
Hour = Literal["day", "night", "sunset"]
Weather = Literal["clear", "snowfall", "rain", "fog"]
Side = Literal["left", "right", "middle"]
Height = Literal["top", "bottom", "far"]

GROUNDS: dict[str, Ground] = {
    "sky": "sky", "air": "sky", "sea": "sea", "ocean": "sea", "lake": "sea", "river": "sea",
    "water": "sea", "beach": "beach", "shore": "beach", "coast": "beach", "seaside": "beach",
    "harbour": "sea", "snow": "snow", "snowy": "snow",
    "winter": "snow", "ice": "snow", "forest": "forest", "woods": "forest", "wood": "forest",
    "jungle": "forest", "city": "city", "town": "city", "street": "city", "village": "city",
    "skyline": "city", "desert": "desert", "sand": "desert", "dunes": "desert",
    "mountain": "mountains", "mountains": "mountains", "hills": "mountains", "alps": "mountains",
    "meadow": "meadow", "field": "meadow", "grass": "meadow", "garden": "meadow", "park": "meadow",
    "countryside": "meadow", "hill": "meadow", "space": "space", "galaxy": "space",
    "universe": "space", "room": "room", "kitchen": "room", "indoors": "room", "bedroom": "room",
}  # fmt: skip
HOURS: dict[str, Hour] = {
    "night": "night", "midnight": "night", "dark": "night", "starry": "night",
    "moonlight": "night", "moonlit": "night", "evening": "sunset", "sunset": "sunset",
    "sunrise": "sunset", "dawn": "sunset", "dusk": "sunset", "day": "day", "sunny": "day",
}  # fmt: skip
WEATHERS: dict[str, Weather] = {
    "snowing": "snowfall", "snowfall": "snowfall", "blizzard": "snowfall", "snowflakes": "snowfall",
    "rain": "rain", "rainy": "rain", "raining": "rain", "storm": "rain", "stormy": "rain",
    "fog": "fog", "foggy": "fog", "mist": "fog", "misty": "fog",
}  # fmt: skip
COLOURS: dict[str, Colour] = {
    "red": (214, 48, 49), "orange": (240, 140, 40), "yellow": (250, 208, 60),
    "golden": (240, 190, 50), "gold": (240, 190, 50), "green": (64, 160, 80),
    "blue": (52, 120, 210), "purple": (130, 80, 180), "violet": (130, 80, 180),
    "pink": (240, 140, 180), "brown": (140, 95, 60), "black": (45, 45, 52),
    "white": (248, 248, 244), "grey": (150, 152, 158), "gray": (150, 152, 158),
    "silver": (196, 200, 208), "turquoise": (60, 190, 190), "cyan": (70, 200, 220),
}  # fmt: skip
SIZES = {
    "huge": 1.7, "giant": 1.7, "enormous": 1.7, "big": 1.35, "large": 1.35, "great": 1.35,
    "small": 0.65, "little": 0.65, "tiny": 0.4,
}  # fmt: skip
COUNTS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "pair": 2, "couple": 2, "some": 3, "few": 3,
    "several": 4, "many": 7,
}  # fmt: skip
SIDES: dict[str, Side] = {"left": "left", "right": "right", "middle": "middle", "centre": "middle",
                          "center": "middle"}  # fmt: skip
HEIGHTS: dict[str, Height] = {"top": "top", "above": "top", "bottom": "bottom",
                              "foreground": "bottom", "distance": "far",
                              "background": "far"}  # fmt: skip
HOLDING = frozenset({
    "with", "holding", "holds", "held", "carrying", "carries", "wearing", "wears", "beside", "by",
    "near", "next",
})  # fmt: skip
WORD = re.compile(r"[^\W\d_]+|\d+")
MOST = 12
SEVERAL = 3
"""Of one thing that is named as many."""


@dataclass(frozen=True)
class Thing:
    """A symbol; None leaves the choice open."""

    symbol: str
    word: str
    count: int = 1
    colour: Colour | None = None
    size: float = 1.0
    side: Side | None = None
    height: Height | None = None
    is_held: bool = False
    """Whether it is beside the thing before."""


@dataclass(frozen=True)
class Poster:
    """What is to be seen. Without anything, the prompt is the title."""

    things: tuple[Thing, ...] = ()
    ground: Ground | None = None
    hour: Hour | None = None
    weather: Weather | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no word of the prompt was known."""
        return self == Poster()


@dataclass
class _Described:
    """What the words since the last thing say of the next one."""

    count: int | None = None
    colour: Colour | None = None
    size: float = 1.0
    is_held: bool = False


def poster_of(prompt: str, negative: str, vocabulary: Vocabulary) -> Poster:
    """What the words name, but for those that are in the negative prompt."""
    left_out = {symbol for words in _phrases(_words(negative), vocabulary)
                if (symbol := vocabulary.symbol(words))}  # fmt: skip
    words = _words(prompt)
    things: list[Thing] = []
    ground, hour, weather = _surroundings(words)
    described = _Described()
    for phrase in _phrases(words, vocabulary):
        if phrase in SIDES and things:
            things[-1] = _changed(things[-1], side=SIDES[phrase])
        elif phrase in HEIGHTS and things:
            things[-1] = _changed(things[-1], height=HEIGHTS[phrase])
        elif symbol := _thing(phrase, vocabulary):
            things.append(_thing_of(symbol, phrase, described))
            described = _Described()
        elif phrase in HOLDING:
            described.is_held = bool(things)
        else:
            _describe(described, phrase)
    kept = [thing for thing in things if thing.symbol not in left_out]
    unique = {thing.symbol: thing for thing in reversed(kept)}
    return Poster(tuple(reversed(unique.values())), ground, hour, weather)


def _words(prompt: str) -> list[str]:
    return WORD.findall(prompt.lower().replace("'s ", " "))


def _phrases(words: list[str], vocabulary: Vocabulary) -> Iterator[str]:
    """One word after the other; several at once where they name something together."""
    at = 0
    while at < len(words):
        for length in range(min(LONGEST, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + length])
            if length == 1 or vocabulary.symbol(phrase):
                yield phrase
                at += length
                break


def _surroundings(words: list[str]) -> tuple[Ground | None, Hour | None, Weather | None]:
    grounds = [GROUNDS[word] for word in words if word in GROUNDS]
    hours = [HOURS[word] for word in words if word in HOURS]
    weathers = [WEATHERS[word] for word in words if word in WEATHERS]
    # The sky is above everything: another ground says more.
    ground = next((found for found in grounds if found != "sky"), grounds[0] if grounds else None)
    weather = weathers[0] if weathers else None
    if ground == "snow" and weather is None and "snow" in words:
        weather = "snowfall"
    return ground, hours[0] if hours else None, weather


def _thing(phrase: str, vocabulary: Vocabulary) -> str | None:
    if phrase in GROUNDS or phrase in HOURS or phrase in WEATHERS or phrase in COUNTS:
        return None
    if phrase in COLOURS or phrase in SIZES or phrase in SIDES or phrase in HEIGHTS:
        return None
    return vocabulary.symbol(phrase)


def _thing_of(symbol: str, phrase: str, described: _Described) -> Thing:
    count = described.count or (SEVERAL if is_plural(phrase) else 1)
    return Thing(
        symbol,
        phrase,
        min(count, MOST),
        described.colour,
        described.size,
        is_held=described.is_held,
    )


def _describe(described: _Described, word: str) -> None:
    if word.isascii() and word.isdigit():
        described.count = max(1, min(int(word[:4]), MOST))
    elif word in COUNTS and not (described.count and word in ("a", "an", "few")):
        described.count = COUNTS[word]
    described.colour = COLOURS.get(word, described.colour)
    described.size = SIZES.get(word, described.size)


def _changed(thing: Thing, side: Side | None = None, height: Height | None = None) -> Thing:
    return replace(thing, side=side or thing.side, height=height or thing.height)
