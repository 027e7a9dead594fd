"""A video's audio beside its new image: copied where MP4 can carry it, else encoded as AAC.

Everything here blocks.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av

from deployments.audio.audio_decoding import decoded_frames
from deployments.audio.down_mixing import Target, mixed_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.time_line import TimeLine, is_joined
from serve_app.core.tracks import AudioTrack, chosen_audio

COPIED_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
AAC_BITS_PER_S = 192_000
LONGEST_PRIMING_S = 0.1
"""What decoders of audio need to have heard before; AAC takes 21 to 64 ms."""


class EncodedAudio:
    """The audio track of a file, written into `output` as far as the image has come, at its times
    of the file's clock. A file without audio leaves the video silent.
    """

    def __init__(
        self, source: Path, output: Any, *, param: str, track: AudioTrack | None = None
    ) -> None:
        self._param = param
        self._wanted = track
        self._output = output
        self._stack = ExitStack()
        try:
            opened = opened_container(source)
        except av.FFmpegError as error:
            raise InvalidRequest("no audio can be decoded", param=param) from error
        self._source: Any = self._stack.enter_context(opened)
        # Recordings that were joined may go on at another rate, which MP4 has no word for.
        self._is_one = not is_joined(source)
        self._packets = self._written()
        self._held: tuple[Any, float] | None = None
        self._track: Any = self._added()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packets.close()
        self._stack.close()

    def write_until(self, end_s: float) -> None:
        """Mux what is heard before a second; packets are never split."""
        while self._track is not None:
            self._held = self._held or next(self._packets, None)
            if self._held is None or self._held[1] >= end_s:
                return
            self._output.mux(self._held[0])
            self._held = None

    def finish(self) -> None:
        """Leave out what would be heard after the image."""
        self._held = None
        self._packets.close()

    def _added(self) -> Any:
        """The stream in the output, which has to be there before its first packet."""
        stream = chosen_audio(self._source, self._wanted)
        if stream is None:
            return None
        if self._is_copied(stream):
            return self._output.add_stream_from_template(stream)
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        track = self._output.add_stream("aac", rate=stream.codec_context.sample_rate or 48_000)
        track.layout, track.bit_rate = layout, AAC_BITS_PER_S
        return track

    def _is_copied(self, stream: Any) -> bool:
        return self._is_one and stream.codec_context.codec.canonical_name in COPIED_CODECS

    def _written(self) -> Any:
        """Packets for the output and the second at which each begins."""
        stream = chosen_audio(self._source, self._wanted)
        try:
            yield from self._copied(stream) if self._is_copied(stream) else self._encoded(stream)
        except av.FFmpegError as error:
            raise InvalidRequest("no audio can be decoded", param=self._param) from error

    def _copied(self, stream: Any) -> Iterator[tuple[Any, float]]:
        for packet in TimeLine(self._source).packets(stream):
            if packet.pts is None or packet.dts is None:
                continue
            at_s = float(packet.pts * stream.time_base)
            # Of what an edit list cuts off only what the decoder needs to begin is taken along.
            if at_s < -LONGEST_PRIMING_S or (packet.is_discard and at_s > 0):
                continue
            packet.stream = self._track
            yield packet, at_s

    def _encoded(self, stream: Any) -> Iterator[tuple[Any, float]]:
        rate = self._track.codec_context.sample_rate
        target: Target = "mono" if self._track.codec_context.channels == 1 else "stereo"
        position = 0
        decoded = decoded_frames(self._source, stream, self._param)
        for frame in mixed_frames(decoded, target, format="fltp", rate=rate):
            frame.pts, frame.time_base = position, Fraction(1, rate)
            position += frame.samples
            for packet in self._track.encode(frame):
                yield packet, float(packet.pts * packet.time_base)
        for packet in self._track.encode(None):
            yield packet, float(packet.pts * packet.time_base)
