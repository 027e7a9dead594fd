"""The verbs of ChatModel that need the tokenizer alone."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override

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
    from deployments.text.prompt_tokens import PromptTokens


class TokenVerbs(ChatModel):
    """Of engines whose checkpoint has a tokenizer that can be read."""

    @abstractmethod
    async def prompt_tokens(self) -> "PromptTokens":
        """The tokenizer at work."""

    @override
    async def tokenize(self, request: Tokenize) -> Tokens:
        return await (await self.prompt_tokens()).tokenize(request)

    @override
    async def detokenize(self, request: Detokenize) -> PlainPrompt:
        return await (await self.prompt_tokens()).detokenize(request)

    @override
    async def render_prompt(self, request: RenderPrompt) -> PlainPrompt:
        return await (await self.prompt_tokens()).render(request)

    @override
    async def read_prompt_format(self, request: ReadPromptFormat) -> PromptFormat:
        return (await self.prompt_tokens()).format
