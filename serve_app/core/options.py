"""The options of every engine: one class per engine, one union, discriminated by `engine`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.core.video import Offload, VideoFacts

Task = Literal[
    "chat",
    "embeddings",
    "rerank",
    "speech",
    "transcription",
    "diarization",
    "images",
    "segmentation",
    "faces",
    "upscaling",
    "depth",
    "captioning",
    "video",
    "stems",
    "media",
    "conversion",
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
    `is_fallback` marks engines that stand in for a trained model where callers allow that.
    `honours` are the optional fields of speech requests that the engine acts on; others are
    reported as ignored.
    """

    is_fallback: ClassVar[bool] = False
    honours: ClassVar[frozenset[str]] = frozenset()

    engine: str
    task: Task
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def clones(self) -> bool:
        """Whether it speaks in the voice of a recording."""
        return False


class FakeOptions(EngineOptions):
    """The deterministic engine for tests, benchmarks and dry runs; see `deployments/fake.py`.

    `tokens_per_s` paces streams, 0 sends at once. `load_s` delays loading. `fails_with` makes
    loading fail with that cause. `delay_s` is how long speech, transcription, image and media calls
    take; each adds a line to the file `diary` when it begins and one when it has ended, and so
    does loading.
    """

    engine: Literal["fake"] = "fake"
    task: Task
    tokens_per_s: float = Field(default=0, ge=0)
    load_s: float = Field(default=0, ge=0)
    fails_with: str | None = None
    context_length: int = Field(default=4096, ge=1)
    accepts_images: bool = False
    delay_s: float = Field(default=0, ge=0)
    diary: Path | None = None

    @property
    def clones(self) -> bool:
        """See EngineOptions."""
        return True


class TransformersOptions(EngineOptions):
    """Hugging Face transformers: causal and image-text-to-text models, encoders, cross-encoders.

    `device` auto is CUDA where there is one. `threads` is torch's intra-op number on a CPU, None
    leaves it to torch. `max_batch_tokens` and `cache_blocks` size continuous batching. `measures` is
    what a depth model's numbers are; auto reads it from its configuration.
    """

    engine: Literal["transformers"] = "transformers"
    task: Literal["chat", "embeddings", "rerank", "segmentation", "depth", "captioning"]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    context_length: int | None = Field(default=None, ge=1)
    max_batch_tokens: int = Field(default=1024, ge=16)
    cache_blocks: int | None = Field(default=None, ge=1)
    trust_remote_code: bool = False
    measures: Literal["auto", "distance", "inverse"] = "auto"


class DiffusersOptions(EngineOptions):
    """Image pipelines through diffusers. `device` and `threads` as in TransformersOptions; `dtype`
    auto is bfloat16 on a GPU and float32 on a CPU.

    `steps` and `guidance_scale` are the models' own where they are not their pipeline's, as with
    distilled checkpoints. `offload` keeps on the GPU only the part, or the layer, that computes.
    Up to `max_batch` pictures with the same settings, of any requests, are drawn at once.

    `loras` and `vaes` map names that requests may use to hub ids or local paths; with `hub_loras`
    requests may name any LoRA on the hub. `ip_adapter` is a directory or hub id that lets requests
    bring reference pictures: one weights file and an `image_encoder` directory; by default the
    directory `ip_adapter` of the model, if there is one. `ip_adapter_weights` picks one of several
    files.
    """

    engine: Literal["diffusers"] = "diffusers"
    task: Literal["images"] = "images"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)
    offload: Literal["none", "model", "sequential"] = "none"
    max_batch: int = Field(default=4, ge=1, le=64)
    loras: dict[str, str] = Field(default_factory=dict)
    hub_loras: bool = False
    vaes: dict[str, str] = Field(default_factory=dict)
    ip_adapter: str | None = None
    ip_adapter_weights: str | None = None


class VideoOptions(EngineOptions):
    """What engines for video share. With `needs_still` the model animates only: for a prompt alone,
    a still is drawn first by an image model. `facts` is what is known of it before it is loaded;
    what `denoises` has steps and guidance.
    """

    facts: ClassVar[VideoFacts | None] = None
    denoises: ClassVar[bool] = True

    task: Literal["video"] = "video"
    needs_still: bool = False


class DiffusersVideoOptions(VideoOptions):
    """Video pipelines through diffusers: Wan, LTX, CogVideoX, Stable Video Diffusion. The fields
    of DiffusersOptions mean the same. `max_frames` is what chained renderings may add up to.
    """

    engine: Literal["diffusers_video"] = "diffusers_video"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)
    offload: Offload = "none"
    max_frames: int = Field(default=1800, ge=1)


class CameraMovesOptions(VideoOptions):
    """Camera moves over stills and films by OpenCV; needs no model and no download."""

    is_fallback: ClassVar[bool] = True
    denoises: ClassVar[bool] = False
    facts: ClassVar[VideoFacts | None] = VideoFacts(
        family="camera_moves",
        modes=("t2v", "i2v", "ti2v", "v2v", "interp", "extend"),
        native_fps=24,
        frame_base=1,
        frame_step=1,
        min_frames=1,
        max_frames=14_400,
        max_frames_per_render=14_400,
        segment_frames=72,
        cond_frames=1,
        side_multiple=2,
        continuation="native",
    )

    engine: Literal["camera_moves"] = "camera_moves"
    needs_still: Literal[True] = True


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


