"""Reference pictures: what can be decoded, and frames of films. Everything here blocks."""

import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serve_app.core.errors import BackendUnavailable, InvalidRequest

LONG_EDGE_PX = 1024
SHARPNESS_PX = 256
CANDIDATES = 4
"""Frames looked at for each one that is kept."""


def check_picture(path: Path, *, param: str, pixels: int) -> None:
    """InvalidRequest for what is no picture that can be decoded, or one of too many pixels."""
    with _opened(path, param, pixels):
        pass


def whole_picture(path: Path, *, param: str, pixels: int) -> bytes:
    """The picture, upright, its long edge at most `LONG_EDGE_PX`, as PNG."""
    from PIL import ImageOps

    with _opened(path, param, pixels) as image:
        return _small_png(ImageOps.exif_transpose(image))


def sharpest_frames(path: Path, count: int, *, param: str) -> list[bytes]:
    """At most `count` frames of a film as PNG, in order: of each of `count` equal stretches the
    sharpest of those looked at. Empty for a film without pictures.
    """
    frames = list(_spread_frames(path, count * CANDIDATES, param))
    if not frames:
        return []
    size = -(-len(frames) // count)
    stretches = [frames[start : start + size] for start in range(0, len(frames), size)]
    return [_small_png(max(stretch, key=_sharpness)) for stretch in stretches]


@contextmanager
def _opened(path: Path, param: str, pixels: int) -> Generator[Any]:
    """A decoded Pillow image."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > pixels:
                raise InvalidRequest(
                    f"{param}: {image.width}x{image.height} is more than the allowed "
                    f"{pixels} pixels",
                    param=param,
                )
            image.load()
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InvalidRequest(f"{param}: the image cannot be decoded", param=param) from None


def _spread_frames(path: Path, count: int, param: str) -> Iterator[Any]:
    """Frames as Pillow images, small, spread over the film."""
    try:
        import av
    except ImportError:
        raise BackendUnavailable(
            "PyAV is not installed, which reads films; install the local extra: "
            "pip install 'polyphony[local]'",
            provider="av",
        ) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return
            stream = container.streams.video[0]
            step = (container.duration or 0) // count
            for number in range(count if step else 1):
                if number:
                    container.seek(number * step)
                frame = next(container.decode(stream), None)
                if frame is not None:
                    yield _small(frame.to_image())  # type: ignore[no-untyped-call]
    except av.error.FFmpegError:
        raise InvalidRequest(f"{param}: the video cannot be decoded", param=param) from None


def _small(image: Any) -> Any:
    image.thumbnail((LONG_EDGE_PX, LONG_EDGE_PX))
    return image


def _small_png(image: Any) -> bytes:
    target = io.BytesIO()
    has_alpha = "A" in image.mode or "transparency" in image.info
    _small(image.convert("RGBA" if has_alpha else "RGB")).save(target, "PNG")
    return target.getvalue()


def _sharpness(image: Any) -> float:
    """The variance of the edges: what is out of focus has few."""
    from PIL import ImageFilter, ImageStat

    grey = image.convert("L")
    grey.thumbnail((SHARPNESS_PX, SHARPNESS_PX))
    return float(ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).var[0])
