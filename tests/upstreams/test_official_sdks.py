"""The stubs are real: the vendors' own libraries understand them."""

import json
import warnings
from importlib import import_module
from typing import Any

import pytest
from openai import APIError, AuthenticationError, DefaultHttpxClient, OpenAI, RateLimitError

from tests.upstreams.answers import StubCall
from tests.upstreams.openai_stub import OpenAIStub
from tests.upstreams.signatures import ACCESS_KEY, REGION, SECRET
from tests.upstreams.stub_server import VendorStubs

LIKE_OPENAI = ("openai", "azure", "google", "openrouter", "vercel")
ASKED: Any = [{"role": "user", "content": "Hello"}]
CALL = StubCall()
SLOW = pytest.mark.slow
"""The libraries make thousands of types before they ask anything: they are imported late."""


def client_of(stub: OpenAIStub, **options: Any) -> OpenAI:
    # Reading the certificates of authorities takes longer than all the rest.
    client = DefaultHttpxClient(verify=False)
    options = {"api_key": "sk-1", "max_retries": 0, "http_client": client} | options
    return OpenAI(base_url=stub.base_url, **options)


@pytest.fixture(params=LIKE_OPENAI)
def stub(request: pytest.FixtureRequest, stubs: VendorStubs) -> OpenAIStub:
    found = stubs.all[request.param]
    assert isinstance(found, OpenAIStub)
    return found


def test_chat(stub: OpenAIStub) -> None:
    stub.answers("a", "b", cached_tokens=3, reasoning="hm")
    with client_of(stub) as client:
        answer = client.chat.completions.create(model="m", messages=ASKED, seed=7)
    assert answer.choices[0].message.content == "ab"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 9
    assert stub.last.json == {"model": "m", "messages": ASKED, "seed": 7}
    assert stub.last.key == "sk-1"


def test_chat_streamed(stub: OpenAIStub) -> None:
    stub.answers("a", "ü")
    with client_of(stub) as client:
        options: Any = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(
                model="m", messages=ASKED, stream=True, stream_options=options
            )
        )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "aü"
    assert [choice.finish_reason for choice in choices][-1] == "stop"
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage][-1] == 4


@pytest.mark.parametrize("streams", [False, True])
def test_tools(stub: OpenAIStub, streams: bool) -> None:
    stub.answers(calls=(CALL,), finish="tool_calls")
    with client_of(stub) as client:
        answer: Any = client.chat.completions.create(model="m", messages=ASKED, stream=streams)
        if streams:
            deltas = [choice.delta for chunk in answer for choice in chunk.choices]
            calls = [call for delta in deltas for call in delta.tool_calls or ()]
        else:
            calls = answer.choices[0].message.tool_calls
    assert "".join(call.function.arguments or "" for call in calls) == CALL.arguments
    assert calls[0].function.name == "weather"
    assert calls[0].id == "call_1"


def test_other_operations(stub: OpenAIStub) -> None:
    with client_of(stub) as client:
        vectors = client.embeddings.create(model="m", input=["a", "b"]).data
        image = (client.images.generate(model="m", prompt="a cat").data or [])[0]
        audio = client.audio.speech.create(model="m", voice="alloy", input="Hi").read()
        text = client.audio.transcriptions.create(model="m", file=("a.wav", audio))
        prompted = client.completions.create(model="m", prompt="a").choices[0].text
        models = [each.id for each in client.models.list()]
    assert len(vectors) == 2
    assert (image.b64_json or "").startswith("iVBORw0KGgo")
    assert audio.startswith(b"RIFF")
    assert text.text == prompted == "Hello from far away."
    assert models == [each["id"] for each in stub.models]


def test_errors(stub: OpenAIStub) -> None:
    stub.fails(429, headers={"retry-after": "7"})
    stub.keys = {"sk-2"}
    # Google's error is in a list, of which the SDK makes nothing.
    expected = r"429$" if stub.name == "google" else r"That is all\.|Provider returned"
    with client_of(stub) as client:
        with pytest.raises(RateLimitError, match=expected) as limited:
            client.chat.completions.create(model="m", messages=ASKED)
        assert limited.value.response.headers["retry-after"] == "7"
        with pytest.raises(AuthenticationError):
            client.chat.completions.create(model="m", messages=ASKED)


