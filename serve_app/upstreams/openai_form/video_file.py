"""What a video of a provider's is: read off the file, which need not be as it was asked for."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.containers import opened_container
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.time_line import announced_s, length_s
from serve_app.core.tracks import image_track
from serve_app.upstreams.openai_form.exchange import OpenAIExchange


def check_decoder() -> None:
    """BackendUnavailable where a video could be paid for and not be read."""
    if find_spec("av") is None:
        raise BackendUnavailable(
            "PyAV, which reads the videos of providers, is not installed",
            remedy="install the extra 'local'",
        )


async def video_measures(
    blob: Blob, blobs: FsspecBlobStore, exchange: OpenAIExchange
) -> dict[str, Any]:
    """The fields of a GeneratedVideo that a file tells. UpstreamError for what is no video."""
    import av

    async with blobs.local_file(blob) as path:
        try:
            found = await asyncio.to_thread(_measured, path)
        except av.FFmpegError as error:
            raise exchange.unreadable("has a video that cannot be read") from error
    if found is None:
        raise exchange.unreadable("has a file without a video")
    return found


def _measured(path: Path) -> dict[str, Any] | None:
    with opened_container(path) as container:
        track = image_track(container)
        if track is None:
            return None
        fps = float(track.average_rate or 0) or 1.0
        duration_s = announced_s(container) or length_s(path)
        size = Size(width=track.codec_context.width, height=track.codec_context.height)
        frames = track.frames or round(duration_s * fps)
    return {"size": size, "fps": fps, "num_frames": max(1, frames), "duration_s": duration_s}
