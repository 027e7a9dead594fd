"""POST /sdapi/v1/txt2img and img2img over the fake engine."""

import json
from typing import Any

import httpx
import pytest
from PIL import ImageChops

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.sdapi import QUICK, SD, base64_png, encoded_png, info_of, opened

STYLES = [{"name": "ink", "prompt": "ink drawing of {prompt}", "negative_prompt": "colour"}]
WITH_LORAS = [
    family | {"options": family["options"] | {"loras": {"film": "f"}, "vaes": {"soft": "s"}}}
    if family["name"] == "images"
    else family
    for family in FAMILIES
]


async def made(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    answer = await client.post(f"{SD}/txt2img", json=QUICK | fields)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.covers("Automatic1111: POST /sdapi/v1/txt2img")
async def test_a_prompt_becomes_an_image(client: httpx.AsyncClient) -> None:
    answer = await made(client)
    body = answer.json()
    assert body.keys() == {"images", "parameters", "info"}
    assert answer.headers["x-job-id"].startswith("job-")
    image = opened(body["images"][0])
    assert (image.format, image.size) == ("PNG", (64, 64))
    info = json.loads(body["info"])
    assert image.info["parameters"] == info["infotexts"][0]
    assert info["infotexts"][0].startswith(
        "a boat\nSteps: 2, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.5, Seed: 7, "
        f"Size: 64x64, Model hash: {info['sd_model_hash']}, Model: squares, "
    )
    assert body["parameters"]["seed"] == info["seed"] == 7
    assert body["parameters"]["sampler_name"] == "Euler a"


async def test_every_image_has_a_seed_of_its_own(client: httpx.AsyncClient) -> None:
    answer = await made(client, batch_size=2, n_iter=2)
    info = info_of(answer)
    assert len(answer.json()["images"]) == 4
    assert info["all_seeds"] == [7, 8, 9, 10]
    for seed, text in zip(info["all_seeds"], info["infotexts"], strict=True):
        assert f"Seed: {seed}," in text
    again = await made(client, seed=9)
    first, second = (
        opened(text) for text in (answer.json()["images"][2], again.json()["images"][0])
    )
    assert ImageChops.difference(first, second).getbbox() is None


@pytest.mark.parametrize("seed", [-1, None, "-1"])
async def test_a_seed_that_is_left_open_is_told(client: httpx.AsyncClient, seed: Any) -> None:
    body = (await made(client, seed=seed)).json()
    assert body["parameters"]["seed"] == json.loads(body["info"])["seed"] >= 0


async def test_nulls_numeric_texts_and_unknown_fields(client: httpx.AsyncClient) -> None:
    sent = {"steps": "3", "cfg_scale": "7", "width": 64.0, "styles": None, "negative_prompt": None}
    sent |= {"refiner_checkpoint": None, "comments": {}, "api_key": "secret", "sampler_name": None}
    answer = await made(client, **sent, sampler_index="Euler")
    parameters = answer.json()["parameters"]
    assert (parameters["steps"], parameters["cfg_scale"]) == (3, 7.0)
    assert "api_key" not in parameters
    assert "secret" not in answer.text
    assert info_of(answer)["sampler_name"] == "Euler"


async def test_the_second_pass_is_not_looked_at_unless_it_is_wanted(
    client: httpx.AsyncClient,
) -> None:
    odd = {"hr_scale": "x", "hr_upscaler": 5, "firstphase_width": -1, "hr_prompt": []}
    assert len((await made(client, **odd)).json()["images"]) == 1
    answer = await client.post(f"{SD}/txt2img", json=QUICK | odd | {"enable_hr": True})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (128, 128)),
        ({"hr_scale": 1.5}, (96, 96)),
        ({"hr_resize_x": 128, "hr_resize_y": 64}, (128, 64)),
        ({"hr_resize_x": 128}, (128, 128)),
        (
            {"width": 128, "height": 128, "firstphase_width": 64, "firstphase_height": 64},
            (128, 128),
        ),
        ({"hr_upscaler": "None", "hr_sampler_name": "Euler", "hr_scheduler": "Karras"}, (128, 128)),
        ({"hr_upscaler": "repeater", "hr_checkpoint_name": "Use same checkpoint"}, (128, 128)),
        ({"hr_upscaler": "latent (nearest-exact)"}, (128, 128)),
    ],
)
async def test_a_second_pass_makes_images_larger(
    client: httpx.AsyncClient, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    answer = await made(client, enable_hr=True, **fields)
    assert opened(answer.json()["images"][0]).size == size
    assert "Hires upscaler" in info_of(answer)["extra_generation_params"]


async def test_variations_tiling_and_details(client: httpx.AsyncClient) -> None:
    answer = await made(
        client, subseed=5, subseed_strength=0.5, tiling=True, eta=0.5, s_churn=1, s_tmax=10
    )
    info = info_of(answer)
    assert (info["subseed"], info["all_subseeds"], info["subseed_strength"]) == (5, [5], 0.5)
    assert "Variation seed: 5, Variation seed strength: 0.5" in info["infotexts"][0]


async def test_styles_are_applied(make_context: MakeContext) -> None:
    async with client_of(make_context(sdapi={"styles": STYLES})) as client:
        info = info_of(await made(client, styles=["ink", "nobody"]))
        assert (await client.get(f"{SD}/prompt-styles")).json() == STYLES
    assert info["prompt"] == "ink drawing of a boat"
    assert info["negative_prompt"] == "colour"
    assert info["styles"] == ["ink", "nobody"]


async def test_loras_are_read_from_the_prompt(make_context: MakeContext) -> None:
    async with client_of(make_context(families=WITH_LORAS)) as client:
        assert [each["name"] for each in (await client.get(f"{SD}/loras")).json()] == ["film"]
        answer = await made(client, prompt="a boat <lora:film:0.5> <lora:gone:1>")
        job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert job["status"] == "succeeded"
    info = info_of(answer)
    assert info["prompt"] == "a boat <lora:film:0.5> <lora:gone:1>"
    assert "gone" in info["comments"]
    assert "film" not in info["comments"]


async def test_loras_of_the_second_pass_are_its_own(make_context: MakeContext) -> None:
    async with client_of(make_context(families=WITH_LORAS)) as client:
        fields = {"enable_hr": True, "denoising_strength": 1}
        fields |= {"hr_prompt": "a house <lora:film:0.5> <lora:gone>"}
        first = await made(client, **fields)
        again = await made(client, **fields, prompt="a boat <lora:film:1>")
        alone = await made(client, prompt="a house <lora:film:0.5>", width=128, height=128)
        without = await made(client, prompt="a house", width=128, height=128)
    images = [opened(answer.json()["images"][0]) for answer in (first, again, alone, without)]
    assert ImageChops.difference(images[0], images[1]).getbbox() is None
    assert ImageChops.difference(images[0], images[2]).getbbox() is None
    assert ImageChops.difference(images[0], images[3]).getbbox() is not None
    info = info_of(first)
    assert "gone" in info["comments"]
    assert info["extra_generation_params"]["Hires prompt"] == fields["hr_prompt"]


async def test_styles_are_of_both_passes(make_context: MakeContext) -> None:
    async with client_of(make_context(sdapi={"styles": STYLES})) as client:
        fields = {"enable_hr": True, "denoising_strength": 1, "styles": ["ink"]}
        second = await made(client, **fields, hr_prompt="a house")
        alone = await made(client, styles=["ink"], prompt="a house", width=128, height=128)
    images = [opened(answer.json()["images"][0]) for answer in (second, alone)]
    assert ImageChops.difference(*images).getbbox() is None


async def test_what_was_sampled_with_is_told(client: httpx.AsyncClient) -> None:
    """Also where that is known only once the model is there."""
    answer = await made(client, sampler_name="LMS Karras", prompt="a boat, Sampler: LMS,\n")
    info = info_of(answer)
    assert info["sampler_name"] == "Euler a"
    assert "Sampler: Euler a, Schedule type: Karras," in info["infotexts"][0]
    image = opened(answer.json()["images"][0])
    assert image.info["parameters"] == info["infotexts"][0]
    assert answer.json()["parameters"]["sampler_name"] == "LMS Karras"


@pytest.mark.parametrize(
    ("fields", "second"),
    [
        ({}, ""),
        (
            {"hr_sampler_name": "DDIM", "hr_scheduler": "Uniform"},
            "Hires sampler: DDIM, Hires schedule type: Uniform, ",
        ),
        ({"hr_sampler_name": "LMS"}, "Hires sampler: Euler a, "),
    ],
)
async def test_the_samplers_of_two_passes_are_told(
    client: httpx.AsyncClient, fields: dict[str, Any], second: str
) -> None:
    sent = {"sampler_name": "Heun", "scheduler": "beta", "enable_hr": True} | fields
    answer = await made(client, **sent, batch_size=2)
    info = info_of(answer)
    assert info["sampler_name"] == "Euler a"
    for text, image in zip(info["infotexts"], answer.json()["images"], strict=True):
        assert "Sampler: Euler a, Schedule type: Automatic," in text
        assert f"Hires upscaler: Latent, {second}Version" in text
        assert opened(image).info["parameters"] == text


@pytest.mark.parametrize("prompt", ["a [red:green:0.5] boat", "a [red|green] boat"])
async def test_a_prompt_changes_on_the_way(client: httpx.AsyncClient, prompt: str) -> None:
    images = [
        opened((await made(client, prompt=text)).json()["images"][0])
        for text in (prompt, "a red boat", "a green boat")
    ]
    assert ImageChops.difference(images[0], images[1]).getbbox() is not None
    assert ImageChops.difference(images[0], images[2]).getbbox() is not None


async def test_a_sampler_of_another_model_falls_back_and_says_so(
    client: httpx.AsyncClient,
) -> None:
    info = info_of(await made(client, sampler_name="DPM adaptive"))
    assert info["sampler_name"] == "Euler a"
    assert "DPM adaptive" in info["comments"]


async def test_what_the_engine_cannot_do_is_told_in_own_words(client: httpx.AsyncClient) -> None:
    info = info_of(await made(client, sampler_name="LMS Karras", width=66))
    assert "sampler_name: 'LMS' is not for this model" in info["comments"]
    assert "width, height: rounded to 64x64" in info["comments"]


async def test_images_are_left_out_of_the_answer(client: httpx.AsyncClient) -> None:
    answer = await made(client, send_images=False)
    assert answer.json()["images"] == []
    assert info_of(answer)["all_seeds"] == [7]
    assert (await client.get("/v1/archive")).json()["total"] == 1


async def test_a_task_has_the_clients_own_name(client: httpx.AsyncClient) -> None:
    answer = await made(client, force_task_id="mine")
    job = (await client.get("/v1/jobs/mine")).json()
    assert job["id"] == answer.headers["x-job-id"]
    assert (await made(client, force_task_id="")).status_code == 200
    again = await client.post(f"{SD}/txt2img", json=QUICK | {"force_task_id": "mine"})
    assert again.status_code == 409


async def test_a_task_may_be_called_as_the_web_ui_calls_them(client: httpx.AsyncClient) -> None:
    name = "task(0a1b2c3d4e5f6g7)"
    answer = await made(client, force_task_id=name)
    assert answer.json()["parameters"]["force_task_id"] == name
    found = (await client.post("/internal/progress", json={"id_task": name})).json()
    assert found["completed"] is True
    job = (await client.get("/v1/jobs/task:0a1b2c3d4e5f6g7")).json()
    assert job["id"] == answer.headers["x-job-id"]


async def test_odd_characters_are_told_as_they_are(client: httpx.AsyncClient) -> None:
    prompt = "ü 字 \0 <b> {prompt} \u2028 😀"
    answer = await made(client, prompt=prompt)
    assert info_of(answer)["prompt"] == prompt
    assert answer.json()["parameters"]["prompt"] == prompt


@pytest.mark.covers("Automatic1111: POST /sdapi/v1/img2img")
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_an_image_is_edited(client: httpx.AsyncClient, prefix: str) -> None:
    sent = QUICK | {"init_images": [prefix + base64_png()], "denoising_strength": 0.5}
    answer = await client.post(f"{SD}/img2img", json=sent)
    info = info_of(answer)
    assert "Denoising strength: 0.5" in info["infotexts"][0]
    image = opened(answer.json()["images"][0])
    assert image.size == (64, 64)
    assert image.info["parameters"] == info["infotexts"][0]
    parameters = answer.json()["parameters"]
    assert parameters["init_images"] is None
    assert parameters["mask"] is None


async def test_sources_are_repeated_where_that_is_asked_for(client: httpx.AsyncClient) -> None:
    image, mask = base64_png(), base64_png("white")
    sent = QUICK | {"init_images": [image], "mask": mask, "include_init_images": True}
    parameters = (await client.post(f"{SD}/img2img", json=sent)).json()["parameters"]
    assert (parameters["init_images"], parameters["mask"]) == ([image], mask)


async def test_several_sources_have_a_set_of_images_each(client: httpx.AsyncClient) -> None:
    sent = QUICK | {"init_images": [base64_png("red"), base64_png("blue")], "batch_size": 2}
    answer = await client.post(f"{SD}/img2img", json=sent)
    assert info_of(answer)["all_seeds"] == [7, 8, 7, 8]
    assert len(answer.json()["images"]) == 4


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
async def test_images_are_brought_to_size_in_four_ways(
    client: httpx.AsyncClient, mode: int
) -> None:
    sent = QUICK | {"init_images": [base64_png(size=(128, 64))], "resize_mode": mode}
    answer = await client.post(f"{SD}/img2img", json=sent)
    assert opened(answer.json()["images"][0]).size == (64, 64)


@pytest.mark.parametrize("inverts", [0, 1, False, True])
async def test_only_the_masked_part_changes(client: httpx.AsyncClient, inverts: Any) -> None:
    mask = opened(base64_png("black")).convert("L")
    mask.paste(255, (0, 0, 32, 64))
    sent = QUICK | {
        "init_images": [base64_png()],
        "mask": encoded_png(mask),
        "mask_blur": 0,
        "inpainting_fill": 1,
        "inpaint_full_res": False,
        "inpainting_mask_invert": inverts,
    }
    answer = await client.post(f"{SD}/img2img", json=sent)
    assert answer.status_code == 200, answer.text
    image = opened(answer.json()["images"][0]).convert("RGB")
    kept = (0, 0, 32, 64) if inverts else (32, 0, 64, 64)
    assert image.crop(kept).getcolors() == [(32 * 64, (255, 0, 0))]
    assert image.getcolors() != [(64 * 64, (255, 0, 0))]
