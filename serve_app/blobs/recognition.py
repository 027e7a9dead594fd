"""What a stored file is: by its first bytes where they are certain, else by what the demuxer finds
in it. Where PyAV is not installed, as on a head node without engines, the first bytes decide alone.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from serve_app.blobs.sniff import sniff
from serve_app.core.containers import MEDIA_TYPES, opened_container
from serve_app.core.tracks import videos_of

AUDIO_ALONE = {
    "video/mp4": "audio/mp4",
    "video/quicktime": "audio/quicktime",
    "video/webm": "audio/webm",
    "video/x-matroska": "audio/x-matroska",
    "video/x-ms-wmv": "audio/x-ms-wma",
}
"""What containers are called that hold no image."""
ID3 = b"ID3"
UNKNOWN = "application/octet-stream"


def media_type(path: Path, head: bytes) -> str:
    """The type of a file that begins with `head`. Blocks."""
    found = sniff(head)
    if found is None or found in AUDIO_ALONE or head.startswith(ID3):
        found = _demuxed(path, found) or found
    return found or UNKNOWN


def _demuxed(path: Path, sniffed: str | None) -> str | None:
    """None for what holds neither audio nor images, and for what cannot be opened."""
    try:
        import av
    except ImportError:
        return None
    with suppress(av.FFmpegError), opened_container(path) as container:
        is_video = bool(videos_of(container))
        if not is_video and not container.streams.audio:
            return None
        if sniffed is None and not is_video and not _is_audible(container):
            return None
        named = MEDIA_TYPES.get(container.format.name.partition(",")[0])
        found = sniffed if sniffed in AUDIO_ALONE else named
        return found if is_video or found is None else AUDIO_ALONE.get(found, found)
    return None


def _is_audible(container: Any) -> bool:
    """Whether an audio file begins: a demuxer without a signature may have taken anything for its
    own.
    """
    return next(container.decode(audio=0), None) is not None
