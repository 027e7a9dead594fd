"""From a conversation to what llama.cpp is asked to go on from."""

import base64
from dataclasses import replace
from typing import Any

from deployments.text.generation.answer import THINK_END, AnswerParser
from deployments.text.generation.prompt import Prompts, RenderedPrompt
from deployments.text.llama_cpp.answers import Answering
from deployments.text.llama_cpp.fields import check_bias, grammar_of, json_grammar
from deployments.text.llama_cpp.server import LlamaServer
from deployments.text.llama_cpp.template import ChatTemplate
from deployments.text.media_parts import refuse_unsupported_parts
from serve_app.core.media import BlobStore
from serve_app.core.text.chat import Chat, ChatMessage, ImagePart, TextPart, Tool


class ChatPrompts:
    """Of one model. `sees` where it takes images."""

    def __init__(
        self, server: LlamaServer, blobs: BlobStore, *, sees: bool, system: str | None
    ) -> None:
        file = server.file
        tokens = {f"{kind}_token": file.token(kind) for kind in ("bos", "eos")}
        template = file.chat_template
        self._blobs = blobs
        self._sees = sees
        self._system = system
        self._mark = str(server.ask("/props")["media_marker"]) if sees else ""
        self._prompts = Prompts(
            ChatTemplate(template or "", tokens),
            template,
            model_id=server.model_id,
            takes_parts=False,
        )
        self._vocabulary = file.vocabulary

    def render(self, request: Chat, tools: tuple[Tool, ...]) -> RenderedPrompt:
        """As `Prompts` does."""
        messages = request.messages
        if self._system is not None and messages and messages[0].role != "system":
            told = ChatMessage(role="system", content=(TextPart(text=self._system),))
            request = request.model_copy(update={"messages": (told, *messages)})
        return self._prompts.render(request, tools)

    async def answering(self, request: Chat, enforceable: Chat) -> Answering:
        """The model is shown the schemas as they came, and held to what is enforceable of them."""
        refuse_unsupported_parts(request, sees=self._sees)
        check_bias(request.sampling, self._vocabulary)
        tools = () if request.tool_choice.mode == "none" else request.tools
        rendered = self.render(self._marked(request), tools)
        text, is_thinking = rendered.text, rendered.is_thinking
        call = self._forced(enforceable)
        grammar = call or grammar_of(enforceable.response_format)
        if is_thinking and grammar is not None:
            # The grammar is that of the whole answer.
            text, is_thinking = f"{text}{THINK_END}\n", False
        form = self._prompts.format
        if call is not None:
            text += form.opening
            # A forced call is the whole answer, so nothing closes it.
            form = replace(form, closing=None)
        several = request.parallel_tool_calls and call is None

        def parser(index: int) -> AnswerParser:
            made = AnswerParser(index, tools, form, is_thinking, several)
            return made.inside_call() if call is not None else made

        return Answering(
            await self._with_images(request, text),
            request.sampling,
            parser,
            "messages",
            grammar=grammar,
            grammar_param="tools" if call else "response_format",
            choices=request.sampling.n,
        )

    def _forced(self, request: Chat) -> str | None:
        """The grammar of one call, when the request wants a call in any case."""
        mode, name, tools = request.tool_choice.mode, request.tool_choice.name, request.tools
        if mode not in ("required", "function") or not tools:
            return None
        wanted = tuple(tool for tool in tools if mode == "required" or tool.name == name)
        return json_grammar(self._prompts.format.schema(wanted))

    def _marked(self, request: Chat) -> Chat:
        """With a mark in the text where each image was."""
        if not self._sees:
            return request
        messages = tuple(map(self._marked_message, request.messages))
        return request.model_copy(update={"messages": messages})

    def _marked_message(self, message: ChatMessage) -> ChatMessage:
        content = tuple(
            TextPart(text=self._mark) if isinstance(part, ImagePart) else part
            for part in message.content
        )
        return message.model_copy(update={"content": content})

    async def _with_images(self, request: Chat, text: str) -> Any:
        parts = [part for message in request.messages for part in message.content]
        images = [part.image for part in parts if isinstance(part, ImagePart)]
        if not images:
            return text
        media = []
        for image in images:
            content = b"".join([chunk async for chunk in self._blobs.read(image)])
            media.append(base64.b64encode(content).decode())
        return {"prompt_string": text, "multimodal_data": media}
