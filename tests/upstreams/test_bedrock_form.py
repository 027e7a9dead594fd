"""Chats with Anthropic's models at Amazon Bedrock, over HTTP; every signature is checked."""

from pathlib import Path
from typing import Any

import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import BackendUnavailable, ModelNotFound, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamTarget
from serve_app.core.upstreams.upstream_calls import call_url
from serve_app.upstreams.aws_ambient import AmbientCredentials
from serve_app.upstreams.aws_roles import TokenService
from serve_app.upstreams.bedrock_credentials import BedrockCredentials
from serve_app.upstreams.bedrock_form import BedrockForm
from serve_app.upstreams.bedrock_places import control_url, invoke_url, region_of, sts_url
from serve_app.upstreams.bedrock_signing import BedrockSigner, utc_now
from tests.upstreams.answers import StubCall
from tests.upstreams.bedrock_stub import ASSUMED, BedrockStub
from tests.upstreams.signatures import ACCESS_KEY, REGION, SECRET
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.targets import (
    answered,
    asking,
    deltas,
    provider_calls,
    target,
    text_of,
    usage_of,
)

MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ROLE = "arn:aws:iam::123456789012:role/polyphony"
GIVEN = {"access_key": ACCESS_KEY, "access_key_secret": SECRET}
STORE = FsspecBlobStore(Path("/nowhere"))


@pytest.fixture
def bedrock(stubs: VendorStubs) -> BedrockStub:
    return stubs.bedrock


def form_of(bedrock: BedrockStub, **environment: str) -> BedrockForm:
    url = f"{bedrock.base_url}/"
    tokens = TokenService(utc_now, lambda _: url)
    ambient = AmbientCredentials(environment, tokens)
    return BedrockForm(STORE, BedrockSigner(BedrockCredentials(ambient, tokens)))


@pytest.fixture
def form(bedrock: BedrockStub) -> BedrockForm:
    return form_of(bedrock)


def whom(bedrock: BedrockStub, **settings: Any) -> UpstreamTarget:
    settings = {"region": REGION} | settings
    return target("bedrock", bedrock.base_url, MODEL, None, settings=settings, **GIVEN)


async def test_an_answer(form: BedrockForm, bedrock: BedrockStub) -> None:
    bedrock.answers("Hel", "lo", calls=(StubCall(),), finish="tool_calls")
    events = await answered(form, asking(sampling={"max_tokens": 9}), whom(bedrock))
    assert text_of(events) == "Hello"
    pieces = [piece.arguments for delta in deltas(events) for piece in delta.tool_calls]
    assert "".join(pieces) == '{"city": "Graz"}'
    assert deltas(events)[-1].finish_reason == "tool_calls"
    assert (usage_of(events).prompt_tokens, usage_of(events).completion_tokens) == (9, 4)
    asked = bedrock.last
    assert asked.raw_path == (
        "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"
    )
    assert asked.json == {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }
    assert "x-amz-security-token" not in asked.headers


async def test_the_mantle_protocol(form: BedrockForm, bedrock: BedrockStub) -> None:
    there = whom(bedrock, protocol="mantle")
    events = await answered(form, asking(), there)
    assert text_of(events) == "Hello from far away."
    assert bedrock.last.path == "/v1/messages"
    assert bedrock.last.json["model"] == MODEL
    assert "/bedrock-mantle/" in bedrock.last.headers["authorization"]


async def test_a_role_is_taken_on_once(form: BedrockForm, bedrock: BedrockStub) -> None:
    there = whom(bedrock, role_arn=ROLE, external_id="e1")
    for _ in range(2):
        await answered(form, asking(), there)
    lent, *invoked = bedrock.requests
    assert lent.body == (
        b"Action=AssumeRole&Version=2011-06-15"
        b"&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpolyphony"
        b"&RoleSessionName=polyphony&DurationSeconds=3600&ExternalId=e1"
    )
    assert (lent.path, lent.key) == ("/", ACCESS_KEY)
    assert [request.key for request in invoked] == [ASSUMED["AccessKeyId"]] * 2
    assert invoked[0].headers["x-amz-security-token"] == ASSUMED["SessionToken"]
    await answered(form, asking(), whom(bedrock, role_arn=ROLE + "2"))
    assert bedrock.requests[3].path == "/"


async def test_a_role_is_taken_on_again_before_it_ends(
    form: BedrockForm, bedrock: BedrockStub
) -> None:
    there = whom(bedrock, role_arn=ROLE)
    bedrock.role_lasts_s = 290
    for _ in range(2):
        await answered(form, asking(), there)
    bedrock.role_lasts_s = 310
    for _ in range(2):
        await answered(form, asking(), there)
    assert [request.path == "/" for request in bedrock.requests] == [
        *(True, False, True, False),
        *(True, False, False),
    ]


