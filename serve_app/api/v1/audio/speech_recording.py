"""Speech that is spoken straight to its caller enters the archive when it has been heard."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator

from serve_app.api.context import Context
from serve_app.archive.entries import Entry, Origin
from serve_app.core.audio.speech import (
    AUDIO_MIME,
    AudioChunk,
    CloneSpeech,
    Speak,
    SpeechEnd,
    SpeechEvent,
)
from serve_app.core.audio.wav import sized
from serve_app.core.errors import AppError
from serve_app.core.media import Blob
from serve_app.core.notices import Notice
from serve_app.runtime.streams import closing, once

logger = logging.getLogger(__name__)


class SpeechRecording:
    """One spoken text. What the caller did not hear to its end is not kept."""

    def __init__(
        self, context: Context, operation: Speak | CloneSpeech, owner: str, tag: str | None
    ) -> None:
        self._context = context
        self._operation = operation
        self._owner = owner
        self._tag = tag
        self._data = bytearray()
        self._spoken: SpeechEnd | None = None

    async def listen(self, events: AsyncIterator[SpeechEvent]) -> AsyncGenerator[SpeechEvent]:
        """Pass the events on and remember them. Closing the result closes `events`."""
        async with closing(events):
            async for event in events:
                if isinstance(event, AudioChunk):
                    self._data += event.data
                else:
                    self._spoken = event
                yield event

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What the model had to say besides."""
        return self._spoken.warnings if self._spoken else ()

    async def keep(self, data: bytes) -> tuple[Blob, Entry | None]:
        """Store and enter the encoded audio."""
        operation = self._operation
        mime = AUDIO_MIME[operation.format]
        blob = await self._context.blobs.write(once(data), mime=mime)
        origin = Origin(
            owner=self._owner,
            operation=operation.name,
            model=operation.model,
            prompt=operation.text,
            parameters=operation.model_dump(mode="json"),
            duration=self._spoken.duration_s if self._spoken else None,
            tag=self._tag,
        )
        return blob, await self._context.archive.record(blob, origin)

    async def keep_without_errors(self) -> None:
        """After a streamed answer: nobody is left to be told of a failure."""
        if self._spoken is None:
            return
        try:
            if (await self._context.archive.settings()).enabled:
                await self.keep(sized(bytes(self._data)))
        except AppError as error:
            logger.warning("speech could not be archived: %s", error.message)
