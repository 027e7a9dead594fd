"""Callbacks: tell a caller's server, at least once, that a job has ended; signed, with retries."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable

import httpcore
from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.blobs.addresses import AllowList, GuardedBackend
from serve_app.blobs.fetch import checked_url, url_bytes
from serve_app.core.errors import InvalidRequest, NotFound
from serve_app.core.jobs import Job
from serve_app.core.settings import Jobs, Limits
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.reader import JobReader
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0
AT_ONCE = 8
FIELD = "callback_url"
"""Of a Submission."""
Render = Callable[[Job], AsyncIterator[bytes]]
"""Writes a job as JSON, in pieces; the same whenever it is asked for."""


class Callbacks:
    """Posts finished jobs. `secret` signs them; without one there is no signature."""

    def __init__(
        self,
        database: Database,
        render: Render,
        *,
        settings: Jobs,
        limits: Limits,
        secret: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._reader = JobReader(database)
        self._render = render
        self._settings = settings
        self._limits = limits
        self._secret = secret
        self._clock = clock

    async def deliver_due(self) -> None:
        """Post what is due now. A try that fails is due again after a pause that doubles."""
        due = await self._database.read(self._due)
        await asyncio.gather(*(self._deliver(job_id) for job_id in due))

    def _due(self, session: Session) -> list[str]:
        due = select(JobRow.id).where(JobRow.callback_due_at <= self._clock())
        return list(session.scalars(due.order_by(JobRow.callback_due_at).limit(AT_ONCE)))

    async def _deliver(self, job_id: str) -> None:
        if not await self._database.write(lambda session: self._claim(session, job_id)):
            return
        try:
            job = await self._reader.get(job_id)
            await self._post(job)
        except NotFound:
            return
        except (InvalidRequest, LimitPassed, *_NETWORK) as error:
            logger.warning("the callback of job %s failed: %s", job_id, error)
            await self._database.write(lambda session: self._put_off(session, job_id))
            return
        await self._database.write(lambda session: _settle(session, job_id))

    def _claim(self, session: Session, job_id: str) -> bool:
        """Whether this process is to post: it counts as a try, and nobody else posts meanwhile."""
        row = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
        now = self._clock()
        if row is None or row.callback_due_at is None or row.callback_due_at > now:
            return False
        if row.callback_tries >= self._settings.callback_attempts:
            row.callback_due_at = None
            return False
        # If this process dies while it posts, somebody posts again later.
        row.callback_due_at = now + 2 * TIMEOUT_S
        row.callback_tries += 1
        return True

    def _put_off(self, session: Session, job_id: str) -> None:
        row = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
        if row is not None:
            is_last = row.callback_tries >= self._settings.callback_attempts
            pause = self._settings.callback_pause_s * 2 ** (row.callback_tries - 1)
            row.callback_due_at = None if is_last else self._clock() + pause

    async def _post(self, job: Job) -> None:
        assert job.callback_url is not None
        parts = checked_url(job.callback_url, FIELD)
        headers, body = await self._headers(job), self._render(job)
        backend = GuardedBackend(AllowList(self._limits.fetch_allow), param=FIELD)
        async with (
            within(TIMEOUT_S),
            httpcore.AsyncConnectionPool(network_backend=backend) as pool,
            # The status says all; what else the receiver sends, however much, is not read.
            pool.stream("POST", url_bytes(parts), headers=headers, content=body) as answer,
        ):
            status = answer.status
        if not 200 <= status < 300:
            raise InvalidRequest(f"the receiver answered with status {status}")

    async def _headers(self, job: Job) -> list[tuple[bytes, bytes]]:
        """Length and signature, for which the body is written once before it is sent."""
        size, digest = 0, hmac.new((self._secret or "").encode(), digestmod=hashlib.sha256)
        async for piece in self._render(job):
            size += len(piece)
            digest.update(piece)
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % size),
            (b"User-Agent", b"polyphony"),
        ]
        if self._secret:
            headers.append((b"X-Signature", f"sha256={digest.hexdigest()}".encode()))
        return headers


async def check_callback(url: str, limits: Limits, *, param: str = FIELD) -> None:
    """InvalidRequest, about the field `param`, for a URL that would be refused when the time
    comes.
    """
    parts = checked_url(url, param)
    backend = GuardedBackend(AllowList(limits.fetch_allow), param=param)
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    try:
        await backend.allowed_addresses(parts.hostname or "", port)
    except httpcore.ConnectError:
        raise InvalidRequest("the host of the URL cannot be resolved", param=param) from None


_NETWORK = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


def _settle(session: Session, job_id: str) -> None:
    row = session.scalar(select(JobRow).where(JobRow.id == job_id))
    if row is not None:
        row.callback_due_at = None
