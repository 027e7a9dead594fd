"""Text generation with Hugging Face transformers: continuous batching for plain sampling, a decode
loop of its own for everything else.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from deployments.model_engine import ModelEngine
from deployments.text.token_verbs import TokenVerbs
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.chat import Chat, ChatEvent, Complete

if TYPE_CHECKING:
    from deployments.text.generation.generator import TextGenerator
    from deployments.text.prompt_tokens import PromptTokens


class TransformersChat(ModelEngine[TransformersOptions], TokenVerbs):
    """A ChatModel over a causal or image-text-to-text checkpoint."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.generation.checkpoint import load_checkpoint
        from deployments.text.generation.generator import TextGenerator
        from deployments.text.prompt_tokens import PromptTokens

        checkpoint = load_checkpoint(options, model, path)
        self.context_length: int | None = checkpoint.context_length
        self._generator: TextGenerator | None = TextGenerator(checkpoint, options, blobs)
        self._tokens = PromptTokens(
            checkpoint.tokenizer,
            self._generator.prompts,
            vocabulary=checkpoint.vocabulary,
            chat_template=checkpoint.chat_template,
            context_length=checkpoint.context_length,
        )

    async def close(self) -> None:
        """Stop the threads and let go of the weights."""
        generator, self._generator = self._generator, None
        if generator is not None:
            await generator.close()

    @override
    def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        return self._open().chat(request)

    @override
    def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        from deployments.text.generation.completion import completion_events

        return completion_events(self._open(), request)

    @override
    async def prompt_tokens(self) -> "PromptTokens":
        self._open()
        return self._tokens

    def _open(self) -> "TextGenerator":
        if self._generator is None:
            raise BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)
        return self._generator
