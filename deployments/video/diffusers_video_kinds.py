"""What each class of video pipelines can make: facts read from the checkpoint, and which class does
which mode with the same weights.

Imported only where diffusers is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers

from serve_app.core.image.images import Size
from serve_app.core.video.generation import VideoFacts, VideoMode

WAN_FRAMES, WAN_FPS = 81, 16.0
WAN_22_FRAMES, WAN_22_FPS = 121, 24.0
LTX_FRAMES, LTX_FPS = 161, 25.0
LTX_LONGEST = 257
LTX_CONDITION_FRAMES = 9
COGVIDEOX_FPS, COGVIDEOX_15_FPS = 8.0, 16.0
SVD_FPS = 7.0


@dataclass(frozen=True)
class Kind:
    """`pipelines` has a class for each mode of `facts`. `fixed_size` is the only one a model draws,
    None where it draws any.
    """

    facts: VideoFacts
    pipelines: Mapping[VideoMode, Any]
    fixed_size: Size | None = None


def kind_of(pipeline: Any, max_frames: int) -> Kind:
    """Of a loaded pipeline. ValueError, listing those that are known, for a class that is not."""
    name = type(pipeline).__name__
    if name not in KINDS:
        raise ValueError(f"{name} is no video pipeline that is known; known are {', '.join(KINDS)}")
    return KINDS[name](pipeline, max_frames)


def _facts(
    modes: tuple[VideoMode, ...],
    max_frames: int,
    *,
    family: str,
    fps: float,
    step: int,
    frames: int,
    longest: int | None = None,
    side: int,
    cond_frames: int = 1,
    is_native: bool = False,
    base: int = 1,
) -> VideoFacts:
    """`frames` is what the model was made for, `longest` what one rendering can have."""
    can_chain = "i2v" in modes
    render = longest or frames
    return VideoFacts(
        family=family,
        modes=modes,
        native_fps=fps,
        frame_base=base,
        frame_step=step,
        min_frames=base + step,
        max_frames=max(max_frames, render) if can_chain or "v2v" in modes else render,
        max_frames_per_render=render,
        segment_frames=frames,
        cond_frames=cond_frames if can_chain else 0,
        side_multiple=side,
        continuation="native" if is_native else "chained" if can_chain else "none",
    )


def _wan_grid(pipeline: Any) -> dict[str, Any]:
    transformer = pipeline.transformer or pipeline.transformer_2
    is_22 = bool(pipeline.config.get("expand_timesteps"))
    return {
        "family": "wan",
        "fps": WAN_22_FPS if is_22 else WAN_FPS,
        "frames": WAN_22_FRAMES if is_22 else WAN_FRAMES,
        "step": pipeline.vae_scale_factor_temporal,
        "side": pipeline.vae_scale_factor_spatial * transformer.config.patch_size[1],
    }


def _wan(pipeline: Any, max_frames: int) -> Kind:
    """Wan 2.2's small model animates images with the same weights; others only videos."""
    text, image = diffusers.WanPipeline, diffusers.WanImageToVideoPipeline
    pipelines: dict[VideoMode, Any] = {"t2v": text}
    if pipeline.config.get("expand_timesteps"):
        pipelines |= {"i2v": image, "ti2v": image, "extend": image}
    elif pipeline.transformer is not None and pipeline.config.get("boundary_ratio") is None:
        pipelines["v2v"] = diffusers.WanVideoToVideoPipeline
    return Kind(_facts(tuple(pipelines), max_frames, **_wan_grid(pipeline)), pipelines)


def _wan_image(pipeline: Any, max_frames: int) -> Kind:
    """First-and-last-frame models have a place for both images, as have those that see images
    without an encoder.
    """
    image = diffusers.WanImageToVideoPipeline
    pipelines: dict[VideoMode, Any] = {"i2v": image, "ti2v": image, "extend": image}
    config = (pipeline.transformer or pipeline.transformer_2).config
    takes_both = config.image_dim is None or config.pos_embed_seq_len is not None
    if takes_both and not pipeline.config.get("expand_timesteps"):
        pipelines["interp"] = image
    return Kind(_facts(tuple(pipelines), max_frames, **_wan_grid(pipeline)), pipelines)


