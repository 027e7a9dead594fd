"""llama.cpp with the model of the local default, whose answers are known."""

import asyncio
import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.text.llama_cpp_chat import LlamaCppChat
from deployments.text.llama_cpp_embeddings import LlamaCppEmbeddings
from serve_app.core.config import Model
from serve_app.core.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    InvalidRequest,
    UnsupportedCapability,
)
from serve_app.core.media import BlobStore
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    ChatMessage,
    Complete,
    ImagePart,
    Sampling,
    TextFormat,
    TextPart,
    Tool,
    ToolChoice,
    Usage,
)
from serve_app.core.text.embeddings import Embed
from serve_app.core.text.tokens import Detokenize, ReadPromptFormat, RenderPrompt, Tokenize
from tests.questions import BRIEFLY, QUESTIONS
from tests.weights import weights as fetched

GREEDY = Sampling(temperature=0.0, max_tokens=24)
CONTEXT, SLOTS = 1024, 2
WEATHER = Tool(
    name="weather",
    description="The weather in a city",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


def weights() -> Path:
    return fetched("SmolLM2-135M-Instruct")


def engine_of(path: Path, blobs: BlobStore | None = None, **options: object) -> LlamaCppChat:
    sizes = {"task": "chat", "context_length": CONTEXT, "slots": SLOTS, "threads": 1}
    made = LlamaCppOptions.model_validate(sizes | options)
    return LlamaCppChat(made, Model(id="smol"), path=path, blobs=blobs)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaCppChat]:
    engine = engine_of(weights())
    yield engine
    asyncio.run(engine.close())


def ask(question: str, sampling: Sampling = GREEDY, **fields: object) -> Chat:
    messages = (
        ChatMessage(role="system", content=(TextPart(text=BRIEFLY),)),
        ChatMessage(role="user", content=(TextPart(text=question),)),
    )
    return Chat(model="smol", messages=messages, sampling=sampling).model_copy(update=fields)


def events(engine: LlamaCppChat, request: Chat | Complete) -> list[ChatEvent]:
    async def read() -> list[ChatEvent]:
        if isinstance(request, Chat):
            return [event async for event in engine.chat(request)]
        return [event async for event in engine.complete(request)]

    return asyncio.run(read())


def deltas(found: list[ChatEvent], index: int = 0) -> list[ChatDelta]:
    return [event for event in found if isinstance(event, ChatDelta) and event.index == index]


def text(found: list[ChatEvent], index: int = 0) -> str:
    return "".join(delta.text for delta in deltas(found, index))


def usage(found: list[ChatEvent]) -> Usage:
    assert isinstance(found[-1], Usage)
    return found[-1]


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items())
def test_questions_are_answered_rightly(engine: LlamaCppChat, question: str, answer: str) -> None:
    assert answer in text(events(engine, ask(question)))


def test_an_answer_ends_and_is_counted(engine: LlamaCppChat) -> None:
    first = events(engine, ask("What is the capital of Italy?"))
    again = events(engine, ask("What is the capital of Italy?"))
    assert text(again) == text(first)
    assert deltas(again)[-1].finish_reason == "stop"
    counted = usage(again)
    assert counted.prompt_tokens == usage(first).prompt_tokens > 20
    assert 5 <= counted.completion_tokens <= GREEDY.max_tokens
    assert counted.cached_tokens == counted.prompt_tokens - 1
    assert counted.fingerprint


def test_a_stop_text_ends_the_answer_and_is_named(engine: LlamaCppChat) -> None:
    sampling = GREEDY.model_copy(update={"stop": ("Rome", "Paris")})
    found = events(engine, ask("What is the capital of Italy?", sampling))
    assert text(found).endswith("Italy is ")
    assert (deltas(found)[-1].finish_reason, deltas(found)[-1].stop_word) == ("stop", "Rome")


