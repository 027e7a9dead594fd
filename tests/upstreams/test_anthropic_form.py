"""Chats with Anthropic's models, over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import TimedOut, UnsupportedCapability, UpstreamError
from serve_app.core.text.chat import Complete, Thought, ToolCallDelta, Usage
from serve_app.core.upstreams.exchange import UpstreamListing, UpstreamRefused, UpstreamTarget
from serve_app.upstreams.anthropic_form import AnthropicForm
from tests.upstreams.answers import StubCall
from tests.upstreams.anthropic_stub import AnthropicStub
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.targets import (
    answered,
    asking,
    deltas,
    notices_of,
    provider_calls,
    target,
    text_of,
    usage_of,
)

FORM = AnthropicForm(FsspecBlobStore(Path("/nowhere")))
"""Images are read in the tests of requests."""


@pytest.fixture
def claude(stubs: VendorStubs) -> AnthropicStub:
    return stubs.anthropic


@pytest.fixture
def whom(claude: AnthropicStub) -> UpstreamTarget:
    return target("anthropic", claude.base_url, "claude-opus-5-5")


async def test_an_answer(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    claude.answers("Hel", "lo", reasoning="hm", cached_tokens=5, reasoning_tokens=2)
    events = await answered(FORM, asking(), whom)
    assert [(d.reasoning, d.text, d.finish_reason) for d in deltas(events)] == [
        ("hm", "", None),
        ("", "", None),
        ("", "Hel", None),
        ("", "lo", None),
        ("", "", "stop"),
    ]
    assert [d.thought for d in deltas(events)][:2] == [Thought(), Thought(signature="c2ln")]
    assert usage_of(events) == Usage(
        prompt_tokens=9, completion_tokens=4, cached_tokens=5, reasoning_tokens=2
    )
    assert claude.last.headers["x-api-key"] == "sk-1"
    assert claude.last.headers["anthropic-version"] == "2023-06-01"
    assert claude.last.json == {
        "model": "claude-opus-5-5",
        "stream": True,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_the_version_in_the_base_url(claude: AnthropicStub, path: str) -> None:
    await answered(FORM, asking(), target("anthropic", claude.base_url + path, "m"))
    assert claude.last.path == "/v1/messages"


async def test_calls(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    calls = (StubCall(), StubCall("now", "{}", "call_2"))
    claude.answers("So:", calls=calls, finish="tool_calls")
    events = await answered(FORM, asking(), whom)
    pieces = [piece for delta in deltas(events) for piece in delta.tool_calls]
    assert pieces == [
        ToolCallDelta(index=0, id="call_1", name="weather"),
        ToolCallDelta(index=0, arguments='{"city"'),
        ToolCallDelta(index=0, arguments=': "Graz"}'),
        ToolCallDelta(index=1, id="call_2", name="now"),
        ToolCallDelta(index=1, arguments="{}"),
    ]
    assert deltas(events)[-1].finish_reason == "tool_calls"


ENDS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "length": ({"finish": "length"}, "length", None),
    "a stop text": ({"stop_word": "END"}, "stop", "END"),
    "the context": ({"finish": "model_context_window_exceeded"}, "length", None),
    "what is not known": ({"finish": "a_new_reason"}, "stop", None),
}


@pytest.mark.parametrize("name", ENDS)
async def test_ends(claude: AnthropicStub, whom: UpstreamTarget, name: str) -> None:
    fields, reason, word = ENDS[name]
    claude.answers("a", **fields)
    last = deltas(await answered(FORM, asking(), whom))[-1]
    assert (last.finish_reason, last.stop_word) == (reason, word)


async def test_a_refusal(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    claude.answers("", refusal="I cannot do that.", finish="content_filter")
    events = await answered(FORM, asking(), whom)
    assert text_of(events) == "I cannot do that."
    assert deltas(events)[-1].finish_reason == "content_filter"


async def test_a_proxy_that_does_not_stream(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    claude.streams = False
    claude.answers("a", reasoning="hm", calls=(StubCall(),), stop_word="END")
    events = await answered(FORM, asking(), whom)
    assert text_of(events) == "a"
    pieces = [piece for delta in deltas(events) for piece in delta.tool_calls]
    assert [piece.arguments for piece in pieces] == ["", '{"city": "Graz"}']
    assert deltas(events)[-1].stop_word == "END"
    assert usage_of(events).completion_tokens == 4


async def test_what_is_left_out_is_told_once(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    events = await answered(FORM, asking(sampling={"seed": 7, "temperature": 0.1}), whom)
    assert [str(notice) for notice in notices_of(events)] == [
        "seed: the provider has no such field",
        "temperature: the model chooses it itself",
    ]
    assert deltas(events)[0].warnings


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "authentication_error"), (529, "overloaded_error")]
)
async def test_refusals(
    claude: AnthropicStub, whom: UpstreamTarget, status: int, kind: str
) -> None:
    claude.fails(status)
    with pytest.raises(UpstreamRefused) as refused:
        await answered(FORM, asking(), whom)
    assert refused.value.status == status
    assert kind.encode() in refused.value.body


async def test_an_error_in_a_stream(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    claude.mishap("error_in_stream")
    with pytest.raises(UpstreamRefused) as refused:
        await answered(FORM, asking(), whom)
    assert refused.value.status == 529
    assert b"overloaded_error" in refused.value.body


@pytest.mark.parametrize("kind", ["truncated", "broken", "wrong_type", "no_json"])
async def test_broken_responses(claude: AnthropicStub, whom: UpstreamTarget, kind: Any) -> None:
    claude.mishap(kind)
    with pytest.raises(UpstreamError):
        await answered(FORM, asking(), whom)


async def test_a_stalled_stream(claude: AnthropicStub, whom: UpstreamTarget) -> None:
    claude.mishap("stalled")
    with pytest.raises(TimedOut):
        await answered(FORM, asking(), whom, read_s=0.3)


async def test_a_caller_who_leaves_ends_the_request(
    claude: AnthropicStub, whom: UpstreamTarget
) -> None:
    claude.mishap("stalled", after=4)
    async with provider_calls() as calls:
        events = FORM.run(asking(), whom, calls)
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
    await claude.has_been_left(1)


async def test_the_listing(claude: AnthropicStub) -> None:
    async with provider_calls() as calls:
        found = await FORM.models(target("anthropic", claude.base_url), calls)
    created = 1_790_208_000.0
    assert found == tuple(
        UpstreamListing(id=id, task="chat", capabilities=("image_to_text",), created=created)
        for id in ("claude-opus-5-5", "claude-haiku-4-5-20251001")
    )
    assert [request.query for request in claude.requests] == [
        "limit=1000",
        "limit=1000&after_id=claude-opus-5-5",
    ]


async def test_other_operations_are_refused(whom: UpstreamTarget) -> None:
    async with provider_calls() as calls:
        with pytest.raises(UnsupportedCapability, match="'far' has no request for 'complete'"):
            FORM.run(Complete(model="far/m", prompts=("a",)), whom, calls)
