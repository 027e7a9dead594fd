"""How a video is written in each format: what is copied into it, and what is encoded how."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.core.video.video_processing import VideoFileFormat

AAC = ("-c:a", "aac", "-b:a", "192k")
MP2 = ("-c:a", "mp2", "-b:a", "192k", "-ar", "48000")
"""At half the rate, this many bits per second are not allowed."""
VORBIS = ("-c:a", "libvorbis", "-q:a", "5")
OPUS = ("-c:a", "libopus", "-b:a", "128k")
VP9 = (
    *("-c:v", "libvpx-vp9", "-crf", "32", "-b:v", "0"),
    *("-deadline", "realtime", "-cpu-used", "6", "-row-mt", "1"),
)
"""Not the encoder's default, which takes twenty times as long."""
FASTSTART = ("-movflags", "+faststart")
MPEG_RATES = ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
"""Frames per second that MPEG-2 has numbers for."""
PLAYED_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})


@dataclass(frozen=True)
class VideoForm:
    """`muxer` with its `options` is ffmpeg's. `image` and `audio` are codecs that are copied.
    `encoder` is that of the image, none where it is H.264, `odd_encoder` that of odd sides, where
    it is another; `audio_encoder` has at most `most_channels`. Where it is not `is_timed` all
    frames last equally long.
    """

    muxer: str
    image: frozenset[str]
    audio: frozenset[str]
    audio_encoder: tuple[str, ...]
    encoder: tuple[str, ...] | None = None
    odd_encoder: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()
    most_channels: int = 2
    is_timed: bool = True
    keeps_turn: bool = False
    rates: tuple[str, ...] = ()
    longest_side_px: int = 16_384


def _mpeg4(muxer: str, *image: str) -> VideoForm:
    return VideoForm(
        muxer,
        frozenset({"h264", "hevc", *image}),
        PLAYED_AUDIO,
        AAC,
        options=FASTSTART,
        most_channels=8,
        keeps_turn=True,
    )


FORMS: Mapping[VideoFileFormat, VideoForm] = {
    "mp4": _mpeg4("mp4", "av1"),
    "mov": _mpeg4("mov", "prores"),
    "webm": VideoForm(
        "webm",
        frozenset({"vp8", "vp9", "av1"}),
        frozenset({"vorbis", "opus"}),
        OPUS,
        VP9,
        most_channels=8,
    ),
    "mkv": VideoForm(
        "matroska",
        frozenset({"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video"}),
        PLAYED_AUDIO | {"vorbis", "opus", "flac"},
        AAC,
        most_channels=8,
    ),
    "avi": VideoForm(
        "avi",
        frozenset(),
        frozenset({"mp3"}),
        ("-c:a", "libmp3lame", "-q:a", "3"),
        ("-c:v", "mpeg4", "-q:v", "3", "-vtag", "xvid"),
        is_timed=False,
        longest_side_px=8190,
    ),
    "wmv": VideoForm(
        "asf",
        frozenset(),
        frozenset({"wmav2"}),
        ("-c:a", "wmav2", "-b:a", "128k"),
        ("-c:v", "wmv2", "-q:v", "3"),
        ("-c:v", "msmpeg4", "-q:v", "3"),
        is_timed=False,
        longest_side_px=8190,
    ),
    "mpeg": VideoForm(
        "vob",
        frozenset(),
        frozenset({"mp2"}),
        MP2,
        ("-c:v", "mpeg2video", "-q:v", "3"),
        is_timed=False,
        rates=MPEG_RATES,
        longest_side_px=4094,
    ),
    "ogg": VideoForm(
        "ogg",
        frozenset({"theora"}),
        frozenset({"vorbis", "opus", "flac"}),
        VORBIS,
        ("-c:v", "libtheora", "-q:v", "8"),
        most_channels=8,
        is_timed=False,
    ),
}
