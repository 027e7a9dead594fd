"""Translates with a text model, which answers each text with a line of JSON."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from typing_extensions import override

from serve_app.catalog.entry import RunsOthers
from serve_app.core.message import Progress
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    Sampling,
    TextFormat,
    TextPart,
)
from serve_app.core.text.languages import language_code, language_name
from serve_app.core.text.translation import Translate, Translation, TranslationEvent
from serve_app.runtime.streams import closing

TRANSLATION_TOKENS = 400
AT_ONCE = 4
TRANSLATED: dict[str, Any] = {
    "type": "object",
    "properties": {"translation": {"type": "string"}},
    "required": ["translation"],
    "additionalProperties": False,
}


class ChatTranslator(RunsOthers):
    """Asks for one text after the other, a few at the same time."""

    def __init__(self, chat: OperationRunner) -> None:
        self._chat = chat

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        if not isinstance(operation, Translate):
            raise TypeError(
                f"{operation.name!r} is no work for a chat model that was told to do it"
            )
        return cast("AsyncIterator[Item]", self.translate(operation))

    async def translate(self, request: Translate) -> AsyncGenerator[TranslationEvent]:
        """Progress in texts, last the translation. Every language may be tried; a text whose answer
        is unusable stays as it was.
        """
        said = [place for place, text in enumerate(request.texts) if text.strip()]
        places = asyncio.Semaphore(AT_ONCE)

        async def one(text: str) -> str | None:
            async with places:
                return await self._translation(request, text)

        tasks = [asyncio.ensure_future(one(request.texts[place])) for place in said]
        try:
            for count, done in enumerate(asyncio.as_completed(tasks), 1):
                await done
                yield Progress(phase="translate", current=count, total=len(said))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answers = dict(zip(said, (task.result() for task in tasks), strict=True))
        yield Translation(
            texts=tuple(
                (answers[place] or text) if place in answers else ""
                for place, text in enumerate(request.texts)
            ),
            kept=tuple(place for place, answer in answers.items() if answer is None),
        )

    async def _translation(self, request: Translate, text: str) -> str | None:
        answer = ""
        events = self._chat.run(_conversation(request, text))
        async with closing(events):
            async for event in events:
                answer += event.text if isinstance(event, ChatDelta) else ""
        try:
            translation = str(json.loads(answer)["translation"]).strip()
        except (ValueError, KeyError, TypeError):
            return None
        return translation or None


def _conversation(request: Translate, text: str) -> Chat:
    source = request.source_language
    known = f" from {_name(source)}" if source else ""
    instruction = (
        f"Translate the user's text{known} to {_name(request.target_language)}, "
        f'for being {request.purpose}. Answer with JSON: {{"translation": "…"}}.'
    )
    return Chat(
        model=request.model,
        messages=(
            ChatMessage(role="system", content=(TextPart(text=instruction),)),
            ChatMessage(role="user", content=(TextPart(text=text),)),
        ),
        sampling=Sampling(temperature=0.0, max_tokens=TRANSLATION_TOKENS, seed=0),
        response_format=TextFormat(type="json_schema", json_schema=TRANSLATED),
    )


def _name(language: str) -> str:
    """In English, with what comes after the code of a locale: `Portuguese (BR)`."""
    region = language.replace("_", "-").partition("-")[2].upper()
    name = language_name(language_code(language) or language)
    return f"{name} ({region})" if region else name
