"""429, its headers, and who is counted."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import error_lines
from tests.api.conftest import MakeContext, client_of

ENVIRONMENT = {"API_TOKENS": "sk-one,sk-two", "ADMIN_TOKEN": "sk-boss"}
ONE = {"Authorization": "Bearer sk-one"}
TWO = {"Authorization": "Bearer sk-two"}
BOSS = {"Authorization": "Bearer sk-boss"}
NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


def limited(make_context: MakeContext, **rates: Any) -> httpx.AsyncClient:
    return client_of(
        make_context(
            auth={"required": True},
            environment=ENVIRONMENT,
            limits={"rates": {"inference": rates}},
        )
    )


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """Three requests a minute, one at a time."""
    rate = {"requests_per_minute": 3, "concurrent": 1}
    async with limited(make_context, default=rate) as client:
        yield client


async def test_the_headers_count_down_and_the_fourth_is_refused(client: httpx.AsyncClient) -> None:
    begun = time.time()
    answers = [await client.get("/v1/models", headers=ONE) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-limit"] for answer in answers] == ["3"] * 4
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    (reset,) = {int(answer.headers["x-ratelimit-reset"]) for answer in answers}
    assert begun < reset <= time.time() + 61
    error = answers[3].json()["error"]
    assert (error["code"], error["type"], error["kind"]) == (
        "rate_limit_exceeded",
        "rate_limit_error",
        "network",
    )
    assert 1 <= int(answers[3].headers["retry-after"]) <= 61


async def test_each_token_has_a_rate_of_its_own(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        last = await client.get("/v1/models", headers=ONE)
    assert last.status_code == 429
    other = await client.get("/v1/models", headers={"X-Api-Key": "sk-two"})
    assert (other.status_code, other.headers["x-ratelimit-remaining"]) == (200, "2")
    boss = await client.get("/v1/models", headers=BOSS)
    assert boss.headers["x-ratelimit-limit"] == "60"


async def test_the_carrier_makes_no_difference(client: httpx.AsyncClient) -> None:
    remaining = [
        (await client.get("/v1/models", headers=headers)).headers["x-ratelimit-remaining"]
        for headers in (ONE, {"X-Api-Key": "sk-one"}, {"Coder-Session-Token": "sk-one"})
    ]
    assert remaining == ["2", "1", "0"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models/nobody", 404),
        ("POST", "/v1/chat/completions", 400),
        ("GET", "/admin/api/tokens", 403),
        ("GET", "/v1/files/nothing.png", 404),
    ],
)
async def test_errors_of_known_callers_carry_the_headers(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path, headers=ONE)
    assert answer.status_code == status
    assert all(name in answer.headers for name in NAMES)


async def test_streams_carry_the_headers_and_are_under_way_until_their_end(
    client: httpx.AsyncClient,
) -> None:
    async with client.stream(
        "POST", "/v1/chat/completions", json=CHAT | {"stream": True}, headers=ONE
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-remaining"] == "2"
        await answer.aread()
    assert (await client.get("/v1/models", headers=ONE)).status_code == 200


async def test_one_too_many_at_once_is_refused_and_the_place_is_given_back(
    make_context: MakeContext,
) -> None:
    rate = {"requests_per_minute": 100, "concurrent": 2}
    async with limited(make_context, default=rate) as client:

        async def chat() -> httpx.Response:
            return await client.post("/v1/chat/completions", json=CHAT, headers=ONE)

        for _ in range(3):
            answers = await asyncio.gather(*(chat() for _ in range(8)))
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses[:2] == [200, 200]
            assert set(statuses) <= {200, 429}
            for answer in answers:
                if answer.status_code == 429:
                    assert answer.headers["retry-after"] == "1"
                    assert "are running" in answer.json()["error"]["message"]
            assert (await chat()).status_code == 200


async def test_failed_requests_give_their_place_back(make_context: MakeContext) -> None:
    rate = {"requests_per_minute": 100, "concurrent": 1}
    async with limited(make_context, default=rate) as client:
        for path in ("/nowhere", "/admin/api/tokens", "/v1/models/nobody") * 5:
            assert (await client.get(path, headers=ONE)).status_code in (403, 404)


async def test_classes_have_rates_of_their_own(make_context: MakeContext) -> None:
    async with limited(
        make_context,
        default={"requests_per_minute": 1},
        embeddings={"requests_per_minute": 2},
        read={"requests_per_minute": 3},
    ) as client:
        limits = [
            (await client.get(path, headers=ONE)).headers["x-ratelimit-limit"]
            for path in ("/v1/models", "/v1/embeddings", "/v1/rerank", "/v1/files/x", "/v1/jobs/x")
        ]
        assert limits == ["1", "2", "2", "3", "3"]
        assert (await client.get("/v1/models", headers=ONE)).status_code == 429
        assert (await client.get("/v1/files/x", headers=ONE)).status_code == 404


async def test_open_routes_and_unknown_callers_are_not_counted(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        answer = await client.get("/v1/health", headers=ONE)
        assert answer.status_code == 200
        assert not any(name in answer.headers for name in NAMES)
        answer = await client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
        assert answer.status_code == 401
        assert not any(name in answer.headers for name in NAMES)
    assert (await client.get("/v1/models", headers=ONE)).headers["x-ratelimit-remaining"] == "2"


async def test_anonymous_calls_are_not_limited(make_context: MakeContext) -> None:
    rates = {"inference": {"default": {"requests_per_minute": 1, "concurrent": 1}}}
    async with client_of(make_context(limits={"rates": rates})) as client:
        for _ in range(5):
            answer = await client.get("/v1/models", headers={"Authorization": "Bearer any"})
            assert answer.status_code == 200
            assert not any(name in answer.headers for name in NAMES)


async def test_a_signed_in_user_is_counted_over_all_their_browsers(
    make_context: MakeContext,
) -> None:
    context = make_context(environment={"ADMIN_PASSWORD": "correct horse"})
    remaining = []
    for _ in range(2):
        async with client_of(context) as client:
            body = {"username": "admin", "password": "correct horse"}
            await client.post("/admin/api/login", json=body)
            answer = await client.get("/v1/models")
            remaining.append(answer.headers["x-ratelimit-remaining"])
    assert remaining == ["59", "58"]


async def test_the_defaults_of_the_contract(make_context: MakeContext) -> None:
    async with limited(make_context) as client:
        limits = [
            (await client.get(path, headers=ONE)).headers["x-ratelimit-limit"]
            for path in ("/v1/models", "/v1/embeddings", "/v1/files/x")
        ]
    assert limits == ["60", "1200", "600"]


async def test_two_replicas_over_one_redis_count_together(
    make_context: MakeContext, redis_url: str
) -> None:
    rates = {"inference": {"default": {"requests_per_minute": 4}}}
    limits = {"storage_url": redis_url, "rates": rates}
    contexts = [
        make_context(
            auth={"required": True},
            environment={"API_TOKENS": "sk-shared", "ADMIN_TOKEN": "sk-boss"},
            limits=limits,
            ingress={"min_replicas": 2, "max_replicas": 2},
        )
        for _ in range(2)
    ]
    statuses = []
    async with client_of(contexts[0]) as first, client_of(contexts[1]) as second:
        for client in (first, second) * 3:
            answer = await client.get("/v1/models", headers={"X-Api-Key": "sk-shared"})
            statuses.append((answer.status_code, answer.headers["x-ratelimit-remaining"]))
    for context in contexts:
        assert context.access.rates is not None
        await context.access.rates.close()
    assert statuses == [(200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0"), (429, "0")]


async def test_a_storage_that_is_down_is_503(make_context: MakeContext) -> None:
    context = make_context(
        auth={"required": True},
        environment=ENVIRONMENT,
        limits={"storage_url": "redis://127.0.0.1:1/0"},
    )
    async with client_of(context) as client:
        answer = await client.get("/v1/models", headers=ONE)
        assert answer.status_code == 503
        assert "limits.storage_url" in answer.json()["error"]["message"]
        assert "127.0.0.1" not in answer.text
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/v1/health")).status_code == 200


def test_several_ingress_replicas_without_a_shared_storage_are_refused() -> None:
    replicas = {"min_replicas": 1, "max_replicas": 2}
    with pytest.raises(ValidationError) as caught:
        AppConfig.model_validate({"ingress": replicas})
    (line,) = error_lines(caught.value)
    assert line.startswith(
        "limits.storage_url: a redis:// URL is needed while ingress.max_replicas"
    )
    for sections in (
        {"limits": {"storage_url": "redis://h:6379/0"}},
        {"limits": {"rates": None}},
        {"auth": {"required": False}},
    ):
        AppConfig.model_validate({"ingress": replicas} | sections)


def test_rates_are_counted_only_where_they_are_counted_once() -> None:
    several = {"auth": {"required": False}, "ingress": {"max_replicas": 2}}
    assert not AppConfig.model_validate(several).counts_rates
    assert AppConfig().counts_rates
