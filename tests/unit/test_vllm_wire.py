import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from deployments.text.vllm_stream import StreamReader, error_of, silenced
from deployments.text.vllm_wire import (
    chat_fields,
    complete_fields,
    media_of,
    reasoning_parser_of,
    tool_parser_of,
)
from serve_app.core.errors import (
    AppError,
    Cancelled,
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Unavailable,
    UnsupportedCapability,
)
from serve_app.core.media import Blob
from serve_app.core.options.sampling import SettledSampling
from serve_app.core.text.chat import (
    AudioPart,
    Chat,
    ChatDelta,
    ChatEvent,
    ChatMessage,
    Complete,
    ImagePart,
    Sampling,
    TextFormat,
    TextPart,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from serve_app.core.text.json_schema import rerooted

IMAGE = Blob(sha256="a" * 64, mime="image/png", size=3)
AUDIO = Blob(sha256="b" * 64, mime="audio/x-wav", size=3)
MEDIA = {IMAGE.sha256: "UElD", AUDIO.sha256: "U05E"}
WEATHER = Tool(
    name="weather",
    description="Tells the weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)


def said(role: Any, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=(TextPart(text=text),))


def asked(**changes: Any) -> Chat:
    settled = SettledSampling()
    return Chat(
        **({"model": "m", "messages": (said("user", "Hi"),), "sampling": settled} | changes)
    )


def read(*items: object) -> list[ChatEvent]:
    reader = StreamReader(fingerprint="f", prompt_param="messages")
    return [event for item in items for event in reader.events(item)]


def frame(**fields: Any) -> str:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps(head | fields, ensure_ascii=False)}\n\n"


def chunk(delta: dict[str, Any], **choice: Any) -> str:
    fields = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return frame(choices=[fields | choice])


# --- requests ---


def test_a_plain_chat_sends_every_default() -> None:
    assert chat_fields(asked(), {}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "seed": None,
        "stop": [],
        "n": 1,
        "max_completion_tokens": None,
        "response_format": {"type": "text"},
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
    }


def test_every_sampling_field_goes_through() -> None:
    sampling = Sampling(
        temperature=0.1,
        top_p=0.5,
        top_k=7,
        min_p=0.05,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        repeat_penalty=1.1,
        logit_bias={5: -100.0},
        seed=42,
        stop=("END",),
        max_tokens=9,
        logprobs=3,
        n=2,
    )
    expected = {
        "temperature": 0.1,
        "top_p": 0.5,
        "top_k": 7,
        "min_p": 0.05,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "repetition_penalty": 1.1,
        "logit_bias": {"5": -100.0},
        "seed": 42,
        "stop": ["END"],
        "n": 2,
        "max_completion_tokens": 9,
        "logprobs": True,
        "top_logprobs": 3,
        "return_token_ids": True,
        "chat_template_kwargs": {"enable_thinking": True, "thinking": True},
        "reasoning_effort": "high",
    }
    request = asked(sampling=sampling, thinking=True, reasoning_effort="high")
    fields = chat_fields(request, {})
    assert {key: fields[key] for key in expected} == expected


def test_tools_and_their_results() -> None:
    call = ToolCall(id="call-1", name="weather", arguments='{"city": "Rome"}')
    result = ChatMessage(role="tool", content=(TextPart(text="sun"),), tool_call_id="call-1")
    request = asked(
        messages=(
            said("user", "Rome?"),
            ChatMessage(role="assistant", tool_calls=(call,)),
            result,
        ),
        tools=(WEATHER, Tool(name="now", strict=True)),
        tool_choice=ToolChoice(mode="function", name="weather"),
        parallel_tool_calls=False,
    )
    fields = chat_fields(request, {})
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    assert fields["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "sun", "tool_call_id": "call-1"},
    ]
    assert fields["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": WEATHER.parameters,
            },
        },
        {"type": "function", "function": {"name": "now", "strict": True}},
    ]
    assert fields["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert fields["parallel_tool_calls"] is False


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_the_plain_tool_choices(mode: Any) -> None:
    fields = chat_fields(asked(tools=(WEATHER,), tool_choice=ToolChoice(mode=mode)), {})
    assert fields["tool_choice"] == mode


def test_tools_bring_their_own_definitions_to_the_schema_of_any_call() -> None:
    """vLLM puts the `$defs` of all tools together, and knows no other place for them."""
    item = {"enum": ["a"]}
    pointing: dict[str, Any] = {"properties": {"x": {"$ref": "#/$defs/Item"}}}
    first = pointing | {"$defs": {"Item": item}}
    schemas = [
        first,
        first,
        pointing | {"$defs": {"Item": {"enum": ["b"]}}},
        {"properties": {"x": {"$ref": "#/definitions/I"}}, "definitions": {"I": item}},
        {"properties": {"next": {"$ref": "#"}}},
    ]
    tools = tuple(Tool(name=f"f{i}", parameters=each) for i, each in enumerate(schemas))
    fields = chat_fields(asked(tools=tools, tool_choice=ToolChoice(mode="required")), {})
    sent = [tool["function"]["parameters"] for tool in fields["tools"]]
    assert sent[:2] == [first, first]
    for number, schema in enumerate(sent[2:], 2):
        pointer = f"#/$defs/tool-{number}"
        whole = rerooted(schemas[number], pointer)
        assert schema == {"type": "object", "$ref": pointer, "$defs": {f"tool-{number}": whole}}
    one = ToolChoice(mode="function", name="f2")
    alone = chat_fields(asked(tools=tools, tool_choice=one), {})
    assert [tool["function"]["parameters"] for tool in alone["tools"]] == schemas


def test_tools_that_may_not_be_called_are_not_shown() -> None:
    fields = chat_fields(asked(tools=(WEATHER,), tool_choice=ToolChoice(mode="none")), {})
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & fields.keys()


def test_json_formats() -> None:
    schema = {"type": "object"}
    plain = asked(response_format=TextFormat(type="json_object"))
    assert chat_fields(plain, {})["response_format"] == {"type": "json_object"}
    strict = asked(response_format=TextFormat(type="json_schema", json_schema=schema))
    assert chat_fields(strict, {})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def test_media_are_put_in_as_data() -> None:
    parts = (TextPart(text="What?"), ImagePart(image=IMAGE), AudioPart(audio=AUDIO))
    request = asked(messages=(ChatMessage(role="user", content=parts),))
    assert media_of(request) == [IMAGE, AUDIO]
    assert chat_fields(request, MEDIA)["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,UElD"}},
        {"type": "input_audio", "input_audio": {"data": "U05E", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("prompts", "wire"),
    [(("a", "b"), ["a", "b"]), (((1, 2), (3,)), [[1, 2], [3]])],
)
def test_completions(prompts: Any, wire: Any) -> None:
    request = Complete(model="m", prompts=prompts, echo=True, sampling=Sampling(logprobs=0))
    fields = complete_fields(request)
    assert fields["prompt"] == wire
    assert (fields["max_tokens"], fields["logprobs"], fields["echo"]) == (None, 0, True)
    assert fields["stream_options"] == {"include_usage": True}


def test_what_clients_of_llama_ask_for() -> None:
    grammar = TextFormat(type="grammar", grammar='root ::= "a"')
    sampling = Sampling(ignore_eos=True, max_tokens=0)
    request = Complete(model="m", prompts=("a",), sampling=sampling, response_format=grammar)
    fields = complete_fields(request)
    assert fields["structured_outputs"] == {"grammar": 'root ::= "a"'}
    assert "response_format" not in fields
    # vLLM refuses to say nothing; the one token is left out of the answer.
    assert (fields["ignore_eos"], fields["max_tokens"]) == (True, 1)
    chat = chat_fields(asked(sampling=sampling, response_format=grammar), {})
    assert chat["structured_outputs"] == {"grammar": 'root ::= "a"'}
    assert chat["max_completion_tokens"] == 1
    schema = TextFormat(type="json_schema", json_schema={"type": "object"})
    held = complete_fields(request.model_copy(update={"response_format": schema}))
    assert held["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(("reason", "word"), [("END", "END"), (5, None), (None, None)])
def test_which_stop_text_has_ended_an_answer(reason: Any, word: str | None) -> None:
    choice = {"index": 0, "text": "a", "finish_reason": "stop", "stop_reason": reason}
    (delta,) = read([frame(choices=[choice])])
    assert isinstance(delta, ChatDelta)
    assert delta.stop_word == word


async def test_the_one_token_of_a_silent_answer_is_left_out() -> None:
    async def said() -> AsyncIterator[ChatEvent]:
        yield ChatDelta(text="a")
        yield ChatDelta(text="b", finish_reason="length")
        yield Usage(prompt_tokens=3, completion_tokens=1)

    assert [event async for event in silenced(said())] == [
        ChatDelta(finish_reason="length"),
        Usage(prompt_tokens=3, completion_tokens=0),
    ]


def test_best_of_draws_more_with_their_logprobs() -> None:
    fields = complete_fields(Complete(model="m", prompts=("a",), best_of=3))
    assert (fields["n"], fields["logprobs"]) == (3, 0)
    plain = complete_fields(Complete(model="m", prompts=("a",), best_of=1))
    assert (plain["n"], plain["logprobs"]) == (1, None)


@pytest.mark.parametrize(
    ("changes", "error", "param"),
    [
        ({"suffix": "end"}, UnsupportedCapability, "suffix"),
        ({"prompts": ("a", (1,))}, InvalidRequest, "prompt"),
        ({"prompts": ((1, "a"),)}, UnsupportedCapability, "prompt"),
    ],
)
def test_what_vllm_cannot_do(changes: Any, error: type[AppError], param: str) -> None:
    request = Complete(**({"model": "m", "prompts": ("a",)} | changes))
    with pytest.raises(error) as caught:
        complete_fields(request)
    assert caught.value.param == param


def test_parsers_are_told_by_the_template() -> None:
    qwen = "{% if enable_thinking %}<think>{% endif %}<tool_call>\n{{ call }}"
    assert (tool_parser_of(qwen), reasoning_parser_of(qwen)) == ("hermes", "qwen3")
    coder = "<tool_call>\\n<function=' ~ name"
    assert (tool_parser_of(coder), reasoning_parser_of(coder)) == ("qwen3_coder", None)
    assert tool_parser_of("[TOOL_CALLS]") == "mistral"
    assert (tool_parser_of("plain"), reasoning_parser_of("<think>")) == (None, "deepseek_r1")


# --- answers ---


def test_a_plain_answer() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert read(
        [chunk({"role": "assistant", "content": ""})],
        [chunk({"reasoning": "hm"})],
        [chunk({"content": "Hel"}), chunk({"content": "lo"}, finish_reason="stop")],
        [frame(choices=[], usage=usage)],
        ["data: [DONE]\n\n"],
    ) == [
        ChatDelta(reasoning="hm"),
        ChatDelta(text="Hel"),
        ChatDelta(text="lo", finish_reason="stop"),
        Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4, fingerprint="f"),
    ]


def test_frames_that_come_together_and_line_separators_in_text() -> None:
    text = chunk({"content": "a\u2028b"}) + chunk({"reasoning_content": "c"})
    assert read(text) == [ChatDelta(text="a\u2028b"), ChatDelta(reasoning="c")]


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_tool_calls_in_pieces(reason: str) -> None:
    first = {"name": "weather", "arguments": ""}
    assert read(
        chunk(
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": first}]},
            index=1,
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}, index=1),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, index=1),
        chunk({"content": ""}, index=1, finish_reason=reason),
        chunk({"content": "no call"}, finish_reason="stop"),
    ) == [
        ChatDelta(index=1, tool_calls=(ToolCallDelta(index=0, id="c1", name="weather"),)),
        ChatDelta(index=1, tool_calls=(ToolCallDelta(index=0, arguments='{"a"'),)),
        ChatDelta(index=1, tool_calls=(ToolCallDelta(index=0, arguments=":1}"),)),
        ChatDelta(index=1, finish_reason="tool_calls"),
        ChatDelta(text="no call", finish_reason="stop"),
    ]


