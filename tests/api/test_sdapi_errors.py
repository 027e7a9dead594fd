"""What the Automatic1111 dialect refuses, and its credentials."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import claiming_png, png
from tests.sdapi import QUICK, SD, base64_png, refused

TOKENS = {"auth": {"required": True}, "environment": {"API_TOKENS": "sk-one"}}
HUGE = [10**400, "9" * 5000, 1e308, -(10**30), "1e999"]
BAD_FIELDS = [
    ("prompt", 5),
    ("prompt", "x" * 32_001),
    ("prompt", "\ud800"),
    ("width", 63),
    ("width", 4097),
    ("height", "tall"),
    ("steps", 0),
    ("steps", 151),
    ("steps", 1.5),
    ("steps", True),
    ("cfg_scale", 31),
    ("cfg_scale", "nan"),
    ("seed", "seven"),
    ("subseed_strength", 2),
    ("batch_size", 9),
    ("batch_size", 0),
    ("n_iter", 101),
    ("denoising_strength", -0.1),
    ("styles", "ink"),
    ("styles", [1]),
    ("tiling", "perhaps"),
    ("enable_hr", "perhaps"),
    ("eta", -1),
    ("s_churn", []),
    ("override_settings", "x"),
    ("force_task_id", "task()"),
    ("force_task_id", "task(1))"),
    ("force_task_id", "task(a b)"),
    ("force_task_id", 12),
    ("force_task_id", "12"),
    ("script_name", "X/Y/Z plot"),
    ("alwayson_scripts", {"ControlNet": {"args": [{"image": "x"}]}}),
    ("alwayson_scripts", {"ADetailer": [True]}),
]


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    return await client.post(f"{SD}/{path}", json=body)


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
async def test_fields_that_cannot_be(client: httpx.AsyncClient, name: str, value: Any) -> None:
    content = json.dumps(QUICK | {name: value})
    for path in ("txt2img", "img2img"):
        sent = json.dumps(json.loads(content) | {"init_images": [base64_png()]})
        if (path, name) == ("img2img", "enable_hr"):
            continue
        answer = await client.post(f"{SD}/{path}", content=sent)
        assert name in refused(answer, 400, "invalid_request")["errors"]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("name", ["width", "steps", "cfg_scale", "seed", "n_iter", "s_churn"])
async def test_enormous_numbers(client: httpx.AsyncClient, name: str, value: Any) -> None:
    number = f'"{value}"' if isinstance(value, str) else repr(value)
    content = f'{{"prompt": "x", "{name}": {number}}}'
    answer = await client.post(f"{SD}/txt2img", content=content)
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    ("fields", "detail", "listed"),
    [
        ({"sampler_name": "nobody"}, "Sampler not found", "Euler a"),
        ({"scheduler": "nobody"}, "Scheduler not found", "karras"),
        ({"enable_hr": True, "hr_upscaler": "nobody"}, "Upscaler not found", "Lanczos"),
        ({"enable_hr": True, "hr_sampler_name": "nobody"}, "Sampler not found", "Euler a"),
    ],
)
async def test_unknown_names_are_not_found(
    client: httpx.AsyncClient, fields: dict[str, Any], detail: str, listed: str
) -> None:
    body = refused(await post(client, "txt2img", **QUICK, **fields), 404, "not_found")
    assert body["detail"] == detail
    assert listed in body["errors"]


async def test_scripts_are_not_found(client: httpx.AsyncClient) -> None:
    answer = await post(client, "txt2img", **QUICK, script_name="Prompt matrix")
    assert refused(answer, 400, "invalid_request")["detail"] == "Script not found"
    fine = {"script_name": "", "script_args": [], "alwayson_scripts": {"ControlNet": {"args": []}}}
    assert (await post(client, "txt2img", **QUICK, **fine)).status_code == 200


@pytest.mark.parametrize("images", [None, [], [""]])
async def test_sources_must_be_there(client: httpx.AsyncClient, images: Any) -> None:
    answer = await post(client, "img2img", **QUICK, init_images=images)
    assert refused(answer, 400, "invalid_request")["detail"] == "Init image not found"


@pytest.mark.parametrize(
    "image",
    [
        "%%%",
        base64.b64encode(b"no image").decode(),
        base64_png()[:-7],
        "http://127.0.0.1/x.png",
        "/etc/passwd",
    ],
)
@pytest.mark.parametrize("path", ["img2img", "extra-single-image", "png-info", "interrogate"])
async def test_images_that_are_none(client: httpx.AsyncClient, path: str, image: str) -> None:
    fields = QUICK | {"init_images": [image]} if path == "img2img" else {"image": image}
    refused(await post(client, path, **fields), 400, "invalid_request")


@pytest.mark.parametrize("path", ["img2img", "extra-single-image", "png-info"])
async def test_images_that_are_too_large(client: httpx.AsyncClient, path: str) -> None:
    image = base64.b64encode(claiming_png()).decode()
    fields = QUICK | {"init_images": [image]} if path == "img2img" else {"image": image}
    answer = await post(client, path, **fields)
    body = refused(answer, 413, "payload_too_large")
    assert body["errors"] == ("init_images" if path == "img2img" else "image")


async def test_a_mask_that_cannot_be_decoded(client: httpx.AsyncClient) -> None:
    mask = base64.b64encode(claiming_png()).decode()
    sent = QUICK | {"init_images": [base64_png()], "mask": mask}
    body = refused(await post(client, "img2img", **sent), 413, "payload_too_large")
    assert body["errors"] == "mask"


@pytest.mark.parametrize("content", [b"{", b"[]", b"5", b"\xff", b"", b'"x"', b"null"])
@pytest.mark.parametrize("path", ["txt2img", "img2img", "extra-single-image", "png-info"])
async def test_bodies_that_are_none(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
        answer = await client.post(f"{SD}/{path}", content=content, headers=headers)
        refused(answer, 400, "invalid_request")


async def test_a_body_needs_no_type(client: httpx.AsyncClient) -> None:
    content = b'{"prompt": "a boat", "width": 64, "height": 64, "steps": 1}'
    answer = await client.post(f"{SD}/txt2img", content=content, headers={"Content-Type": ""})
    assert answer.status_code == 200, answer.text


async def test_routes_that_there_are_not(client: httpx.AsyncClient) -> None:
    refused(await client.get(f"{SD}/nothing"), 404, "not_found")
    answer = await client.get(f"{SD}/txt2img")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    for path in ("/controlnet/version", "/rembg", "/sam/heartbeat", "/tagger/v1/interrogators"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.covers("Automatic1111: Basic credentials")
@pytest.mark.parametrize(
    "credential", ["anybody:sk-one", ":sk-one", "sk-one"], ids=["both", "password", "alone"]
)
async def test_basic_credentials_are_taken(make_context: MakeContext, credential: str) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(credential.encode()).decode()}
    async with client_of(make_context(**TOKENS)) as client:
        assert (await client.get(f"{SD}/options", headers=basic)).status_code == 200
        bearer = {"Authorization": "Bearer sk-one"}
        assert (await client.get(f"{SD}/options", headers=bearer)).status_code == 200


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", "Bearer wrong", "Basic d3Jvbmc="])
async def test_basic_is_offered(make_context: MakeContext, header: str) -> None:
    async with client_of(make_context(**TOKENS)) as client:
        answer = await client.get(f"{SD}/options", headers={"Authorization": header})
    refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Basic realm="sd", Bearer'


@pytest.mark.covers("Automatic1111: the error object, and Velesio's")
async def test_velesios_shape_can_be_chosen(make_context: MakeContext) -> None:
    velesio = {"error_style": "velesio"}
    async with client_of(make_context(sdapi=velesio, **TOKENS)) as client:
        answers = [
            (await client.get(f"{SD}/options"), 401, "unauthorized"),
            (await client.get(f"{SD}/nothing", headers={"X-Api-Key": "sk-one"}), 404, "not_found"),
        ]
    for answer, status, code in answers:
        assert answer.status_code == status
        body = answer.json()
        assert body.keys() == {"error", "detail"}
        assert body["error"].keys() == {"code", "message", "details"}
        assert (body["error"]["code"], body["error"]["message"]) == (code, body["detail"])


async def test_rates_have_the_shape_of_the_path(make_context: MakeContext) -> None:
    rates = {"inference": {"default": {"requests_per_minute": 1}}}
    async with client_of(make_context(limits={"rates": rates}, **TOKENS)) as client:
        headers = {"Authorization": "Bearer sk-one"}
        assert (await client.get(f"{SD}/options", headers=headers)).status_code == 200
        answer = await client.get(f"{SD}/options", headers=headers)
        refused(answer, 429, "rate_limit_exceeded")
        assert int(answer.headers["retry-after"]) >= 1
        # Polling has a rate of its own.
        assert (await client.get(f"{SD}/progress", headers=headers)).status_code == 200


async def test_a_full_queue_says_when_to_come_back(make_context: MakeContext) -> None:
    narrow = [
        family
        | {"options": family["options"] | {"delay_s": 2}, "placement": {"max_ongoing_requests": 1}}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    async with client_of(make_context(families=narrow, limits={"max_pending": 1})) as client:
        calls = [asyncio.create_task(post(client, "txt2img", **QUICK)) for _ in range(3)]
        answers = await asyncio.gather(*calls)
    (answer,) = (answer for answer in answers if answer.status_code != 200)
    refused(answer, 503, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_body_that_is_too_large(make_context: MakeContext) -> None:
    async with client_of(make_context(limits={"base64_bytes": 1000})) as client:
        image = base64.b64encode(png() + bytes(2000)).decode()
        answer = await post(client, "img2img", **QUICK, init_images=[image])
    refused(answer, 413, "payload_too_large")


async def test_a_name_of_a_megabyte_is_none(client: httpx.AsyncClient) -> None:
    answer = await post(client, "txt2img", **QUICK, force_task_id="a" * 3_000_000)
    assert "force_task_id" in refused(answer, 400, "invalid_request")["errors"]


async def test_a_request_that_takes_too_long_names_its_job(make_context: MakeContext) -> None:
    slow = [
        family | {"options": family["options"] | {"delay_s": 1}}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    limits = {"sync_timeout_s": {"automatic1111": 0.05}}
    async with client_of(make_context(families=slow, jobs=limits)) as client:
        answer = await post(client, "txt2img", **QUICK)
        body = refused(answer, 504, "timeout")
        assert body["errors"] == answer.headers["x-job-id"]
        assert (await client.get(f"/v1/jobs/{body['errors']}")).status_code == 200


async def test_what_bots_ask_for_at_their_start(client: httpx.AsyncClient) -> None:
    assert (await client.head("/")).status_code < 500
    config = await client.get("/config")
    assert config.status_code == 404
    assert config.json()
