"""RGB frames to MP4 with H.264 in yuv420p, playable from its first bytes, in bounded memory.

Sides are made even, as yuv420p wants them, by repeating the last row or column. Everything here
blocks.
"""

import math
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from deployments.video.audio_track import EncodedAudio
from deployments.video.video_decoding import BT709, UNSAID, Colours
from serve_app.core.errors import InternalError
from serve_app.core.image.images import Size
from serve_app.core.tracks import AudioTrack
from serve_app.core.video.generation import VideoQuality

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

TICKS_PER_S = 90_000
STUDIO_RANGE = 1
BT601, SMPTE170M = 5, 6
"""The same matrix by two numbers."""
PRESETS: dict[VideoQuality, dict[str, str]] = {
    "draft": {"preset": "ultrafast", "crf": "26"},
    "fast": {"preset": "veryfast", "crf": "20"},
    "best": {"preset": "medium", "crf": "16"},
}

LARGE_PX = 4096 * 2304
FRUGAL = {"x264-params": "rc-lookahead=2:sync-lookahead=0:sliced-threads=1:ref=1"}
"""For images so large that the encoder would take more than 1.5 GiB for those it holds."""


def even_size(size: Size) -> Size:
    """The next even sides."""
    return Size(width=size.width + size.width % 2, height=size.height + size.height % 2)


def exact_rate(fps: float) -> Fraction:
    """Frames per second as the fraction that was meant: 29.97 is 30000/1001."""
    whole = round(fps)
    if whole and abs(fps - whole) < 0.0005:
        return Fraction(whole)
    ntsc = Fraction(whole * 1000, 1001)
    return ntsc if abs(float(ntsc) - fps) < 0.0035 else Fraction(fps).limit_denominator(1000)


def add_image(output: Any, size: Size, rate: Fraction, quality: VideoQuality = "fast") -> Any:
    """An H.264 stream in an open container; `size` has even sides.

    Frames are never reordered. With B-frames libx264 wrote one video in a hundred differently from
    the same frames, in a process with torch; and frames with times of their own would be decoded at
    times that fit no duration.
    """
    options = PRESETS[quality] | {"bf": "0"}
    if size.width * size.height > LARGE_PX:
        options |= FRUGAL
    image = output.add_stream("libx264", rate=rate, options=options)
    image.width, image.height, image.pix_fmt = size.width, size.height, "yuv420p"
    return image


def studio_frame(
    pixels: Pixels, colours: Colours = BT709, *, reformatter: VideoReformatter | None = None
) -> Any:
    """RGB as a frame in yuv420p; sides are made even as in VideoWriter. One `reformatter` for all
    frames of a video spares its preparation.
    """
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    # Decoders take the matrix of old television where none is said.
    matrix = colours.matrix if colours.matrix not in (UNSAID, SMPTE170M) else BT601
    reformatter = reformatter or VideoReformatter()
    return reformatter.reformat(frame, format="yuv420p", dst_colorspace=matrix)


class VideoWriter:
    """One video. Frames come in one by one, in RGB and in the size given; an audio track is copied
    where MP4 can carry it, else encoded, and ends with the image. `audio_track` is the one of
    several.

    As a context manager it closes the file; the video is whole only after `finish`. With `is_timed`
    every frame has a time of its own, else they are `fps` to a second. With `keeps_audio` all of
    the audio is there, however long it is. InvalidRequest with `audio_param` when the audio cannot
    be decoded.
    """

    def __init__(
        self,
        target: Path,
        size: Size,
        *,
        fps: float,
        quality: VideoQuality = "fast",
        audio: Path | None = None,
        audio_param: str = "video",
        audio_track: AudioTrack | None = None,
        is_timed: bool = False,
        colours: Colours = BT709,
        keeps_audio: bool = False,
    ) -> None:
        self._given = size
        self.size = even_size(size)
        self._rate = exact_rate(fps)
        self._base = Fraction(1, TICKS_PER_S) if is_timed else 1 / self._rate
        self._is_timed = is_timed
        self._colours = colours
        self._keeps_audio = keeps_audio
        self._reformatter = VideoReformatter()
        self.num_frames = 0
        self.duration_s = 0.0
        self._last_ticks = -1
        self._held: Any = None
        options = {"movflags": "+faststart"}
        with ExitStack() as stack:
            opened = av.open(str(target), "w", format="mp4", options=options)
            self._output: Any = stack.enter_context(opened)
            self._image = self._video_stream(quality)
            track = audio and EncodedAudio(
                audio, self._output, param=audio_param, track=audio_track
            )
            self._audio = track and stack.enter_context(track)
            # Closed here only when something above has failed.
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def fps(self) -> float:
        """The rate of a video whose frames have no times of their own."""
        return float(self._rate)

    def write(self, pixels: Pixels, *, at_s: float | None = None) -> None:
        """The next frame; `at_s` is when it is shown, later than the one before."""
        height, width = pixels.shape[:2]
        if (width, height) != (self._given.width, self._given.height):
            raise InternalError(f"a frame of {width}x{height} does not fit into this video")
        frame = studio_frame(pixels, self._colours, reformatter=self._reformatter)
        self.write_frame(frame, at_s=at_s)

    def write_frame(self, frame: Any, *, at_s: float | None = None) -> None:
        """As `write`, for a frame in yuv420p of the video's own size and colours, which is
        taken.
        """
        if (frame.width, frame.height) != (self.size.width, self.size.height):
            raise InternalError(f"a frame of {frame.width}x{frame.height} does not fit")
        frame.pict_type = 0
        frame.colorspace, frame.color_range = self._colours.matrix, STUDIO_RANGE
        frame.color_primaries, frame.color_trc = self._colours[1:]
        frame.pts = self._ticks(at_s)
        frame.time_base = self._base
        self._mux(self._image.encode(frame))
        self.num_frames += 1
        self.duration_s = float(frame.pts * self._base + 1 / self._rate)
        if self._audio:
            self._audio.write_until(float(frame.pts * self._base))

    def finish(self) -> None:
        """Write what is held back and put the index before the data."""
        if self.num_frames == 0:
            raise InternalError("a video without frames was to be written")
        self._mux([*self._image.encode(None), None])
        if self._audio:
            self._audio.write_until(math.inf if self._keeps_audio else self.duration_s)
            self._audio.finish()
        self._stack.close()

    def _mux(self, packets: list[Any]) -> None:
        """Packets with durations, which are known when the next one comes; None is the end."""
        for packet in packets:
            if self._held is not None:
                lasts = (
                    1 / self._rate if packet is None else (packet.dts - self._held.dts) * self._base
                )
                self._held.duration = round(lasts / self._base)
                self._output.mux(self._held)
            self._held = packet

    def _video_stream(self, quality: VideoQuality) -> Any:
        image = add_image(self._output, self.size, self._rate, quality)
        context = image.codec_context
        context.time_base = self._base
        context.colorspace = self._colours.matrix
        context.color_primaries, context.color_trc = self._colours[1:]
        context.color_range = STUDIO_RANGE
        return image

    def _ticks(self, at_s: float | None) -> int:
        if not self._is_timed or at_s is None:
            ticks = self._last_ticks + 1
        else:
            ticks = max(self._last_ticks + 1, round(at_s * TICKS_PER_S))
        self._last_ticks = ticks
        return ticks
