"""All operations, and operations and results as JSON for storage."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

import serve_app.core.audio
import serve_app.core.image
import serve_app.core.text
import serve_app.core.video
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operation import OPERATIONS, Operation
from serve_app.core.pipelines import PipelineOperation

M = TypeVar("M", bound=Message)
ROOMS = (serve_app.core.text, serve_app.core.image, serve_app.core.audio, serve_app.core.video)
for _room in ROOMS:
    for _module in iter_modules(_room.__path__, f"{_room.__name__}."):
        import_module(_module.name)


def pipeline_operations() -> list[type[PipelineOperation[Any]]]:
    """Those that pipelines do."""
    return [kind for kind in OPERATIONS.values() if issubclass(kind, PipelineOperation)]


@cache
def core_fields() -> frozenset[str]:
    """The fields of all operations, of those in them, and of all results."""
    kinds = OPERATIONS.values()
    return frozenset().union(
        *(kind.known_fields() for kind in kinds), *(kind.result.model_fields for kind in kinds)
    )


class Unreadable(Message):
    """What is not kept, or was written by another version of the server which this one cannot
    read.
    """


def read_operation(name: str, content: dict[str, Any]) -> Operation[Any] | Unreadable:
    """The operation that `to_json` wrote."""
    kind = OPERATIONS.get(name)
    return Unreadable() if kind is None else read_message(kind, content)


def read_result(name: str, content: dict[str, Any]) -> Message:
    """The result that `to_json` wrote; an Unreadable where that is none of this version's."""
    kind = OPERATIONS.get(name)
    return Unreadable() if kind is None else read_message(kind.result, content)


def read_message(kind: type[M], content: dict[str, Any]) -> M | Unreadable:
    """The message that `to_json` wrote, also under the field names of an earlier version."""
    for fields in (content, _renamed(content, [kind])):
        try:
            # Only in JSON does pydantic read lists as tuples and base64 as bytes when strict.
            return kind.model_validate_json(json.dumps(fields))
        except ValidationError:
            continue
    return Unreadable()


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON; bytes are base64, and numbers that JSON has not are strings: Postgres
    refuses them, and pydantic reads both.
    """
    content: dict[str, Any] = _with_finite_numbers(message.model_dump(mode="json"))
    return content


def _with_finite_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _with_finite_numbers(item) for key, item in value.items()}
    return [_with_finite_numbers(item) for item in value] if isinstance(value, list) else value


def blobs_of(value: object) -> list[Blob]:
    """Every blob that a message, or a collection of them, refers to, at any depth."""
    if isinstance(value, Blob):
        return [value]
    if isinstance(value, Mapping):
        return blobs_of([*value.values()])
    if isinstance(value, Message):
        return [
            blob for name in type(value).model_fields for blob in blobs_of(getattr(value, name))
        ]
    if isinstance(value, tuple | list):
        return [blob for item in value for blob in blobs_of(item)]
    return []


FORMER_FIELDS = {
    "film": "video",
    "film_error": "video_error",
    "heard": "transcript",
    "is_translated_while_heard": "is_translated_while_transcribed",
    "keeps_sound": "keeps_audio",
    "picture": "image",
    "picture_error": "image_error",
    "sound": "audio",
    "task": "mode",
}
"""Fields of messages by the names under which earlier versions have stored them."""


def _renamed(value: Any, kinds: Sequence[type[Message]]) -> Any:
    """What was written of messages of one of these kinds, or of a collection of them, under today's
    names. What clients have written themselves, where no message can stand, stays as it is.
    """
    if not kinds or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_renamed(item, kinds) for item in value]
    content: dict[str, Any] = value
    for kind in kinds:
        fields = kind.model_fields
        names = {key: key if key in fields else FORMER_FIELDS.get(key, key) for key in content}
        if fields.keys() >= {*names.values()}:
            return {
                names[key]: _renamed(item, _messages_in(fields[names[key]].annotation))
                for key, item in content.items()
            }
    return {key: _renamed(item, kinds) for key, item in content.items()}


def _messages_in(annotation: Any) -> list[type[Message]]:
    """The kinds of messages that a field may hold, in collections too."""
    if inner := get_args(annotation):
        return [kind for each in inner for kind in _messages_in(each)]
    is_message = isinstance(annotation, type) and issubclass(annotation, Message)
    return [annotation] if is_message else []
