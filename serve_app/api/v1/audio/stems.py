"""POST /v1/audio/stems."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.v1.configured import input_first
from serve_app.api.v1.jobs.job_body import JobBody
from serve_app.api.v1.jobs.job_calls import called
from serve_app.api.v1.jobs.media_answer import output_key
from serve_app.api.v1.text.chat_parts import MEDIA_CHARACTERS
from serve_app.api.v1.wire import ERRORS, Flag, MediaText, Text
from serve_app.catalog.stem_selection import select_stems
from serve_app.core.audio.stems import SeparateStems, StemMode

router = APIRouter(tags=["audio"], responses=ERRORS)


class StemsBody(JobBody):
    """A mix and the stems wanted of it."""

    audio: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    stem_mode: StemMode | None = None
    fallback_mode: Flag | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return ["user"] if self.user is not None else []


@router.post("/v1/audio/stems")
async def stems(
    body: StemsBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Take a mix apart into its voices and instruments."""
    form = output_key(body.response_format, "audio", ("b64_wav",))
    allows_fallback = bool(body.fallback_mode)
    async with input_first(context, ("audio", body.audio, "audio")):
        chosen = await select_stems(context.models, allows_fallback=allows_fallback)
    operation = SeparateStems(
        model=chosen.model.id,
        audio=await context.intake.take(body.audio, param="audio", kind="audio"),
        stem_mode=body.stem_mode or "vocals-instrumental",
        allows_fallback=allows_fallback,
    )
    output: dict[str, Any] = {"response_format": form, "trained_engine": chosen.trained_engine}
    return await called(body, operation, request, context, principal, output)
