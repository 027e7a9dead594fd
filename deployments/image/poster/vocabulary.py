"""Which words name which symbol: Unicode's own names of those that a font has, and synonyms."""

import unicodedata
from collections.abc import Callable, Iterator

RANGES = (
    range(0x2600, 0x27C0),
    range(0x2B50, 0x2B51),
    range(0x1F300, 0x1F3FB),
    range(0x1F400, 0x1F540),
    range(0x1F56F, 0x1F571),
    range(0x1F5A4, 0x1F600),
    range(0x1F680, 0x1F700),
    range(0x1F916, 0x1F917),
    range(0x1F930, 0x1FA00),
    range(0x1FA70, 0x1FB00),
)
"""Of things; faces that show a mood, skin tones and clock faces lie between them."""
GENERIC = frozenset({"FACE", "BUILDING", "SIGN", "SYMBOL", "MARK", "ORNAMENT", "HEAVY", "BLACK"})
ENDS = frozenset({"WITH", "AND", "FOR", "ON", "IN", "AT"})
SPOKEN = frozenset({
    "light", "dark", "style", "art", "photo", "shot", "view", "scene", "image", "picture",
    "painting", "drawing", "left", "right", "up", "down", "top", "bottom", "back", "end",
    "soon", "new", "cool", "free", "on", "off", "of", "with", "circle", "square", "arrow",
    "hand", "hands", "number", "ball", "front", "wide", "close", "full", "old", "long", "open",
    "high", "low", "large", "small", "medium", "mouth", "nose", "sleeping", "walking",
    "running", "standing", "way", "saw", "die", "fly", "together", "stop", "point", "points",
    "pointing", "check", "feeding", "blowing", "exchange", "claim", "control", "decoration",
    "departure", "arriving", "division", "entry", "frame", "frames", "freezing", "frowning", "hit",
    "index", "input", "label", "link", "litter", "male", "female", "mode", "note", "notes", "peace",
    "pick", "piece", "plus", "minus", "polish", "print", "prints", "question", "rightwards",
    "downwards", "rock", "score", "shape", "shrug", "slide", "smiling", "smoking", "springs",
    "stick", "sweat", "tears", "track", "trap", "warning", "wedge", "yawning", "dizzy", "disguised",
    "dash", "cross", "crossing", "cooking", "collision", "classical", "ceremony", "anger",
    "saluting", "hugging", "overheated", "racing", "massage", "worship", "brightness",
})  # fmt: skip
"""Words that say how or where, if Unicode has symbols of that name, too."""
SYNONYMS = {
    "boat": "SAILBOAT", "ship": "SHIP", "car": "AUTOMOBILE", "plane": "AIRPLANE",
    "aeroplane": "AIRPLANE", "bike": "BICYCLE", "train": "STEAM LOCOMOTIVE", "truck":
    "DELIVERY TRUCK", "tree": "DECIDUOUS TREE", "pine": "EVERGREEN TREE", "fir": "EVERGREEN TREE",
    "spruce": "EVERGREEN TREE", "flower": "TULIP", "leaf": "MAPLE LEAF", "puppy": "DOG",
    "kitten": "CAT", "hare": "RABBIT", "bunny": "RABBIT", "chick": "HATCHING CHICK",
    "chicken": "ROOSTER", "hen": "ROOSTER", "bee": "HONEYBEE", "mouse": "MOUSE", "rat": "RAT",
    "whale": "SPOUTING WHALE", "pony": "HORSE", "donkey": "HORSE", "home": "HOUSE BUILDING",
    "house": "HOUSE BUILDING", "hut": "HOUSE BUILDING", "cottage": "HOUSE WITH GARDEN",
    "castle": "EUROPEAN CASTLE", "tower": "TOKYO TOWER", "lighthouse": "TOKYO TOWER",
    "palace": "EUROPEAN CASTLE", "lamp": "IZAKAYA LANTERN",
    "lantern": "IZAKAYA LANTERN", "torch": "ELECTRIC TORCH",
    "campfire": "FIRE", "flame": "FIRE", "sun": "BLACK SUN WITH RAYS", "moon": "CRESCENT MOON",
    "star": "WHITE MEDIUM STAR", "heart": "HEAVY BLACK HEART", "cloud": "CLOUD",
    "child": "CHILD", "kid": "CHILD", "person": "ADULT", "someone": "ADULT", "human": "ADULT",
    "traveller": "ADULT", "grandmother": "OLDER WOMAN", "grandma": "OLDER WOMAN",
    "grandfather": "OLDER MAN", "grandpa": "OLDER MAN", "mother": "WOMAN", "father": "MAN",
    "lady": "WOMAN", "queen": "PRINCESS", "king": "CROWN", "prince": "CROWN", "witch": "MAGE",
    "wizard": "MAGE", "sorcerer": "MAGE", "magician": "MAGE", "robot": "ROBOT FACE",
    "alien": "EXTRATERRESTRIAL ALIEN", "dragon": "DRAGON", "dinosaur": "SAUROPOD",
    "knight": "CROSSED SWORDS", "sword": "CROSSED SWORDS", "book": "OPEN BOOK",
    "letter": "ENVELOPE", "clock": "MANTELPIECE CLOCK", "gift": "WRAPPED PRESENT",
    "present": "WRAPPED PRESENT", "cake": "BIRTHDAY CAKE", "apple": "RED APPLE",
    "tea": "HOT BEVERAGE", "coffee": "HOT BEVERAGE", "cup": "HOT BEVERAGE",
    "old man": "OLDER MAN", "old woman": "OLDER WOMAN", "piano": "MUSICAL KEYBOARD",
    "treasure": "GEM STONE", "diamond": "GEM STONE", "football": "SOCCER BALL",
    "bridge": "BRIDGE AT NIGHT", "computer": "PERSONAL COMPUTER", "laptop": "PERSONAL COMPUTER",
    "planet": "RINGED PLANET", "earth": "EARTH GLOBE EUROPE-AFRICA", "umbrella": "UMBRELLA",
    "lightning": "HIGH VOLTAGE SIGN", "snowman": "SNOWMAN", "orange": "TANGERINE",
    "island": "DESERT ISLAND", "shell": "SPIRAL SHELL", "teddy": "TEDDY BEAR", "tv": "TELEVISION",
    "chair": "CHAIR", "mask": "PERFORMING ARTS", "skull": "SKULL", "phone": "MOBILE PHONE",
    "bicycle": "BICYCLE", "rose": "ROSE", "grapes": "GRAPES", "eye": "EYE", "bus": "BUS",
}  # fmt: skip
IRREGULAR = {
    "children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse",
    "geese": "goose", "wolves": "wolf", "leaves": "leaf", "knives": "knife", "teeth": "tooth",
    "feet": "foot",
}  # fmt: skip
ALIKE = frozenset({"fish", "sheep", "deer"})
"""One and many are the same word."""
LONGEST = 3
"""Words of a name that are looked for together."""


