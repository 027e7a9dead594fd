"""The messages of a chat body, which are also the answers of this and other servers sent back."""

import json
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Discriminator, Field, Tag, model_validator

from serve_app.api.openai.chat_parts import NestedBody
from serve_app.api.openai.chat_thoughts import thoughts_in
from serve_app.api.wire_types import MediaText, Text
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.text.chat import Thought, ToolCall


class ImageUrl(NestedBody):
    """An image in any media form. `detail` is accepted."""

    url: MediaText = Field(max_length=MEDIA_CHARACTERS)
    detail: Text | None = None


class InputAudio(NestedBody):
    """An audio file in any media form."""

    data: MediaText = Field(max_length=MEDIA_CHARACTERS)
    format: Text | None = None


class TextPartBody(NestedBody):
    """Text inside a message; the longer names are those of OpenAI's newer API."""

    type: Literal["text", "input_text", "output_text"]
    text: Text


class ImagePartBody(NestedBody):
    """An image inside a message."""

    type: Literal["image_url"]
    image_url: ImageUrl | MediaText

    @property
    def source(self) -> str:
        """The medium."""
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url


class AudioPartBody(NestedBody):
    """An audio file inside a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class RefusalPartBody(NestedBody):
    """The refusal of an assistant."""

    type: Literal["refusal"]
    refusal: Text = ""


class OtherPartBody(NestedBody):
    """A part of an unknown type, as in messages of other servers."""

    type: Text


PART_TAGS = {
    **dict.fromkeys(("text", "input_text", "output_text"), "text"),
    **{name: name for name in ("image_url", "input_audio", "refusal")},
}
TAKEN_PARTS = "'text', 'image_url', 'input_audio'"


def _part_tag(value: Any) -> str | None:
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return PART_TAGS.get(name, "other") if isinstance(name, str) else None


PartBody = Annotated[
    Annotated[TextPartBody, Tag("text")]
    | Annotated[ImagePartBody, Tag("image_url")]
    | Annotated[AudioPartBody, Tag("input_audio")]
    | Annotated[RefusalPartBody, Tag("refusal")]
    | Annotated[OtherPartBody, Tag("other")],
    Discriminator(
        _part_tag,
        custom_error_type="part_without_type",
        custom_error_message=f"a part is an object with a 'type': {TAKEN_PARTS}",
    ),
]


class FunctionCallBody(NestedBody):
    """The function of a tool call; `arguments` is JSON text."""

    name: Text = Field(min_length=1, max_length=200)
    arguments: Text = "{}"

    def to_core(self, call_id: str) -> ToolCall:
        """As core has it; a call without arguments may come with an empty text."""
        return ToolCall(id=call_id, name=self.name, arguments=self.arguments.strip() or "{}")


class FunctionToolCallBody(NestedBody):
    """A tool call of the assistant in an earlier turn."""

    id: Text | None = None
    type: Text = "function"
    function: FunctionCallBody

    def to_core(self, position: int) -> ToolCall:
        """As core has it."""
        return self.function.to_core(self.id or f"call_{position}")


class CustomCallBody(NestedBody):
    """A call whose input is plain text, as models of other servers make them."""

    name: Text = Field(min_length=1, max_length=200)
    input: Text = ""


class CustomToolCallBody(NestedBody):
    """OpenAI's custom tool call. The model sees it as a function with the argument `input`."""

    id: Text | None = None
    type: Literal["custom"]
    custom: CustomCallBody

    def to_core(self, position: int) -> ToolCall:
        """As core has it."""
        arguments = json.dumps({"input": self.custom.input}, ensure_ascii=False)
        call_id = self.id or f"call_{position}"
        return ToolCall(id=call_id, name=self.custom.name, arguments=arguments)


def _call_tag(value: Any) -> str:
    is_custom = isinstance(value, dict) and value.get("type") == "custom" and "custom" in value
    return "custom" if is_custom else "function"


ToolCallBody = Annotated[
    Annotated[FunctionToolCallBody, Tag("function")] | Annotated[CustomToolCallBody, Tag("custom")],
    Discriminator(_call_tag),
]


class MessageBody(NestedBody):
    """One message of a conversation. In an assistant message, everything but text, calls and what a
    provider is to get back of its thoughts is accepted and ignored, such as the reasoning,
    annotations and audio of another server.
    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[PartBody] | None = None
    refusal: Text | None = None
    name: Text | None = None
    tool_calls: list[ToolCallBody] | None = Field(
        default=None, validation_alias=AliasChoices("tool_calls", "toolCalls")
    )
    function_call: FunctionCallBody | None = None
    tool_call_id: Text | None = Field(
        default=None, validation_alias=AliasChoices("tool_call_id", "toolCallId")
    )
    images: list[Text | ImagePartBody] | None = None
    reasoning: Any = None
    reasoning_content: Any = None
    reasoning_details: Any = None
    annotations: Any = None
    audio: Any = None

    @model_validator(mode="after")
    def _has_content(self) -> "MessageBody":
        is_answer = self.role == "assistant"
        if self.content is None and not (is_answer or self.images):
            raise ValueError("content is required for this role")
        return self

    def content_parts(self) -> str | list[PartBody]:
        """The content; a refusal is what was said where there is nothing else."""
        is_refusal = self.role == "assistant" and not self.content and self.refusal
        content_parts = self.refusal if is_refusal else self.content
        return [] if content_parts is None else content_parts

    def attached_images(self) -> list[str]:
        """The media beside the content. Parts that an assistant has there were generated by another
        server's model, and no model is shown them.
        """
        images = self.images or ()
        if self.role == "assistant":
            return [image for image in images if isinstance(image, str)]
        return [image if isinstance(image, str) else image.source for image in images]

    def calls(self) -> list[ToolCall]:
        """The calls of an assistant's turn. The old spelling has one and no id, so the function's
        name pairs it with its result.
        """
        if not self.tool_calls and self.function_call is not None:
            return [self.function_call.to_core(f"call_{self.function_call.name}")]
        return [call.to_core(i) for i, call in enumerate(self.tool_calls or ())]

    def answered_call(self) -> str | None:
        """The id of the call whose result this turn is."""
        is_old = self.role == "function" and self.tool_call_id is None
        return f"call_{self.name}" if is_old else self.tool_call_id

    def thoughts(self) -> tuple[Thought, ...]:
        """What a provider has thought before it said this."""
        return thoughts_in(self.reasoning_details) if self.role == "assistant" else ()

    def ignored_paths(self, where: str) -> list[str]:
        """The paths of what no model is shown."""
        if self.role != "assistant":
            return []
        parts = self.content if isinstance(self.content, list) else ()
        others = [i for i, part in enumerate(parts) if isinstance(part, OtherPartBody)]
        said = () if self.thoughts() else ("reasoning", "reasoning_content", "reasoning_details")
        names = [name for name in said if getattr(self, name)]
        names += [name for name in ("annotations", "audio") if getattr(self, name)]
        if len(self.attached_images()) < len(self.images or ()):
            names.append("images")
        return [*(f"{where}.content[{i}]" for i in others), *(f"{where}.{n}" for n in names)]
