"""The deterministic text model: it says the last message back, so every answer is known."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from deployments.fakes.breakage import raise_breakage
from serve_app.core.errors import ContextLengthExceeded, InvalidRequest, UnsupportedCapability
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    Complete,
    ImagePart,
    Sampling,
    TextFormat,
    TokenLogprob,
    Tool,
    ToolCallDelta,
    Usage,
)
from serve_app.core.text.json_schema import resolved

FINGERPRINT = "fake-1"
MOST = 1000
"""Characters and items that a schema is given at its demand."""
TOKEN = re.compile(r"\s*+\S++")


def tokens_of(text: str) -> list[str]:
    """A token is a word with the white space before it."""
    return TOKEN.findall(text.rstrip())


class FakeReplies:
    """What the fake model says to a request, and how fast."""

    def __init__(self, options: FakeOptions) -> None:
        self._options = options

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        """Tool call, JSON or echo, per choice."""
        prompt = self._prompt(request)
        prompt_tokens = self._checked_length(prompt)
        tool = called_tool(request)
        completion = reasoning = 0
        for index in range(request.sampling.n):
            if tool is not None:
                yield _tool_delta(index, tool)
                completion += 1
                continue
            if request.thinking:
                yield ChatDelta(index=index, reasoning=f"thinking about: {prompt}")
                reasoning += len(tokens_of(prompt)) + 2
            reply = _json_reply(request.response_format, prompt)
            text = _rotated(prompt, request.sampling, index) if reply is None else reply
            async for delta in self._spoken(index, text, request.sampling):
                completion += bool(delta.text)
                yield delta
        yield Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion + reasoning,
            reasoning_tokens=reasoning if request.thinking else None,
            fingerprint=FINGERPRINT,
        )

    async def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        """The prompt said back once more, after itself when it is to be echoed."""
        prompts = [p if isinstance(p, str) else _detokenized(p) for p in request.prompts]
        prompt_tokens = sum(self._checked_length(prompt) for prompt in prompts)
        completion = 0
        for number, prompt in enumerate(prompts):
            for choice in range(request.sampling.n):
                index = number * request.sampling.n + choice
                if request.echo:
                    yield ChatDelta(index=index, text=prompt)
                made = _json_reply(request.response_format, prompt)
                reply = _rotated(prompt, request.sampling, choice) if made is None else made
                async for delta in self._spoken(index, reply, request.sampling):
                    completion += bool(delta.text)
                    yield delta
        yield Usage(
            prompt_tokens=prompt_tokens, completion_tokens=completion, fingerprint=FINGERPRINT
        )

    def _prompt(self, request: Chat) -> str:
        """The last message's text, with every image named by its type and size."""
        said = []
        last = len(request.messages) - 1
        for position, part in enumerate(request.messages[last].content):
            where = f"messages[{last}].content[{position}]"
            if part.type == "audio" or (part.type == "image" and not self._options.accepts_images):
                raise UnsupportedCapability(
                    f"model {request.model!r} takes no {part.type} input", param=where
                )
            if isinstance(part, ImagePart):
                said.append(f"[{part.image.mime} {part.image.size}]")
            elif part.type == "text":
                said.append(part.text)
        return " ".join(said)

    def _checked_length(self, prompt: str) -> int:
        length = len(tokens_of(prompt))
        if length > self._options.context_length:
            raise ContextLengthExceeded(
                f"the prompt has {length} tokens, the context {self._options.context_length}"
            )
        return length

    async def _spoken(self, index: int, text: str, sampling: Sampling) -> AsyncGenerator[ChatDelta]:
        text, stop_word = _before_stop(text, sampling.stop)
        tokens = tokens_of(text)
        limit = len(tokens) if sampling.max_tokens is None else sampling.max_tokens
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number, token in enumerate(tokens[:limit]):
            if self._options.tokens_per_s:
                due = begun + number / self._options.tokens_per_s
                await asyncio.sleep(max(0.0, due - loop.time()))
            yield ChatDelta(index=index, text=token, logprobs=_logprobs(token, sampling))
            raise_breakage(self._options, text)
        if limit < len(tokens):
            yield ChatDelta(index=index, finish_reason="length")
        else:
            yield ChatDelta(index=index, finish_reason="stop", stop_word=stop_word)


