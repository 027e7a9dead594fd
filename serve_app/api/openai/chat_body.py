"""The body of a chat request and its way into core."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, PrivateAttr
from typing_extensions import override

from serve_app.api.openai.chat_message import (
    TAKEN_PARTS,
    AudioPartBody,
    ImagePartBody,
    MessageBody,
    OtherPartBody,
    PartBody,
    RefusalPartBody,
    TextPartBody,
)
from serve_app.api.openai.chat_parts import (
    FunctionBody,
    NamedFunction,
    NamedTool,
    ResponseFormatBody,
    ToolBody,
    ToolChoiceBody,
    tool_choice_to_core,
)
from serve_app.api.openai.sampling_body import SamplingBody
from serve_app.api.wire_types import Flag, Integer, Text
from serve_app.blobs.intake import MediaIntake
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.bounds import MAX_MESSAGES
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.text.chat import (
    AudioPart,
    Chat,
    ChatMessage,
    ImagePart,
    Part,
    ReasoningEffort,
    TextFormat,
    TextPart,
    Tool,
)

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: dict[Effort, ReasoningEffort] = {
    "none": "none",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""OpenAI's levels, and those of them that models' chat templates know."""
NO_EFFECT = ("user", "metadata", "store", "service_tier", "keep_alive", "provider")


