"""POST /v1/video/generations over the fake engines, and over camera moves."""

import asyncio
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
from serve_app.core.image.images import ImageEvent, TextToImage
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import CameraMovesOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.generation import GenerateVideo, VideoEvent
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import png
from tests.videos import check_playable, decoded, landscape, write_video

URL = "/v1/video/generations"
PIPELINES = [{"name": "video-generation"}]
SMALL = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 5}
PNG = base64.b64encode(png(size=(64, 48))).decode()
MOVES = {
    "name": "moves",
    "options": {"engine": "camera_moves"},
    "models": [{"id": "camera-moves", "capabilities": ["image_to_video"], "created": 1}],
}


class Recording(FakeVideo):
    """Keeps the requests, or fails."""

    def __init__(self, folder: Path) -> None:
        blobs = FsspecBlobStore(folder / "blobs")
        super().__init__(FakeOptions(task="video"), Model(id="lights"), blobs=blobs)
        self.asked: list[GenerateVideo] = []
        self.fails_with: Exception | None = None

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        self.asked.append(request)
        if self.fails_with is not None:
            raise self.fails_with
        async for event in super().generate_video(request):
            yield event


class ImageGeneration(FakeImages):
    """Keeps the requests, and passes for one that follows references if told to."""

    follows_references = False

    def __init__(self, folder: Path) -> None:
        blobs = FsspecBlobStore(folder / "blobs")
        super().__init__(FakeOptions(task="images"), Model(id="squares"), blobs=blobs)
        self.asked: list[TextToImage] = []

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        self.asked.append(request)
        if self.follows_references:
            request = request.model_copy(update={"references": None, "loras": ()})
        async for event in super().text_to_image(request):
            yield event