def called_tool(request: Chat) -> Tool | None:
    """The forced tool, or with `auto` the first whose name the last message contains."""
    match request.tool_choice.mode:
        case "function":
            return next((t for t in request.tools if t.name == request.tool_choice.name), None)
        case "required":
            return next(iter(request.tools), None)
        case "auto":
            said = request.messages[-1].text if request.messages[-1].role == "user" else ""
            return next((tool for tool in request.tools if tool.name in said), None)
    return None


def followed(schema: dict[str, Any], *, param: str) -> Any:
    """An instance. InvalidRequest for what is no schema."""
    try:
        return instance(schema)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InvalidRequest("the schema cannot be followed", param=param) from error


def instance(schema: Any, root: dict[str, Any] | None = None, *, levels: int = 20) -> Any:
    """The smallest value that a plain JSON schema allows: first branches, required keys only. What
    needs more levels than these is null.
    """
    root = schema if root is None else root
    schema = resolved(schema, root)
    if not isinstance(schema, dict) or levels == 0:
        return None
    if "const" in schema or "enum" in schema:
        return schema.get("const", next(iter(schema.get("enum", ())), None))
    for branch in ("anyOf", "oneOf", "allOf"):
        if schema.get(branch):
            return instance(schema[branch][0], root, levels=levels - 1)
    match schema.get("type", "object"):
        case "object":
            named, required = schema.get("properties", {}), schema.get("required", ())
            return {key: instance(named.get(key, {}), root, levels=levels - 1) for key in required}
        case "array":
            least = schema.get("minItems", 0)
            return [instance(schema.get("items", {}), root, levels=levels - 1)] * min(least, MOST)
        case "string":
            return "x" * min(schema.get("minLength", 0), MOST)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
    return None


def _json_reply(form: TextFormat, prompt: str) -> str | None:
    match form.type:
        case "json_object":
            return json.dumps({"echo": prompt})
        case "json_schema":
            schema = form.json_schema or {}
            return json.dumps(followed(schema, param="response_format.json_schema"))
    return None


def _tool_delta(index: int, tool: Tool) -> ChatDelta:
    call = ToolCallDelta(
        index=0,
        id=f"call_{index:024x}",
        name=tool.name,
        arguments=json.dumps(followed(tool.parameters or {}, param="tools")),
    )
    return ChatDelta(index=index, tool_calls=(call,), finish_reason="tool_calls")


def _rotated(text: str, sampling: Sampling, choice: int) -> str:
    """Seed and choice decide with which word the echo begins, so that equal seeds are equal."""
    words = text.split(" ")
    start = ((sampling.seed or 0) + choice) % len(words)
    return " ".join(words[start:] + words[:start])


def _before_stop(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The text up to the first of the stop texts, and which one that is."""
    ends = [(text.index(word), word) for word in stop if word and word in text]
    place, word = min(ends, default=(len(text), None))
    return text[:place], word


def _logprobs(token: str, sampling: Sampling) -> tuple[TokenLogprob, ...]:
    if sampling.logprobs is None:
        return ()
    top = (_logprob(token, -0.5), *(_logprob(f"other{k}", -2.0 - k) for k in range(20)))
    return (_logprob(token, -0.5, top=top[: sampling.logprobs]),)


def _logprob(token: str, value: float, *, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    return TokenLogprob(
        token=token, token_id=len(token), logprob=value, token_bytes=token.encode(), top=top
    )


def _detokenized(pieces: tuple[int | str, ...]) -> str:
    return " ".join(piece if isinstance(piece, str) else f"<{piece}>" for piece in pieces)
