"""Errors on the wire: the native shape, headers, and what frameworks raise turned into ours."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from serve_app.api.dialect import dialect_in
from serve_app.core.errors import (
    AppError,
    BudgetExceeded,
    Conflict,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotReady,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    RateLimited,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)

MESSAGE_CHARACTERS = 2000
REFUSALS = frozenset({"malformed", "overflow", "cancelled"})
"""Kinds of errors that are about the request itself, whatever status a dialect has for them."""
ABSENT = frozenset({"missing", "extra_forbidden"})
"""Complaints of pydantic's about a field of a name that is not in the body, or not in the model."""
BEGUN_JOB = "begun_job"
"""Under which the state of a request has the id of a job that can be asked for if it fails."""
UNKNOWN_WAIT_S = 5
"""`Retry-After` of what passes by itself, when nobody knows how soon."""


def render_native(error: AppError) -> dict[str, Any]:
    """OpenAI's shape with `kind` and `provider`; every key is always present."""
    body: dict[str, Any] = {
        "message": displayable(error.explanation),
        "type": error.type,
        "code": error.code,
        "param": error.param,
        "kind": error.kind,
        "provider": error.provider or "polyphony",
    }
    if error.job_id is not None:
        body["job_id"] = error.job_id
    return {"error": body}


def error_response(error: AppError, body: dict[str, Any], scope: Scope) -> JSONResponse:
    """Status, headers and body for an error, in the shape that its dialect gave it. The job that
    the request has begun is named, too, where the error does not know it.
    """
    begun = scope["state"].get(BEGUN_JOB)
    dialect = dialect_in(scope)
    headers = ({} if begun is None else {"X-Job-ID": begun}) | error_headers(error)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = dialect.challenge
    status = dialect.error_status(error)
    return JSONResponse(body, status, headers=headers, media_type=dialect.json_type)


def error_headers(error: AppError) -> dict[str, str]:
    """What tells a client how to react: `Retry-After`, `x-should-retry`, `WWW-Authenticate`; and
    the job that failed.
    """
    headers: dict[str, str] = {} if error.job_id is None else {"X-Job-ID": error.job_id}
    wait_s = error.retry_after_s
    if wait_s is None and isinstance(error, QueueFull | ModelNotReady | RateLimited):
        wait_s = UNKNOWN_WAIT_S
    if wait_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    if is_final(error, wait_s):
        headers["x-should-retry"] = "false"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def is_final(error: AppError, wait_s: float | None) -> bool:
    """Whether the same request would get the same answer, or do the same work again. OpenAI's SDKs
    repeat 408, 409, 429 and every 5xx unless they are told. Of an unforeseen error, and of one of
    somebody else's server, nobody knows: that is left to the client. A budget that is used up
    comes back, but not while an SDK waits.
    """
    if isinstance(error, TimedOut | BudgetExceeded):
        return True
    if wait_s is not None:
        return False
    is_refused = error.kind in REFUSALS
    return is_refused or isinstance(error, Unavailable) or error.job_id is not None


def from_http_exception(error: HTTPException, *, method: str, path: str) -> AppError:
    """What Starlette and FastAPI raise by themselves, as ours."""
    match error.status_code:
        case 404:
            return NotFound(f"no such route: {method} {path[:200]}")
        case 405:
            return MethodNotAllowed(f"{method} is not allowed on {path[:200]}")
    kinds: dict[int, type[AppError]] = {
        401: Unauthenticated,
        403: Forbidden,
        409: Conflict,
        413: PayloadTooLarge,
        415: UnsupportedMedia,
        429: RateLimited,
        503: Unavailable,
    }
    kind = kinds.get(error.status_code, InvalidRequest)
    return kind(str(error.detail).lower()[:MESSAGE_CHARACTERS])


def from_validation(error: RequestValidationError) -> InvalidRequest:
    """What is wrong with a request, with the path of the field."""
    errors = [dict(item) for item in error.errors()]
    where = errors[0]["loc"][0] if errors and errors[0]["loc"] else "body"
    for item in errors:
        item["loc"] = item["loc"][1:]
        if item["type"] == "json_invalid":
            item |= {"loc": (), "msg": "the body is not valid JSON"}
    return from_validation_errors(errors, error.body if where == "body" else None)


def from_validation_errors(errors: Sequence[Mapping[str, Any]], body: Any) -> InvalidRequest:
    """One of pydantic's complaints: of a union's branches that of the one whose type fits, else of
    the one that came furthest.
    """
    first = max(errors, key=_specificity) if errors else {}
    is_absent = first.get("type") in ABSENT
    param = field_path(first.get("loc", ()), body, is_absent=is_absent)
    message = _message_of(first)
    message = message[:1].lower() + message[1:]
    return InvalidRequest(f"{param}: {message}" if param else message, param=param or None)


def field_path(loc: Sequence[str | int], body: Any, *, is_absent: bool = True) -> str:
    """`messages[2].content[0].image_url` from a location of pydantic's, whose names of union
    branches are left out by walking the body along. `is_absent` where the last one may be of a
    field that is not there.
    """
    path, value = "", body
    for position, part in enumerate(loc):
        is_last = position == len(loc) - 1
        if isinstance(part, int):
            path += f"[{part}]"
            value = value[part] if isinstance(value, list) and part < len(value) else None
        elif isinstance(value, Mapping) and part in value and (is_last or value[part] is not None):
            path += f".{part}" if path else part
            value = value[part]
        elif value is None or (is_last and is_absent and isinstance(value, Mapping)):
            path += f".{part}" if path else part
    return path


def _message_of(error: Mapping[str, Any]) -> str:
    """What pydantic says, which calls the characters of some texts items, and objects by the names
    of classes.
    """
    limits = error.get("ctx", {})
    match error.get("type"), error.get("input"):
        case (("model_type" | "model_attributes_type"), _):
            return "input should be an object"
        case "too_short", str():
            return f"string should have at least {limits['min_length']} character(s)"
        case "too_long", str():
            return f"string should have at most {limits['max_length']} characters"
    return str(error.get("msg", "the request is invalid")).removeprefix("Value error, ")


def _specificity(error: Mapping[str, Any]) -> tuple[bool, int]:
    return not str(error["type"]).endswith("_type"), len(error["loc"])


def displayable(message: str) -> str:
    """Bounded, and without the lone surrogates that UTF-8 cannot carry."""
    return message.encode("utf-8", "replace").decode()[:MESSAGE_CHARACTERS]
