"""What each class of video pipelines can make, told by the configurations of its checkpoint: the
same before it is loaded and after. Knows no diffusers.
"""

from collections.abc import Callable, Mapping

from serve_app.core.video.checkpoint_parts import (
    CheckpointDescription,
    CogVideoXTransformer,
    WanSettings,
)
from serve_app.core.video.generation import VideoFacts, VideoMode
from serve_app.core.video.grids import (
    VideoGrid,
    cogvideox_grid,
    ltx_grid,
    svd_grid,
    wan_grid,
    wan_transformer,
)

LTX_CONDITION_FRAMES = 9


def checkpoint_facts(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    """`max_frames` is what chained renderings may add up to. ValueError, listing those that are
    known, for a pipeline that is not, and for configurations that say what cannot be.
    """
    name = checkpoint.pipeline
    if name not in KINDS:
        raise ValueError(f"{name} is not a known video pipeline; known ones: {', '.join(KINDS)}")
    return KINDS[name](checkpoint, max_frames)


def _facts(
    modes: tuple[VideoMode, ...], grid: VideoGrid, max_frames: int, *, native_frames: int = 0
) -> VideoFacts:
    """`native_frames` is from how many of their own frames models go on that can; others that
    animate images are chained by their last one.
    """
    can_chain = "i2v" in modes
    can_be_long = can_chain or "v2v" in modes
    return VideoFacts(
        family=grid.family,
        modes=modes,
        native_fps=grid.fps,
        frame_base=1,
        frame_step=grid.step,
        min_frames=1 + grid.step,
        max_frames=max(max_frames, grid.longest) if can_be_long else grid.longest,
        max_frames_per_render=grid.longest,
        segment_frames=grid.frames,
        cond_frames=native_frames or (1 if can_chain else 0),
        side_multiple=grid.side,
        continuation="native" if native_frames else "chained" if can_chain else "none",
    )


def _wan(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    """Wan 2.2's small model animates images with the same weights; others only videos."""
    settings = WanSettings.model_validate(checkpoint.settings)
    modes: tuple[VideoMode, ...] = ("t2v",)
    if settings.expand_timesteps:
        modes = ("t2v", "i2v", "ti2v", "extend")
    elif "transformer" in checkpoint.parts and settings.boundary_ratio is None:
        modes = ("t2v", "v2v")
    return _facts(modes, wan_grid(checkpoint), max_frames)


def _wan_image(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    """First-and-last-frame models have a place for both images, as have those that see images
    without an encoder.
    """
    modes: tuple[VideoMode, ...] = ("i2v", "ti2v", "extend")
    transformer = wan_transformer(checkpoint)
    takes_both = transformer.image_dim is None or transformer.pos_embed_seq_len is not None
    if takes_both and not WanSettings.model_validate(checkpoint.settings).expand_timesteps:
        modes = (*modes, "interp")
    return _facts(modes, wan_grid(checkpoint), max_frames)


def _ltx(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    return _facts(("t2v", "i2v", "ti2v", "extend"), ltx_grid(checkpoint), max_frames)


def _ltx_condition(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    modes: tuple[VideoMode, ...] = ("t2v", "i2v", "ti2v", "v2v", "interp", "extend")
    grid = ltx_grid(checkpoint)
    return _facts(modes, grid, max_frames, native_frames=LTX_CONDITION_FRAMES)


def _cogvideox(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    """CogVideoX 1.5 wants an even number of latent frames to make a video anew, which is off its
    grid.
    """
    is_first = checkpoint.part(CogVideoXTransformer, "transformer").patch_size_t is None
    modes: tuple[VideoMode, ...] = ("t2v", "v2v") if is_first else ("t2v",)
    return _facts(modes, cogvideox_grid(checkpoint), max_frames)


def _cogvideox_image(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    return _facts(("i2v", "ti2v", "extend"), cogvideox_grid(checkpoint), max_frames)


def _svd(checkpoint: CheckpointDescription, max_frames: int) -> VideoFacts:
    return _facts(("i2v", "extend"), svd_grid(checkpoint), max_frames)


KINDS: Mapping[str, Callable[[CheckpointDescription, int], VideoFacts]] = {
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
