"""POST /v1/video/interpolate over the fake, which is optical flow under another name."""

import base64
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.images import huge_png, png
from tests.material import clip, tone, wav
from tests.videos import audio_packets, check_playable, landscape, write_video

URL = "/v1/video/interpolate"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = encoded(png(size=(64, 48)))


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    return clip(path, 1.0, audio=tone(1.0)).read_bytes()


@pytest.mark.covers("CoderAI: POST /v1/video/interpolate")
async def test_the_whole_answer(client: httpx.AsyncClient, video: bytes) -> None:
    answer = await client.post(URL, json={"video": encoded(video)})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {}
    assert item.pop("url").endswith(".mp4")
    assert item.pop("duration") == pytest.approx(1.0, abs=0.01)
    assert item == {"width": 64, "height": 48, "fps": 20.0, "num_frames": 20, "engine": "fake"}


@pytest.mark.parametrize(
    ("fields", "fps", "frames"),
    [
        ({"fps_multiplier": 3}, 30, 30),
        ({"output_fps": 25}, 25, 25),
        ({"output_fps": 7.5}, 7.5, 8),
    ],
)
async def test_rates_and_audio(
    client: httpx.AsyncClient, video: bytes, fields: dict[str, Any], fps: float, frames: int
) -> None:
    body = {"video": encoded(video), "response_format": "b64_mp4"} | fields
    answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    data = base64.b64decode(answer.json()["data"][0]["b64_mp4"])
    check_playable(data, size=(64, 48), fps=fps, frames=frames)
    assert audio_packets(data) == audio_packets(video)


async def test_from_an_image_to_another(client: httpx.AsyncClient) -> None:
    body = {"init_image": PNG, "end_image": encoded(png("white", (64, 48)))}
    answer = await client.post(URL, json=body | {"fps_multiplier": 4})
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    assert (item["fps"], item["num_frames"], item["duration"]) == (8, 8, 1.0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "video"),
        ({"init_image": PNG}, "end_image"),
        ({"end_image": PNG}, "init_image"),
        ({"video": "VIDEO", "init_image": PNG}, "init_image"),
        ({"video": "VIDEO", "end_image": PNG}, "end_image"),
        ({"video": "VIDEO", "init_image": PNG, "end_image": PNG}, "init_image"),
        ({"video": ""}, "video"),
        ({"video": 7}, "video"),
        ({"video": "no video"}, "video"),
        ({"video": PNG}, "video"),
        ({"video": encoded(wav(tone(0.2)))}, "video"),
        ({"video": encoded(b"\x00\x00\x00\x18ftypisom" + bytes(100))}, "video"),
        ({"init_image": "VIDEO", "end_image": PNG}, "init_image"),
        ({"init_image": PNG, "end_image": encoded(png()[:40])}, "end_image"),
        ({"video": "VIDEO", "fps_multiplier": 1}, "fps_multiplier"),
        ({"video": "VIDEO", "fps_multiplier": 9}, "fps_multiplier"),
        ({"video": "VIDEO", "fps_multiplier": 2.5}, "fps_multiplier"),
        ({"video": "VIDEO", "output_fps": 0}, "output_fps"),
        ({"video": "VIDEO", "output_fps": 241}, "output_fps"),
        ({"video": "VIDEO", "output_fps": "30"}, "output_fps"),
        ({"video": "VIDEO", "response_format": "b64_png"}, "response_format"),
        ({"video": "VIDEO", "model": "echo"}, "model"),
    ],
)
async def test_bad_fields(
    client: httpx.AsyncClient, video: bytes, fields: dict[str, Any], param: str
) -> None:
    body = {name: encoded(video) if value == "VIDEO" else value for name, value in fields.items()}
    answer = await client.post(URL, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_fast_video_needs_a_rate(
    client: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fast")
    source = write_video(folder / "fast.mp4", [landscape(32, 32)] * 24, fps=240)
    body = {"video": encoded(source.read_bytes())}
    answer = await client.post(URL, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "fps_multiplier"
    answer = await client.post(URL, json=body | {"output_fps": 60})
    assert answer.json()["data"][0]["num_frames"] == 6


async def test_an_image_of_too_many_pixels(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"init_image": encoded(huge_png()), "end_image": PNG})
    assert answer.status_code == 413, answer.text
    assert answer.json()["error"]["param"] == "init_image"


async def test_without_a_model(make_context: MakeContext, video: bytes) -> None:
    async with client_of(make_context(families=[])) as client:
        answer = await client.post(URL, json={"video": encoded(video)})
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["param"] == "model"


async def test_fields_without_effect_are_named(client: httpx.AsyncClient, video: bytes) -> None:
    body = {"video": encoded(video), "output_fps": 20, "fps_multiplier": 2, "user": "me"}
    answer = await client.post(URL, json=body)
    assert answer.headers["x-ignored-fields"] == "user,fps_multiplier"


async def test_as_a_job(client: httpx.AsyncClient, video: bytes) -> None:
    answer = await client.post(URL, json={"video": encoded(video), "async": True})
    assert answer.status_code == 202
    answer = await client.get(answer.json()["url"])
    assert answer.json()["operation"] == "video.interpolate"