async def test_a_role_that_is_not_lent(form: BedrockForm, bedrock: BedrockStub) -> None:
    said = "User is not authorized"
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Code>AccessDenied</Code><Message>{said}</Message></Error></ErrorResponse>"
    )
    bedrock.fails(403, body=body.encode())
    with pytest.raises(UpstreamRefused) as refused:
        await answered(form, asking(), whom(bedrock, role_arn=ROLE))
    assert refused.value.body == b'{"message": "the role is not lent: User is not authorized"}'


async def test_credentials_of_the_environment(bedrock: BedrockStub) -> None:
    form = form_of(
        bedrock,
        AWS_ACCESS_KEY_ID=ASSUMED["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=ASSUMED["SecretAccessKey"],
        AWS_SESSION_TOKEN="token",
    )
    there = target("bedrock", bedrock.base_url, MODEL, None, settings={"region": REGION})
    await answered(form, asking(), there)
    assert bedrock.last.headers["x-amz-security-token"] == "token"
    with pytest.raises(BackendUnavailable, match="'far' has no credentials"):
        await answered(form_of(bedrock), asking(), there)


async def test_a_wrong_secret(form: BedrockForm, bedrock: BedrockStub) -> None:
    given = GIVEN | {"access_key_secret": "other"}
    there = target("bedrock", bedrock.base_url, MODEL, None, settings={"region": REGION}, **given)
    with pytest.raises(UpstreamRefused) as refused:
        await answered(form, asking(), there)
    assert refused.value.status == 403
    assert b"does not match" in refused.value.body


async def test_an_exception_in_a_stream(form: BedrockForm, bedrock: BedrockStub) -> None:
    bedrock.mishap("error_in_stream")
    with pytest.raises(UpstreamRefused) as refused:
        await answered(form, asking(), whom(bedrock))
    assert refused.value.status == 424
    assert refused.value.body == b'{"message": "That is all."}'


@pytest.mark.parametrize("kind", ["truncated", "broken", "wrong_type", "no_json"])
async def test_broken_responses(form: BedrockForm, bedrock: BedrockStub, kind: Any) -> None:
    bedrock.mishap(kind)
    with pytest.raises(UpstreamError):
        await answered(form, asking(), whom(bedrock))


async def test_the_listing(form: BedrockForm, bedrock: BedrockStub) -> None:
    there = whom(bedrock, model="anthropic.mine", small_fast_model=MODEL)
    async with provider_calls() as calls:
        found = await form.models(there, calls)
    assert [each.id for each in found] == [
        "anthropic.mine",
        MODEL,
        "anthropic.claude-3-haiku-20240307-v1:0",
        "eu.amazon.nova-pro-v1:0",
        "eu.anthropic.claude-opus-5-5",
    ]
    assert {each.task for each in found} == {"chat"}
    assert [each.capabilities for each in found] == [("image_to_text",)] * 3 + [
        (),
        ("image_to_text",),
    ]


async def test_an_account_that_may_not_list(form: BedrockForm, bedrock: BedrockStub) -> None:
    bedrock.fails(403, times=2)
    async with provider_calls() as calls:
        found = await form.models(whom(bedrock, model="anthropic.mine"), calls)
        assert [each.id for each in found] == ["anthropic.mine"]
        with pytest.raises(UpstreamRefused):
            await form.models(whom(bedrock), calls)
        mantle = whom(bedrock, model="anthropic.mine", protocol="mantle")
        assert len(await form.models(mantle, calls)) == 1


def test_places() -> None:
    base = "https://bedrock-runtime.eu-west-1.amazonaws.com/"
    provider = target("bedrock", base).provider
    assert region_of(provider) == "eu-west-1"
    assert control_url(provider, "/x") == "https://bedrock.eu-west-1.amazonaws.com/x"
    assert invoke_url(provider, "a/b:0") == (f"{base}model/a%2Fb%3A0/invoke-with-response-stream")
    assert sts_url("cn-north-1") == "https://sts.cn-north-1.amazonaws.com.cn/"
    mantle = "https://bedrock-mantle.eu-west-1.api.aws/anthropic"
    assert region_of(target("bedrock", mantle).provider) == "eu-west-1"
    assert call_url("anthropic", mantle, "/messages") == f"{mantle}/v1/messages"
    with pytest.raises(BackendUnavailable, match="has no region"):
        region_of(target("bedrock", "http://localhost:1/").provider)
    with pytest.raises(ModelNotFound):
        invoke_url(provider, "..")
