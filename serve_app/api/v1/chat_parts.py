"""The pieces of a chat body: messages, tools and formats, in OpenAI's spellings."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, model_validator

from serve_app.api.v1.wire import Flag, JsonObject, Text
from serve_app.api.wire_object import WireObject
from serve_app.core.chat import TextFormat, Tool, ToolCall, ToolChoice
from serve_app.core.errors import InvalidRequest

MEDIA_CHARACTERS = 400_000_000


class Piece(WireObject):
    """A part of a body; unknown keys inside it are dropped."""


class ImageUrl(Piece):
    """An image in any media form. `detail` is accepted."""

    url: Text = Field(max_length=MEDIA_CHARACTERS)
    detail: Text | None = None


class InputAudio(Piece):
    """A sound in any media form."""

    data: Text = Field(max_length=MEDIA_CHARACTERS)
    format: Text | None = None


class TextPartBody(Piece):
    """Text inside a message."""

    type: Literal["text"]
    text: Text


class ImagePartBody(Piece):
    """An image inside a message."""

    type: Literal["image_url"]
    image_url: ImageUrl | Text


class AudioPartBody(Piece):
    """A sound inside a message."""

    type: Literal["input_audio"]
    input_audio: InputAudio


PartBody = Annotated[TextPartBody | ImagePartBody | AudioPartBody, Field(discriminator="type")]


class FunctionCallBody(Piece):
    """The function of a call the assistant made; `arguments` is JSON text."""

    name: Text = Field(min_length=1, max_length=200)
    arguments: Text = "{}"


class ToolCallBody(Piece):
    """A call the assistant made in an earlier turn."""

    id: Text | None = None
    type: Literal["function"] = "function"
    function: FunctionCallBody

    def to_core(self, position: int) -> ToolCall:
        """As core has it."""
        name, arguments = self.function.name, self.function.arguments
        return ToolCall(id=self.id or f"call_{position}", name=name, arguments=arguments)


class MessageBody(Piece):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[PartBody] | None = None
    name: Text | None = None
    tool_calls: list[ToolCallBody] | None = Field(
        default=None, validation_alias=AliasChoices("tool_calls", "toolCalls")
    )
    function_call: FunctionCallBody | None = None
    tool_call_id: Text | None = Field(
        default=None, validation_alias=AliasChoices("tool_call_id", "toolCallId")
    )
    images: list[Text] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "MessageBody":
        is_answer = self.role == "assistant"
        if self.content is None and not (is_answer or self.images):
            raise ValueError("content must be given for this role")
        return self

    def calls(self) -> list[ToolCall]:
        """The calls of an assistant's turn. The old spelling has one and no id, so the function's
        name pairs it with its result.
        """
        if self.tool_calls is None and self.function_call is not None:
            return [ToolCall(id=f"call_{self.function_call.name}", **dict(self.function_call))]
        return [call.to_core(i) for i, call in enumerate(self.tool_calls or ())]

    def answered_call(self) -> str | None:
        """The id of the call whose result this turn is."""
        is_old = self.role == "function" and self.tool_call_id is None
        return f"call_{self.name}" if is_old else self.tool_call_id


class FunctionBody(Piece):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: Text = Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: Flag | None = None

    def to_core(self) -> Tool:
        """As core has it."""
        return Tool(
            name=self.name,
            description=self.description,
            parameters=self.parameters,
            strict=bool(self.strict),
        )


class ToolBody(Piece):
    """A tool; functions are the only kind."""

    type: Literal["function"] = "function"
    function: FunctionBody


class NamedFunction(Piece):
    """A function by its name."""

    name: Text


class NamedTool(Piece):
    """Forces one tool."""

    type: Literal["function"] = "function"
    function: NamedFunction


ToolChoiceBody = Literal["none", "auto", "required"] | NamedTool


class JsonSchemaBody(Piece):
    """A named JSON Schema that the answer must follow."""

    name: Text = "response"
    description: Text | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: Flag | None = None


class ResponseFormatBody(Piece):
    """What the answer's text must be. `{"response_format": "json_object"}` is an older spelling."""

    type: Literal["text", "json_object", "json_schema"] = Field(
        default="text", validation_alias=AliasChoices("type", "response_format")
    )
    json_schema: JsonSchemaBody | None = None

    def to_core(self) -> TextFormat:
        """As core has it. InvalidRequest when the schema is missing."""
        if self.type != "json_schema":
            return TextFormat(type=self.type)
        if self.json_schema is None or self.json_schema.schema_ is None:
            raise InvalidRequest(
                "response_format.json_schema.schema: is needed for the type 'json_schema'",
                param="response_format.json_schema",
            )
        return TextFormat(type="json_schema", json_schema=self.json_schema.schema_)


def tool_choice_to_core(
    choice: ToolChoiceBody | None, tools: tuple[Tool, ...], *, param: str
) -> ToolChoice:
    """As core has it. InvalidRequest for a tool that is not in the list, or any without tools."""
    if choice is None or choice == "auto":
        return ToolChoice()
    if isinstance(choice, NamedTool):
        names = [tool.name for tool in tools]
        if choice.function.name not in names:
            raise InvalidRequest(
                f"{param}: no tool is named {choice.function.name!r}; "
                f"tools: {', '.join(map(repr, names)) or 'none given'}",
                param=param,
            )
        return ToolChoice(mode="function", name=choice.function.name)
    if choice == "required" and not tools:
        raise InvalidRequest(f"{param}: 'required' needs tools", param=param)
    return ToolChoice(mode=choice)
