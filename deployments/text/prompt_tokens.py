"""The tokens and prompts of a checkpoint's own tokenizer, for every engine that has one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.text.generation.prompt import Prompts
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Chat
from serve_app.core.text.tokens import (
    Detokenize,
    PlainPrompt,
    PromptFormat,
    RenderPrompt,
    Tokenize,
    Tokens,
)

LONG_TEXT = 20_000
"""Characters or tokens that are worth a thread."""


class PromptTokens:
    """`vocabulary` is how many tokens the model has, `prompts` writes its conversations."""

    def __init__(
        self,
        tokenizer: Any,
        prompts: Prompts,
        *,
        vocabulary: int,
        chat_template: str | None,
        context_length: int | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._vocabulary = vocabulary
        self._format = PromptFormat(template=chat_template, context_length=context_length)

    async def tokenize(self, request: Tokenize) -> Tokens:
        """As ChatModel says."""

        def encoded() -> list[int]:
            specials = request.adds_specials
            return list(self._tokenizer.encode(request.text, add_special_tokens=specials))

        return Tokens(ids=tuple(await _done(encoded, len(request.text))))

    async def detokenize(self, request: Detokenize) -> PlainPrompt:
        """As ChatModel says."""
        for position, token in enumerate(request.ids):
            if not 0 <= token < self._vocabulary:
                raise InvalidRequest(
                    f"there is no token {token}",
                    remedy=f"the last is {self._vocabulary - 1}",
                    param=f"ids[{position}]",
                )

        def decoded() -> str:
            return str(
                self._tokenizer.decode(
                    list(request.ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
                )
            )

        return PlainPrompt(text=await _done(decoded, len(request.ids)))

    async def render(self, request: RenderPrompt) -> PlainPrompt:
        """As ChatModel says."""
        chat = Chat(
            model=request.model,
            messages=request.messages,
            tools=request.tools,
            thinking=request.thinking,
            reasoning_effort=request.reasoning_effort,
        )
        rendered = await asyncio.to_thread(self._prompts.render, chat, request.tools)
        return PlainPrompt(text=rendered.text)

    @property
    def format(self) -> PromptFormat:
        """How the model's prompts are written."""
        return self._format


async def _done(work: Callable[[], Any], size: int) -> Any:
    """What `work` returns, for which the event loop does not wait where it takes long."""
    return work() if size < LONG_TEXT else await asyncio.to_thread(work)


def read_prompt_tokens(path: Path, *, model_id: str, context_length: int | None) -> PromptTokens:
    """Those of a checkpoint's files, for an engine that keeps its own elsewhere. Blocks."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return PromptTokens(
        tokenizer,
        Prompts(tokenizer, template, model_id=model_id, takes_parts=False),
        vocabulary=len(tokenizer),
        chat_template=template,
        context_length=context_length,
    )