def test_chat_logprobs() -> None:
    content = [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                {"token": "e", "logprob": -1.5, "bytes": [101]},
            ],
        }
    ]
    (delta,) = read(chunk({"content": "é"}, logprobs={"content": content}, token_ids=[77]))
    assert isinstance(delta, ChatDelta)
    assert delta.logprobs == (
        TokenLogprob(
            token="é",
            token_id=77,
            logprob=-0.5,
            token_bytes=b"\xc3\xa9",
            top=(
                TokenLogprob(token="é", token_id=-1, logprob=-0.5, token_bytes=b"\xc3\xa9"),
                TokenLogprob(token="e", token_id=-1, logprob=-1.5, token_bytes=b"e"),
            ),
        ),
    )


def test_completion_chunks_and_their_logprobs() -> None:
    logprobs = {
        "text_offset": [0, 2],
        "tokens": ["Hi", " you"],
        "token_logprobs": [None, -0.25],
        "top_logprobs": [None, {" me": -2.0, " you": -0.25}],
    }
    choice = {"index": 3, "text": "Hi you", "logprobs": logprobs, "finish_reason": "length"}
    (delta,) = read(frame(object="text_completion", choices=[choice]))
    assert delta == ChatDelta(
        index=3,
        text="Hi you",
        finish_reason="length",
        logprobs=(
            TokenLogprob(token="Hi", token_id=-1, logprob=None, token_bytes=b"Hi"),
            TokenLogprob(
                token=" you",
                token_id=-1,
                logprob=-0.25,
                token_bytes=b" you",
                top=(
                    TokenLogprob(token=" you", token_id=-1, logprob=-0.25, token_bytes=b" you"),
                    TokenLogprob(token=" me", token_id=-1, logprob=-2.0, token_bytes=b" me"),
                ),
            ),
        ),
    )


