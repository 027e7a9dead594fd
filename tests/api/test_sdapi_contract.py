"""What clients of the Automatic1111 dialect rely on: names, defaults and everything accepted."""

import base64
from typing import Any

import httpx
import pytest

from serve_app.api.automatic1111.txt2img_body import LATENT
from serve_app.core.image.samplers import FLOW
from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.sdapi import QUICK, SD, base64_png, info_of, opened, refused

SHARED = {
    "negative_prompt": "",
    "width": 512,
    "height": 512,
    "steps": 20,
    "cfg_scale": 7.5,
    "sampler_name": "Euler a",
    "scheduler": "automatic",
    "subseed": -1,
    "subseed_strength": 0,
    "seed_resize_from_w": -1,
    "seed_resize_from_h": -1,
    "batch_size": 1,
    "n_iter": 1,
    "styles": [],
    "restore_faces": False,
    "tiling": False,
    "override_settings": {},
    "override_settings_restore_afterwards": True,
    "send_images": True,
    "save_images": False,
    "do_not_save_samples": False,
    "do_not_save_grid": False,
    "force_task_id": None,
    "script_name": None,
    "script_args": [],
    "alwayson_scripts": {},
    "eta": 1.0,
    "s_churn": 0,
    "s_tmin": 0,
    "s_tmax": 0,
    "s_noise": 1,
}
TXT2IMG = SHARED | {
    "denoising_strength": 0.7,
    "enable_hr": False,
    "hr_scale": 2,
    "hr_upscaler": "Latent",
    "hr_second_pass_steps": 0,
    "hr_resize_x": 0,
    "hr_resize_y": 0,
    "hr_checkpoint_name": None,
    "hr_sampler_name": None,
    "hr_scheduler": None,
    "hr_prompt": "",
    "hr_negative_prompt": "",
    "firstphase_width": 0,
    "firstphase_height": 0,
}
IMG2IMG = SHARED | {
    "denoising_strength": 0.75,
    "init_images": None,
    "mask": None,
    "resize_mode": 0,
    "mask_blur": 4,
    "mask_blur_x": 4,
    "mask_blur_y": 4,
    "mask_round": True,
    "inpainting_fill": 0,
    "inpaint_full_res": True,
    "inpaint_full_res_padding": 0,
    "inpainting_mask_invert": 0,
    "image_cfg_scale": 1.5,
    "initial_noise_multiplier": 1,
    "include_init_images": False,
}
INFO = (
    *("prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds"),
    *("subseed", "all_subseeds", "subseed_strength", "width", "height", "sampler_name"),
    *("cfg_scale", "steps", "batch_size", "restore_faces", "face_restoration_model"),
    *("sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w"),
    *("seed_resize_from_h", "denoising_strength", "extra_generation_params"),
    *("index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip"),
    *("is_using_inpainting_conditioning", "version"),
)
EXTRAS = {
    "loras": {"film": "/models/film.safetensors"},
    "vaes": {"soft": "/models/soft.safetensors"},
}
WITH_EXTRAS = [
    family | {"options": family["options"] | EXTRAS} if family["name"] == "images" else family
    for family in FAMILIES
]


@pytest.mark.parametrize(
    ("path", "defaults", "more"),
    [("txt2img", TXT2IMG, {}), ("img2img", IMG2IMG, {"init_images": [base64_png()]})],
)
async def test_defaults_are_filled_in(
    client: httpx.AsyncClient, path: str, defaults: dict[str, Any], more: dict[str, Any]
) -> None:
    sent = {"prompt": "", "foreign": 1, "refiner_checkpoint": None} | more
    answer = await client.post(f"{SD}/{path}", json=sent)
    assert answer.status_code == 200, answer.text
    parameters = answer.json()["parameters"]
    seed = parameters.pop("seed")
    assert parameters.pop("prompt") == ""
    left = {name: parameters[name] for name in parameters if name not in defaults}
    assert {name: parameters.get(name) for name in defaults} == defaults
    assert left.keys() <= {"sampler_index"}
    assert seed == info_of(answer)["seed"] >= 0
    assert opened(answer.json()["images"][0]).size == (512, 512)


async def test_a_prompt_is_required(client: httpx.AsyncClient) -> None:
    body = refused(await client.post(f"{SD}/txt2img", json={}), 400, "invalid_request")
    assert body["errors"] == "prompt"


async def test_everything_is_known_of_the_images(client: httpx.AsyncClient) -> None:
    info = info_of(await client.post(f"{SD}/txt2img", json=QUICK))
    assert info.keys() >= {*INFO}
    assert (info["extra_generation_params"], info["styles"], info["clip_skip"]) == ({}, [], 1)
    assert info["index_of_first_image"] == 0
    assert info["is_using_inpainting_conditioning"] is False
    assert len(info["job_timestamp"]) == 14
    assert info["job_timestamp"].isdigit()
    assert len(info["sd_model_hash"]) == 10


async def test_the_negative_line_is_there_where_there_is_one(client: httpx.AsyncClient) -> None:
    for negative, start in (
        ("", "a boat\nSteps"),
        ("dark", "a boat\nNegative prompt: dark\nSteps"),
    ):
        info = info_of(
            await client.post(f"{SD}/txt2img", json=QUICK | {"negative_prompt": negative})
        )
        assert info["infotexts"][0].startswith(start)


@pytest.mark.parametrize("name", LATENT)
async def test_every_latent_mode_is_taken(client: httpx.AsyncClient, name: str) -> None:
    sent = QUICK | {"enable_hr": True, "hr_upscaler": name}
    answer = await client.post(f"{SD}/txt2img", json=sent)
    assert opened(answer.json()["images"][0]).size == (128, 128)
    assert info_of(answer)["extra_generation_params"]["Hires upscaler"] == name
    listed = (await client.get(f"{SD}/latent-upscale-modes")).json()
    assert {"name": name} in listed


