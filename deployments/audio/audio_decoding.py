"""Any container to mono samples of one rate, block by block."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from deployments.audio.down_mixing import mixed_frames
from deployments.audio.placed_audio import placed_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.tracks import AudioTrack, chosen_audio

SPEECH_RATE = 16_000
BYTES_PER_SECOND = SPEECH_RATE * 2
RATES = range(1_000, 1_000_001)
"""Of audio files that are heard; a file that claims another one makes hours of nothing, or no
second.
"""


def speech_blocks(
    path: Path, *, param: str, rate: int = SPEECH_RATE, track: AudioTrack | None = None
) -> Iterator[bytes]:
    """Signed 16-bit little-endian mono at 16 kHz or `rate`, a frame at a time, in bounded memory.

    Works on any container that FFmpeg reads, also on a video: its second 0 is where a player begins
    the file, and the audio lasts as long as it. Damaged packets are silent. InvalidRequest with
    `param` when there is no audio that can be decoded.
    """
    import av

    try:
        with opened_container(path) as container:
            stream = audio_track(container, param, track)
            frames = decoded_frames(container, stream, param)
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


def audio_track(container: Any, param: str, wanted: AudioTrack | None = None) -> Any:
    """The one that is heard. InvalidRequest where there is none that can be heard."""
    stream = chosen_audio(container, wanted)
    if stream is None:
        raise InvalidRequest("there is no audio in this file", param=param)
    if stream.rate and stream.rate not in RATES:
        raise undecodable(param)
    return stream


def decoded_frames(container: Any, stream: Any, param: str) -> Iterator[Any]:
    """The frames of an audio track, as they are, each at its time of the file's clock: where
    nothing is recorded there is silence, until the file ends. InvalidRequest when there is none.
    """
    frames = placed_frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise undecodable(param)
    yield from chain((first,), frames)


def _bytes(frame: Any) -> bytes:
    return bytes(frame.to_ndarray().astype("<i2").tobytes())


def undecodable(param: str) -> InvalidRequest:
    """The error of a file that holds nothing to hear."""
    return InvalidRequest(
        "no audio can be decoded from this file",
        remedy="send wav, mp3, flac, ogg, m4a, webm or a video with audio",
        param=param,
    )
