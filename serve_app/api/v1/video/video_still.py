"""The still that a video begins with, where an image model generates it."""

from serve_app.api.context import Context
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_identity import FIELDS
from serve_app.catalog.catalog import Catalog
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.image.attachments import References
from serve_app.core.image.images import Quality, TextToImage
from serve_app.core.notices import Notice
from serve_app.core.options.video import VideoOptions
from serve_app.core.video.generation import GenerateVideo, VideoQuality

NO_KEYFRAME = "has no effect, because no keyframe is generated"
QUALITIES: dict[VideoQuality | None, Quality] = {"draft": "low", "best": "high"}


async def still(
    body: VideoBody,
    context: Context,
    options: VideoOptions,
    generation: GenerateVideo,
    identity: References | None,
) -> TextToImage:
    """What is generated. Steps and guidance are its, where the video model has no use for them."""
    own_steps, guidance = body.num_inference_steps, body.guidance_scale
    if options.denoises:
        own_steps = guidance = None
    loras = [await lora.to_lora(context, f"loras[{i}]") for i, lora in enumerate(body.loras or ())]
    return TextToImage(
        model=_model(body, context.catalog),
        prompt=generation.prompt,
        negative_prompt=body.negative_prompt,
        count=body.n or 1,
        size=generation.size,
        seed=generation.seed,
        steps=own_steps if body.keyframe_steps is None else body.keyframe_steps,
        guidance_scale=guidance,
        quality=QUALITIES.get(body.quality, "standard"),
        checks_safety=not body.disable_safety_checker,
        references=identity,
        loras=tuple(loras),
    )


def idle_keyframe(body: VideoBody, *, is_generated: bool) -> list[Notice]:
    """A warning for every field of a keyframe that is not generated, or of idle references."""
    idle: dict[str, str] = {}
    if not is_generated:
        names = ["keyframe_model", "keyframe_steps"]
        idle = {name: NO_KEYFRAME for name in names if getattr(body, name) is not None}
        if body.keyframe_identity == "always":
            idle["keyframe_identity"] = NO_KEYFRAME
    elif body.keyframe_identity == "never":
        why = "a keyframe is generated anyway, because the model only animates"
        idle["keyframe_identity"] = why
    if body.character_strength is not None and not any(getattr(body, name) for name in FIELDS):
        idle["character_strength"] = "has no effect without references"
    return [Notice(field=name, text=text) for name, text in idle.items()]


def _model(body: VideoBody, catalog: Catalog) -> str:
    with renamed_error_fields({} if body.keyframe_model is None else {"model": "keyframe_model"}):
        return catalog.find("images", body.keyframe_model).id
