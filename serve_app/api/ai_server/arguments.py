"""What a request says, whichever way: query, JSON, form or multipart form, one object or many."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from serve_app.api.ai_server.scalars import folded
from serve_app.api.ai_server.service_error import ARGUMENT, ServiceError
from serve_app.api.context import Context
from serve_app.api.multipart import Form, FormFile, read_form
from serve_app.core.errors import InvalidRequest

FILE_FIELDS = ("image", "mask", "video", "watermark", "audio")
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
MOST_ARGUMENTS = 200
MOST_CALLS = 100
"""In one array."""
SERIALIZATION = "SerializationException"


class FoldedNames(tuple[str, ...]):
    """Names that are found in any spelling."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(folded(name))


FILES = FoldedNames(FILE_FIELDS)


@dataclass(frozen=True)
class Arguments:
    """By folded name what was given, the body's before the query's; and the files."""

    given: Mapping[str, list[Any]]
    files: list[FormFile] = field(default_factory=list)

    def find(self, name: str) -> list[Any]:
        """All that was given for a field."""
        return self.given.get(folded(name), [])


async def read_arguments(request: Request, context: Context) -> Arguments:
    """Those of one call."""
    query = query_values(request)
    kind = _content_type(request)
    if kind in FORMS:
        form = await _form(request, context)
        return Arguments(merged(_values(form), query), form.uploads)
    body = await _json(request, kind)
    if body is None:
        return Arguments(merged(query))
    if not isinstance(body, dict):
        raise ServiceError("the body must be a JSON object", error_code=SERIALIZATION)
    return Arguments(merged(body, query))


async def read_all_arguments(request: Request) -> list[Arguments]:
    """Those of every call in an array."""
    body = await _json(request, _content_type(request))
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise ServiceError("the body must be a JSON array of objects", error_code=SERIALIZATION)
    if len(body) > MOST_CALLS:
        raise ServiceError(f"an array has at most {MOST_CALLS} requests, not {len(body)}")
    query = query_values(request)
    return [Arguments(merged(item, query)) for item in body]


def query_values(request: Request) -> dict[str, Any]:
    """The parameters of the query; those without a value are empty."""
    try:
        pairs = parse_qsl(
            request.url.query,
            keep_blank_values=True,
            max_num_fields=MOST_ARGUMENTS,
            errors="strict",
        )
    except ValueError:
        raise ServiceError(
            f"the query must be UTF-8 with at most {MOST_ARGUMENTS} parameters",
            error_code=SERIALIZATION,
        ) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return _singles(values)


async def _form(request: Request, context: Context) -> Form:
    try:
        return await read_form(
            request, intake=context.intake, file_fields=FILES, takes_any_field=True
        )
    except InvalidRequest as error:
        # About a field it is for what the field holds, else the form itself is malformed.
        code = SERIALIZATION if error.param is None else ARGUMENT
        raise ServiceError(error.message, error_code=code) from error


async def _json(request: Request, kind: str) -> Any:
    """The body, None where there is none."""
    content = await request.body()
    if not content.strip():
        return None
    if kind not in ("", "application/json", "text/json", "text/plain"):
        raise ServiceError(
            f"a body of type {kind[:100]!r} is not read",
            remedy="send JSON or a form",
            error_code=SERIALIZATION,
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ServiceError("the body is not valid JSON", error_code=SERIALIZATION) from None


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _values(form: Form) -> dict[str, Any]:
    return _singles(form.fields)


def _singles(values: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}


def merged(*sources: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By folded name what the sources have, in their order."""
    found: dict[str, list[Any]] = {}
    for name, value in _pairs(sources):
        found.setdefault(folded(name), []).append(value)
    return found


def _pairs(sources: tuple[Mapping[str, Any], ...]) -> Iterator[tuple[str, Any]]:
    for source in sources:
        yield from source.items()
