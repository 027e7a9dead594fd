"""The still that a video begins with, where an image model generates it."""

from serve_app.api.context import Context
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_identity import FIELDS
from serve_app.catalog.catalog import Catalog
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.image.attachments import References
from serve_app.core.image.images import Quality, TextToImage
from serve_app.core.options.video import VideoOptions
from serve_app.core.video.generation import GenerateVideo, VideoQuality

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


def idle_keyframe(body: VideoBody, *, is_generated: bool) -> list[str]:
    """A warning for every field of a keyframe that is not generated, or of idle references."""
    idle = []
    if not is_generated:
        why = "has no effect, because no keyframe is generated"
        names = ("keyframe_model", "keyframe_steps")
        idle = [f"{name}: {why}" for name in names if getattr(body, name) is not None]
        idle += [f"keyframe_identity: {why}"] if body.keyframe_identity == "always" else []
    elif body.keyframe_identity == "never":
        idle = [
            "keyframe_identity: a keyframe is generated anyway, because the model only animates"
        ]
    if body.character_strength is not None and not any(getattr(body, name) for name in FIELDS):
        idle.append("character_strength: has no effect without references")
    return idle


def _model(body: VideoBody, catalog: Catalog) -> str:
    with renamed_error_fields({} if body.keyframe_model is None else {"model": "keyframe_model"}):
        return catalog.find("images", body.keyframe_model).id
