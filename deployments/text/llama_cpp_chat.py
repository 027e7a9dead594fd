"""Text generation by llama.cpp: prompts, tool calls and reasoning as in the other engines here,
tokens, sampling, grammars and batching its own.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from deployments.model_engine import ModelEngine
from deployments.text.enforced_schema import enforced, warned
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.chat import Chat, ChatEvent, Complete, Usage
from serve_app.core.text.chat_model import ChatModel
from serve_app.core.text.tokens import (
    Detokenize,
    PlainPrompt,
    PromptFormat,
    ReadPromptFormat,
    RenderPrompt,
    Tokenize,
    Tokens,
)

if TYPE_CHECKING:
    from deployments.text.llama_cpp.answers import Answering


class LlamaCppChat(ModelEngine[LlamaCppOptions], ChatModel):
    """A ChatModel over a GGUF file."""

    requires = ("xllamacpp", "llguidance")

    def __init__(
        self, options: LlamaCppOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.llama_cpp.prompts import ChatPrompts
        from deployments.text.llama_cpp.server import LlamaServer

        self._server = LlamaServer(options, model, path)
        self.context_length: int | None = self._server.context_length
        self._prompts = ChatPrompts(
            self._server, blobs, sees=options.mmproj is not None, system=options.system
        )
        weights = f"{self._server.file.path.name} {options.model_dump_json()}"
        digest = hashlib.sha256(weights.encode()).hexdigest()[:8]
        self._fingerprint = f"llama_cpp-{version('xllamacpp')}-{digest}"

    async def close(self) -> None:
        """Stop the threads and let go of the weights."""
        await asyncio.to_thread(self._server.close)

    @override
    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        enforceable, warnings = await enforced(request)
        answering = await self._prompts.answering(request, enforceable)
        async with aclosing(self._events(answering)) as events:
            async for event in warned(events, warnings):
                yield event

    @override
    async def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        from deployments.text.llama_cpp.completion import completion_events

        async with aclosing(completion_events(self._server, request)) as events:
            async for event in events:
                yield self._signed(event)

    async def _events(self, answering: "Answering") -> AsyncGenerator[ChatEvent]:
        from deployments.text.llama_cpp.answers import answer_events

        async with aclosing(answer_events(self._server, answering)) as events:
            async for event in events:
                yield self._signed(event)

    def _signed(self, event: ChatEvent) -> ChatEvent:
        if isinstance(event, Usage):
            return event.model_copy(update={"fingerprint": self._fingerprint})
        return event

    @override
    async def tokenize(self, request: Tokenize) -> Tokens:
        specials = request.adds_specials
        body = {"content": request.text, "add_special": specials, "parse_special": True}
        answer = await asyncio.to_thread(self._server.ask, "/tokenize", body)
        return Tokens(ids=tuple(answer["tokens"]))

    @override
    async def detokenize(self, request: Detokenize) -> PlainPrompt:
        for position, token in enumerate(request.ids):
            if not 0 <= token < self._server.file.vocabulary:
                raise InvalidRequest(
                    f"there is no token {token}",
                    remedy=f"the last is {self._server.file.vocabulary - 1}",
                    param=f"ids[{position}]",
                )
        body = {"tokens": list(request.ids)}
        answer = await asyncio.to_thread(self._server.ask, "/detokenize", body)
        return PlainPrompt(text=answer["content"])

    @override
    async def render_prompt(self, request: RenderPrompt) -> PlainPrompt:
        chat = Chat(
            model=request.model,
            messages=request.messages,
            tools=request.tools,
            thinking=request.thinking,
            reasoning_effort=request.reasoning_effort,
        )
        return PlainPrompt(text=self._prompts.render(chat, request.tools).text)

    @override
    async def read_prompt_format(self, request: ReadPromptFormat) -> PromptFormat:
        template = self._server.file.chat_template
        return PromptFormat(template=template, context_length=self.context_length)
