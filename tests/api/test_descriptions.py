"""Images in words: an operation without a route, as the job that dialects make of it."""

from typing import Any

import pytest

from serve_app.api.context import Context
from serve_app.core.errors import AppError
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.jobs import Job, Submission
from serve_app.jobs.direct import new_job_id
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import chunks, claiming_png, huge_png, png
from tests.notices import texts_of

CAPTIONS = {
    "name": "captions",
    "options": {"engine": "fake", "task": "captioning"},
    "models": [{"id": "ruler"}],
}


async def described(context: Context, image: bytes, model: str, **fields: Any) -> Job:
    blob = await context.blobs.write(chunks(image))
    operation = DescribeImage(model=model, image=blob, **fields)
    submission = Submission(id=new_job_id(), operation=operation, owner="anonymous")
    return await context.jobs.run(submission, timeout_s=20)


async def test_a_caption_is_a_job(make_context: MakeContext) -> None:
    context = make_context(families=[CAPTIONS])
    job = await described(context, png(size=(8, 6)), "ruler")
    assert job.result == ImageDescription(text="an image of 8 by 6 pixels")
    async with client_of(context) as client:
        seen = (await client.get(f"/v1/jobs/{job.id}")).json()
    assert seen["operation"] == "image.description"
    assert seen["result"] == {"text": "an image of 8 by 6 pixels"}


async def test_a_question_reaches_the_model(make_context: MakeContext) -> None:
    job = await described(
        make_context(families=[CAPTIONS]), png(size=(8, 6)), "ruler", question="What is it?"
    )
    assert isinstance(job.result, ImageDescription)
    assert job.result.text == "What is it? an image of 8 by 6 pixels"


@pytest.mark.parametrize("question", [None, "How many cats?"])
async def test_a_chat_model_that_sees_does_it_too(
    make_context: MakeContext, question: str | None
) -> None:
    # The fake says the last message back.
    job = await described(make_context(), png(size=(8, 6)), "org/eye", question=question)
    wanted = question or "Describe this image in one sentence."
    assert isinstance(job.result, ImageDescription)
    assert wanted in job.result.text


async def test_an_answer_that_is_cut_says_so(make_context: MakeContext) -> None:
    job = await described(make_context(), png(), "org/eye", question="a b c d e", max_tokens=3)
    assert isinstance(job.result, ImageDescription)
    assert texts_of(job.result.warnings) == ("text: cut off after 3 tokens",)


@pytest.mark.parametrize(
    ("image", "status"), [(huge_png(), 413), (claiming_png(), 413), (png()[:60], 400)]
)
async def test_bad_images(make_context: MakeContext, image: bytes, status: int) -> None:
    job = await described(make_context(families=[CAPTIONS]), image, "ruler")
    assert job.failure is not None
    error = job.failure.error()
    assert (error.status, error.param) == (status, "image")


@pytest.mark.parametrize("name", [None, "", "auto"])
def test_who_describes_by_default(make_context: MakeContext, name: str | None) -> None:
    assert make_context().catalog.find("captioning", name).id == "org/eye"
    both = make_context(families=[*FAMILIES, CAPTIONS])
    assert both.catalog.find("captioning", name).id == "ruler"
    chosen = make_context(
        families=[*FAMILIES, CAPTIONS, {**CAPTIONS, "name": "more", "models": [{"id": "other"}]}],
        defaults={"captioning": "other"},
    )
    assert chosen.catalog.find("captioning", name).id == "other"


@pytest.mark.parametrize(
    ("families", "name", "code", "text"),
    [
        (FAMILIES, "echo", "unsupported_capability", "'echo' is for chat"),
        (FAMILIES, "squares", "unsupported_capability", "models: 'org/eye'"),
        (FAMILIES, "nobody", "model_not_found", "unknown model 'nobody'"),
        ([], None, "backend_unavailable", "Salesforce/blip-image-captioning-base"),
    ],
)
def test_who_cannot_describe(
    make_context: MakeContext,
    families: list[dict[str, Any]],
    name: str | None,
    code: str,
    text: str,
) -> None:
    with pytest.raises(AppError) as caught:
        make_context(families=families).catalog.find("captioning", name)
    assert (caught.value.code, caught.value.param) == (code, "model")
    assert text in caught.value.message
