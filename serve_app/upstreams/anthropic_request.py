"""A chat as a request of Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages.

What the API has no word for is left out and told, unless the answer would be another one.
"""

from typing import Any

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.text.chat import NO_EFFECT, Chat, Sampling, Tool
from serve_app.upstreams.anthropic_messages import AnthropicConversation, Object
from serve_app.upstreams.anthropic_schema import closed_schema
from serve_app.upstreams.anthropic_thinking import thinking_fields
from serve_app.upstreams.claude_models import ClaudeModel, claude_model

DEFAULTS = Sampling()
COMMON = frozenset({"stop", "max_tokens"})
CHOSEN = ("temperature", "top_p", "top_k")
HIGHEST_TEMPERATURE = 1.0
NO_FIELD = "the provider has no such field"
PASSED_ON = frozenset({"cache_control"})
"""Fields of the API that callers may send beside those of a chat."""
KNOWN_OTHERWISE = frozenset({"reasoning_effort", "user"})
ONLY_JSON = "Answer with one JSON object and with nothing else."


async def messages_request(
    operation: Chat, model: str, blobs: BlobStore
) -> tuple[Object, tuple[Notice, ...]]:
    """The body, without the model and whether it is streamed, and what is left out of it."""
    check_chat(operation)
    conversation = AnthropicConversation(blobs)
    for i, message in enumerate(operation.messages):
        await conversation.add(message, i)
    left_out = conversation.left_out
    form = _format_field(operation, conversation)
    known, sampling = claude_model(model), operation.sampling
    most = known.most_tokens if sampling.max_tokens is None else sampling.max_tokens
    content = {"max_tokens": most, **conversation.finish(), **_tool_fields(operation, left_out)}
    has_forgotten = conversation.continues_calls and not conversation.has_thought_before
    thinking = thinking_fields(operation, known, most, has_forgotten, left_out)
    content |= _sampling_fields(sampling, known, "thinking" in thinking, left_out)
    content |= _extra_fields(operation.extra, left_out)
    output = thinking.pop("output_config", {}) | form
    return content | thinking | ({"output_config": output} if output else {}), tuple(left_out)


def check_chat(operation: Chat) -> None:
    """Raises UnsupportedCapability for what would make another answer of it."""
    sampling, wanted = operation.sampling, operation.response_format
    if sampling.n > 1:
        raise UnsupportedCapability("the provider gives one answer per request", param="n")
    if sampling.logprobs is not None:
        raise UnsupportedCapability("the provider tells no log probabilities", param="logprobs")
    if wanted.type == "grammar":
        raise UnsupportedCapability(
            "the provider knows no grammars", remedy="send a JSON schema", param="response_format"
        )


def _format_field(operation: Chat, conversation: AnthropicConversation) -> Object:
    wanted = operation.response_format
    if wanted.type == "json_object":
        conversation.system.append(ONLY_JSON)
        said = "the model is told to answer in JSON, and not held to it; a schema is enforced"
        conversation.left_out.append(Notice(text=said, field="response_format"))
    if wanted.type != "json_schema":
        return {}
    where = "response_format"
    schema = enforced_schema(wanted.json_schema or {}, wanted.strict, where, conversation.left_out)
    return {"format": {"type": "json_schema", "schema": schema}}


def enforced_schema(schema: Object, is_strict: bool, where: str, left_out: list[Notice]) -> Object:
    """The schema as the provider holds answers to it. InvalidRequest where it is to be held to all
    of it, and it cannot be.
    """
    closed, without = closed_schema(schema)
    if not without:
        return closed
    words = ", ".join(map(repr, sorted(without)))
    if is_strict:
        raise InvalidRequest(f"the provider does not hold answers to {words}", param=where)
    left_out.append(Notice(text=f"{words} of the schema is not enforced", field=where))
    return closed


def _tool_fields(operation: Chat, left_out: list[Notice]) -> Object:
    if not operation.tools:
        return {}
    tools = [_tool(tool, f"tools[{i}]", left_out) for i, tool in enumerate(operation.tools)]
    choice = operation.tool_choice
    kind = {"required": "any", "function": "tool"}.get(choice.mode, choice.mode)
    written: Object = {"type": kind}
    if kind == "tool":
        written["name"] = choice.name
    if not operation.parallel_tool_calls and kind != "none":
        written["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": written}


def _tool(tool: Tool, where: str, left_out: list[Notice]) -> Object:
    schema: dict[str, Any] = {"type": "object", **(tool.parameters or {"properties": {}})}
    written: Object = {"name": tool.name, "input_schema": schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict:
        enforced = enforced_schema(schema, True, f"{where}.parameters", left_out)
        written |= {"strict": True, "input_schema": enforced}
    return written


def _sampling_fields(
    sampling: Sampling, model: ClaudeModel, is_thinking: bool, left_out: list[Notice]
) -> Object:
    """Only what the caller has set: models have defaults of their own."""
    fields: Object = {}
    stop = [text for text in sampling.stop if text.strip()]
    if stop:
        fields["stop_sequences"] = stop
    if len(stop) < len(sampling.stop):
        left_out.append(Notice(text="white space alone ends no answer here", field="stop"))
    for name in sorted(given_sampling(sampling) - COMMON):
        value = getattr(sampling, name)
        if name not in CHOSEN:
            left_out.append(Notice(text=NO_FIELD, field=name))
        elif not model.takes_sampling:
            left_out.append(Notice(text="the model chooses it itself", field=name))
        elif is_thinking:
            left_out.append(Notice(text="has no effect while the model thinks", field=name))
        elif name == "top_p" and "temperature" in fields:
            said = "has no effect beside a temperature at this provider"
            left_out.append(Notice(text=said, field=name))
        else:
            fields[name] = value
    if fields.get("temperature", 0.0) > HIGHEST_TEMPERATURE:
        fields["temperature"] = HIGHEST_TEMPERATURE
        said = "the provider's highest temperature is 1, which is taken"
        left_out.append(Notice(text=said, field="temperature"))
    return fields


def _extra_fields(extra: Object, left_out: list[Notice]) -> Object:
    """Of what the server itself has no use for, what the API has; the user by its own name."""
    unknown = sorted(extra.keys() - PASSED_ON - KNOWN_OTHERWISE)
    left_out += (Notice(text=NO_FIELD, field=name) for name in unknown)
    fields = {name: value for name, value in extra.items() if name in PASSED_ON}
    user = extra.get("user")
    return fields | ({"metadata": {"user_id": user}} if isinstance(user, str) and user else {})


def given_sampling(sampling: Sampling) -> set[str]:
    """The names of what the caller has set to anything. Of an operation that was stored, everything
    looks set, and what is as if nobody had is none of it.
    """
    names = sampling.model_fields_set
    is_stored = len(names) == len(Sampling.model_fields)
    every = CHOSEN if not is_stored else ()
    return {
        name
        for name in names
        if getattr(sampling, name) is not None
        and NO_EFFECT.get(name) != getattr(sampling, name)
        and (name in every or getattr(sampling, name) != getattr(DEFAULTS, name))
    }
