"""/metrics, /admin/api/metrics, the access log and captured payloads."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_app.api.app import create_app
from serve_app.api.context import Context
from serve_app.core.errors import QueueFull
from serve_app.observability.observability import Observability
from serve_app.observability.settings import from_environment
from serve_app.observability.sharing import SharedCounts, forget_counts
from tests.api.conftest import MakeContext, client_of

CHAT = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
ADMIN = {"Authorization": "Bearer sk-admin"}
ONE = {"Authorization": "Bearer sk-one"}
TOKENS = {"ADMIN_TOKEN": "sk-admin", "API_TOKENS": "sk-one"}
HISTOGRAM = [
    "<=10",
    "<=25",
    "<=50",
    "<=100",
    "<=250",
    "<=500",
    "<=1000",
    "<=2500",
    "<=5000",
    "<=10000",
    "<=30000",
    "<=60000",
    ">60000",
]
MakeObserved = Callable[..., Context]


@pytest.fixture
def make_observed(make_context: MakeContext, tmp_path: Path) -> Iterator[MakeObserved]:
    """A context that counts and logs into the test's directory; `environment` has OBS_ names."""
    made: list[Observability] = []

    def make(
        environment: dict[str, str] | None = None, *, is_shared: bool = False, **sections: Any
    ) -> Context:
        sections = {"auth": {"required": True}, "limits": {"rates": None}} | sections
        context = make_context(environment=TOKENS, **sections)
        observability = Observability(
            from_environment(environment or {}, tmp_path),
            shared=SharedCounts(context.database) if is_shared else None,
        )
        made.append(observability)
        return replace(context, observability=observability)

    yield make
    for observability in made:
        observability.close()


@pytest.fixture
def context(make_observed: MakeObserved) -> Context:
    return make_observed()


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's."""
    async with client_of(context) as client:
        client.headers.update(ADMIN)
        yield client


