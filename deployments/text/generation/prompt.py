"""From a conversation to token ids by the model's own chat template."""

import json
from dataclasses import dataclass
from typing import Any

import jinja2

from deployments.text.generation.tool_format import (
    ToolFormat,
    declaration,
    format_of,
    instructions,
)
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Chat, ChatMessage, TextPart, Tool


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as text, and whether it already opened the model's reasoning."""

    text: str
    is_thinking: bool


class Prompts:
    """Renders conversations with one tokenizer. `takes_parts` where the template is that of a model
    that sees, which reads lists of parts and may silently skip a content that is a string.
    """

    def __init__(
        self, tokenizer: Any, chat_template: str | None, *, model_id: str, takes_parts: bool
    ) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        self._model_id = model_id
        self._takes_parts = takes_parts
        self.format: ToolFormat = format_of(chat_template or "")

    def render(self, request: Chat, tools: tuple[Tool, ...]) -> RenderedPrompt:
        """The prompt up to where the assistant begins. InvalidRequest, `param` messages, for a
        conversation that the template refuses.
        """
        if self._template is None:
            raise InvalidRequest(
                f"model {self._model_id!r} has no chat template",
                remedy="it only continues a prompt",
                param="messages",
            )
        messages = request.messages
        arguments: dict[str, Any] = {"enable_thinking": request.thinking}
        if self._takes_parts:
            # The processor's own; the tokenizer may lack it.
            arguments["chat_template"] = self._template
        if request.reasoning_effort is not None:
            arguments["reasoning_effort"] = request.reasoning_effort
        if tools and "tools" in self._template:
            arguments["tools"] = [declaration(tool) for tool in tools]
        elif tools:
            messages = _instructed(messages, instructions(tools))
        text = self._apply([_message(m, self._takes_parts) for m in messages], arguments)
        tail = text.rstrip()
        return RenderedPrompt(text, is_thinking=tail.endswith("<think>"))

    def _apply(self, messages: list[dict[str, Any]], arguments: dict[str, Any]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **arguments
                )
            )
        except (jinja2.TemplateError, TypeError, ValueError, RecursionError) as error:
            reason = str(error).split("\n")[0][:300]
            raise InvalidRequest(
                f"the chat template of {self._model_id!r} refuses the messages: {reason}",
                param="messages",
            ) from error


def _message(message: ChatMessage, takes_parts: bool) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": part.text} if part.type == "text" else {"type": part.type}
        for part in message.content
    ]
    value: dict[str, Any] = {"role": message.role}
    value["content"] = parts if takes_parts else message.text
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
    except (ValueError, RecursionError):
        return text


def _instructed(messages: tuple[ChatMessage, ...], text: str) -> tuple[ChatMessage, ...]:
    if messages and messages[0].role == "system":
        content = (*messages[0].content, TextPart(text=f"\n\n{text}"))
        return (messages[0].model_copy(update={"content": content}), *messages[1:])
    return (ChatMessage(role="system", content=(TextPart(text=text),)), *messages)
