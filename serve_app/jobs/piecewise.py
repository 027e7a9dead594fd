"""Does an operation whose result comes in pieces, and stops between them when it is asked to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

from serve_app.core.early_end import EarlyEnd, EndsEarly
from serve_app.core.errors import UpstreamError
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation
from serve_app.core.stages import Pieces
from serve_app.runtime.streams import closing

Events = Callable[[Operation[Any]], AsyncIterator[Message]]


class PiecewiseRun:
    """One run of an operation. What earlier runs have made is not made again;
    `note_made` is told of it.
    """

    def __init__(
        self,
        operation: EndsEarly[Any],
        pieces: Pieces,
        *,
        run: Events,
        report: Callable[[Progress], None],
        note_made: Callable[[Message], None],
    ) -> None:
        self._operation = operation
        self._pieces = pieces
        self._run = run
        self._report = report
        self._note_made = note_made
        self._made: Message | None = None

    async def outcome(self) -> Message:
        """The result: whole, without what is skipped, or what is there when it is to finish."""
        self._made = await self._pieces.made()
        if self._made is not None:
            self._note_made(self._made)
        while (rest := self._operation.rest_after(self._made)) is not None:
            asked = await self._read_until_asked(cast("Operation[Any]", rest))
            if asked is None:
                break
            if asked == "finish":
                ended: Message = self._operation.ended_with(self._made)
                return ended
            skipped: Message = self._operation.skipping(self._made)
            self._made = skipped
            await self._pieces.keep(skipped, answered="skip")
        if self._made is None:
            raise UpstreamError(f"{self._operation!r:.50} ended without a result")
        return self._made

    async def _read_until_asked(self, rest: Operation[Any]) -> EarlyEnd | None:
        """What was asked for before the stream ended; it is closed then."""
        reading = asyncio.ensure_future(self._read(rest))
        asking = asyncio.ensure_future(self._pieces.asked())
        try:
            await asyncio.wait((reading, asking), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return None
            return asking.result()
        finally:
            for task in (reading, asking):
                task.cancel()
            # The engine stops at its next step; nothing else may begin before.
            with suppress(asyncio.CancelledError, Exception):
                await reading

    async def _read(self, rest: Operation[Any]) -> None:
        before = self._made
        events = self._run(rest)
        async with closing(events):
            async for event in events:
                if isinstance(event, Progress):
                    self._report(event)
                elif isinstance(event, rest.result):
                    self._made = self._operation.joined(before, event)
                    # The whole is recorded as the result, in a moment.
                    if self._operation.rest_after(self._made) is not None:
                        await self._pieces.keep(self._made)
