"""The engines of the task `conversion`, each imported where it is chosen."""

from serve_app.core.audio.voice_conversion import VoiceConverter
from serve_app.core.options.audio import RubberbandOptions, SpeechT5ConversionOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import Given


def engine(
    options: SpeechT5ConversionOptions | RubberbandOptions | FakeOptions, given: Given
) -> VoiceConverter:
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
