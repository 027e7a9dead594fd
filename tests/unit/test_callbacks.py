"""Calling back: what a receiver answers beyond its status is nobody's business."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from serve_app.core.jobs import Job, JobProgress, Submission
from serve_app.core.settings import Jobs, Limits
from serve_app.core.text.rerank import Rerank
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.callbacks import Callbacks
from serve_app.jobs.store import JobReport, JobStore

BLOCK = bytes(1024 * 1024)
BLOCKS = 256


@dataclass
class Receiver:
    """Answers a call with a status and 256 MiB, as far as they are taken."""

    status: str
    url: str = ""
    calls: int = 0
    sent: int = 0
    is_done: bool = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        while (await reader.readline()).strip():
            pass
        with suppress(ConnectionError):
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n"
                % (self.status.encode(), BLOCKS * len(BLOCK))
            )
            for _ in range(BLOCKS):
                writer.write(BLOCK)
                await writer.drain()
                self.sent += 1
        writer.close()
        self.is_done = True


@asynccontextmanager
async def receiving(status: str) -> AsyncIterator[Receiver]:
    receiver = Receiver(status)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/done"
    async with server:
        yield receiver


async def ended_job(database: Database, url: str) -> None:
    store = JobStore(database, "")
    operation = Rerank(model="m", query="q", documents=("d",))
    submission = Submission(id="job-1", operation=operation, owner="me", callback_url=url)
    await store.add(submission, queue="rerank", capacity=1, max_pending=1, executor="me")
    await store.finish("job-1", "me", "failed", report=JobReport(JobProgress()))


async def rendered(job: Job) -> AsyncIterator[bytes]:
    yield json.dumps({"id": job.id}).encode()


WHOLE = b"0123456789" * 100_000


async def in_pieces(job: Job) -> AsyncIterator[bytes]:
    for start in range(0, len(WHOLE), 4096):
        yield WHOLE[start : start + 4096]


@pytest.mark.parametrize(("status", "is_settled"), [("200 OK", True), ("500 No", False)])
async def test_of_a_long_answer_only_the_status_is_read(
    database: Database, status: str, is_settled: bool
) -> None:
    async with receiving(status) as receiver:
        await ended_job(database, receiver.url)
        callbacks = Callbacks(
            database,
            rendered,
            settings=Jobs(),
            limits=Limits(fetch_allow=("127.0.0.1",)),
            secret=None,
        )
        await callbacks.deliver_due()
        async with asyncio.timeout(60):
            while not receiver.is_done:
                await asyncio.sleep(0.01)
    assert receiver.calls == 1
    assert receiver.sent < BLOCKS // 2, "the rest fits no buffer and was not taken"
    row = database.read_now(lambda session: session.get(JobRow, 1))
    assert row is not None
    assert (row.callback_due_at is None) == is_settled
    assert row.callback_tries == 1


async def test_a_callback_is_sent_in_pieces_with_its_length_and_signature(
    database: Database,
) -> None:
    heard: list[bytes] = []
    is_whole = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head.lower())
        heard.append(await reader.readexactly(len(WHOLE)))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        is_whole.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/done"
        await ended_job(database, url)
        limits = Limits(fetch_allow=("127.0.0.1",))
        await Callbacks(
            database, in_pieces, settings=Jobs(), limits=limits, secret="s"
        ).deliver_due()
        async with asyncio.timeout(60):
            await is_whole.wait()
    head, body = heard
    digest = hmac.new(b"s", WHOLE, hashlib.sha256).hexdigest()
    assert body == WHOLE
    assert b"content-length: %d\r\n" % len(WHOLE) in head
    assert f"x-signature: sha256={digest}\r\n".encode() in head
