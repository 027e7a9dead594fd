"""Who is to be recognised in a video: reference images from a request and from saved profiles."""

from serve_app.api.context import Context
from serve_app.api.profile_objects import get_profiles
from serve_app.api.v1.images.image_extras import profile_images
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.attachments import References
from serve_app.core.media import Blob

STRENGTH = 0.8
FIELDS = (
    "characters",
    "character_references",
    "character_names",
    "character_profiles",
    "environment_profiles",
)


async def references(body: VideoBody, context: Context) -> References | None:
    """All reference images, None without any. NotFound for a profile that does not exist."""
    named = next((name for name in FIELDS if getattr(body, name)), None)
    if named is None:
        return None
    images = [
        *await _sent(body, context),
        *await profile_images(context, "character", body.character_profiles),
        *await _named(body, context),
        *await profile_images(context, "environment", body.environment_profiles),
    ]
    if not images:
        return None
    strength = STRENGTH if body.character_strength is None else body.character_strength
    return References(images=tuple(images), strength=strength, field=named)


def refuse_own_image(body: VideoBody, field: str) -> None:
    """UnsupportedCapability where no keyframe is generated that could show what `field` asks."""
    if body.image or body.video or body.cond_frames:
        why, remedy = "the video begins with your own image, so no keyframe is generated", None
    elif body.keyframe_identity == "never":
        why = "video models need a keyframe to follow references"
        remedy = "leave out 'keyframe_identity'"
    else:
        return
    raise UnsupportedCapability(why, remedy=remedy, param=field)


async def _sent(body: VideoBody, context: Context) -> list[Blob]:
    take = context.intake.take
    images = [
        await take(image, param=f"characters[{c}].images[{i}]", kind="image")
        for c, character in enumerate(body.characters or ())
        for i, image in enumerate(character.images)
    ]
    for i, image in enumerate(body.character_references or ()):
        images.append(await take(image, param=f"character_references[{i}]", kind="image"))
    return images


async def _named(body: VideoBody, context: Context) -> list[Blob]:
    """The images of saved characters that are not among those of the request."""
    sent = {character.name for character in body.characters or ()}
    profiles = await get_profiles(context)
    return [
        item.blob
        for name in body.character_names or ()
        if name not in sent
        for item in (await profiles.get("character", name, param="character_names")).of("image")
    ]
