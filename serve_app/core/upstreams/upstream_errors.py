"""What a provider's refusal is in the error tree, whatever the shape of its body.

Shapes: OpenAI and kin `{"error": {"message", "code", "param"}}`, Azure too; Anthropic `{"type":
"error", "error": {"type", "message"}}`; Google `[{"error": {"message", "status"}}]`; AWS
`{"message"}` or `{"Message"}`; others `{"error": "text"}`, `{"detail": "text"}`, or plain text.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from pydantic import SecretStr

from serve_app.core.errors import (
    AppError,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    PayloadTooLarge,
    TimedOut,
    Unavailable,
    UpstreamError,
)
from serve_app.core.upstreams.exchange import UpstreamRefused

LONGEST_MESSAGE = 1000
LONGEST_WAIT_S = 3600.0
USUAL_WAIT_S = 5.0
BUSY = frozenset({429, 503, 529})
TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|maximum context|prompt is too long|too many tokens"
    r"|input is too long|exceeds? the (maximum|available|model).{0,40}(token|context)"
    r"|token count .{0,40}exceeds",
    re.IGNORECASE,
)
KEY_LIKE = re.compile(r"\b(sk|pk|key|gsk|xai|AIza|AKIA|or)[-_]?[A-Za-z0-9*._-]{12,}")
HIDDEN = "…"


class Said(NamedTuple):
    """What the body of a refusal says."""

    message: str = ""
    code: str = ""
    param: str | None = None


def refusal_error(
    refused: UpstreamRefused,
    *,
    provider: str,
    model: str,
    fields: Collection[str] = (),
    secrets: Iterable[SecretStr] = (),
    now: float = 0.0,
) -> AppError:
    """The error to raise once no other key helps. `fields` are those of the operation. No part of
    the message that is one of the secrets, or looks like a key, is told.
    """
    said = said_in(refused.body)
    told = without_secrets(said.message, secrets) or "no message"
    text = f"provider {provider!r} responded with status {refused.status}: {told}"
    match refused.status:
        case 400 | 422 if said.code == "context_length_exceeded" or TOO_LONG.search(said.message):
            return ContextLengthExceeded(told, provider=provider)
        case 400 | 422:
            return InvalidRequest(told, param=_field(said.param, fields), provider=provider)
        case 404:
            return ModelNotFound(
                f"provider {provider!r} does not find {model!r}: {told}",
                param="model",
                provider=provider,
            )
        case 413:
            return PayloadTooLarge(told, provider=provider)
        case 408 | 504:
            return TimedOut(text, provider=provider)
        case busy if busy in BUSY:
            wait = retry_after_s(refused.headers, now=now) or USUAL_WAIT_S
            return Unavailable(text, provider=provider, retry_after_s=wait)
        case moved if moved < 400:
            return UpstreamError(
                f"provider {provider!r} redirects to another URL, which is not followed",
                remedy="change its base_url",
                provider=provider,
            )
    return UpstreamError(text, provider=provider)


def said_in(body: bytes) -> Said:
    """What an error's body says, in any of the shapes."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace").strip()
        return Said() if text.startswith("<") else Said(text)
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return Said()
    inner = content.get("error", content)
    if isinstance(inner, str):
        return Said(_text(content, "message", "error_description") or inner)
    if not isinstance(inner, dict):
        return Said()
    told = (_text(inner, "message", "Message", "detail"), _raw(inner))
    message = ": ".join(dict.fromkeys(filter(None, told)))
    code = _text(inner, "code", "status", "type", "__type")
    return Said(message, code, _text(inner, "param") or None)


def without_secrets(message: str, secrets: Iterable[SecretStr]) -> str:
    """A message of a provider as it may be shown: vendors repeat a part of the key that they do not
    know.
    """
    for secret in secrets:
        if value := secret.get_secret_value():
            message = message.replace(value, HIDDEN)
    message = KEY_LIKE.sub(HIDDEN, message)
    return " ".join(message.split())[:LONGEST_MESSAGE]


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """How long to wait, of `Retry-After` in either form or `retry-after-ms`; at most an hour."""
    text = headers.get("retry-after", "").strip()
    milliseconds = headers.get("retry-after-ms", "").strip()
    try:
        if milliseconds:
            wait = float(milliseconds) / 1000
        elif text[:1].isdigit():
            wait = float(text)
        elif text:
            wait = parsedate_to_datetime(text).timestamp() - now
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S) if wait == wait else None


def _field(param: str | None, fields: Collection[str]) -> str | None:
    """The field that a path of the provider's begins with, if it is one of the operation's."""
    if param is None:
        return None
    first = param.replace("[", ".").partition(".")[0]
    return param if first in fields else None


def _raw(error: Mapping[str, Any]) -> str:
    """OpenRouter has what the provider behind it says in here; its own message never differs."""
    metadata = error.get("metadata")
    return _text(metadata, "raw") if isinstance(metadata, dict) else ""


def _text(content: Mapping[str, Any], *names: str) -> str:
    found = (content.get(name) for name in names)
    return next((each for each in found if isinstance(each, str) and each), "")
