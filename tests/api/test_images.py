"""POST /v1/images/generations over the fake engine, whose images follow from prompt and seed."""

import asyncio
import base64
import io
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from PIL import Image

from serve_app.api.app import create_app
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import data_url, png

URL = "/v1/images/generations"
SMALL = {"prompt": "a red boat", "size": "64x64", "seed": 7}


async def generated(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(URL, json=SMALL | fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def images(client: httpx.AsyncClient, **fields: Any) -> list[Image.Image]:
    body = await generated(client, response_format="b64_json", **fields)
    return [Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))) for item in body["data"]]


@pytest.mark.covers("CoderAI: POST /v1/images/generations")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    body = await generated(client)
    assert body.keys() == {"created", "data", "prompt_cache_hit"}
    assert isinstance(body["created"], int)
    assert body["prompt_cache_hit"] is False
    [item] = body["data"]
    assert item.keys() == {"url", "seed"}
    assert item["seed"] == 7
    file = await client.get(item["url"])
    assert file.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(file.content)).size == (64, 64)


async def test_image_i_is_drawn_from_the_seed_plus_i(client: httpx.AsyncClient) -> None:
    body = await generated(client, n=3, response_format="b64_json")
    assert [item["seed"] for item in body["data"]] == [7, 8, 9]
    [second] = (await generated(client, seed=8, response_format="b64_json"))["data"]
    assert body["data"][1] == second
    assert len({item["b64_json"] for item in body["data"]}) == 3


async def test_without_a_seed_the_answer_says_which_was_drawn(client: httpx.AsyncClient) -> None:
    [first], [second] = [(await generated(client, seed=None))["data"] for _ in range(2)]
    assert first["seed"] != second["seed"]