class Studio:
    """An app over engines that tell what they were asked."""

    def __init__(self, make_context: MakeContext, folder: Path) -> None:
        self.video = Recording(folder)
        self.images = ImageGeneration(folder)
        moves = CameraMoves(
            CameraMovesOptions(),
            Model(id="camera-moves"),
            path=None,
            blobs=FsspecBlobStore(folder / "blobs"),
        )
        self.context = make_context(
            pipelines=PIPELINES,
            families=[*FAMILIES, MOVES],
            runs={"video": self.video, "images": self.images, "moves": moves},
            statuses={"lights": ModelStatus(id="lights", state="ready", video=FACTS)},
        )

    async def post(self, **fields: Any) -> httpx.Response:
        async with client_of(self.context) as client:
            return await client.post(URL, json=SMALL | fields)

    async def produced(self, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """The whole answer and the first video's bytes."""
        answer = await self.post(response_format="b64_mp4", **fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body, base64.b64decode(body["data"][0]["b64_mp4"])


@pytest.fixture
def studio(make_context: MakeContext, tmp_path: Path) -> Studio:
    return Studio(make_context, tmp_path)


@pytest.mark.covers("CoderAI: POST /v1/video/generations")
async def test_the_whole_answer(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        answer = await client.post(URL, json=SMALL | {"seed": 7})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() == {"created", "data"}
        [item] = body["data"]
        data = (await client.get(item.pop("url"))).content
    assert item == {
        "width": 64,
        "height": 48,
        "fps": 8.0,
        "num_frames": 5,
        "duration": 0.625,
        "seed": 7,
    }
    check_playable(data, size=(64, 48), fps=8, frames=5)
    assert answer.headers["X-Job-ID"].startswith("job-")


@pytest.mark.parametrize("form", ["b64_mp4", "base64", "b64"])
@pytest.mark.covers("CoderAI: outputs as url, b64_json, b64_mp4, b64_wav or b64_mp3")
async def test_the_video_inside_the_answer(studio: Studio, form: str) -> None:
    [item] = (await studio.post(response_format=form)).json()["data"]
    assert "url" not in item
    check_playable(base64.b64decode(item["b64_mp4"]), size=(64, 48), fps=8, frames=5)


async def test_several_videos_have_seeds_of_their_own(studio: Studio) -> None:
    body = (await studio.post(n=3, seed=5, response_format="b64_mp4")).json()
    assert [item["seed"] for item in body["data"]] == [5, 6, 7]
    assert len({item["b64_mp4"] for item in body["data"]}) == 3
    alone = (await studio.post(seed=6, response_format="b64_mp4")).json()
    assert alone["data"][0]["b64_mp4"] == body["data"][1]["b64_mp4"]


async def test_defaults(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        answer = await client.post(URL, json={"prompt": "a red boat"})
    [item] = answer.json()["data"]
    assert (item["width"], item["height"], item["num_frames"]) == (512, 512, 9)
    assert 0 <= item["seed"] < 2**32
    [asked] = studio.video.asked
    assert asked.steps is asked.guidance_scale is asked.fps is asked.offload is None


async def test_every_setting_reaches_the_model(studio: Studio) -> None:
    await studio.post(
        negative_prompt="night",
        fps=12,
        num_inference_steps=7,
        guidance_scale=4.5,
        seed=3,
        offload_strategy="model",
        camera_motion="pan-left",
        quality="draft",
        num_segments=2,
        num_cond_frames=1,
        strength=0.4,
        model="lights",
    )
    [asked] = studio.video.asked
    assert (asked.prompt, asked.negative_prompt, asked.seed) == ("a red boat", "night", 3)
    assert (asked.steps, asked.guidance_scale, asked.fps) == (7, 4.5, 12)
    assert (asked.camera_motion, asked.quality, asked.strength) == ("pan-left", "draft", 0.4)
    assert (asked.num_frames, asked.num_segments, asked.num_cond_frames) == (5, 2, 1)
    assert asked.offload == "model"


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({}, "t2v"),
        ({"image": PNG}, "ti2v"),
        ({"init_image": PNG}, "ti2v"),
        ({"image": PNG, "prompt": None}, "i2v"),
        ({"image": PNG, "prompt": " "}, "i2v"),
        ({"image": PNG, "mode": "t2v"}, "ti2v"),
        ({"image": PNG, "mode": "i2v"}, "i2v"),
        ({"cond_frames": [PNG]}, "ti2v"),
        ({"video": "a video"}, "v2v"),
        ({"video": "a video", "mode": "v2v"}, "v2v"),
    ],
)
async def test_the_mode_follows_from_what_is_given(
    studio: Studio, tmp_path: Path, fields: dict[str, Any], mode: str
) -> None:
    answer = await studio.post(**_with_videos(fields, tmp_path))
    assert answer.status_code == 200, answer.text
    assert studio.video.asked[0].mode == mode


def _with_videos(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = write_video(folder / "source.mp4", [landscape(64, 48, seed=i) for i in range(10)])
    video = base64.b64encode(path.read_bytes()).decode()
    return {name: video if value == "a video" else value for name, value in fields.items()}


async def test_sizes_and_lengths_that_the_model_rounds(studio: Studio) -> None:
    body, data = await studio.produced(width=70, height=41, num_frames=6)
    check_playable(data, size=(64, 48), fps=8, frames=5)
    assert body["warnings"] == ["width, height: rounded to 64x48", "num_frames: rounded to 5"]


async def test_videos_enter_the_archive(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        [item] = (await client.post(URL, json=SMALL | {"seed": 4})).json()["data"]
        [entry] = (await client.get("/v1/archive?type=video")).json()["files"]
    assert item["url"].endswith(entry["filename"])
    assert (entry["prompt"], entry["model"], entry["operation"]) == (
        "a red boat",
        "lights",
        "video.generation",
    )
    assert (entry["width"], entry["height"], entry["seed"]) == (64, 48, 4)
    assert entry["duration"] == pytest.approx(0.625)
    assert entry["parameters"]["generation"]["num_frames"] == 5


async def test_as_a_job_with_progress(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        answer = await client.post(URL, json=SMALL | {"async": True, "n": 2})
        assert answer.status_code == 202
        job = await _ended(client, answer.json()["url"])
        assert (await client.get("/v1/video/progress")).status_code == 200
    assert (job["operation"], job["model"]) == ("video.generation", "lights")
    assert [stage["name"] for stage in job["stages"]] == ["generate-1", "generate-2"]
    assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
    assert len(job["result"]["data"]) == 2


async def _ended(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = (await client.get(url)).json()
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.02)


async def test_a_prompt_for_a_model_that_only_animates_is_drawn_first(studio: Studio) -> None:
    answer = await studio.post(
        model="camera-moves",
        n=2,
        seed=5,
        negative_prompt="night",
        num_inference_steps=3,
        guidance_scale=2.5,
        keyframe_model="squares",
        disable_safety_checker=True,
        quality="draft",
        response_format="b64_mp4",
    )
    assert answer.status_code == 200, answer.text
    [drawn] = studio.images.asked
    assert (drawn.model, drawn.prompt, drawn.negative_prompt) == ("squares", "a red boat", "night")
    assert (drawn.count, drawn.seed, drawn.steps, drawn.guidance_scale) == (2, 5, 3, 2.5)
    assert drawn.size is not None
    assert (drawn.size.width, drawn.size.height, drawn.quality) == (64, 48, "low")
    assert drawn.checks_safety is False
    body = answer.json()
    assert "warnings" not in body
    assert [item["seed"] for item in body["data"]] == [5, 6]
    first, second = (base64.b64decode(item["b64_mp4"]) for item in body["data"])
    check_playable(first, size=(64, 48), fps=24, frames=5)
    assert abs(decoded(first)[0].astype(int) - decoded(second)[0]).mean() > 20


async def test_a_keyframe_that_a_model_cannot_do_without_is_told(studio: Studio) -> None:
    answer = await studio.post(model="camera-moves", keyframe_identity="never")
    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == [
        "keyframe_identity: a keyframe is generated anyway, because the model only animates"
    ]


async def test_an_image_of_ones_own_is_animated(studio: Studio) -> None:
    body, data = await studio.produced(model="camera-moves", image=PNG, keyframe_steps=3)
    assert studio.images.asked == []
    red = decoded(data)[2]
    assert red[..., 0].min() > 200
    assert red[..., 1:].max() < 60
    assert [text.partition(":")[0] for text in body["warnings"]] == [
        "keyframe_steps",
        "the prompt has no effect on camera moves",
    ]


async def test_a_video_of_ones_own_keeps_its_size(studio: Studio, tmp_path: Path) -> None:
    fields = _with_videos({"video": "a video", "mode": "extend"}, tmp_path)
    answer = await studio.post(
        model="camera-moves", prompt=None, width=None, height=None, fps=10, **fields
    )
    [item] = answer.json()["data"]
    assert (item["width"], item["height"], item["num_frames"]) == (64, 48, 15)


async def test_somebody_is_recognised_by_a_keyframe(studio: Studio) -> None:
    studio.images.follows_references = True
    async with client_of(studio.context) as client:
        anna = {"name": "anna", "images": [{"data": PNG}, {"data": PNG}]}
        assert (await client.post("/v1/characters", json=anna)).status_code == 200
    blue = base64.b64encode(png("blue", size=(64, 48))).decode()
    answer = await studio.post(
        character_profiles=["anna"],
        characters=[{"name": "bob", "images": [blue]}],
        character_names=["anna", "bob"],
        character_strength=0.3,
        keyframe_steps=9,
    )
    assert answer.status_code == 200, answer.text
    [drawn] = studio.images.asked
    assert drawn.references is not None
    assert (len(drawn.references.images), drawn.references.strength) == (5, 0.3)
    assert (drawn.references.field, drawn.steps) == ("characters", 9)
    [asked] = studio.video.asked
    assert (asked.mode, asked.prompt) == ("ti2v", "a red boat")
    assert asked.image is not None


async def test_an_image_model_without_references_refuses_them(studio: Studio) -> None:
    answer = await studio.post(character_references=[PNG])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "character_references")
    assert studio.video.asked == []


async def test_a_keyframe_is_drawn_when_it_is_always_wanted(studio: Studio) -> None:
    await studio.post(keyframe_identity="always", num_inference_steps=7)
    [drawn] = studio.images.asked
    assert drawn.steps is None
    assert studio.video.asked[0].steps == 7
    await studio.post(keyframe_identity="auto")
    await studio.post(keyframe_identity="never")
    assert len(studio.images.asked) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"mode": "at2v"}, "mode"),
        ({"mode": "ai2v", "image": PNG}, "mode"),
        ({"mode": "interp", "image": PNG, "end_image": PNG}, "mode"),
        ({"mode": "extend", "video": "a video"}, "mode"),
        ({"stage": "distill"}, "stage"),
        ({"stage": "refinement"}, "stage"),
        ({"text_guidance_scale": 3}, "text_guidance_scale"),
        ({"audio_guidance_scale": 3}, "audio_guidance_scale"),
        ({"num_cond_frames": 2}, "num_cond_frames"),
        ({"cond_frames": [PNG, PNG]}, "cond_frames"),
        ({"loras": [{"id": "name:x"}], "image": PNG}, "loras"),
        ({"character_references": [PNG], "image": PNG}, "character_references"),
        ({"character_references": [PNG], "keyframe_identity": "never"}, "character_references"),
        ({"add_audio": True}, "add_audio"),
        ({"add_audio": True, "audio_type": "music"}, "audio_type"),
        ({"add_audio": True, "audio_type": "sfx", "tts_text": "hello"}, "audio_type"),
        ({"sync_audio": True}, "sync_audio"),
        ({"lip_sync": True, "lip_sync_method": "wav2lip"}, "lip_sync"),
        ({"dialogs": [{"text": "hello", "lip_sync": True}]}, "dialogs[0].lip_sync"),
    ],
)
async def test_what_nobody_can_do_is_refused_before_work_starts(
    studio: Studio, tmp_path: Path, fields: dict[str, Any], param: str
) -> None:
    answer = await studio.post(**_with_videos(fields, tmp_path))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", param)
    assert not error["message"].startswith(f"{param}: ")
    assert studio.video.asked == []
    assert studio.images.asked == []


