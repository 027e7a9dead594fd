"""The options of every engine: one class per engine, one union, discriminated by `engine`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal[
    "chat", "embeddings", "rerank", "speech", "transcription", "images", "stems", "media", "conversion"
]


class Section(BaseModel):
    """A part of the configuration: frozen, and a key that does not exist is an error that names
    those that do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keys_exist(cls, content: object) -> object:
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {key!r}; keys: {', '.join(cls.model_fields)}")
        return content


class EngineOptions(Section):
    """What every engine's options share. `task` decides which Protocol the family satisfies.

    `extra` is handed to the engine's library as it is, the one place where nothing is checked.
    `is_fallback` marks engines that stand in for a trained model where callers allow that, `clones`
    those that speak in the voice of a recording.
    """

    is_fallback: ClassVar[bool] = False
    clones: ClassVar[bool] = False

    engine: str
    task: Task
    extra: dict[str, Any] = Field(default_factory=dict)


class FakeOptions(EngineOptions):
    """The deterministic engine for tests, benchmarks and dry runs; see `deployments/fake.py`.

    `tokens_per_s` paces streams, 0 sends at once. `load_s` delays loading. `fails_with` makes
    loading fail with that cause. `delay_s` is how long speech, transcription, image and media calls
    take; each adds a line to the file `diary` when it begins and one when it has ended.
    """

    clones: ClassVar[bool] = True

    engine: Literal["fake"] = "fake"
    task: Task
    tokens_per_s: float = Field(default=0, ge=0)
    load_s: float = Field(default=0, ge=0)
    fails_with: str | None = None
    context_length: int = Field(default=4096, ge=1)
    accepts_images: bool = False
    delay_s: float = Field(default=0, ge=0)
    diary: Path | None = None


class TransformersOptions(EngineOptions):
    """Hugging Face transformers: causal and image-text-to-text models, encoders, cross-encoders.

    `device` auto is CUDA where there is one. `threads` is torch's intra-op number on a CPU, None
    leaves it to torch. `max_batch_tokens` and `cache_blocks` size continuous batching.
    """

    engine: Literal["transformers"] = "transformers"
    task: Literal["chat", "embeddings", "rerank"]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    context_length: int | None = Field(default=None, ge=1)
    max_batch_tokens: int = Field(default=1024, ge=16)
    cache_blocks: int | None = Field(default=None, ge=1)
    trust_remote_code: bool = False


class DiffusersOptions(EngineOptions):
    """Text-to-image pipelines through diffusers. `device` and `threads` as in TransformersOptions;
    `dtype` auto is bfloat16 on a GPU and float32 on a CPU.

    `steps` and `guidance_scale` are the models' own where they are not their pipeline's, as with
    distilled checkpoints. `offload` keeps on the GPU only the part, or the layer, that computes.
    """

    engine: Literal["diffusers"] = "diffusers"
    task: Literal["images"] = "images"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)
    offload: Literal["none", "model", "sequential"] = "none"


class VllmOptions(EngineOptions):
    """vLLM through `ray.serve.llm`'s LLMServer; needs the `gpu` extra."""

    engine: Literal["vllm"] = "vllm"
    task: Literal["chat"] = "chat"
    context_length: int | None = Field(default=None, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)


class FasterWhisperOptions(EngineOptions):
    """Whisper through CTranslate2. `threads` as in TransformersOptions.

    `vad` leaves out what holds no voice. `batch_size` is how many chunks of 30 s are decoded at
    once; with 1 they are decoded one after the other, each knowing the text before it.
    """

    engine: Literal["faster_whisper"] = "faster_whisper"
    task: Literal["transcription"] = "transcription"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: Literal["default", "int8", "float16", "int8_float16", "float32"] = "default"
    threads: int | None = Field(default=None, ge=1)
    vad: bool = True
    batch_size: int = Field(default=1, ge=1, le=128)
    beam_size: int = Field(default=5, ge=1, le=20)


class PocketsphinxOptions(EngineOptions):
    """English recognition with the model in the pocketsphinx wheel; needs no download."""

    engine: Literal["pocketsphinx"] = "pocketsphinx"
    task: Literal["transcription"] = "transcription"


class EspeakOptions(EngineOptions):
    """espeak-ng through `espeakng-loader`; needs no download."""

    clones: ClassVar[bool] = True

    engine: Literal["espeak"] = "espeak"
    task: Literal["speech"] = "speech"
    voice: str = "en-us"


class HpssOptions(EngineOptions):
    """Stems by signal processing with numpy; needs no model and no download."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["hpss"] = "hpss"
    task: Literal["stems"] = "stems"


class RubberbandOptions(EngineOptions):
    """Voices moved to others by signal processing; needs no model and no download."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["rubberband"] = "rubberband"
    task: Literal["conversion"] = "conversion"


class AvOptions(EngineOptions):
    """PyAV in process, the ffmpeg of imageio-ffmpeg for filter graphs."""

    engine: Literal["av"] = "av"
    task: Literal["media"] = "media"


AnyEngineOptions = Annotated[
    FakeOptions
    | TransformersOptions
    | DiffusersOptions
    | VllmOptions
    | FasterWhisperOptions
    | PocketsphinxOptions
    | EspeakOptions
    | HpssOptions
    | RubberbandOptions
    | AvOptions,
    Field(discriminator="engine"),
]
