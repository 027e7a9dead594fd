"""Scenes cut together into one video, its image first, then its audio. Everything here blocks."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deployments.audio.audio_encoding import wav_header
from deployments.video.av_remux import AUDIO_RATE, AudioMix, Remux
from deployments.video.camera import covered
from deployments.video.video_decoding import at_rate, video_frames
from deployments.video.video_encoding import VideoWriter, even_size
from deployments.video.video_files import image
from serve_app.core.errors import Cancelled
from serve_app.core.image.images import Size

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Stop = Callable[[], bool]

SHORTEST_S = 2.0
PAUSE_S = 0.4
"""Between the end of a line and the cut."""


@dataclass(frozen=True)
class SceneFiles:
    """A VideoScene with its media as local files."""

    image: Path
    clip: Path | None
    narration: Path | None
    narration_s: float


@dataclass(frozen=True)
class AssemblyTimes:
    """What was written: the second at which each scene begins, and the whole."""

    size: Size
    fps: float
    num_frames: int
    duration_s: float
    starts_s: tuple[float, ...]


def cut_image(
    scenes: list[SceneFiles], size: Size, fps: float, target: Path, stop: Stop
) -> AssemblyTimes:
    """The silent video. InvalidRequest for an image or clip that cannot be decoded."""
    even = even_size(size)
    starts = []
    with VideoWriter(target, even, fps=fps) as video:
        for number, scene in enumerate(scenes):
            starts.append(video.num_frames / video.fps)
            for frame in _frames(scene, number, even, video.fps):
                if stop():
                    raise Cancelled("the work was cancelled")
                video.write(frame)
        video.finish()
        return AssemblyTimes(even, video.fps, video.num_frames, video.duration_s, tuple(starts))


def add_narration(
    silent: Path, scenes: list[SceneFiles], cut: AssemblyTimes, target: Path, stop: Stop
) -> None:
    """The video with its lines, each from the start of its scene."""
    Remux(silent, _placed(scenes, cut), target).run(stop)


def write_narration(scenes: list[SceneFiles], cut: AssemblyTimes, target: Path, stop: Stop) -> None:
    """What is heard in the video, as WAV of its length."""
    size = 0
    with target.open("wb") as file:
        file.write(wav_header(AUDIO_RATE, 0))
        for block in AudioMix(_placed(scenes, cut), channels=1).until(cut.duration_s):
            if stop():
                raise Cancelled("the work was cancelled")
            size += file.write(block)
        file.seek(0)
        file.write(wav_header(AUDIO_RATE, size))


def _placed(scenes: list[SceneFiles], cut: AssemblyTimes) -> list[tuple[float, Path]]:
    return [
        (start_s, scene.narration)
        for start_s, scene in zip(cut.starts_s, scenes, strict=True)
        if scene.narration is not None
    ]


def _frames(scene: SceneFiles, number: int, size: Size, fps: float) -> Iterator[Pixels]:
    """The clip and then its last frame, or the still, as long as the scene lasts."""
    spoken_s = scene.narration_s + PAUSE_S if scene.narration else 0.0
    count = round(max(SHORTEST_S, spoken_s) * fps)
    shown, last = 0, None
    if scene.clip is not None:
        param = f"scenes[{number}].clip"
        with closing(video_frames(scene.clip, param=param)) as frames:
            for pixels in at_rate(frames, fps):
                last = covered(pixels, size)
                yield last
                shown += 1
    if last is None:
        last = covered(image(scene.image, param=f"scenes[{number}].image"), size)
    for _ in range(count - shown):
        yield last
