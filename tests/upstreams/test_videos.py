"""Videos of providers, which are jobs there and here."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import DefaultHttpxClient, OpenAI

from serve_app.upstreams.openai_form.video_request import SORA_SIZES
from tests.api.conftest import MakeContext, client_of
from tests.images import png
from tests.providers import BOSS, ENVIRONMENT, FIRST, PROVIDERS
from tests.upstreams.conftest import register
from tests.upstreams.openai_stub import OpenAIStub
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.video_stub import FRAMES

URL = "/v1/video/generations"
PNG = base64.b64encode(png(size=(64, 48))).decode()
ASKED = {"model": "far/sora-2", "prompt": "a red boat", "duration_seconds": 3}


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    context = make_context(environment=ENVIRONMENT, pipelines=[{"name": "video-generation"}])
    async with client_of(context) as found:
        found.headers.update(BOSS)
        yield found
    await context.listed.close()


@pytest.fixture
def stub(stubs: VendorStubs) -> OpenAIStub:
    return stubs.openai


async def far(client: httpx.AsyncClient, stub: OpenAIStub, kind: str = "openai") -> None:
    await register(client, stub.base_url, type=kind, name="far")


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(URL, json=ASKED | fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def form(stub: OpenAIStub) -> dict[str, str]:
    """The texts of the form."""
    sent = stub.videos.form.items()
    return {name: value.decode() for name, value in sent if name != "input_reference"}


async def test_a_video_of_a_prompt(client: httpx.AsyncClient, stub: OpenAIStub) -> None:
    await far(client, stub)
    body = await made(client, width=1280, height=720)
    [video] = body["data"]
    assert (video["width"], video["height"], video["num_frames"]) == (64, 32, FRAMES)
    assert video["fps"] == 8
    assert (await client.get(video["url"])).content[4:8] == b"ftyp"
    sent = {"model": "sora-2", "prompt": "a red boat", "seconds": "4", "size": "1280x720"}
    assert form(stub) == sent
    assert stub.last.key == FIRST
    assert not stub.videos.is_deleted
    assert ["4 s" in warning for warning in body["warnings"]] == [True]
    query = {"group_by": "model,provider"}
    (line,) = (await client.get("/admin/api/usage", params=query)).json()["data"]
    assert (line["model"], line["provider"], line["requests"]) == ("far/sora-2", "far", 1)
    assert line["video_seconds"] == pytest.approx(2)


async def test_a_video_of_an_image(client: httpx.AsyncClient, stub: OpenAIStub) -> None:
    """The image gets the video's size, which the provider insists on."""
    await far(client, stub)
    await made(client, image=PNG)
    assert form(stub)["size"] == "1280x720"
    reference = stub.videos.form["input_reference"]
    assert int.from_bytes(reference[16:20]) == SORA_SIZES[0][0]
    assert int.from_bytes(reference[20:24]) == SORA_SIZES[0][1]


async def test_a_server_of_ones_own_gets_more_fields(
    client: httpx.AsyncClient, stub: OpenAIStub
) -> None:
    await far(client, stub, "openai-compat")
    fields = {"negative_prompt": "rain", "num_inference_steps": 9, "seed": 5, "fps": 16}
    sized = {"width": 320, "height": 192, "num_frames": 33, "duration_seconds": None}
    body = await made(client, image=PNG, **fields, **sized)
    assert form(stub) == {
        "model": "sora-2",
        "prompt": "a red boat",
        "size": "320x192",
        "negative_prompt": "rain",
        "num_frames": "33",
        "fps": "16.0",
        "num_inference_steps": "9",
        "seed": "5",
    }
    assert stub.videos.form["input_reference"] == png(size=(64, 48))
    assert "warnings" not in body


