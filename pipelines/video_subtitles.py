"""video-subtitle: what is said in a video, transcribed, translated, burned into its image."""

from collections.abc import AsyncGenerator

from pipelines.silence import check_speech
from pipelines.translation import check_languages, translate_segments
from serve_app.core.audio.transcription import Transcribe, Transcript, TranscriptSegment
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice, as_notices
from serve_app.core.stages import Stages, result_of
from serve_app.core.text.languages import language_code
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
)
from serve_app.core.video.subtitles import cues, timed
from serve_app.core.video.subtitling import (
    BURN,
    EXTRACT,
    TRANSCRIBE,
    TRANSLATE,
    Subtitles,
    SubtitlesEvent,
    SubtitleVideo,
)


class VideoSubtitles:
    """What is said is transcribed where the request does not know it."""

    operation = SubtitleVideo

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:  # noqa: ARG002 - as any pipeline
        self._stage = stage

    async def run(self, request: SubtitleVideo) -> AsyncGenerator[SubtitlesEvent]:
        """The subtitles. InvalidRequest with `param` `video` where nobody speaks."""
        await self._check_languages(request)
        transcript = request.transcript or await self._transcribed(request)
        segments, untranslated = await self._translated(request, transcript)
        read = cues(timed(segments), "subtitle")
        video, missing = await self._burned(request, read)
        warnings = (*transcript.warnings, *untranslated, *missing)
        yield Subtitles(
            segments=segments,
            cues=read,
            language=_written(request, transcript),
            video=video,
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _transcribed(self, request: SubtitleVideo) -> Transcript:
        extraction = ExtractAudio(video=request.video, audio_track=request.audio_track)
        audio = await self._stage.run(EXTRACT, extraction)
        operation = Transcribe(
            model=request.transcription_model or "",
            audio=audio.audio,
            language=request.language,
            mode="translate" if request.is_translated_while_transcribed else "transcribe",
        )
        transcript = await self._stage(TRANSCRIBE, lambda: self._transcript(operation), Transcript)
        return transcript.model_copy(update={"warnings": (*audio.warnings, *transcript.warnings)})

    async def _transcript(self, operation: Transcribe) -> Transcript:
        events = self._stage.operations(operation)
        with renamed_error_fields({"audio": "video"}):
            transcript = await result_of(self._stage, TRANSCRIBE, events, Transcript)
        check_speech(transcript)
        return transcript

    async def _translated(
        self, request: SubtitleVideo, transcript: Transcript
    ) -> tuple[tuple[TranscriptSegment, ...], tuple[Notice, ...]]:
        if not request.needs_translation:
            return transcript.segments, ()
        texts, warnings = await self._stage(
            TRANSLATE,
            lambda: self._translation(request, transcript),
            tuple[list[str], list[Notice]],
        )
        segments = tuple(
            segment.model_copy(update={"text": text, "words": ()})
            if text != segment.text
            else segment
            for segment, text in zip(transcript.segments, texts, strict=True)
        )
        return segments, as_notices(warnings)

    async def _translation(
        self, request: SubtitleVideo, transcript: Transcript
    ) -> tuple[list[str], list[Notice]]:
        assert request.target_language is not None
        return await translate_segments(
            self._stage,
            transcript.segments,
            model=request.translation_model or "",
            source=transcript.language or request.language,
            target=request.target_language,
            purpose="read",
            source_field="language",
        )

    async def _check_languages(self, request: SubtitleVideo) -> None:
        if request.needs_translation and request.target_language is not None:
            await check_languages(
                self._stage,
                model=request.translation_model or "",
                source=request.language,
                target=request.target_language,
                source_field="language",
            )

    async def _burned(
        self, request: SubtitleVideo, read: tuple[TranscriptSegment, ...]
    ) -> tuple[Blob | None, tuple[Notice, ...]]:
        if not request.burns:
            return None, ()
        operation = BurnSubtitles(
            video=request.video, cues=read, style=request.style, audio_track=request.audio_track
        )
        made = await self._stage.run(BURN, operation)
        return made.video, made.warnings


def _written(request: SubtitleVideo, transcript: Transcript) -> str | None:
    """The code of the language that is read."""
    target = request.target_language
    if target is not None:
        return language_code(target) or target
    return transcript.language or request.language
