"""`Observability`: counts, logs and captures requests that have ended."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from serve_app.core.errors import Unavailable
from serve_app.observability.access_log import AccessLog, FindClient
from serve_app.observability.observed import Observed
from serve_app.observability.payloads import Body, Capture, clear, sweep
from serve_app.observability.settings import ObservabilitySettings, Switch
from serve_app.observability.sharing import SharedCounts
from serve_app.observability.tally import Tally
from serve_app.observability.writer import Writer

logger = logging.getLogger(__name__)

TELL_EVERY_S = 5.0
META_BYTES = 4096


@dataclass(frozen=True)
class CapturedBytes:
    """Bytes of a body that is captured."""

    capture: Capture
    body: Body
    data: bytes


Item = Observed | CapturedBytes | Capture
"""A line of the log, a piece of a body, and the end of a capture."""


class Observability:
    """Counts, logs and captures, as far as it is switched on. `shared` is None where this process
    is the only one that counts.
    """

    def __init__(
        self,
        settings: ObservabilitySettings,
        *,
        find_client: FindClient = lambda request: request.client,
        shared: SharedCounts | None = None,
    ) -> None:
        self.settings = settings
        self.switches: dict[Switch, bool] = {
            "metrics": settings.metrics,
            "access_log": settings.access_log,
            "payload": settings.payload,
        }
        self.tally = Tally(window_s=settings.window_s)
        self._find_client = find_client
        self._log = AccessLog(settings.log_dir, find_client)
        self._writer: Writer[Item] = Writer(self._write, housekeeping=self._sweep)
        self._shared = shared
        self._publishing: asyncio.Task[None] | None = None
        self._is_published = True

    @property
    def dropped(self) -> int:
        """Lines and pieces that could not be written as fast as they came."""
        return self._writer.dropped

    def start(self) -> None:
        """Sweep captures from now on, whether or not anything is written, and take over what was
        switched on another replica before this one began.
        """
        self._writer.start()
        if self._shared is not None:
            self._publishing = asyncio.get_running_loop().create_task(self._take_over(self._shared))

    def close(self) -> None:
        """Write what is left. Blocks; may be called twice."""
        self._writer.close()

    def watches(self, request: Observed) -> bool:
        """Whether a request leaves anything behind."""
        switches = self.switches
        if switches["access_log"] and request.is_logged:
            return True
        return (switches["metrics"] or switches["payload"]) and request.is_counted

    def capture(self, request: Observed) -> Capture | None:
        """Where the request's bodies go, None when they are not captured."""
        if not self.switches["payload"] or not request.is_counted:
            return None
        settings = self.settings
        return Capture(settings.payload_dir, request, most_bytes=settings.payload_body_bytes)

    def captured(self, capture: Capture, body: Body, data: bytes) -> None:
        """A piece of a body passed by."""
        kept = capture.take(body, data)
        if kept and not self._writer.offer(CapturedBytes(capture, body, kept), size=len(kept)):
            capture.drop(body, len(kept))

    def ended(self, request: Observed, capture: Capture | None) -> None:
        """A request is over; `end` was called on it."""
        if self.switches["metrics"] and request.is_counted:
            self.tally.add(request)
        self._publish_soon()
        if self.switches["access_log"] and request.is_logged:
            self._writer.offer(request)
        if capture is not None:
            self._writer.offer(capture, size=META_BYTES)

    async def whole_tally(self) -> Tally:
        """What all replicas have counted; the others' share is a few seconds old."""
        whole = Tally(window_s=self.settings.window_s)
        whole.merge(self.tally)
        for text in await self._shared.others() if self._shared else ():
            whole.read(text)
        return whole

    async def throw(self, key: Switch, value: bool) -> None:
        """Switch on or off until the server starts again, on every replica."""
        if self._shared is not None:
            await self._shared.throw(key, value)
        self.switches[key] = value

    async def clear_payloads(self) -> int:
        """Remove every capture of this machine; how many there were."""
        return await asyncio.to_thread(clear, self.settings.payload_dir)

    def _publish_soon(self) -> None:
        self._is_published = False
        if self._shared is not None and (self._publishing is None or self._publishing.done()):
            self._publishing = asyncio.get_running_loop().create_task(self._publish(self._shared))

    async def _publish(self, shared: SharedCounts) -> None:
        """Publish counts until there are no new ones."""
        while not self._is_published:
            await asyncio.sleep(TELL_EVERY_S)
            self._is_published = True
            try:
                thrown = await shared.publish(self.tally.to_json())
            except (Unavailable, SQLAlchemyError) as error:
                logger.warning("the counts of this replica could not be shared: %s", error)
                return
            self._switch(thrown)

    async def _take_over(self, shared: SharedCounts) -> None:
        try:
            self._switch(await shared.switches())
        except (Unavailable, SQLAlchemyError) as error:
            logger.warning("the switches of other replicas could not be read yet: %s", error)
        if not self._is_published:
            await self._publish(shared)

    def _switch(self, thrown: Mapping[str, bool]) -> None:
        for key in self.switches:
            self.switches[key] = thrown.get(key, self.switches[key])

    def _sweep(self) -> None:
        settings = self.settings
        sweep(
            settings.payload_dir,
            most_bytes=settings.payload_most_bytes,
            most_age_s=settings.payload_most_age_s,
        )

    def _write(self, items: Sequence[Item]) -> None:
        """In the writer's thread."""
        lines = [item for item in items if isinstance(item, Observed)]
        if lines:
            self._log.write(lines)
        for item in items:
            try:
                if isinstance(item, CapturedBytes):
                    item.capture.write(item.body, item.data)
                elif isinstance(item, Capture):
                    item.finish(self._find_client(item.request))
            except OSError as error:
                # One that was cleared meanwhile is no reason to lose the next.
                logger.info("a payload was not captured: %s", error)
