"""Describes images with a chat model that takes images."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from typing_extensions import override

from serve_app.catalog.entry import RunsOthers
from serve_app.core.error_fields import root_of
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.captioning import DescribeImage, DescriptionEvent, ImageDescription
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    ImagePart,
    Sampling,
    TextPart,
)
from serve_app.runtime.streams import closing

INSTRUCTION = "Describe this image in one sentence."


class ChatDescriber(RunsOthers):
    """Asks for one sentence, or the question, with the most likely words."""

    def __init__(self, chat: OperationRunner) -> None:
        self._chat = chat

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        if not isinstance(operation, DescribeImage):
            raise TypeError(
                f"{operation.name!r} is no work for a chat model that was told to do it"
            )
        return cast("AsyncIterator[Item]", self.describe_image(operation))

    async def describe_image(self, request: DescribeImage) -> AsyncGenerator[DescriptionEvent]:
        """Progress in tokens, last the text. A text that was cut off is told in a warning."""
        text, is_cut, count = "", False, 0
        events = self._chat.run(_conversation(request))
        async with closing(events):
            try:
                async for event in events:
                    if isinstance(event, ChatDelta):
                        text, count = text + event.text, count + 1
                        is_cut = is_cut or event.finish_reason == "length"
                        yield _progress(count, request)
            except InvalidRequest as error:
                # Of the conversation the caller has sent the image.
                if root_of(error.param) == "messages":
                    raise error.about("image") from error.__cause__
                raise
        cut = Notice(field="text", text=f"cut off after {request.max_tokens} tokens")
        yield ImageDescription(text=text.strip(), warnings=(cut,) if is_cut else ())


def _conversation(request: DescribeImage) -> Chat:
    words = TextPart(text=request.question or INSTRUCTION)
    return Chat(
        model=request.model,
        messages=(ChatMessage(role="user", content=(ImagePart(image=request.image), words)),),
        sampling=Sampling(temperature=0.0, max_tokens=request.max_tokens),
    )


def _progress(count: int, request: DescribeImage) -> Progress:
    total = request.max_tokens
    return Progress(phase="describe", current=min(count, total), total=total)
