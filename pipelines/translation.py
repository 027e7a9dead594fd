"""Segments of speech in another language, whichever model translates them."""

from collections.abc import Sequence

from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.notices import Notice
from serve_app.core.stages import Stages
from serve_app.core.text.languages import language_code
from serve_app.core.text.translation import Purpose, Translate, Translation

TRANSLATE = "translate"


def is_same(source: str | None, target: str) -> bool:
    """Whether nothing is to be translated."""
    return source is not None and language_code(source) == language_code(target)


async def check_languages(
    stage: Stages,
    *,
    model: str,
    source: str | None,
    target: str,
    source_field: str = "source_language",
) -> None:
    """InvalidRequest, before any work, for languages that the model does not know. What is sent in
    `source_field` may be None, to be detected.
    """
    if is_same(source, target):
        return
    request = Translate(model=model, texts=(), target_language=target, source_language=source)
    with renamed_error_fields({"source_language": source_field}):
        await stage.outcome(TRANSLATE, request)


async def translate_segments(
    stage: Stages,
    segments: Sequence[TranscriptSegment],
    *,
    model: str,
    source: str | None,
    target: str,
    purpose: Purpose,
    source_field: str = "source_language",
) -> tuple[list[str], list[Notice]]:
    """A text per segment, and warnings: a segment that the model fails on stays as it was, and so
    do all where the languages are the same. Within the stage `translate`; errors about the source
    name `source_field`.
    """
    if is_same(source, target):
        return [segment.text for segment in segments], []
    request = Translate(
        model=model,
        texts=tuple(segment.text for segment in segments),
        target_language=target,
        source_language=source,
        purpose=purpose,
    )
    with renamed_error_fields({"source_language": source_field}):
        made = await stage.outcome(TRANSLATE, request)
    return list(made.texts), _warnings(model, made, purpose)


def _warnings(model: str, made: Translation, purpose: Purpose) -> list[Notice]:
    said = []
    if made.kept:
        said.append(
            f"{model!r} did not translate segment {_listed(made.kept)}; "
            f"the original words are {purpose} there"
        )
    if made.cut:
        said.append(
            f"{model!r} did not finish segment {_listed(made.cut)}; its translation is cut there"
        )
    return [Notice(text=text) for text in said]


def _listed(places: Sequence[int]) -> str:
    return ", ".join(map(str, places))
