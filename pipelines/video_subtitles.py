"""video-subtitle: what is said in a video, written down, translated, drawn into its picture."""

from collections.abc import AsyncGenerator

from pipelines.translation import is_same, translated
from serve_app.core.chat import ChatModel
from serve_app.core.media import Blob
from serve_app.core.media_processing import (
    BurnSubtitles,
    ExtractAudio,
    MediaProcessor,
    SubtitledVideo,
)
from serve_app.core.message import Progress
from serve_app.core.stages import Stage, result_of
from serve_app.core.subtitles import cues, timed
from serve_app.core.transcription import Segment, Transcribe, Transcript, TranscriptionModel
from serve_app.core.video_subtitles import (
    BURN,
    EXTRACT,
    TRANSCRIBE,
    TRANSLATE,
    Subtitles,
    SubtitlesEvent,
    SubtitleVideo,
)


class VideoSubtitles:
    """A VideoSubtitler."""

    def __init__(
        self,
        transcription: TranscriptionModel,
        chat: ChatModel,
        media: MediaProcessor,
        stage: Stage,
    ) -> None:
        self._transcription = transcription
        self._chat = chat
        self._media = media
        self._stage = stage

    async def subtitle_video(self, request: SubtitleVideo) -> AsyncGenerator[SubtitlesEvent]:
        """See VideoSubtitler. A stage that fails is named in its error."""
        transcript = request.heard or await self._heard(request)
        segments, untranslated = await self._translated(request, transcript)
        read = cues(timed(segments), "subtitle")
        video, missing = await self._burned(request, read)
        warnings = (*transcript.warnings, *untranslated, *missing)
        yield Subtitles(
            segments=segments,
            cues=read,
            language=request.target_language or transcript.language or request.language,
            video=video,
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _heard(self, request: SubtitleVideo) -> Transcript:
        sound = await self._stage(
            EXTRACT, lambda: self._media.extract_audio(ExtractAudio(video=request.video))
        )
        operation = Transcribe(
            model=request.transcription_model or "",
            audio=sound,
            language=request.language,
            task="translate" if request.is_translated_while_heard else "transcribe",
        )
        return await self._stage(
            TRANSCRIBE,
            lambda: result_of(
                self._stage, TRANSCRIBE, self._transcription.transcribe(operation), Transcript
            ),
        )

    async def _translated(
        self, request: SubtitleVideo, transcript: Transcript
    ) -> tuple[tuple[Segment, ...], list[str]]:
        if not request.needs_translation:
            return transcript.segments, []
        texts, warnings = await self._stage(
            TRANSLATE, lambda: self._translation(request, transcript)
        )
        segments = tuple(
            segment.model_copy(update={"text": text, "words": ()})
            if text != segment.text
            else segment
            for segment, text in zip(transcript.segments, texts, strict=True)
        )
        return segments, warnings

    async def _translation(
        self, request: SubtitleVideo, transcript: Transcript
    ) -> tuple[list[str], list[str]]:
        source = transcript.language or request.language
        segments, target = transcript.segments, request.target_language
        assert target is not None
        if is_same(source, target):
            return [segment.text for segment in segments], []

        def tell(count: int) -> None:
            done = Progress(phase=TRANSLATE, current=count, total=len(segments))
            self._stage.report(TRANSLATE, done)

        return await translated(
            self._chat,
            request.chat_model or "",
            segments,
            source=source,
            target=target,
            purpose="read",
            done=tell,
        )

    async def _burned(
        self, request: SubtitleVideo, read: tuple[Segment, ...]
    ) -> tuple[Blob | None, tuple[str, ...]]:
        if not request.burns:
            return None, ()
        operation = BurnSubtitles(video=request.video, cues=read, style=request.style)
        made = await self._stage(
            BURN,
            lambda: result_of(
                self._stage, BURN, self._media.burn_subtitles(operation), SubtitledVideo
            ),
        )
        return made.video, made.warnings
