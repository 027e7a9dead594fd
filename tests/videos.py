"""What a video really is, as a decoder finds it; and images whose motion can be followed."""

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Look:
    """`frames` are decoded and counted. `audio_s` is None for a silent video."""

    codec: str
    pixel_format: str
    size: tuple[int, int]
    fps: float
    frames: int
    duration_s: float
    is_faststart: bool
    audio_codec: str | None
    audio_s: float | None


def look(data: bytes) -> Look:
    with av.open(io.BytesIO(data)) as container:
        image: Any = container.streams.video[0]
        assert container.format.name.startswith("mov"), container.format.name
        audio: Any = container.streams.audio[0] if container.streams.audio else None
        return Look(
            codec=image.codec_context.name,
            pixel_format=image.codec_context.pix_fmt,
            size=(image.width, image.height),
            fps=float(image.average_rate),
            frames=sum(1 for _ in container.decode(image)),
            duration_s=float(image.duration * image.time_base),
            is_faststart=data.index(b"moov") < data.index(b"mdat"),
            audio_codec=audio and audio.codec_context.name,
            audio_s=audio and float(audio.duration * audio.time_base),
        )


def check_playable(data: bytes, *, size: tuple[int, int], fps: float, frames: int) -> Look:
    """Every video of the server is H.264 in yuv420p, its index first."""
    found = look(data)
    assert (found.codec, found.pixel_format) == ("h264", "yuv420p")
    assert found.is_faststart
    assert found.size == size
    assert abs(found.fps - fps) < 0.01
    assert found.frames == frames
    assert abs(found.duration_s - frames / fps) < 0.5 / fps
    return found


def audio_packets(data: bytes) -> list[tuple[int, bytes]]:
    """What the first audio track is made of, as stored, and when each piece is heard, counted from
    the first.
    """
    with av.open(io.BytesIO(data)) as container:
        audio = container.streams.audio[0]
        packets = [packet for packet in container.demux(audio) if packet.pts is not None]
        begin = packets[0].pts or 0
        return [((packet.pts or 0) - begin, bytes(packet)) for packet in packets]


def ffmpeg(*arguments: object) -> None:
    """The binary that imageio-ffmpeg brings, which shares no code with the server's own reading."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True)


def decoded(data: bytes) -> list[Pixels]:
    """All frames in RGB."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def landscape(width: int, height: int, *, seed: int = 0) -> Pixels:
    """Blurred noise: something to follow everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.asarray(cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX), dtype=np.uint8)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Motion:
    """How what is seen moves from one frame to another, in pixels to the right and down; `growth`
    is positive when it grows, `turn` when it turns clockwise.
    """

    right: float
    down: float
    growth: float
    turn: float


def motion(first: Pixels, second: Pixels) -> Motion:
    """By optical flow."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(*grey, None)  # type: ignore[call-overload]
    height, width = grey[0].shape
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = columns - width / 2, rows - height / 2
    right, down = flow[..., 0], flow[..., 1]
    reach = (x**2 + y**2).mean()
    return Motion(
        right=float(right.mean()),
        down=float(down.mean()),
        growth=float((x * right + y * down).mean() / reach),
        turn=float((x * down - y * right).mean() / reach),
    )


def write_video(path: Path, frames: list[Pixels], *, fps: int = 10, codec: str = "libx264") -> Path:
    """Frames of even sides, by PyAV alone."""
    with av.open(str(path), "w") as video:
        image: Any = video.add_stream(codec, rate=fps)
        image.height, image.width = frames[0].shape[:2]
        image.pix_fmt = "yuv420p"
        for frame in frames:
            video.mux(image.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(image.encode(None))
    return path
