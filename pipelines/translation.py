"""Segments of speech in another language, by a text model, one answer of JSON for each."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.parallel import each
from serve_app.core.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    ChatModel,
    Sampling,
    TextFormat,
    TextPart,
)
from serve_app.core.languages import language_code, language_name
from serve_app.core.streams import closing
from serve_app.core.transcription import Segment

TRANSLATION_TOKENS = 400
AT_ONCE = 4
TRANSLATED: dict[str, Any] = {
    "type": "object",
    "properties": {"translation": {"type": "string"}},
    "required": ["translation"],
    "additionalProperties": False,
}


def is_same(source: str | None, target: str) -> bool:
    """Whether nothing is to be translated."""
    return source is not None and language_code(source) == language_code(target)


async def translated(
    chat: ChatModel,
    model: str,
    segments: Sequence[Segment],
    *,
    source: str | None,
    target: str,
    purpose: str,
    done: Callable[[int], None] = lambda _: None,
) -> tuple[list[str], list[str]]:
    """A text per segment, and warnings: a segment that the model fails on stays as it was.
    `purpose` completes "Translate …, for being"; `done` is told how many are.
    """
    count = 0

    async def one(segment: Segment) -> str | None:
        nonlocal count
        text = await _translation(chat, model, segment.text, source, target, purpose)
        count += 1
        done(count)
        return text

    texts = await each(segments, one, at_once=AT_ONCE)
    failed = [str(number) for number, text in enumerate(texts) if text is None]
    kept = [text or segment.text for text, segment in zip(texts, segments, strict=True)]
    if not failed:
        return kept, []
    return kept, [
        f"{model!r} did not translate segment {', '.join(failed)}; "
        f"the original words are {purpose} there"
    ]


async def _translation(
    chat: ChatModel, model: str, text: str, source: str | None, target: str, purpose: str
) -> str | None:
    known = f" from {language_name(source)}" if source else ""
    into = language_name(language_code(target) or target)
    instruction = (
        f"Translate the user's text{known} to {into}, for being {purpose}. "
        'Answer with JSON: {"translation": "…"}.'
    )
    operation = Chat(
        model=model,
        messages=(
            ChatMessage(role="system", content=(TextPart(text=instruction),)),
            ChatMessage(role="user", content=(TextPart(text=text),)),
        ),
        sampling=Sampling(temperature=0.0, max_tokens=TRANSLATION_TOKENS, seed=0),
        response_format=TextFormat(type="json_schema", json_schema=TRANSLATED),
    )
    answer = ""
    events = chat.chat(operation)
    async with closing(events):
        async for event in events:
            answer += event.text if isinstance(event, ChatDelta) else ""
    try:
        translation = str(json.loads(answer)["translation"]).strip()
    except (ValueError, KeyError, TypeError):
        return None
    return translation or None
