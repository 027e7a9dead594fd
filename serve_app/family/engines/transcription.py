"""The engines of the task `transcription`, each imported where it is chosen."""

from serve_app.core.audio.transcription import TranscriptionModel
from serve_app.core.options.audio import FasterWhisperOptions, PocketsphinxOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import Given


def engine(
    options: FasterWhisperOptions | PocketsphinxOptions | FakeOptions, given: Given
) -> TranscriptionModel:
    match options:
        case FasterWhisperOptions():
            from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription

            return FasterWhisperTranscription(options, **given.common)
        case PocketsphinxOptions():
            from deployments.audio.pocketsphinx_transcription import PocketsphinxTranscription

            return PocketsphinxTranscription(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeTranscription

            return FakeTranscription(options, **given.common)
