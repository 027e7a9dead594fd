"""Text through the official client, on the model that is there without a hub."""

import base64
import json
from pathlib import Path
from typing import Annotated, Literal, cast

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel, Field, SecretStr

from tests.images import png

FAR = "depth-anything/Depth-Anything-V2-Small-hf"
MODEL = "SmolLM2-135M-Instruct"

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say something."}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a word up.",
        "parameters": {
            "type": "object",
            "properties": {"times": {"type": "integer", "enum": [1, 2, 3]}},
            "required": ["times"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


def test_models(client: openai.OpenAI) -> None:
    models = {model.id: model.model_dump() for model in client.models.list()}
    assert models[MODEL]["loaded"] is True
    assert models["Qwen/Qwen3-0.6B"]["loaded"] is False
    assert client.models.retrieve("Qwen/Qwen3-0.6B").id == "Qwen/Qwen3-0.6B"
    assert client.models.retrieve(MODEL).created == models[MODEL]["created"]
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


def test_chat_counts_its_tokens(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=5, seed=1)
    assert answer.model == MODEL
    assert answer.usage is not None
    assert 1 <= answer.usage.completion_tokens <= 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_a_stream_equals_the_whole_answer_of_the_same_seed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="local", messages=MESSAGES, max_tokens=12, seed=3)
    text, usage = "", None
    for chunk in client.chat.completions.create(
        model="local",
        messages=MESSAGES,
        max_tokens=12,
        seed=3,
        stream=True,
        stream_options={"include_usage": True},
    ):
        usage = chunk.usage or usage
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert usage == whole.usage


def test_several_choices_with_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=3, n=2, seed=1, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.content
        for token in choice.logprobs.content:
            assert token.logprob <= 0
            assert len(token.top_logprobs) == 2


def test_a_forced_tool_has_complete_arguments(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look_up"}},
        seed=1,
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "look_up"
    assert json.loads(call.function.arguments)["times"] in (1, 2, 3)


def test_a_schema_constrains_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "colour", "schema": SCHEMA, "strict": True},
        },
        seed=1,
    )
    content = answer.choices[0].message.content
    assert content is not None
    assert json.loads(content)["colour"] in ("red", "blue")


class Parcel(BaseModel):
    """What no grammar has, as people write it down."""

    labels: Annotated[set[Literal["new", "heavy"]], Field(max_length=2)]
    folder: Path
    secret: Annotated[SecretStr, Field(max_length=4)]
    content: Annotated[bytes, Field(max_length=4)]


def test_a_model_of_the_callers_is_parsed_at_once(client: openai.OpenAI) -> None:
    said = (
        'A heavy parcel is in the folder "mail", its secret is "key" and its content "box". '
        "Answer in JSON."
    )
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": said}],
        response_format=Parcel,
        temperature=0,
    )
    parcel = answer.choices[0].message.parsed
    assert parcel is not None
    assert parcel.labels <= {"new", "heavy"}
    assert parcel.folder == Path("mail")
    assert answer.model_extra is not None
    assert answer.model_extra["warnings"] == [
        "response_format.json_schema: 'uniqueItems' is not enforced",
        "response_format.json_schema: 'format' is not enforced for 'binary', 'password', 'path'",
    ]


def test_a_conversation_goes_on_with_what_the_client_kept(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=[TOOL], tool_choice="required", seed=1
    )
    message = answer.choices[0].message
    assert message.tool_calls
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "a word"}
    turns = cast("list[ChatCompletionMessageParam]", [*MESSAGES, message.model_dump(), result])
    again = client.chat.completions.create(
        model=MODEL, messages=turns, max_tokens=3, reasoning_effort="minimal"
    )
    assert again.usage is not None
    assert again.usage.prompt_tokens > 10


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL, prompt=["One", "Two"], max_tokens=4, n=2, seed=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    echoed = client.completions.create(model=MODEL, prompt="One", max_tokens=2, echo=True, seed=1)
    assert echoed.choices[0].text.startswith("One")


def test_errors_have_the_clients_own_types(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=3)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-unknown", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as other:
        client.embeddings.create(model=MODEL, input="x")
    assert other.value.code == "unsupported_capability"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "word " * 200_000}]
        )
    assert long.value.code == "context_length_exceeded"


def test_what_needs_a_hub_names_the_remedy_without_one(client: openai.OpenAI) -> None:
    """The answer forbids repeating it, so that the client's own retries do not multiply it."""
    pixel = f"data:image/png;base64,{base64.b64encode(png(size=(64, 64))).decode()}"
    with pytest.raises(openai.InternalServerError) as caught:
        client.post("/images/depth", body={"model": FAR, "image": pixel}, cast_to=object)
    error = caught.value
    assert error.status_code == 503
    assert error.code == "backend_unavailable"
    assert error.response.headers["x-should-retry"] == "false"
    assert FAR in error.message
    assert "unset it, or set source to a local directory" in error.message
    listed = client.models.retrieve(FAR).model_dump()
    assert listed["loaded"] is False
