"""The engines of the task `conversion`, each imported where it is chosen."""

from serve_app.core.audio.voice_conversion import VoiceConverter
from serve_app.core.options.audio import AnyConversionOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyConversionOptions | FakeOptions, given: EngineSetup) -> VoiceConverter:
    match options.engine:
        case "speecht5_conversion":
            from deployments.audio.speecht5_conversion import SpeechT5Conversion

            return SpeechT5Conversion(
                options,
                **given.common,
                vocoder=given.part(options.vocoder),
                speaker_model=given.part(options.speaker_model),
            )
        case "rubberband":
            from deployments.audio.rubberband_conversion import RubberbandConversion

            return RubberbandConversion(options, **given.common)
        case "fake":
            from deployments.fakes.conversion import FakeConversion

            return FakeConversion(options, **given.common)
