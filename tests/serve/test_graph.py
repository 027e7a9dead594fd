"""Requests find their family through the real proxy, ingress and handles."""

import asyncio
import json
from pathlib import Path

import httpx

from tests.serve.conftest import ADMIN_TOKEN, CAUSE, LOAD_WAIT_S, said


async def test_every_modality_answers_and_scaled_down_families_start(
    http: httpx.AsyncClient,
) -> None:
    chat, vectors, order, audio = await asyncio.gather(
        http.post("/v1/chat/completions", json=said("hello there")),
        http.post("/v1/embeddings", json={"model": "vectors", "input": ["a", "b", "a"]}),
        http.post(
            "/v1/rerank",
            json={"model": "order", "query": "red", "documents": ["blue", "red"]},
        ),
        http.post("/v1/audio/speech", json={"model": "voice", "input": "hum"}),
    )
    assert chat.json()["choices"][0]["message"]["content"] == "hello there"
    data = vectors.json()["data"]
    assert data[0]["embedding"] == data[2]["embedding"] != data[1]["embedding"]
    assert [result["index"] for result in order.json()["results"]] == [1, 0]
    assert audio.status_code == 200
    assert audio.headers["content-type"].startswith("audio/mpeg")


async def test_stream_has_the_same_text_as_the_whole_answer(http: httpx.AsyncClient) -> None:
    text = " ".join(f"word{number}" for number in range(50))
    streamed, frames = "", []
    async with http.stream(
        "POST", "/v1/chat/completions", json=said(text, stream=True)
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        async for line in response.aiter_lines():
            if line:
                frames.append(line.removeprefix("data: "))
    assert frames.pop() == "[DONE]"
    for frame in frames:
        for choice in json.loads(frame)["choices"]:
            streamed += choice["delta"].get("content") or ""
    assert streamed == text


async def test_two_ingress_replicas_answer_alike(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.get("/v1/models") for _ in range(16)))
    listings = {json.dumps([m["id"] for m in answer.json()["data"]]) for answer in answers}
    assert len(listings) == 1