async def test_models_that_can_are_listed(studio: Studio) -> None:
    answer = await studio.post(mode="interp", image=PNG, end_image=PNG)
    assert "models that can: 'camera-moves'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"audio_type": "music"}, "audio_type"),
        ({"audio_prompt": "waves"}, "audio_prompt"),
        ({"tts_voice": "x"}, "tts_voice"),
        ({"tts_speed": 1.5}, "tts_speed"),
        ({"lip_sync_method": "wav2lip"}, "lip_sync_method"),
        ({"subtitle_language": "de"}, "subtitle_language"),
        ({"subtitle_target_lang": "de"}, "subtitle_target_lang"),
        ({"subtitle_style": "minimal"}, "subtitle_style"),
        ({"whisper_model": "base"}, "whisper_model"),
        ({"dub_target_lang": "de"}, "dub_target_lang"),
        ({"dub_source_lang": "de"}, "dub_source_lang"),
        ({"translate_subtitles": True}, "translate_subtitles"),
        ({"voice_clone": True}, "voice_clone"),
        ({"upscale_factor": 2}, "upscale_factor"),
        ({"fps_multiplier": 2}, "fps_multiplier"),
        ({"depth_method": "midas"}, "depth_method"),
        ({"keyframe_model": "squares"}, "keyframe_model"),
        ({"keyframe_steps": 4}, "keyframe_steps"),
        ({"character_strength": 0.5}, "character_strength"),
        ({"keyframe_identity": "always", "image": PNG}, "keyframe_identity"),
    ],
)
async def test_details_without_their_step_are_told(
    studio: Studio, fields: dict[str, Any], named: str
) -> None:
    answer = await studio.post(**fields)
    assert answer.status_code == 200, answer.text
    assert [text.partition(":")[0] for text in answer.json()["warnings"]] == [named]


