"""What a long video takes: ten minutes of 1080p that talk, through HTTP to the engines of the local
default, subtitled, dubbed and made twice as large. Wall time, and the most memory of every replica
with its children, looked at twice a second.

    python benchmarks/long_video.py [--minutes 10] [--fps 10] [--upscale-fps 5] [--arm dub]

It takes the better part of an hour and is no part of `make bench`.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import psutil
import yaml
from load_generator import Load
from results import machine, save_as
from server_process import ServerProcess, free_port, server, working_folder

LOCAL = Path(__file__).parents[1] / "serve_config.local.yaml"
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
WIDTH, HEIGHT = 1920, 1080
LIMIT_MIB = 1536.0
LOOK_EVERY_S, ASK_EVERY_S = 0.5, 2.0
PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
PROBED = {"name": "fast", "options": {"engine": "fake", "task": "chat"}, "models": [{"id": "fast"}]}
REPLICA, STARTING = "ray::ServeReplica:", ".initialize_and_get_metadata"
AUDIO_RATE = 24_000
# Words that are understood from espeak-ng, a few in every minute.
SAID = "one two three four five six seven. the quick brown fox. good morning."


@dataclass(frozen=True)
class Arm:
    """One operation on the video."""

    name: str
    path: str
    body: dict[str, object]
    growth: int = 1
    """Times as wide."""


ARMS = (
    Arm("subtitle", "/v1/video/subtitle", {"burn": True}),
    Arm("dub", "/v1/video/dub", {"source_lang": "en", "target_lang": "de"}),
    Arm("upscale", "/v1/video/upscale", {"upscale_factor": 2, "allow_resize": True}, growth=2),
)
Peaks = dict[str, dict[str, float]]
"""By replica: MiB of proportional set size and of anonymous memory."""


def main() -> None:
    """Start the server, make the videos, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--upscale-fps", type=int, default=5)
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], action="append")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arms = [arm for arm in ARMS if not arguments.arm or arm.name in arguments.arm]
    figures = {}
    with working_folder() as folder, local_default(folder) as (process, client):
        for arm in arms:
            fps = arguments.upscale_fps if arm.name == "upscale" else arguments.fps
            source = video(client, folder, arguments.minutes, fps)
            figures[arm.name] = measured(arm, source, folder, process, client)
            print(as_rows(arm, fps, figures[arm.name]), flush=True)
    about = machine() | {
        "video": f"{arguments.minutes} min of {WIDTH}x{HEIGHT}",
        "fps": vars(arguments),
    }
    print(save_as("long-video", about, {"arms": figures}))


@contextmanager
def local_default(folder: Path) -> Generator[tuple[ServerProcess, "Client"]]:
    """The local default with data of its own."""
    config = yaml.safe_load(LOCAL.read_text())
    args = config["applications"][0]["args"]
    args["storage"]["data_dir"] = str(folder / "data")
    args["families"].append(PROBED)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = ["-m", "serve_app", "--config", str(file), "--port", str(port)]
    with server("c", command, port=port, token="none", folder=folder) as process:
        asyncio.run(process.until_it_answers(PROBE))
        yield process, Client(port)


class Client:
    """A client on this machine, a connection for each call."""

    def __init__(self, port: int) -> None:
        self._port = port

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's body; a dictionary is sent as JSON, an open file as it is."""
        is_json = isinstance(body, dict)
        kind = "application/json" if is_json else "application/octet-stream"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        with contextlib.closing(connection):
            content = json.dumps(body) if is_json else body
            connection.request(method, path, content, {"Content-Type": kind})
            answer = connection.getresponse()
            data = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path} answered {answer.status}: {data[:500]!r}")
        return data

    def upload(self, path: Path) -> str:
        """Where the stored file is found."""
        with path.open("rb") as file:
            return str(json.loads(self.call("POST", "/v1/files/upload", file))["url"])

    def done(self, arm: Arm, video: str) -> dict[str, Any]:
        """The finished job; a call that waits would reach its limit."""
        body = {"video": video, "async": True} | arm.body
        url = json.loads(self.call("POST", arm.path, body))["url"]
        while (job := json.loads(self.call("GET", url)))["status"] in ("queued", "running"):
            time.sleep(ASK_EVERY_S)
        if job["status"] != "succeeded":
            raise SystemExit(f"{arm.name}: {job['error']}")
        return dict(job)


