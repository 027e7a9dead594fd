"""How a model writes tool calls, told from its chat template, and reading them back."""

import json
from dataclasses import dataclass
from typing import Any

from serve_app.core.text.chat import Tool
from serve_app.core.text.json_schema import references, rerooted


@dataclass(frozen=True)
class ToolFormat:
    """`opening` begins a call, `closing` ends it (None: the answer's end does). `arguments` is the
    key under which a call's arguments stand.
    """

    name: str
    opening: str
    closing: str | None
    arguments: str = "arguments"

    @property
    def is_bare(self) -> bool:
        """Whether a call is the whole answer, without a marker."""
        return not self.opening

    def schema(self, tools: tuple[Tool, ...]) -> dict[str, Any]:
        """The JSON schema of one call to any of these tools. A schema that refers to itself stands
        whole among the definitions, where no name of one tool's is another's.
        """
        definitions: dict[str, Any] = {}
        branches: list[dict[str, Any]] = []
        for number, tool in enumerate(tools):
            parameters = {"type": "object"} | (tool.parameters or {})
            if references(parameters):
                pointer = f"#/$defs/{number}"
                definitions[str(number)] = rerooted(parameters, pointer)
                parameters = {"$ref": pointer}
            named = {"name": {"const": tool.name}, self.arguments: parameters}
            branches.append(
                {
                    "type": "object",
                    "properties": named,
                    "required": list(named),
                    "additionalProperties": False,
                }
            )
        schema = branches[0] if len(branches) == 1 else {"anyOf": branches}
        return schema | ({"$defs": definitions} if definitions else {})


HERMES = ToolFormat("hermes", "<tool_call>", "</tool_call>")
LLAMA = ToolFormat("llama", "", None, arguments="parameters")
MISTRAL = ToolFormat("mistral", "[TOOL_CALLS]", None)


def format_of(chat_template: str) -> ToolFormat:
    """Mistral's and Llama 3's own marks are unmistakable; all others get the form of Hermes and
    Qwen, which is also what a template without tools is told to use.
    """
    if "[TOOL_CALLS]" in chat_template:
        return MISTRAL
    if "<|python_tag|>" in chat_template and "tools" in chat_template:
        return LLAMA
    return HERMES


def calls_in(text: str, tools: tuple[Tool, ...]) -> list[tuple[str, str]] | None:
    """The calls (name, arguments as JSON text) that a piece between marks holds, None when it is
    no JSON or names no tool that was offered.
    """
    text = text.strip().removeprefix("<|python_tag|>").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _several(text)
    found = value if isinstance(value, list) else [value]
    calls = [_call(item, {tool.name for tool in tools}) for item in found]
    return [call for call in calls if call] if calls and all(calls) else None


def instructions(tools: tuple[Tool, ...]) -> str:
    """What a model is told whose template knows no tools; the wording is this project's."""
    functions = "\n".join(json.dumps(declaration(tool), ensure_ascii=False) for tool in tools)
    return (
        "You can call functions. To call one, answer with its name and arguments as JSON between "
        'the tags, like <tool_call>{"name": "…", "arguments": {…}}</tool_call>. '
        f"The functions are:\n{functions}"
    )


def declaration(tool: Tool) -> dict[str, Any]:
    """A tool as chat templates take it."""
    function: dict[str, Any] = {"name": tool.name, "description": tool.description or ""}
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _several(text: str) -> list[Any]:
    """JSON values one after the other, as Llama separates them with `;`. Empty when unreadable."""
    decoder, values, position = json.JSONDecoder(), [], 0
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return []
        values.append(value)
        position = end
        while position < len(text) and text[position] in "; \n\t,":
            position += 1
    return values


def _call(value: Any, names: set[str]) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    name = value.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    return name, json.dumps(arguments, ensure_ascii=False)
