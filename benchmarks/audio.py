"""What audio costs through HTTP, next to the same engine called in this process: for speech, the
time from the request to the first byte of audio, at one client.

    python benchmarks/audio.py [--calls 100] [--arm speech]
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import re
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from load_generator import Load, Target
from results import machine, save_as
from server_process import ServerProcess, free_port, server, working_folder, write_config

PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = 10
REST_S = 0.02
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it sleeps in the sun."
FORMATS = ("wav", "pcm", "mp3", "opus")
SPEECH = {
    "name": "speech",
    "options": {"engine": "espeak"},
    "models": [{"id": "espeak-ng"}],
    "placement": {"min_replicas": 1, "max_ongoing_requests": 8},
}
Figures = dict[str, dict[str, float]]
"""By row, then by figure, in milliseconds."""


@dataclass(frozen=True)
class Arm:
    """One comparison: the families that it needs and what is measured of them."""

    name: str
    families: tuple[dict[str, object], ...]
    measure: Callable[[Target, int], Figures]


def main() -> None:
    """Start the server, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], action="append")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arms = [arm for arm in ARMS if not arguments.arm or arm.name in arguments.arm]
    families = [family for arm in arms for family in arm.families]
    with working_folder() as folder:
        config = str(write_config(folder, more_families=families))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            figures = {arm.name: arm.measure(process.target, arguments.calls) for arm in arms}
            memory = replica_memory_mib(process, [str(family["name"]) for family in families])
    about = machine() | {"calls": arguments.calls, "replica_memory_mib": memory}
    for name, rows in figures.items():
        print_table(name, rows)
    print(f"machine: {json.dumps(about)}\nwritten: {save_as('audio', about, {'arms': figures})}")


def replica_memory_mib(process: ServerProcess, families: list[str]) -> dict[str, float]:
    """Resident memory of each family's largest replica, shared pages included."""
    memory: dict[str, float] = {}
    for child in process.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            title = " ".join(child.cmdline())
            for family in families:
                if re.search(rf"ServeReplica:\w+:{family}\b", title):
                    mebibytes = round(child.memory_info().rss / 1024**2, 1)
                    memory[family] = max(mebibytes, memory.get(family, 0))
    return memory


def print_table(name: str, rows: Figures) -> None:
    """A line per row."""
    for row, values in rows.items():
        cells = "   ".join(f"{figure} {value:7.2f}" for figure, value in values.items())
        print(f"{name}: {row:28} {cells}")


def speech(target: Target, calls: int) -> Figures:
    """Each format through HTTP and in this process, in turn, so that both see the same machine."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    figures: Figures = {}
    with espeak_here() as engine, asyncio.Runner() as loop:
        for audio_format in FORMATS:
            served, bare = [], []
            for number in range(WARM_UP + calls):
                time.sleep(REST_S)
                over_http = received_over_http(connection, target.token, audio_format)
                in_process = loop.run(generated_here(engine, audio_format))
                if number >= WARM_UP:
                    served.append(over_http)
                    bare.append(in_process)
            figures[f"{audio_format} through HTTP"] = summary(served)
            figures[f"{audio_format} in process"] = summary(bare)
    return figures


def received_over_http(
    connection: http.client.HTTPConnection, token: str, audio_format: str
) -> tuple[float, float]:
    """Seconds to the first byte of audio and to the last."""
    body = {"model": "espeak-ng", "input": SENTENCE, "response_format": audio_format}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    start = time.perf_counter()
    connection.request("POST", "/v1/audio/speech", json.dumps(body), headers)
    answer = connection.getresponse()
    first_byte = answer.read(1)
    first = time.perf_counter() - start
    rest = answer.read()
    if answer.status != 200 or not first_byte or len(rest) < 1000:
        raise SystemExit(f"speech failed with {answer.status}: {(first_byte + rest)[:500]!r}")
    return first, time.perf_counter() - start


@contextlib.contextmanager
def espeak_here() -> Generator[Any]:
    """The engine in this process."""
    from deployments.audio.espeak import EspeakSpeech
    from serve_app.blobs.store import FsspecBlobStore
    from serve_app.core.config import Model
    from serve_app.core.options.audio import EspeakOptions

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        blobs = FsspecBlobStore(Path(folder))
        yield EspeakSpeech(EspeakOptions(), Model(id="espeak-ng"), path=None, blobs=blobs)


async def generated_here(engine: Any, audio_format: str) -> tuple[float, float]:
    """Seconds to the first piece of audio and to the last."""
    from serve_app.core.audio.speech import AudioFormat, Speak

    form: AudioFormat = audio_format  # type: ignore[assignment]
    start = time.perf_counter()
    moments = [
        time.perf_counter() - start
        async for _ in engine.speak(Speak(model="espeak-ng", text=SENTENCE, format=form))
    ]
    return moments[0], moments[-1]


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Milliseconds to the first and to the last byte."""
    first, last = ([1000 * seconds for seconds in each] for each in zip(*times, strict=True))
    return {
        "first p50": statistics.median(first),
        "first p99": statistics.quantiles(first, n=100)[98],
        "all p50": statistics.median(last),
    }


ARMS = (Arm("speech", (SPEECH,), speech),)

if __name__ == "__main__":
    main()
