"""A video with new audio; the image is copied, so it has to be one that MP4 carries."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from deployments.audio.audio_encoding import AudioFrames
from deployments.audio.down_mixing import Target, mixed_frames
from deployments.audio.placed_audio import placed_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import Cancelled, InvalidRequest
from serve_app.core.time_line import TimeLine
from serve_app.core.tracks import chosen_audio, image_track

AUDIO_RATE = 48_000
BLOCK = 1024
PARAM = "video"
Channels = Literal[1, 2]
Samples = np.ndarray[Any, np.dtype[np.float32]]
Levels = Sequence[tuple[float, float]]
"""Seconds of the video, in their order, and how loud the audio is there; in between by a line."""


class Remux:
    """One replacement: `audio files` are start seconds and files, `levels` those of each; `target`
    becomes an MP4 as long as the source, or as `lasts_s` where that is longer. All times are of
    the file's clock.
    """

    def __init__(
        self,
        source: Path,
        recordings: list[tuple[float, Path]],
        target: Path,
        *,
        levels: Sequence[Levels] = (),
        lasts_s: float = 0.0,
    ) -> None:
        self._source = source
        self._recordings = recordings
        self._levels = levels
        self._target = target
        self._lasts_s = lasts_s

    def run(self, stop: Callable[[], bool]) -> None:
        """Blocks. InvalidRequest when the source is no video that can be decoded, or an audio file
        is none; `param` says which.
        """
        try:
            with opened_container(self._source) as source:
                if image_track(source) is None:
                    raise InvalidRequest("there is no video in this file", param=PARAM)
                with av.open(
                    str(self._target), "w", format="mp4", options={"movflags": "+faststart"}
                ) as output:
                    self._write(source, output, stop)
        except av.FFmpegError as error:
            raise InvalidRequest("the video cannot be decoded", param=PARAM) from error

    def _write(self, source: Any, output: Any, stop: Callable[[], bool]) -> None:
        """Image and audio interleaved by time, so that neither is held in memory."""
        video = image_track(source)
        time_line = TimeLine(source)
        image = output.add_stream_from_template(video)
        mixed = AudioMix(self._recordings, levels=self._levels)
        audio = output.add_stream("aac", rate=AUDIO_RATE)
        audio.layout = "stereo" if mixed.channels == 2 else "mono"
        frames = AudioFrames(AUDIO_RATE, channels=mixed.channels)
        end_s = 0.0
        for packet, packet_end_s in _copied(time_line, video, image):
            if stop():
                raise Cancelled("the work was cancelled")
            output.mux(packet)
            end_s = max(end_s, packet_end_s)
            for block in mixed.until(end_s):
                output.mux(audio.encode(frames.frame(block)))
        if end_s == 0.0:
            raise InvalidRequest("the video has no frames", param=PARAM)
        for block in mixed.until(max(end_s, time_line.end_s, self._lasts_s)):
            output.mux(audio.encode(frames.frame(block)))
        output.mux(audio.encode(None))


class AudioMix:
    """The placed audio files added up, read block by block from the start, each as loud as its
    `levels` say. It is stereo where one of them is, unless `channels` says otherwise.
    """

    def __init__(
        self,
        recordings: list[tuple[float, Path]],
        *,
        channels: Channels | None = None,
        levels: Sequence[Levels] = (),
    ) -> None:
        placed = enumerate(recordings)
        tracks = [
            (round(start * AUDIO_RATE), path, f"recordings[{i}]") for i, (start, path) in placed
        ]
        self._levels = {f"recordings[{i}]": of_one for i, of_one in enumerate(levels) if of_one}
        self.channels: Channels = channels or _most_channels(tracks)
        self._waiting = sorted(tracks)
        self._playing: list[Track] = []
        self._position = 0

    def until(self, end_s: float) -> Iterator[bytes]:
        """The blocks up to a second, interleaved; the last one may be short."""
        end = round(end_s * AUDIO_RATE)
        while self._position < end:
            count = min(BLOCK, end - self._position)
            yield self._next(count)

    def _next(self, count: int) -> bytes:
        block = np.zeros(count * self.channels, dtype=np.float32)
        end = self._position + count
        while self._waiting and self._waiting[0][0] < end:
            start, path, param = self._waiting.pop(0)
            delay = max(0, start - self._position)
            self._playing.append(Track(path, delay, channels=self.channels, param=param))
        for track in self._playing:
            block += track.read(count) * self._gain(track.param, count)
        self._playing = [track for track in self._playing if not track.has_ended]
        self._position = end
        # Overlapping speech is limited; unlimited it would wrap around when made integers.
        loud = np.abs(block) > 1.0
        block[loud] = np.sign(block[loud])
        return bytes((block * 32767.0).astype("<i2").tobytes())

    def _gain(self, param: str, count: int) -> Samples | float:
        """Of the next samples of an audio file, interleaved."""
        levels = self._levels.get(param)
        if levels is None:
            return 1.0
        seconds, gains = zip(*levels, strict=True)
        moments = (self._position + np.arange(count)) / AUDIO_RATE
        gain: Samples = np.interp(moments, seconds, gains).astype(np.float32)
        return gain.repeat(self.channels)


class Track:
    """One audio file, decoded as it is needed, after `delay` samples of silence."""

    def __init__(self, path: Path, delay: int, *, channels: Channels, param: str) -> None:
        self._blocks = _audio(path, channels, param)
        self._channels = channels
        self.param = param
        self._held = np.zeros(delay * channels, dtype=np.float32)
        self.has_ended = False

    def read(self, count: int) -> Samples:
        """The next samples, interleaved; silence after the end."""
        size = count * self._channels
        while len(self._held) < size and not self.has_ended:
            block = next(self._blocks, None)
            if block is None:
                self.has_ended = True
                silence = np.zeros(size - len(self._held), dtype=np.float32)
                self._held = np.concatenate([self._held, silence])
            else:
                self._held = np.concatenate([self._held, block])
        part, self._held = self._held[:size], self._held[size:]
        return part


def _most_channels(tracks: list[tuple[int, Path, str]]) -> Channels:
    for _, path, param in tracks:
        with _opened(path, param) as (_, stream):
            if stream.codec_context.channels > 1:
                return 2
    return 1


def _audio(path: Path, channels: Channels, param: str) -> Iterator[Samples]:
    target: Target = "stereo" if channels == 2 else "mono"
    with _opened(path, param) as (container, stream):
        frames = placed_frames(container, stream)
        yield from map(_flat, mixed_frames(frames, target, format="flt", rate=AUDIO_RATE))


@contextmanager
def _opened(path: Path, param: str) -> Generator[tuple[Any, Any]]:
    """A file and its audio; what cannot be decoded of it becomes InvalidRequest."""
    try:
        with opened_container(path) as container:
            stream = chosen_audio(container)
            if stream is None:
                raise InvalidRequest("there is no audio in this file", param=param)
            yield container, stream
    except av.FFmpegError as error:
        raise InvalidRequest("no audio can be decoded", param=param) from error


def _flat(frame: Any) -> Samples:
    samples: Samples = frame.to_ndarray().reshape(-1)
    return samples


def _copied(time_line: TimeLine, video: Any, image: Any) -> Iterator[tuple[Any, float]]:
    """The image's packets and the second at which each one's frame ends. What an edit list cuts
    off at the beginning keeps its times before 0, so that it is not shown either.
    """
    rate = float(video.average_rate or 25)
    last: int | None = None
    for packet in _timed(time_line.packets(video), round(1 / (rate * video.time_base))):
        # Where recordings were joined the first frames may be due a little before the last ones.
        packet.dts = packet.dts if last is None else max(packet.dts, last + 1)
        packet.pts, last = max(packet.pts, packet.dts), packet.dts
        packet.stream = image
        lasts_s = float((packet.duration or 0) * video.time_base) or 1 / rate
        yield packet, float(packet.pts * video.time_base) + lasts_s


def _timed(packets: Iterator[Any], frame_ticks: int) -> Iterator[Any]:
    """Packets with decoding times. Matroska leaves out those of the first ones where frames are
    reordered; they are counted back from the first that is known.
    """
    held: list[Any] = []
    for packet in packets:
        if packet.pts is None:
            continue
        held.append(packet)
        if packet.dts is not None:
            yield from _counted_back(held, packet.dts, frame_ticks)
            held = []
    if held:
        yield from _counted_back(held, min(packet.pts for packet in held), frame_ticks)


def _counted_back(packets: list[Any], last_dts: int, frame_ticks: int) -> Iterator[Any]:
    for place, packet in enumerate(reversed(packets)):
        packet.dts = last_dts - place * frame_ticks
    yield from packets
