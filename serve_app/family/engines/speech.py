"""The engines of the task `speech`, each imported where it is chosen."""

from serve_app.core.audio.speech import SpeechModel
from serve_app.core.options.audio import (
    EspeakOptions,
    PiperOptions,
    PocketTtsOptions,
    TransformersSpeechOptions,
)
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import Given


def engine(
    options: EspeakOptions
    | TransformersSpeechOptions
    | PocketTtsOptions
    | PiperOptions
    | FakeOptions,
    given: Given,
) -> SpeechModel:
    match options:
        case EspeakOptions():
            from deployments.audio.espeak import EspeakSpeech

            return EspeakSpeech(options, **given.common)
        case TransformersSpeechOptions(vocoder=part, speaker_model=speaker):
            from deployments.audio.transformers_speech import TransformersSpeech

            vocoder, embedder = given.part(part), given.part(speaker)
            return TransformersSpeech(options, **given.common, part=vocoder, speaker_model=embedder)
        case PocketTtsOptions(audio_tokenizer=part):
            from deployments.audio.transformers_speech import TransformersSpeech

            return TransformersSpeech(options, **given.common, part=given.part(part))
        case PiperOptions():
            from deployments.audio.piper import PiperSpeech

            return PiperSpeech(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeSpeech

            return FakeSpeech(options, **given.common)
