"""What the symbols of a poster are in the world: their usual colours and sizes, and places."""

from deployments.image.poster.prompts import Colour, Thing

PALETTE: tuple[Colour, ...] = (
    (226, 110, 84), (242, 178, 74), (110, 160, 120), (92, 140, 190), (170, 120, 170),
    (226, 150, 160), (190, 150, 110),
)  # fmt: skip
OWN: dict[str, Colour] = {
    "🦊": (236, 128, 52), "🏮": (236, 84, 60), "🌲": (60, 130, 80), "🌳": (84, 156, 80),
    "🌴": (84, 156, 80), "🌵": (84, 156, 80), "🌙": (250, 228, 140), "🌛": (250, 228, 140),
    "☀": (252, 208, 70), "⭐": (252, 214, 80), "☁": (250, 250, 252), "❤": (222, 50, 60),
    "☃": (250, 250, 252), "⛄": (250, 250, 252), "🐻": (158, 110, 72), "🐕": (204, 160, 110),
    "🐈": (226, 160, 90), "🐇": (222, 214, 206), "🐺": (150, 156, 168), "🦉": (160, 124, 90),
    "🐦": (100, 160, 220), "🐟": (90, 170, 210), "🐸": (110, 180, 80), "🐢": (100, 160, 90),
    "🐳": (96, 150, 206), "🐖": (240, 170, 180), "🐑": (244, 240, 232), "🐘": (160, 166, 178),
    "🦁": (230, 176, 80), "🐅": (240, 150, 60), "🔥": (248, 130, 40), "🍎": (214, 48, 49),
    "🌷": (232, 90, 130), "🌹": (214, 48, 70), "🌻": (250, 200, 60), "⛵": (246, 240, 226),
    "🏰": (190, 186, 196), "🏠": (232, 196, 150), "🌊": (70, 150, 200), "🦌": (180, 130, 90),
}  # fmt: skip
TREE = "🌲"
TREES: tuple[Colour, ...] = ((40, 92, 58), (52, 110, 66), (34, 80, 52))
SKIN: tuple[Colour, ...] = ((250, 214, 180), (232, 184, 140), (198, 144, 102), (140, 96, 68))
FUR: tuple[Colour, ...] = ((196, 160, 118), (158, 118, 82), (166, 168, 176), (214, 190, 150))
PEOPLE = (range(0x1F466, 0x1F47A), range(0x1F9D1, 0x1F9DE), range(0x1F930, 0x1F940))
ANIMALS = (range(0x1F400, 0x1F440), range(0x1F980, 0x1F9AF))
"""The code points of each."""
ALOFT = frozenset("☀☁⭐🌙🌛🌝🌞🌟🌈🌠🎈🪁🚀🛸✈🐦🕊🦅🦇🦋🐝🪐🌍🌕🌑⚡🚁🛩🎆🎇☄🌌❄🐉🪂")
LARGE = frozenset("🏰🏠🏡🌲🌳🌴🏭🏢🗼⛪🕌🛕⛩🌋🗻🏔⛰🚢🎡🎢🎠🐘🐋🐳🦕🦖🐉🌉🏯🗽🗿")
LITTLE = frozenset("🏮🕯🔑🔥🌷🌹🌻🍎📖✉🎁👑🔦🗡💎🍄🐁🐝🦋🐞🐜🐌🍂🍁🍃🎂☕🌱🥀🌸🐚🍞🥚🔔🎩")
SWIMMING = frozenset("🐟🐠🐡🦈🐙🐳🐋🐬🦑🦐🦞🦭🪸🧜")
FLOATING = frozenset("⛵🚢🛶🚤🛥⛴🦆🦢🏝🌊🏄🚣🏊🛟⚓")
GLOWING = frozenset("🏮🕯🔥🔦☀🌙🌛🌕⭐🌟🌞🌝💡🪔🎇🎆🌠")


def is_aloft(thing: Thing) -> bool:
    """Whether it is in the air, by what it is or by what the prompt says."""
    return thing.height == "top" or (thing.symbol in ALOFT and thing.height is None)


def stands(thing: Thing) -> bool:
    """Whether it needs a ground under it that is not water."""
    return not is_aloft(thing) and thing.symbol not in SWIMMING | FLOATING
