"""The engines of the task `translation`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import AnyTranslationOptions
from serve_app.core.text.translation import Translator
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyTranslationOptions | FakeOptions, given: EngineSetup) -> Translator:
    match options.engine:
        case "transformers":
            from deployments.text.transformers_translation import TransformersTranslation

            return TransformersTranslation(options, **given.common)
        case "fake":
            from deployments.fakes.translation import FakeTranslation

            return FakeTranslation(options, **given.common)
