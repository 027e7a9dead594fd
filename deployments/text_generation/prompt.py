"""From a conversation to token ids by the model's own chat template."""

import json
from dataclasses import dataclass
from typing import Any

import jinja2

from deployments.text_generation.tool_format import (
    ToolFormat,
    declaration,
    format_of,
    instructions,
)
from serve_app.core.chat import Chat, ChatMessage, Tool
from serve_app.core.errors import InvalidRequest


@dataclass(frozen=True)
class Rendered:
    """A prompt as text, and whether it already opened the model's reasoning."""

    text: str
    is_thinking: bool


class Prompts:
    """Renders conversations for one tokenizer or processor."""

    def __init__(self, renderer: Any, chat_template: str | None, *, model_id: str) -> None:
        self._renderer = renderer
        self._template = chat_template
        self._model_id = model_id
        self.format: ToolFormat = format_of(chat_template or "")

    def render(self, request: Chat, tools: tuple[Tool, ...]) -> Rendered:
        """The prompt up to where the assistant begins. InvalidRequest, `param` messages, for a
        conversation that the template refuses.
        """
        if self._template is None:
            raise InvalidRequest(
                f"model {self._model_id!r} has no chat template; use /v1/completions",
                param="messages",
            )
        messages = [_message(message) for message in request.messages]
        arguments: dict[str, Any] = {"enable_thinking": request.thinking}
        if request.reasoning_effort is not None:
            arguments["reasoning_effort"] = request.reasoning_effort
        if tools and "tools" in self._template:
            arguments["tools"] = [declaration(tool) for tool in tools]
        elif tools:
            messages = _instructed(messages, instructions(tools))
        text = self._apply(messages, arguments)
        tail = text.rstrip()
        return Rendered(text, is_thinking=tail.endswith("<think>"))

    def _apply(self, messages: list[dict[str, Any]], arguments: dict[str, Any]) -> str:
        try:
            return str(
                self._renderer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **arguments
                )
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            reason = str(error).split("\n")[0][:300]
            raise InvalidRequest(
                f"messages: the chat template of {self._model_id!r} refuses them: {reason}",
                param="messages",
            ) from error


def _message(message: ChatMessage) -> dict[str, Any]:
    """Templates take text as a string; a list of parts only where there are images."""
    has_images = any(part.type == "image" for part in message.content)
    value: dict[str, Any] = {"role": message.role}
    if has_images:
        value["content"] = [
            {"type": "text", "text": part.text} if part.type == "text" else {"type": "image"}
            for part in message.content
        ]
    else:
        value["content"] = message.text
    if message.name:
        value["name"] = message.name
    if message.tool_call_id:
        value["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        value["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return value


def _arguments(text: str) -> Any:
    """Most templates write the arguments themselves and want the object."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _instructed(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    if messages and messages[0]["role"] == "system":
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
