"""The script of a story: asked of a text model, checked, and repaired where it answers badly."""

import json
import re
from typing import Any

from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import Run
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    Sampling,
    TextFormat,
    TextPart,
)
from serve_app.core.video.story import Scene, TellStory
from serve_app.runtime.streams import closing

ATTEMPTS = 2
TOKENS_PER_SCENE = 160
LINE_CHARACTERS = 400
IMAGE_CHARACTERS = 600
SENTENCE = re.compile(
    r"[^.!?\u2026\u3002\uff01\uff1f]+[.!?\u2026\u3002\uff01\uff1f]*[\"'\u201d\u2019)]*"
)
WORD = re.compile(r"\w{3,}")


class Script(Message):
    """Scenes and, where the model's answer was of no use, what was done about it."""

    scenes: tuple[Scene, ...]
    warnings: tuple[Notice, ...] = ()


async def write_script(run: Run, request: TellStory) -> Script:
    """As many scenes as asked for. A model that does not answer with a script of the story is asked
    again; after that the story's own sentences are the script.
    """
    for attempt in range(ATTEMPTS):
        answer = await _answer(run, request, seed=(request.seed + attempt) % 2**31)
        scenes = read_script(answer, request)
        if scenes is not None:
            return Script(scenes=scenes)
    said = f"{request.text_model!r} wrote no usable script; the sentences of the story are used"
    scenes = spread_over_scenes(request.story, request.scenes)
    return Script(scenes=scenes, warnings=(Notice(text=said),))


def read_script(answer: str, request: TellStory) -> tuple[Scene, ...] | None:
    """The scenes of a model's answer; None when it is no JSON of the right shape, has another
    number of scenes, or has a line that shares no word with the story and its other lines.
    """
    try:
        found = json.loads(answer)["scenes"]
        scenes = tuple(
            Scene(
                line=_trimmed(scene["line"], LINE_CHARACTERS),
                image=_trimmed(scene["picture"], IMAGE_CHARACTERS),
            )
            for scene in found
        )
        # JSON can spell half a character, which nothing that comes next can take.
        "".join(scene.line + scene.image for scene in scenes).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_full = len(scenes) == request.scenes and all(s.line and s.image for s in scenes)
    return scenes if is_full and _is_about(scenes, request.story) else None


def spread_over_scenes(story: str, count: int) -> tuple[Scene, ...]:
    """The story's sentences over so many scenes, in their order; a story with fewer sentences is
    cut between words, and its last words are repeated where even these do not suffice.
    """
    parts = [part.strip() for part in SENTENCE.findall(story) if part.strip()] or [story.strip()]
    if len(parts) < count:
        parts = story.split()
    lines = [
        " ".join(parts[len(parts) * i // count : len(parts) * (i + 1) // count])
        for i in range(count)
    ]
    filled = [line or parts[-1] for line in lines]
    return tuple(
        Scene(line=_trimmed(line, LINE_CHARACTERS), image=_trimmed(line, IMAGE_CHARACTERS))
        for line in filled
    )


def _trimmed(text: str, characters: int) -> str:
    """One line, cut between words."""
    line = " ".join(text.split())
    if len(line) <= characters:
        return line
    return line[:characters].rsplit(" ", 1)[0]


def _is_about(scenes: tuple[Scene, ...], story: str) -> bool:
    """A script names what its story names; text that shares no word with it is noise."""
    known = _words(story)
    if not known:
        return True
    scene_words = [_words(scene.line) | _words(scene.image) for scene in scenes]
    return sum(bool(words & known) for words in scene_words) * 2 >= len(scene_words)


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


async def _answer(run: Run, request: TellStory, *, seed: int) -> str:
    instruction = (
        f"Write the script of a short video of exactly {request.scenes} scenes that tells the "
        "user's story from its beginning to its end, in the language of the story. Each scene has "
        "a `line`, one sentence for the narrator, and a `picture`, what is seen: who, doing what, "
        "where, in which light. Describe persons in the same words in every scene. "
        'Answer with JSON: {"scenes": [{"line": "…", "picture": "…"}, …]}.'
    )
    operation = Chat(
        model=request.text_model,
        messages=(
            ChatMessage(role="system", content=(TextPart(text=instruction),)),
            ChatMessage(role="user", content=(TextPart(text=request.story),)),
        ),
        sampling=Sampling(temperature=0.7, max_tokens=TOKENS_PER_SCENE * request.scenes, seed=seed),
        response_format=TextFormat(type="json_schema", json_schema=_schema(request.scenes)),
    )
    answer = ""
    events = run(operation)
    async with closing(events):
        async for event in events:
            answer += event.text if isinstance(event, ChatDelta) else ""
    return answer


def _schema(count: int) -> dict[str, Any]:
    scene = {
        "type": "object",
        "properties": {"line": {"type": "string"}, "picture": {"type": "string"}},
        "required": ["line", "picture"],
        "additionalProperties": False,
    }
    scenes = {"type": "array", "items": scene, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {"scenes": scenes},
        "required": ["scenes"],
        "additionalProperties": False,
    }
