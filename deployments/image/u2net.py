"""Segmentation of what stands out of an image, by U2-Net in ONNX, on a CPU and without torch.

Xuebin Qin et al.: "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
Pattern Recognition 106 (2020).
"""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from typing_extensions import override

from deployments.image.segment_images import Mask, Stop, stored_segments
from deployments.model_engine import WorkerEngine
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.image.segmentation import (
    Prompt,
    SegmentationModel,
    SegmentEvent,
    SegmentImage,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.image import U2netOptions
from serve_app.runtime.extras import needed_by
from serve_app.runtime.threads import unloaded

if TYPE_CHECKING:
    from deployments.image.salience import SalienceNetwork


class U2netSegmentation(WorkerEngine[U2netOptions], SegmentationModel):
    """A SegmentationModel that cannot be pointed: everything that stands out is one object."""

    def __init__(
        self, options: U2netOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        with needed_by(options):
            from deployments.image.salience import loaded_network
        if path is None:
            raise BackendUnavailable(
                f"model {model.id!r} has no source", remedy="set it to an .onnx file of U2-Net"
            )
        self._network: SalienceNetwork | None = loaded_network(model, path, threads=options.threads)

    async def close(self) -> None:
        """Free the weights."""
        await super().close()
        self._network = None

    @override
    def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        return stored_segments(
            request,
            self._find,
            self.blobs,
            engine=self.options.engine,
            quality="ml",
            executor=self.worker,
        )

    def _find(
        self, image: Image.Image, prompts: list[Prompt], stop: Stop
    ) -> Iterator[Progress | Mask]:
        if prompts:
            raise UnsupportedCapability(
                f"model {self.model.id!r} takes no points or boxes: it finds what stands out",
                remedy="leave them out, or use another model",
                param=prompts[0].field.partition("[")[0],
            )
        if self._network is None:
            raise unloaded()
        yield Progress(phase="segment", current=0, total=1)
        if stop():
            return
        yield from self._network.masks(image)
        yield Progress(phase="segment", current=1, total=1)
