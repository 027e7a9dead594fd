"""What every route that makes media answers: a time, items, and warnings where there are any."""

from collections.abc import Iterable
from typing import Any

from serve_app.api.answers import AnswerOutput, Finished
from serve_app.core.media import MediaResult
from serve_app.core.message import Message


def envelope(
    created: int, items: list[dict[str, Any]], warnings: Iterable[str] = ()
) -> dict[str, Any]:
    """The object; `created` is in unix seconds."""
    answer: dict[str, Any] = {"created": created, "data": items}
    warnings = list(warnings)
    return answer | {"warnings": warnings} if warnings else answer


def result_envelope(
    finished: Finished[Message, MediaResult, AnswerOutput], *items: dict[str, Any]
) -> dict[str, Any]:
    """The object for a job, with its result's warnings."""
    return envelope(finished.created, [*items], finished.tell(finished.result.warnings))
