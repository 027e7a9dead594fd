"""The script of a story: asked of a text model, checked, and repaired where it answers badly."""

from collections.abc import Callable

from pipelines.story_answers import (
    is_beyond_hope,
    read_script,
    read_tale,
    repeats_itself,
    sentences,
    spread_over_scenes,
)
from pipelines.story_prompts import script_request, tale_request
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import Run
from serve_app.core.text.chat import Chat, ChatDelta
from serve_app.core.video.story import Scene, TellStory
from serve_app.runtime.streams import closing

ATTEMPTS = 2
SPARE_SENTENCES = 2
"""A small model says some twice."""


class Script(Message):
    """Scenes and, where the model's answer was of no use, what was done about it."""

    scenes: tuple[Scene, ...]
    warnings: tuple[Notice, ...] = ()


async def write_script(run: Run, request: TellStory) -> Script:
    """As many scenes as asked for. A model that does not answer with a script of the story is asked
    again. After that the story's own sentences are the script; if it has too few, the model is
    asked for plain sentences, which small models can write.
    """
    for attempt in range(ATTEMPTS):
        chat = script_request(request, seed=(request.seed + attempt) % 2**31)
        scenes = read_script(await _answer(run, chat, is_beyond_hope), request)
        if scenes is not None:
            return Script(scenes=scenes)
    count = request.scenes - len(list(sentences(request.story)))
    for attempt in range(ATTEMPTS if count > 0 else 0):
        chat = tale_request(request, count=count, seed=(request.seed + attempt) % 2**31)
        tale = await _answer(run, chat, lambda text: _is_enough(text, count))
        scenes = read_tale(tale, request)
        if scenes is not None:
            return Script(scenes=scenes)
    said = f"{request.text_model!r} wrote no usable script; the sentences of the story are used"
    scenes = spread_over_scenes(request.story, request.scenes)
    return Script(scenes=scenes, warnings=(Notice(text=said),))


async def _answer(run: Run, chat: Chat, is_over: Callable[[str], bool]) -> str:
    """What the model says, until nothing of use can follow."""
    answer = ""
    events = run(chat)
    async with closing(events):
        async for event in events:
            answer += event.text if isinstance(event, ChatDelta) else ""
            if is_over(answer):
                break
    return answer


def _is_enough(tale: str, count: int) -> bool:
    return len(list(sentences(tale))) > count + SPARE_SENTENCES or repeats_itself(tale)
