"""The engines of the task `speech`, each imported where it is chosen."""

from serve_app.core.audio.speech import SpeechModel
from serve_app.core.options.audio import AnySpeechOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnySpeechOptions | FakeOptions, given: EngineSetup) -> SpeechModel:
    match options.engine:
        case "espeak":
            from deployments.audio.espeak import EspeakSpeech

            return EspeakSpeech(options, **given.common)
        case "transformers_speech":
            from deployments.audio.transformers_speech import TransformersSpeech

            vocoder, embedder = given.part(options.vocoder), given.part(options.speaker_model)
            return TransformersSpeech(options, **given.common, part=vocoder, speaker_model=embedder)
        case "pocket_tts":
            from deployments.audio.transformers_speech import TransformersSpeech

            tokenizer = given.part(options.audio_tokenizer)
            return TransformersSpeech(options, **given.common, part=tokenizer)
        case "piper":
            from deployments.audio.piper import PiperSpeech

            return PiperSpeech(options, **given.common)
        case "kokoro":
            from deployments.audio.kokoro import KokoroSpeech

            return KokoroSpeech(options, **given.common)
        case "fake":
            from deployments.fakes.engine import FakeSpeech

            return FakeSpeech(options, **given.common)
