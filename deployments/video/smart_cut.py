"""A part of a video whose packets are copied, but for the groups of pictures that a cut goes
through: of these only what is seen is encoded. Everything here blocks.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from deployments.video.audio_track import LONGEST_PRIMING_S
from deployments.video.frame_index import Cut, FrameIndex
from deployments.video.h264_pieces import StoredParameters, stored_parameters, with_lengths
from deployments.video.video_encoding import PRESETS
from deployments.video.video_forms import VideoForm
from deployments.video.video_scan import VideoScan
from serve_app.core.containers import opened_container
from serve_app.core.errors import Cancelled, InternalError
from serve_app.core.message import Progress
from serve_app.core.time_line import begin_of

PIXELS = "yuv420p"
Stop = Callable[[], bool]


def can_encode_edges(path: Path, scan: VideoScan) -> bool:
    """Whether frames can be encoded so that they stand beside the packets of the stream."""
    with opened_container(path) as container:
        context = container.streams[scan.index].codec_context
        stored = stored_parameters(context.extradata) if context.name == "h264" else None
        is_plain = stored is not None and context.pix_fmt == PIXELS and not scan.is_interlaced
        return is_plain and stored is not None and stored.free_id is not None


class SmartCut:
    """One cut; `target` becomes a file of the form."""

    def __init__(
        self, source: Path, target: Path, form: VideoForm, scan: VideoScan, stop: Stop
    ) -> None:
        self._source = source
        self._target = target
        self._form = form
        self._scan = scan
        self._stop = stop

    def run(self, cut: Cut, index: FrameIndex) -> Iterator[Progress]:
        """Progress in frames. Cancelled when told to stop."""
        options = {"movflags": "+faststart"} if self._form.keeps_turn else {}
        total = len(cut.packets)
        with ExitStack() as stack:
            source = stack.enter_context(opened_container(self._source))
            output: Any = stack.enter_context(
                av.open(str(self._target), "w", format=self._form.muxer, options=options)
            )
            stream = source.streams[self._scan.index]
            image = output.add_stream_from_template(stream)
            if self._scan.codec == "hevc" and self._form.keeps_turn:
                image.codec_context.codec_tag = "hvc1"
            audio = stack.enter_context(_Audio(self._source, output, self._form, self._scan))
            audio.begin(cut, index)
            for number, packet in enumerate(self._packets(source, stream, cut, index)):
                if self._stop():
                    raise Cancelled("the work was cancelled")
                audio.write_until(float(packet.dts * index.base))
                packet.stream = image
                if cut.end is not None:
                    packet.duration = min(packet.duration, max(1, cut.end - cut.start - packet.pts))
                output.mux(packet)
                if number % 500 == 0:
                    yield Progress(phase="process", current=number, total=max(total, number))
            audio.write_until(None)

    def _packets(self, source: Any, stream: Any, cut: Cut, index: FrameIndex) -> Iterator[Any]:
        """All packets of the image, in the order of decoding, from tick 0 of the cut on."""
        first = index.packets[cut.packets.start]
        if cut.head is not None:
            delay = first.pts - first.dts
            yield from self._encoded(source, stream, cut, index, (cut.head, first.pts), delay)
        yield from self._copied(source, stream, cut, index)
        if cut.tail is not None:
            last = index.packets[cut.packets.stop]
            until = index.shown[-1] + 1 if cut.end is None else cut.end
            delay = last.pts - last.dts
            yield from self._encoded(source, stream, cut, index, (cut.tail, until), delay)

    def _copied(self, source: Any, stream: Any, cut: Cut, index: FrameIndex) -> Iterator[Any]:
        shift = round(begin_of(source) / stream.time_base)
        places = iter(cut.packets)
        place = next(places, None)
        source.seek(index.packets[cut.packets.start].dts + shift, stream=stream)
        for packet in source.demux(stream):
            if place is None:
                return
            stored = index.packets[place]
            if packet.pts is None or packet.pts - shift != stored.pts:
                continue
            packet.pts, packet.dts = stored.pts - cut.start, stored.dts - cut.start
            place = next(places, None)
            yield packet

    def _encoded(
        self,
        source: Any,
        stream: Any,
        cut: Cut,
        index: FrameIndex,
        ticks: tuple[int, int],
        delay: int,
    ) -> Iterator[Any]:
        """The frames from one tick to another, decoded as much earlier as those that are copied
        are. Their parameter sets go along, under a number of their own.
        """
        parameters = _parameters(stream)
        encoder: Any = None
        for frame in self._frames(source, stream, index, ticks):
            encoder = encoder or _encoder(stream, frame, parameters)
            frame.pts = max(frame.pts, cut.start) - cut.start
            frame.time_base, frame.pict_type = stream.time_base, 0
            for packet in encoder.encode(frame):
                yield _stored(packet, parameters, delay)
        for packet in encoder.encode(None) if encoder else ():
            yield _stored(packet, parameters, delay)

    def _frames(
        self, source: Any, stream: Any, index: FrameIndex, ticks: tuple[int, int]
    ) -> Iterator[Any]:
        begin, end = ticks
        shift = round(begin_of(source) / stream.time_base)
        # Containers are sought by decoding times, by which a later key frame may be early enough.
        keys = [each.dts for each in index.packets if each.is_key and each.pts <= begin]
        source.seek((keys[-1] if keys else begin) + shift, stream=stream)
        stream.codec_context.flush_buffers()
        for frame in source.decode(stream):
            frame.pts -= shift
            if frame.pts >= end:
                return
            if self._stop():
                raise Cancelled("the work was cancelled")
            if frame.pts >= begin:
                yield frame


class _Audio:
    """The packets that are heard from a cut on, from a reading of their own."""

    def __init__(self, source: Path, output: Any, form: VideoForm, scan: VideoScan) -> None:
        self._scan = scan.audio
        self._keeps_priming = form.keeps_turn
        self._output = output
        self._source = None if scan.audio is None else opened_container(source)
        self._packets: Iterator[tuple[Any, float]] = iter(())
        self._held: tuple[Any, float] | None = None
        self._track: Any = None
        if scan.audio is not None and self._source is not None:
            stream = self._source.streams[scan.audio.index]
            self._track = output.add_stream_from_template(stream)

    def __enter__(self) -> "_Audio":
        return self

    def __exit__(self, *_: object) -> None:
        if self._source is not None:
            self._source.close()

    def begin(self, cut: Cut, index: FrameIndex) -> None:
        """Take what is heard from the cut's beginning to its end."""
        end_s = None if cut.end is None else float((cut.end - cut.start) * index.base)
        self._packets = self._heard(float(cut.start * index.base), end_s)

    def write_until(self, end_s: float | None) -> None:
        """Mux what is heard before a second of the cut; all of it for None."""
        while self._track is not None:
            self._held = self._held or next(self._packets, None)
            if self._held is None or (end_s is not None and self._held[1] >= end_s):
                return
            self._output.mux(self._held[0])
            self._held = None

    def _heard(self, start_s: float, end_s: float | None) -> Iterator[tuple[Any, float]]:
        if self._scan is None or self._source is None:
            return
        stream = self._source.streams[self._scan.index]
        begin = round(begin_of(self._source) / stream.time_base)
        start = round(start_s / stream.time_base)
        # What a decoder has to have heard before is hidden by an edit list, where there are some.
        early_s = LONGEST_PRIMING_S / 2 if self._keeps_priming else 0.0
        self._source.seek(max(0, begin + start - round(1 / stream.time_base)), stream=stream)
        for packet in self._source.demux(stream):
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts - begin - start, packet.dts - begin - start
            at_s = float(packet.pts * stream.time_base)
            if at_s < -early_s:
                continue
            if end_s is not None and at_s >= end_s:
                return
            packet.stream = self._track
            yield packet, at_s


def _parameters(stream: Any) -> StoredParameters:
    found = stored_parameters(stream.codec_context.extradata)
    if found is None:
        raise InternalError("frames were to be encoded beside a stream without parameter sets")
    return found


def _encoder(stream: Any, frame: Any, parameters: StoredParameters) -> Any:
    """For frames beside those of a stream: the same size, clock and colours."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, PIXELS
    encoder.time_base = stream.time_base
    encoder.framerate = stream.average_rate or 25
    encoder.sample_aspect_ratio = stream.sample_aspect_ratio or 1
    encoder.color_range = frame.color_range
    encoder.colorspace = frame.colorspace
    encoder.color_primaries, encoder.color_trc = frame.color_primaries, frame.color_trc
    own = {"bf": "0", "x264-params": f"sps-id={parameters.free_id}"}
    encoder.options = PRESETS["best"] | own
    return encoder


def _stored(packet: Any, parameters: StoredParameters, delay: int) -> Any:
    made: Any = av.Packet(with_lengths(bytes(packet), parameters.length_bytes))
    made.pts, made.dts = packet.pts, packet.pts - delay
    made.time_base, made.duration = packet.time_base, packet.duration
    made.is_keyframe = packet.is_keyframe
    return made
