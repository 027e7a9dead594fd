"""The engines of the task `rerank`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.rerank import RerankModel
from serve_app.family.engines.given import Given


def engine(options: TransformersOptions | FakeOptions, given: Given) -> RerankModel:
    match options:
        case TransformersOptions():
            from deployments.text.transformers_rerank import TransformersRerank

            return TransformersRerank(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeRerank

            return FakeRerank(options, **given.common)
