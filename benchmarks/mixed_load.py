"""What 200 clients at once find who do different things: chat, streams, speech, uploads and lists,
for half a minute, each again as soon as it is answered. Engines are fakes; access control is on.
With `--old` the same at another checkout, in turn.

    python benchmarks/mixed_load.py [--rounds 1] [--seconds 30] [--old DIRECTORY]
"""

import argparse
import asyncio
import json
import secrets
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httptools
import uvloop
from load_generator import Connection, Load, Target, WrongAnswer, percentile
from results import machine, save_as
from server_process import HERE, ServerProcess, free_port, server, working_folder, write_config

WORDS = " ".join(f"w{number}" for number in range(40))
UPLOAD_BYTES = 256 * 1024
BOUNDARY = "a-boundary"
WARM_UP_S = 3.0
REST_S = 2.0
PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
SPEECH = {
    "name": "speech",
    "options": {"engine": "fake", "task": "speech"},
    "models": [{"id": "hum"}],
    "placement": {"max_ongoing_requests": 100},
}


@dataclass(frozen=True)
class Work:
    """What `clients` of the 200 do."""

    name: str
    clients: int
    path: str
    body: bytes | None = None
    kind: str = "application/json"

    def request(self, target: Target) -> bytes:
        """The whole request, head and body."""
        head = [
            f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{target.port}",
            f"Authorization: Bearer {target.token}",
        ]
        if self.body is not None:
            head += [f"Content-Type: {self.kind}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*head, "", ""]).encode() + (self.body or b"")


def chat(*, stream: bool, model: str) -> bytes:
    """A body that is said back."""
    messages = [{"role": "user", "content": WORDS}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


def upload() -> bytes:
    """A form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    data = b"RIFF\x24\0\0\0WAVEfmt " + bytes(UPLOAD_BYTES)
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


WORKS = (
    Work("chat", 80, "/v1/chat/completions", chat(stream=False, model="fast")),
    Work("streams", 60, "/v1/chat/completions", chat(stream=True, model="paced")),
    Work("speech", 20, "/v1/audio/speech", b'{"model": "hum", "input": "Hello there."}'),
    Work("uploads", 20, "/v1/files/upload", upload(), f"multipart/form-data; boundary={BOUNDARY}"),
    Work("lists", 20, "/v1/models"),
)


class Client(Connection):
    """A connection that looks at the head of answers too."""

    def __init__(self) -> None:
        super().__init__()
        self._may_come_back = False

    def on_message_begin(self) -> None:
        """Called by httptools."""
        self._may_come_back = False

    def on_header(self, name: bytes, _: bytes) -> None:
        """Called by httptools."""
        self._may_come_back = self._may_come_back or name.lower() == b"retry-after"

    def outcome(self, status: int) -> str:
        """The status, or `busy` for a 503 that says when to come back."""
        return "busy" if status == 503 and self._may_come_back else str(status)


@dataclass
class Seen:
    """What the clients of one kind of work have seen."""

    latencies_ms: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """Whether every answer is one that a client expects of a busy server."""
        return all(outcome in ("busy", "429") or outcome < "300" for outcome in self.outcomes)


Rounds = dict[str, list[dict[str, Seen]]]
"""By server: what each round has shown of each kind of work."""


async def put_on(target: Target, seconds: float) -> dict[str, Seen]:
    """Everything at once, for so long."""
    until = time.perf_counter() + seconds
    seen = {work.name: Seen() for work in WORKS}
    async with asyncio.TaskGroup() as tasks:
        for work in WORKS:
            for _ in range(work.clients):
                tasks.create_task(_client(work, target, until, seen[work.name]))
    return seen


async def _client(work: Work, target: Target, until: float, seen: Seen) -> None:
    loop = asyncio.get_running_loop()
    request = work.request(target)
    _, connection = await loop.create_connection(Client, "127.0.0.1", target.port)
    while time.perf_counter() < until:
        try:
            answer = await connection.ask(request)
        except (httptools.HttpParserError, WrongAnswer, TimeoutError) as error:
            seen.outcomes[type(error).__name__] += 1
            connection.transport.close()
            _, connection = await loop.create_connection(Client, "127.0.0.1", target.port)
            continue
        seen.latencies_ms.append((answer.done_at - answer.sent_at) * 1000)
        seen.outcomes[connection.outcome(answer.status)] += 1
    connection.transport.close()


def main() -> None:
    """Start, measure in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--old", type=Path, help="a checkout to compare with")
    arguments = parser.parse_args()
    checkouts = {"new": HERE.parent}
    if arguments.old is not None:
        checkouts["old"] = arguments.old.resolve()
    with ExitStack() as stack:
        servers = [_started(stack, name, checkout) for name, checkout in checkouts.items()]
        rounds = uvloop.run(_measure(servers, arguments.rounds, arguments.seconds))
    print(_table(rounds))
    about = machine() | {"rounds": arguments.rounds, "seconds": arguments.seconds}
    print(f"written: {save_as('mixed-load', about, {'rounds': _plain(rounds)})}")


def _started(stack: ExitStack, name: str, checkout: Path) -> ServerProcess:
    folder = stack.enter_context(working_folder())
    port, token = free_port(), f"sk-{secrets.token_hex(32)}"
    config = str(write_config(folder, more_families=[SPEECH]))
    command = ["-m", "serve_app", "--config", config, "--port", str(port)]
    process = server(name, command, port=port, token=token, folder=folder, checkout=checkout)
    return stack.enter_context(process)


async def _measure(servers: list[ServerProcess], rounds: int, seconds: float) -> Rounds:
    found: Rounds = {process.target.name: [] for process in servers}
    for process in servers:
        await process.until_it_answers(PROBE)
    for process in servers:
        await put_on(process.target, WARM_UP_S)
    for _ in range(rounds):
        for process in servers:
            await asyncio.sleep(REST_S)
            found[process.target.name].append(await put_on(process.target, seconds))
    return found


def _table(rounds: Rounds) -> str:
    """Markdown: medians over the rounds, and every outcome."""
    lines = [
        "| server | work | answers | p50 ms | p99 ms | outcomes |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in rounds.items():
        for work in WORKS:
            seen = [one[work.name] for one in each]
            outcomes = sum((one.outcomes for one in seen), Counter[str]())
            p50, p99 = (median(percentile(one.latencies_ms, p) for one in seen) for p in (50, 99))
            count = sum(outcomes.values())
            mark = "" if all(one.is_good for one in seen) else " **unexpected**"
            lines.append(
                f"| {name} | {work.name} | {count} | {p50:,.0f} | {p99:,.0f} "
                f"| {dict(outcomes)}{mark} |"
            )
    return "\n".join(lines)


def _plain(rounds: Rounds) -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {
                work: {
                    "p50_ms": percentile(seen.latencies_ms, 50),
                    "p99_ms": percentile(seen.latencies_ms, 99),
                    "outcomes": dict(seen.outcomes),
                }
                for work, seen in one.items()
            }
            for one in each
        ]
        for name, each in rounds.items()
    }


if __name__ == "__main__":
    main()
