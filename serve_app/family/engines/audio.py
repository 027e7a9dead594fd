"""The engines of each task of audio: one function per task, one `case` per engine. Each engine is
imported where it is chosen, so that nothing heavy is imported before.
"""

from serve_app.core.options.audio import (
    DemucsOptions,
    DiffusersAudioOptions,
    EspeakOptions,
    FasterWhisperOptions,
    HpssOptions,
    MfccOptions,
    MusicgenOptions,
    PiperOptions,
    PocketsphinxOptions,
    PocketTtsOptions,
    RubberbandOptions,
    SpeechT5ConversionOptions,
    TransformersDiarizationOptions,
    TransformersSpeechOptions,
)
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import Given
from serve_app.family.engines.protocols import (
    AudioGenerationEngine,
    ConversionEngine,
    DiarizationEngine,
    SpeechEngine,
    StemEngine,
    TranscriptionEngine,
)


def speech(
    options: EspeakOptions
    | TransformersSpeechOptions
    | PocketTtsOptions
    | PiperOptions
    | FakeOptions,
    given: Given,
) -> SpeechEngine:
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


def transcription(
    options: FasterWhisperOptions | PocketsphinxOptions | FakeOptions, given: Given
) -> TranscriptionEngine:
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


def diarization(
    options: TransformersDiarizationOptions | MfccOptions | FakeOptions, given: Given
) -> DiarizationEngine:
    match options:
        case TransformersDiarizationOptions():
            from deployments.audio.transformers_diarization import TransformersDiarization

            return TransformersDiarization(options, **given.common)
        case MfccOptions():
            from deployments.audio.mfcc_diarization import MfccDiarization

            return MfccDiarization(options, **given.common)
        case FakeOptions():
            from deployments.fakes.diarization import FakeDiarization

            return FakeDiarization(options, **given.common)


def stems(options: DemucsOptions | HpssOptions | FakeOptions, given: Given) -> StemEngine:
    match options:
        case DemucsOptions():
            from deployments.audio.demucs_stems import DemucsStems

            return DemucsStems(options, **given.common)
        case HpssOptions():
            from deployments.audio.hpss_stems import HpssStems

            return HpssStems(options, **given.common)
        case FakeOptions():
            from deployments.fakes.stems import FakeStems

            return FakeStems(options, **given.common)


def conversion(
    options: SpeechT5ConversionOptions | RubberbandOptions | FakeOptions, given: Given
) -> ConversionEngine:
    match options:
        case SpeechT5ConversionOptions(vocoder=vocoder, speaker_model=speaker):
            from deployments.audio.speecht5_conversion import SpeechT5Conversion

            return SpeechT5Conversion(
                options,
                **given.common,
                vocoder=given.part(vocoder),
                speaker_model=given.part(speaker),
            )
        case RubberbandOptions():
            from deployments.audio.rubberband_conversion import RubberbandConversion

            return RubberbandConversion(options, **given.common)
        case FakeOptions():
            from deployments.fakes.conversion import FakeConversion

            return FakeConversion(options, **given.common)


def sound(
    options: MusicgenOptions | DiffusersAudioOptions | FakeOptions, given: Given
) -> AudioGenerationEngine:
    match options:
        case MusicgenOptions():
            from deployments.audio.musicgen import MusicgenAudio

            return MusicgenAudio(options, **given.common)
        case DiffusersAudioOptions():
            from deployments.audio.diffusers_audio import DiffusersAudio

            return DiffusersAudio(options, **given.common)
        case FakeOptions():
            from deployments.fakes.audio_generation import FakeAudio

            return FakeAudio(options, **given.common)
