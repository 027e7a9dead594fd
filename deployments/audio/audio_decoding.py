"""Any container to mono samples of one rate, block by block."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        with av.open(str(path), metadata_errors="ignore") as container:
            audio_track(container, param)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            yield from map(_bytes, decoded_frames(container, resampler, param))
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


def decoded_frames(container: Any, resampler: Any, param: str) -> Iterator[Any]:
    """The resampled frames of the first audio track. InvalidRequest when there is none."""
    import av

    frames = 0
    kind: object = None
    for packet in container.demux(container.streams.audio[0]):
        try:
            decoded = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in decoded:
            frames += 1
            # Timestamps of broken files would make the resampler fill gaps for hours.
            frame.pts = None
            before, kind = kind, (frame.format.name, frame.layout.name, frame.sample_rate)
            if before not in (None, kind):
                # Recordings that were joined go on at another rate, or with other channels.
                yield from resampler.resample(None)
                wanted = {"format": resampler.format, "layout": resampler.layout}
                resampler = av.AudioResampler(**wanted, rate=resampler.rate)
            yield from resampler.resample(frame)
    if frames == 0:
        raise undecodable(param)
    yield from resampler.resample(None)


def _bytes(frame: Any) -> bytes:
    return bytes(frame.to_ndarray().astype("<i2").tobytes())


def undecodable(param: str) -> InvalidRequest:
    """The error of a file that holds nothing to hear."""
    return InvalidRequest(
        f"{param}: no sound can be decoded from this file; send wav, mp3, flac, ogg, m4a, webm "
        "or a video with sound",
        param=param,
    )
