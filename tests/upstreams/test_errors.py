"""What goes wrong at providers, and what is tried then."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT, FIRST, PROVIDERS, SECOND
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import Asked, PlainStub, Told, told, told_events
from tests.upstreams.replies import chat_body, chat_events, chunk

PATH = "/v1/chat/completions"
REFUSAL = {"error": {"message": f"no: {FIRST}", "type": "x", "param": None, "code": None}}


def refusing(status: int, *, key: str = "", **headers: str):
    def answer(asked: Asked) -> Told:
        if not key or asked.key == key:
            return told(REFUSAL, status, **headers)
        return told_events(chat_events("hello"))

    return answer


@pytest.mark.parametrize(
    ("status", "ours", "code"),
    [
        (400, 400, "invalid_request"),
        (401, 502, "upstream_error"),
        (403, 502, "upstream_error"),
        (404, 404, "model_not_found"),
        (413, 413, "payload_too_large"),
        (429, 503, "backend_unavailable"),
        (500, 502, "upstream_error"),
        (503, 503, "backend_unavailable"),
        (529, 503, "backend_unavailable"),
        (307, 502, "upstream_error"),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_refusals(
    client: httpx.AsyncClient,
    stub: PlainStub,
    status: int,
    ours: int,
    code: str,
    is_streamed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.answer = refusing(status, **{"Retry-After": "7", "Location": "http://127.0.0.1:9/"})
    await register(client, stub.url)
    answer = await client.post(PATH, json=chat_body("mine/m", stream=is_streamed))
    assert answer.status_code == ours, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["provider"]) == (code, "mine")
    assert answer.headers.get("retry-after") == ("7" if ours == 503 else None)
    assert len(stub.asked) == 1
    assert FIRST not in answer.text + caplog.text


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_the_next_key_is_tried(
    client: httpx.AsyncClient, stub: PlainStub, status: int
) -> None:
    """And used first from then on, until the other has rested."""
    stub.answer = refusing(status, key=FIRST)
    await register(client, stub.url, api_keys=[FIRST, SECOND])
    for _ in range(2):
        answer = await client.post(PATH, json=chat_body("mine/m"))
        assert answer.status_code == 200, answer.text
    assert [asked.key for asked in stub.asked] == [FIRST, SECOND, SECOND]


async def test_another_key_does_not_help(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = refusing(500)
    await register(client, stub.url, api_keys=[FIRST, SECOND])
    assert (await client.post(PATH, json=chat_body("mine/m"))).status_code == 502
    assert len(stub.asked) == 1


BROKEN = {
    "cut off": told_events([chunk({"content": "a"})], ends=False, is_broken=True),
    "not ended": told_events([chunk({"content": "a"})], ends=False),
    "an error": told_events([chunk({"content": "a"}), {"error": {"message": "overloaded"}}]),
    "no JSON": Told(200, (b"<html>",), {"Content-Type": "text/html"}),
    "empty": Told(200, (), {"Content-Type": "application/json"}),
    "another shape": told([1, 2]),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_answers(client: httpx.AsyncClient, stub: PlainStub, what: str) -> None:
    stub.answer = lambda _: BROKEN[what]
    await register(client, stub.url)
    whole = await client.post(PATH, json=chat_body("mine/m"))
    assert whole.status_code == 502, whole.text
    assert whole.json()["error"]["provider"] == "mine"
    streamed = await client.post(PATH, json=chat_body("mine/m", stream=True))
    if streamed.status_code == 200:
        last = streamed.text.strip().split("\n\n")[-1]
        assert '"upstream_error"' in last
    else:
        assert streamed.status_code == 502


async def test_a_server_that_is_not_there(client: httpx.AsyncClient) -> None:
    await register(client, "http://127.0.0.1:9/v1")
    answer = await client.post(PATH, json=chat_body("mine/m"))
    assert answer.status_code == 502
    assert "no connection" in answer.json()["error"]["message"]


@pytest.fixture
async def impatient(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    context = make_context(
        environment=ENVIRONMENT,
        upstreams={"model_timeouts": {"mine/slow": {"read_s": 0.1}}},
        routes=[
            {"name": "safe", "models": [{"model": "mine/m"}], "fallbacks": ["other/m", "echo"]},
            {
                "name": "drawn",
                "models": [{"model": "mine/m", "weight": 0}, {"model": "echo", "weight": 1}],
            },
            {"name": "echo", "models": [{"model": "echo"}], "fallbacks": ["mine/m"]},
        ],
    )
    async with client_of(context) as found:
        found.headers.update(BOSS)
        yield found
    await context.listed.close()


async def test_a_model_with_a_limit(impatient: httpx.AsyncClient, stub: PlainStub) -> None:
    never = asyncio.Event()
    stub.answer = lambda _: Told(200, (never,), length=5)
    await register(impatient, stub.url)
    answer = await impatient.post(PATH, json=chat_body("mine/slow"))
    assert answer.status_code == 504
    assert answer.json()["error"]["provider"] == "mine"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_fall_backs(
    impatient: httpx.AsyncClient, stub: PlainStub, other: PlainStub, is_streamed: bool
) -> None:
    """From provider to provider, and to a model of this server, before anything was said."""
    body = chat_body("safe", stream=is_streamed)
    stub.answer = other.answer = lambda _: told_events(chat_events("hello"))
    await register(impatient, stub.url)
    await register(impatient, other.url, name="other")
    assert "hello" in (await impatient.post(PATH, json=body)).text
    assert len(other.asked) == 0
    stub.answer = refusing(500)
    assert "hello" in (await impatient.post(PATH, json=body)).text
    assert len(other.asked) == 1
    other.answer = refusing(429)
    answer = await impatient.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    assert "hello" not in answer.text
    stub.answer = refusing(400)
    assert (await impatient.post(PATH, json=body)).status_code == 400


async def test_providers_that_are_gone_are_passed_over(
    impatient: httpx.AsyncClient, stub: PlainStub
) -> None:
    answer = await impatient.post(PATH, json=chat_body("safe"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "safe"


async def test_nothing_is_tried_again_once_something_was_said(
    impatient: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = lambda _: BROKEN["cut off"]
    await register(impatient, stub.url)
    answer = await impatient.post(PATH, json=chat_body("safe", stream=True))
    assert '"upstream_error"' in answer.text


async def test_weights(impatient: httpx.AsyncClient, stub: PlainStub) -> None:
    """What has none is only for when the others fail."""
    await register(impatient, stub.url)
    answer = await impatient.post(PATH, json=chat_body("drawn"))
    assert answer.status_code == 200
    assert stub.asked == []


async def test_a_provider_deleted_while_it_streams(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    """What has begun comes to its end; what comes later finds nothing."""
    goes_on = asyncio.Event()
    first, *rest = chat_events("hello", " you")
    stub.answer = lambda _: told_events([first, goes_on, *rest])
    await register(client, stub.url)
    running = asyncio.ensure_future(client.post(PATH, json=chat_body("mine/m")))
    while not stub.asked:
        await asyncio.sleep(0.01)
    assert (await client.delete(f"{PROVIDERS}/mine")).status_code == 204
    goes_on.set()
    assert (await running).json()["choices"][0]["message"]["content"] == "hello you"
    answer = await client.post(PATH, json=chat_body("mine/m"))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_a_client_that_leaves_ends_the_request(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    never = asyncio.Event()
    stub.answer = lambda _: told_events([chunk({"content": "a"}), never])
    await register(client, stub.url)
    running = asyncio.ensure_future(client.post(PATH, json=chat_body("mine/m")))
    while not stub.asked:
        await asyncio.sleep(0.01)
    running.cancel()
    async with asyncio.timeout(5):
        await stub.left.wait()


async def test_disabled_and_unknown_providers(client: httpx.AsyncClient, stub: PlainStub) -> None:
    await register(client, stub.url, enabled=False)
    for model in ("mine/m", "nobody/m"):
        answer = await client.post(PATH, json=chat_body(model))
        assert answer.status_code == 404
        assert "echo" in answer.json()["error"]["message"]
    await client.patch(f"{PROVIDERS}/mine", json={"enabled": True})
    stub.answer = lambda _: told_events(chat_events("hello"))
    assert (await client.post(PATH, json=chat_body("mine/m"))).status_code == 200
