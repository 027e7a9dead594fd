"""What a text model answers when it is asked for a story: a script, a tale, or neither."""

import json
import re
from collections.abc import Iterator

from serve_app.core.video.story import Scene, TellStory

LINE_CHARACTERS = 400
IMAGE_CHARACTERS = 600
OPENING_CHARACTERS = 200
SENTENCE = re.compile(
    r"[^.!?\u2026\u3002\uff01\uff1f]+[.!?\u2026\u3002\uff01\uff1f]*[\"'\u201d\u2019)]*"
)
WORD = re.compile(r"\w{3,}")
LETTERS = re.compile(r"[^\W\d_]{2,}")
FINISHED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)]*\Z")
ALIKE = 0.5
"""Lines that share more of their words say the same."""
LINE = re.compile(r'"line": ?"((?:[^"\\]|\\.)*)"')
TAIL, TIMES = 24, 3
"""A text that has said its last so many characters so many times says nothing else any more."""


def read_script(answer: str, request: TellStory) -> tuple[Scene, ...] | None:
    """The scenes of a model's answer; None when it is no JSON of the right shape, has another
    number of scenes, says a line twice or without words, goes in circles, or shares too few words
    with the story.
    """
    try:
        found = json.loads(answer)["scenes"]
        scenes = tuple(
            Scene(
                line=trimmed(scene["line"], LINE_CHARACTERS),
                image=trimmed(scene["picture"], IMAGE_CHARACTERS),
            )
            for scene in found
        )
        # JSON can spell half a character, which nothing that comes next can take.
        "".join(scene.line + scene.image for scene in scenes).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if len(scenes) != request.scenes or not all(_says_something(scene) for scene in scenes):
        return None
    lines = [scene.line for scene in scenes]
    is_new = all(_differ(lines[: number + 1]) for number in range(len(lines)))
    if not is_new or not _is_about(scenes, request.story):
        return None
    return tuple(_within(scene, request.story) for scene in scenes)


def read_tale(answer: str, request: TellStory) -> tuple[Scene, ...] | None:
    """The story's own sentences and, after them, those that a model wrote, each with what is seen;
    None where these are too few, or about something else.
    """
    lines = list(sentences(request.story))
    own = len(lines)
    for sentence in sentences(answer):
        if len(lines) < request.scenes and _is_whole(sentence) and _differ([*lines, sentence]):
            lines.append(sentence)
    if len(lines) != request.scenes:
        return None
    scenes = tuple(scene_of(line, request.story) for line in lines)
    told = tuple(Scene(line=scene.line, image="") for scene in scenes[own:])
    return scenes if _is_about(told, request.story) else None


def sentences(text: str) -> Iterator[str]:
    """Of a text, each in one line."""
    for part in SENTENCE.findall(text):
        if sentence := " ".join(part.split()):
            yield sentence


def scene_of(line: str, story: str) -> Scene:
    """A scene of a sentence: what is seen is what it says, where the story begins."""
    shown = trimmed(line, LINE_CHARACTERS)
    opening = trimmed(next(sentences(story), ""), OPENING_CHARACTERS)
    image = shown if opening in shown else f"{shown} {opening}"
    return Scene(line=shown, image=image)


def spread_over_scenes(story: str, count: int) -> tuple[Scene, ...]:
    """The story's sentences over so many scenes, in their order; a story with fewer sentences is
    cut between words, and its last words are repeated where even these do not suffice.
    """
    parts = list(sentences(story)) or [story.strip()]
    if len(parts) < count:
        parts = story.split()
    lines = [
        " ".join(parts[len(parts) * i // count : len(parts) * (i + 1) // count])
        for i in range(count)
    ]
    return tuple(scene_of(line or parts[-1], story) for line in lines)


def is_beyond_hope(answer: str) -> bool:
    """Whether the beginning of a script is of no use already: the string of JSON that is being
    written goes in circles or is too long, or a line was said before.
    """
    current = answer.rpartition('"')[2]
    if len(current) > IMAGE_CHARACTERS or repeats_itself(current):
        return True
    lines = LINE.findall(answer)
    return len(lines) > 1 and not _differ(lines)


def repeats_itself(text: str) -> bool:
    """Whether it ends in what it has said several times."""
    tail = text[-TAIL:]
    return len(tail) == TAIL and text.count(tail) >= TIMES


def trimmed(text: str, characters: int) -> str:
    """One line, cut between words."""
    line = " ".join(text.split())
    if len(line) <= characters:
        return line
    return line[:characters].rsplit(" ", 1)[0]


def _says_something(scene: Scene) -> bool:
    texts = (scene.line, scene.image)
    return all(LETTERS.search(text) and not repeats_itself(text) for text in texts)


def _is_whole(sentence: str) -> bool:
    return bool(
        LETTERS.search(sentence) and FINISHED.search(sentence) and not repeats_itself(sentence)
    )


def _differ(lines: list[str]) -> bool:
    """Whether the last one has words of its own, beside each of those before."""
    *before, last = (words_of(line) for line in lines)
    return all(len(last & other) <= ALIKE * len(last | other) for other in before)


def _is_about(scenes: tuple[Scene, ...], story: str) -> bool:
    """A script names what its story names; text that shares no word with it is noise."""
    known = words_of(story)
    if not known:
        return True
    scene_words = [words_of(scene.line) | words_of(scene.image) for scene in scenes]
    return sum(bool(words & known) for words in scene_words) * 2 >= len(scene_words)


def _within(scene: Scene, story: str) -> Scene:
    """An image that shows nothing of the story is at least where it takes place."""
    if words_of(scene.image) & words_of(story):
        return scene
    return Scene(line=scene.line, image=f"{scene.image} {scene_of('', story).image.strip()}")


def words_of(text: str) -> set[str]:
    """Those with a meaning of their own, mostly."""
    return {word.lower() for word in WORD.findall(text)} - FILLERS


FILLERS = frozenset({
    "the", "and", "for", "with", "its", "his", "her", "she", "they", "was", "were", "that", "this",
    "into", "from", "has", "had", "have", "are", "not", "but", "all", "once", "upon", "then",
    "there", "when", "who", "through", "about", "story",
})  # fmt: skip
"""Words of English that any story has."""
