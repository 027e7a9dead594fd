"""What of a video decides whether its packets can be copied. Everything here blocks."""

from dataclasses import dataclass
from pathlib import Path

import av

from deployments.audio.audio_scan import AudioScan, scanned
from deployments.video.upright_frames import quarter_turns
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
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


def scanned_video(path: Path, track: AudioTrack | None) -> VideoScan:
    """Of a file that has an image."""
    try:
        with opened_container(path) as container:
            stream = image_track(container)
            first = next(iter(container.decode(stream)))
            has_audio = bool(container.streams.audio)
            is_indexed = container.format.name.startswith(INDEXED)
            audio = None
            if has_audio:
                audio = scanned(path, track, param=PARAM, is_read=not is_indexed)
            joined = not is_indexed and (audio.is_joined if audio else is_joined(path))
            return VideoScan(
                index=stream.index,
                codec=stream.codec_context.codec.canonical_name,
                is_turned=quarter_turns(first) != 0,
                is_stretched=stream.sample_aspect_ratio not in (None, 0, 1),
                is_timed=container.format.name not in UNTIMED_FORMATS,
                is_joined=joined,
                is_cut_within=is_indexed and _is_cut_within(path),
                is_interlaced=bool(first.interlaced_frame),
                may_jump=may_jump(container),
                audio=audio,
            )
    except av.FFmpegError as error:
        raise InvalidRequest("the video cannot be decoded", param=PARAM) from error


def _is_cut_within(path: Path) -> bool:
    """Whether an edit list hides frames, at the beginning or between others."""
    with opened_container(path) as container:
        stream = image_track(container)
        return any(packet.is_discard for packet in container.demux(stream))