def test_a_request_that_the_engine_aborts() -> None:
    with pytest.raises(Cancelled):
        read(chunk({}, finish_reason="abort"))
    with pytest.raises(InternalError):
        read(chunk({}, finish_reason="error"))
    assert read(chunk({}, finish_reason="repetition")) == [ChatDelta(finish_reason="stop")]


# --- errors ---


class ErrorResponse:
    """As vLLM's: an object with model_dump."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def model_dump(self) -> dict[str, Any]:
        return {"error": self._fields}


OVERFLOW = (
    "This model's maximum context length is 32 tokens. However, your request has 40 input tokens."
)


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        (
            {"message": OVERFLOW, "type": "BadRequestError", "param": "input_tokens", "code": 400},
            ContextLengthExceeded,
            "messages",
        ),
        (
            {"message": "The decoder prompt (length 9) is longer than the maximum model length"},
            ContextLengthExceeded,
            "messages",
        ),
        ({"message": "Bad.", "param": "top_p", "code": 400}, InvalidRequest, "top_p"),
        ({"message": "No model.", "code": 404}, ModelNotFound, "model"),
        ({"message": "No tools.", "code": 501}, UnsupportedCapability, None),
        ({"message": "Full.", "code": 503}, Unavailable, None),
        ({"message": "CUDA error in /opt/x.py", "code": 500}, InternalError, None),
        ({"message": "who knows"}, InternalError, None),
    ],
)
def test_error_objects(fields: dict[str, Any], error: type[AppError], param: str | None) -> None:
    found = error_of(ErrorResponse(**fields), prompt_param="messages")
    assert type(found) is error
    assert (found.param, found.provider) == (param, "vllm")
    assert "/opt" not in found.message
    with pytest.raises(error):
        read([ErrorResponse(**fields)])
    with pytest.raises(error):
        read(f"data: {json.dumps({'error': fields})}\n\n")


def test_the_overflow_is_said_as_vllm_says_it() -> None:
    found = error_of({"message": OVERFLOW, "code": 400}, prompt_param="prompt")
    assert found.message == "t" + OVERFLOW[1:]
    assert found.param == "prompt"


def test_what_nobody_expects_in_a_stream() -> None:
    with pytest.raises(InternalError):
        read([object()])


# --- without vLLM ---


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_the_engine_says_what_to_install(tmp_path: Path) -> None:
    from deployments.text.vllm_chat import VllmChat
    from serve_app.core.config import Model
    from serve_app.core.errors import BackendUnavailable
    from serve_app.core.media import BlobStore
    from serve_app.core.options.text import VllmOptions

    with pytest.raises(BackendUnavailable, match=r"pip install 'polyphony\[gpu\]'") as caught:
        VllmChat(VllmOptions(), Model(id="big"), path=tmp_path, blobs=cast("BlobStore", object()))
    assert caught.value.retry_after_s is None
