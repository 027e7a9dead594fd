"""What work on videos costs next to the best tool that does the same work alone: scaling and
burning subtitles next to the ffmpeg of imageio-ffmpeg, interpolation next to bare OpenCV that feeds
this ffmpeg. From file to file, in turn, with the same encoder settings.

    python benchmarks/video.py [--rounds 5] [--arm scaling]
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import imageio_ffmpeg
import numpy as np
from av.video.reformatter import Interpolation
from results import machine, save_as

from deployments.video.flow_planes import FlowFinder
from deployments.video.frame_interpolation import interpolated, video_source
from deployments.video.subtitle_burning import burned
from deployments.video.video_encoding import PRESETS
from deployments.video.video_scaling import ResampledFrames, scaled
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.image.upscaling import UpscaleVideo
from serve_app.core.media import Blob
from serve_app.core.video.interpolation import InterpolateVideo

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
ENCODING = [
    "-c:v",
    "libx264",
    *(p for pair in PRESETS["fast"].items() for p in (f"-{pair[0]}", pair[1])),
    *("-bf", "0"),
]
ENDING = ["-pix_fmt", "yuv420p", "-c:a", "copy", "-movflags", "+faststart"]
NO_BLOB = Blob(sha256="0" * 64, mime="video/mp4", size=0)
SECONDS, FPS, SIZE = 6, 24, (640, 360)
HALF = (SIZE[0] // 2, SIZE[1] // 2)
TARGET_RATIO = 1.15


class Round(NamedTuple):
    """How long it took, and how much was computed on all cores."""

    wall_s: float
    cpu_s: float


Figures = dict[str, dict[str, list[Round]]]
Work = Callable[[Path, Path], None]
"""From a video's file to another's."""


def main() -> None:
    """Make a video, measure in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], action="append")
    arguments = parser.parse_args()
    arms = [arm for arm in ARMS if not arguments.arm or arm.name in arguments.arm]
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-video-") as name:
        source = video(Path(name) / "source.mp4")
        for arm in arms:
            figures[arm.name] = measured(arm, source, Path(name), arguments.rounds)
    about = machine() | {"video": f"{SECONDS} s of {SIZE[0]}x{SIZE[1]} at {FPS} fps"}
    print(as_table(figures))
    print(save_as("video", about, {"seconds": figures}))


@dataclass(frozen=True)
class Arm:
    """One comparison."""

    name: str
    alone: Work
    here: Work


def measured(arm: Arm, source: Path, folder: Path, rounds: int) -> dict[str, list[Round]]:
    """Every round by side, which take turns; one round before is not counted."""
    sides = {"alone": arm.alone, "here": arm.here}
    found: dict[str, list[Round]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, work in sides.items():
            target = folder / f"{arm.name}-{side}.mp4"
            began, worked = time.perf_counter(), cpu_s()
            work(source, target)
            if number:
                found[side].append(Round(time.perf_counter() - began, cpu_s() - worked))
    return found


def cpu_s() -> float:
    """What this process and its children, once they have ended, have computed."""
    return sum(os.times()[:4])


def as_table(figures: Figures) -> str:
    """Markdown: medians, and the medians of the rounds' ratios."""
    rows = ["| work | alone s | here s | ratio | ratio of CPU s |", "|---|---|---|---|---|"]
    for name, sides in figures.items():
        pairs = list(zip(sides["here"], sides["alone"], strict=True))
        ratio = median(here.wall_s / alone.wall_s for here, alone in pairs)
        verdict = "" if ratio <= TARGET_RATIO else f" (more than {TARGET_RATIO})"
        worked = median(here.cpu_s / alone.cpu_s for here, alone in pairs)
        alone_s, here_s = (median(r.wall_s for r in sides[side]) for side in ("alone", "here"))
        rows.append(
            f"| {name} | {alone_s:.2f} | {here_s:.2f} | {ratio:.2f}{verdict} | {worked:.2f} |"
        )
    return "\n".join(rows)


def video(path: Path) -> Path:
    """Shapes and a texture in motion, and a tone."""
    images = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration={SECONDS}"
    audio = f"sine=440:duration={SECONDS}"
    inputs = ["-f", "lavfi", "-i", images, "-f", "lavfi", "-i", audio]
    ffmpeg(*inputs, *ENCODING, "-pix_fmt", "yuv420p", "-c:a", "aac", path)
    return path


def ffmpeg(*arguments: object) -> None:
    """Run it; raises when it fails."""
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True)


