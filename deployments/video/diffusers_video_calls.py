"""How a video pipeline wants to be called for one rendering.

Imported only where diffusers is.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy as np
from PIL import Image

from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.images import Size
from serve_app.core.notices import Notice
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.video.generation import CameraMotion, GenerateVideo, VideoQuality

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

NO_EFFECT = "has no effect with this model"
STEP_SHARES: dict[VideoQuality | None, float] = {"draft": 0.4, "fast": 0.7, None: 1.0, "best": 1.5}
MAX_STEPS = 150
STEPS = 50
"""For pipelines that name no number of their own."""
USUAL_STRENGTH = 0.8
DECODED_TOGETHER = 8
"""Frames that Stable Video Diffusion decodes at once; all of them would take the most memory."""
MOTIONS: dict[CameraMotion, str] = {
    "zoom-in": "the camera slowly zooms in",
    "zoom-out": "the camera slowly zooms out",
    "pan-left": "the camera pans to the left",
    "pan-right": "the camera pans to the right",
    "tilt-up": "the camera tilts up",
    "tilt-down": "the camera tilts down",
    "rotate": "the camera rotates around the subject",
}


@dataclass(frozen=True)
class RenderingInputs:
    """What one rendering is made of. `lead` are the frames it begins with, `end` is its last one,
    `video` is made anew.
    """

    lead: tuple[Pixels, ...] = ()
    end: Pixels | None = None
    video: tuple[Pixels, ...] = ()


class VideoCall:
    """The arguments of one kind of pipeline for one request."""

    def __init__(
        self, pipeline: Any, request: GenerateVideo, options: DiffusersVideoOptions
    ) -> None:
        parameters = inspect.signature(type(pipeline).__call__).parameters
        self._defaults = {name: given.default for name, given in parameters.items()}
        self._pipeline = pipeline
        self._request = request
        self._options = options
        if request.camera_motion is not None and not self._takes("prompt"):
            raise UnsupportedCapability(
                f"model {request.model!r} has no prompt for camera motion",
                remedy="leave it out",
                param="camera_motion",
            )

    @property
    def steps(self) -> int:
        """As asked, or the model's own scaled by the quality."""
        if self._request.steps is not None:
            return self._request.steps
        own = self._options.steps or self._defaults.get("num_inference_steps") or STEPS
        return max(1, min(MAX_STEPS, round(own * STEP_SHARES[self._request.quality])))

    @property
    def strength(self) -> float:
        """How much of a video is made anew."""
        return USUAL_STRENGTH if self._request.strength is None else self._request.strength

    @property
    def keeps_video(self) -> bool:
        """Whether so little is to be made anew that it is nothing."""
        return int(self.steps * self.strength) < 1

    def arguments(
        self, material: RenderingInputs, size: Size, fps: float, count: int
    ) -> dict[str, Any]:
        """Everything but the generator and the callback."""
        arguments = self._words() | self._media(material, count)
        arguments |= {
            "height": size.height,
            "width": size.width,
            "num_inference_steps": self.steps,
            "output_type": "np",
        }
        optional = {
            "num_frames": count,
            "frame_rate": fps,
            "fps": max(1, round(fps)),
            self._guidance: self._guidance_scale,
            "decode_chunk_size": min(count, DECODED_TOGETHER),
        } | self._decoding
        return arguments | {
            name: value
            for name, value in optional.items()
            if value is not None and self._takes(name)
        }

    def warnings(self) -> list[Notice]:
        """What the model cannot follow to the letter."""
        request = self._request
        warnings: list[Notice] = []
        if request.camera_motion is not None:
            warnings.append(Notice(field="camera_motion", text="added to the prompt"))
        if request.strength is not None and request.mode != "v2v":
            said = f"has no effect in the mode {request.mode!r}"
            warnings.append(Notice(field="strength", text=said))
        if request.negative_prompt and not self._takes("negative_prompt"):
            warnings.append(Notice(field="negative_prompt", text=NO_EFFECT))
        elif request.negative_prompt and (self._guidance_scale or 0) <= 1:
            said = "has no effect with a guidance scale up to 1"
            warnings.append(Notice(field="negative_prompt", text=said))
        if request.prompt.strip() and not self._takes("prompt") and request.mode != "t2v":
            warnings.append(Notice(field="prompt", text=NO_EFFECT))
        return warnings

    def _takes(self, name: str) -> bool:
        return name in self._defaults

    @property
    def _guidance(self) -> str:
        return "guidance_scale" if self._takes("guidance_scale") else "max_guidance_scale"

    @property
    def _guidance_scale(self) -> float | None:
        requested = (self._request.guidance_scale, self._options.guidance_scale)
        own: float | None = self._defaults.get(self._guidance)
        return next((value for value in requested if value is not None), own)

    @property
    def _decoding(self) -> dict[str, float]:
        """LTX's later autoencoders take out the last noise themselves; these are its authors' own
        numbers.
        """
        config = getattr(self._pipeline.vae, "config", {})
        if not config.get("timestep_conditioning"):
            return {}
        return {"decode_timestep": 0.05, "decode_noise_scale": 0.025}

    def _words(self) -> dict[str, Any]:
        if not self._takes("prompt"):
            return {}
        motion = self._request.camera_motion
        said = (self._request.prompt.strip(), MOTIONS[motion] if motion else "")
        words: dict[str, Any] = {"prompt": ", ".join(filter(None, said))}
        if self._request.negative_prompt is not None:
            words["negative_prompt"] = self._request.negative_prompt
        config = getattr(getattr(self._pipeline, "transformer", None), "config", {})
        if "max_text_seq_length" in config:
            words["max_sequence_length"] = config["max_text_seq_length"]
        return words

    def _media(self, material: RenderingInputs, count: int) -> dict[str, Any]:
        if self._takes("conditions"):
            return {"conditions": _conditions(material, count, self.strength)}
        media: dict[str, Any] = {}
        if material.lead:
            media["image"] = Image.fromarray(material.lead[-1])
        if material.end is not None:
            media["last_image"] = Image.fromarray(material.end)
        if material.video:
            media["video"] = _images(material.video)
            media["strength"] = self.strength
        return media


def _conditions(material: RenderingInputs, count: int, strength: float) -> list[Any] | None:
    """LTX is told frames and where they belong; a video that it is told faintly is made anew."""
    condition = diffusers.pipelines.ltx.pipeline_ltx_condition.LTXVideoCondition
    conditions = []
    if material.video:
        conditions.append(condition(video=_images(material.video), strength=1 - strength))
    if len(material.lead) > 1:
        conditions.append(condition(video=_images(material.lead)))
    elif material.lead:
        conditions.append(condition(image=Image.fromarray(material.lead[0])))
    if material.end is not None:
        conditions.append(condition(image=Image.fromarray(material.end), frame_index=count - 1))
    return conditions or None


def _images(frames: tuple[Pixels, ...]) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames]