class Vocabulary:
    """What the symbols of a font are called; `has` is whether the font has one."""

    def __init__(self, has: Callable[[str], bool]) -> None:
        names = {
            name: char
            for char in (chr(code) for every in RANGES for code in every)
            if (name := unicodedata.name(char, "")) and has(char)
        }
        self._names: dict[str, str] = {}
        for name, char in sorted(names.items(), key=lambda item: (item[0].count(" "), item[1])):
            for word in _called(name):
                self._names.setdefault(word, char)
        for word in SPOKEN & self._names.keys():
            del self._names[word]
        synonyms = {word: names[name] for word, name in SYNONYMS.items() if name in names}
        self._names |= synonyms

    def __len__(self) -> int:
        return len(self._names)

    def symbol(self, words: str) -> str | None:
        """What words of a prompt, in lower case, name: one or many."""
        return self._names.get(words) or self._names.get(singular(words))


def singular(words: str) -> str:
    """The last word for one thing."""
    before, space, last = words.rpartition(" ")
    if last in IRREGULAR:
        return f"{before}{space}{IRREGULAR[last]}"
    for ending, one in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss")):
        if last.endswith(ending) and len(last) > len(ending) + 1:
            return f"{before}{space}{last.removesuffix(ending)}{one}"
    is_many = last.endswith("s") and not last.endswith(("ss", "us")) and len(last) > 3
    return f"{before}{space}{last[:-1]}" if is_many else words


def is_plural(words: str) -> bool:
    """Whether they name more than one."""
    return singular(words) != words and words.rpartition(" ")[2] not in ALIKE


def _called(name: str) -> Iterator[str]:
    """The whole name, and the noun that it is about."""
    words = [word for word in name.replace("-", " ").split() if word not in GENERIC]
    end = next((n for n, word in enumerate(words) if word in ENDS), len(words))
    about = words[:end]
    if about and len(about) <= LONGEST:
        yield " ".join(about).lower()
    if about and about[-1].isalpha() and len(about[-1]) > 2:
        yield about[-1].lower()
