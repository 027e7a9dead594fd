"""Which of a file's tracks is seen and which is heard: one answer for everybody who opens one.

Works on PyAV's containers without importing PyAV.
"""

from typing import Any

STILL_CODECS = frozenset({"mjpeg", "png", "gif", "bmp", "tiff", "webp", "jpeg2000"})
"""Of covers and thumbnails, where nothing else says that they are such; and of a few cameras."""


def picture_track(container: Any) -> Any:
    """The video: never a cover picture or a thumbnail; of several the one marked default, of
    those the largest, then the first. None where there is none.
    """
    films = films_of(container)
    return max(films, key=_rank) if films else None


def films_of(container: Any) -> list[Any]:
    """Every track that is a video, in the order of the file."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [stream for stream in container.streams.video if not stream.disposition & still]


def sound_track(container: Any) -> Any:
    """The sound that is heard: of several the first that is marked default, else the first. None
    where there is none.
    """
    sounds = container.streams.audio
    marked = [stream for stream in sounds if is_default(stream)]
    return next(iter([*marked, *sounds]), None)


def is_default(stream: Any) -> bool:
    """Whether the file marks it as the one to play."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _rank(stream: Any) -> tuple[bool, bool, int, int]:
    context = stream.codec_context
    area = context.width * context.height
    return context.name not in STILL_CODECS, is_default(stream), area, -stream.index
