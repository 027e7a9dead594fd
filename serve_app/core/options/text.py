"""The options of engines for text, and of transformers' other readers of text and images."""

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.core.options.engine import DeviceOptions, EngineOptions, Section, TorchOptions
from serve_app.core.options.sampling import NOTHING_SAID, SamplingDefaults
from serve_app.core.text.chat import RARE_SAMPLING


class TransformersOptions(TorchOptions):
    """Hugging Face transformers: causal and image-text-to-text models, encoders, cross-encoders.

    `max_batch_tokens` and `cache_blocks` size continuous batching. `measures` is what a depth
    model's numbers are; auto reads it from its configuration. `beams` is how many beginnings a
    translation is chosen from; None is what the checkpoint says. `sampling` is what chats that
    leave it open get instead of what the checkpoint says.
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
    sampling: SamplingDefaults = NOTHING_SAID


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
    """vLLM through `ray.serve.llm`'s LLMServer; needs the `gpu` extra. `sampling` is what requests
    that leave it open get instead of what the checkpoint says.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"grammar", "ignore_eos"})

    engine: Literal["vllm"] = "vllm"
    task: Literal["chat"] = "chat"
    context_length: int | None = Field(default=None, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    sampling: SamplingDefaults = NOTHING_SAID


class GgufAdapter(Section):
    """A LoRA adapter in GGUF form: a path, or a file beside the weights."""

    file: str
    scale: float = 1.0


class LlamaCppOptions(DeviceOptions):
    """llama.cpp by the library `xllamacpp`: models in GGUF form.

    `system` is what the model is told in a conversation without a system message. `file` names the
    weights where the source has several, `mmproj` the file that makes the model see. `slots`
    answers are written at once, others wait; each has a context of `context_length` tokens, by
    default the model's own up to `longest_context`. `gpu_layers` stay on the GPU, -1 as many as
    fit. `prompt_cache_mb` keeps prompts that no slot has any more. `sampling` is what requests that
    leave it open get instead of what the file says.
    """

    honours: ClassVar[frozenset[str]] = RARE_SAMPLING | {"grammar"}

    engine: Literal["llama_cpp"] = "llama_cpp"
    task: Literal["chat", "embeddings", "rerank"]
    system: str | None = None
    file: str | None = None
    mmproj: str | None = None
    adapters: tuple[GgufAdapter, ...] = ()
    context_length: int | None = Field(default=None, ge=1)
    longest_context: int = Field(default=8192, ge=1)
    slots: int = Field(default=8, ge=1, le=256)
    gpu_layers: int = Field(default=-1, ge=-1)
    prompt_cache_mb: int = Field(default=0, ge=0)
    sampling: SamplingDefaults = NOTHING_SAID


AnyChatOptions = TransformersOptions | VllmOptions | LlamaCppOptions
AnyEmbeddingsOptions = TransformersOptions | LlamaCppOptions
AnyRerankOptions = TransformersOptions | CosineOptions | LlamaCppOptions
AnyTranslationOptions = TransformersOptions
TextEngineOptions = AnyChatOptions | AnyEmbeddingsOptions | AnyRerankOptions | AnyTranslationOptions
