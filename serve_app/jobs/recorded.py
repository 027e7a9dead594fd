"""The result or the failure of a stage as JSON that names messages and no modules.

A later version reads it, or knows that it cannot.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from serve_app.core.amounts import UsedModel
from serve_app.core.jobs import Failure
from serve_app.core.message import Message
from serve_app.core.operations import Unreadable, read_message, to_json
from serve_app.core.stages import AnotherVersion

FORM = 1
PLAIN = (type(None), bool, int, float, str)
FORMER_NAMES = {
    "Film": "AssembledVideo",
    "GeneratedSound": "GeneratedAudio",
    "SaidText": "CollectedText",
    "SpokenSound": "SpokenAudio",
    "ToldStory": "StoryVideo",
    "VideoWithSound": "VideoWithAudio",
}
"""Messages by the names under which earlier versions have recorded them."""


def write_result(value: object, used: Sequence[UsedModel] = ()) -> str:
    """The record of what a stage returns, and of what models have used for it. TypeError for what
    could not be read again.
    """
    return json.dumps({"form": FORM, "result": _written(value)} | _used(used))


def write_failure(failure: Failure, used: Sequence[UsedModel] = ()) -> str:
    """The record of what a stage fails of."""
    return json.dumps({"form": FORM, "failure": to_json(failure)} | _used(used))


def used_in(record: str) -> tuple[UsedModel, ...]:
    """What models have used for a stage; nothing where that is not known."""
    try:
        return tuple(map(UsedModel.model_validate, json.loads(record).get("used", ())))
    except (ValueError, AttributeError):
        return ()


def read_record(record: str, *, stage: str) -> Any:
    """What the stage has returned. Raises what it has failed of, and AnotherVersion."""
    try:
        content = json.loads(record)
        if content["form"] != FORM:
            raise AnotherVersion(stage)
        if "failure" not in content:
            return _read(content["result"])
        failure = Failure.model_validate(content["failure"])
    except (ValueError, KeyError, TypeError):
        raise AnotherVersion(stage) from None
    raise failure.error()


def _used(used: Sequence[UsedModel]) -> dict[str, Any]:
    return {"used": [to_json(each) for each in used]} if used else {}


def _written(value: object) -> Any:
    if type(value) in PLAIN:
        return value
    if type(value) is list:
        return [_written(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [_written(item) for item in value]}
    if not isinstance(value, Message):
        raise TypeError(f"a stage returns a {type(value).__name__}, which cannot be recorded")
    kind = type(value)
    if _message_named(kind.__name__) is not kind:
        raise TypeError(f"a stage returns a {kind.__name__}, as another message is called too")
    return {"message": kind.__name__, "version": kind.record_version, "content": to_json(value)}


def _read(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if isinstance(value, list):
        return [_read(item) for item in value]
    if "tuple" in value:
        return tuple(_read(item) for item in value["tuple"])
    kind = _message_named(FORMER_NAMES.get(value["message"], value["message"]))
    if kind is None or value["version"] != kind.record_version:
        raise ValueError(value["message"])
    message = read_message(kind, value["content"])
    if isinstance(message, Unreadable):
        raise ValueError(value["message"])
    return message


def _message_named(name: str) -> type[Message] | None:
    """The one message that is called so: whoever reads a stage's record has imported the stage."""
    kinds = [kind for kind in _kinds(Message) if kind.__name__ == name]
    return kinds[0] if len(kinds) == 1 else None


def _kinds(kind: type[Message]) -> Iterator[type[Message]]:
    for known in kind.__subclasses__():
        yield known
        yield from _kinds(known)
