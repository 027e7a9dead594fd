"""The answer of a chat that was a job, in OpenAI's shape."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished
from serve_app.api.openai.chat_response import chat_completion
from serve_app.core.message import Message
from serve_app.core.text.chat import Chat, ChatEvent, CollectedText

EVENTS_PER_TURN = 100
"""Of what was said, after which other requests have their turn."""


async def finished_chat(finished: Finished[Chat, CollectedText, AnswerOutput]) -> AnswerBody:
    """The whole answer, of what was said."""
    operation = finished.operation
    answer = await chat_completion(
        answer_text(finished.result.events),
        model=operation.model,
        n=operation.sampling.n,
        has_logprobs=operation.sampling.logprobs is not None,
        tell=finished.tell,
    )
    return answer | job_identity("chatcmpl", finished)


def job_identity(prefix: str, finished: Finished[Message, Message, AnswerOutput]) -> dict[str, Any]:
    """`id` and `created` of an answer that is a job's: the same whenever it is asked for."""
    return {
        "id": f"{prefix}-{finished.job.id.removeprefix('job-')}",
        "created": finished.created,
    }


async def answer_text(events: tuple[ChatEvent, ...]) -> AsyncGenerator[ChatEvent]:
    """What was said, as it came."""
    for position, event in enumerate(events, start=1):
        yield event
        if position % EVENTS_PER_TURN == 0:
            await asyncio.sleep(0)