def test_no_tokens_at_all(engine: LlamaCppChat) -> None:
    found = events(engine, ask("Hi", Sampling(max_tokens=0)))
    assert text(found) == ""
    assert deltas(found)[-1].finish_reason == "length"
    assert usage(found).completion_tokens == 0


def test_log_probabilities_are_those_of_the_choice(engine: LlamaCppChat) -> None:
    sampling = GREEDY.model_copy(update={"logprobs": 5, "max_tokens": 4})
    found = events(engine, ask("What is the capital of France?", sampling))
    tokens = [token for delta in deltas(found) for token in delta.logprobs]
    assert [token.token for token in tokens] == ["The", " capital", " of", " France"]
    for token in tokens:
        assert token.logprob is not None
        assert token.logprob <= 0
        assert len(token.top) == 5
        assert token.top[0].token_id == token.token_id
        values = [each.logprob or 0.0 for each in token.top]
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1.0001


def test_a_seed_repeats_and_choices_differ(engine: LlamaCppChat) -> None:
    sampling = Sampling(temperature=1.5, seed=5, n=3, max_tokens=12)
    found = events(engine, ask("Tell me something.", sampling))
    texts = [text(found, i) for i in range(3)]
    assert len(set(texts)) == 3
    alone = Sampling(temperature=1.5, seed=6, max_tokens=12)
    assert text(events(engine, ask("Tell me something.", alone)))
    assert [text(events(engine, ask("Tell me something.", sampling)), i) for i in range(3)] == texts


def test_a_schema_is_followed(engine: LlamaCppChat) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "number": {"type": "integer", "maximum": 9},
        },
        "required": ["city", "number"],
        "additionalProperties": False,
    }
    form = TextFormat(type="json_schema", json_schema=schema)
    sampling = GREEDY.model_copy(update={"max_tokens": 60})
    found = events(engine, ask("Name a city.", sampling, response_format=form))
    answer = json.loads(text(found))
    assert set(answer) == {"city", "number"}
    assert answer["number"] <= 9


def test_a_grammar_is_followed(engine: LlamaCppChat) -> None:
    form = TextFormat(type="grammar", grammar='root ::= "yes" | "no"')
    assert text(events(engine, ask("Is it?", response_format=form))) in ("yes", "no")


def test_a_grammar_that_is_none_is_refused(engine: LlamaCppChat) -> None:
    form = TextFormat(type="grammar", grammar='root ::= "yes')
    with pytest.raises(InvalidRequest, match="cannot be followed") as caught:
        events(engine, ask("Is it?", response_format=form))
    assert caught.value.param == "response_format"


def test_a_tool_is_called(engine: LlamaCppChat) -> None:
    forced = {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="required")}
    found = events(engine, ask("What is the weather in Rome?", **forced))
    (call,) = [call for delta in deltas(found) for call in delta.tool_calls]
    assert call.name == "weather"
    assert json.loads(call.arguments) == {"city": "Rome"}
    assert deltas(found)[-1].finish_reason == "tool_calls"


def test_a_prompt_beyond_the_context_is_refused(engine: LlamaCppChat) -> None:
    with pytest.raises(ContextLengthExceeded, match=str(CONTEXT)) as caught:
        events(engine, ask("sea " * 2 * CONTEXT))
    assert caught.value.param == "messages"


def test_an_answer_ends_with_the_context(engine: LlamaCppChat) -> None:
    sampling = Sampling(temperature=0.0, ignore_eos=True, max_tokens=None)
    found = events(engine, ask("sea " * (CONTEXT - 80), sampling))
    assert deltas(found)[-1].finish_reason == "length"
    counted = usage(found)
    assert counted.prompt_tokens + counted.completion_tokens <= CONTEXT


def test_more_requests_than_slots_wait(engine: LlamaCppChat) -> None:
    async def read(number: int) -> str:
        request = ask(f"Count to {number}.")
        return text([event async for event in engine.chat(request)])

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(read, range(2 * SLOTS + 1)))

    assert all(asyncio.run(all_of_them()))


