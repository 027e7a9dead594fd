"""A light HTTP/1.1 load generator: raw keep-alive connections, closed loop, nothing parsed but what
timing needs until the load is over; then every answer is checked.

A general client (httpx, aiohttp) takes more CPU per token than the servers measured here.
"""

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

FIRST_TOKEN = re.compile(rb'"content": ?"[^"]')
RESPONSE_TIMEOUT_S = 60.0


class WrongAnswer(Exception):
    """A server answered something else than the fake model says."""


@dataclass(frozen=True)
class Target:
    """A server under load."""

    name: str
    port: int
    token: str


@dataclass(frozen=True)
class Load:
    """`clients` connections repeat one chat until `duration_s` is over or `limit` chats were begun;
    chats under way then are finished and count. The model says `tokens` words.

    With `spread_s` the connections begin evenly over that time instead of all at once.
    """

    name: str
    model: str
    clients: int
    tokens: int
    stream: bool
    duration_s: float
    limit: int
    spread_s: float = 0.0

    @property
    def words(self) -> str:
        """What is said to the model, which says it back."""
        return " ".join(f"w{number}" for number in range(self.tokens))

    def request(self, target: Target) -> bytes:
        """The whole request, head and body."""
        message = {"role": "user", "content": self.words}
        return chat_request(
            target, {"model": self.model, "messages": [message], "stream": self.stream}
        )


def chat_request(target: Target, fields: dict[str, Any]) -> bytes:
    """Head and body."""
    body = json.dumps(fields)
    return (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{target.port}\r\n"
        f"Authorization: Bearer {target.token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@dataclass
class Answer:
    """One response as it came; times are `time.perf_counter()` seconds."""

    sent_at: float
    status: int = 0
    pieces: list[bytes] = field(default_factory=list)
    first_token_at: float | None = None
    done_at: float = 0.0


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(0.0)
        self._done: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._done and not self._done.done():
            self._done.set_exception(WrongAnswer(f"connection closed during an answer: {exc!r}"))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._parser.feed_data(data)

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for the end of its answer."""
        self._done = asyncio.get_running_loop().create_future()
        self._answer = Answer(time.perf_counter())
        self.transport.write(request)
        async with asyncio.timeout(RESPONSE_TIMEOUT_S):
            return await self._done

    def on_body(self, body: bytes) -> None:
        """Called by httptools for every chunk."""
        answer = self._answer
        answer.pieces.append(body)
        if answer.first_token_at is None and FIRST_TOKEN.search(body):
            answer.first_token_at = time.perf_counter()

    def on_message_complete(self) -> None:
        """Called by httptools at the end of a response."""
        self._answer.status = self._parser.get_status_code()
        self._answer.done_at = time.perf_counter()
        assert self._done is not None
        self._done.set_result(self._answer)


@dataclass(frozen=True)
class Outcome:
    """What a load gave, every answer checked. Times in milliseconds."""

    answers: int
    requests_per_s: float
    tokens_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    first_token_p50_ms: float
    first_token_p99_ms: float


async def run(load: Load, target: Target) -> Outcome:
    """Put the load on the target. Raises WrongAnswer when any answer is not the expected one."""
    loop = asyncio.get_running_loop()
    request = load.request(target)
    connections = [
        (await loop.create_connection(Connection, "127.0.0.1", target.port))[1]
        for _ in range(load.clients)
    ]
    answers: deque[Answer] = deque()
    begun = time.perf_counter()
    may_begin = _turnstile(load.limit, begun + load.duration_s)
    gap = load.spread_s / load.clients
    await asyncio.gather(
        *(
            _client(connection, request, answers, may_begin, number * gap)
            for number, connection in enumerate(connections)
        )
    )
    for connection in connections:
        connection.transport.close()
    return _outcome(load, list(answers), max(answer.done_at for answer in answers) - begun)


async def _client(
    connection: Connection,
    request: bytes,
    answers: deque[Answer],
    may_begin: Callable[[], bool],
    delay_s: float,
) -> None:
    if delay_s:
        await asyncio.sleep(delay_s)
    while may_begin():
        answers.append(await connection.ask(request))


def _turnstile(limit: int, deadline: float) -> Callable[[], bool]:
    begun = 0

    def may_begin() -> bool:
        nonlocal begun
        begun += 1
        return begun <= limit and time.perf_counter() < deadline

    return may_begin


def _outcome(load: Load, answers: list[Answer], elapsed_s: float) -> Outcome:
    for answer in answers:
        check(load, answer)
    latencies = [answer.done_at - answer.sent_at for answer in answers]
    firsts = [(answer.first_token_at or answer.done_at) - answer.sent_at for answer in answers]
    return Outcome(
        answers=len(answers),
        requests_per_s=len(answers) / elapsed_s,
        tokens_per_s=len(answers) * load.tokens / elapsed_s,
        latency_p50_ms=1000 * percentile(latencies, 50),
        latency_p99_ms=1000 * percentile(latencies, 99),
        first_token_p50_ms=1000 * percentile(firsts, 50),
        first_token_p99_ms=1000 * percentile(firsts, 99),
    )


def percentile(values: list[float], percent: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def check(load: Load, answer: Answer) -> None:
    """Every token is there, in order and once."""
    body = b"".join(answer.pieces)
    if answer.status != 200:
        raise WrongAnswer(f"status {answer.status}: {body[:500].decode(errors='replace')}")
    text = streamed_text(body) if load.stream else plain_text(body)
    if text != load.words:
        raise WrongAnswer(f"{load.name}: {len(text.split())} of {load.tokens} tokens: {text[:200]}")


def plain_text(body: bytes) -> str:
    """The text of an answer in one piece."""
    return str(json.loads(body)["choices"][0]["message"]["content"])


def streamed_text(body: bytes) -> str:
    """The deltas joined; the stream must say that it is done."""
    frames = [frame for frame in body.decode().split("\n\n") if frame]
    if not frames or frames[-1] != "data: [DONE]":
        raise WrongAnswer(f"the stream ends with {frames[-1:]}")
    choices: list[Any] = []
    for frame in frames[:-1]:
        choices += json.loads(frame.removeprefix("data: "))["choices"]
    if choices[-1]["finish_reason"] != "stop":
        raise WrongAnswer(f"the stream finished with {choices[-1]}")
    return "".join(choice["delta"].get("content") or "" for choice in choices)