@dataclass
class Watch:
    """The most that every replica has taken, counted with the children that work for it."""

    process: ServerProcess
    peaks: Peaks = field(default_factory=dict)
    has_ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until told to end."""
        while not self.has_ended.wait(LOOK_EVERY_S):
            for replica in self.process.tree():
                with contextlib.suppress(psutil.NoSuchProcess, OSError, IndexError):
                    title = replica.cmdline()[0]
                    if title.startswith(REPLICA):
                        self._sample(title.strip().split(":")[-1].removesuffix(STARTING), replica)

    def _sample(self, name: str, replica: psutil.Process) -> None:
        found = [memory_mib(each.pid) for each in (replica, *replica.children(recursive=True))]
        most = self.peaks.setdefault(name, {"pss": 0.0, "anonymous": 0.0})
        most["pss"] = max(most["pss"], sum(pss for pss, _ in found))
        most["anonymous"] = max(most["anonymous"], sum(anonymous for _, anonymous in found))


def memory_mib(pid: int) -> tuple[float, float]:
    """Proportional set size, and what of it is no file's."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return sizes["Pss"], sizes["Anonymous"]


def measured(
    arm: Arm, source: Path, folder: Path, process: ServerProcess, client: Client
) -> dict[str, Any]:
    """Seconds, peaks, the job's stages, and what the video is that came."""
    video = client.upload(source)
    watch = Watch(process)
    looking = threading.Thread(target=watch.run)
    looking.start()
    began = time.perf_counter()
    try:
        job = client.done(arm, video)
    finally:
        watch.has_ended.set()
        looking.join()
    wall_s = time.perf_counter() - began
    made = folder / "made.mp4"
    made.write_bytes(client.call("GET", job["result"]["data"][0]["url"]))
    details = facts(made)
    check(arm, details, facts(source))
    return {
        "wall_s": wall_s,
        "peaks_mib": watch.peaks,
        "stages": {stage["name"]: stage.get("seconds") for stage in job["stages"]},
        "warnings": job["warnings"],
        "video": details,
    }


def check(arm: Arm, made: dict[str, Any], source: dict[str, Any]) -> None:
    """That it is the whole video."""
    expected = {
        "codec": "h264",
        "pixels": "yuv420p",
        "width": source["width"] * arm.growth,
        "frames": source["frames"],
        "audio": "aac",
    }
    wrong = {name: made[name] for name, value in expected.items() if made[name] != value}
    if wrong or abs(made["duration_s"] - source["duration_s"]) > 1:
        raise SystemExit(f"{arm.name}: not the whole video: {made}, expected {expected}")


def facts(path: Path) -> dict[str, Any]:
    """As PyAV finds it."""
    with av.open(str(path)) as container:
        image: Any = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        return {
            "codec": image.codec_context.name,
            "pixels": image.codec_context.pix_fmt,
            "width": image.width,
            "frames": sum(packet.pts is not None for packet in container.demux(image)),
            "duration_s": float(image.duration * image.time_base),
            "audio": audio and audio.codec_context.name,
            "bytes": path.stat().st_size,
        }


def video(client: Client, folder: Path, minutes: int, fps: int) -> Path:
    """Shapes and a texture in motion; in each minute somebody speaks, and a tone goes through."""
    path = folder / f"video-{minutes}-{fps}.mp4"
    if path.exists():
        return path
    speech = folder / "speech.wav"
    write_speech(client, speech, minutes)
    seconds = 60 * minutes
    images = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={fps}:duration={seconds}"
    tone = f"sine=220:duration={seconds}"
    mixed = "[2:a]volume=0.05[tone];[1:a][tone]amix=normalize=0[audio]"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", images, "-i", str(speech)]
    command += ["-f", "lavfi", "-i", tone, "-filter_complex", mixed, "-map", "0:v"]
    command += ["-map", "[audio]", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)
    return path


def write_speech(client: Client, path: Path, minutes: int) -> None:
    """What is said at the start of each minute, by the server's own voice."""
    wanted = {"input": SAID, "voice": "en-us", "speed": 0.75, "response_format": "pcm"}
    said = client.call("POST", "/v1/audio/speech", wanted)
    minute = said.ljust(60 * AUDIO_RATE * 2, b"\0")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(AUDIO_RATE)
        for _ in range(minutes):
            file.writeframes(minute)


def as_rows(arm: Arm, fps: int, found: dict[str, Any]) -> str:
    """Markdown: a row for each replica that was there."""
    size = f"{found['video']['frames']} frames at {fps} fps, {found['wall_s']:.0f} s"
    rows = [f"| {arm.name} | {size} | | |"]
    for name, most in sorted(found["peaks_mib"].items(), key=lambda item: -item[1]["pss"]):
        verdict = "" if most["pss"] <= LIMIT_MIB else f" (more than {LIMIT_MIB:.0f})"
        rows.append(f"| | {name} | {most['pss']:.0f}{verdict} | {most['anonymous']:.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