def test_an_error_in_a_stream(stub: OpenAIStub) -> None:
    stub.mishap("error_in_stream")
    with client_of(stub) as client:
        stream = client.chat.completions.create(model="m", messages=ASKED, stream=True)
        with pytest.raises(APIError, match="That is all"):
            list(stream)


@pytest.mark.parametrize("kind", ["broken", "stalled"])
@pytest.mark.parametrize("streams", [False, True])
def test_bodies_that_do_not_end(stubs: VendorStubs, kind: Any, streams: bool) -> None:
    stubs.openai.mishap(kind)

    def ask(client: OpenAI) -> None:
        answer: Any = client.chat.completions.create(model="m", messages=ASKED, stream=streams)
        list(answer)

    # The SDK lets errors of its HTTP library through.
    expected = r"(?i)incomplete|timed out|connection|peer"
    with (
        client_of(stubs.openai, timeout=0.5) as client,
        pytest.raises(Exception, match=expected),
    ):
        ask(client)


def anthropic_of(stubs: VendorStubs, **options: Any) -> Any:
    library = import_module("anthropic")
    options = {"http_client": library.DefaultHttpxClient(verify=False), "max_retries": 0} | options
    return library.Anthropic(base_url=stubs.anthropic.base_url, api_key="sk-1", **options)


@SLOW
def test_messages(stubs: VendorStubs) -> None:
    stubs.anthropic.answers("a", "b", reasoning="hm", calls=(CALL,), finish="tool_calls")
    with anthropic_of(stubs) as client:
        answer = client.messages.create(model="claude", messages=ASKED, max_tokens=10)
    assert [block.type for block in answer.content] == ["thinking", "text", "tool_use"]
    assert answer.content[2].input == {"city": "Graz"}
    assert answer.stop_reason == "tool_use"
    assert stubs.anthropic.last.key == "sk-1"


@SLOW
def test_messages_streamed(stubs: VendorStubs) -> None:
    said = {"reasoning": "hm", "calls": (CALL,), "stop_word": "END", "cached_tokens": 3}
    stubs.anthropic.answers("a", "b", **said)
    with (
        anthropic_of(stubs) as client,
        client.messages.stream(model="claude", messages=ASKED, max_tokens=10) as stream,
    ):
        kinds = [event.type for event in stream]
        whole = stream.get_final_message()
    assert kinds.count("text") == 2
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use"]
    assert whole.content[2].input == {"city": "Graz"}
    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", "END")
    assert (whole.usage.cache_read_input_tokens, whole.usage.output_tokens) == (3, 4)


@SLOW
def test_errors_of_messages(stubs: VendorStubs) -> None:
    library = import_module("anthropic")
    stubs.anthropic.fails(529)
    stubs.anthropic.mishap("error_in_stream")
    with anthropic_of(stubs) as client:
        with pytest.raises(library.APIStatusError, match="overloaded_error"):
            client.messages.create(model="claude", messages=ASKED, max_tokens=10)
        stream = client.messages.create(model="c", messages=ASKED, max_tokens=10, stream=True)
        with pytest.raises(library.APIError, match="That is all"):
            list(stream)
        with pytest.raises(library.BadRequestError, match="first message"):
            client.messages.create(
                model="c", messages=[{"role": "assistant", "content": "a"}], max_tokens=10
            )


@SLOW
def test_anthropic_models(stubs: VendorStubs) -> None:
    with anthropic_of(stubs) as client:
        assert [each.id for each in client.models.list()] == [
            "claude-opus-5-5",
            "claude-haiku-4-5-20251001",
        ]


def aws(service: str, stubs: VendorStubs, secret: str = SECRET) -> Any:
    library, config = import_module("boto3"), import_module("botocore.config")

    # botocore's own use of utcnow and the like is not ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.client(
            service,
            region_name=REGION,
            endpoint_url=stubs.bedrock.base_url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=secret,
            config=config.Config(retries={"total_max_attempts": 1}, proxies={}),
        )


