"""The chat model of the local default through HTTP, next to llama.cpp's own HTTP server on the same
file, slots and threads, and to the engine `transformers` with the same weights, in turn: tokens a
second, the time to the first token, and memory when idle.

    python benchmarks/chat_model.py [--rounds 5] [--seconds 8] [--tokens 100] [--gguf DIRECTORY]

`--gguf` is where `pip install --target DIRECTORY gguf` has put the library by which transformers
reads the file; without it that engine is left out.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from load_generator import Answer, Connection, Target, WrongAnswer, chat_request, percentile
from results import machine, save_as
from server_process import ServerProcess, free_port, paused, server, working_folder, write_config

ROOT = Path(__file__).parents[1]
MODEL = "SmolLM2-135M-Instruct"
CONTEXT, SLOTS, THREADS = 2048, 8, 2
CLIENTS = (1, 8)
IDLE_S = 5.0
TOPICS = ("the sea", "bread", "a fox", "trains", "the moon", "music", "rivers", "old maps")
DEQUANTISE = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, name, target = sys.argv[1:]
AutoModelForCausalLM.from_pretrained(folder, gguf_file=name).save_pretrained(target)
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
"""


@dataclass(frozen=True)
class Stories:
    """What a run asks for: clients that ask one after the other, each for so many tokens at most,
    until the seconds are over.
    """

    clients: int
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Figures:
    """Of one run; the time is that to the first token, the median of all answers."""

    tokens_per_s: float
    first_token_ms: float
    answers: int


def main() -> None:
    """Start all, measure in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--gguf", type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    file = weights()
    with working_folder() as folder, ExitStack() as stack:
        servers = {"polyphony": stack.enter_context(polyphony("polyphony", folder, llama(file)))}
        servers["llama.cpp"] = stack.enter_context(bare(folder, file))
        if arguments.gguf is not None:
            family = dequantised(folder, file, arguments.gguf)
            servers["transformers"] = stack.enter_context(polyphony("transformers", folder, family))
        asyncio.run(answering(servers.values()))
        time.sleep(IDLE_S)
        memory = {name: process.memory_mib() for name, process in servers.items()}
        runs = {
            clients: measured(
                servers, Stories(clients, arguments.seconds, arguments.tokens), arguments.rounds
            )
            for clients in CLIENTS
        }
    print(table(runs, memory))
    about = machine() | {"rounds": arguments.rounds, "seconds": arguments.seconds}
    figures = {
        f"{clients} clients": {name: [vars(run) for run in found] for name, found in arms.items()}
        for clients, arms in runs.items()
    }
    written = save_as("chat-model", about, {"runs": figures, "idle_mib": memory})
    print(f"machine: {json.dumps(about)}\nwritten: {written}")


def weights() -> Path:
    """The file of the local default, fetched as the server fetches it."""
    sys.path.append(str(ROOT))
    from serve_app.core.settings import Storage
    from serve_app.family.engines.model_paths import model_path
    from serve_app.launch.config_file import read_plan

    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    (model,) = (m for family in config.families for m in family.models if m.id == MODEL)
    path = model_path(Storage(data_dir=ROOT / ".data"), model, lambda _: None)
    assert path is not None
    (file,) = path.glob("*.gguf")
    return file


def llama(file: Path) -> dict[str, object]:
    """A family as the local default has it."""
    options = {"engine": "llama_cpp", "task": "chat", "context_length": CONTEXT}
    return family_of(options | {"slots": SLOTS, "threads": THREADS}, file)


def dequantised(folder: Path, file: Path, library: Path) -> dict[str, object]:
    """A family of `transformers` with the same weights, made once."""
    target = folder / MODEL
    environment = os.environ | {"PYTHONPATH": str(library)}
    command = [sys.executable, "-c", DEQUANTISE, str(file.parent), file.name, str(target)]
    subprocess.run(command, env=environment, check=True)
    options = {"engine": "transformers", "task": "chat", "context_length": CONTEXT}
    return family_of(options | {"threads": THREADS}, target)


def family_of(options: dict[str, Any], source: Path) -> dict[str, object]:
    """With one model that is loaded at once."""
    models = [{"id": MODEL, "source": str(source)}]
    placement = {"min_replicas": 1, "max_ongoing_requests": 32}
    return {"name": "chat-model", "options": options, "models": models, "placement": placement}


def polyphony(name: str, folder: Path, family: dict[str, object]) -> Any:
    """Our server with one family."""
    own = folder / f"{name}-server"
    own.mkdir()
    config = write_config(own, more_families=[family])
    port, token = free_port(), f"sk-{secrets.token_hex(32)}"
    command = ["-m", "serve_app", "--config", str(config), "--port", str(port)]
    return server(name, command, port=port, token=token, folder=folder)


def bare(folder: Path, file: Path) -> Any:
    """llama.cpp's server."""
    port, token = free_port(), secrets.token_hex(16)
    sizes = [str(each) for each in (CONTEXT, SLOTS, THREADS)]
    command = [str(Path(__file__).parent / "llama_server.py"), str(file), str(port), token, *sizes]
    return server("llama.cpp", command, port=port, token=token, folder=folder)


