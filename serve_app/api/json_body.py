"""A JSON body read by hand, for routes that take it beside other types."""

import json
from typing import Any

from starlette.requests import Request

from serve_app.core.errors import InvalidRequest


async def read_json_object(request: Request) -> dict[str, Any]:
    """The body as an object. InvalidRequest for anything else."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    return body
