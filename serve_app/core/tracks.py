"""Which of a file's tracks is seen and which is heard: one answer for everybody who opens one.

Works on PyAV's containers without importing it before there is one.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from serve_app.core.errors import InvalidRequest
from serve_app.core.notices import Notice
from serve_app.core.text.languages import language_code

STILL_CODECS = frozenset({"mjpeg", "png", "gif", "bmp", "tiff", "webp", "jpeg2000"})
"""Of covers and thumbnails, where nothing else says that they are such; and of a few cameras."""
UNKNOWN = "und"
"""ISO 639-2's word for a language that is not said."""
PARAM = "audio_track"
LISTED = 20
"""A file may have hundreds."""

AudioTrack = (
    Annotated[int, Field(strict=True, ge=0)] | Annotated[str, Field(min_length=1, max_length=35)]
)
"""An audio track of a file: its place among them, from 0, or its language."""


def image_track(container: Any) -> Any:
    """The video: never a cover image or a thumbnail; of several the one marked default, of
    those the largest, then the first. None where there is none.
    """
    videos = videos_of(container)
    return max(videos, key=_rank) if videos else None


def videos_of(container: Any) -> list[Any]:
    """Every track that is a video, in the order of the file."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [stream for stream in container.streams.video if not stream.disposition & still]


def chosen_audio(container: Any, wanted: AudioTrack | None = None) -> Any:
    """The audio that is heard: the one wanted, else the first of those marked default, else the
    first. None where there is none at all. InvalidRequest with `param` `audio_track`, which tells
    what there is, for one that is not there.
    """
    recordings = container.streams.audio
    found = _matching(recordings, wanted)
    if recordings and not found:
        raise InvalidRequest(
            f"there is no audio track {wanted!r}",
            remedy=f"the file has {_listed(recordings, _described)}",
            param=PARAM,
        )
    return next(iter([*filter(is_default, found), *found]), None)


def is_default(stream: Any) -> bool:
    """Whether the file marks it as the one to play."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def audio_choice(container: Any, wanted: AudioTrack | None = None) -> tuple[Notice, ...]:
    """A warning where others could have been heard in place of `audio_track`."""
    recordings = container.streams.audio
    if len(_matching(recordings, wanted)) < 2:
        return ()
    taken = recordings.index(chosen_audio(container, wanted))
    listed, name = _listed(recordings, _described), _named(taken, recordings, _described)
    said = f"track {name} was used; the file has {listed}"
    return (Notice(field=PARAM, text=said),)


def image_choice(container: Any) -> tuple[Notice, ...]:
    """A warning where others could have been seen in place of `image_track`."""
    videos = videos_of(container)
    if len(videos) < 2:
        return ()
    taken = videos.index(image_track(container))
    listed, name = _listed(videos, _seen), _named(taken, videos, _seen)
    said = f"video track {name} was used; the file has {listed}"
    return (Notice(field="video", text=said),)


def _listed(tracks: Sequence[Any], facts: Callable[[Any], str]) -> str:
    names = [_named(place, tracks, facts) for place in range(min(len(tracks), LISTED))]
    return ", ".join([*names, "…"] if len(tracks) > LISTED else names)


def _named(place: int, tracks: Sequence[Any], facts: Callable[[Any], str]) -> str:
    mark = ", default" if is_default(tracks[place]) else ""
    return f"{place} ({facts(tracks[place])}{mark})"


def _described(stream: Any) -> str:
    text: str = stream.metadata.get("language", UNKNOWN)
    return text[:35]


def _seen(stream: Any) -> str:
    return f"{stream.codec_context.width}x{stream.codec_context.height}"


def _matching(recordings: Sequence[Any], wanted: AudioTrack | None) -> list[Any]:
    if wanted is None:
        return list(recordings)
    place = _place(wanted)
    if place is not None:
        return list(recordings[place : place + 1])
    language = _language(str(wanted))
    return [s for s in recordings if _language(s.metadata.get("language", UNKNOWN)) == language]


def _place(wanted: AudioTrack) -> int | None:
    """Forms have text only."""
    if isinstance(wanted, int):
        return wanted
    return int(wanted) if wanted.isascii() and wanted.isdigit() else None


def _language(text: str) -> str:
    folded = text.strip().lower() or UNKNOWN
    return language_code(folded) or folded


def _rank(stream: Any) -> tuple[bool, bool, int, int]:
    context = stream.codec_context
    area = context.width * context.height
    return context.name not in STILL_CODECS, is_default(stream), area, -stream.index
