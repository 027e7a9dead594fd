"""Opening diffusers checkpoints: one set of weights, a pipeline for each thing it can do.

Imported only where diffusers is.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import diffusers
import torch

from deployments.image.diffusers_calls import Mode
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.options.image import DiffusersOptions

KINDS: dict[Mode, Any] = {
    "text_to_image": diffusers.AutoPipelineForText2Image,
    "image_to_image": diffusers.AutoPipelineForImage2Image,
    "inpaint": diffusers.AutoPipelineForInpainting,
}
DEEDS: dict[Mode, str] = {
    "text_to_image": "generate from text alone",
    "image_to_image": "edit images",
    "inpaint": "edit a part of an image",
}


class ImageCheckpoint:
    """The weights of one model, and its pipelines, which share them."""

    def __init__(self, options: DiffusersOptions, model: Model, path: Path | None) -> None:
        self.device = device_of(options)
        self.dtype = _dtype(options, self.device)
        self._model = model
        self._offload = options.offload
        if options.offload != "none" and self.device.type != "cuda":
            raise BackendUnavailable(
                f"model {model.id!r}: offload {options.offload!r} needs a CUDA device",
                remedy="set it to 'none'",
            )
        diffusers.utils.logging.disable_progress_bar()
        with loading(model, path, library="diffusers") as directory:
            arguments = {"dtype": self.dtype, "local_files_only": True} | options.extra
            mode, self.first = _opened(str(directory), arguments)
            self._place(self.first)
            # All of them now: later the first one may have something attached.
            self._pipelines = self._derived(mode)
        self._placed = self.first

    def pipeline(self, mode: Mode) -> Any:
        """UnsupportedCapability when the checkpoint is not made for it."""
        if mode not in self._pipelines:
            raise UnsupportedCapability(
                f"model {self._model.id!r} cannot {DEEDS[mode]}",
                remedy="use another model",
                param="model",
            )
        return self._pipelines[mode]

    def take_over(self, pipeline: Any) -> None:
        """Make it the one in use: hooks that bring weights to the GPU belong to one pipeline."""
        pipeline.set_progress_bar_config(disable=True)
        if pipeline is not self._placed and self._offload != "none":
            self._place(pipeline)
        self._placed = pipeline

    def _place(self, pipeline: Any) -> None:
        match self._offload:
            case "none":
                pipeline.to(self.device)
            case "model":
                pipeline.enable_model_cpu_offload()
            case "sequential":
                pipeline.enable_sequential_cpu_offload()

    def _derived(self, own: Mode) -> dict[Mode, Any]:
        """A pipeline for everything that the checkpoint's architecture can do."""
        pipelines = {}
        for mode, kind in KINDS.items():
            if mode != "inpaint" and self._takes_masks():
                continue
            if mode == own:
                pipelines[mode] = self.first
                continue
            with suppress(ValueError):
                pipelines[mode] = kind.from_pipe(self.first)
        return pipelines

    def _takes_masks(self) -> bool:
        """Whether the UNet takes the mask beside the latents, as those do that were trained for
        inpainting; nothing else can be generated with them.
        """
        unet = getattr(self.first, "unet", None)
        config, latents = getattr(unet, "config", None), getattr(self.first, "vae", None)
        in_channels = getattr(config, "in_channels", None)
        latent_channels = getattr(getattr(latents, "config", None), "latent_channels", None)
        return bool(in_channels and latent_channels and in_channels > latent_channels)


def _opened(directory: str, arguments: dict[str, Any]) -> tuple[Mode, Any]:
    """As the first kind that knows the checkpoint's class; some only edit."""
    refusal: ValueError | None = None
    for mode, kind in KINDS.items():
        try:
            return mode, kind.from_pretrained(directory, **arguments)
        except ValueError as error:
            if "can't find a pipeline linked" not in str(error):
                raise
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _dtype(options: DiffusersOptions, device: torch.device) -> torch.dtype:
    if options.dtype != "auto":
        return getattr(torch, options.dtype)  # type: ignore[no-any-return]
    return torch.float32 if device.type == "cpu" else torch.bfloat16