class TransformersDiarizationOptions(EngineOptions):
    """Speakers told apart by what a transformers checkpoint makes of voices: x-vectors of WavLM,
    Wav2Vec2, UniSpeech-SAT and kin. `device` and `threads` as in TransformersOptions.

    Voices whose x-vectors are less alike (cosine) than `similarity` are two speakers, where a
    request does not say how many there are; the checkpoint's card says what fits it.
    """

    engine: Literal["transformers_diarization"] = "transformers_diarization"
    task: Literal["diarization"] = "diarization"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    similarity: float = Field(default=0.75, gt=0, lt=1)


class MfccOptions(EngineOptions):
    """Speakers told apart by cepstra and clustering with numpy; needs no model and no download."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["mfcc"] = "mfcc"
    task: Literal["diarization"] = "diarization"


class EspeakOptions(EngineOptions):
    """espeak-ng through `espeakng-loader`; needs no download."""

    engine: Literal["espeak"] = "espeak"
    task: Literal["speech"] = "speech"
    voice: str = "en-us"

    @property
    def clones(self) -> bool:
        """See EngineOptions."""
        return True


class TransformersSpeechOptions(EngineOptions):
    """VITS (MMS-TTS among them) and SpeechT5 through transformers. `device` and `threads` as in
    TransformersOptions.

    SpeechT5 needs a `vocoder`, a hub id or a local path, unless its directory holds one under that
    name, and a directory of speaker embeddings (.npy, .pt or .bin), by default `voices` in its own:
    each file is a voice that is named like it. `voice` is the default; else the first.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"seed"})

    engine: Literal["transformers_speech"] = "transformers_speech"
    task: Literal["speech"] = "speech"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    vocoder: str | None = None
    voices: Path | None = None
    voice: str | None = None


class PocketTtsOptions(EngineOptions):
    """Kyutai's Pocket TTS through transformers, which speaks in the voice of a recording. `device`
    and `threads` as in TransformersOptions.

    It needs its `audio_tokenizer`, a hub id or a local path, unless its directory holds one under
    that name, and a directory of recordings or their latents, by default `voices` in its own: each
    file is a voice that is named like it. `voice` is the default; else the first.
    """

    clones: ClassVar[bool] = True
    honours: ClassVar[frozenset[str]] = frozenset({"seed"})

    engine: Literal["pocket_tts"] = "pocket_tts"
    task: Literal["speech"] = "speech"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    audio_tokenizer: str | None = None
    voices: Path | None = None
    voice: str | None = None


class PiperOptions(EngineOptions):
    """Piper voices (ONNX) through piper-tts; needs the `piper` extra. The model's source is a voice
    file or a directory that holds one, with its `.onnx.json` beside it.
    """

    engine: Literal["piper"] = "piper"
    task: Literal["speech"] = "speech"
    voice: str | None = None


class GrabcutOptions(EngineOptions):
    """Objects told from their background by colour, through OpenCV; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["grabcut"] = "grabcut"
    task: Literal["segmentation"] = "segmentation"


class OpencvFacesOptions(EngineOptions):
    """Faces found by the cascades in OpenCV's wheel, and cloned over others; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["opencv_faces"] = "opencv_faces"
    task: Literal["faces"] = "faces"


class InsightfaceOptions(EngineOptions):
    """Faces through the insightface package, which is installed apart, and ONNX weights that the
    operator has a licence for: see `docs/models.md`. `min_score` is the detector's.
    """

    engine: Literal["insightface"] = "insightface"
    task: Literal["faces"] = "faces"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    min_score: float = Field(default=0.5, gt=0, lt=1)


class TiledOptions(EngineOptions):
    """Networks that enlarge pictures tile by tile. `tile_px` bounds the memory; tiles overlap by
    `overlap_px` on every side. The rest is as in TransformersOptions.
    """

    task: Literal["upscaling"] = "upscaling"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    tile_px: int = Field(default=192, ge=32)
    overlap_px: int = Field(default=16, ge=0)

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if 4 * self.overlap_px > self.tile_px:
            raise ValueError("overlap_px: must be at most a quarter of tile_px")
        return self


class Swin2srOptions(TiledOptions):
    """Swin2SR checkpoints through transformers."""

    engine: Literal["swin2sr"] = "swin2sr"


class SpandrelOptions(TiledOptions):
    """Real-ESRGAN and its kin through spandrel; needs the `spandrel` extra. The model's source is a
    weights file or a directory that holds one.
    """

    engine: Literal["spandrel"] = "spandrel"


class LanczosOptions(EngineOptions):
    """Resizing through Pillow; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["lanczos"] = "lanczos"
    task: Literal["upscaling"] = "upscaling"


class DemucsOptions(EngineOptions):
    """Stems by Demucs. `device` and `threads` as in TransformersOptions. Chunks share `overlap` of
    their length with the next one; less is quicker and worse.
    """

    engine: Literal["demucs"] = "demucs"
    task: Literal["stems"] = "stems"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    overlap: float = Field(default=0.25, ge=0, le=0.5)


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
    | DiffusersVideoOptions
    | CameraMovesOptions
    | VllmOptions
    | FasterWhisperOptions
    | PocketsphinxOptions
    | TransformersDiarizationOptions
    | MfccOptions
    | EspeakOptions
    | TransformersSpeechOptions
    | PocketTtsOptions
    | PiperOptions
    | GrabcutOptions
    | OpencvFacesOptions
    | InsightfaceOptions
    | Swin2srOptions
    | SpandrelOptions
    | LanczosOptions
    | DemucsOptions
    | HpssOptions
    | RubberbandOptions
    | AvOptions,
    Field(discriminator="engine"),
]
