"""The engines of the task `stems`, each imported where it is chosen."""

from serve_app.core.audio.stems import StemSeparator
from serve_app.core.options.audio import AnyStemsOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyStemsOptions | FakeOptions, given: EngineSetup) -> StemSeparator:
    match options.engine:
        case "demucs":
            from deployments.audio.demucs_stems import DemucsStems

            return DemucsStems(options, **given.common)
        case "spleeter":
            from deployments.audio.spleeter_stems import SpleeterStems

            return SpleeterStems(options, **given.common)
        case "hpss":
            from deployments.audio.hpss_stems import HpssStems

            return HpssStems(options, **given.common)
        case "fake":
            from deployments.fakes.stems import FakeStems

            return FakeStems(options, **given.common)
