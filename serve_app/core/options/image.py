"""The options of engines for images."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from serve_app.core.options.engine import Device, EngineOptions, TorchOptions
from serve_app.core.options.text import TransformersOptions


class DiffusersOptions(TorchOptions):
    """Image pipelines through diffusers. `dtype` auto is bfloat16 on a GPU and float32 on a CPU.

    `steps` and `guidance_scale` are the models' own where they are not their pipeline's, as with
    distilled checkpoints. `offload` keeps on the GPU only the part, or the layer, that computes.
    Up to `max_batch` images with the same settings, of any requests, are generated at once.

    `loras` and `vaes` map names that requests may use to hub ids or local paths; with `hub_loras`
    requests may name any LoRA on the hub. `embeddings` are learned words by textual inversion:
    where a prompt has such a name as a word, its vectors are read. `ip_adapter` is a directory or
    hub id that lets requests bring reference images: one weights file and an `image_encoder`
    directory; by default the directory `ip_adapter` of the model, if there is one.
    `ip_adapter_weights` picks one of several files.
    """

    engine: Literal["diffusers"] = "diffusers"
    task: Literal["images"] = "images"
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)
    offload: Literal["none", "model", "sequential"] = "none"
    max_batch: int = Field(default=4, ge=1, le=64)
    loras: dict[str, str] = Field(default_factory=dict)
    hub_loras: bool = False
    vaes: dict[str, str] = Field(default_factory=dict)
    embeddings: dict[str, str] = Field(default_factory=dict)
    ip_adapter: str | None = None
    ip_adapter_weights: str | None = None


class PosterOptions(EngineOptions):
    """Posters of a backdrop and the symbols that a prompt names; needs no trained model. The
    source is a directory with an outline font of emoji, and perhaps one of letters.
    """

    is_fallback: ClassVar[bool] = True

    engine: Literal["poster"] = "poster"
    task: Literal["images"] = "images"


class GrabcutOptions(EngineOptions):
    """Objects told from their background by colour, through OpenCV; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["grabcut"] = "grabcut"
    task: Literal["segmentation"] = "segmentation"


class U2netOptions(EngineOptions):
    """What stands out of an image, by U2-Net in ONNX, on a CPU and without torch. The model's
    source is an `.onnx` file or a directory that holds one. `threads` None leaves their number to
    ONNX Runtime.
    """

    takes_prompts: ClassVar[bool] = False

    engine: Literal["u2net"] = "u2net"
    task: Literal["segmentation"] = "segmentation"
    threads: int | None = Field(default=None, ge=1)


class OpencvFacesOptions(EngineOptions):
    """Faces found by the cascades in OpenCV's wheel, and cloned over others; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["opencv_faces"] = "opencv_faces"
    task: Literal["faces"] = "faces"


class InsightfaceOptions(EngineOptions):
    """Faces through the insightface package, which is installed apart, and ONNX weights that the
    operator has a licence for: see `docs/models.md`. `min_score` is the detector's.
    """

    remedy: ClassVar[str] = (
        "install it with: pip install --no-deps insightface && "
        "pip install onnx onnxruntime scikit-image tqdm requests"
    )

    engine: Literal["insightface"] = "insightface"
    task: Literal["faces"] = "faces"
    device: Device = "auto"
    min_score: float = Field(default=0.5, gt=0, lt=1)


class TileOptions(EngineOptions):
    """What enlarges images tile by tile. `tile_px` bounds the memory; tiles overlap by `overlap_px`
    on every side.
    """

    task: Literal["upscaling"] = "upscaling"
    tile_px: int = Field(default=192, ge=32)
    overlap_px: int = Field(default=16, ge=0)

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if 4 * self.overlap_px > self.tile_px:
            raise ValueError("overlap_px: must be at most a quarter of tile_px")
        return self


class TiledOptions(TileOptions, TorchOptions):
    """Networks of torch that enlarge images tile by tile."""


class Swin2srOptions(TiledOptions):
    """Swin2SR checkpoints through transformers."""

    engine: Literal["swin2sr"] = "swin2sr"


class SpandrelOptions(TiledOptions):
    """Real-ESRGAN and its kin through spandrel; needs the `spandrel` extra. The model's source is a
    weights file or a directory that holds one.
    """

    remedy: ClassVar[str] = "install the spandrel extra: pip install 'polyphony[spandrel]'"

    engine: Literal["spandrel"] = "spandrel"


class NcnnOptions(TileOptions):
    """SPAN, Real-ESRGAN and their kin in ncnn's form, on a CPU and without torch. The model's
    source is a `.param` file with its `.bin` beside it, or a directory of such pairs, one for each
    factor. `threads` None is one per core.
    """

    engine: Literal["ncnn"] = "ncnn"
    threads: int | None = Field(default=None, ge=1)
    tile_px: int = Field(default=384, ge=32)
    overlap_px: int = Field(default=12, ge=0)


class LanczosOptions(EngineOptions):
    """Resizing through Pillow; needs no model."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["lanczos"] = "lanczos"
    task: Literal["upscaling"] = "upscaling"


AnyImagesOptions = DiffusersOptions | PosterOptions
AnySegmentationOptions = TransformersOptions | GrabcutOptions | U2netOptions
AnyFacesOptions = OpencvFacesOptions | InsightfaceOptions
AnyUpscalingOptions = Swin2srOptions | SpandrelOptions | NcnnOptions | LanczosOptions
AnyDepthOptions = TransformersOptions
AnyCaptioningOptions = TransformersOptions
ImageEngineOptions = (
    AnyImagesOptions
    | AnySegmentationOptions
    | AnyFacesOptions
    | AnyUpscalingOptions
    | AnyDepthOptions
    | AnyCaptioningOptions
)