async def test_what_the_provider_has_no_field_for_is_told(
    client: httpx.AsyncClient, stub: OpenAIStub
) -> None:
    await far(client, stub)
    body = await made(client, negative_prompt="rain", camera_motion="zoom-in")
    told = " ".join(body["warnings"])
    assert "negative_prompt" in told
    assert "camera_motion" in told


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"num_segments": 2}, "num_segments"), ({"image": PNG, "end_image": PNG}, "mode")],
)
async def test_what_no_provider_does_is_refused(
    client: httpx.AsyncClient, stub: OpenAIStub, fields: dict[str, Any], param: str
) -> None:
    await far(client, stub)
    answer = await client.post(URL, json=ASKED | fields)
    assert answer.status_code in (400, 501), answer.text
    assert answer.json()["error"]["param"] == param
    assert not stub.videos.form


async def test_progress_and_cancelling(client: httpx.AsyncClient, stub: OpenAIStub) -> None:
    await far(client, stub)
    stub.videos.looks = None
    job_id = (await client.post(URL, json=ASKED | {"async": True})).json()["id"]
    async with asyncio.timeout(30):
        while True:
            job = (await client.get(f"/v1/jobs/{job_id}")).json()
            if (job["progress"] or {}).get("percent"):
                break
            await asyncio.sleep(0.02)
    assert job["status"] == "running"
    assert 0 < job["progress"]["percent"] < 100
    assert (await client.post(f"/v1/jobs/{job_id}/cancel")).status_code in (200, 202)
    async with asyncio.timeout(30):
        while not stub.videos.is_deleted:
            await asyncio.sleep(0.02)
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "cancelled"
    lines = (await client.get("/admin/api/usage")).json()["data"]
    assert [line for line in lines if line["video_seconds"]] == []


@pytest.mark.parametrize(
    ("code", "status", "ours"),
    [("moderation_blocked", 400, "invalid_request"), ("server_error", 502, "upstream_error")],
)
async def test_a_video_that_fails(
    client: httpx.AsyncClient, stub: OpenAIStub, code: str, status: int, ours: str
) -> None:
    await far(client, stub)
    stub.videos.error = {"code": code, "message": "It cannot be."}
    answer = await client.post(URL, json=ASKED)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["provider"]) == (status, ours, "far")
    assert "It cannot be." in error["message"]


async def test_a_look_that_fails_is_repeated(client: httpx.AsyncClient, stub: OpenAIStub) -> None:
    await far(client, stub)
    stub.fails(503, path="/videos/video_1")
    await made(client)
    posts = [each for each in stub.requests if each.method == "POST"]
    assert len(posts) == 1, "nothing is paid for twice"


@pytest.mark.parametrize("content", [b"<html>", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(90)])
async def test_what_is_no_video(
    client: httpx.AsyncClient, stub: OpenAIStub, content: bytes
) -> None:
    await far(client, stub)
    stub.videos.content = content
    answer = await client.post(URL, json=ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


async def test_the_next_key_before_a_video_has_begun(
    client: httpx.AsyncClient, stub: OpenAIStub
) -> None:
    await far(client, stub)
    second = "sk-other-0123456789-other"
    added = {"api_keys": [{"api_key": FIRST}, {"api_key": second}]}
    await client.patch(f"{PROVIDERS}/far", json=added)
    stub.fails(429, key=FIRST, path="/videos")
    await made(client)
    assert stub.last.key == second


async def test_models_of_videos_are_listed(client: httpx.AsyncClient, stub: OpenAIStub) -> None:
    stub.models.append(stub.model("sora-2"))
    await far(client, stub)
    found = (await client.get("/v1/models", params={"type": "video"})).json()["data"]
    assert "far/sora-2" in [each["id"] for each in found]


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_the_official_sdk_understands_the_stub(stub: OpenAIStub) -> None:
    with OpenAI(
        base_url=stub.base_url, api_key="sk-1", http_client=DefaultHttpxClient(verify=False)
    ) as client:
        video = client.videos.create_and_poll(prompt="a boat", model="sora-2", seconds="4")
        assert (video.status, video.progress, video.seconds) == ("completed", 100, "4")
        assert client.videos.download_content(video.id).read()[4:8] == b"ftyp"
        assert client.videos.delete(video.id).deleted