def _ltx_grid(pipeline: Any) -> dict[str, Any]:
    return {
        "family": "ltx",
        "fps": LTX_FPS,
        "frames": LTX_FRAMES,
        "longest": LTX_LONGEST,
        "step": pipeline.vae_temporal_compression_ratio,
        # The pipelines insist on 32 whatever the checkpoint is.
        "side": max(32, pipeline.vae_spatial_compression_ratio),
    }


def _ltx(pipeline: Any, max_frames: int) -> Kind:
    text, image = diffusers.LTXPipeline, diffusers.LTXImageToVideoPipeline
    pipelines: dict[VideoMode, Any] = {"t2v": text, "i2v": image, "ti2v": image, "extend": image}
    return Kind(_facts(tuple(pipelines), max_frames, **_ltx_grid(pipeline)), pipelines)


def _ltx_condition(pipeline: Any, max_frames: int) -> Kind:
    modes: tuple[VideoMode, ...] = ("t2v", "i2v", "ti2v", "v2v", "interp", "extend")
    grid = _ltx_grid(pipeline) | {"cond_frames": LTX_CONDITION_FRAMES, "is_native": True}
    facts = _facts(modes, max_frames, **grid)
    return Kind(facts, dict.fromkeys(modes, diffusers.LTXConditionPipeline))


def _cogvideox_grid(pipeline: Any) -> dict[str, Any]:
    config = pipeline.transformer.config
    return {
        "family": "cogvideox",
        "fps": COGVIDEOX_FPS if config.patch_size_t is None else COGVIDEOX_15_FPS,
        "frames": config.sample_frames,
        "step": pipeline.vae_scale_factor_temporal,
        "side": pipeline.vae_scale_factor_spatial * config.patch_size,
    }


def _cogvideox(pipeline: Any, max_frames: int) -> Kind:
    text, video = diffusers.CogVideoXPipeline, diffusers.CogVideoXVideoToVideoPipeline
    pipelines: dict[VideoMode, Any] = {"t2v": text}
    if pipeline.transformer.config.patch_size_t is None:
        # CogVideoX 1.5 wants an even number of latent frames there, which is off its grid.
        pipelines["v2v"] = video
    return Kind(_facts(tuple(pipelines), max_frames, **_cogvideox_grid(pipeline)), pipelines)


def _cogvideox_image(pipeline: Any, max_frames: int) -> Kind:
    image = diffusers.CogVideoXImageToVideoPipeline
    modes: tuple[VideoMode, ...] = ("i2v", "ti2v", "extend")
    config, cell = pipeline.transformer.config, pipeline.vae_scale_factor_spatial
    fixed = None
    if config.use_learned_positional_embeddings:
        fixed = Size(width=config.sample_width * cell, height=config.sample_height * cell)
    facts = _facts(modes, max_frames, **_cogvideox_grid(pipeline))
    return Kind(facts, dict.fromkeys(modes, image), fixed)


def _svd(pipeline: Any, max_frames: int) -> Kind:
    image = diffusers.StableVideoDiffusionPipeline
    modes: tuple[VideoMode, ...] = ("i2v", "extend")
    halvings = len(pipeline.unet.config.block_out_channels) - 1
    facts = _facts(
        modes,
        max_frames,
        family="svd",
        fps=SVD_FPS,
        frames=pipeline.unet.config.num_frames,
        step=1,
        side=pipeline.vae_scale_factor * 2**halvings,
    )
    return Kind(facts, dict.fromkeys(modes, image))


KINDS: Mapping[str, Callable[[Any, int], Kind]] = {
    "WanPipeline": _wan,
    "WanVideoToVideoPipeline": _wan,
    "WanImageToVideoPipeline": _wan_image,
    "LTXPipeline": _ltx,
    "LTXImageToVideoPipeline": _ltx,
    "LTXConditionPipeline": _ltx_condition,
    "CogVideoXPipeline": _cogvideox,
    "CogVideoXVideoToVideoPipeline": _cogvideox,
    "CogVideoXImageToVideoPipeline": _cogvideox_image,
    "StableVideoDiffusionPipeline": _svd,
}
"""By the class that a checkpoint's `model_index.json` names."""
