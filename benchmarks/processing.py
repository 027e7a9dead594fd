"""What processing media in steps costs next to bare Pillow and the bare ffmpeg of imageio-ffmpeg
with the same filters and encoder settings. From file to file, in turn, in any order.

    python benchmarks/processing.py [--rounds 5] [--arm "three steps"]
"""

import argparse
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image
from results import machine, save_as

from deployments.media.image_processing import processed_image
from deployments.media.processed_image_files import QUALITY
from deployments.video.audio_processing import processed_audio
from deployments.video.video_encoding import PRESETS
from deployments.video.video_processing import VideoPass
from serve_app.core.audio.audio_processing import ConvertAudioStep, ProcessAudio
from serve_app.core.image.image_processing import ConvertImageStep, ProcessImage
from serve_app.core.image.processing_steps import CropStep, ScaleStep, WatermarkStep
from serve_app.core.media import Blob
from serve_app.core.video.video_processing import ConvertVideoStep, ProcessVideo, TrimStep

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
H264 = (
    "-c:v",
    "libx264",
    *(piece for pair in PRESETS["fast"].items() for piece in (f"-{pair[0]}", pair[1])),
    *("-bf", "0", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
)
VIDEO = Blob(sha256="0" * 64, mime="video/mp4", size=0)
IMAGE = Blob(sha256="0" * 64, mime="image/png", size=0)
AUDIO = Blob(sha256="0" * 64, mime="audio/wav", size=0)
SIZE, FPS, GROUP = (640, 360), 24, 48
SHORT_S, LONG_S, SPOKEN_S = 8, 600, 120
MARK_PX = 60
Work = Callable[[Path], object]
"""In a folder with the sources."""


@dataclass(frozen=True)
class Arm:
    """One comparison: the time here over the time of the other is to be at most `goal`."""

    name: str
    other: Work
    here: Work
    goal: float
    is_long: bool = False


def main() -> None:
    """Make the sources, measure in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], action="append")
    arguments = parser.parse_args()
    arms = [arm for arm in ARMS if not arguments.arm or arm.name in arguments.arm]
    with tempfile.TemporaryDirectory(prefix="bench-processing-") as name:
        make_sources(Path(name), with_long=any(arm.is_long for arm in arms))
        figures = {arm.name: measured(arm, Path(name), arguments.rounds) for arm in arms}
    print(as_table(arms, figures))
    print(save_as("processing", machine(), {"seconds": figures}))


def measured(arm: Arm, folder: Path, rounds: int) -> list[tuple[float, float]]:
    """Seconds of the other and here, by round; one round before is not counted."""
    found = []
    for number in range(rounds + 1):
        times = {}
        # Who comes second waits until what the first has written is on the disk.
        for work in random.sample((arm.other, arm.here), 2):
            began = time.perf_counter()
            work(folder)
            times[work] = time.perf_counter() - began
        if number:
            found.append((times[arm.other], times[arm.here]))
    return found


def as_table(arms: Sequence[Arm], figures: dict[str, list[tuple[float, float]]]) -> str:
    """Markdown: medians, and the medians of the rounds' ratios."""
    rows = ["| work | other s | here s | ratio | goal |", "|---|---|---|---|---|"]
    for arm in arms:
        other, here = zip(*figures[arm.name], strict=True)
        ratio = median(h / o for o, h in figures[arm.name])
        verdict = "" if ratio <= arm.goal else " (missed)"
        rows.append(
            f"| {arm.name} | {median(other):.2f} | {median(here):.2f} | {ratio:.2f}{verdict} "
            f"| {arm.goal:g} |"
        )
    return "\n".join(rows)


def make_sources(folder: Path, *, with_long: bool) -> None:
    """A photograph of noise, a mark, a talk of noise, and a short and a long video."""
    noise = np.random.default_rng(7).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(noise).resize((3200, 2400), Image.Resampling.BICUBIC).save(
        folder / "photo.jpg", quality=92
    )
    Image.new("RGBA", (MARK_PX, MARK_PX), (0, 0, 0, 128)).save(folder / "mark.png")
    ffmpeg("-f", "lavfi", "-i", f"anoisesrc=a=0.2:d={SPOKEN_S}", "-ac", "2", folder / "talk.wav")
    videos = {"short.mp4": SHORT_S} | ({"long.mp4": LONG_S} if with_long else {})
    for name, lasts_s in videos.items():
        images = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration={lasts_s}"
        inputs = ["-f", "lavfi", "-i", images, "-f", "lavfi", "-i", f"sine=d={lasts_s}"]
        ffmpeg(*inputs, *H264, "-g", GROUP, "-preset", "ultrafast", "-c:a", "aac", folder / name)


def ffmpeg(*arguments: object) -> None:
    """Run it; raises when it fails."""
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True)


def ended(events: Iterator[Any]) -> None:
    """Do all of it."""
    for _ in events:
        pass


def goes_on() -> bool:
    """Nobody stops it."""
    return False


def image_here(folder: Path, *steps: Any) -> None:
    """By the engine."""
    request = ProcessImage(image=IMAGE, steps=steps)
    ended(processed_image([folder / "photo.jpg"], folder / "here", request, goes_on))


