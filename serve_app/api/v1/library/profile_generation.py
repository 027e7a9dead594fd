"""POST /v1/characters/generate and /v1/environments/generate: a model makes the images."""

import secrets

from serve_app.access.tokens import Principal
from serve_app.api.answers import AnswerOutput
from serve_app.api.context import Context
from serve_app.api.v1.images.image_body import SEEDS, worded
from serve_app.api.v1.jobs.job_body import JobBody
from serve_app.api.v1.jobs.job_calls import finished_result, submission_of
from serve_app.api.v1.library.profile_body import GenerateBody
from serve_app.core.image.images import Images, Size, TextToImage
from serve_app.core.jobs import Job
from serve_app.profiles.profile import Kind, NewItem
from serve_app.profiles.profiles import Profiles


async def check_may_replace(profiles: Profiles, kind: Kind, name: str, by: Principal) -> None:
    """Forbidden for another's profile, before anything is drawn for it."""
    if any(profile.name == name for profile in await profiles.all(kind)):
        await profiles.owned(kind, name, by=by)


async def drawn_images(
    body: GenerateBody, context: Context, principal: Principal
) -> tuple[Job, Images]:
    """The job that drew the images, and they. BackendUnavailable when no model can; TimedOut, after
    which the images are found at the job but in no profile.
    """
    operation = TextToImage(
        model=context.models.images(body.model).id,
        prompt=worded(body.prompt),
        count=body.n,
        size=Size(width=body.width, height=body.height),
        seed=secrets.randbelow(SEEDS),
        steps=body.steps,
    )
    submission = await submission_of(JobBody(), operation, context, principal, AnswerOutput())
    job = await context.jobs.run(submission, timeout_s=context.config.jobs.sync_timeout_s.v1)
    images = finished_result(job)
    assert isinstance(images, Images)
    return job, images


def profile_items(images: Images) -> list[NewItem]:
    """The images as a profile holds them."""
    return [NewItem(role="image", text="", blob=made.image) for made in images.images]
