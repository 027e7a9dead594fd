"""The image requests that Velesio documents, with its Bearer tokens."""

import json
from typing import Any

import pytest

from tests.api.conftest import MakeContext, client_of
from tests.sdapi import SD, base64_png, opened

TOKENS = {"auth": {"required": True}, "environment": {"API_TOKENS": "sk-one"}}
BEARER = {"Authorization": "Bearer sk-one"}
TXT2IMG: dict[str, Any] = {
    "prompt": "a castle at sunset",
    "negative_prompt": "blurry",
    "width": 96,
    "height": 64,
    "steps": 3,
    "cfg_scale": 7.5,
    "sampler_name": "Euler a",
    "seed": 42,
    "batch_size": 2,
    "n_iter": 2,
}
IMG2IMG: dict[str, Any] = {
    "prompt": "a castle at night",
    "denoising_strength": 0.6,
    "width": 64,
    "height": 64,
    "steps": 3,
    "cfg_scale": 7,
}


@pytest.mark.covers("Velesio: POST /sdapi/v1/txt2img, ten fields")
async def test_ten_fields_are_honoured(make_context: MakeContext) -> None:
    async with client_of(make_context(**TOKENS)) as client:
        answer = await client.post(f"{SD}/txt2img", json=TXT2IMG, headers=BEARER)
        body = answer.json()
        job = await client.get(f"/v1/jobs/{answer.headers['x-job-id']}", headers=BEARER)
    assert [opened(image).size for image in body["images"]] == [(96, 64)] * 4
    assert {name: body["parameters"][name] for name in TXT2IMG} == TXT2IMG
    info = json.loads(body["info"])
    same = ("prompt", "negative_prompt", "steps", "cfg_scale", "sampler_name", "seed")
    assert {name: info[name] for name in same} == {name: TXT2IMG[name] for name in same}
    assert info["all_seeds"] == [42, 43, 44, 45]
    assert job.json()["status"] == "succeeded"


@pytest.mark.covers("Velesio: POST /sdapi/v1/img2img, seven fields")
async def test_seven_fields_are_honoured(make_context: MakeContext) -> None:
    sent = IMG2IMG | {"init_images": [base64_png()]}
    async with client_of(make_context(**TOKENS)) as client:
        body = (await client.post(f"{SD}/img2img", json=sent, headers=BEARER)).json()
    assert [opened(image).size for image in body["images"]] == [(64, 64)]
    assert {name: body["parameters"][name] for name in IMG2IMG} == IMG2IMG
    assert json.loads(body["info"])["denoising_strength"] == 0.6


async def test_what_is_left_out_has_its_documented_default(make_context: MakeContext) -> None:
    async with client_of(make_context(**TOKENS)) as client:
        answer = await client.post(f"{SD}/txt2img", json={"prompt": ""}, headers=BEARER)
    found = answer.json()["parameters"]
    defaults = {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7.5, "batch_size": 1}
    defaults |= {"sampler_name": "Euler a", "scheduler": "automatic", "denoising_strength": 0.7}
    defaults |= {"eta": 1.0, "subseed_strength": 0, "n_iter": 1, "enable_hr": False}
    assert {name: found[name] for name in defaults} == defaults
