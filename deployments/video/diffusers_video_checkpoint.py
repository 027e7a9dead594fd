"""Opening video checkpoints: one set of weights, a pipeline for each thing it can do.

Imported only where diffusers is.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers
import torch

from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading
from deployments.video.diffusers_video_kinds import kind_of
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.video.generation import Offload, VideoMode


class VideoCheckpoint:
    """The weights of one model, and its pipelines, which share them."""

    def __init__(self, options: DiffusersVideoOptions, model: Model, path: Path | None) -> None:
        self.device = device_of(options)
        if options.offload != "none" and self.device.type != "cuda":
            raise BackendUnavailable(
                f"model {model.id!r}: offload {options.offload!r} needs a CUDA device",
                remedy="set it to 'none'",
            )
        diffusers.utils.logging.disable_progress_bar()
        with loading(model, path, library="diffusers") as directory:
            arguments = {"dtype": _dtypes(directory, options, self.device)} | options.extra
            self.first: Any = diffusers.DiffusionPipeline.from_pretrained(
                str(directory), local_files_only=True, **arguments
            )
            self.kind = kind_of(self.first, options.max_frames)
        if options.offload != "none" and hasattr(self.first.vae, "enable_tiling"):
            self.first.vae.enable_tiling()
        self._pipelines = {type(self.first): self.first}
        self._offload = options.offload
        self._placed: tuple[Any, Offload] | None = None
        self.prepared(self.first, None)

    def pipeline(self, mode: VideoMode) -> Any:
        """The one for a mode that the kind has."""
        target = self.kind.pipelines[mode]
        if target not in self._pipelines:
            self._pipelines[target] = _sibling(self.first, target)
        return self._pipelines[target]

    def prepared(self, pipeline: Any, offload: Offload | None) -> Any:
        """The pipeline, on its device, offloaded as asked or as configured."""
        wanted = (pipeline, offload or self._offload)
        if self.device.type != "cuda":
            wanted = (pipeline, "none")
        if self._placed is None or wanted != self._placed:
            self._place(*wanted)
            self._placed = wanted
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _place(self, pipeline: Any, offload: Offload) -> None:
        """Hooks of another placement are taken off first; they hang on the shared weights."""
        if self._placed is not None and self._placed[1] != "none":
            self._placed[0].remove_all_hooks()
        match offload:
            case "none" if self._placed is None or self._placed[1] != "none":
                pipeline.to(self.device)
            case "model":
                pipeline.enable_model_cpu_offload()
            case "sequential":
                pipeline.enable_sequential_cpu_offload()


def _dtypes(directory: Path, options: DiffusersVideoOptions, device: torch.device) -> Any:
    """Wan's autoencoder and image encoder lose too much in half precision."""
    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    if device.type == "cpu":
        return torch.float32
    name = json.loads((directory / "model_index.json").read_text())["_class_name"]
    if not name.startswith("Wan"):
        return torch.bfloat16
    full = {"vae": torch.float32, "image_encoder": torch.float32}
    return {"default": torch.bfloat16} | full


def _sibling(first: Any, target: Any) -> Any:
    """Another class of pipeline over the same parts; `from_pipe` would change their number type."""
    parts: dict[str, Any] = dict(first.components)
    settings = {name: value for name, value in first.config.items() if name not in parts}
    taken = inspect.signature(target.__init__).parameters
    return target(**{n: v for n, v in (settings | parts).items() if n in taken})
