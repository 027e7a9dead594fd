"""Depth with any checkpoint that `AutoModelForDepthEstimation` loads: Depth Anything, DPT, ZoeDepth
and their kin; of images, and of the frames of videos.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForDepthEstimation
from typing_extensions import override

from deployments.file_making import file_events
from deployments.image.padded_depth import without_padding
from deployments.media.image_decoding import decoded_image
from deployments.media.image_encoding import saved_png
from deployments.model_engine import WorkerEngine
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import check_complete, loading, loading_arguments
from serve_app.core.config import Model
from serve_app.core.errors import Cancelled
from serve_app.core.image.depth import (
    METHODS,
    ConvertToStereo,
    DepthEstimator,
    DepthEvent,
    DepthMap,
    EstimateDepth,
    StereoEvent,
)
from serve_app.core.image.images import Size
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.text import TransformersOptions
from serve_app.runtime.threads import in_turn

DISTANCE_TYPES = frozenset({"zoedepth", "glpn", "depth_pro", "prompt_depth_anything", "tipsv2_dpt"})
"""Architectures whose processed output is a distance; DPT and Depth Anything have both kinds."""

UNUSED = r"residual_layer1|pooler|mask_token"
"""Weights that the published DPT checkpoints lack, because nothing reads them."""

LONG_EDGE_PX = 4096
ASPECT = 4
"""Thinner images are widened first: processors keep proportions, down to no pixel at all."""

DYNAMIC_RANGE = 1000
"""Distances under this fraction of the farthest are taken for equally near."""

Numbers = NDArray[np.float32]
Stop = Callable[[], bool]


class TransformersDepth(WorkerEngine[TransformersOptions], DepthEstimator):
    """A DepthEstimator. Images are looked at one after the other in one thread."""

    def __init__(
        self, options: TransformersOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        device = device_of(options)
        with loading(model, path) as directory:
            self._processor: Any = AutoImageProcessor.from_pretrained(
                str(directory), local_files_only=True
            )
            network, report = AutoModelForDepthEstimation.from_pretrained(
                str(directory), output_loading_info=True, **loading_arguments(options, device)
            )
        check_complete(
            model, report["missing_keys"], kind="a depth estimation checkpoint", unused=UNUSED
        )
        self._network: Any = network.to(device).eval()
        self._is_stopped: Stop = _never
        for part in network.modules():
            part.register_forward_pre_hook(self._check_going_on)
        self._predicts_distance = predicts_distance(network.config, options)
        self.depth_method = METHODS.get(network.config.model_type)

    async def close(self) -> None:
        """Free the weights."""
        await super().close()
        self._network = None

    @override
    def estimate_depth(self, request: EstimateDepth) -> AsyncGenerator[DepthEvent]:
        return file_events(
            self.blobs,
            [request.image],
            lambda paths, target, stop: self._made(paths[0], target, request, stop),
            mime="image/png",
            result=lambda blob, made: DepthMap(depth=blob, size=made[0], warnings=made[1]),
            executor=self.worker,
        )

    @override
    def convert_to_stereo(self, request: ConvertToStereo) -> AsyncGenerator[StereoEvent]:
        from deployments.video.stereo_video import StereoConversion

        conversion = StereoConversion(
            lambda image, stop: in_turn(self.worker, lambda: self._nearness(image, stop)),
            method=self.depth_method,
            blobs=self.blobs,
        )
        return conversion.convert_to_stereo(request)

    def _check_going_on(self, *_: object) -> None:
        """Called before every layer: large models take seconds for one image on a CPU."""
        if self._is_stopped():
            raise Cancelled("the work was cancelled")

    def _nearness(self, image: Image.Image, stop: Stop) -> Numbers:
        depth = self._depth(image, stop)
        return inverted(depth) if self._predicts_distance else depth

    def _made(
        self, source: Path, target: Path, request: EstimateDepth, stop: Stop
    ) -> Iterator[Progress | tuple[Size, tuple[Notice, ...]]]:
        still = decoded_image(source, param="image", max_pixels=request.max_pixels)
        progress = partial(Progress, phase="depth", total=1)
        yield progress(current=0)
        depth = self._depth(still.image, stop)
        yield progress(current=1)
        near, warnings = as_brightness(depth, predicts_distance=self._predicts_distance)
        image = Image.fromarray(near)
        saved_png(image, target)
        yield Size(width=image.width, height=image.height), still.warnings + warnings

    @torch.inference_mode()
    def _depth(self, image: Image.Image, stop: Stop) -> Numbers:
        """The model's numbers at the image's size. Cancelled soon after being told to stop."""
        seen = image.resize(input_size(*image.size), Image.Resampling.BICUBIC)
        inputs = self._processor(images=seen, return_tensors="pt")
        inputs = inputs.to(self._network.device, self._network.dtype)
        self._is_stopped = stop
        outputs = self._network(**inputs)
        outputs.predicted_depth = outputs.predicted_depth.float()
        size = (image.height, image.width)
        if self.depth_method == "zoe":
            found = without_padding(
                outputs.predicted_depth,
                (seen.height, seen.width),
                size,
                is_padded=bool(self._processor.do_pad),
            )
        else:
            post_process = self._processor.post_process_depth_estimation
            found = post_process(outputs, target_sizes=[size])[0]["predicted_depth"]
        # Processors squeeze sides of one pixel away.
        return np.asarray(found.float().reshape(size).cpu().numpy(), dtype=np.float32)


def _never() -> bool:
    return False


def predicts_distance(config: Any, options: TransformersOptions) -> bool:
    """Whether large numbers are far. DPT heads with a projection are those of DINOv2, which were
    trained on distances; all other DPT and relative models were trained on their inverse.
    """
    if options.measures != "auto":
        return options.measures == "distance"
    if config.model_type == "depth_anything":
        return bool(config.depth_estimation_type == "metric")
    if config.model_type == "dpt":
        return bool(config.add_projection)
    return config.model_type in DISTANCE_TYPES


def inverted(distances: Numbers) -> Numbers:
    """As relative models tell depth; what is no number is far."""
    farthest = max(float(np.nanmax(distances, initial=0)), 1e-6)
    known = np.clip(np.nan_to_num(distances, nan=farthest), farthest / DYNAMIC_RANGE, farthest)
    return (1 / known).astype(np.float32)


def as_brightness(
    depth: Numbers, *, predicts_distance: bool
) -> tuple[NDArray[np.uint8], tuple[Notice, ...]]:
    """From 0 for the farthest to 255 for the nearest. Distances are inverted first, as those
    numbers are that relative models give; what is no number is far.
    """
    if predicts_distance:
        depth = inverted(depth)
    is_known = np.isfinite(depth)
    if not is_known.any() or np.ptp(depth[is_known]) <= 0:
        flat = np.zeros(depth.shape, np.uint8)
        said = "the model estimates the same distance everywhere"
        return flat, (Notice(field="depth", text=said),)
    least, most = float(depth[is_known].min()), float(depth[is_known].max())
    near = np.where(is_known, (depth - least) / (most - least), 0)
    return np.rint(near * 255).astype(np.uint8), ()


def input_size(width: int, height: int) -> tuple[int, int]:
    """The size at which an image is handed to the processor, which resizes it anyway."""
    shrink = min(1, LONG_EDGE_PX / max(width, height))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    least = -(-max(width, height) // ASPECT)
    return max(width, least), max(height, least)