async def test_switches_that_are_off_mean_nothing(studio: Studio) -> None:
    answer = await studio.post(
        add_audio=False,
        lip_sync=False,
        generate_subtitles=False,
        burn_subtitles=False,
        translate_subtitles=False,
        dub_video=False,
        voice_clone=False,
        upscale_output=False,
        interpolate_output=False,
        convert_to_3d=False,
        sync_audio=False,
        dialogs=[],
        characters=[],
        character_references=[],
        loras=[],
        cond_frames=[],
        stage="base",
        disable_safety_checker=False,
        user="u",
        surprise=1,
    )
    assert answer.status_code == 200, answer.text
    assert "warnings" not in answer.json()
    assert answer.headers["X-Ignored-Fields"] == "surprise,user"


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"prompt": None}, 400, "invalid_request", "prompt"),
        ({"prompt": "  "}, 400, "invalid_request", "prompt"),
        ({"prompt": 5}, 400, "invalid_request", "prompt"),
        ({"width": 15}, 400, "invalid_request", "width"),
        ({"height": 4097}, 400, "invalid_request", "height"),
        ({"width": "wide"}, 400, "invalid_request", "width"),
        ({"num_frames": 0}, 400, "invalid_request", "num_frames"),
        ({"num_frames": -5}, 400, "invalid_request", "num_frames"),
        ({"num_frames": 20_001}, 400, "invalid_request", "num_frames"),
        ({"num_frames": 2.5}, 400, "invalid_request", "num_frames"),
        ({"fps": 0}, 400, "invalid_request", "fps"),
        ({"fps": 241}, 400, "invalid_request", "fps"),
        ({"num_inference_steps": 0}, 400, "invalid_request", "num_inference_steps"),
        ({"num_inference_steps": 151}, 400, "invalid_request", "num_inference_steps"),
        ({"guidance_scale": 31}, 400, "invalid_request", "guidance_scale"),
        ({"seed": 2**63}, 400, "invalid_request", "seed"),
        ({"n": 0}, 400, "invalid_request", "n"),
        ({"n": 5}, 400, "invalid_request", "n"),
        ({"offload_strategy": "disk"}, 400, "invalid_request", "offload_strategy"),
        ({"response_format": "b64_json"}, 400, "invalid_request", "response_format"),
        ({"mode": "x2v"}, 400, "invalid_request", "mode"),
        ({"strength": 1.5}, 400, "invalid_request", "strength"),
        ({"camera_motion": "up"}, 400, "invalid_request", "camera_motion"),
        ({"num_segments": 0}, 400, "invalid_request", "num_segments"),
        ({"duration_seconds": 0}, 400, "invalid_request", "duration_seconds"),
        ({"quality": "good"}, 400, "invalid_request", "quality"),
        ({"stage": "last"}, 400, "invalid_request", "stage"),
        ({"mode": "i2v"}, 400, "invalid_request", "image"),
        ({"mode": "v2v"}, 400, "invalid_request", "video"),
        ({"mode": "interp", "image": PNG}, 400, "invalid_request", "end_image"),
        ({"end_image": PNG}, 400, "invalid_request", "image"),
        ({"mode": "i2v", "image": PNG, "video": PNG}, 400, "invalid_request", "video"),
        ({"image": PNG, "cond_frames": [PNG]}, 400, "invalid_request", "cond_frames"),
        ({"image": ""}, 400, "invalid_request", "image"),
        ({"image": "!!"}, 400, "invalid_request", "image"),
        ({"image": "file:///etc/passwd"}, 400, "invalid_request", "image"),
        ({"image": "http://127.0.0.1/x.png"}, 400, "invalid_request", "image"),
        ({"image": "/v1/files/nothing.png"}, 404, "not_found", "image"),
        ({"video": PNG}, 400, "invalid_request", "video"),
        ({"image": "a video"}, 400, "invalid_request", "image"),
        ({"cond_frames": ["a video"]}, 400, "invalid_request", "cond_frames[0]"),
        ({"cond_frames": [PNG] * 17}, 400, "invalid_request", "cond_frames"),
        ({"characters": [{"name": "bob"}]}, 400, "invalid_request", "characters[0].images"),
        (
            {"characters": [{"name": "bob", "images": ["a video"]}]},
            400,
            "invalid_request",
            "characters[0].images[0]",
        ),
        ({"character_references": ["a video"]}, 400, "invalid_request", "character_references[0]"),
        ({"character_profiles": ["nobody"]}, 404, "not_found", "character_profiles"),
        ({"character_names": ["nobody"]}, 404, "not_found", "character_names"),
        ({"environment_profiles": ["nowhere"]}, 404, "not_found", "environment_profiles"),
        ({"keyframe_identity": "often"}, 400, "invalid_request", "keyframe_identity"),
        (
            {"keyframe_identity": "always", "keyframe_model": "nothing"},
            404,
            "model_not_found",
            "keyframe_model",
        ),
        (
            {"keyframe_identity": "always", "keyframe_model": "echo"},
            400,
            "unsupported_capability",
            "keyframe_model",
        ),
        ({"audio_type": "noise"}, 400, "invalid_request", "audio_type"),
        ({"tts_speed": 9}, 400, "invalid_request", "tts_speed"),
        ({"dialogs": [{"text": ""}]}, 400, "invalid_request", "dialogs[0].text"),
        (
            {"dialogs": [{"text": "a", "start_time": -1}]},
            400,
            "invalid_request",
            "dialogs[0].start_time",
        ),
        ({"subtitle_style": "loud"}, 400, "invalid_request", "subtitle_style"),
        ({"upscale_factor": 5}, 400, "invalid_request", "upscale_factor"),
        ({"fps_multiplier": 1}, 400, "invalid_request", "fps_multiplier"),
        ({"add_audio": "yes"}, 400, "invalid_request", "add_audio"),
        ({"depth_method": "eyes"}, 400, "invalid_request", "depth_method"),
        ({"model": "nothing"}, 404, "model_not_found", "model"),
        ({"model": "echo"}, 400, "unsupported_capability", "model"),
        ({"num_segments": 2, "num_frames": 21}, 400, "invalid_request", "num_frames"),
    ],
)
async def test_bad_requests(
    studio: Studio,
    tmp_path: Path,
    fields: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    told = _with_videos(fields, tmp_path)
    video = _with_videos({"film": "a video"}, tmp_path)["film"]
    for name in ("cond_frames", "character_references"):
        if told.get(name) == ["a video"]:
            told[name] = [video]
    if param == "characters[0].images[0]":
        told["characters"][0]["images"] = [video]
    answer = await studio.post(**told)
    assert answer.status_code == status, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)
    assert studio.video.asked == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"image": base64.b64encode(b"\x89PNG\r\n\x1a\nbroken").decode()}, "image"),
        ({"video": base64.b64encode(b"\x00\x00\x00\x18ftypisom" + bytes(99)).decode()}, "video"),
        ({"num_frames": 15_000, "image": PNG}, "num_frames"),
        ({"duration_seconds": 3000, "image": PNG}, "duration_seconds"),
    ],
)
async def test_what_only_the_work_finds_out_names_the_field_too(
    studio: Studio, fields: dict[str, Any], param: str
) -> None:
    answer = await studio.post(model="camera-moves", **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_stage_that_fails_is_named(studio: Studio) -> None:
    studio.video.fails_with = BackendUnavailable("the model is gone", provider="lights")
    answer = await studio.post(keyframe_identity="always")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "stage 'generate': the model is gone"


async def test_without_the_pipeline_it_is_out_of_service(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        answer = await client.post(URL, json=SMALL)
    assert answer.status_code == 503
    assert "video-generation" in answer.json()["error"]["message"]


async def test_without_a_video_model_it_is_out_of_service(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] != "video"]
    async with client_of(make_context(families=families, pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json=SMALL)
    assert answer.status_code == 503
    assert "video" in answer.json()["error"]["message"]


async def test_models_tell_what_they_can_make(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        entries = {e["id"]: e for e in (await client.get("/v1/models?type=video")).json()["data"]}
        capabilities = (await client.get("/coderai/capabilities")).json()
    assert entries.keys() == {"lights", "camera-moves", "flow"}
    lights, moves = entries["lights"], entries["camera-moves"]
    assert lights["capabilities"] == ["video_generation"]
    assert moves["capabilities"] == ["video_generation", "image_to_video"]
    assert lights["video"] == {
        "family": "fake",
        "modes": ["t2v", "i2v", "ti2v", "v2v"],
        "native_fps": 8.0,
        "frame_base": 1,
        "frame_step": 4,
        "min_frames": 1,
        "max_frames": 33,
        "max_frames_per_render": 17,
        "segment_frames": 9,
        "cond_frames": 1,
        "side_multiple": 16,
        "continuation": "chained",
    }
    # Known before it is loaded.
    assert moves["loaded"] is False
    assert moves["video"]["family"] == "camera_moves"
    assert moves["video"]["continuation"] == "native"
    assert "video" not in lights["status"]
    assert "v1/video/generations" in capabilities["studio"]["endpoints"]
