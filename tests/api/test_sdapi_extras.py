"""Enlarging, png-info and interrogate of the Automatic1111 dialect."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.sdapi import QUICK, SD, base64_png, encoded_png, opened, refused

CAPTIONING = {
    "name": "captions",
    "options": {"engine": "fake", "task": "captioning"},
    "models": [{"id": "caption", "created": 1}],
}
REAL = [
    {"name": "media", "options": {"engine": "av"}} if family["name"] == "media" else family
    for family in FAMILIES
]


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """Over the media engine that is shipped, which makes the images."""
    async with client_of(make_context(families=[*REAL, CAPTIONING])) as client:
        yield client


def halves() -> str:
    image = Image.new("RGB", (16, 8), "red")
    image.paste("blue", (8, 0, 16, 8))
    return encoded_png(image)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (16, 8)),
        ({"upscaler_1": "Lanczos"}, (32, 16)),
        ({"upscaler_1": "nearest", "upscaling_resize": "1.5"}, (24, 12)),
        ({"upscaler_1": "repeater", "upscaling_resize": 8}, (128, 64)),
        ({"upscaler_1": "repeater", "upscaling_resize": 2.5}, (40, 20)),
        ({"upscaler_1": "repeater", "upscaling_resize": 0.5}, (8, 4)),
        ({"upscaler_1": "Lanczos", "resize_mode": 1}, (512, 512)),
        (
            {
                "upscaler_1": "repeater",
                "resize_mode": 1,
                "upscaling_resize_w": 40,
                "upscaling_resize_h": 40,
                "upscaling_crop": False,
            },
            (80, 40),
        ),
    ],
)
async def test_an_image_is_enlarged(
    client: httpx.AsyncClient, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    answer = await client.post(f"{SD}/extra-single-image", json={"image": halves()} | fields)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"image", "html_info"}
    image = opened(answer.json()["image"])
    assert (image.format, image.size) == ("PNG", size)
    assert answer.headers["x-job-id"].startswith("job-")


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
async def test_a_model_enlarges_as_natively(client: httpx.AsyncClient, scale: int) -> None:
    native = {"image": halves(), "scale": scale, "model": "repeater", "response_format": "b64_json"}
    theirs = (await client.post("/v1/images/upscale", json=native)).json()["data"][0]["b64_json"]
    sent = {"image": halves(), "upscaler_1": "repeater", "upscaling_resize": scale}
    ours = (await client.post(f"{SD}/extra-single-image", json=sent)).json()["image"]
    assert ours == theirs


async def test_nearest_makes_no_new_colours(client: httpx.AsyncClient) -> None:
    colours = {}
    for name in ("Nearest", "Lanczos"):
        sent = {"image": halves(), "upscaler_1": name}
        answer = await client.post(f"{SD}/extra-single-image", json=sent)
        colours[name] = len(opened(answer.json()["image"]).convert("RGB").getcolors() or ())
    assert colours["Nearest"] == 2 < colours["Lanczos"]


async def test_two_upscalers_are_mixed(client: httpx.AsyncClient) -> None:
    pixels = {}
    for share in (0, 0.5, 1):
        sent = {
            "image": halves(),
            "upscaler_1": "Nearest",
            "upscaler_2": "Lanczos",
            "extras_upscaler_2_visibility": share,
        }
        answer = await client.post(f"{SD}/extra-single-image", json=sent)
        pixels[share] = opened(answer.json()["image"]).convert("RGB").getpixel((15, 8))
    assert pixels[0] == (255, 0, 0)
    assert pixels[1] != pixels[0] != pixels[0.5] != pixels[1]


@pytest.mark.covers("Automatic1111: extra-single-image and extra-batch-images")
async def test_several_images_are_enlarged(client: httpx.AsyncClient) -> None:
    files = [{"data": halves(), "name": "one"}, {"data": base64_png(size=(4, 4)), "name": "two"}]
    sent = {"imageList": files, "upscaler_1": "Lanczos"}
    answer = await client.post(f"{SD}/extra-batch-images", json=sent)
    assert [opened(image).size for image in answer.json()["images"]] == [(32, 16), (8, 8)]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"upscaler_1": "nobody"}, 404, "not_found"),
        ({"upscaler_2": "nobody"}, 404, "not_found"),
        ({"gfpgan_visibility": 0.1}, 400, "invalid_request"),
        ({"codeformer_visibility": 1}, 400, "invalid_request"),
        ({"upscaling_resize": 9}, 400, "invalid_request"),
        ({"upscaling_resize": 0}, 400, "invalid_request"),
        ({"resize_mode": 2}, 400, "invalid_request"),
        ({"resize_mode": 1, "upscaling_resize_w": 0}, 400, "invalid_request"),
        ({"extras_upscaler_2_visibility": 2}, 400, "invalid_request"),
        (
            {"upscaler_1": "Lanczos", "resize_mode": 1, "upscaling_resize_w": 30_000},
            413,
            "payload_too_large",
        ),
        ({"image": None}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_enlarged(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str
) -> None:
    sent = {"image": halves()} | fields
    body = refused(await client.post(f"{SD}/extra-single-image", json=sent), status, code)
    if code == "not_found":
        assert body["detail"] == "Upscaler not found"
        assert "Lanczos" in body["errors"]


@pytest.mark.covers("Automatic1111: png-info and infotexts")
async def test_what_an_image_was_generated_from_is_read(client: httpx.AsyncClient) -> None:
    sent = QUICK | {"prompt": "ein Boot, über (Nacht:1.2)", "negative_prompt": "dark"}
    made = (await client.post(f"{SD}/txt2img", json=sent)).json()
    answer = await client.post(f"{SD}/png-info", json={"image": made["images"][0]})
    found = answer.json()
    assert found["info"] == opened(made["images"][0]).info["parameters"]
    assert found["items"]["parameters"] == found["info"]
    parameters = found["parameters"]
    assert (parameters["Prompt"], parameters["Negative prompt"]) == (sent["prompt"], "dark")
    assert (parameters["Seed"], parameters["Size-1"]) == ("7", "64")


async def test_a_native_jpeg_is_read_too(client: httpx.AsyncClient) -> None:
    sent = {"prompt": "a boat", "size": "64x64", "seed": 3, "output_format": "jpeg"}
    made = await client.post("/v1/images/generations", json=sent)
    answer = await client.post(f"{SD}/png-info", json={"image": made.json()["data"][0]["url"]})
    assert answer.json()["parameters"]["Seed"] == "3"


async def test_an_image_without_a_text_has_no_info(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{SD}/png-info", json={"image": base64_png()})
    assert answer.json() == {"info": "", "items": {}, "parameters": {}}


@pytest.mark.covers("Automatic1111: interrogate")
async def test_an_image_is_described(client: httpx.AsyncClient) -> None:
    sent = {"image": base64_png(), "model": "clip"}
    caption = (await client.post(f"{SD}/interrogate", json=sent)).json()["caption"]
    tags = (await client.post(f"{SD}/interrogate", json=sent | {"model": "deepdanbooru"})).json()
    assert caption
    assert {tag for tag in tags["caption"].split(", ") if tag} <= {*caption.lower().split(), ""} | {
        word.strip(".,:;!?") for word in caption.lower().split()
    }
    answer = await client.post(f"{SD}/interrogate", json=sent | {"model": "nobody"})
    assert refused(answer, 404, "not_found")["detail"] == "Model not found"


async def test_nobody_describes_images(make_context: MakeContext) -> None:
    blind = [family for family in FAMILIES if family["name"] != "vision"]
    async with client_of(make_context(families=blind)) as client:
        answer = await client.post(f"{SD}/interrogate", json={"image": base64_png()})
    detail = refused(answer, 503, "backend_unavailable")["detail"]
    assert "add a family for it to the configuration, such as {engine: transformers" in detail
    assert "Salesforce/blip-image-captioning-base" in detail
