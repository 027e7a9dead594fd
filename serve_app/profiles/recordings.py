"""Checks that a reference recording can be decoded. Blocks."""

from pathlib import Path
from typing import Any

from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.tracks import chosen_audio


def check_audio(path: Path, *, param: str) -> None:
    """InvalidRequest for what holds no audio that can be decoded. Where PyAV is not installed, as
    on a head node without engines, the model that uses the audio finds out.
    """
    try:
        import av
    except ImportError:
        return
    try:
        with opened_container(path) as container:
            stream = chosen_audio(container)
            if stream is None:
                raise InvalidRequest("there is no audio in this file", param=param)
            if any(map(_decodes, container.demux(stream))):
                return
    except av.FFmpegError:
        pass
    raise InvalidRequest("no audio can be decoded from this file", param=param)


def _decodes(packet: Any) -> bool:
    """Damaged packets before the first good one are skipped, as engines do."""
    import av

    try:
        return bool(packet.decode())
    except av.InvalidDataError:
        return False
