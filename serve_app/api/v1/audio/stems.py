"""POST /v1/audio/stems."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_form
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, MediaText, Text
from serve_app.catalog.stem_selection import select_stems
from serve_app.core.audio.stems import SeparateStems, StemMode, Stems
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.message import Message

DEFAULT_MODE: StemMode = "vocals-instrumental"

router = APIRouter(tags=["audio"], responses=ERRORS)


class StemsBody(JobBody):
    """A mix, and the stems to separate it into."""

    audio: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    stem_mode: StemMode | None = None
    fallback_mode: Flag | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")


class StemsOutput(MediaOutput):
    """`trained_engine` is the best one that is configured, whichever was chosen."""

    trained_engine: str | None = None


@router.post("/v1/audio/stems")
async def stems(body: StemsBody, call: CallDep) -> Response:
    """Separate a mix into voices and instruments."""
    context = call.context
    form = media_form(body.response_format, "audio")
    stem_mode, allows_fallback = body.stem_mode or DEFAULT_MODE, bool(body.fallback_mode)
    async with validating_media_first(context, ("audio", body.audio, "audio")):
        with dialect_errors(call.dialect, SeparateStems.name):
            chosen = await select_stems(
                context.catalog, stem_mode=stem_mode, allows_fallback=allows_fallback
            )
    operation = SeparateStems(
        model=chosen.model.id,
        audio=await context.intake.take(body.audio, param="audio", kind="audio"),
        stem_mode=stem_mode,
        allows_fallback=allows_fallback,
    )
    output = StemsOutput(response_format=form, trained_engine=chosen.trained_engine)
    return await job_answer(call, body, operation, output)


async def stems_body(finished: Finished[Message, Stems, StemsOutput]) -> AnswerBody:
    """An item for each stem, and what separated them."""
    made, trained = finished.result, finished.output.trained_engine
    items = [
        await media_item(finished, stem.audio) | {"name": stem.name, "role": stem.role}
        for stem in made.stems
    ]
    return result_envelope(finished, *items) | {
        "stem_mode": made.stem_mode,
        "backend": {
            "engine": made.engine,
            "model": made.model,
            "quality": made.quality,
            "dependency": made.dependency,
            "ml_backend_available": trained is not None,
            "preferred_engine": trained,
        },
        "limitations": list(made.limitations),
    }


ANSWERS = (Answer(SeparateStems, StemsOutput, stems_body),)
