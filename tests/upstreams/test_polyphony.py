"""A second Polyphony as a provider of the type `openai-compat`, over real HTTP."""

import asyncio
import base64
import io
import shutil
import socket
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from serve_app.api.app import create_app
from tests.api.conftest import MakeContext, client_of
from tests.databases import Prepared
from tests.providers import BOSS, ENVIRONMENT
from tests.upstreams.conftest import register
from tests.upstreams.replies import chat_body


@pytest.fixture
async def second(
    tmp_path: Path, prepared: Prepared, make_context: MakeContext
) -> AsyncIterator[str]:
    """The URL of a server over fakes, in this process."""
    environment = {"API_TOKENS": "sk-second"}
    file = tmp_path / "second.sqlite"
    shutil.copyfile(prepared(environment), file)
    context = make_context(
        environment=environment, auth={"required": True}, database_url=f"sqlite:///{file}"
    )
    config = uvicorn.Config(create_app(context), lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    await running
    listening.close()


@pytest.fixture
async def first(
    tmp_path_factory: pytest.TempPathFactory, make_context: MakeContext, second: str
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("first")
    context = make_context(environment=ENVIRONMENT, storage={"data_dir": folder}, families=())
    async with client_of(context) as found:
        found.headers.update(BOSS)
        await register(found, second, type="openai-compat", name="box", api_keys=["sk-second"])
        yield found
    await context.listed.close()


async def test_chat(first: httpx.AsyncClient) -> None:
    body = chat_body("box/echo", "hello there")
    whole = await first.post("/v1/chat/completions", json=body)
    assert whole.status_code == 200, whole.text
    assert "hello" in whole.json()["choices"][0]["message"]["content"]
    assert whole.json()["usage"]["completion_tokens"] > 0
    streamed = await first.post("/v1/chat/completions", json=body | {"stream": True})
    assert streamed.text.endswith("data: [DONE]\n\n")


async def test_completions(first: httpx.AsyncClient) -> None:
    body = {"model": "box/echo", "prompt": "once", "max_tokens": 4}
    answer = await first.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text


async def test_embeddings_and_rerank(first: httpx.AsyncClient) -> None:
    body = {"model": "box/digest", "input": ["a", "b"]}
    answer = await first.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 2
    body = {"model": "box/overlap", "query": "a b", "documents": ["c", "a b"]}
    ranked = await first.post("/v1/rerank", json=body)
    assert ranked.json()["results"][0]["index"] == 1


async def test_images(first: httpx.AsyncClient) -> None:
    body = {"model": "box/squares", "prompt": "a dot", "size": "64x64", "seed": 3}
    wanted = body | {"response_format": "b64_json"}
    answer = await first.post("/v1/images/generations", json=wanted)
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["data"][0]["b64_json"])[:4] == b"\x89PNG"


async def test_speech_and_transcription(first: httpx.AsyncClient) -> None:
    body = {"model": "box/hum", "input": "hello", "response_format": "wav"}
    spoken = await first.post("/v1/audio/speech", json=body)
    assert spoken.status_code == 200, spoken.text
    with wave.open(io.BytesIO(spoken.content)) as audio:
        assert audio.getnframes() > 0
    files = {"file": ("a.wav", spoken.content, "audio/wav")}
    fields = {"model": "box/whisper-base", "response_format": "verbose_json"}
    said = await first.post("/v1/audio/transcriptions", data=fields, files=files)
    assert said.status_code == 200, said.text
    assert said.json()["segments"]


async def test_listing(first: httpx.AsyncClient) -> None:
    """What the second one lists for other operations than those that are passed on is left out."""
    data = (await first.get("/v1/models")).json()["data"]
    listed = {each["id"]: each for each in data}
    assert set(listed) >= {"box/echo", "box/digest", "box/squares", "box/hum", "box/whisper-base"}
    assert listed["box/echo"]["owned_by"] == "box"
    assert listed["box/org/eye"]["type"] == "vision"
    assert listed["box/digest"]["type"] == "embedding"
    assert listed["box/whisper-base"]["capabilities"][0] == "asr"
    assert "box/auto" not in listed
    one = await first.get("/v1/models/box/org/eye")
    assert one.json()["capabilities"] == ["llm", "text_generation", "image_to_text"]