def video_here(folder: Path, source: str, *steps: Any) -> None:
    """By the engine."""
    request = ProcessVideo(video=VIDEO, steps=steps)
    marks = [folder / "mark.png"] * sum(isinstance(step, WatermarkStep) for step in steps)
    target = folder / "here.mp4"
    work = VideoPass([folder / source, *marks], target, request, goes_on, encoder="libx264")
    ended(work.run())


def audio_here(folder: Path) -> None:
    """By the engine."""
    request = ProcessAudio(audio=AUDIO, steps=(ConvertAudioStep(format="mp3"),))
    ended(processed_audio([folder / "talk.wav"], folder / "here.mp3", request, goes_on))


def shrunk_by_pillow(folder: Path) -> None:
    """Lanczos, and PNG with Pillow's own settings."""
    with Image.open(folder / "photo.jpg") as image:
        image.resize((1600, 1200), Image.Resampling.LANCZOS).save(folder / "other", "PNG")


def converted_by_pillow(folder: Path) -> None:
    """To WebP."""
    with Image.open(folder / "photo.jpg") as image:
        image.save(folder / "other", "WEBP", quality=QUALITY)


def scaled_by_ffmpeg(folder: Path) -> None:
    """To twice the size."""
    source, target = folder / "short.mp4", folder / "other.mp4"
    ffmpeg("-i", source, "-vf", "scale=1280:720", *H264, "-c:a", "copy", target)


def one_command(folder: Path) -> None:
    """The three steps as one graph."""
    overlay = f"overlay={960 - MARK_PX - 10}:{540 - MARK_PX - 10}"
    graph = f"[0:v]crop=480:270:80:40,scale=960:540[a];[a][1:v]{overlay}"
    inputs = ("-i", folder / "short.mp4", "-i", folder / "mark.png")
    ffmpeg(*inputs, "-filter_complex", graph, *H264, "-c:a", "copy", folder / "other.mp4")


def three_commands(folder: Path) -> None:
    """The three steps one after the other."""
    source, *between = (folder / name for name in ("short.mp4", "one.mp4", "two.mp4"))
    ffmpeg("-i", source, "-vf", "crop=480:270:80:40", *H264, "-c:a", "copy", between[0])
    ffmpeg("-i", between[0], "-vf", "scale=960:540", *H264, "-c:a", "copy", between[1])
    overlay = f"[0:v][1:v]overlay={960 - MARK_PX - 10}:{540 - MARK_PX - 10}"
    inputs = ("-i", between[1], "-i", folder / "mark.png")
    ffmpeg(*inputs, "-filter_complex", overlay, *H264, "-c:a", "copy", folder / "other.mp4")


def three_steps(folder: Path) -> None:
    """In one request."""
    crop = CropStep(x=80, y=40, width=480, height=270)
    mark = WatermarkStep(image=IMAGE, position="bottom_right")
    video_here(folder, "short.mp4", crop, ScaleStep(width=960), mark)


def encoded_cut(start_s: float, end_s: float) -> Work:
    """By ffmpeg, all of it encoded."""

    def cut(folder: Path) -> None:
        seek = ("-ss", start_s, "-to", end_s)
        ffmpeg(*seek, "-i", folder / "long.mp4", *H264, "-c:a", "copy", folder / "other.mp4")

    return cut


def cut_here(start_s: float, end_s: float) -> Work:
    """By the engine."""
    return lambda folder: video_here(folder, "long.mp4", TrimStep(start_s=start_s, end_s=end_s))


def mp3_by_ffmpeg(folder: Path) -> None:
    """With the same quality."""
    encoder = ("-c:a", "libmp3lame", "-q:a", "2")
    ffmpeg("-i", folder / "talk.wav", *encoder, folder / "other.mp3")


def remuxed_by_ffmpeg(folder: Path) -> None:
    """Packets copied."""
    ffmpeg("-i", folder / "long.mp4", "-c", "copy", folder / "other.mkv")


ARMS = (
    Arm("image: scale", shrunk_by_pillow, lambda f: image_here(f, ScaleStep(width=1600)), 1.05),
    Arm(
        "image: convert to WebP",
        converted_by_pillow,
        lambda f: image_here(f, ConvertImageStep(format="webp")),
        1.05,
    ),
    Arm("audio: convert to MP3", mp3_by_ffmpeg, audio_here, 1.05),
    Arm(
        "video: scale",
        scaled_by_ffmpeg,
        lambda f: video_here(f, "short.mp4", ScaleStep(width=1280)),
        1.05,
    ),
    Arm("three steps over one command", one_command, three_steps, 1.15),
    Arm("three steps over three commands", three_commands, three_steps, 0.5),
    Arm(
        "container of ten minutes",
        remuxed_by_ffmpeg,
        lambda f: video_here(f, "long.mp4", ConvertVideoStep(format="mkv")),
        1.05,
        is_long=True,
    ),
    Arm("cut between groups", encoded_cut(20, 580), cut_here(20, 580), 0.1, is_long=True),
    Arm("cut within groups", encoded_cut(21, 579), cut_here(21, 579), 0.1, is_long=True),
)


if __name__ == "__main__":
    main()
