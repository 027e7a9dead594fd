"""Budgets of tokens: work is refused before it starts, in every dialect's shape."""

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from serve_app.access.budgets import Budgets
from serve_app.api.context import Context
from serve_app.core.errors import Unavailable
from serve_app.core.prices import Pricing
from serve_app.metering.usage_meter import UsageMeter
from tests.api.conftest import MakeContext, client_of
from tests.api.test_transcriptions import WAV

TOKENS = "/admin/api/tokens"
ENVIRONMENT = {"API_TOKENS": "sk-free", "ADMIN_TOKEN": "sk-boss"}
BOSS = {"Authorization": "Bearer sk-boss"}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}
IMAGE = {"prompt": "a boat", "n": 2, "size": "64x64"}
VIDEO = {"prompt": "a boat", "width": 64, "height": 48, "num_frames": 9, "fps": 4}
DAY_S = 86_400


class Clock:
    """Noon of the second last day of January."""

    now = datetime(2026, 1, 30, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


class Ticks:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(make_context: MakeContext, clock: Clock) -> Context:
    context = make_context(
        environment=ENVIRONMENT,
        auth={"required": True},
        limits={"rates": None},
        pipelines=[{"name": "video-generation"}],
        usage={"prices": [{"model": "echo", "prompt_tokens": 250_000}]},
    )
    context.meter.clock = clock
    return context


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client
        await context.access.credentials.finish()


async def token_with(client: httpx.AsyncClient, **budget: Any) -> dict[str, str]:
    answer = await client.post(TOKENS, json={"name": "x", "budget": budget}, headers=BOSS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["budget"] == budget
    return {"Authorization": f"Bearer {answer.json()['token']}", "id": str(answer.json()["id"])}


async def chat(client: httpx.AsyncClient, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=CHAT | body, headers=headers)


def refused(answer: httpx.Response, *parts: str) -> None:
    assert answer.status_code == 429, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "insufficient_quota")
    for part in parts:
        assert part in error["message"]
    assert answer.headers["x-should-retry"] == "false"


async def speak(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    body = {"model": "hum", "input": "x" * 20}
    return await client.post("/v1/audio/speech", json=body, headers=headers)


async def transcribe(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", WAV)}, headers=headers
    )


async def generate_images(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post("/v1/images/generations", json=IMAGE, headers=headers)


async def generate_video(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post("/v1/video/generations", json=VIDEO, headers=headers)


@pytest.mark.parametrize(
    ("limits", "work", "told"),
    [
        ({"tokens": 4}, chat, "4 of 4 tokens this day"),
        ({"prompt_tokens": 2}, chat, "2 of 2 prompt tokens this day"),
        ({"completion_tokens": 1}, chat, "2 of 1 completion tokens this day"),
        ({"requests": 1}, chat, "1 of 1 requests this day"),
        ({"cost": 0.5}, chat, "0.5 of 0.5 USD this day"),
        ({"images": 2}, generate_images, "2 of 2 images this day"),
        ({"audio_seconds": 1.0}, speak, "1 of 1 audio seconds this day"),
        ({"audio_seconds": 2.5}, transcribe, "3 of 2.5 audio seconds this day"),
        ({"video_seconds": 2.0}, generate_video, "2.25 of 2 video seconds this day"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_every_unit_is_enforced(
    client: httpx.AsyncClient, context: Context, limits: dict[str, float], work: Any, told: str
) -> None:
    headers = await token_with(client, day=limits)
    assert (await work(client, headers)).status_code == 200
    # What a job has used is seen by the next look, which need not be waited for here.
    await context.meter.look({int(headers["id"])})
    answer = await work(client, headers)
    refused(answer, told, "it resets at 2026-01-31T00:00:00Z")
    assert answer.headers["retry-after"] == str(DAY_S // 2)


async def test_day_and_month_end(client: httpx.AsyncClient, clock: Clock) -> None:
    headers = await token_with(client, day={"tokens": 4}, month={"tokens": 8})
    assert (await chat(client, headers)).status_code == 200
    refused(await chat(client, headers), "this day", "2026-01-31T00:00:00Z")
    clock.now += DAY_S
    assert (await chat(client, headers)).status_code == 200
    refused(await chat(client, headers), "8 of 8 tokens this month", "2026-02-01T00:00:00Z")
    clock.now += DAY_S
    assert (await chat(client, headers)).status_code == 200


async def test_a_change_takes_effect_at_once(client: httpx.AsyncClient) -> None:
    headers = await token_with(client, day={"tokens": 4})
    path = f"{TOKENS}/{headers['id']}"
    assert (await chat(client, headers)).status_code == 200
    refused(await chat(client, headers))
    for budget, shown, status in (
        ({"day": {"tokens": 5}}, {"day": {"tokens": 5}}, 200),
        ({"day": {"tokens": 5}}, {"day": {"tokens": 5}}, 429),
        ({}, None, 200),
        ({"day": None, "month": {"cost": 0}}, {"month": {"cost": 0.0}}, 429),
        ({"day": {}}, None, 200),
    ):
        answer = await client.patch(path, json={"budget": budget}, headers=BOSS)
        assert answer.json()["budget"] == shown
        listed = (await client.get(TOKENS, headers=BOSS)).json()
        assert listed[-1]["budget"] == shown
        assert (await chat(client, headers)).status_code == status, budget


async def test_tokens_without_a_budget_and_reading_are_not_limited(
    client: httpx.AsyncClient,
) -> None:
    headers = await token_with(client, day={"requests": 0})
    refused(await chat(client, headers, stream=True))
    refused(await chat(client, headers, **{"async": True}))
    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    assert (await client.get("/v1/jobs", headers=headers)).status_code == 200
    assert (await chat(client, {"Authorization": "Bearer sk-free"})).status_code == 200


@pytest.mark.parametrize(
    ("budget", "param"),
    [
        ({"day": {"tokens": -1}}, "budget.day.tokens"),
        ({"day": {"tokens": 1.5}}, "budget.day.tokens"),
        ({"day": {"tokens": "5"}}, "budget.day.tokens"),
        ({"month": {"cost": "NaN"}}, "budget.month.cost"),
        ({"month": {"dollars": 5}}, "budget.month.dollars"),
        ({"week": {"tokens": 5}}, "budget.week"),
        ({"day": 5}, "budget.day"),
        (5, "budget"),
    ],
)
async def test_bad_budgets(client: httpx.AsyncClient, budget: Any, param: str) -> None:
    for answer in (
        await client.post(TOKENS, json={"name": "x", "budget": budget}, headers=BOSS),
        await client.patch(f"{TOKENS}/1", json={"budget": budget}, headers=BOSS),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param


async def test_changing_what_is_not_there(client: httpx.AsyncClient) -> None:
    assert (await client.patch(f"{TOKENS}/1", json={}, headers=BOSS)).status_code == 400
    nothing = {"budget": None}
    assert (await client.patch(f"{TOKENS}/1", json=nothing, headers=BOSS)).status_code == 400
    body = {"budget": {"day": {"tokens": 1}}}
    assert (await client.patch(f"{TOKENS}/99", json=body, headers=BOSS)).status_code == 404
    assert (await client.patch(f"{TOKENS}/x", json=body, headers=BOSS)).status_code == 404
    free = {"Authorization": "Bearer sk-free"}
    assert (await client.patch(f"{TOKENS}/1", json=body, headers=free)).status_code == 403
    # Tokens of the environment may have one too.
    assert (await client.patch(f"{TOKENS}/1", json=body, headers=BOSS)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "code_at", "code"),
    [
        ("/v1/embeddings", {"model": "digest", "input": "a"}, "error.code", "insufficient_quota"),
        ("/completion", {"prompt": "a"}, "error.code", "rate_limit_exceeded"),
        ("/sdapi/v1/txt2img", {"prompt": "a"}, "error", "insufficient_quota"),
        (
            "/api/OpenAiChatCompletion",
            CHAT,
            "responseStatus.errorCode",
            "TooManyRequests",
        ),
        (
            "/api/TextToImage",
            {"positivePrompt": "a"},
            "responseStatus.errorCode",
            "TooManyRequests",
        ),
    ],
)
async def test_every_dialect_refuses_in_its_own_shape(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], code_at: str, code: str
) -> None:
    headers = await token_with(client, month={"requests": 0})
    answer = await client.post(path, json=body, headers=headers)
    assert answer.status_code == 429, answer.text
    found: Any = answer.json()
    for part in code_at.split("."):
        found = found[part]
    assert found == code
    assert "0 of 0 requests this month; it resets at 2026-02-01T00:00:00Z" in answer.text
    assert answer.headers["retry-after"] == str(DAY_S * 3 // 2)


async def test_what_another_replica_counts_is_seen_within_seconds(
    client: httpx.AsyncClient, context: Context, make_context: MakeContext, clock: Clock
) -> None:
    """The overshoot is what others have served since the last look."""
    other = make_context(environment=ENVIRONMENT, auth={"required": True}, limits={"rates": None})
    other.meter.clock = clock
    ticks = Ticks()
    headers = await token_with(client, day={"tokens": 8})
    looking = replace(context, budgets=Budgets(context.meter, currency="USD", ticks=ticks))
    async with client_of(looking) as here, client_of(other) as there:
        assert (await chat(here, headers)).status_code == 200
        assert (await chat(there, headers)).status_code == 200
        await other.meter.flush()
        assert (await chat(here, headers)).status_code == 200
        ticks.now += 4.0
        refused(await chat(here, headers), "12 of 8 tokens")
        await other.access.credentials.finish()


class AwayMeter(UsageMeter):
    """One whose database can go away."""

    is_away = False

    async def look(self, tokens: Collection[int]) -> None:
        if self.is_away:
            raise Unavailable("the database does not respond", retry_after_s=5)
        await super().look(tokens)


async def test_while_the_database_is_away_what_is_known_stays_in_force(
    client: httpx.AsyncClient, context: Context
) -> None:
    ticks, meter = Ticks(), AwayMeter(context.database, Pricing(()))
    budgets = Budgets(meter, currency="USD", ticks=ticks)
    known = await token_with(client, day={"tokens": 8})
    unknown = await token_with(client, day={"tokens": 8})
    async with client_of(replace(context, meter=meter, budgets=budgets)) as here:
        assert (await chat(here, known)).status_code == 200
        meter.is_away = True
        ticks.now += 60
        assert (await chat(here, known)).status_code == 200
        refused(await chat(here, known), "8 of 8 tokens")
        answer = await chat(here, unknown)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