async def category(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await client.get("/admin/api/metrics")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["categories"][name]
    return found


async def scraped(client: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name.removeprefix("polyphony_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def lines(context: Context) -> list[dict[str, Any]]:
    """The access log, when everything is written."""
    context.observability.close()
    files = sorted(context.observability.settings.log_dir.glob("*"))
    assert all(re.fullmatch(r"access-\d{4}-\d\d-\d\d\.jsonl", file.name) for file in files)
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.covers("aistack: the page that shows what the server does")
async def test_metrics_have_every_documented_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/api/metrics")).json()["categories"] == {}
    assert (await client.post(CHAT, json=HELLO)).status_code == 200
    body = (await client.get("/admin/api/metrics")).json()
    assert set(body) == {"uptime_sec", "window_sec", "categories"}
    assert body["window_sec"] == 3600
    (name, llm), *others = body["categories"].items()
    assert (name, others) == ("llm", [])
    latency = llm["latency_ms"]
    assert list(latency["histogram"]) == HISTOGRAM
    assert sum(latency["histogram"].values()) == latency["samples"] == 1
    assert 0 < latency["p50"] == latency["p95"] == latency["p99"] <= latency["max"]
    assert llm["slot_wait_ms"] == {"p50": None, "p95": None, "p99": None, "samples": 0}
    (entry,) = llm["recent"]
    assert set(entry) == {
        *("ts", "request_id", "status", "class", "latency_ms", "slot_wait_ms", "extra")
    }
    assert entry["extra"] == {"message_count": 1, "stream": False}
    counts = {key: llm[key] for key in ("total", "error_count", "slot_503", "disconnected")}
    assert counts == {"total": 1, "error_count": 0, "slot_503": 0, "disconnected": 0}
    assert llm["error_rate"] == 0
    assert llm["throughput_per_min"] == 1


class Busy:
    """A family whose queue is full."""

    def chat(self, request: object) -> AsyncIterator[object]:
        raise QueueFull("too many wait", retry_after_s=5)


class Broken:
    """A family that fails."""

    def chat(self, request: object) -> AsyncIterator[object]:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("run", "body", "outcome", "is_busy"),
    [
        (None, {"messages": 5}, "4xx", 0),
        (None, {"model": "none"} | {"messages": HELLO["messages"]}, "4xx", 0),
        (Busy(), HELLO, "503-busy", 1),
        (Broken(), HELLO, "5xx", 0),
    ],
)
async def test_every_failure_is_in_one_class(
    make_observed: MakeObserved, run: Any, body: dict[str, Any], outcome: str, is_busy: int
) -> None:
    context = make_observed(runs={"chat": run} if run else {})
    async with client_of(context) as client:
        client.headers.update(ADMIN)
        await client.post(CHAT, json=body)
        await client.post(CHAT, json=HELLO | {"model": "org/eye"})
        llm = await category(client, "llm")
    empty = {"2xx": 0, "4xx": 0, "5xx": 0, "503-busy": 0, "client-disconnect": 0}
    assert llm["by_class"] == empty | {"2xx": 1} | {outcome: 1}
    assert (llm["total"], llm["error_count"], llm["error_rate"]) == (2, 1, 0.5)
    assert llm["slot_503"] == is_busy
    assert [entry["class"] for entry in llm["recent"]] == [outcome, "2xx"]


class Endless:
    """A family that speaks on until nobody listens."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def chat(self, request: object) -> AsyncIterator[object]:
        self.begun.set()
        await asyncio.sleep(60)
        yield


async def test_a_client_that_leaves_is_a_class_of_its_own(make_observed: MakeObserved) -> None:
    endless = Endless()
    context = make_observed(runs={"chat": endless})
    async with client_of(context) as client:
        client.headers.update(ADMIN)
        calling = asyncio.create_task(client.post(CHAT, json=HELLO))
        await endless.begun.wait()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        llm = await category(client, "llm")
    assert llm["by_class"]["client-disconnect"] == llm["disconnected"] == llm["total"] == 1
    assert llm["error_count"] == 0
    assert llm["recent"][0]["status"] == 499


async def test_recent_has_the_newest_fifty_and_total_all(client: httpx.AsyncClient) -> None:
    for number in range(53):
        await client.post(CHAT, json={}, headers={"X-Request-ID": f"r{number}"})
    llm = await category(client, "llm")
    assert llm["total"] == 53
    assert [entry["request_id"] for entry in llm["recent"]] == [f"r{n}" for n in range(3, 53)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/v1/health"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/echo"),
        ("GET", "/admin/api/users"),
        ("GET", "/admin"),
        ("GET", "/metrics"),
        ("OPTIONS", CHAT),
        ("POST", "/login"),
    ],
)
async def test_some_paths_are_not_counted(
    client: httpx.AsyncClient, context: Context, method: str, path: str
) -> None:
    await client.request(method, path)
    assert context.observability.tally.classes == {}


async def test_jobs_tell_how_long_they_waited_and_categories_are_those_of_the_work(
    client: httpx.AsyncClient,
) -> None:
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28)
    spoken = await client.post("/v1/audio/speech", json={"input": "x", "response_format": "url"})
    assert spoken.status_code == 200
    files = {"file": ("a.wav", wav)}
    written = await client.post("/v1/audio/transcriptions", files=files, data={"language": "en"})
    assert written.status_code == 200, written.text
    embedded = await client.post("/v1/embeddings", json={"model": "digest", "input": "x"})
    assert embedded.status_code == 200, embedded.text
    await client.get("/v1/jobs")
    body = (await client.get("/admin/api/metrics")).json()
    assert set(body["categories"]) == {"tts", "asr", "embedding"}
    for name in ("tts", "asr"):
        wait = body["categories"][name]["slot_wait_ms"]
        assert wait["samples"] == 1
        assert wait["p50"] >= 0
    extra = body["categories"]["asr"]["recent"][0]["extra"]
    seconds, rtf = extra.pop("audio_sec"), extra.pop("rtf")
    assert seconds > 0
    assert rtf > 0
    assert extra == {
        "request_audio_bytes": len(wav),
        "language": "en",
        "stream": False,
        "response_format": "json",
        "segment_granularity": None,
        "provider": "fake",
        "detected_language": "en",
    }


async def test_prometheus_text(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=HELLO)
    await client.post(CHAT, json=HELLO | {"stream": True})
    await client.post(CHAT, json={})
    await client.post("/v1/audio/speech", json={"input": "x", "response_format": "url"})
    found = await scraped(client)
    assert found["requests_total", ("llm", "200")] == 2
    assert found["requests_total", ("llm", "400")] == 1
    assert found["request_duration_seconds_count", ("llm",)] == 3
    assert found["request_duration_seconds_bucket", ("llm", "+Inf")] == 3
    assert found["first_token_seconds_count", ("llm",)] == 1
    assert found["queue_wait_seconds_count", ("tts",)] == 1
    assert found["tokens_total", ("completion", "echo")] == 6
    assert found["tokens_total", ("prompt", "echo")] > 0
    assert found["jobs", ("succeeded",)] == 1
    assert found["direct_requests", ()] == 0
    assert found["log_dropped_total", ()] == 0
    buckets = [v for (name, _), v in found.items() if name == "request_duration_seconds_bucket"]
    assert buckets == sorted(buckets[:13]) + sorted(buckets[13:])


async def test_the_state_of_models_is_scraped(make_observed: MakeObserved) -> None:
    from serve_app.core.status import ModelStatus

    status = ModelStatus(id="echo", state="ready", memory_mb=2.0, loads=3)
    async with client_of(make_observed(statuses={"echo": status})) as client:
        client.headers.update(ADMIN)
        found = await scraped(client)
    assert found["model_loaded", ("echo",)] == 1
    assert found["model_loads_total", ("echo",)] == 3
    assert found["model_memory_bytes", ("echo",)] == 2 * 1024**2


async def test_a_database_that_is_away_hides_only_what_is_in_it(
    client: httpx.AsyncClient, context: Context
) -> None:
    await client.post(CHAT, json={})
    context.database.engine.dispose()
    file = Path(str(context.database.engine.url.database))
    with open(file, "r+b") as database:
        database.write(b"this is no database any more" * 200)
    for name in ("-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert 'requests_total{class="llm",status="400"} 1.0' in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/admin/api/metrics"])
async def test_metrics_are_the_administrators(context: Context, path: str) -> None:
    async with client_of(context) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=ONE)).status_code == 403
        assert (await client.get(path, headers=ADMIN)).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("10.1.2.3", None, 200),
        ("10.2.0.1", None, 401),
        ("10.2.0.1", "10.1.2.3", 401),
        ("10.9.9.9", "10.1.2.3", 200),
        ("10.9.9.9", "10.1.2.3, 8.8.8.8", 401),
    ],
)
async def test_a_listed_scraper_needs_no_credential(
    make_observed: MakeObserved, peer: str, forwarded: str | None, status: int
) -> None:
    context = make_observed(
        metrics={"allow_from": ["10.1.0.0/16"]}, server={"trusted_proxies": ["10.9.9.9"]}
    )
    transport = httpx.ASGITransport(create_app(context), client=(peer, 1))
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://own.example") as client:
        assert (await client.get("/metrics", headers=headers)).status_code == status
        assert (await client.get("/admin/api/metrics", headers=headers)).status_code == 401


async def test_the_access_log_has_a_line_per_request(
    client: httpx.AsyncClient, context: Context
) -> None:
    headers = {"X-Request-ID": "mine"} | ONE
    await client.post(CHAT, json=HELLO | {"stream": True}, headers=headers)
    await client.get("/v1/jobs?limit=3&api_key=sk-0123456789abcdef&q=%73k-0123456789&after=x")
    await client.get("/admin/api/users")
    await client.get("/healthz")
    chat, jobs, users = lines(context)
    assert set(chat) == {
        *("ts", "request_id", "method", "path", "query", "status", "category", "model"),
        *("latency_ms", "slot_wait_ms", "client", "token_id", "extra"),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", chat["ts"])
    assert (chat["request_id"], chat["method"], chat["path"]) == ("mine", "POST", CHAT)
    assert (chat["status"], chat["category"], chat["model"]) == (200, "llm", "echo")
    assert chat["client"] == "127.0.0.1"
    assert re.fullmatch(r"[0-9a-f]{12}", chat["token_id"])
    assert chat["extra"]["message_count"] == 1
    assert chat["extra"]["stream"] is True
    assert chat["extra"]["first_ms"] <= chat["latency_ms"]
    assert chat["extra"]["completion_tokens"] == 3
    assert jobs["query"] == "limit=3&api_key=***&q=***&after=x"
    assert jobs["category"] is None
    assert users["path"] == "/admin/api/users"


async def test_the_log_is_whole_when_the_server_has_ended(make_observed: MakeObserved) -> None:
    context = make_observed()
    app = create_app(context)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://own.example") as client,
    ):
        await client.post(CHAT, json=HELLO, headers=ONE)
    logs = context.observability.settings.log_dir.iterdir()
    assert [json.loads(line)["path"] for log in logs for line in log.read_text().splitlines()] == [
        CHAT
    ]


async def test_no_credential_reaches_the_log(client: httpx.AsyncClient, context: Context) -> None:
    secret = "sk-thisisasecret0123456789"
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Api-Key": secret}):
        await client.get(f"/v1/jobs?token={secret}&x={secret}&{secret}", headers=headers)
    await client.post("/login", data={"username": "ada", "password": secret})
    assert len(lines(context)) == 3
    for file in context.observability.settings.log_dir.iterdir():
        assert secret not in file.read_text()


async def test_strange_paths_cannot_break_a_line(
    client: httpx.AsyncClient, context: Context
) -> None:
    for path in ("/v1/%0a%0d%22", "/v1/%e2%80%a8%ff", "/v1/" + "x" * 9000):
        await client.get(path)
    assert [line["path"][:4] for line in lines(context)] == ["/v1/"] * 3


async def test_payloads_are_captured_when_asked_for(make_observed: MakeObserved) -> None:
    context = make_observed({"OBS_PAYLOAD": "1"})
    async with client_of(context) as client:
        client.headers.update(ADMIN | {"Cookie": "session_8000=secretcookie"})
        for _ in range(2):
            answer = await client.post(
                CHAT, json=HELLO | {"stream": True}, headers={"X-Request-ID": "one"}
            )
        await client.post("/admin/api/login", json={"username": "ada", "password": "secret"})
        await client.get("/v1/models")
        context.observability.close()
        folder = context.observability.settings.payload_dir
        assert sorted(entry.name for entry in folder.iterdir()) == ["one", "one~2"]
        one = folder / "one~2"
        assert json.loads((one / "request.bin").read_bytes()) == HELLO | {"stream": True}
        assert (one / "response.bin").read_bytes() == answer.content
        text = (one / "meta.json").read_text()
        meta = json.loads(text)
        assert meta["status"] == 200
        assert meta["response_bytes"] == len(answer.content)
        assert meta["response_is_whole"] is True
        assert ["authorization", "***"] in meta["request_headers"]
        assert "sk-admin" not in text
        assert "secretcookie" not in text
        cleared = await client.post("/admin/api/observability/clear-payload")
        assert cleared.json() == {"deleted": 2}
        assert list(folder.iterdir()) == []
        again = await client.post("/admin/api/observability/clear-payload")
        assert again.json() == {"deleted": 0}


async def test_a_captured_answer_has_a_largest_size(make_observed: MakeObserved) -> None:
    context = make_observed({"OBS_PAYLOAD": "1", "OBS_PAYLOAD_RESP_MAX_MB": "0.0001"})
    async with client_of(context) as client:
        answer = await client.post(CHAT, json=HELLO, headers={"X-Request-ID": "one"} | ADMIN)
    context.observability.close()
    one = context.observability.settings.payload_dir / "one"
    assert (one / "response.bin").read_bytes() == answer.content[:104]
    meta = json.loads((one / "meta.json").read_text())
    assert (meta["response_is_whole"], meta["response_bytes"]) == (False, len(answer.content))


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("1", True), ("on", True), ("true", True), ("yes", True), ("y", True), ("TRUE", True)]
    + [(value, False) for value in ("0", "off", "false", "no", "whatever", "")],
)
async def test_switches_by_form(client: httpx.AsyncClient, value: str, is_on: bool) -> None:
    answer = await client.post(
        "/admin/api/observability/toggle", data={"key": "payload", "value": value}
    )
    assert (answer.status_code, answer.json()) == (200, {"key": "payload", "value": is_on})


@pytest.mark.parametrize(
    ("value", "is_on"), [(True, True), (1, True), ("on", True), (False, False), (None, False)]
)
async def test_switches_by_json(client: httpx.AsyncClient, value: Any, is_on: bool) -> None:
    body = {"key": "access_log", "value": value}
    answer = await client.post("/admin/api/observability/toggle", json=body)
    assert (answer.status_code, answer.json()) == (200, {"key": "access_log", "value": is_on})


@pytest.mark.parametrize("body", [{}, {"key": "logs"}, {"key": ["metrics"]}, {"key": None}, []])
async def test_wrong_switches(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/admin/api/observability/toggle", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == ("key" if isinstance(body, dict) else None)


async def test_what_is_switched_off_is_not_recorded(
    client: httpx.AsyncClient, context: Context
) -> None:
    for key in ("metrics", "access_log"):
        await client.post("/admin/api/observability/toggle", json={"key": key, "value": "off"})
    await client.post(CHAT, json=HELLO)
    assert (await client.get("/admin/api/metrics")).json()["categories"] == {}
    assert [line["path"] for line in lines(context)] == ["/admin/api/observability/toggle"]


@pytest.mark.parametrize("path", ["toggle", "clear-payload"])
async def test_only_an_admin_switches(context: Context, path: str) -> None:
    async with client_of(context) as client:
        url = f"/admin/api/observability/{path}"
        assert (await client.post(url)).status_code == 401
        assert (await client.post(url, headers=ONE)).status_code == 403


async def test_replicas_add_up_what_they_count(
    make_observed: MakeObserved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.observability.observability.TELL_EVERY_S", 0.01)
    one, two = (make_observed(is_shared=True) for _ in range(2))
    async with client_of(one) as here, client_of(two) as there:
        for client in (here, there):
            client.headers.update(ADMIN)
        await here.post(CHAT, json=HELLO)
        await there.post(CHAT, json=HELLO)
        await there.post(CHAT, json={})

        async def until(client: httpx.AsyncClient, total: int) -> dict[str, Any]:
            async with asyncio.timeout(60):
                while True:
                    categories = (await client.get("/admin/api/metrics")).json()["categories"]
                    if categories and categories["llm"]["total"] == total:
                        llm: dict[str, Any] = categories["llm"]
                        return llm
                    await asyncio.sleep(0.01)

        for client in (here, there):
            llm = await until(client, 3)
            assert llm["by_class"]["2xx"] == 2
            assert llm["latency_ms"]["samples"] == 3
            assert len(llm["recent"]) == 3
        assert (await scraped(here))["requests_total", ("llm", "200")] == 2
        await here.post("/admin/api/observability/toggle", json={"key": "metrics", "value": "off"})
        async with asyncio.timeout(60):
            while two.observability.switches["metrics"]:
                await there.post(CHAT, json={})
                await asyncio.sleep(0.01)
        # A replica that takes the place of another counts on from what that one has told.
        fresh = make_observed(is_shared=True)
        async with client_of(fresh) as client:
            client.headers.update(ADMIN)
            assert (await category(client, "llm"))["total"] >= 3
            await fresh.database.write(forget_counts)
            assert (await client.get("/admin/api/metrics")).json()["categories"] == {}


async def test_a_disk_that_is_full_harms_no_request(
    make_observed: MakeObserved, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the directory should be")
    context = make_observed({"OBS_LOG_DIR": str(blocked / "logs"), "OBS_PAYLOAD": "1"})
    async with client_of(context) as client:
        client.headers.update(ADMIN)
        assert (await client.post(CHAT, json=HELLO)).status_code == 200
        context.observability.close()
        assert (await client.post(CHAT, json=HELLO)).status_code == 200
    assert os.path.isfile(blocked)


async def test_a_replica_that_begins_takes_over_what_was_switched(
    make_observed: MakeObserved, tmp_path: Path
) -> None:
    context = make_observed({"OBS_PAYLOAD": "1"}, is_shared=True)
    await context.observability.throw("payload", False)
    later = Observability(
        from_environment({"OBS_PAYLOAD": "1"}, tmp_path), shared=SharedCounts(context.database)
    )
    assert later.switches["payload"]
    later.start()
    async with asyncio.timeout(60):
        while later.switches["payload"]:
            await asyncio.sleep(0.01)
    later.close()
