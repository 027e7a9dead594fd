"""A whole completion: OpenAI's object and llama.cpp's in one, for both families of clients."""

from typing import Any

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished, Tell
from serve_app.api.openai.chat_response import logprob_object
from serve_app.api.openai.completion_response import text_completion
from serve_app.api.openai.finished_chat import job_identity
from serve_app.core.text.chat import (
    ChatDelta,
    ChatEvent,
    CollectedText,
    Complete,
    TokenLogprob,
    Usage,
)


def completion_object(
    events: list[ChatEvent], *, model: str, count: int, tell: Tell
) -> dict[str, Any]:
    """The answer of `count` choices; llama.cpp's keys are those of the first."""
    deltas = [event for event in events if isinstance(event, ChatDelta)]
    usage = next((event for event in events if isinstance(event, Usage)), None)
    answer = text_completion(events, model=model, count=count)
    first = [delta for delta in deltas if delta.index == 0]
    probabilities = [item for delta in first for item in delta.logprobs]
    warnings = tell(notice for delta in deltas for notice in delta.warnings)
    return (
        answer
        | {"index": 0, "content": answer["choices"][0]["text"], "tokens": [], "id_slot": -1}
        | {"stop": True}
        | stop_fields(first[-1] if first else ChatDelta(), usage)
        | {"truncated": False, "generation_settings": {}, "timings": {}}
        | ({"completion_probabilities": probability_list(probabilities)} if probabilities else {})
        | ({"warnings": warnings} if warnings else {})
    )


def stop_fields(last: ChatDelta, usage: Usage | None) -> dict[str, Any]:
    """Why a choice ended, and how many tokens there were."""
    by_word = "word" if last.stop_word is not None else "eos"
    return {
        "stop_type": "limit" if last.finish_reason == "length" else by_word,
        "stopping_word": last.stop_word or "",
        "tokens_predicted": usage.completion_tokens if usage else 0,
        "tokens_evaluated": usage.prompt_tokens if usage else 0,
    }


def probability_list(items: list[TokenLogprob]) -> list[dict[str, Any]]:
    """llama.cpp's list of tokens with their alternatives."""
    return [
        {"id": item.token_id}
        | logprob_object(item)
        | {"top_logprobs": [{"id": top.token_id} | logprob_object(top) for top in item.top]}
        for item in items
    ]


async def completion_answer(
    finished: Finished[Complete, CollectedText, AnswerOutput],
) -> AnswerBody:
    """The whole answer of a job."""
    operation = finished.operation
    count = len(operation.prompts) * operation.sampling.n
    events = list(finished.result.events)
    answer = completion_object(events, model=operation.model, count=count, tell=finished.tell)
    return answer | job_identity("cmpl", finished)
