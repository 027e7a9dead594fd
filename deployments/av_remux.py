"""A video with new sound: the picture copied where MP4 can carry it, else encoded as H.264."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from deployments.audio_encoding import Frames
from serve_app.core.errors import Cancelled, InvalidRequest

SOUND_RATE = 48_000
BLOCK = 1024
COPIED_CODECS = frozenset({"h264", "hevc", "av1"})
PARAM = "video"


class Remux:
    """One replacement: `sounds` are start seconds and files; `target` becomes an MP4."""

    def __init__(self, source: Path, sounds: list[tuple[float, Path]], target: Path) -> None:
        self._source = source
        self._sounds = sorted(sounds, key=lambda sound: sound[0])
        self._target = target

    def run(self, stop: Callable[[], bool]) -> None:
        """Blocks. InvalidRequest when the source is no video that can be decoded."""
        try:
            with av.open(str(self._source), metadata_errors="ignore") as source:
                if not source.streams.video:
                    raise InvalidRequest(f"{PARAM}: there is no picture in this file", param=PARAM)
                with av.open(
                    str(self._target), "w", format="mp4", options={"movflags": "+faststart"}
                ) as output:
                    self._write(source, output, stop)
        except av.FFmpegError as error:
            raise InvalidRequest(f"{PARAM}: the video cannot be decoded", param=PARAM) from error

    def _write(self, source: Any, output: Any, stop: Callable[[], bool]) -> None:
        """Picture and sound interleaved by time, so that neither is held in memory."""
        video = source.streams.video[0]
        is_copied = video.codec_context.name in COPIED_CODECS
        picture = output.add_stream_from_template(video) if is_copied else _encoder(output, video)
        sound = output.add_stream("aac", rate=SOUND_RATE)
        sound.layout = "mono"
        frames = Frames(SOUND_RATE)
        mixed = Mix(self._sounds)
        end_s = 0.0
        for packet, packet_end_s in _packets(source, video, picture, is_copied=is_copied):
            if stop():
                raise Cancelled("the work was cancelled")
            output.mux(packet)
            end_s = max(end_s, packet_end_s)
            for block in mixed.until(end_s):
                output.mux(sound.encode(frames.frame(block)))
        if end_s == 0.0:
            raise InvalidRequest(f"{PARAM}: the video has no frames", param=PARAM)
        output.mux(sound.encode(None))


class Mix:
    """The placed sounds added up, read block by block from the start."""

    def __init__(self, sounds: list[tuple[float, Path]]) -> None:
        self._waiting = [(round(start * SOUND_RATE), path) for start, path in sounds]
        self._playing: list[Track] = []
        self._position = 0

    def until(self, end_s: float) -> Iterator[bytes]:
        """The blocks up to a second; the last one may be short."""
        end = round(end_s * SOUND_RATE)
        while self._position < end:
            count = min(BLOCK, end - self._position)
            yield self._next(count)

    def _next(self, count: int) -> bytes:
        block = np.zeros(count, dtype=np.float32)
        end = self._position + count
        while self._waiting and self._waiting[0][0] < end:
            start, path = self._waiting.pop(0)
            self._playing.append(Track(path, max(0, start - self._position)))
        for track in self._playing:
            block += track.read(count)
        self._playing = [track for track in self._playing if not track.has_ended]
        self._position = end
        # Overlapping speech is limited; unlimited it would wrap around when made integers.
        loud = np.abs(block) > 1.0
        block[loud] = np.sign(block[loud])
        return bytes((block * 32767.0).astype("<i2").tobytes())


class Track:
    """One sound, decoded as it is needed, after `delay` samples of silence."""

    def __init__(self, path: Path, delay: int) -> None:
        self._blocks = _sound(path)
        self._held = np.zeros(delay, dtype=np.float32)
        self.has_ended = False

    def read(self, count: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """The next samples; silence after the end."""
        while len(self._held) < count and not self.has_ended:
            block = next(self._blocks, None)
            if block is None:
                self.has_ended = True
                self._held = np.concatenate(
                    [self._held, np.zeros(count - len(self._held), dtype=np.float32)]
                )
            else:
                self._held = np.concatenate([self._held, block])
        part, self._held = self._held[:count], self._held[count:]
        return part


def _sound(path: Path) -> Iterator["np.ndarray[Any, np.dtype[np.float32]]"]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE)
    with av.open(str(path), metadata_errors="ignore") as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            for block in resampler.resample(frame):
                yield _flat(block)
        for block in resampler.resample(None):
            yield _flat(block)


def _flat(frame: Any) -> "np.ndarray[Any, np.dtype[np.float32]]":
    samples: np.ndarray[Any, np.dtype[np.float32]] = frame.to_ndarray().reshape(-1)
    return samples


def _packets(
    source: Any, video: Any, picture: Any, *, is_copied: bool
) -> Iterator[tuple[Any, float]]:
    """The picture's packets and the second at which each one's frame ends."""
    rate = float(video.average_rate or 25)
    begin: float | None = None
    for packet in source.demux(video):
        if is_copied:
            if packet.dts is None or packet.pts is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            lasts_s = float((packet.duration or 0) * packet.time_base) or 1 / rate
            begin = at_s if begin is None else begin
            packet.stream = picture
            yield packet, at_s - begin + lasts_s
            continue
        for frame in packet.decode():
            at_s = frame.time or 0.0
            begin = at_s if begin is None else begin
            end_s = at_s - begin + 1 / rate
            even = frame.reformat(width=picture.width, height=picture.height, format="yuv420p")
            for encoded in picture.encode(even):
                yield encoded, end_s
    if not is_copied:
        for encoded in picture.encode(None):
            yield encoded, 0.0


def _encoder(output: Any, video: Any) -> Any:
    """H.264 of the same size, which must be even, and rate."""
    picture = output.add_stream("libx264", rate=video.average_rate or 25)
    picture.width = video.codec_context.width // 2 * 2
    picture.height = video.codec_context.height // 2 * 2
    picture.pix_fmt = "yuv420p"
    picture.options = {"preset": "veryfast", "crf": "20"}
    return picture
