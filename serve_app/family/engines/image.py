"""The engines of each task of image: one function per task, one `case` per engine. Each engine is
imported where it is chosen, so that nothing heavy is imported before.
"""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import (
    DiffusersOptions,
    GrabcutOptions,
    InsightfaceOptions,
    LanczosOptions,
    OpencvFacesOptions,
    SpandrelOptions,
    Swin2srOptions,
)
from serve_app.core.options.text import TransformersOptions
from serve_app.family.engines.given import Given
from serve_app.family.engines.protocols import (
    CaptioningEngine,
    DepthEngine,
    FaceEngine,
    ImageEngine,
    SegmentationEngine,
    UpscalingEngine,
)


def images(options: DiffusersOptions | FakeOptions, given: Given) -> ImageEngine:
    match options:
        case DiffusersOptions():
            from deployments.image.diffusers_images import DiffusersImages

            return DiffusersImages(options, **given.common, locate=given.located)
        case FakeOptions():
            from deployments.fakes.images import FakeImages

            return FakeImages(options, **given.common)


def segmentation(
    options: TransformersOptions | GrabcutOptions | FakeOptions, given: Given
) -> SegmentationEngine:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_segmentation import TransformersSegmentation

            return TransformersSegmentation(options, **given.common)
        case GrabcutOptions():
            from deployments.image.grabcut import GrabcutSegmentation

            return GrabcutSegmentation(options, **given.common)
        case FakeOptions():
            from deployments.fakes.segmentation import FakeSegmentation

            return FakeSegmentation(options, **given.common)


def faces(
    options: OpencvFacesOptions | InsightfaceOptions | FakeOptions, given: Given
) -> FaceEngine:
    match options:
        case OpencvFacesOptions():
            from deployments.image.opencv_faces import OpencvFaces

            return OpencvFaces(options, **given.common)
        case InsightfaceOptions():
            from deployments.image.insightface_faces import InsightfaceFaces

            return InsightfaceFaces(options, **given.common)
        case FakeOptions():
            from deployments.fakes.faces import FakeFaces

            return FakeFaces(options, **given.common)


def upscaling(
    options: Swin2srOptions | SpandrelOptions | LanczosOptions | FakeOptions, given: Given
) -> UpscalingEngine:
    match options:
        case Swin2srOptions():
            from deployments.image.swin2sr_upscaling import Swin2srUpscaling

            return Swin2srUpscaling(options, **given.common)
        case SpandrelOptions():
            from deployments.image.spandrel_upscaling import SpandrelUpscaling

            return SpandrelUpscaling(options, **given.common)
        case LanczosOptions():
            from deployments.image.lanczos_upscaling import LanczosUpscaling

            return LanczosUpscaling(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeUpscaling

            return FakeUpscaling(options, **given.common)


def depth(options: TransformersOptions | FakeOptions, given: Given) -> DepthEngine:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_depth import TransformersDepth

            return TransformersDepth(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeDepth

            return FakeDepth(options, **given.common)


def captioning(options: TransformersOptions | FakeOptions, given: Given) -> CaptioningEngine:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_captioning import TransformersCaptioning

            return TransformersCaptioning(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeCaptions

            return FakeCaptions(options, **given.common)
