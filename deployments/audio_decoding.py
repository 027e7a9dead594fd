"""Any container to mono samples of one rate, block by block."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serve_app.core.errors import InvalidRequest

SPEECH_RATE = 16_000
BYTES_PER_SECOND = SPEECH_RATE * 2


def speech_blocks(path: Path, *, param: str) -> Iterator[bytes]:
    """Signed 16-bit little-endian mono at 16 kHz, a frame at a time, in bounded memory.

    Works on the first audio track of any container that FFmpeg reads, also of a video. Damaged
    packets are skipped. InvalidRequest with `param` when there is no sound that can be decoded.
    """
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise InvalidRequest(f"{param}: there is no sound in this file", param=param)
            yield from _decoded(container, param)
    except av.FFmpegError as error:
        raise _undecodable(param) from error


def _decoded(container: Any, param: str) -> Iterator[bytes]:
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SPEECH_RATE)
    frames = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            decoded = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in decoded:
            frames += 1
            # Timestamps of broken files would make the resampler fill gaps for hours.
            frame.pts = None
            for block in resampler.resample(frame):
                yield _bytes(block)
    if frames == 0:
        raise _undecodable(param)
    for block in resampler.resample(None):
        yield _bytes(block)


def _bytes(frame: Any) -> bytes:
    return bytes(frame.to_ndarray().astype("<i2").tobytes())


def _undecodable(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"{param}: no sound can be decoded from this file; send wav, mp3, flac, ogg, m4a, webm "
        "or a video with sound",
        param=param,
    )
