"""Measures a file and makes its preview: size, duration and a small image.

Nothing here fails: a file that cannot be looked into has no preview.
"""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve_app.core.containers import opened_container
from serve_app.core.image.image_files import OpenedImage, opened_image, upright
from serve_app.core.media import MediaKind
from serve_app.core.time_line import announced_s, length_s, may_jump
from serve_app.core.tracks import image_track
from serve_app.runtime.memory import return_freed_memory

logger = logging.getLogger(__name__)

LONG_EDGE_PX = 512
QUALITY = 80
EFFORT = 1
"""Of 0 to 6: a quarter of the time of the default 4 for at most a fifth more bytes."""

SMOOTH = frozenset({"RGB", "RGBA", "L", "LA"})
"""Modes whose pixels can be averaged as they are."""

PIXELS = 100_000_000
LARGE_PIXELS = 8_000_000
"""Whoever has decoded more than this gives the memory back."""


@dataclass(frozen=True)
class MediaPreview:
    """`width` and `height` in pixels, upright; `duration` in seconds; `preview` is webp."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    preview: bytes | None = None


def measure(path: Path, kind: MediaKind) -> MediaPreview:
    """The numbers alone, which decodes nothing. Blocks."""
    return _tried(_measured_image if kind == "image" else _measured_recording, path, kind)


def media_preview(path: Path, kind: MediaKind) -> MediaPreview:
    """Numbers and preview. Blocks."""
    seen = _tried(_image if kind == "image" else _recording, path, kind)
    if (seen.width or 0) * (seen.height or 0) > LARGE_PIXELS:
        return_freed_memory()
    return seen


def _tried(see: Callable[[Path], MediaPreview], path: Path, kind: MediaKind) -> MediaPreview:
    try:
        return see(path)
    except ImportError:
        logger.info("cannot inspect %s files: PyAV is not installed", kind)
    except Exception as error:  # Decoders raise classes of their own for what they cannot read.
        logger.warning("cannot inspect a file of kind %s: %s", kind, error)
    return MediaPreview()


def _measured_image(path: Path) -> MediaPreview:
    with opened_image(path) as image:
        return _measured(image)


def _measured(image: OpenedImage) -> MediaPreview:
    width, height = image.image.size
    return MediaPreview(height, width) if image.is_on_its_side else MediaPreview(width, height)


def _image(path: Path) -> MediaPreview:
    with opened_image(path) as still:
        image, seen = still.image, _measured(still)
        if image.width * image.height > PIXELS:
            return seen
        image.draft("RGB", (2 * LONG_EDGE_PX, 2 * LONG_EDGE_PX))
        if image.mode in SMOOTH:
            # In place, before anything copies a large still.
            image.thumbnail((LONG_EDGE_PX, LONG_EDGE_PX))
        return replace(seen, preview=webp(upright(image, still.orientation)))


def _measured_recording(path: Path) -> MediaPreview:
    with opened_container(path) as container:
        duration = length_s(path) if may_jump(container) else announced_s(container)
        video = image_track(container)
        if video is None:
            return MediaPreview(duration=duration)
        return MediaPreview(video.width, video.height, duration)


def _recording(path: Path) -> MediaPreview:
    seen = _measured_recording(path)
    if seen.width is None:
        return seen
    with opened_container(path) as container:
        for frame in container.decode(image_track(container)):
            return replace(seen, preview=webp(frame.to_image()))
    return seen


def webp(image: Any, *, long_edge_px: int = LONG_EDGE_PX) -> bytes:
    """A Pillow image as webp, no side longer than `long_edge_px`."""
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La") or "transparency" in image.info
    small = image.convert("RGBA" if has_alpha else "RGB")
    small.thumbnail((long_edge_px, long_edge_px))
    target = io.BytesIO()
    small.save(target, "WEBP", quality=QUALITY, method=EFFORT)
    return target.getvalue()