CLAUDE = "anthropic.claude-opus-4-6-v1:0"
BODY = json.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": ASKED}
).encode()


@SLOW
def test_boto3_invokes(stubs: VendorStubs) -> None:
    client = aws("bedrock-runtime", stubs)
    answer = client.invoke_model(modelId=CLAUDE, body=BODY)
    assert json.load(answer["body"])["content"][0]["text"] == "Hello from far away."
    streamed = client.invoke_model_with_response_stream(modelId=CLAUDE, body=BODY)
    events = [json.loads(each["chunk"]["bytes"]) for each in streamed["body"]]
    assert [each["type"] for each in events][-2:] == ["message_delta", "message_stop"]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 9
    client.close()


@SLOW
@pytest.mark.parametrize("streams", [False, True])
def test_boto3_converses(stubs: VendorStubs, streams: bool) -> None:
    stubs.bedrock.answers("a", "b", calls=(CALL,), finish="tool_calls", cached_tokens=2)
    client = aws("bedrock-runtime", stubs)
    asked: Any = {
        "modelId": "eu.amazon.nova-pro-v1:0",
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 9},
    }
    if streams:
        events = list(client.converse_stream(**asked)["stream"])
        said = [
            each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each
        ]
        text = "".join(delta.get("text", "") for delta in said)
        given = json.loads("".join(delta.get("toolUse", {}).get("input", "") for delta in said))
        usage = events[-1]["metadata"]["usage"]
    else:
        answer = client.converse(**asked)
        first, call = answer["output"]["message"]["content"]
        text, given, usage = first["text"], call["toolUse"]["input"], answer["usage"]
    assert (text, given) == ("ab", json.loads(CALL.arguments))
    assert (usage["inputTokens"], usage["cacheReadInputTokens"]) == (7, 2)
    assert stubs.bedrock.last.json == {name: asked[name] for name in asked if name != "modelId"}
    client.close()


@SLOW
def test_boto3_gets_errors(stubs: VendorStubs) -> None:
    library = import_module("botocore.exceptions")
    stubs.bedrock.fails(429, headers={"x-amzn-errortype": "ThrottlingException"})
    stubs.bedrock.mishap("error_in_stream")
    client = aws("bedrock-runtime", stubs)
    with pytest.raises(library.ClientError, match="ThrottlingException"):
        client.invoke_model(modelId=CLAUDE, body=BODY)
    streamed = client.invoke_model_with_response_stream(modelId=CLAUDE, body=BODY)
    with pytest.raises(library.EventStreamError, match="modelStreamErrorException"):
        list(streamed["body"])
    client.close()
    wrong = aws("bedrock-runtime", stubs, secret="other")
    with pytest.raises(library.ClientError, match="does not match"):
        wrong.invoke_model(modelId=CLAUDE, body=BODY)
    wrong.close()


@SLOW
def test_boto3_lists_models_and_assumes_roles(stubs: VendorStubs) -> None:
    listing, tokens = aws("bedrock", stubs), aws("sts", stubs)
    models = listing.list_foundation_models()["modelSummaries"]
    assert [each["providerName"] for each in models] == ["Anthropic", "Anthropic"]
    profiles = listing.list_inference_profiles()["inferenceProfileSummaries"]
    assert profiles[0]["inferenceProfileId"] == "eu.amazon.nova-pro-v1:0"
    role = {"RoleArn": "arn:aws:iam::123456789012:role/a", "RoleSessionName": "polyphony"}
    given = tokens.assume_role(**role, ExternalId="xy")["Credentials"]
    assert given["SecretAccessKey"] == "assumed-secret"
    listing.close()
    tokens.close()


@SLOW
def test_anthropics_clients_of_bedrock(stubs: VendorStubs) -> None:
    library = import_module("anthropic")
    options = {"aws_access_key": ACCESS_KEY, "aws_secret_key": SECRET, "aws_region": REGION}
    mantle = library.AnthropicBedrockMantle(
        base_url=f"{stubs.bedrock.base_url}/anthropic", max_retries=0, **options
    )
    with mantle as client:
        answer = client.messages.create(model="claude", messages=ASKED, max_tokens=10)
        assert answer.content[0].text == "Hello from far away."
