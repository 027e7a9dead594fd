"""The engines of the task `embeddings`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import AnyEmbeddingsOptions
from serve_app.core.text.embeddings import EmbeddingModel
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyEmbeddingsOptions | FakeOptions, given: EngineSetup) -> EmbeddingModel:
    match options.engine:
        case "transformers":
            from deployments.text.transformers_embeddings import TransformersEmbeddings

            return TransformersEmbeddings(options, **given.common)
        case "llama_cpp":
            from deployments.text.llama_cpp_embeddings import LlamaCppEmbeddings

            return LlamaCppEmbeddings(options, **given.common)
        case "fake":
            from deployments.fakes.engine import FakeEmbeddings

            return FakeEmbeddings(options, **given.common)
