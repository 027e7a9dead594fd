"""What pipelines gain from replicas and cost by themselves, over fakes that take a fixed time.

A story of six images with one image replica and with two, in turn; and a dubbed video, whose
stages follow one another, against the time that the families were busy with them.

    python benchmarks/pipelines.py [--rounds 5]
"""

import argparse
import asyncio
import base64
import http.client
import json
import secrets
import signal
import statistics
import sys
import time
from typing import Any

from load_generator import Load
from results import machine, save_as
from server_process import free_port, server, working_folder, write_config

PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
IMAGE_S, STEP_S = 1.0, 0.2
SCENES = 6
CLIP = base64.b64encode(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)).decode()
TALE = "One fox. Two owls. Three mice. Four ants. Five bees. Six frogs."


def family(name: str, task: str, *, delay_s: float = 0.0, replicas: int = 1) -> dict[str, Any]:
    """A family of the fake engine whose replicas do one thing at a time."""
    return {
        "name": name,
        "options": {"engine": "fake", "task": task, "delay_s": delay_s},
        "models": [] if task == "media" else [{"id": name}],
        "placement": {
            "min_replicas": replicas,
            "max_replicas": replicas,
            "max_ongoing_requests": 1 if task == "images" else 100,
        },
    }


FAMILIES = (
    family("one", "images", delay_s=IMAGE_S),
    family("two", "images", delay_s=IMAGE_S, replicas=2),
    family("camera", "video"),
    family("voice", "speech", delay_s=STEP_S),
    family("transcription", "transcription", delay_s=STEP_S),
    family("media", "media", delay_s=STEP_S),
)
PIPELINES = ({"name": "story"}, {"name": "video-dub"})


def main() -> None:
    """Start the server, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder:
        config = str(write_config(folder, more_families=FAMILIES, pipelines=PIPELINES))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            client = Client(port, token)
            times = _stories(client, rounds)
            costs = [_overhead_ms(client) for _ in range(rounds + 1)][1:]
    gain = statistics.median(times["one"]) / statistics.median(times["two"])
    about, per_stage = machine(), statistics.median(costs)
    print(f"machine: {json.dumps(about)}")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"story of {SCENES} images, replicas: {name:4} median {middle:.2f} s")
    print(f"two replicas are {gain:.2f} times as fast as one")
    print(f"a dubbed video adds {per_stage:.1f} ms per stage (median of {len(costs)})")
    file = save_as(
        "pipelines",
        about,
        {"story_s": times, "gain": gain, "overhead_ms_per_stage": costs},
    )
    print(f"written to {file}")


class Client:
    """One connection of a client that waits."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def call(self, path: str, body: dict[str, Any]) -> tuple[float, str]:
        """Seconds, and the id of the job."""
        begun = time.perf_counter()
        self._connection.request("POST", path, json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        elapsed = time.perf_counter() - begun
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}: {content[:500]!r}")
        return elapsed, str(answer.headers["X-Job-ID"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The finished job."""
        self._connection.request("GET", f"/v1/jobs/{job_id}", headers=self._headers)
        found: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return found


def _stories(client: Client, rounds: int) -> dict[str, list[float]]:
    """Seconds by image model; the first round warms up."""
    times: dict[str, list[float]] = {"one": [], "two": []}
    body = {
        "story": TALE,
        "num_scenes": SCENES,
        "image_size": "64x64",
        "num_frames": 5,
        "narrate": False,
    }
    for number in range(rounds + 1):
        for model, seconds in times.items():
            elapsed, _ = client.call("/v1/pipelines/story", body | {"image_model": model})
            if number:
                seconds.append(elapsed)
    return times


def _overhead_ms(client: Client) -> float:
    """What a dubbed video takes beyond the work of its families, per stage."""
    body = {"video": CLIP, "source_lang": "en", "target_lang": "en"}
    elapsed, job_id = client.call("/v1/pipelines/video-dub", body)
    stages = client.job(job_id)["stages"]
    busy = sum(stage["device_seconds"] for stage in stages)
    return 1000 * float(elapsed - busy) / len(stages)


if __name__ == "__main__":
    main()
