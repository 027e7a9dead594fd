"""POST /v1/characters/generate and /v1/environments/generate: a model makes the images."""

import secrets

from serve_app.access.tokens import Principal
from serve_app.api.call import Call
from serve_app.api.runs import run_to_result
from serve_app.api.v1.images.image_body import SEEDS, checked_prompt
from serve_app.api.v1.library.profile_body import GenerateBody
from serve_app.core.image.images import Images, Size, TextToImage
from serve_app.core.jobs import Job
from serve_app.profiles.profile import Kind, NewProfileItem
from serve_app.profiles.profiles import Profiles


async def check_may_replace(profiles: Profiles, kind: Kind, name: str, by: Principal) -> None:
    """Forbidden for another's profile, before anything is generated for it."""
    if any(profile.name == name for profile in await profiles.all(kind)):
        await profiles.owned(kind, name, by=by)


async def generated_images(body: GenerateBody, call: Call) -> tuple[Job, Images]:
    """The job that made the images, and they. BackendUnavailable when no model can; StillRunning,
    after which the images are found at the job but in no profile.
    """
    operation = TextToImage(
        model=call.context.catalog.find("images", body.model).id,
        prompt=checked_prompt(body.prompt),
        count=body.n,
        size=Size(width=body.width, height=body.height),
        seed=secrets.randbelow(SEEDS),
        steps=body.steps,
    )
    return await run_to_result(call, operation)


def profile_items(images: Images) -> list[NewProfileItem]:
    """The images as a profile holds them."""
    return [NewProfileItem(role="image", text="", blob=made.image) for made in images.images]
