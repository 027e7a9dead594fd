"""What an audio track is, and whether its packets can be taken one after the other as they are.
Reads a file without decoding it. Everything here blocks.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av

from deployments.audio.audio_decoding import audio_track, undecodable
from deployments.audio.down_mixing import stereo_filter
from deployments.audio.placed_audio import TOLERATED_S
from serve_app.core.containers import opened_container
from serve_app.core.notices import Notice
from serve_app.core.time_line import UNTIMED_FORMATS, TimeLine
from serve_app.core.tracks import AudioTrack, audio_choice

LONGEST_PRIMING_S = Fraction(1, 10)
SHALLOW = frozenset({"s16", "s16p", "u8", "u8p"})
STEADY = frozenset({"wav", "w64", "aiff", "au"})
"""Formats in which uncompressed samples stand one after the other: there are no times to read."""
LOSSLESS = ("flac", "alac", "wavpack", "tta", "ape", "tak", "mlp", "truehd", "pcm_")


@dataclass(frozen=True)
class AudioScan:
    """`is_plain` is a track that begins at second 0, has no pauses and is one recording; `index` is
    its place in the file. `most` channels can be had by `channel_filter`.
    """

    index: int
    codec: str
    rate: int
    channels: tuple[str, ...]
    has_order: bool
    is_deep: bool
    is_joined: bool
    is_plain: bool
    end_s: float
    warnings: tuple[Notice, ...] = ()

    def channel_filter(self, most: int) -> list[str]:
        """What leaves no more channels than that, and only such as have an order."""
        if self.has_order and len(self.channels) <= most:
            return []
        return [stereo_filter(self.channels)]


def scanned(path: Path, track: AudioTrack | None, *, param: str, is_read: bool = True) -> AudioScan:
    """Unless it `is_read` it is taken for plain, and its end is not known. InvalidRequest with
    `param` for a file without audio, with `audio_track` for a track that is not there.
    """
    try:
        with opened_container(path) as container:
            return scanned_in(container, track, param=param, is_read=is_read)
    except av.FFmpegError as error:
        raise undecodable(param) from error


def scanned_in(container: Any, track: AudioTrack | None, *, param: str, is_read: bool) -> AudioScan:
    """As `scanned`, of a container that is open; one that `is_read` must be at its beginning."""
    stream = audio_track(container, param, track)
    context = stream.codec_context
    layout = context.layout
    # `context.name` is that of a decoder, of which some codecs have several.
    codec = context.codec.canonical_name
    is_pcm = codec.startswith("pcm_")
    times = UNREAD
    if is_read:
        is_known = is_steady(container, stream)
        times = _steady(stream) if is_known else _times(container, stream)
    return AudioScan(
        index=stream.index,
        codec=codec,
        rate=context.sample_rate or 48_000,
        channels=tuple(channel.name for channel in layout.channels),
        has_order=is_pcm or not layout.name.endswith("channels"),
        is_deep=codec.startswith(LOSSLESS) and context.format.name not in SHALLOW,
        is_joined=times.is_joined,
        is_plain=times.is_plain,
        end_s=times.end_s,
        warnings=audio_choice(container, track),
    )


def is_steady(container: Any, stream: Any) -> bool:
    """Whether samples stand one after the other, from the beginning to the announced end."""
    codec: str = stream.codec_context.codec.canonical_name
    is_pcm = codec.startswith("pcm_") and container.format.name in STEADY
    return is_pcm and bool(stream.duration)


class _Times(NamedTuple):
    is_joined: bool
    is_plain: bool
    end_s: float


UNREAD = _Times(is_joined=False, is_plain=True, end_s=0.0)


def _steady(stream: Any) -> _Times:
    return UNREAD._replace(end_s=float(stream.duration * stream.time_base))


def _times(container: Any, stream: Any) -> _Times:
    """What an edit list hides within it is not plain."""
    time_line = TimeLine(container)
    is_timed = container.format.name not in UNTIMED_FORMATS
    is_plain, end_s = True, Fraction(0)
    for packet in time_line.packets(stream):
        if packet.pts is None:
            continue
        at_s = packet.pts * stream.time_base
        if is_timed:
            is_late = at_s - end_s > TOLERATED_S
            is_hidden = at_s < -LONGEST_PRIMING_S or (packet.is_discard and at_s > 0)
            is_plain = is_plain and not is_late and not is_hidden
        end_s = max(end_s, at_s + (packet.duration or 0) * stream.time_base)
    is_joined = time_line.parts > 1
    return _Times(is_joined, is_plain and not is_joined, float(end_s))
