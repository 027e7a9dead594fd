"""A chat as a request of Amazon Bedrock's Converse API, which models of all makers share:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
"""

import json
from typing import Any

from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, Sampling, Tool
from serve_app.upstreams.anthropic_messages import AnthropicConversation, Object
from serve_app.upstreams.anthropic_request import (
    COMMON,
    NO_FIELD,
    ONLY_JSON,
    check_chat,
    enforced_schema,
    given_sampling,
)

CHOSEN = {"temperature": "temperature", "top_p": "topP"}
TOLD_EFFORT = "openai."
"""Models of this maker take an effort, in a field of their own."""


async def converse_request(
    operation: Chat, model: str, blobs: BlobStore
) -> tuple[Object, tuple[Notice, ...]]:
    """The body, and what is left out of it."""
    check_chat(operation)
    conversation = AnthropicConversation(blobs)
    for i, message in enumerate(operation.messages):
        await conversation.add(message, i)
    left_out = conversation.left_out
    output = _output_fields(operation, conversation)
    said = conversation.finish()
    content: Object = {"messages": [_turn(turn) for turn in said["messages"]]}
    if system := said.get("system"):
        content["system"] = [{"text": system}]
    content |= _sampling_fields(operation.sampling, left_out)
    content |= _tool_fields(operation, conversation, left_out)
    content |= _effort_fields(operation, model, left_out)
    unknown = sorted(operation.extra.keys() - {"reasoning_effort", "user"})
    left_out += (Notice(text=NO_FIELD, field=name) for name in unknown)
    return content | output, tuple(left_out)


def _turn(turn: Object) -> Object:
    said = turn["content"]
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
    return {"role": turn["role"], "content": [found for each in blocks for found in _block(each)]}


def _block(block: Object) -> list[Object]:
    """A block of Anthropic's; what another model has thought is of no use."""
    match block["type"]:
        case "text":
            return [{"text": block["text"]}]
        case "image":
            source = block["source"]
            kind = source["media_type"].partition("/")[2]
            return [{"image": {"format": kind, "source": {"bytes": source["data"]}}}]
        case "tool_use":
            call = {name: block[name] for name in ("name", "input")}
            return [{"toolUse": {"toolUseId": block["id"], **call}}]
        case "tool_result":
            # A text without anything in it is refused.
            told = [found for each in block.get("content", ()) for found in _block(each)]
            result = {"toolUseId": block["tool_use_id"], "content": told or [{"json": {}}]}
            return [{"toolResult": result}]
    return []


def _sampling_fields(sampling: Sampling, left_out: list[Notice]) -> Object:
    fields: Object = {}
    if sampling.max_tokens is not None:
        fields["maxTokens"] = sampling.max_tokens
    if stop := [text for text in sampling.stop if text]:
        fields["stopSequences"] = stop
    for name in sorted(given_sampling(sampling) - COMMON):
        if name in CHOSEN:
            fields[CHOSEN[name]] = getattr(sampling, name)
        else:
            left_out.append(Notice(text=NO_FIELD, field=name))
    return {"inferenceConfig": fields} if fields else {}


def _tool_fields(
    operation: Chat, conversation: AnthropicConversation, left_out: list[Notice]
) -> Object:
    """Tools that were called have to be named, also where no more are to be."""
    is_forbidden = operation.tool_choice.mode == "none"
    if not operation.tools or (is_forbidden and not conversation.has_calls):
        return {}
    if is_forbidden:
        left_out.append(Notice(text="the model may call tools all the same", field="tool_choice"))
    if not operation.parallel_tool_calls:
        left_out.append(Notice(text=NO_FIELD, field="parallel_tool_calls"))
    written: Object = {"tools": [{"toolSpec": _tool(tool)} for tool in operation.tools]}
    match operation.tool_choice.mode:
        case "required":
            written["toolChoice"] = {"any": {}}
        case "function":
            written["toolChoice"] = {"tool": {"name": operation.tool_choice.name}}
    return {"toolConfig": written}


def _tool(tool: Tool) -> Object:
    schema: dict[str, Any] = {"type": "object", **(tool.parameters or {"properties": {}})}
    told = {"description": tool.description} if tool.description else {}
    strict = {"strict": True} if tool.strict else {}
    return {"name": tool.name, **told, "inputSchema": {"json": schema}, **strict}


def _effort_fields(operation: Chat, model: str, left_out: list[Notice]) -> Object:
    effort = operation.reasoning_effort
    if effort is None or effort == "none":
        return {}
    if TOLD_EFFORT in model:
        return {"additionalModelRequestFields": {"reasoning_effort": effort}}
    left_out.append(Notice(text=NO_FIELD, field="reasoning_effort"))
    return {}


def _output_fields(operation: Chat, conversation: AnthropicConversation) -> Object:
    wanted = operation.response_format
    if wanted.type == "json_object":
        conversation.system.append(ONLY_JSON)
        said = "the model is told to answer in JSON, and not held to it; a schema is enforced"
        conversation.left_out.append(Notice(text=said, field="response_format"))
    if wanted.type != "json_schema":
        return {}
    schema = enforced_schema(
        wanted.json_schema or {}, wanted.strict, "response_format", conversation.left_out
    )
    structure = {"jsonSchema": {"schema": json.dumps(schema), "name": "response"}}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}
