"""The options of engines for text, and of transformers' other readers of text and images."""

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.core.options.engine import EngineOptions, TorchOptions
from serve_app.core.text.chat import RARE_SAMPLING


class TransformersOptions(TorchOptions):
    """Hugging Face transformers: causal and image-text-to-text models, encoders, cross-encoders.

    `max_batch_tokens` and `cache_blocks` size continuous batching. `measures` is what a depth
    model's numbers are; auto reads it from its configuration. `beams` is how many beginnings a
    translation is chosen from; None is what the checkpoint says.
    """

    honours: ClassVar[frozenset[str]] = RARE_SAMPLING | {"grammar"}

    engine: Literal["transformers"] = "transformers"
    task: Literal[
        "chat", "embeddings", "rerank", "translation", "segmentation", "depth", "captioning"
    ]
    context_length: int | None = Field(default=None, ge=1)
    max_batch_tokens: int = Field(default=1024, ge=16)
    cache_blocks: int | None = Field(default=None, ge=1)
    trust_remote_code: bool = False
    measures: Literal["auto", "distance", "inverse"] = "auto"
    beams: int | None = Field(default=None, ge=1, le=16)


class CosineOptions(TorchOptions):
    """Reranking by an embedding model of transformers, where there is no cross-encoder: it compares
    the vectors of query and document, and has read neither with the other in mind.
    """

    engine: Literal["cosine"] = "cosine"
    task: Literal["rerank"] = "rerank"
    context_length: int | None = Field(default=None, ge=1)
    max_batch_tokens: int = Field(default=1024, ge=16)
    trust_remote_code: bool = False


class VllmOptions(EngineOptions):
    """vLLM through `ray.serve.llm`'s LLMServer; needs the `gpu` extra."""

    honours: ClassVar[frozenset[str]] = frozenset({"grammar", "ignore_eos"})

    engine: Literal["vllm"] = "vllm"
    task: Literal["chat"] = "chat"
    context_length: int | None = Field(default=None, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)


AnyChatOptions = TransformersOptions | VllmOptions
AnyEmbeddingsOptions = TransformersOptions
AnyRerankOptions = TransformersOptions | CosineOptions
AnyTranslationOptions = TransformersOptions
TextEngineOptions = AnyChatOptions | AnyEmbeddingsOptions | AnyRerankOptions | AnyTranslationOptions