def scale_alone(source: Path, target: Path) -> None:
    """Lanczos by ffmpeg."""
    scale = ["-vf", "scale=iw*2:ih*2:flags=lanczos"]
    ffmpeg("-i", source, *scale, *ENCODING, *ENDING, target)


def scale_here(source: Path, target: Path) -> None:
    """Lanczos as the server does it."""
    request = UpscaleVideo(model="lanczos", video=NO_BLOB, allows_resize=True)
    for _ in scaled(source, target, request, ResampledFrames(Interpolation.LANCZOS), never):
        pass


def burn_alone(source: Path, target: Path) -> None:
    """Libass in ffmpeg, from an SRT file."""
    subtitles = target.with_suffix(".srt")
    subtitles.write_text(
        "\n\n".join(
            f"{number + 1}\n00:00:0{number},000 --> 00:00:0{number},900\nWords of second {number}"
            for number in range(SECONDS)
        )
    )
    ffmpeg("-i", source, "-vf", f"subtitles={subtitles}", *ENCODING, *ENDING, target)


def burn_here(source: Path, target: Path) -> None:
    """As the server does it."""
    cues = [
        TranscriptSegment(start=n, end=n + 0.9, text=f"Words of second {n}", id=n)
        for n in range(SECONDS)
    ]
    for _ in burned(source, cues, target, style="default", stop=never):
        pass


def interpolate_alone(source: Path, target: Path) -> None:
    """OpenCV: DIS flow both ways, sought as the server seeks it, both frames carried half-way and
    mixed, without a look at what is hidden; ffmpeg encodes what comes through a pipe.
    """
    width, height = SIZE
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", str(2 * FPS)]
    command = [FFMPEG, "-v", "error", "-y", *raw, "-i", "pipe:0", "-i", str(source)]
    command += ["-map", "0:v", "-map", "1:a", *ENCODING, *ENDING, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for frame in doubled(source):
            encoder.stdin.write(frame.data)
        encoder.stdin.close()
    assert encoder.returncode == 0


def doubled(source: Path) -> Iterator[Any]:
    """Every frame, and one between it and the next; the last one twice."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    finder.setFinestScale(0)
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    grid = np.stack([columns, rows], axis=2).astype(np.float32)
    nothing: Any = None
    capture = cv2.VideoCapture(str(source))
    held: Any = None
    held_grey: Any = None
    while (read := capture.read())[0]:
        frame = read[1]
        grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), HALF, None, 0, 0, cv2.INTER_AREA)
        if held is not None:
            yield held
            # Half of the way, twice as long as in the halved image.
            forth = cv2.resize(finder.calc(held_grey, grey, nothing), SIZE)
            back = cv2.resize(finder.calc(grey, held_grey, nothing), SIZE)
            first = cv2.remap(held, grid - forth, nothing, cv2.INTER_LINEAR)
            second = cv2.remap(frame, grid - back, nothing, cv2.INTER_LINEAR)
            yield cv2.addWeighted(first, 0.5, second, 0.5, 0)
        held, held_grey = frame, grey
    yield held
    yield held


def interpolate_here(source: Path, target: Path) -> None:
    """As the server does it."""
    request = InterpolateVideo(model="optical-flow", video=NO_BLOB)
    video = video_source(source, request.max_duration_s)
    for _ in interpolated(video, target, request, FlowFinder(), never):
        pass


def never() -> bool:
    """Whether to stop."""
    return False


ARMS = (
    Arm("scaling", scale_alone, scale_here),
    Arm("subtitles", burn_alone, burn_here),
    Arm("interpolation", interpolate_alone, interpolate_here),
)

if __name__ == "__main__":
    main()
