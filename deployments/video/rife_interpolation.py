"""Frames put between frames by RIFE, with weights that the operator supplies."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.video import RifeOptions
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent, Interpolator
from serve_app.runtime.memory import free_memory
from serve_app.runtime.threads import unloaded

if TYPE_CHECKING:
    from deployments.video.rife_motion import RifeFinder


class RifeInterpolation(ModelEngine[RifeOptions], Interpolator):
    """An Interpolator. A video takes no more memory than a few of its frames, and what the network
    needs for one.
    """

    requires = ("av", "cv2")

    def __init__(
        self, options: RifeOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._finder: RifeFinder | None = _finder(options, model, path)

    async def close(self) -> None:
        """Free the weights; a video under way keeps them until it is made."""
        self._finder = None
        free_memory()

    @override
    def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        from deployments.video.interpolation_files import interpolation_events

        if self._finder is None:
            raise unloaded()
        return interpolation_events(request, self._finder, self.blobs, engine=self.options.engine)


def _finder(options: RifeOptions, model: Model, path: Path | None) -> "RifeFinder":
    import torch

    from deployments.torch_device import device_of
    from deployments.video.rife_checkpoint import loaded_network, weights_file
    from deployments.video.rife_motion import RifeFinder

    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source", remedy="set it to the flownet.pkl of a RIFE 4"
        )
    device = device_of(options)
    is_on_gpu = device.type == "cuda"
    name = ("float16" if is_on_gpu else "float32") if options.dtype == "auto" else options.dtype
    if name != "float32" and not is_on_gpu:
        raise BackendUnavailable(
            f"model {model.id!r} runs on a CPU, which does not take dtype {name!r}",
            remedy="set it to auto",
        )
    network = loaded_network(
        model,
        weights_file(model, path),
        device=device,
        dtype=getattr(torch, name),
        divisor=options.flow_divisor,
    )
    return RifeFinder(network)