async def answering(servers: Any) -> None:
    """Wait until each has answered."""
    for process in servers:
        while True:
            if not process.is_running:
                raise SystemExit(process.log.read_text(errors="replace")[-3000:])
            try:
                await load(process.target, Stories(1, 0.0, 1))
                break
            except (OSError, AssertionError, TimeoutError, WrongAnswer):
                await asyncio.sleep(1)


def measured(
    servers: dict[str, ServerProcess], stories: Stories, rounds: int
) -> dict[str, list[Figures]]:
    """Each in turn while the others stand still."""
    found: dict[str, list[Figures]] = {name: [] for name in servers}
    for number in range(rounds):
        names = list(servers)
        for name in names if number % 2 == 0 else reversed(names):
            others = [process for other, process in servers.items() if other != name]
            with paused(others):
                target = servers[name].target
                found[name].append(asyncio.run(load(target, stories)))
    return found


async def load(target: Target, stories: Stories) -> Figures:
    """Each client asks one question after the other until the time is over."""
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()

    async def client(number: int) -> list[Answer]:
        answers: list[Answer] = []
        while not answers or time.perf_counter() < begun + stories.seconds:
            # llama.cpp's server closes them.
            _, connection = await loop.create_connection(Connection, "127.0.0.1", target.port)
            asked = request(target, number + len(answers), stories.tokens)
            answers.append(await connection.ask(asked))
            connection.transport.close()
        return answers

    everyone = [
        each for part in await asyncio.gather(*map(client, range(stories.clients))) for each in part
    ]
    elapsed = max(answer.done_at for answer in everyone) - begun
    firsts = [(each.first_token_at or each.done_at) - each.sent_at for each in everyone]
    total = sum(map(tokens, everyone))
    return Figures(total / elapsed, 1000 * percentile(firsts, 50), len(everyone))


def request(target: Target, number: int, limit: int) -> bytes:
    """A stream of a story, greedily written."""
    told = f"Tell me a long story about {TOPICS[number % len(TOPICS)]}, number {number}."
    fields = {
        "model": MODEL,
        "messages": [{"role": "user", "content": told}],
        "max_tokens": limit,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return chat_request(target, fields)


def tokens(answer: Answer) -> int:
    """How many were written, as the end of the stream says."""
    body = b"".join(answer.pieces)
    assert answer.status == 200, body[:500]
    frames = [frame for frame in body.decode().split("\n\n") if frame.startswith("data: {")]
    usages = [json.loads(frame.removeprefix("data: ")).get("usage") for frame in frames]
    (usage,) = filter(None, usages[-1:])
    return int(usage["completion_tokens"])


def table(runs: dict[int, dict[str, list[Figures]]], memory: dict[str, float]) -> str:
    """Markdown: medians over the rounds, and the first column's ratio to the others."""
    names = list(memory)
    others = names[1:]
    head = ["", *names, *(f"{names[0]} / {other}" for other in others)]
    lines = [row(head), row(["---"] * len(head))]
    for clients, arms in runs.items():
        speeds = [median(run.tokens_per_s for run in arms[name]) for name in names]
        firsts = [median(run.first_token_ms for run in arms[name]) for name in names]
        lines.append(row([f"{clients} clients, tokens/s", *compared(speeds)]))
        lines.append(row([f"{clients} clients, first token, ms", *compared(firsts)]))
    lines.append(row(["idle memory, MiB", *compared(list(memory.values()))]))
    return "\n".join(lines)


def compared(values: Sequence[float]) -> list[str]:
    """The values, and the ratio of the first to each other."""
    return [f"{value:,.1f}" for value in values] + [f"{values[0] / v:.2f}" for v in values[1:]]


def row(cells: Sequence[str]) -> str:
    """Of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
