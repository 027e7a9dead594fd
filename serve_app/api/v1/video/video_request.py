"""From the body of a request for a video to the operation."""

import secrets

from serve_app.api.context import Context
from serve_app.api.v1.fields import RENDERING
from serve_app.api.v1.images.image_body import SEEDS
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_finishing import idle_details, refuse_not_served, to_finish
from serve_app.api.v1.video.video_identity import references, refuse_own_image
from serve_app.api.v1.video.video_models import capable_facts, video_options
from serve_app.api.v1.video.video_still import idle_keyframe, still
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob, MediaKind
from serve_app.core.video.generation import GenerateVideo, VideoMode
from serve_app.core.video.plan import planned
from serve_app.core.video.production import ProduceVideo

TAKEN: dict[VideoMode, tuple[str, ...]] = {
    "t2v": (),
    "i2v": ("image", "cond_frames"),
    "ti2v": ("image", "cond_frames"),
    "interp": ("image", "end_image"),
    "v2v": ("video",),
    "extend": ("video",),
}
"""The media that a mode is made of."""
MEDIA: dict[str, MediaKind] = {
    "image": "image",
    "end_image": "image",
    "video": "video",
    "cond_frames": "image",
}


async def to_produce(body: VideoBody, context: Context) -> ProduceVideo:
    """The operation, its media stored; what cannot be done is refused here as far as it is known
    before the model is loaded.
    """
    found = context.catalog.find("video", body.model)
    refuse_not_served(body)
    mode = requested_mode(body)
    check_media(body, mode)
    identity = await references(body, context)
    if identity is not None:
        refuse_own_image(body, identity.field)
    if body.loras:
        refuse_own_image(body, "loras")
    keyframe = mode == "t2v" and _wants_keyframe(body, found, has_identity=identity is not None)
    # A still for a model that generates none is a part of its answer to a prompt.
    mode = "ti2v" if keyframe and not video_options(found).needs_still else mode
    facts = await capable_facts(mode, found, context.catalog)
    finish, missing = await to_finish(
        body, context, video_prompt=body.prompt, has_source=body.video is not None
    )
    generation = await _generation(body, context, found, mode)
    if facts is not None:
        with renamed_error_fields(RENDERING):
            planned(generation, facts)
    return ProduceVideo(
        generation=generation,
        count=body.n or 1,
        image=await still(body, context, video_options(found), generation, identity)
        if keyframe
        else None,
        finish=finish,
        warnings=(*idle_details(body), *idle_keyframe(body, is_generated=keyframe), *missing),
    )


def requested_mode(body: VideoBody) -> VideoMode:
    """As named, or as the media say where that is nothing or the default."""
    mode = body.mode
    if mode == "at2v" or mode == "ai2v":
        raise UnsupportedCapability(f"no configured model supports the mode {mode!r}", param="mode")
    if mode is not None and mode != "t2v":
        return mode
    if body.video is not None:
        return "v2v"
    if body.end_image is not None:
        return "interp"
    if body.image is not None or body.cond_frames:
        return "ti2v" if (body.prompt or "").strip() else "i2v"
    return "t2v"


def check_media(body: VideoBody, mode: VideoMode) -> None:
    """InvalidRequest for media that the mode lacks, or has no use for."""
    for name in MEDIA:
        if getattr(body, name) and name not in TAKEN[mode]:
            raise InvalidRequest(f"the mode {mode!r} takes no {name!r}", param=name)
    if mode in ("t2v", "ti2v") and not (body.prompt or "").strip():
        raise InvalidRequest(f"the mode {mode!r} needs a prompt", param="prompt")
    if body.image is not None and body.cond_frames:
        raise InvalidRequest(
            "the video cannot continue from 'cond_frames' and start with 'image'",
            remedy="send one of them",
            param="cond_frames",
        )
    for name in TAKEN[mode]:
        is_replaced = name == "cond_frames" or (name == "image" and body.cond_frames)
        if not is_replaced and not getattr(body, name):
            raise InvalidRequest(f"the mode {mode!r} needs {name!r}", param=name)


def _wants_keyframe(body: VideoBody, found: CatalogEntry, *, has_identity: bool) -> bool:
    """Whether a prompt alone begins with a still that an image model generates."""
    is_asked = has_identity or bool(body.loras) or body.keyframe_identity == "always"
    return is_asked or video_options(found).needs_still


async def _generation(
    body: VideoBody, context: Context, found: CatalogEntry, mode: VideoMode
) -> GenerateVideo:
    async def stored(name: str) -> Blob | None:
        value = getattr(body, name)
        return value and await context.intake.take(value, param=name, kind=MEDIA[name])

    cond_frames = [
        await context.intake.take(frame, param=f"cond_frames[{i}]", kind="image")
        for i, frame in enumerate(body.cond_frames or ())
    ]
    return GenerateVideo(
        model=found.id,
        mode=mode,
        prompt=body.prompt or "",
        negative_prompt=body.negative_prompt,
        image=await stored("image"),
        end_image=await stored("end_image"),
        video=await stored("video"),
        cond_frames=tuple(cond_frames),
        strength=body.strength,
        size=body.requested_size(),
        num_frames=body.num_frames,
        num_segments=body.num_segments,
        num_cond_frames=body.num_cond_frames,
        duration_s=body.duration_seconds,
        fps=body.fps,
        steps=body.num_inference_steps,
        guidance_scale=body.guidance_scale,
        quality=body.quality,
        camera_motion=body.camera_motion,
        seed=secrets.randbelow(SEEDS) if body.seed is None else body.seed,
        offload=body.offload_strategy,
    )
