"""What transcription costs through HTTP, next to faster-whisper called in this process: the same
file, the same options, one chunk after the other and batched, in turn.

    python benchmarks/transcription.py [--calls 5] [--seconds 60]

The checkpoint has the size of Whisper tiny and recites one text for any audio; the speech is
espeak-ng's.
"""

import argparse
import asyncio
import http.client
import io
import json
import secrets
import signal
import statistics
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load_generator import Load, Target
from results import machine, save_as
from server_process import free_port, server, working_folder, write_config

PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = 1
LOAD_TIMEOUT_S = 90.0
THREADS = 2
BATCHES = {"sequential": 1, "batched": 8}
ROOT = str(Path(__file__).parents[1])
Bare = Callable[[Path], str]
"""An audio file in, its text out, by nothing but the library."""


def main() -> None:
    """Make checkpoint and speech, start the server, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Checkpoint and speech are made as the tests make theirs.
    sys.path.append(ROOT)
    with working_folder() as folder:
        checkpoint = made_checkpoint(folder / "whisper")
        audio = folder / "speech.wav"
        audio.write_bytes(asyncio.run(spoken(folder, arguments.seconds)))
        config = str(write_config(folder, more_families=families(checkpoint)))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            rows = {
                name: measured(name, process.target, checkpoint, audio, arguments.calls)
                for name in BATCHES
            }
    for name, row in rows.items():
        cells = "   ".join(f"{figure} {value:8.3f}" for figure, value in row.items())
        print(f"{name:12} {cells}")
    about = machine() | {"calls": arguments.calls, "speech_s": arguments.seconds}
    written = save_as("transcription", about, {"rows": rows})
    print(f"machine: {json.dumps(about)}\nwritten: {written}")


def made_checkpoint(folder: Path) -> Path:
    """Made in a process of its own: torch's threads would compete with those that are measured."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); from pathlib import Path\n"
        "from tests.engine.tiny_whisper import save_whisper\n"
        "save_whisper(Path(sys.argv[2]), width=384, layers=4)"
    )
    subprocess.run([sys.executable, "-c", program, ROOT, str(folder)], check=True)
    return folder / "ctranslate2"


def families(checkpoint: Path) -> list[dict[str, object]]:
    """One per row."""
    return [
        {
            "name": f"whisper-{size}",
            "options": {
                "engine": "faster_whisper",
                "device": "cpu",
                "compute_type": "int8",
                "threads": THREADS,
                "batch_size": size,
            },
            "models": [{"id": name, "source": str(checkpoint)}],
            "placement": {"min_replicas": 1, "max_ongoing_requests": 2},
        }
        for name, size in BATCHES.items()
    ]


def measured(
    name: str, target: Target, checkpoint: Path, audio: Path, calls: int
) -> dict[str, float]:
    """Medians in seconds, and the median of the ratios of neighbouring calls."""
    bare = opened(checkpoint, BATCHES[name])
    data = audio.read_bytes()
    alone, served = [], []
    for number in range(WARM_UP + calls):
        begun = time.perf_counter()
        wanted = bare(audio)
        between = time.perf_counter()
        found = over_http(target, name, data)
        ended = time.perf_counter()
        if wanted.split() != found.split():
            raise SystemExit(f"{name}: {found[:200]!r} is not the library's {wanted[:200]!r}")
        if number >= WARM_UP:
            alone.append(between - begun)
            served.append(ended - between)
    ratios = [after / before for before, after in zip(alone, served, strict=True)]
    return {
        "library s": statistics.median(alone),
        "HTTP s": statistics.median(served),
        "HTTP / library": statistics.median(ratios),
    }


def opened(checkpoint: Path, batch_size: int) -> Bare:
    """The library as its page shows it, with word times and without what holds no voice."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(str(checkpoint), device="cpu", compute_type="int8", cpu_threads=THREADS)
    pipeline: Any = BatchedInferencePipeline(model) if batch_size > 1 else model
    more = {"batch_size": batch_size} if batch_size > 1 else {}

    def run(audio: Path) -> str:
        found, _ = pipeline.transcribe(str(audio), word_timestamps=True, vad_filter=True, **more)
        return " ".join(segment.text.strip() for segment in found)

    return run


def over_http(target: Target, model: str, data: bytes) -> str:
    """The text; waits while the model is loaded."""
    edge = secrets.token_hex(16)
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="speech.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    headers = {
        "Authorization": f"Bearer {target.token}",
        "Content-Type": f"multipart/form-data; boundary={edge}",
    }
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", target.port)
        connection.request("POST", "/v1/audio/transcriptions", body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        if answer.status == 200:
            return str(content["text"])
        if answer.status != 503 or time.monotonic() > deadline:
            raise SystemExit(f"{model} failed with {answer.status}: {content}")
        time.sleep(0.5)


async def spoken(folder: Path, seconds: int) -> bytes:
    """A WAV file of 16 kHz in which espeak-ng speaks until the time is over."""
    from tests.conversation import RATE, SENTENCES, conversation

    known = await conversation(folder / "voice", ("en-us",), sentences=len(SENTENCES))
    pcm = (known.samples * 32_767).astype("<i2").tobytes()
    wanted = seconds * RATE * 2
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((pcm * (wanted // len(pcm) + 1))[:wanted])
    return target.getvalue()


if __name__ == "__main__":
    main()
