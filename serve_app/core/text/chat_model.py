"""What engines of the task `chat` do."""

from collections.abc import AsyncIterator
from typing import Protocol

from serve_app.core.engine import Engine
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.text.chat import Chat, ChatEvent, Complete
from serve_app.core.text.tokens import (
    Detokenize,
    PlainPrompt,
    PromptFormat,
    ReadPromptFormat,
    RenderPrompt,
    Tokenize,
    Tokens,
)


class ChatModel(Engine, Protocol):
    """Generates text. Errors are raised before the first item where they can be known then;
    closing the iterator frees the slot.
    """

    def chat(self, request: Chat) -> AsyncIterator[ChatEvent]:
        """Deltas of all choices interleaved, each choice ending in a finish_reason, then Usage."""
        ...

    def complete(self, request: Complete) -> AsyncIterator[ChatEvent]:
        """As `chat`, for prompts without a conversation."""
        ...

    async def tokenize(self, request: Tokenize) -> Tokens:
        """The tokens that the model reads for a text. As all that follows, it raises
        UnsupportedCapability where the tokenizer is somebody else's.
        """
        raise _without_tokenizer(request.model)

    async def detokenize(self, request: Detokenize) -> PlainPrompt:
        """The text of tokens. InvalidRequest for one that the model does not have."""
        raise _without_tokenizer(request.model)

    async def render_prompt(self, request: RenderPrompt) -> PlainPrompt:
        """What the model reads for a conversation. InvalidRequest where it has no chat template, or
        the template refuses the messages.
        """
        raise _without_tokenizer(request.model)

    async def read_prompt_format(self, request: ReadPromptFormat) -> PromptFormat:
        """How the model's prompts are written."""
        raise _without_tokenizer(request.model)


def _without_tokenizer(model: str) -> UnsupportedCapability:
    return UnsupportedCapability(
        f"the tokenizer of model {model!r} is not on this server",
        remedy="name another model",
        param="model",
    )
