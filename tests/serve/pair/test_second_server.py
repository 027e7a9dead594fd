"""A second Polyphony as a provider of the type `openai-compat`, with both on Serve."""

import asyncio
import base64
import io
import json
import wave
from collections.abc import Awaitable, Callable

import httpx
import pytest

from serve_app.core.upstreams.hops import HOP_HEADER, MOST_HOPS
from tests.serve.pair.conftest import TASKS
from tests.upstreams.replies import chat_body

pytestmark = pytest.mark.slow


async def test_every_operation_reaches_the_second_server(http: httpx.AsyncClient) -> None:
    names = {f"box/{name}" for name in TASKS}
    await until(lambda: listed(http), names)
    await check_chat(http)
    await check_embeddings(http)
    await check_images(http)
    await check_speech_and_transcription(http)
    await until(lambda: counted(http), names)
    await check_loops(http)


async def listed(http: httpx.AsyncClient) -> set[str]:
    return {each["id"] for each in (await http.get("/v1/models")).json()["data"]}


async def counted(http: httpx.AsyncClient) -> set[str]:
    query = {"group_by": "model", "provider": "box"}
    lines = (await http.get("/admin/api/usage", params=query)).json()["data"]
    return {line["model"] for line in lines if line["requests"]}


async def until(read: Callable[[], Awaitable[set[str]]], wanted: set[str]) -> None:
    """Another replica hears of a provider, and writes what it has counted, a moment later."""
    async with asyncio.timeout(60):
        good = 0
        while good < 8:
            good = good + 1 if wanted <= await read() else 0
            await asyncio.sleep(0.1)


async def check_chat(http: httpx.AsyncClient) -> None:
    body = chat_body("box/echo", "hello out there")
    whole = await http.post("/v1/chat/completions", json=body)
    assert whole.status_code == 200, whole.text
    assert "hello out there" in whole.json()["choices"][0]["message"]["content"]
    streamed = await http.post("/v1/chat/completions", json=body | {"stream": True})
    assert streamed.text.endswith("data: [DONE]\n\n")
    lines = [line[6:] for line in streamed.text.split("\n\n") if line.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert said == whole.json()["choices"][0]["message"]["content"]


async def check_embeddings(http: httpx.AsyncClient) -> None:
    body = {"model": "box/digest", "input": ["a", "b"]}
    found = await http.post("/v1/embeddings", json=body)
    assert found.status_code == 200, found.text
    assert [each["index"] for each in found.json()["data"]] == [0, 1]


async def check_images(http: httpx.AsyncClient) -> None:
    body = {"model": "box/squares", "prompt": "a dot", "size": "64x64"}
    made = await http.post("/v1/images/generations", json=body | {"response_format": "b64_json"})
    assert made.status_code == 200, made.text
    assert base64.b64decode(made.json()["data"][0]["b64_json"]).startswith(b"\x89PNG")
    assert made.headers["x-job-id"], "a job of the first one's"


async def check_speech_and_transcription(http: httpx.AsyncClient) -> None:
    body = {"model": "box/hum", "input": "hello", "response_format": "wav"}
    spoken = await http.post("/v1/audio/speech", json=body)
    assert spoken.status_code == 200, spoken.text
    with wave.open(io.BytesIO(spoken.content)) as audio:
        assert audio.getnframes() > 0
    files = {"file": ("a.wav", spoken.content, "audio/wav")}
    fields = {"model": "box/ears", "response_format": "verbose_json"}
    heard = await http.post("/v1/audio/transcriptions", data=fields, files=files)
    assert heard.status_code == 200, heard.text
    assert heard.json()["segments"]


async def check_loops(http: httpx.AsyncClient) -> None:
    """A job knows how many servers its request has passed, and so does what calls providers."""
    body = {"model": "box/squares", "prompt": "a dot", "size": "64x64"}
    headers = {HOP_HEADER.decode(): str(MOST_HOPS)}
    answer = await http.post("/v1/images/generations", json=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "provider_loop")