@pytest.mark.parametrize("form", ["b64_json", "base64", "b64"])
@pytest.mark.covers("CoderAI: outputs as url, b64_json, b64_mp4, b64_wav or b64_mp3")
async def test_the_image_inside_the_answer(client: httpx.AsyncClient, form: str) -> None:
    [item] = (await generated(client, response_format=form))["data"]
    assert item.keys() == {"b64_json", "seed"}
    assert base64.b64decode(item["b64_json"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
async def test_every_format_and_what_is_written_into_it(
    client: httpx.AsyncClient, name: str
) -> None:
    [image] = await images(client, output_format=name, negative_prompt="grün")
    assert image.format == name.upper()
    if name == "png":
        text = image.info["parameters"]
    else:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
        text = comment.removeprefix(b"UNICODE\0").decode("utf-16-be")
    first, second, pairs = text.split("\n")
    assert (first, second) == ("a red boat", "Negative prompt: grün")
    assert pairs == "Steps: 4, Seed: 7, Size: 64x64, Model: squares"


@pytest.mark.parametrize("letter", ["x", "🜂"])
async def test_the_longest_prompts_fit_into_every_format(
    client: httpx.AsyncClient, letter: str
) -> None:
    long = letter * 32_000
    for name in ("png", "jpeg", "webp"):
        [image] = await images(client, prompt=long, negative_prompt=long, output_format=name)
        assert image.format == name.upper()
        if name == "jpeg":
            comment = image.getexif().get_ifd(0x8769)[0x9286]
            text = comment.removeprefix(b"UNICODE\0").decode("utf-16-be")
            assert text.startswith(letter * 10_000)
            assert text.endswith("\nSteps: 4, Seed: 7, Size: 64x64, Model: squares")


async def test_more_compression_is_a_smaller_file(client: httpx.AsyncClient) -> None:
    sizes = []
    for quality in (5, 95):
        fields = {"output_format": "jpeg", "output_compression": quality, "size": "128x128"}
        [item] = (await generated(client, response_format="b64_json", **fields))["data"]
        sizes.append(len(item["b64_json"]))
    assert sizes[0] < sizes[1]


async def test_compression_of_what_loses_nothing_is_reported(client: httpx.AsyncClient) -> None:
    for fields, ignored in (
        ({"output_compression": 5}, "output_compression"),
        ({"output_compression": 5, "output_format": "png"}, "output_compression"),
        ({"output_compression": 5, "output_format": "webp"}, None),
    ):
        answer = await client.post(URL, json=SMALL | fields)
        assert answer.headers.get("x-ignored-fields") == ignored


@pytest.mark.parametrize(
    ("asked", "size"),
    [("auto", (512, 512)), (None, (1024, 1024)), ("128x64", (128, 64)), ("64X72", (64, 72))],
)
async def test_sizes(client: httpx.AsyncClient, asked: str | None, size: tuple[int, int]) -> None:
    body = await generated(client, size=asked)
    assert "warnings" not in body
    [image] = await images(client, size=asked)
    assert image.size == size


async def test_a_size_between_the_models_steps_is_rounded_and_said_so(
    client: httpx.AsyncClient,
) -> None:
    body = await generated(client, size="101x99")
    assert body["warnings"] == ["size: rounded to 104x96, a multiple of 8"]
    [image] = await images(client, size="101x99")
    assert image.size == (104, 96)


async def test_every_image_is_in_the_archive(client: httpx.AsyncClient) -> None:
    body = await generated(
        client, n=2, negative_prompt="rain", tag="boats", response_format="b64_json"
    )
    files = (await client.get("/v1/archive?tag=boats")).json()["files"]
    assert len(files) == len(body["data"]) == 2
    for file in files:
        assert (file["type"], file["mime"]) == ("image", "image/png")
        assert (file["prompt"], file["negative_prompt"]) == ("a red boat", "rain")
        assert (file["width"], file["height"]) == (64, 64)
        assert (file["model"], file["operation"]) == ("squares", "image.generation")
        assert file["parameters"]["size"] == {"width": 64, "height": 64}
        assert "max_pixels" not in file["parameters"]
    assert {file["seed"] for file in files} == {7, 8}
    while not all(file["preview_url"] for file in files):
        await asyncio.sleep(0.05)
        files = (await client.get("/v1/archive?tag=boats")).json()["files"]
    for file in files:
        preview = await client.get(file["preview_url"])
        assert (preview.status_code, preview.headers["content-type"]) == (200, "image/webp")


async def test_a_job_that_nobody_waits_for(client: httpx.AsyncClient) -> None:
    fields = SMALL | {"async": True, "ref_id": "boat-1", "n": 2, "priority": 3}
    answer = await client.post(URL, json=fields)
    assert answer.status_code == 202, answer.text
    async with asyncio.timeout(60):
        while (job := (await client.get(answer.json()["url"])).json())["finished_at"] is None:
            await asyncio.sleep(0.02)
    assert (job["status"], job["operation"]) == ("succeeded", "image.generation")
    assert (job["ref_id"], job["model"]) == ("boat-1", "squares")
    assert [item["seed"] for item in job["result"]["data"]] == [7, 8]
    assert job["progress"]["percent"] == 100
    again = await client.post(URL, json=fields)
    assert again.status_code == 409


async def test_what_has_no_effect_is_named(client: httpx.AsyncClient) -> None:
    fields = {"style": "vivid", "background": "auto", "moderation": "low", "user": "me", "x": 1}
    fields |= {"character_strength": 0.5, "quality": "hd", "disable_safety_checker": True}
    answer = await client.post(URL, json=SMALL | fields)
    assert answer.status_code == 200
    ignored = answer.headers["x-ignored-fields"].split(",")
    assert {*ignored} == {"style", "background", "moderation", "user", "x", "character_strength"}


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"prompt": None}, 400, "invalid_request", "prompt"),
        ({"prompt": "  "}, 400, "invalid_request", "prompt"),
        ({"n": 0}, 400, "invalid_request", "n"),
        ({"n": 11}, 400, "invalid_request", "n"),
        ({"size": "big"}, 400, "invalid_request", "size"),
        ({"size": "63x64"}, 400, "invalid_request", "size"),
        ({"size": "64x4097"}, 400, "invalid_request", "size"),
        ({"steps": 0}, 400, "invalid_request", "steps"),
        ({"steps": 151}, 400, "invalid_request", "steps"),
        ({"guidance_scale": 31}, 400, "invalid_request", "guidance_scale"),
        ({"quality": "best"}, 400, "invalid_request", "quality"),
        ({"seed": 2**63 - 1}, 400, "invalid_request", "seed"),
        ({"output_format": "gif"}, 400, "invalid_request", "output_format"),
        ({"output_compression": 101}, 400, "invalid_request", "output_compression"),
        ({"response_format": "b64_wav"}, 400, "invalid_request", "response_format"),
        ({"scheduler": "magic"}, 400, "invalid_request", "scheduler"),
        ({"loras": [{"id": "name:x"}]}, 400, "unsupported_capability", "loras"),
        ({"vae_model": "x"}, 400, "unsupported_capability", "vae_model"),
        ({"character_profiles": ["anna"]}, 404, "not_found", "character_profiles"),
        ({"environment_profiles": ["sea"]}, 404, "not_found", "environment_profiles"),
        ({"character_references": ["x"]}, 400, "invalid_request", "character_references[0]"),
        (
            {"character_references": [data_url(png())]},
            400,
            "unsupported_capability",
            "character_references",
        ),
        ({"loras": [{}]}, 400, "invalid_request", "loras[0]"),
        ({"loras": [{"data": data_url(b"weights")}]}, 400, "unsupported_capability", "loras"),
        ({"loras": [{"model": "some/lora"}]}, 400, "unsupported_capability", "loras"),
        ({"loras": [{"id": "sha256:" + 64 * "0"}]}, 400, "invalid_request", "loras[0]"),
        ({"loras": [{"model": "../secret"}]}, 400, "invalid_request", "loras[0]"),
        ({"loras": [{"id": "x"}]}, 400, "invalid_request", "loras[0]"),
        ({"loras": [{"path": "/etc/passwd"}]}, 400, "invalid_request", "loras[0]"),
        ({"loras": [{"id": "name:x", "weight": 11}]}, 400, "invalid_request", "loras[0].weight"),
        ({"model": "nothing"}, 404, "model_not_found", "model"),
        ({"model": "echo"}, 400, "unsupported_capability", "model"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = await client.post(URL, json=SMALL | fields)
    assert answer.status_code == status, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


@pytest.mark.parametrize("kind", ["character", "environment"])
async def test_saved_profiles_are_references_which_the_model_must_take(
    client: httpx.AsyncClient, kind: str
) -> None:
    images = [{"data": data_url(png())}]
    await client.post(f"/v1/{kind}s", json={"name": "ann", "images": images})
    answer = await client.post(URL, json=SMALL | {f"{kind}_profiles": ["ann"]})
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", f"{kind}_profiles")
    assert "character_strength" not in answer.headers.get("x-ignored-fields", "")


async def test_without_an_image_model_it_is_out_of_service(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] != "images"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post(URL, json=SMALL)
    assert answer.status_code == 503
    assert "image" in answer.json()["error"]["message"]


async def test_the_openai_package(make_context: MakeContext) -> None:
    transport = httpx.ASGITransport(create_app(make_context()))
    async with httpx.AsyncClient(transport=transport) as http:
        openai = AsyncOpenAI(api_key="-", base_url="http://127.0.0.1:8000/v1", http_client=http)
        answer = await openai.images.generate(
            prompt="a red boat", n=2, size="256x256", quality="low", response_format="b64_json"
        )
    assert answer.data is not None
    for item in answer.data:
        assert item.b64_json is not None
        image = Image.open(io.BytesIO(base64.b64decode(item.b64_json)))
        assert image.size == (256, 256)
