"""POST /v1/pipelines/story over the shipped fakes."""

import base64
from typing import Any

import httpx
import pytest

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.api.test_jobs import refused
from tests.images import data_url, png

URL = "/v1/pipelines/story"
PIPELINES = [{"name": "story"}]
TALE = "A red fox finds a lantern. It carries the lantern home. The forest glows all night."
SMALL = {"image_size": "64x64", "num_frames": 5, "seed": 3}


async def told(make_context: MakeContext, **fields: Any) -> httpx.Response:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        return await client.post(URL, json={"story": TALE} | SMALL | fields)


@pytest.mark.covers("CoderAI: POST /v1/pipelines/story")
async def test_the_whole_answer(make_context: MakeContext) -> None:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json={"story": TALE} | SMALL)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        # The fake says the request back, which is no script.
        assert body.keys() == {"created", "pipeline", "steps", "data", "warnings"}
        assert "wrote no usable script" in body["warnings"][0]
        assert [step["step"] for step in body["steps"]] == [
            "script",
            "images",
            "video",
            "tts",
            "film",
        ]
        script, images, video, tts, clip = body["steps"]
        # The story's own sentences stand for both; all is seen where the story begins.
        assert script["scenes"] == [
            {"line": sentence, "picture": sentence + begun}
            for sentence, begun in (
                ("A red fox finds a lantern.", ""),
                ("It carries the lantern home.", " A red fox finds a lantern."),
                ("The forest glows all night.", " A red fox finds a lantern."),
            )
        ]
        assert script["text"].splitlines() == [scene["line"] for scene in script["scenes"]]
        [item] = body["data"]
        assert item["image_urls"] == images["urls"]
        assert len(set(images["urls"])) == 3
        assert (item["video_url"], item["audio_url"], item["film_url"]) == (
            video["url"],
            tts["url"],
            clip["url"],
        )
        kinds = {"image_urls": "image/png", "video_url": "video/mp4", "audio_url": "audio/wav"}
        for key, mime in kinds.items():
            url = item[key][0] if key == "image_urls" else item[key]
            assert (await client.get(url)).headers["content-type"] == mime
        archive = (await client.get("/v1/archive", params={"operation": "pipeline.story"})).json()
        assert archive["total"] == len({*item["image_urls"], item["video_url"], item["audio_url"]})
        assert {entry["prompt"] for entry in archive["files"]} == {TALE}
        job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
        assert [stage["name"] for stage in job["stages"]] == [
            *("script", "picture-1", "picture-2", "picture-3", "narration", "animate-1", "film")
        ]
        assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
        assert all(stage["seconds"] >= 0 for stage in job["stages"])
        assert (job["progress"]["percent"], job["result"]) == (100.0, body)


async def test_every_scene_moves_if_asked_and_nobody_speaks(make_context: MakeContext) -> None:
    answer = await told(make_context, animate="all", num_scenes=2, narrate=False, tts_voice="x")
    body = answer.json()
    assert answer.headers["x-ignored-fields"] == "tts_voice"
    [item] = body["data"]
    assert len(item["video_urls"]) == 2
    assert item["audio_url"] is None
    assert [step["step"] for step in body["steps"]] == ["script", "images", "video", "film"]


async def test_files_as_data_urls(make_context: MakeContext) -> None:
    [item] = (await told(make_context, response_format="b64_mp4")).json()["data"]
    assert item["image_urls"][0].startswith("data:image/png;base64,")
    head, _, data = item["video_url"].partition(",")
    assert head == "data:video/mp4;base64"
    assert base64.b64decode(data)[4:8] == b"ftyp"


async def test_a_voice_that_does_not_exist_is_told_in_its_step(make_context: MakeContext) -> None:
    answer = await told(make_context, tts_voice="nobody")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    step = next(step for step in body["steps"] if step["step"] == "tts")
    assert step["url"] is None
    assert "nobody" in step["error"]
    assert step["error"] in body["warnings"]


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"story": None}, 400, "invalid_request", "story"),
        ({"story": ""}, 400, "invalid_request", "story"),
        ({"story": " \n"}, 400, "invalid_request", "story"),
        ({"story": "x" * 20_001}, 400, "invalid_request", "story"),
        ({"story": 5}, 400, "invalid_request", "story"),
        ({"text_model": "nobody"}, 404, "model_not_found", "text_model"),
        ({"text_model": "squares"}, 400, "unsupported_capability", "text_model"),
        ({"image_model": "nobody"}, 404, "model_not_found", "image_model"),
        ({"video_model": "nobody"}, 404, "model_not_found", "video_model"),
        ({"tts_model": "nobody"}, 404, "model_not_found", "tts_model"),
        ({"tts_voice": ""}, 400, "invalid_request", "tts_voice"),
        ({"num_scenes": 0}, 400, "invalid_request", "num_scenes"),
        ({"num_scenes": 7}, 400, "invalid_request", "num_scenes"),
        ({"num_frames": 0}, 400, "invalid_request", "num_frames"),
        ({"fps": 0}, 400, "invalid_request", "fps"),
        ({"fps": 240}, 400, "invalid_request", "fps"),
        ({"animate": "none"}, 400, "invalid_request", "animate"),
        ({"image_size": "64"}, 400, "invalid_request", "image_size"),
        ({"image_size": "10x10"}, 400, "invalid_request", "image_size"),
        ({"image_steps": 0}, 400, "invalid_request", "image_steps"),
        ({"image_cfg": 31}, 400, "invalid_request", "image_cfg"),
        ({"character_profiles": ["nobody"]}, 404, "not_found", "character_profiles"),
        ({"environment_profiles": ["nowhere"]}, 404, "not_found", "environment_profiles"),
        ({"character_references": ["x"]}, 400, "invalid_request", "character_references[0]"),
        ({"character_strength": 2}, 400, "invalid_request", "character_strength"),
        ({"response_format": "b64_json"}, 400, "invalid_request", "response_format"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    refused(await told(make_context, **fields), status, code, param)


async def test_a_model_that_follows_no_references_fails_before_it_wastes_a_video(
    make_context: MakeContext,
) -> None:
    answer = await told(make_context, character_references=[data_url(png())])
    message = refused(answer, 400, "unsupported_capability", "character_references")
    assert "picture-1" in message


async def test_where_it_is_not_configured(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        refused(await client.post(URL, json={"story": TALE}), 503, "backend_unavailable", None)


async def test_without_a_video_model(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] != "video"]
    async with client_of(make_context(pipelines=PIPELINES, families=families)) as client:
        answer = await client.post(URL, json={"story": TALE})
    refused(answer, 503, "backend_unavailable", "model")
