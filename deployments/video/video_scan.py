"""What of a video decides whether its packets can be copied. Everything here blocks."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from deployments.audio.audio_scan import AudioScan, scanned, scanned_in
from deployments.video.upright_frames import quarter_turns
from deployments.video.video_decoding import OpenVideo, ProbedVideo, open_video
from deployments.video.whole_video import check_whole_in
from serve_app.core.containers import opened_container
from serve_app.core.time_line import UNTIMED_FORMATS, is_joined, may_jump
from serve_app.core.tracks import AudioTrack, image_track

PARAM = "video"
INDEXED = "mov"
"""MP4 and QuickTime list their packets with ever later times: nothing can be joined to them."""


@dataclass(frozen=True)
class VideoScan:
    """`index` is the place of the image in the file, `audio` the track that is heard. What an edit
    list hides of a file that `is_cut_within` comes along when its packets are copied.
    """

    index: int
    codec: str
    is_turned: bool
    is_stretched: bool
    is_timed: bool
    is_joined: bool
    is_cut_within: bool
    is_interlaced: bool
    may_jump: bool
    audio: AudioScan | None


def inspected_video(path: Path, track: AudioTrack | None) -> tuple[ProbedVideo, VideoScan]:
    """What a whole video says of itself, opened once: its decoder alone takes longer to begin than
    all that is read. Raises as `probed` and `check_whole`.
    """
    with open_video(path, param=PARAM) as opened:
        video = opened.probed(track)
        with suppress(av.FFmpegError):
            check_whole_in(opened.container, param=PARAM)
        return video, _scanned(opened, track)


def scanned_video(path: Path, track: AudioTrack | None) -> VideoScan:
    """Of a file that has an image."""
    with open_video(path, param=PARAM) as opened:
        return _scanned(opened, track)


def _scanned(opened: OpenVideo, track: AudioTrack | None) -> VideoScan:
    path, container, stream = opened.path, opened.container, opened.stream
    is_indexed = container.format.name.startswith(INDEXED)
    audio = None
    if container.streams.audio:
        # What is read is read from the beginning, by itself.
        audio = (
            scanned_in(container, track, param=PARAM, is_read=False)
            if is_indexed
            else scanned(path, track, param=PARAM)
        )
    joined = not is_indexed and (audio.is_joined if audio else is_joined(path))
    return VideoScan(
        index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        is_turned=quarter_turns(opened.first) != 0,
        is_stretched=stream.sample_aspect_ratio not in (None, 0, 1),
        is_timed=container.format.name not in UNTIMED_FORMATS,
        is_joined=joined,
        is_cut_within=is_indexed and _is_cut_within(path, stream),
        is_interlaced=bool(opened.first.interlaced_frame),
        may_jump=may_jump(container),
        audio=audio,
    )


def _is_cut_within(path: Path, stream: Any) -> bool:
    """Whether an edit list hides frames, at the beginning or between others. The index says it, of
    all frames, unless the file is written in fragments.
    """
    index = stream.index_entries
    if 0 < stream.frames <= len(index):
        return any(entry.is_discard for entry in index)
    with opened_container(path) as container:
        stream = image_track(container)
        return any(packet.is_discard for packet in container.demux(stream))
