"""The engines of the task `transcription`, each imported where it is chosen."""

from serve_app.core.audio.transcription import TranscriptionModel
from serve_app.core.options.audio import AnyTranscriptionOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(
    options: AnyTranscriptionOptions | FakeOptions, given: EngineSetup
) -> TranscriptionModel:
    match options.engine:
        case "faster_whisper":
            from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription

            return FasterWhisperTranscription(options, **given.common)
        case "fake":
            from deployments.fakes.engine import FakeTranscription

            return FakeTranscription(options, **given.common)
