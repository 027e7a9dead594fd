"""The engines of the task `diarization`, each imported where it is chosen."""

from serve_app.core.audio.diarization import Diarizer
from serve_app.core.options.audio import AnyDiarizationOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyDiarizationOptions | FakeOptions, given: EngineSetup) -> Diarizer:
    match options.engine:
        case "transformers_diarization":
            from deployments.audio.transformers_diarization import TransformersDiarization

            return TransformersDiarization(options, **given.common)
        case "ge2e":
            from deployments.audio.ge2e_diarization import Ge2eDiarization

            return Ge2eDiarization(options, **given.common)
        case "fake":
            from deployments.fakes.diarization import FakeDiarization

            return FakeDiarization(options, **given.common)