async def test_seeds_of_another_size_and_faces(client: httpx.AsyncClient) -> None:
    sent = {"seed_resize_from_w": 32, "seed_resize_from_h": 48, "restore_faces": True}
    info = info_of(await client.post(f"{SD}/txt2img", json=QUICK | sent))
    assert "Seed resize from: 32x48" in info["infotexts"][0]
    assert "Face restoration is not available" in info["comments"]
    off = {"seed_resize_from_w": 0, "seed_resize_from_h": -1}
    info = info_of(await client.post(f"{SD}/txt2img", json=QUICK | off))
    assert "Seed resize" not in info["infotexts"][0]


@pytest.mark.parametrize(("scale", "is_said"), [(1.5, False), (7, True)])
async def test_a_guidance_by_the_source_is_said_to_have_no_effect(
    client: httpx.AsyncClient, scale: float, is_said: bool
) -> None:
    sent = QUICK | {"init_images": [base64_png()], "image_cfg_scale": scale}
    info = info_of(await client.post(f"{SD}/img2img", json=sent))
    assert ("image_cfg_scale" in str(info["comments"])) is is_said


@pytest.mark.parametrize("fields", [{"mask_blur": 7}, {"mask_blur_x": 2, "mask_blur_y": 7}])
async def test_a_mask_is_softened(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    sent = QUICK | {"init_images": [base64_png()], "mask": base64_png("white")} | fields
    info = info_of(await client.post(f"{SD}/img2img", json=sent))
    assert info["extra_generation_params"]["Mask blur"] == 7


async def test_a_source_may_be_an_own_file(client: httpx.AsyncClient) -> None:
    sent = {"prompt": "a boat", "size": "64x64", "seed": 3}
    made = (await client.post("/v1/images/generations", json=sent)).json()["data"][0]
    sources = [made["url"], f"data:image/png;base64,{await base64_of(client, made['url'])}"]
    answers = [
        await client.post(f"{SD}/img2img", json=QUICK | {"init_images": [source]})
        for source in sources
    ]
    images = [answer.json()["images"] for answer in answers]
    assert images[0] == images[1]


async def base64_of(client: httpx.AsyncClient, url: str) -> str:
    return base64.b64encode((await client.get(url)).content).decode()


async def test_options_are_those_that_clients_read(client: httpx.AsyncClient) -> None:
    found = (await client.get(f"{SD}/options")).json()
    (model,) = (await client.get(f"{SD}/sd-models")).json()
    assert found["sd_model_checkpoint"] == model["title"] == f"squares [{model['hash']}]"
    assert found["sd_checkpoint_hash"] == model["hash"]
    assert (found["sd_vae"], found["CLIP_stop_at_last_layers"]) == ("Automatic", 1)
    assert found["samples_format"] == "png"
    assert model.keys() == {"title", "model_name", "hash", "sha256", "filename", "config"}


async def test_what_lies_beside_a_model_is_listed(make_context: MakeContext) -> None:
    async with client_of(make_context(families=WITH_EXTRAS)) as client:
        vae = {"model_name": "soft", "filename": "soft.safetensors"}
        for name in ("sd-vae", "sd-modules"):
            assert (await client.get(f"{SD}/{name}")).json() == [vae]
        lora = {"name": "film", "alias": "film", "path": "film.safetensors", "metadata": {}}
        assert (await client.get(f"{SD}/loras")).json() == [lora]
        sent = QUICK | {"override_settings": {"sd_vae": "soft"}}
        info = info_of(await client.post(f"{SD}/txt2img", json=sent))
    assert info["sd_vae_name"] == "soft"


async def test_samplers_are_those_of_the_loaded_model(make_context: MakeContext) -> None:
    flow = ModelStatus(id="squares", state="ready", image_facts=FLOW)
    async with client_of(make_context(statuses={"squares": flow})) as client:
        samplers = [each["name"] for each in (await client.get(f"{SD}/samplers")).json()]
        assert samplers == ["Euler", "Euler Karras", "LCM"]
        schedulers = (await client.get(f"{SD}/schedulers")).json()
        assert len(schedulers) == 12
        info = info_of(await client.post(f"{SD}/txt2img", json=QUICK | {"scheduler": "normal"}))
    assert info["sampler_name"] == "Euler"
    assert "'Euler a' is not for this model" in info["comments"]
    assert "'Normal' is not for this model" in info["comments"]
    assert "Sampler: Euler, Schedule type: Automatic," in info["infotexts"][0]


async def test_upscalers_have_their_fields(client: httpx.AsyncClient) -> None:
    for each in (await client.get(f"{SD}/upscalers")).json():
        assert each.keys() == {"name", "model_name", "model_path", "model_url", "scale"}
        assert each["model_path"] is each["model_url"] is None


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", "Basic Og==", "Bearer "])
async def test_an_odd_credential_is_none(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get(f"{SD}/options", headers={"Authorization": header})
    assert answer.status_code == 200, answer.text


async def test_bots_that_sign_in_before_each_image(make_context: MakeContext) -> None:
    secret = {"API_TOKENS": "sk-one", "ADMIN_USERNAME": "ada", "ADMIN_PASSWORD": "right" * 4}
    context = make_context(auth={"required": True}, environment=secret)
    basic = {"Authorization": "Basic " + base64.b64encode(b"bot:sk-one").decode()}
    async with client_of(context) as client:
        for _ in range(12):
            form = {"username": "bot", "password": "sk-one"}
            assert (await client.post("/login", data=form)).status_code < 500
            answer = await client.post(f"{SD}/txt2img", json=QUICK, headers=basic)
            assert answer.status_code == 200, answer.text
