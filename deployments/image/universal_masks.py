"""Masks of Mask2Former and MaskFormer: every object with its name, no pixel in two. Blocks.

Bowen Cheng et al.: "Masked-attention Mask Transformer for Universal Image Segmentation", 2022.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation

from deployments.image.segment_images import Mask
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.segmentation import Prompt
from serve_app.core.message import Progress

UNIVERSAL = ("mask2former", "maskformer")
MIN_SCORE = 0.5
MIN_VISIBLE = 0.8
"""How much of an object must not be covered by better ones."""
Stop = Callable[[], bool]


class UniversalMasks:
    """One loaded checkpoint."""

    def __init__(
        self, model_id: str, directory: Path, *, device: torch.device, arguments: dict[str, Any]
    ) -> None:
        loaded = AutoModelForUniversalSegmentation.from_pretrained(directory, **arguments)
        self._model: Any = loaded.to(device).eval()
        # The torchvision processors are not an option: it is no dependency.
        self._images: Any = AutoImageProcessor.from_pretrained(
            directory, local_files_only=True, backend="pil"
        )
        self._names: dict[int, str] = loaded.config.id2label
        self._model_id = model_id
        self._device = device

    def find(
        self, image: Image.Image, prompts: list[Prompt], stop: Stop
    ) -> Iterator[Progress | Mask]:
        """A mask per object, the best first; UnsupportedCapability for prompts. Blocks."""
        if prompts:
            field = prompts[0].field.partition("[")[0]
            raise UnsupportedCapability(
                f"model {self._model_id!r} segments all objects and takes no points or boxes",
                remedy="leave them out, or use a SAM model",
                param=field,
            )
        yield Progress(phase="segment", current=0, total=1)
        logits, scores, labels = self._queries(image)
        yield Progress(phase="segment", current=1, total=1)
        for number in _visible(logits, scores):
            if stop():
                return
            mask = _mask(_owned(logits, scores, number), image.size)
            yield Mask(mask, float(scores[number]), self._names.get(int(labels[number])))

    def _queries(self, image: Image.Image) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The objects, best first: mask logits of the image without what fills it up to the
        model's size, scores and labels.
        """
        inputs = self._images(images=image, return_tensors="pt")
        pixels = inputs["pixel_values"].to(self._device, self._model.dtype)
        with torch.inference_mode():
            output = self._model(
                pixel_values=pixels, pixel_mask=inputs["pixel_mask"].to(self._device)
            )
        chances = output.class_queries_logits[0].float().softmax(-1).cpu()
        scores, labels = chances.max(-1)
        # The last label is that of nothing.
        kept = ((labels < chances.shape[-1] - 1) & (scores > MIN_SCORE)).nonzero().flatten()
        kept = kept[scores[kept].argsort(descending=True)]
        masks = output.masks_queries_logits[0].float().cpu()[kept]
        return _shown(masks, inputs["pixel_mask"][0]), scores[kept], labels[kept]


def _shown(masks: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
    rows = round(int(filled.any(1).sum()) / filled.shape[0] * masks.shape[1])
    columns = round(int(filled.any(0).sum()) / filled.shape[1] * masks.shape[2])
    return masks[:, : max(1, rows), : max(1, columns)]


def _visible(logits: torch.Tensor, scores: torch.Tensor) -> list[int]:
    """The objects of which enough is not covered by others."""
    return [
        number
        for number, mask in enumerate(logits > 0)
        if int((_owned(logits, scores, number) > 0).sum()) > MIN_VISIBLE * int(mask.sum())
    ]


def _owned(logits: torch.Tensor, scores: torch.Tensor, number: int) -> torch.Tensor:
    """The mask of one object as logits, below 0 where another one is likelier."""
    weighed = logits.sigmoid() * scores[:, None, None]
    return torch.where(weighed.argmax(0) == number, logits[number], -logits[number].abs() - 1e-3)


def _mask(logits: torch.Tensor, size: tuple[int, int]) -> Image.Image:
    large = torch.nn.functional.interpolate(
        logits[None, None], (size[1], size[0]), mode="bilinear", align_corners=False
    )
    return Image.fromarray(np.where(large[0, 0].numpy() > 0, 255, 0).astype(np.uint8))
