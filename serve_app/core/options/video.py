"""The options of engines for videos."""

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.core.options.engine import EngineOptions, TorchOptions
from serve_app.core.video.generation import Offload, VideoFacts

HardwareEncoder = Literal["h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"]
H264Encoder = Literal["auto", "libx264"] | HardwareEncoder


class VideoOptions(EngineOptions):
    """What engines for video share. With `needs_still` the model animates only: for a prompt alone,
    a still is generated first by an image model. `facts` is what is known of it before it is
    loaded; what `denoises` has steps and guidance.
    """

    facts: ClassVar[VideoFacts | None] = None
    denoises: ClassVar[bool] = True

    task: Literal["video"] = "video"
    needs_still: bool = False


class DiffusersVideoOptions(VideoOptions, TorchOptions):
    """Video pipelines through diffusers: Wan, LTX, CogVideoX, Stable Video Diffusion. The fields
    of DiffusersOptions mean the same. `max_frames` is what chained renderings may add up to.
    """

    engine: Literal["diffusers_video"] = "diffusers_video"
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)
    offload: Offload = "none"
    max_frames: int = Field(default=1800, ge=1)


class CameraMovesOptions(VideoOptions):
    """Camera moves over stills and videos by OpenCV; needs no model and no download."""

    is_fallback: ClassVar[bool] = True
    denoises: ClassVar[bool] = False
    facts: ClassVar[VideoFacts | None] = VideoFacts(
        family="camera_moves",
        modes=("t2v", "i2v", "ti2v", "v2v", "interp", "extend"),
        native_fps=24,
        frame_base=1,
        frame_step=1,
        min_frames=1,
        max_frames=14_400,
        max_frames_per_render=14_400,
        segment_frames=72,
        cond_frames=1,
        side_multiple=2,
        continuation="native",
    )

    engine: Literal["camera_moves"] = "camera_moves"
    needs_still: Literal[True] = True


class OpticalFlowOptions(EngineOptions):
    """Frames put in between by OpenCV's optical flow, both ways; needs no model."""

    engine: Literal["optical_flow"] = "optical_flow"
    task: Literal["interpolation"] = "interpolation"


class RifeOptions(TorchOptions):
    """Frames put in between by RIFE 4 with weights of the operator's: the model's source is the
    `flownet.pkl` or `.safetensors` of Practical-RIFE, a directory that holds it, or a hub id.

    `dtype` auto is float16 on a GPU and float32 on a CPU, which takes no other. `flow_divisor`
    looks for motion at images that much smaller, which suits 4K and larger videos.
    """

    engine: Literal["rife"] = "rife"
    task: Literal["interpolation"] = "interpolation"
    flow_divisor: Literal[1, 2, 4] = 1


class AvOptions(EngineOptions):
    """PyAV in process, the ffmpeg of imageio-ffmpeg for filter graphs. `encoder` writes the H.264
    of processed videos: `auto` is one in hardware that is found to work, else libx264.
    """

    engine: Literal["av"] = "av"
    task: Literal["media"] = "media"
    encoder: H264Encoder = "auto"


AnyVideoOptions = DiffusersVideoOptions | CameraMovesOptions
AnyInterpolationOptions = OpticalFlowOptions | RifeOptions
AnyMediaOptions = AvOptions
VideoEngineOptions = AnyVideoOptions | AnyInterpolationOptions | AnyMediaOptions
