"""A chat request of the typed clients, in any spelling of its names, as OpenAI's."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from serve_app.api.ai_server.arguments import Arguments, merged
from serve_app.api.ai_server.scalars import Words, folded, listed
from serve_app.api.ai_server.service_body import ServiceBody, pascal
from serve_app.api.ai_server.service_error import ARGUMENT, FieldProblem, ServiceError, missing
from serve_app.api.errors import from_validation_errors
from serve_app.api.job_body import JobBody
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_message import (
    FunctionCallBody,
    FunctionToolCallBody,
    MessageBody,
)
from serve_app.api.openai.chat_parts import FunctionBody, ResponseFormatBody
from serve_app.core.error_fields import root_of

TEXT_FIELDS = {
    folded(name): name for name in ChatBody.model_fields if name not in JobBody.model_fields
}
"""By folded names; without those of jobs, which are called otherwise here."""
PLAIN = frozenset(
    {"model", "user", "service_tier", "provider", "reasoning_effort", "keep_alive", "tool_choice"}
)
"""Fields whose texts are texts."""
LISTS = frozenset({"stop"})
"""Fields that are a text or a list of texts."""
PART_NAMES = ("type", "text", "image_url", "input_audio", "refusal")


class ChatCallFields(ServiceBody):
    """What a chat is asked with besides the conversation. `provider` is accepted."""

    provider: Annotated[Words, Field(max_length=500)] | None = None


def chat_request(arguments: Arguments) -> tuple[ChatBody, str]:
    """The conversation, and the name of the model. ServiceError for what is missing or wrong."""
    values = {name: value for name, value in _given_values(arguments) if _is_given(value)}
    if not values.get("messages"):
        raise missing("Messages")
    model = values.get("model")
    if not isinstance(model, str) or not model.strip():
        raise missing("Model")
    values = openai_values(values)
    try:
        return ChatBody.model_validate(values), model.strip()
    except ValidationError as error:
        told = from_validation_errors(error.errors(), values)
        root = root_of(told.param) or ""
        field = pascal(root) + (told.param or "")[len(root) :]
        problem = FieldProblem(ARGUMENT, field, told.message)
        raise ServiceError(told.message, problems=[problem]) from None


def asked_chat(arguments: Arguments) -> Arguments:
    """The conversation that a queued call has as `request`, an object or its JSON. ServiceError
    where there is none.
    """
    requests = (_json_of(value) for value in arguments.find("request"))
    found = next((each for each in requests if isinstance(each, dict) and each), None)
    if found is None:
        raise missing("Request")
    return Arguments(merged(found))


def openai_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the names of what is inside as OpenAI has them."""
    own = dict(values)
    if isinstance(own["messages"], list):
        own["messages"] = [_message(message) for message in own["messages"]]
    tools = own.get("tools")
    if isinstance(tools, list):
        own["tools"] = [tool for tool in map(_tool, tools) if tool is not None]
        if not own["tools"]:
            del own["tools"]
    if "response_format" in own:
        own["response_format"] = _format(own["response_format"])
    return own


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    own = _named(message, MessageBody.model_fields)
    if isinstance(own.get("role"), str):
        own["role"] = own["role"].lower()
    if own.get("images") == []:
        del own["images"]
    if isinstance(own.get("content"), list):
        own["content"] = [_named(part, PART_NAMES) for part in own["content"]]
    if isinstance(own.get("tool_calls"), list):
        calls = (_named(call, FunctionToolCallBody.model_fields) for call in own["tool_calls"])
        own["tool_calls"] = [_with_function(call, FunctionCallBody.model_fields) for call in calls]
        if not own["tool_calls"]:
            del own["tool_calls"]
    return own


def _tool(tool: Any) -> Any:
    """None for one without a function, which is ignored."""
    own = _named(tool, ("type", "function"))
    if isinstance(own, dict) and own.get("function") is None:
        return None
    return _with_function(own, FunctionBody.model_fields)


def _with_function(owner: Any, names: Iterable[str]) -> Any:
    if not isinstance(owner, dict) or "function" not in owner:
        return owner
    return owner | {"function": _named(owner["function"], names)}


def _format(value: Any) -> Any:
    names = (*ResponseFormatBody.model_fields, "response_format")
    own = _named(value, names)
    if not isinstance(own, dict):
        return own
    return {name: each.lower() if isinstance(each, str) else each for name, each in own.items()}


def _named(value: Any, names: Iterable[str]) -> Any:
    """An object with those of its keys that are names in another spelling in theirs."""
    if not isinstance(value, dict):
        return value
    known = {folded(name): name for name in names}
    return {known.get(folded(key), key): item for key, item in value.items()}


def _given_values(arguments: Arguments) -> Iterator[tuple[str, Any]]:
    for key, values in arguments.given.items():
        if (name := TEXT_FIELDS.get(key)) is not None:
            value = next(filter(_is_given, values), None)
            yield name, _read(name, value)


def _read(name: str, value: Any) -> Any:
    """What a query or a form says in texts, as JSON would."""
    if isinstance(value, str) and name not in PLAIN:
        if name in LISTS:
            return listed(value) if value.lstrip().startswith("[") else value
        return _json_of(value)
    is_single = name not in LISTS and isinstance(value, list) and _is_text(value[-1])
    return _read(name, value[-1]) if is_single else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _json_of(value: Any) -> Any:
    """What is written as JSON is that, in which .NET and Python write their own `True`."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except (ValueError, RecursionError):
        return value


def _is_given(value: Any) -> bool:
    return value not in (None, "", [], {})
