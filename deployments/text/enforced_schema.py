"""What of a JSON schema is enforced while an answer is decoded. What no grammar expresses is left
out, with a warning or, where `strict` forbids that, an error.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

from deployments.text.schema_gaps import gaps_in, plain
from serve_app.core.errors import InvalidRequest
from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, TextFormat, Tool
from serve_app.core.text.json_schema import Schema, rewritten

ROUNDS = 8
"""One thing left out may show another."""


async def enforced(request: Chat) -> tuple[Chat, tuple[Notice, ...]]:
    """As `enforced_request`, beside the event loop: a large schema takes seconds."""
    if not request.is_constrained:
        return request, ()
    return await asyncio.to_thread(enforced_request, request)


def enforced_request(request: Chat) -> tuple[Chat, tuple[Notice, ...]]:
    """The request with every schema that it enforces as llguidance can follow it, and a warning
    for each thing that was left out. InvalidRequest for what cannot be followed at all, or is to be
    followed strictly and cannot.
    """
    warnings: list[Notice] = []
    changes: dict[str, Any] = {}
    form, mode = request.response_format, request.tool_choice.mode
    if mode in ("required", "function"):
        tools = []
        for i, tool in enumerate(request.tools):
            is_wanted = mode == "required" or tool.name == request.tool_choice.name
            tools.append(_enforced_tool(tool, i, warnings) if is_wanted else tool)
        changes["tools"] = tuple(tools)
    changes["response_format"] = _enforced_format(form, warnings)
    return request.model_copy(update=changes), tuple(dict.fromkeys(warnings))


async def enforced_format(form: TextFormat) -> tuple[TextFormat, tuple[Notice, ...]]:
    """The same for a format alone, as completions have it."""
    warnings: list[Notice] = []
    if form.type != "json_schema":
        return form, ()
    changed = await asyncio.to_thread(_enforced_format, form, warnings)
    return changed, tuple(warnings)


async def warned(
    events: AsyncIterator[ChatEvent], warnings: tuple[Notice, ...]
) -> AsyncGenerator[ChatEvent]:
    """The events with the warnings in the first delta, and nothing before it: whatever is wrong
    with a request is known before its first event.
    """
    async for event in events:
        if warnings and isinstance(event, ChatDelta):
            event, warnings = event.model_copy(update={"warnings": warnings}), ()
        yield event


def _enforced_format(form: TextFormat, warnings: list[Notice]) -> TextFormat:
    if form.type != "json_schema" or not form.json_schema:
        return form
    check = SchemaCheck("response_format.json_schema", "the schema", strict=form.strict)
    schema = check.enforced(form.json_schema)
    warnings += check.warnings
    return form.model_copy(update={"json_schema": schema})


def _enforced_tool(tool: Tool, position: int, warnings: list[Notice]) -> Tool:
    if not tool.parameters:
        return tool
    param = f"tools[{position}].function.parameters"
    check = SchemaCheck(param, f"the schema of the tool {tool.name!r}", strict=tool.strict)
    schema = check.enforced(tool.parameters)
    warnings += check.warnings
    return tool.model_copy(update={"parameters": schema})


class SchemaCheck:
    """Of one schema, which messages call `subject`."""

    def __init__(self, param: str, subject: str, *, strict: bool) -> None:
        self._param = param
        self._subject = subject
        self._strict = strict
        self.warnings: list[Notice] = []

    def enforced(self, schema: Schema) -> Schema:
        """The schema without what cannot be enforced."""
        schema = dict(rewritten(schema, partial(plain, root=schema)))
        for _ in range(ROUNDS):
            gaps, problem = gaps_in(schema)
            if problem is not None:
                raise self._refusal(f"cannot be followed: {problem.strip()[:300]}")
            if kept := [name for gap in gaps if gap.is_asserted for name in gap.names]:
                self._check_strict(kept)
            self.warnings += [Notice(field=self._param, text=gap.said) for gap in gaps]
            before = schema
            for gap in gaps:
                schema = dict(rewritten(schema, gap.mend))
            if schema == before:
                return schema
        raise self._refusal("cannot be followed: it combines too many kinds of rules")

    def _check_strict(self, names: list[str]) -> None:
        if self._strict:
            listed = ", ".join(map(repr, dict.fromkeys(names)))
            raise self._refusal(
                "cannot be enforced as 'strict' asks", remedy=f"leave out {listed}, or 'strict'"
            )

    def _refusal(self, reason: str, *, remedy: str | None = None) -> InvalidRequest:
        return InvalidRequest(f"{self._subject} {reason}", remedy=remedy, param=self._param)
