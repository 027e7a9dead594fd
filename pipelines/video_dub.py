"""video-dub: the words of a video spoken in another language."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from serve_app.core.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    ChatModel,
    Sampling,
    TextFormat,
    TextPart,
)
from serve_app.core.errors import InvalidRequest, UpstreamError
from serve_app.core.languages import language_code, language_name
from serve_app.core.media import Blob, BlobStore
from serve_app.core.media_processing import (
    ExtractAudio,
    MediaProcessor,
    PlacedAudio,
    ReplaceAudio,
)
from serve_app.core.speech import AudioChunk, Speak, SpeechModel
from serve_app.core.stages import Stage
from serve_app.core.streams import closing
from serve_app.core.transcription import Transcribe, Transcript, TranscriptionModel
from serve_app.core.video_dub import (
    DUB_STAGES,
    DubbedSegment,
    DubbedVideo,
    DubVideo,
    DubVideoEvent,
)

TRANSLATION_TOKENS = 400
MOST_STRETCH = 0.25
UNHEARD_STRETCH = 0.03
TRANSLATED: dict[str, Any] = {
    "type": "object",
    "properties": {"translation": {"type": "string"}},
    "required": ["translation"],
    "additionalProperties": False,
}


class VideoDub:
    """A VideoDubber. Each utterance is spoken where its original began."""

    def __init__(
        self,
        transcription: TranscriptionModel,
        chat: ChatModel,
        speech: SpeechModel,
        media: MediaProcessor,
        blobs: BlobStore,
        stage: Stage,
    ) -> None:
        self._transcription = transcription
        self._chat = chat
        self._speech = speech
        self._media = media
        self._blobs = blobs
        self._stage = stage

    async def dub_video(self, request: DubVideo) -> AsyncGenerator[DubVideoEvent]:
        """See VideoDubber. A stage that fails is named in its error."""
        sound = await self._stage(
            DUB_STAGES[0], lambda: self._media.extract_audio(ExtractAudio(video=request.video))
        )
        transcript = await self._stage(DUB_STAGES[1], lambda: self._heard(request, sound))
        source = transcript.language or request.source_language
        texts, warnings = await self._stage(
            DUB_STAGES[2], lambda: self._translated(request, source, transcript)
        )
        placed = await self._stage(DUB_STAGES[3], lambda: self._spoken(request, transcript, texts))
        video = await self._stage(
            DUB_STAGES[4],
            lambda: self._media.replace_audio(ReplaceAudio(video=request.video, sounds=placed)),
        )
        yield DubbedVideo(
            video=video,
            segments=tuple(
                DubbedSegment(start=s.start, end=s.end, source_text=s.text, text=text)
                for s, text in zip(transcript.segments, texts, strict=True)
            ),
            source_language=source,
            warnings=(*transcript.warnings, *warnings),
        )

    async def _heard(self, request: DubVideo, sound: Blob) -> Transcript:
        operation = Transcribe(
            model=request.transcription_model, audio=sound, language=request.source_language
        )
        events = self._transcription.transcribe(operation)
        async with closing(events):
            async for event in events:
                if isinstance(event, Transcript):
                    if not event.segments:
                        raise InvalidRequest("video: nobody speaks in it", param="video")
                    return event
        raise UpstreamError(f"{request.transcription_model!r} gave no transcript")

    async def _translated(
        self, request: DubVideo, source: str | None, transcript: Transcript
    ) -> tuple[list[str], list[str]]:
        """A text per segment; a segment that the model fails on stays as it was, with a warning."""
        originals = [segment.text for segment in transcript.segments]
        if source is not None and language_code(source) == language_code(request.target_language):
            return originals, []
        texts, failed = [], []
        for number, original in enumerate(originals):
            text = await self._translation(request, source, original)
            if text is None:
                failed.append(str(number))
            texts.append(text or original)
        if not failed:
            return texts, []
        return texts, [
            f"{request.chat_model!r} did not translate segment {', '.join(failed)}; "
            "the original words are spoken there"
        ]

    async def _translation(self, request: DubVideo, source: str | None, text: str) -> str | None:
        known = f" from {language_name(source)}" if source else ""
        target = language_name(language_code(request.target_language) or request.target_language)
        instruction = (
            f"Translate the user's text{known} to {target}, for being spoken aloud. "
            'Answer with JSON: {"translation": "…"}.'
        )
        operation = Chat(
            model=request.chat_model,
            messages=(
                ChatMessage(role="system", content=(TextPart(text=instruction),)),
                ChatMessage(role="user", content=(TextPart(text=text),)),
            ),
            sampling=Sampling(temperature=0.0, max_tokens=TRANSLATION_TOKENS, seed=0),
            response_format=TextFormat(type="json_schema", json_schema=TRANSLATED),
        )
        answer = ""
        events = self._chat.chat(operation)
        async with closing(events):
            async for event in events:
                answer += event.text if isinstance(event, ChatDelta) else ""
        try:
            translation = str(json.loads(answer)["translation"]).strip()
        except (ValueError, KeyError, TypeError):
            return None
        return translation or None

    async def _spoken(
        self, request: DubVideo, transcript: Transcript, texts: list[str]
    ) -> tuple[PlacedAudio, ...]:
        placed = []
        for segment, text in zip(transcript.segments, texts, strict=True):
            sound = await self._fitted(request, text, segment.end - segment.start)
            placed.append(PlacedAudio(audio=sound, start_s=segment.start))
        return tuple(placed)

    async def _fitted(self, request: DubVideo, text: str, slot_s: float) -> Blob:
        """Spoken as it comes, and where that does not fill its slot again at another speed, so
        that it lasts at most a quarter longer or shorter than of itself.
        """
        sound, duration_s = await self._said(request, text)
        if duration_s == 0:
            return sound
        stretch = min(1 + MOST_STRETCH, max(1 - MOST_STRETCH, slot_s / duration_s))
        if abs(stretch - 1) < UNHEARD_STRETCH:
            return sound
        sound, _ = await self._said(request, text, speed=1 / stretch)
        return sound

    async def _said(
        self, request: DubVideo, text: str, *, speed: float = 1.0
    ) -> tuple[Blob, float]:
        """The stored sound and its seconds."""
        operation = Speak(
            model=request.speech_model,
            text=text,
            voice=request.voice,
            language=request.target_language,
            speed=speed,
            format="wav",
        )
        duration_s = 0.0

        async def data() -> AsyncGenerator[bytes]:
            nonlocal duration_s
            events = self._speech.speak(operation)
            async with closing(events):
                async for event in events:
                    if isinstance(event, AudioChunk):
                        yield event.data
                    else:
                        duration_s = event.duration_s

        chunks = data()
        async with closing(chunks):
            sound = await self._blobs.write(chunks, mime="audio/wav")
        return sound, duration_s
