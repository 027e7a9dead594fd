"""POST /v1/images/generations."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.v1.image_body import GenerationBody
from serve_app.api.v1.job_calls import called
from serve_app.api.v1.media_answer import output_key
from serve_app.api.v1.wire import ERRORS

router = APIRouter(tags=["images"], responses=ERRORS)


@router.post("/v1/images/generations")
async def generations(
    body: GenerationBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Draw a prompt, up to ten times; image i is drawn from the seed + i."""
    found = context.models.images(body.model)
    await body.check_extras(found, context)
    operation = body.to_text_to_image(found)
    output = {"response_format": output_key(body.response_format, "image", ("b64_json",))}
    return await called(body, operation, request, context, principal, output)
