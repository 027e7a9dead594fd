"""The engines of each task of text: one function per task, one `case` per engine. Each engine is
imported where it is chosen, so that nothing heavy is imported before.
"""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import TransformersOptions, VllmOptions
from serve_app.family.engines.given import Given
from serve_app.family.engines.protocols import (
    ChatEngine,
    EmbeddingEngine,
    RerankEngine,
    TranslationEngine,
)


def chat(options: TransformersOptions | VllmOptions | FakeOptions, given: Given) -> ChatEngine:
    match options:
        case TransformersOptions():
            from deployments.text.transformers_chat import TransformersChat

            return TransformersChat(options, **given.common)
        case VllmOptions():
            from deployments.text.vllm_chat import VllmChat

            return VllmChat(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeChat

            return FakeChat(options, **given.common)


def embeddings(options: TransformersOptions | FakeOptions, given: Given) -> EmbeddingEngine:
    match options:
        case TransformersOptions():
            from deployments.text.transformers_embeddings import TransformersEmbeddings

            return TransformersEmbeddings(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeEmbeddings

            return FakeEmbeddings(options, **given.common)


def rerank(options: TransformersOptions | FakeOptions, given: Given) -> RerankEngine:
    match options:
        case TransformersOptions():
            from deployments.text.transformers_rerank import TransformersRerank

            return TransformersRerank(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeRerank

            return FakeRerank(options, **given.common)


def translation(options: TransformersOptions | FakeOptions, given: Given) -> TranslationEngine:
    match options:
        case TransformersOptions():
            from deployments.text.transformers_translation import TransformersTranslation

            return TransformersTranslation(options, **given.common)
        case FakeOptions():
            from deployments.fakes.translation import FakeTranslation

            return FakeTranslation(options, **given.common)
