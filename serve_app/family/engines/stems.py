"""The engines of the task `stems`, each imported where it is chosen."""

from serve_app.core.audio.stems import StemSeparator
from serve_app.core.options.audio import DemucsOptions, HpssOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.family.engines.given import Given


def engine(options: DemucsOptions | HpssOptions | FakeOptions, given: Given) -> StemSeparator:
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
