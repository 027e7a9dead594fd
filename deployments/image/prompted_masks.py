"""Masks of SAM and SAM 2, whose inputs are made by hand because SAM 2's own processor wants
torchvision; and those of a whole image, asked for at a grid of points. Blocks.

Alexander Kirillov et al.: "Segment Anything", 2023; Nikhila Ravi et al.: "SAM 2", 2024.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForMaskGeneration

from deployments.image.mask_grid import MaskCandidates, grid_points
from deployments.image.segment_images import Mask
from serve_app.core.image.segmentation import Prompt
from serve_app.core.message import Progress

PROMPTED = ("sam", "sam2", "sam2_video")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
GRID_SIDE = {"cpu": 16, "cuda": 32}
"""Points per side where everything is wanted; the paper's 32 take half a minute on a CPU."""
GRID_BATCH = 64
Stop = Callable[[], bool]
Channels = np.ndarray[Any, np.dtype[np.float32]]


class EncodedImage(NamedTuple):
    """One image as the decoder wants it. `shown` are the width and height that the image has
    in the model's square; `size` those of the image.
    """

    embeddings: Any
    shown: tuple[int, int]
    size: tuple[int, int]


class PromptedMasks:
    """One loaded checkpoint."""

    def __init__(self, directory: Path, *, device: torch.device, arguments: dict[str, Any]) -> None:
        loaded = AutoModelForMaskGeneration.from_pretrained(directory, **arguments)
        self._model: Any = loaded.to(device).eval()
        config = self._model.config
        self._keeps_proportions = config.model_type == "sam"
        self._side = _side(config.prompt_encoder_config.image_size)
        self._mean, self._std = _normalisation(directory)
        self._device = device

    def find(
        self, image: Image.Image, prompts: list[Prompt], stop: Stop
    ) -> Iterator[Progress | Mask]:
        """One mask per prompt, in their order; without prompts one per object, the best first."""
        total = len(prompts) or 1
        yield Progress(phase="encode", current=0, total=total)
        encoded = self._encoded(image)
        if not prompts:
            yield from self._everything(encoded, stop)
            return
        for number, prompt in enumerate(prompts):
            if stop():
                return
            logits, score = self._best_mask(encoded, prompt)
            yield Progress(phase="segment", current=number + 1, total=total)
            yield Mask(self._full(logits, encoded), score)

    def _encoded(self, image: Image.Image) -> EncodedImage:
        shown = self._shown(image.size)
        pixels = np.asarray(image.resize(shown, Image.Resampling.BILINEAR), np.float32) / 255
        values = torch.zeros((1, 3, self._side, self._side))
        normal = (pixels - self._mean) / self._std
        values[0, :, : shown[1], : shown[0]] = torch.from_numpy(normal).permute(2, 0, 1)
        with torch.inference_mode():
            embeddings = self._model.get_image_embeddings(
                values.to(self._device, self._model.dtype)
            )
        return EncodedImage(embeddings, shown, image.size)

    def _shown(self, size: tuple[int, int]) -> tuple[int, int]:
        """SAM is shown the image in the corner of its square, SAM 2 the image stretched."""
        if not self._keeps_proportions:
            return self._side, self._side
        scale = self._side / max(size)
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

    def _best_mask(self, encoded: EncodedImage, prompt: Prompt) -> tuple[torch.Tensor, float]:
        """The mask of one object. Several candidates are asked for, and the best is taken, where
        one point alone leaves open how much around it is meant.
        """
        points = [[(point.x, point.y) for point in prompt.points]]
        labels = [[int(point.is_object) for point in prompt.points]]
        box = None
        if prompt.box is not None:
            box = (prompt.box.x1, prompt.box.y1, prompt.box.x2, prompt.box.y2)
        is_open = box is None and len(prompt.points) == 1
        masks, scores = self._decoded(encoded, points, labels, box, candidates=is_open)
        best = int(scores[0].argmax())
        return masks[0, best], float(scores[0, best])

    def _decoded(
        self,
        encoded: EncodedImage,
        points: list[list[tuple[float, float]]],
        labels: list[list[int]],
        box: tuple[float, float, float, float] | None,
        *,
        candidates: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits shaped (objects, candidates, height, width) and how good they are thought to be,
        for one box or for as many points per object.
        """
        x, y = (shown / size for shown, size in zip(encoded.shown, encoded.size, strict=True))
        inputs: dict[str, torch.Tensor] = {}
        if points[0]:
            places = torch.tensor([points]) * torch.tensor([x, y])
            inputs["input_points"] = places.to(self._device, self._model.dtype)
            inputs["input_labels"] = torch.tensor([labels], device=self._device)
        if box is not None:
            corners = torch.tensor([[box]]) * torch.tensor([x, y, x, y])
            inputs["input_boxes"] = corners.to(self._device, self._model.dtype)
        with torch.inference_mode():
            output = self._model(
                image_embeddings=encoded.embeddings, multimask_output=candidates, **inputs
            )
        return output.pred_masks[0].float().cpu(), output.iou_scores[0].float().cpu()

    def _everything(self, encoded: EncodedImage, stop: Stop) -> Iterator[Progress | Mask]:
        """What is found at a grid of points, the best first."""
        places = grid_points(GRID_SIDE[self._device.type], encoded.size)
        width, height = encoded.shown
        found = MaskCandidates(rows=height / self._side, columns=width / self._side)
        for start in range(0, len(places), GRID_BATCH):
            if stop():
                return
            batch = places[start : start + GRID_BATCH]
            masks, scores = self._decoded(
                encoded, [[place] for place in batch], [[1]] * len(batch), None, candidates=True
            )
            found.add(masks.flatten(0, 1), scores.flatten())
            done = start + len(batch)
            yield Progress(phase="segment", current=done, total=len(places))
        for logits, score in found.best():
            yield Mask(self._full(logits, encoded), score)

    def _full(self, logits: torch.Tensor, encoded: EncodedImage) -> Image.Image:
        """The mask in the image's size, without what fills the model's square."""
        width, height = encoded.shown
        if self._keeps_proportions:
            logits = _resized(logits, (self._side, self._side))[:height, :width]
        mask = _resized(logits, encoded.size).numpy() > 0
        return Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))


def _resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    large = torch.nn.functional.interpolate(
        logits[None, None], (size[1], size[0]), mode="bilinear", align_corners=False
    )
    return large[0, 0]


def _side(size: int | list[int] | tuple[int, int]) -> int:
    return size if isinstance(size, int) else size[0]


def _normalisation(directory: Path) -> tuple[Channels, Channels]:
    """Mean and deviation per channel, as the checkpoint says, else ImageNet's."""
    for name in PROCESSOR_FILES:
        if (directory / name).exists():
            content = json.loads((directory / name).read_text())
            content = content.get("image_processor", content)
            if "image_mean" in content and "image_std" in content:
                return _channels(content["image_mean"]), _channels(content["image_std"])
    return _channels(IMAGENET_MEAN), _channels(IMAGENET_STD)


def _channels(values: Iterable[float]) -> Channels:
    return np.array(list(values), np.float32)
