"""Any container to mono samples of one rate, block by block."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from deployments.audio.down_mixing import mixed_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest

SPEECH_RATE = 16_000
BYTES_PER_SECOND = SPEECH_RATE * 2
RATES = range(1_000, 1_000_001)
"""Of sounds that are heard; a file that claims another one makes hours of nothing, or no second."""


def speech_blocks(path: Path, *, param: str, rate: int = SPEECH_RATE) -> Iterator[bytes]:
    """Signed 16-bit little-endian mono at 16 kHz or `rate`, a frame at a time, in bounded memory.

    Works on the first audio track of any container that FFmpeg reads, also of a video. Damaged
    packets are skipped. InvalidRequest with `param` when there is no sound that can be decoded.
    """
    import av

    try:
        with opened_container(path) as container:
            audio_track(container, param)
            frames = decoded_frames(container, param)
            yield from map(_bytes, mixed_frames(frames, "mono", format="s16", rate=rate))
    except av.FFmpegError as error:
        raise undecodable(param) from error


def first_seconds(
    blocks: Iterator[bytes], seconds: float, *, rate: int = SPEECH_RATE
) -> Iterator[bytes]:
    """As much of what `speech_blocks` gives at that rate; the rest is not decoded."""
    left = round(seconds * rate) * 2
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def audio_track(container: Any, param: str) -> Any:
    """The first one. InvalidRequest where there is none that can be heard."""
    if not container.streams.audio:
        raise InvalidRequest(f"{param}: there is no sound in this file", param=param)
    stream = container.streams.audio[0]
    if stream.rate and stream.rate not in RATES:
        raise undecodable(param)
    return stream


def decoded_frames(container: Any, param: str) -> Iterator[Any]:
    """The frames of the first audio track, as they are. InvalidRequest when there is none."""
    frames = track_frames(container)
    first = next(frames, None)
    if first is None:
        raise undecodable(param)
    yield from chain((first,), frames)


def track_frames(container: Any) -> Iterator[Any]:
    """The frames of the first audio track, which may be none. Damaged packets are skipped."""
    import av

    for packet in container.demux(container.streams.audio[0]):
        try:
            decoded = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in decoded:
            # Timestamps of broken files would make a resampler fill gaps for hours.
            frame.pts = None
            yield frame


def _bytes(frame: Any) -> bytes:
    return bytes(frame.to_ndarray().astype("<i2").tobytes())


def undecodable(param: str) -> InvalidRequest:
    """The error of a file that holds nothing to hear."""
    return InvalidRequest(
        f"{param}: no sound can be decoded from this file; send wav, mp3, flac, ogg, m4a, webm "
        "or a video with sound",
        param=param,
    )
