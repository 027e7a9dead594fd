"""The engines of the task `sound`, each imported where it is chosen."""

from serve_app.core.audio.audio_generation import AudioGenerator
from serve_app.core.options.audio import AnySoundOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnySoundOptions | FakeOptions, given: EngineSetup) -> AudioGenerator:
    match options.engine:
        case "musicgen":
            from deployments.audio.musicgen import MusicgenAudio

            return MusicgenAudio(options, **given.common)
        case "diffusers_audio":
            from deployments.audio.diffusers_audio import DiffusersAudio

            return DiffusersAudio(options, **given.common)
        case "fake":
            from deployments.fakes.audio_generation import FakeAudio

            return FakeAudio(options, **given.common)
