"""`DirectOutbox`: what a process has yet to write of its direct jobs, written a batch at a time, so
that no call waits for the database.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import Context

from serve_app.core.errors import AppError, Unavailable
from serve_app.jobs.direct_records import DirectRecord, DirectRun, running_record
from serve_app.jobs.direct_table import Batch, DirectWriter
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 0.5
SHOWN_AFTER_S = 0.25
"""Nearly all jobs have ended before it; a row that is written twice costs twice as much."""
RENEW_S = 5.0
PAUSE_S = 5.0
"""After a batch that could not be written."""
MOST_WAITING = 10_000
"""Jobs that have ended and are not written; the oldest is forgotten first."""


class DirectOutbox:
    """`runs` are the jobs under way, which `stop` stops; `ended` those that are not written yet.
    `clock` gives unix seconds.
    """

    def __init__(
        self,
        table: DirectWriter,
        runs: Mapping[str, DirectRun],
        stop: Callable[[str], object],
        *,
        most_waiting: int = MOST_WAITING,
        shown_after_s: float = SHOWN_AFTER_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._runs = runs
        self._stop = stop
        self._most_waiting = most_waiting
        self._shown_after_s = shown_after_s
        self._clock = clock
        # The first of a plain dict is found the slower, the more have been taken from its front.
        self.ended: OrderedDict[str, DirectRecord] = OrderedDict()
        self._shown: frozenset[str] = frozenset()
        self._renewed_at = 0.0
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """A job has begun: write until there is nothing left to be written."""
        if self._writing is None or self._writing.done():
            # In no context of a request: it would keep what belongs to that one alive.
            self._writing = asyncio.get_running_loop().create_task(
                self._keep_writing(), context=Context()
            )

    def put(self, job_id: str, record: DirectRecord) -> None:
        """A job has ended."""
        self.ended[job_id] = record
        if len(self.ended) > self._most_waiting:
            self.ended.popitem(last=False)

    async def flush(self) -> bool:
        """Write what is to be written now; False when it has to be tried again."""
        async with self._turn:
            batch = self._batch()
            try:
                with unexpected_errors("the record of direct jobs"):
                    unwanted = await self._table.write(batch)
            except Unavailable as error:
                logger.warning("direct jobs are not recorded yet: %s", error.message)
                return False
            except AppError:
                # It would fail again, and with it all that comes later.
                unwanted = frozenset()
            self._note_written(batch)
        for job_id in unwanted & self._runs.keys():
            self._stop(job_id)
        return True

    async def _keep_writing(self) -> None:
        pause_s = WRITE_EVERY_S
        while self._runs or self.ended or self._shown:
            await asyncio.sleep(pause_s)
            pause_s = WRITE_EVERY_S if await self.flush() else PAUSE_S

    def _batch(self) -> Batch:
        now, shown = self._clock(), self._shown
        begun = {
            job_id: running_record(run)
            for job_id, run in self._runs.items()
            if job_id not in shown and run.began_at <= now - self._shown_after_s
        }
        begun |= {job_id: each for job_id, each in self.ended.items() if job_id not in shown}
        return Batch(
            begun=begun,
            ended={job_id: each for job_id, each in self.ended.items() if job_id in shown},
            gone=shown - self._runs.keys() - self.ended.keys(),
            going_on=shown & self._runs.keys(),
            is_due=now >= self._renewed_at + RENEW_S,
        )

    def _note_written(self, batch: Batch) -> None:
        written = {**batch.begun, **batch.ended}
        for job_id, record in written.items():
            if self.ended.get(job_id) is record:
                del self.ended[job_id]
        running = {job_id for job_id, each in written.items() if each.ended_at is None}
        self._shown = frozenset({*batch.going_on, *running})
        if batch.is_due:
            self._renewed_at = self._clock()
