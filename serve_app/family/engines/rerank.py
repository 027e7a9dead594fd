"""The engines of the task `rerank`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import AnyRerankOptions
from serve_app.core.text.rerank import RerankModel
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyRerankOptions | FakeOptions, given: EngineSetup) -> RerankModel:
    match options.engine:
        case "transformers":
            from deployments.text.transformers_rerank import TransformersRerank

            return TransformersRerank(options, **given.common)
        case "cosine":
            from deployments.text.cosine_rerank import CosineRerank

            return CosineRerank(options, **given.common)
        case "llama_cpp":
            from deployments.text.llama_cpp_rerank import LlamaCppRerank

            return LlamaCppRerank(options, **given.common)
        case "fake":
            from deployments.fakes.engine import FakeRerank

            return FakeRerank(options, **given.common)
