"""POST /v1/pipelines/image-to-video over the fake engines, and over camera moves."""

import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.fakes.images import FakeImages
from deployments.fakes.video import FACTS, FakeVideo
from deployments.video.camera_moves import CameraMoves
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.images import ImageEvent, Size, TextToImage
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import CameraMovesOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.generation import GenerateVideo, VideoEvent
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.videos import check_playable

URL = "/v1/pipelines/image-to-video"
SMALL = {"prompt": "a red boat", "image_size": "80x64", "num_frames": 5}
MOVES = {
    "name": "moves",
    "options": {"engine": "camera_moves"},
    "models": [{"id": "camera-moves", "capabilities": ["image_to_video"], "created": 1}],
}


class ImageGeneration(FakeImages):
    """Keeps the requests."""

    asked: tuple[TextToImage, ...] = ()

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        self.asked = (*self.asked, request)
        async for event in super().text_to_image(request):
            yield event


class Videoing(FakeVideo):
    """Keeps the requests, or fails."""

    asked: tuple[GenerateVideo, ...] = ()
    fails_with: Exception | None = None

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        self.asked = (*self.asked, request)
        if self.fails_with is not None:
            raise self.fails_with
        async for event in super().generate_video(request):
            yield event


class Studio:
    """An app over engines that tell what they were asked."""

    def __init__(self, make_context: MakeContext, folder: Path) -> None:
        blobs = FsspecBlobStore(folder / "blobs")
        self.images = ImageGeneration(FakeOptions(task="images"), Model(id="squares"), blobs=blobs)
        self.video = Videoing(FakeOptions(task="video"), Model(id="lights"), blobs=blobs)
        moves = CameraMoves(CameraMovesOptions(), Model(id="camera-moves"), path=None, blobs=blobs)
        self.context = make_context(
            pipelines=[{"name": "image-to-video"}],
            families=[*FAMILIES, MOVES],
            runs={"images": self.images, "video": self.video, "moves": moves},
            statuses={"lights": ModelStatus(id="lights", state="ready", video=FACTS)},
        )

    async def post(self, **fields: Any) -> httpx.Response:
        body = {name: value for name, value in (SMALL | fields).items() if value != "left out"}
        async with client_of(self.context) as client:
            return await client.post(URL, json=body)

    async def made(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post(**fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def get(self, url: str) -> httpx.Response:
        async with client_of(self.context) as client:
            return await client.get(url)


@pytest.fixture
def studio(make_context: MakeContext, tmp_path: Path) -> Studio:
    return Studio(make_context, tmp_path)


@pytest.mark.covers("CoderAI: POST /v1/pipelines/image-to-video")
async def test_the_whole_answer(studio: Studio) -> None:
    answer = await studio.post(image_seed=3, video_seed=4)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"created", "pipeline", "steps", "data"}
    assert body["pipeline"] == "image-to-video"
    [item] = body["data"]
    assert item.keys() == {"url", "image_url"}
    assert body["steps"] == [
        {"step": "image", "url": item["image_url"]},
        {"step": "video", "url": item["url"]},
    ]
    assert (await studio.get(item["image_url"])).headers["content-type"] == "image/png"
    video = (await studio.get(item["url"])).content
    check_playable(video, size=(80, 64), fps=8, frames=5)
    job = (await studio.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert [stage["name"] for stage in job["stages"]] == ["image", "video"]
    assert (job["operation"], job["model"]) == ("pipeline.image-to-video", "lights")
    assert (job["progress"]["percent"], job["result"]) == (100.0, body)
    files = (await studio.get("/v1/archive")).json()["files"]
    assert {(file["type"], file["seed"]) for file in files} == {("image", 3), ("video", 4)}
    assert {file["prompt"] for file in files} == {"a red boat"}


async def test_files_inside_the_answer(studio: Studio) -> None:
    body = await studio.made(response_format="base64")
    [item] = body["data"]
    assert item.keys() == {"b64_mp4", "image_url"}
    assert item["image_url"].startswith("data:image/png;base64,")
    check_playable(base64.b64decode(item["b64_mp4"]), size=(80, 64), fps=8, frames=5)


async def test_every_setting_reaches_its_model(studio: Studio) -> None:
    await studio.made(
        negative_prompt="fog",
        image_model="squares",
        image_steps=7,
        image_cfg=3.5,
        image_seed=11,
        video_model="lights",
        fps=12,
        num_inference_steps=9,
        guidance_scale=4.5,
        video_seed=12,
        camera_motion="zoom-in",
    )
    [image], [video] = studio.images.asked, studio.video.asked
    assert image == TextToImage(
        model="squares",
        prompt="a red boat",
        negative_prompt="fog",
        size=Size(width=80, height=64),
        steps=7,
        guidance_scale=3.5,
        seed=11,
    )
    assert video.image is not None
    assert video == GenerateVideo(
        model="lights",
        mode="ti2v",
        prompt="a red boat",
        negative_prompt="fog",
        image=video.image,
        size=Size(width=80, height=64),
        num_frames=5,
        fps=12,
        steps=9,
        guidance_scale=4.5,
        camera_motion="zoom-in",
        seed=12,
    )


async def test_defaults(studio: Studio) -> None:
    body = await studio.made(image_size="left out", num_frames="left out")
    assert "warnings" not in body
    [image], [video] = studio.images.asked, studio.video.asked
    assert image.size == video.size == Size(width=1024, height=1024)
    # Sixteen are none that the model makes; nobody asked for them, so nobody is told.
    assert (video.num_frames, video.fps, video.steps, video.guidance_scale) == (17, 8, 25, 7.5)


async def test_numbers_that_the_model_rounds(studio: Studio) -> None:
    assert (await studio.made(num_frames=6))["warnings"] == ["num_frames: rounded to 5"]


async def test_camera_moves_over_the_image(studio: Studio) -> None:
    body = await studio.made(
        video_model="camera-moves", camera_motion="zoom-in", num_inference_steps=3
    )
    assert body["warnings"] == ["num_inference_steps: has no effect on 'camera-moves'"]
    video = (await studio.get(body["data"][0]["url"])).content
    check_playable(video, size=(80, 64), fps=8, frames=5)


async def test_larger_and_with_words(studio: Studio) -> None:
    answer = await studio.post(
        upscale_output=True,
        upscale_factor=3,
        add_audio=True,
        audio_type="speech",
        audio_prompt="hi",
    )
    assert answer.status_code == 200, answer.text
    video = (await studio.get(answer.json()["data"][0]["url"])).content
    check_playable(video, size=(240, 192), fps=8, frames=5)
    job = (await studio.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert [stage["name"] for stage in job["stages"]] == [
        *("image", "video", "upscale", "speak", "add-sound")
    ]


async def test_details_without_what_they_belong_to(studio: Studio) -> None:
    answer = await studio.post(
        audio_type="speech", audio_prompt="hi", upscale_factor=2, user="u", surprise=1
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == (
        "surprise,user,audio_type,audio_prompt,upscale_factor"
    )


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"prompt": "left out"}, 400, "invalid_request", "prompt"),
        ({"prompt": " "}, 400, "invalid_request", "prompt"),
        ({"prompt": 5}, 400, "invalid_request", "prompt"),
        ({"negative_prompt": 5}, 400, "invalid_request", "negative_prompt"),
        ({"image_size": "10x10"}, 400, "invalid_request", "image_size"),
        ({"image_size": "large"}, 400, "invalid_request", "image_size"),
        ({"image_steps": 0}, 400, "invalid_request", "image_steps"),
        ({"image_cfg": 31}, 400, "invalid_request", "image_cfg"),
        ({"image_seed": 2**63}, 400, "invalid_request", "image_seed"),
        ({"video_seed": "x"}, 400, "invalid_request", "video_seed"),
        ({"num_frames": 0}, 400, "invalid_request", "num_frames"),
        ({"num_frames": 49}, 400, "invalid_request", "num_frames"),
        ({"fps": 0}, 400, "invalid_request", "fps"),
        ({"num_inference_steps": 151}, 400, "invalid_request", "num_inference_steps"),
        ({"guidance_scale": -1}, 400, "invalid_request", "guidance_scale"),
        ({"camera_motion": "up"}, 400, "invalid_request", "camera_motion"),
        ({"upscale_factor": 5}, 400, "invalid_request", "upscale_factor"),
        ({"add_audio": 1}, 400, "invalid_request", "add_audio"),
        ({"audio_type": "noise"}, 400, "invalid_request", "audio_type"),
        ({"response_format": "b64_json"}, 400, "invalid_request", "response_format"),
        ({"add_audio": True}, 400, "unsupported_capability", "add_audio"),
        ({"add_audio": True, "audio_type": "sfx"}, 400, "unsupported_capability", "audio_type"),
        ({"add_audio": True, "audio_type": "speech"}, 400, "invalid_request", "audio_prompt"),
        ({"image_model": "nothing"}, 404, "model_not_found", "image_model"),
        ({"image_model": "echo"}, 400, "unsupported_capability", "image_model"),
        ({"video_model": "nothing"}, 404, "model_not_found", "video_model"),
        ({"video_model": "squares"}, 400, "unsupported_capability", "video_model"),
    ],
)
async def test_bad_requests(
    studio: Studio, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = await studio.post(**fields)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert studio.images.asked == ()


async def test_a_stage_that_fails_is_named(studio: Studio) -> None:
    studio.video.fails_with = BackendUnavailable("the model is gone", provider="lights")
    answer = await studio.post()
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "stage 'video': the model is gone"


async def test_without_the_pipeline_it_is_out_of_service(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        answer = await client.post(URL, json=SMALL)
    assert answer.status_code == 503
    assert "image-to-video" in answer.json()["error"]["message"]


async def test_the_route_is_listed_where_it_is_served(studio: Studio) -> None:
    capabilities = (await studio.get("/coderai/capabilities")).json()
    assert "v1/pipelines/image-to-video" in capabilities["studio"]["endpoints"]
