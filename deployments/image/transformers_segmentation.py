"""Segmentation through transformers: SAM and SAM 2, which can be pointed at objects, Mask2Former
and MaskFormer, which know the names of those they find.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from typing_extensions import override

from deployments.image.prompted_masks import PROMPTED, PromptedMasks
from deployments.image.segment_images import Find, stored_segments
from deployments.image.universal_masks import UNIVERSAL, UniversalMasks
from deployments.model_engine import WorkerEngine
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading, loading_arguments
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.segmentation import SegmentationModel, SegmentEvent, SegmentImage
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions


class TransformersSegmentation(WorkerEngine[TransformersOptions], SegmentationModel):
    """A SegmentationModel. One image is worked on at a time."""

    def __init__(
        self, options: TransformersOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._find = _loaded(options, model, path)

    async def close(self) -> None:
        """Let go of the weights."""
        await super().close()
        self._find = _unloaded

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


def _loaded(options: TransformersOptions, model: Model, path: Path | None) -> Find:
    device = device_of(options)
    with loading(model, path) as directory:
        arguments = loading_arguments(options, device)
        config: Any = AutoConfig.from_pretrained(directory, local_files_only=True)
        if config.model_type in PROMPTED:
            return PromptedMasks(directory, device=device, arguments=arguments).find
        if config.model_type in UNIVERSAL:
            return UniversalMasks(model.id, directory, device=device, arguments=arguments).find
    raise BackendUnavailable(
        f"model {model.id!r} is a {config.model_type!r} checkpoint",
        remedy=f"segmentation takes {', '.join((*PROMPTED, *UNIVERSAL))}",
    )


def _unloaded(*_: object) -> Any:
    raise BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)