class ChatBody(SamplingBody):
    """POST /v1/chat/completions."""

    messages: list[MessageBody] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: Annotated[Integer, Field(ge=1, le=2**31)] | None = None
    logprobs: Flag | None = Field(
        default=None, validation_alias=AliasChoices("logprobs", "logProbs")
    )
    top_logprobs: Annotated[Integer, Field(ge=0, le=20)] | None = Field(
        default=None, validation_alias=AliasChoices("top_logprobs", "topLogprobs")
    )
    tools: list[ToolBody] | None = Field(default=None, max_length=256)
    tool_choice: ToolChoiceBody | None = Field(
        default=None, validation_alias=AliasChoices("tool_choice", "toolChoice")
    )
    functions: list[FunctionBody] | None = Field(default=None, max_length=256)
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    parallel_tool_calls: Flag | None = None
    response_format: ResponseFormatBody | Literal["text", "json_object"] | None = Field(
        default=None, validation_alias=AliasChoices("response_format", "responseFormat")
    )
    enable_thinking: Flag | None = None
    reasoning_effort: Effort | None = None
    keep_alive: Text | Integer | None = None
    metadata: dict[str, Any] | None = None
    store: Flag | None = None
    service_tier: Text | None = None
    provider: Text | None = None
    _passed_on: frozenset[str] = PrivateAttr(default=frozenset())

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only, or said in a newer spelling as well."""
        newer = {
            "functions": self.tools,
            "function_call": self.tool_choice,
            "max_tokens": self.max_completion_tokens,
        }
        names = [*NO_EFFECT, *(name for name, value in newer.items() if value)]
        sent = [name for name in names if getattr(self, name) is not None]
        history = [
            path
            for i, message in enumerate(self.messages)
            for path in message.ignored_paths(f"messages[{i}]")
        ]
        return [*sent, *self.idle_stream_options(), *history]

    async def to_chat(self, found: CatalogEntry, catalog: Catalog, intake: MediaIntake) -> Chat:
        """The operation, with its media stored."""
        tools = self._tools()
        is_old = self.tool_choice is None and self.function_call is not None
        choice_field = "function_call" if is_old else "tool_choice"
        choice = tool_choice_to_core(self._choice(), tools, param=choice_field)
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
        reader = MessageReader(found, catalog, intake)
        messages = [await reader.read(body, i) for i, body in enumerate(self.messages)]
        is_thinking = self.reasoning_effort not in (None, "none")
        return Chat(
            model=found.id,
            messages=tuple(messages),
            sampling=self.sampling(
                logprobs=(self.top_logprobs or 0) if self.logprobs else None,
                max_tokens=self.max_completion_tokens or self.max_tokens,
            ),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=self.parallel_tool_calls is not False,
            response_format=self.text_format(),
            thinking=is_thinking if self.enable_thinking is None else self.enable_thinking,
            reasoning_effort=EFFORTS[self.reasoning_effort] if self.reasoning_effort else None,
            extra=self._pass_on() if found.passes_on else {},
        )

    def _pass_on(self) -> dict[str, Any]:
        """What a provider may have a use for, as it was sent; it is not ignored then."""
        names = [*(self.model_extra or {}), *self.sent(*NO_EFFECT, "reasoning_effort")]
        self._passed_on = frozenset(names)
        return {name: getattr(self, name) for name in names}

    @override
    def ignored_names(self) -> list[str]:
        return [name for name in super().ignored_names() if name not in self._passed_on]

    def _tools(self) -> tuple[Tool, ...]:
        functions = [tool.function for tool in self.tools or ()] or self.functions or []
        return tuple(function.to_core() for function in functions)

    def _choice(self) -> ToolChoiceBody | None:
        if self.tool_choice is not None or self.function_call is None:
            return self.tool_choice
        if isinstance(self.function_call, NamedFunction):
            return NamedTool(function=self.function_call)
        return self.function_call

    def text_format(self) -> TextFormat:
        """What the answer must be."""
        if isinstance(self.response_format, str):
            return TextFormat(type=self.response_format)
        return self.response_format.to_core() if self.response_format else TextFormat()


class MessageReader:
    """Turns message bodies into core messages for one model."""

    def __init__(self, found: CatalogEntry, catalog: Catalog, intake: MediaIntake) -> None:
        self._found = found
        self._catalog = catalog
        self._intake = intake

    async def read(self, body: MessageBody, position: int) -> ChatMessage:
        """One message; media are stored only when the model can take them."""
        where = f"messages[{position}]"
        content_parts = body.content_parts()
        parts: list[Part] = [TextPart(text=content_parts)] if isinstance(content_parts, str) else []
        for i, part in enumerate(() if isinstance(content_parts, str) else content_parts):
            if isinstance(part, OtherPartBody) and body.role == "assistant":
                continue
            parts.append(await self._part(part, f"{where}.content[{i}]"))
        for i, image in enumerate(body.attached_images()):
            parts.append(await self._image(image, f"{where}.images[{i}]"))
        role = {"developer": "system", "function": "tool"}.get(body.role, body.role)
        return ChatMessage.model_validate(
            {
                "role": role,
                "content": tuple(parts),
                "name": body.name,
                "tool_calls": tuple(body.calls()),
                "tool_call_id": body.answered_call(),
                "thoughts": body.thoughts(),
            }
        )

    async def _part(self, part: PartBody, where: str) -> Part:
        match part:
            case TextPartBody():
                return TextPart(text=part.text)
            case ImagePartBody():
                return await self._image(part.source, f"{where}.image_url")
            case RefusalPartBody():
                return TextPart(text=part.refusal)
            case OtherPartBody():
                raise InvalidRequest(
                    f"parts of the type {part.type[:50]!r} are not supported",
                    remedy=f"types: {TAKEN_PARTS}",
                    param=where,
                )
            case AudioPartBody() if self._found.passes_on:
                where = f"{where}.input_audio"
                data = part.input_audio.data
                audio = await self._intake.take(data, param=where, kind="audio")
                return AudioPart(audio=audio)
            case AudioPartBody():
                raise self._unsupported("audio input", (), f"{where}.input_audio")

    async def _image(self, value: str, where: str) -> ImagePart:
        if "image_to_text" not in self._found.model.capabilities:
            able = [f.id for f in self._catalog.all() if "image_to_text" in f.model.capabilities]
            raise self._unsupported("images", able, where)
        return ImagePart(image=await self._intake.take(value, param=where, kind="image"))

    def _unsupported(
        self, what: str, able: "list[str] | tuple[()]", where: str
    ) -> UnsupportedCapability:
        others = ", ".join(map(repr, able)) or "none is configured"
        return UnsupportedCapability(
            f"model {self._found.id!r} does not accept {what}",
            remedy=f"models that do: {others}",
            param=where,
        )
