"""The engines of the task `media`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import AnyMediaOptions
from serve_app.core.video.processing import MediaProcessor
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyMediaOptions | FakeOptions, given: EngineSetup) -> MediaProcessor:
    match options.engine:
        case "av":
            from deployments.video.av_media import AvMedia

            return AvMedia(options, **given.common)
        case "fake":
            from deployments.fakes.media import FakeMedia

            return FakeMedia(options, **given.common)
