"""Speech recognition with Whisper through faster-whisper and CTranslate2."""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.audio_progress import audio_facts, audio_progress
from deployments.audio.faster_whisper_windows import TranscriptionRun, window_s
from deployments.audio.speech_windows import speech_windows
from deployments.model_engine import ModelEngine
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptionModel,
    TranscriptSegment,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.options.audio import FasterWhisperOptions
from serve_app.core.text.languages import language_code
from serve_app.runtime.threads import in_thread


class FasterWhisperTranscription(ModelEngine[FasterWhisperOptions], TranscriptionModel):
    """A TranscriptionModel over a checkpoint in CTranslate2's form."""

    def __init__(
        self,
        options: FasterWhisperOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._whisper: Any = _load(options, model, path)

    async def close(self) -> None:
        """Let go of the weights."""
        self._whisper = None

    @override
    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        language = self._language(request)
        async with self.blobs.local_file(request.audio) as path:
            events = in_thread(lambda stop: self._transcribed(path, request, language, stop))
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()

    def _language(self, request: Transcribe) -> str | None:
        if request.mode == "translate" and not self._whisper.model.is_multilingual:
            raise UnsupportedCapability(f"model {self.model.id!r} does not translate", param="mode")
        if request.language is None:
            return None
        code = language_code(request.language)
        known = self._whisper.supported_languages
        if code not in known:
            raise InvalidRequest(
                f"model {self.model.id!r} does not understand {request.language!r}",
                remedy=f"languages: {', '.join(known)}",
                param="language",
            )
        return code

    def _transcribed(
        self, path: Path, request: Transcribe, language: str | None, stop: Callable[[], bool]
    ) -> Iterator[TranscriptionEvent]:
        transcribing = TranscriptionRun(self._whisper, self.options, request, language)
        total_s, warnings = audio_facts(path, request.audio_track)
        segments: list[TranscriptSegment] = []
        end_s = 0.0
        for window in speech_windows(
            speech_blocks(path, param="audio", track=request.audio_track),
            longest_s=window_s(self.options),
        ):
            for segment in transcribing.transcribe(window, len(segments)):
                segments.append(segment)
                yield segment
                yield audio_progress("transcribe", segment.end, total_s)
                if stop():
                    return
            end_s = window.start_s + window.duration_s
            yield audio_progress("transcribe", end_s, total_s)
            if stop():
                return
        yield Transcript(
            text=" ".join(segment.text for segment in segments),
            language=transcribing.language,
            duration_s=end_s,
            segments=tuple(segments),
            warnings=warnings,
        )


def _load(options: FasterWhisperOptions, model: Model, path: Path | None) -> Any:
    from faster_whisper import WhisperModel

    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source", remedy="set it to a hub id or a local directory"
        )
    try:
        return WhisperModel(
            str(path),
            device=options.device,
            compute_type=options.compute_type,
            cpu_threads=options.threads or 0,
            local_files_only=True,
            **options.extra,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded by faster-whisper",
            remedy="its source must be a Whisper checkpoint in CTranslate2's form",
            provider="faster_whisper",
        ) from error
