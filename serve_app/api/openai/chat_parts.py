"""The pieces of a chat body besides its messages: tools and formats, in OpenAI's spellings."""

from typing import Literal

from pydantic import AliasChoices, Field

from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Flag, JsonObject, Text
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import TextFormat, Tool, ToolChoice


class NestedBody(WireObject):
    """A nested object; unknown keys in it are dropped."""


class FunctionBody(NestedBody):
    """A function that the model may call; `parameters` is a JSON Schema."""

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


class ToolBody(NestedBody):
    """A tool; functions are the only kind."""

    type: Literal["function"] = "function"
    function: FunctionBody


class NamedFunction(NestedBody):
    """A function by its name."""

    name: Text


class NamedTool(NestedBody):
    """Forces one tool."""

    type: Literal["function"] = "function"
    function: NamedFunction


ToolChoiceBody = Literal["none", "auto", "required"] | NamedTool


class JsonSchemaBody(NestedBody):
    """A named JSON Schema that the output must match."""

    name: Text = "response"
    description: Text | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: Flag | None = None


class ResponseFormatBody(NestedBody):
    """The format of the output. `{"response_format": "json_object"}` is an older spelling."""

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
                "the type 'json_schema' needs a schema",
                param="response_format.json_schema",
            )
        schema = self.json_schema
        return TextFormat(
            type="json_schema", json_schema=schema.schema_, strict=bool(schema.strict)
        )


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
                f"no tool is named {choice.function.name!r}",
                remedy=f"tools: {', '.join(map(repr, names)) or 'none given'}",
                param=param,
            )
        return ToolChoice(mode="function", name=choice.function.name)
    if choice == "required" and not tools:
        raise InvalidRequest("'required' needs at least one tool", param=param)
    return ToolChoice(mode=choice)
