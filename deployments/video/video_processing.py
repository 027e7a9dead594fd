"""Videos through their steps by ffmpeg as a child process: one filter graph and one encode, or
packets that are copied where nothing changes but the container. Everything here blocks.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import av

from deployments.audio.ffmpeg_child import OWN_TIMES, SAFE_READING, ChildFailed, written
from deployments.video.audio_processing import bounded_rate
from deployments.video.filter_graph import FilterGraph, GraphMaker
from deployments.video.frame_index import Cut, FrameIndex, Window, frame_index, planned_cut
from deployments.video.hardware_encoding import h264_encoders
from deployments.video.plain_image import write_plain
from deployments.video.remade_video import video_warnings
from deployments.video.smart_cut import SmartCut, can_encode_edges
from deployments.video.trimming import WHOLE, Portion, portion_of, trimmed
from deployments.video.video_decoding import ProbedVideo
from deployments.video.video_forms import FORMS
from deployments.video.video_scan import VideoScan, inspected_video, scanned_video
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.options.video import H264Encoder
from serve_app.core.video.video_processing import ConvertVideoStep, ProcessVideo, TrimStep

PARAM = "video"
ODD_SIZE = Notice(field="video", text="its odd sides need 4:4:4, which some players do not support")
Stop = Callable[[], bool]
Encoded = Literal["all", "edges", "nothing"]


class ProcessedVideoFile(Message):
    """What is known of a file that was written."""

    size: Size
    duration_s: float
    encoded: Encoded
    warnings: tuple[Notice, ...] = ()


class VideoPass:
    """One request on its way; `paths` are the video and the watermarks of its steps."""

    def __init__(
        self,
        paths: Sequence[Path],
        target: Path,
        request: ProcessVideo,
        stop: Stop,
        *,
        encoder: H264Encoder,
    ) -> None:
        self._source, *self._marks = paths
        self._target = target
        self._request = request
        self._stop = stop
        self._encoder = encoder
        self._form = FORMS[request.format]
        self._was_joined = False

    def run(self) -> Iterator[Progress | ProcessedVideoFile]:
        """Progress in frames, last what was written.

        InvalidRequest and PayloadTooLarge with `param` `video`, or `steps[i]` and what is in it;
        Cancelled when told to stop, which kills the child.
        """
        video, scan = inspected_video(self._source, self._request.audio_track)
        with tempfile.TemporaryDirectory(prefix="processing-") as name:
            folder = Path(name)
            source = self._source
            if scan.is_joined:
                # The program has a clock of its own for what goes on at another time.
                source = folder / "whole.mp4"
                write_plain(
                    self._source,
                    source,
                    self._stop,
                    audio=self._source,
                    audio_track=self._request.audio_track,
                )
                scan = scanned_video(source, None)
                self._was_joined = True
            (folder / "source").symlink_to(source.absolute())
            yield from self._made_of(source, scan, video, folder)

    def _made_of(
        self, source: Path, scan: VideoScan, video: ProbedVideo, folder: Path
    ) -> Iterator[Progress | ProcessedVideoFile]:
        """In the way that takes the least work."""
        window = trimmed(self._request, video)
        index = frame_index(source) if window and scan.is_timed else None
        if not self._is_copied(scan):
            yield from self._encoded(scan, video, folder, self._portion(window, index, scan))
        elif window is None:
            yield from self._copied(scan, video, folder)
        elif (cut := self._cut(source, scan, window, index)) and index:
            work = SmartCut(source, self._target, self._form, scan, self._stop)
            yield from work.run(cut, index)
            kept: Encoded = "nothing" if cut.is_lossless else "edges"
            yield self._made(video.size, kept, (*video.image_choice, *video.audio_choice))
        else:
            yield from self._encoded(scan, video, folder, self._portion(window, index, scan))

    def _portion(self, window: Window | None, index: FrameIndex | None, scan: VideoScan) -> Portion:
        # Transport streams are sought by places in the file, and not to the frame.
        return portion_of(window, index, is_sought=not scan.may_jump)

    def _cut(
        self, source: Path, scan: VideoScan, window: Window, index: FrameIndex | None
    ) -> Cut | None:
        """None for what cannot be cut without encoding all of it."""
        is_heard = scan.audio is None or scan.audio.codec in self._form.audio
        cut = planned_cut(index, window) if index and is_heard and not scan.may_jump else None
        return cut if cut and (cut.is_lossless or can_encode_edges(source, scan)) else None

    def _is_copied(self, scan: VideoScan) -> bool:
        cuts = (ConvertVideoStep, TrimStep)
        only_cuts = all(isinstance(step, cuts) for step in self._request.steps)
        may_be_turned = self._form.keeps_turn or not scan.is_turned
        is_held = scan.codec in self._form.image and may_be_turned
        return only_cuts and is_held and scan.is_timed and not scan.is_cut_within

    def _copied(
        self, scan: VideoScan, video: ProbedVideo, folder: Path
    ) -> Iterator[Progress | ProcessedVideoFile]:
        tag = ["-tag:v", "hvc1"] if scan.codec == "hevc" and self._form.keeps_turn else []
        command = [*_input(WHOLE), "-map", f"0:{scan.index}", "-c:v", "copy", *tag]
        command += self._audio(scan, WHOLE)
        yield from self._frames(command, folder, video)
        warnings = (*video.image_choice, *video.audio_choice)
        yield self._made(video.size, "nothing", warnings)

    def _encoded(
        self, scan: VideoScan, video: ProbedVideo, folder: Path, portion: Portion
    ) -> Iterator[Progress | ProcessedVideoFile]:
        maker = GraphMaker(self._request, video, self._marks, folder, portion)
        graph = maker.graph(self._form, scan.index, is_stretched=scan.is_stretched)
        encoders = self._encoders(graph.size)
        for number, encoder in enumerate(encoders, 1):
            command = [*self._graphed(graph, portion), *encoder, *self._audio(scan, portion)]
            try:
                yield from self._frames(command, folder, video)
                break
            except InvalidRequest:
                # A device may be out of sessions that it had a moment ago.
                if number == len(encoders):
                    raise
        warnings = [*video_warnings(video), *graph.warnings]
        if (graph.size.width % 2 or graph.size.height % 2) and self._form.encoder is None:
            warnings.append(ODD_SIZE)
        yield self._made(graph.size, "all", tuple(warnings))

    def _encoders(self, size: Size) -> list[list[str]]:
        """Those to try, one after the other."""
        is_odd = bool(size.width % 2 or size.height % 2)
        encoder = (self._form.odd_encoder if is_odd else None) or self._form.encoder
        return [[*encoder]] if encoder else h264_encoders(self._encoder, size)

    def _graphed(self, graph: FilterGraph, portion: Portion) -> list[str]:
        marks = [piece for mark in graph.marks for piece in ("-f", "png_pipe", "-i", mark)]
        mode = [*OWN_TIMES, *portion.shortening()] if self._form.is_timed else []
        return [*_input(portion), *marks, "-filter_complex", graph.text, "-map", "[out]", *mode]

    def _audio(self, scan: VideoScan, portion: Portion) -> list[str]:
        """How the audio is written: copied, or encoded with its pauses made silence."""
        audio = scan.audio
        if audio is None:
            return []
        chosen = ["-map", f"0:{audio.index}"]
        skipped_s = portion.skip_s + portion.lead_s
        if audio.codec in self._form.audio and scan.is_timed and not skipped_s:
            # Else what is heard from the key frame before the cut on would come along.
            late = ["-copypriorss:a", "0"] if portion.start_s else []
            return [*chosen, "-c:a", "copy", *late]
        filters = [*audio.channel_filter(self._form.most_channels)]
        if skipped_s:
            filters += [f"atrim=start={skipped_s:.6f}", f"asetpts=PTS-{skipped_s:.6f}/TB"]
        filters.append("aresample=async=1:first_pts=0")
        rate = bounded_rate(audio.rate)
        return [*chosen, "-af", ",".join(filters), *self._form.audio_encoder, *rate]

    def _frames(
        self, command: Sequence[str], folder: Path, video: ProbedVideo
    ) -> Generator[Progress]:
        ending = ["-map_metadata", "-1", "-map_chapters", "-1", *self._form.options]
        ending += ["-f", self._form.muxer, "-y", str(self._target.absolute())]
        try:
            with closing(written([*command, *ending], folder, self._stop)) as reports:
                for done in reports:
                    total = max(video.num_frames or 0, done.frames) or None
                    yield Progress(phase="process", current=done.frames, total=total)
        except ChildFailed as error:
            raise InvalidRequest("the video cannot be decoded to its end", param=PARAM) from error

    def _made(
        self, size: Size, encoded: Encoded, warnings: tuple[Notice, ...]
    ) -> ProcessedVideoFile:
        with opened_container(self._target) as container:
            duration_s = (container.duration or 0) / av.time_base
        kept = tuple(dict.fromkeys(warnings))
        return ProcessedVideoFile(size=size, duration_s=duration_s, encoded=encoded, warnings=kept)


def _input(portion: Portion) -> list[str]:
    return [*SAFE_READING, *portion.arguments(), "-i", "source"]
