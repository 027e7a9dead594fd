"""Which of diffusers' pipelines does which mode with the weights of a checkpoint.

Imported only where diffusers is. What a checkpoint can make is core's `video_checkpoints`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import diffusers

from serve_app.core.image.images import Size
from serve_app.core.video.checkpoint_parts import PARTS, CheckpointDescription
from serve_app.core.video.checkpoints import checkpoint_facts
from serve_app.core.video.generation import VideoFacts, VideoMode

IMAGE_MODES: tuple[VideoMode, ...] = ("i2v", "ti2v", "extend", "interp")
WAN: Mapping[VideoMode, Any] = {
    "t2v": diffusers.WanPipeline,
    "v2v": diffusers.WanVideoToVideoPipeline,
    **dict.fromkeys(IMAGE_MODES, diffusers.WanImageToVideoPipeline),
}
LTX: Mapping[VideoMode, Any] = {
    "t2v": diffusers.LTXPipeline,
    **dict.fromkeys(IMAGE_MODES, diffusers.LTXImageToVideoPipeline),
}
LTX_CONDITION: Mapping[VideoMode, Any] = {
    "t2v": diffusers.LTXConditionPipeline,
    "v2v": diffusers.LTXConditionPipeline,
    **dict.fromkeys(IMAGE_MODES, diffusers.LTXConditionPipeline),
}
COGVIDEOX: Mapping[VideoMode, Any] = {
    "t2v": diffusers.CogVideoXPipeline,
    "v2v": diffusers.CogVideoXVideoToVideoPipeline,
    **dict.fromkeys(IMAGE_MODES, diffusers.CogVideoXImageToVideoPipeline),
}
SVD: Mapping[VideoMode, Any] = dict.fromkeys(IMAGE_MODES, diffusers.StableVideoDiffusionPipeline)

PIPELINES: Mapping[str, Mapping[VideoMode, Any]] = {
    "WanPipeline": WAN,
    "WanVideoToVideoPipeline": WAN,
    "WanImageToVideoPipeline": WAN,
    "LTXPipeline": LTX,
    "LTXImageToVideoPipeline": LTX,
    "LTXConditionPipeline": LTX_CONDITION,
    "CogVideoXPipeline": COGVIDEOX,
    "CogVideoXVideoToVideoPipeline": COGVIDEOX,
    "CogVideoXImageToVideoPipeline": COGVIDEOX,
    "StableVideoDiffusionPipeline": SVD,
}
"""By the class that a checkpoint's `model_index.json` names; which of the modes a checkpoint has is
said by its facts.
"""


@dataclass(frozen=True)
class VideoPipelineKind:
    """`pipelines` has a class for each mode of `facts`. `fixed_size` is the only one that a model
    generates, None where it generates any.
    """

    facts: VideoFacts
    pipelines: Mapping[VideoMode, Any]
    fixed_size: Size | None = None


def kind_of(pipeline: Any, max_frames: int) -> VideoPipelineKind:
    """Of a loaded pipeline. ValueError, listing those that are known, for a class that is not."""
    facts = checkpoint_facts(description_of(pipeline), max_frames)
    classes = PIPELINES[type(pipeline).__name__]
    return VideoPipelineKind(
        facts, {mode: classes[mode] for mode in facts.modes}, _fixed_size(pipeline)
    )


def description_of(pipeline: Any) -> CheckpointDescription:
    """Of a loaded pipeline, whose configurations have diffusers' defaults in them."""
    there = {name: getattr(pipeline, name, None) for name in PARTS}
    return CheckpointDescription(
        pipeline=type(pipeline).__name__,
        settings=dict(pipeline.config),
        parts={name: dict(part.config) for name, part in there.items() if part is not None},
    )


def _fixed_size(pipeline: Any) -> Size | None:
    """CogVideoX for images learned where things are on one size."""
    if type(pipeline).__name__ != "CogVideoXImageToVideoPipeline":
        return None
    config, cell = pipeline.transformer.config, pipeline.vae_scale_factor_spatial
    if not config.use_learned_positional_embeddings:
        return None
    return Size(width=config.sample_width * cell, height=config.sample_height * cell)