def test_a_client_who_leaves_frees_the_slot(engine: LlamaCppChat) -> None:
    endless = Sampling(temperature=0.0, ignore_eos=True, max_tokens=None)

    async def leave() -> None:
        for _ in range(2 * SLOTS):
            stream = engine.chat(ask("Tell me a story.", endless))
            await anext(stream)
            await stream.aclose()

    asyncio.run(leave())
    assert text(events(engine, ask("What is the capital of France?")))


def test_completions_of_several_prompts(engine: LlamaCppChat) -> None:
    ids = asyncio.run(engine.tokenize(Tokenize(model="smol", text="The capital of France is"))).ids
    prompts = ("The capital of France is", ids, "")
    request = Complete(model="smol", prompts=prompts, sampling=GREEDY, echo=True)
    found = events(engine, request)
    assert text(found, 0).startswith("The capital of France is Paris")
    assert text(found, 1) == text(found, 0)
    assert deltas(found, 2)[-1].finish_reason
    best = request.model_copy(update={"prompts": prompts[:1], "best_of": 3, "echo": False})
    assert "Paris" in text(events(engine, best))
    with pytest.raises(UnsupportedCapability, match="infilling"):
        events(engine, request.model_copy(update={"prompts": ("a",), "suffix": "b"}))


def test_tokens_and_prompts(engine: LlamaCppChat) -> None:
    async def read() -> None:
        ids = (await engine.tokenize(Tokenize(model="smol", text="Hello, 世界"))).ids
        assert (await engine.detokenize(Detokenize(model="smol", ids=ids))).text == "Hello, 世界"
        with pytest.raises(InvalidRequest, match="there is no token"):
            await engine.detokenize(Detokenize(model="smol", ids=(10**7,)))
        rendered = await engine.render_prompt(
            RenderPrompt(model="smol", messages=ask("Hi").messages)
        )
        assert rendered.text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        form = await engine.read_prompt_format(ReadPromptFormat(model="smol"))
        assert form.context_length == CONTEXT
        assert "<|im_start|>" in (form.template or "")

    asyncio.run(read())


def test_a_model_without_eyes_takes_no_image(engine: LlamaCppChat) -> None:
    image = ImagePart.model_construct(type="image", image=None)
    message = ChatMessage.model_construct(role="user", content=(image,))
    with pytest.raises(UnsupportedCapability, match="takes no image"):
        events(engine, ask("").model_copy(update={"messages": (message,)}))


def test_a_token_that_is_none_cannot_be_biased(engine: LlamaCppChat) -> None:
    with pytest.raises(InvalidRequest, match="there is no token"):
        events(engine, ask("Hi", Sampling(logit_bias={10**6: 1.0})))


def test_only_this_user_reaches_the_socket(engine: LlamaCppChat) -> None:
    folder = engine._server._folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_unloaded_model_says_so() -> None:
    engine = engine_of(weights(), slots=1, context_length=256)
    asyncio.run(engine.close())
    with pytest.raises(BackendUnavailable, match="unloaded"):
        events(engine, ask("Hi"))


def test_embeddings_of_texts() -> None:
    options = LlamaCppOptions(task="embeddings", context_length=128, slots=1, threads=1)
    engine = LlamaCppEmbeddings(options, Model(id="smol"), path=weights(), blobs=None)  # type: ignore[arg-type]

    async def read() -> None:
        texts = ("a small dog", "a little dog", (504, 3575), "")
        found = await engine.embed(Embed(model="smol", texts=texts, dimensions=64))
        assert [len(vector) for vector in found.vectors] == [4 * 64] * 4
        assert found.prompt_tokens >= 8
        with pytest.raises(ContextLengthExceeded):
            await engine.embed(Embed(model="smol", texts=("sea " * 500,)))
        with pytest.raises(InvalidRequest, match="dimensions"):
            await engine.embed(Embed(model="smol", texts=("a",), dimensions=10**6))
        await engine.close()

    asyncio.run(read())