async def test_both_replicas_know_how_a_call_to_one_of_them_ended(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", json=said("hello"))
    path = f"/v1/jobs/{answer.headers['x-job-id']}"
    for _ in range(40):
        found = await asyncio.gather(*(http.get(path) for _ in range(16)))
        if all(each.status_code == 200 for each in found):
            break
        await asyncio.sleep(0.25)
    assert {each.json().get("status") for each in found} == {"succeeded"}


async def test_a_model_that_is_missing_is_listed_with_its_cause(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", json=said("hi", "broken"))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.json()["error"]["message"] == CAUSE
    assert answer.headers["x-should-retry"] == "false"
    listed = (await http.get("/v1/models/broken")).json()
    assert listed["loaded"] is False
    assert listed["status"] == {"state": "failed", "cause": CAUSE}


async def test_a_slow_load_is_said_and_then_works(http: httpx.AsyncClient) -> None:
    early = await http.post("/v1/chat/completions", json=said("hi", "lazy"))
    assert early.status_code == 503
    assert early.json()["error"]["code"] == "model_not_ready"
    assert int(early.headers["retry-after"]) >= 1
    for _ in range(20):
        answer = await http.post("/v1/chat/completions", json=said("hi", "lazy"))
        if answer.status_code == 200:
            break
        await asyncio.sleep(LOAD_WAIT_S / 3)
    assert answer.json()["choices"][0]["message"]["content"] == "hi"


async def test_a_family_of_several_models_loads_what_is_asked_for(
    http: httpx.AsyncClient,
) -> None:
    for name in ("one", "two", "three", "one"):
        answer = await http.post("/v1/chat/completions", json=said("hi", name))
        assert answer.json()["model"] == name
    states = {m["id"]: m.get("loaded") for m in (await http.get("/v1/models")).json()["data"]}
    assert states["three"]
    assert states["one"]
    assert not states["two"]


async def test_requests_find_the_replica_that_holds_their_model(
    http: httpx.AsyncClient, data_dir: Path
) -> None:
    """Two replicas with room for one model each: neither has to change it."""
    for _ in range(2):
        for name in ("left", "right"):
            answer = await http.post("/v1/chat/completions", json=said("hi", name))
            assert answer.status_code == 200, answer.text
        # Replicas announce what they hold about once a second.
        await asyncio.sleep(2)
    settled = (data_dir / "spread").read_text().splitlines()
    for _ in range(10):
        for name in ("left", "right"):
            answer = await http.post("/v1/chat/completions", json=said("hi", name))
            assert answer.status_code == 200, answer.text
    assert (data_dir / "spread").read_text().splitlines() == settled


async def test_a_model_that_one_of_two_replicas_holds_is_loaded(http: httpx.AsyncClient) -> None:
    """Whichever replica is asked first; and it is unloaded wherever it is."""
    boss = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    for name in ("left", "right"):
        assert (await http.post("/v1/chat/completions", json=said("hi", name))).is_success
        await asyncio.sleep(2)

    async def are_both_loaded() -> bool:
        models = (await http.get("/v1/models")).json()["data"]
        return {m["id"] for m in models if m.get("loaded")} >= {"left", "right"}

    # A list does not wait long for replicas that are busy, but tells what was known before.
    async with asyncio.timeout(90):
        in_turn = 0
        while in_turn < 8:
            in_turn = in_turn + 1 if await are_both_loaded() else 0
            await asyncio.sleep(0.2)
    for _ in range(6):
        await asyncio.sleep(1.1)
        assert await are_both_loaded()
    for name in ("left", "right"):
        answer = await http.post(f"/admin/api/models/{name}/unload", headers=boss)
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(90):
            while (await http.get(f"/v1/models/{name}")).json()["loaded"]:
                await asyncio.sleep(0.2)


async def test_a_model_is_loaded_and_unloaded_by_hand(http: httpx.AsyncClient) -> None:
    boss = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    async def is_loaded() -> bool:
        return bool((await http.get("/v1/models/three")).json()["loaded"])

    for verb, wanted in (("load", True), ("unload", False), ("load", True)):
        answer = await http.post(f"/admin/api/models/three/{verb}", headers=boss)
        assert (answer.status_code, answer.json()["id"]) == (202, "three")
        async with asyncio.timeout(90):
            while await is_loaded() != wanted:
                await asyncio.sleep(0.2)
    # The other replica of the ingress may know of it a moment later.
    async with asyncio.timeout(90):
        while True:
            status = (await http.get("/admin/api/status", headers=boss)).json()
            models = {model["id"]: model for model in status["models"]}
            if models["three"]["loaded"]:
                break
            await asyncio.sleep(0.2)
    assert models["echo"]["memory_mb"] is not None
    assert models["two"]["memory_mb"] is None


async def test_an_idle_family_scales_to_zero_and_starts_again(http: httpx.AsyncClient) -> None:
    from tests.serve.conftest import replica_pids

    body = {"model": "vectors", "input": "x"}
    first = await http.post("/v1/embeddings", json=body)
    for _ in range(300):
        if not replica_pids("vectors"):
            break
        await asyncio.sleep(0.2)
    assert not replica_pids("vectors")
    assert (await http.get("/v1/models/vectors")).json()["loaded"] is False
    again = await http.post("/v1/embeddings", json=body)
    assert again.json()["data"] == first.json()["data"]


async def test_a_pipeline_of_four_families(http: httpx.AsyncClient) -> None:
    """The fake media family hands the video back, the fake ears always hear the same words."""
    clip = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)
    upload = await http.post(
        "/v1/files/upload", content=clip, headers={"Content-Type": "application/octet-stream"}
    )
    answer = await http.post(
        "/v1/pipelines/video-dub",
        json={"video": upload.json()["id"], "source_lang": "en", "target_lang": "en"},
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["pipeline"] == "video-dub"
    heard = " ".join(segment["source_text"] for segment in body["steps"][0]["segments"])
    assert heard == "the quick brown fox jumps over the lazy dog"
    assert (await http.get(body["data"][0]["url"])).content == clip
