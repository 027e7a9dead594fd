"""POST /v1/images/edits, inpaint and variations over the fake engine, in JSON and in forms."""

import base64
import io
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from PIL import Image, ImageChops

from serve_app.api.app import create_app
from serve_app.api.v1.images.image_extras import with_uploaded
from tests.api.conftest import MakeContext
from tests.images import claiming_png, data_url, huge_png, png

EDITS, INPAINT, VARIATIONS = (f"/v1/images/{verb}" for verb in ("edits", "inpaint", "variations"))
LEFT = (0, 0, 40, 60)


def photo(size: tuple[int, int] = (80, 60), **options: Any) -> bytes:
    """Every pixel of a colour of its own."""
    image = Image.new("RGB", size)
    image.putdata(
        [
            (x * 255 // size[0], y * 255 // size[1], 90)
            for y in range(size[1])
            for x in range(size[0])
        ]
    )
    target = io.BytesIO()
    image.save(target, options.pop("format", "PNG"), **options)
    return target.getvalue()


def left_half(size: tuple[int, int] = (80, 60), mode: str = "L") -> bytes:
    """White on the left."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    target = io.BytesIO()
    mask.convert(mode).save(target, "PNG")
    return target.getvalue()


def clear_half() -> bytes:
    """Transparent on the left, and black all over."""
    mask = Image.new("RGBA", (80, 60), "black")
    mask.paste((0, 0, 0, 0), LEFT)
    target = io.BytesIO()
    mask.save(target, "PNG")
    return target.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def difference(first: Image.Image, second: Image.Image) -> tuple[int, int, int, int] | None:
    """Where two images differ."""
    return ImageChops.difference(first, second).getbbox()


async def made(client: httpx.AsyncClient, url: str, **fields: Any) -> Image.Image:
    values = {"image": data_url(photo()), "response_format": "b64_json", "seed": 3} | fields
    answer = await client.post(url, json=values)
    assert answer.status_code == 200, answer.text
    [item] = answer.json()["data"]
    return opened(base64.b64decode(item["b64_json"]))


@pytest.mark.covers("CoderAI: POST /v1/images/edits")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    fields = {"prompt": "a boat", "image": data_url(photo()), "n": 2, "seed": 3}
    answer = await client.post(EDITS, json=fields)
    body = answer.json()
    assert body.keys() == {"created", "data", "prompt_cache_hit"}
    assert [item.keys() for item in body["data"]] == [{"url", "seed"}] * 2
    assert [item["seed"] for item in body["data"]] == [3, 4]
    file = (await client.get("/v1/archive")).json()["files"][0]
    assert (file["operation"], file["prompt"]) == ("image.edit", "a boat")
    assert (file["width"], file["height"]) == (80, 60)


@pytest.mark.parametrize("url", [EDITS, VARIATIONS])
@pytest.mark.parametrize("size", [(80, 60), (81, 67)])
async def test_without_a_size_the_result_has_the_sources(
    client: httpx.AsyncClient, url: str, size: tuple[int, int]
) -> None:
    fields = {"image": data_url(photo(size))} | ({"prompt": "a boat"} if url == EDITS else {})
    assert (await made(client, url, **fields)).size == size


async def test_strength_is_how_little_is_left(client: httpx.AsyncClient) -> None:
    source = opened(photo())
    untouched = await made(client, VARIATIONS, strength=0)
    assert difference(untouched, source) is None
    half = await made(client, VARIATIONS, strength=0.5)
    whole = await made(client, VARIATIONS, strength=1)
    assert difference(half, source)
    assert difference(half, whole)


async def test_a_given_size_is_covered_and_cropped_at_the_centre(client: httpx.AsyncClient) -> None:
    """A square out of the middle of 80x60 scaled to 64 pixels: x from 10 to 70."""
    small = await made(client, VARIATIONS, strength=0, size="64x64")
    assert small.size == (64, 64)
    expected = opened(photo()).crop((10, 0, 70, 60)).resize((64, 64), Image.Resampling.LANCZOS)
    assert max(ImageChops.difference(small, expected).getextrema())[1] <= 3


async def test_auto_keeps_the_proportions_at_the_models_own_area(
    client: httpx.AsyncClient,
) -> None:
    image = await made(client, VARIATIONS, image=data_url(photo((200, 100))), size="auto")
    assert image.size == (720, 360)


@pytest.mark.parametrize("mask", [left_half(), left_half((20, 20)), left_half(mode="P")])
@pytest.mark.covers("CoderAI: POST /v1/images/inpaint")
async def test_only_the_white_part_of_a_mask_changes(
    client: httpx.AsyncClient, mask: bytes
) -> None:
    image = await made(client, INPAINT, prompt="a boat", mask=data_url(mask))
    box = difference(image, opened(photo()))
    assert box is not None
    # A mask of another size is resized to its image, which blurs its edge.
    assert box[2] <= (40 if mask == left_half() else 46)


async def test_only_the_transparent_part_of_a_mask_changes(client: httpx.AsyncClient) -> None:
    image = await made(client, EDITS, prompt="a boat", mask=data_url(clear_half()))
    box = difference(image, opened(photo()))
    assert box is not None
    assert box[2] <= 40


async def test_nothing_moves_in_an_image_whose_sides_are_no_multiples(
    client: httpx.AsyncClient,
) -> None:
    size = (81, 67)
    mask = data_url(left_half(size))
    image = await made(client, INPAINT, prompt="x", image=data_url(photo(size)), mask=mask)
    assert image.size == size
    box = difference(image, opened(photo(size)))
    assert box is not None
    assert box[2] <= 40


async def test_an_image_is_turned_upright(client: httpx.AsyncClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = opened(photo()).transpose(Image.Transpose.ROTATE_90)
    target = io.BytesIO()
    turned.save(target, "PNG", exif=exif)
    upright = await made(client, VARIATIONS, image=data_url(target.getvalue()), strength=0)
    assert difference(upright, opened(photo())) is None


@pytest.mark.parametrize("name", ["image", "image[]"])
async def test_a_form(client: httpx.AsyncClient, name: str) -> None:
    fields = {"prompt": "a boat", "n": "2", "seed": "3", "strength": "0.5", "size": "64x64"}
    fields |= {"disable_safety_checker": "True", "response_format": "b64_json", "style": "x"}
    answer = await client.post(EDITS, data=fields, files={name: ("a.png", photo(), "image/png")})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == "style"
    first, second = (opened(base64.b64decode(i["b64_json"])) for i in answer.json()["data"])
    again = await made(client, EDITS, prompt="a boat", strength=0.5, size="64x64")
    assert difference(first, again) is None
    assert difference(first, second)


async def test_a_form_with_a_mask(client: httpx.AsyncClient) -> None:
    files = {"image": ("a.png", photo()), "mask": ("m.png", left_half())}
    answer = await client.post(INPAINT, data={"prompt": "x"}, files=files)
    file = await client.get(answer.json()["data"][0]["url"])
    box = difference(opened(file.content), opened(photo()))
    assert box is not None
    assert box[2] <= 40


@pytest.mark.parametrize("name", ["loras", "loras[]"])
async def test_a_form_brings_loras_along(client: httpx.AsyncClient, name: str) -> None:
    """The fake has no weights to change, which it says only of LoRAs that have come to it."""
    files = [("image", ("a.png", photo())), (name, ("style.safetensors", b"weights"))]
    answer = await client.post(EDITS, data={"prompt": "x"}, files=files)
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "loras")


def test_files_go_to_the_loras_that_name_none() -> None:
    listed = [{"weight": 0.5}, {"id": "name:known"}, {"name": "second"}]
    assert with_uploaded(listed, ["sha256:a", "sha256:b", "sha256:c"]) == [
        {"weight": 0.5, "id": "sha256:a"},
        {"id": "name:known"},
        {"name": "second", "id": "sha256:b"},
        {"id": "sha256:c"},
    ]
    assert with_uploaded([{}], []) == [{}]
    assert with_uploaded("no list", ["sha256:a"]) == "no list"


async def test_more_images_are_references_which_the_model_must_take(
    client: httpx.AsyncClient,
) -> None:
    images = [data_url(photo()), data_url(png())]
    answer = await client.post(EDITS, json={"prompt": "x", "image": images})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "image")


def broken_png() -> bytes:
    return photo()[:100]


@pytest.mark.parametrize(
    ("url", "fields", "status", "code", "param"),
    [
        (EDITS, {"prompt": None}, 400, "invalid_request", "prompt"),
        (EDITS, {"prompt": " "}, 400, "invalid_request", "prompt"),
        (EDITS, {"image": None}, 400, "invalid_request", "image"),
        (EDITS, {"image": []}, 400, "invalid_request", "image"),
        (EDITS, {"image": 7}, 400, "invalid_request", "image"),
        (EDITS, {"image": "!"}, 400, "invalid_request", "image"),
        (EDITS, {"image": data_url(b"no image")}, 400, "invalid_request", "image"),
        (EDITS, {"image": data_url(broken_png())}, 400, "invalid_request", "image"),
        (EDITS, {"image": data_url(png(size=(1, 1)))}, 400, "invalid_request", "image"),
        (EDITS, {"image": data_url(png(size=(5000, 70)))}, 400, "invalid_request", "image"),
        (EDITS, {"image": data_url(claiming_png())}, 413, "payload_too_large", "image"),
        (EDITS, {"image": data_url(huge_png())}, 413, "payload_too_large", "image"),
        (EDITS, {"image": "sha256:" + 64 * "0"}, 404, "not_found", "image"),
        (EDITS, {"image": "http://127.0.0.1/x.png"}, 400, "invalid_request", "image"),
        (EDITS, {"mask": data_url(b"no image")}, 400, "invalid_request", "mask"),
        (EDITS, {"mask": data_url(claiming_png())}, 413, "payload_too_large", "mask"),
        (EDITS, {"strength": 1.1}, 400, "invalid_request", "strength"),
        (EDITS, {"strength": "much"}, 400, "invalid_request", "strength"),
        (EDITS, {"size": "0x0"}, 400, "invalid_request", "size"),
        (EDITS, {"steps": 0}, 400, "invalid_request", "steps"),
        (EDITS, {"n": 11}, 400, "invalid_request", "n"),
        (EDITS, {"model": "nothing"}, 404, "model_not_found", "model"),
        (EDITS, {"model": "echo"}, 400, "unsupported_capability", "model"),
        (INPAINT, {}, 400, "invalid_request", "mask"),
        (VARIATIONS, {"image": None}, 400, "invalid_request", "image"),
        (VARIATIONS, {"response_format": "b64_mp4"}, 400, "invalid_request", "response_format"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient,
    url: str,
    fields: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    values = {"prompt": "x", "image": data_url(photo())} | fields
    answer = await client.post(url, json=values)
    assert answer.status_code == status, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({"prompt": "x"}, {"image": ("a.txt", b"text")}, "image"),
        ({"prompt": "x"}, {"other": ("a.png", photo())}, "other"),
        ({"prompt": "x", "n": "many"}, {"image": ("a.png", photo())}, "n"),
        ({"prompt": "x", "strength": "2"}, {"image": ("a.png", photo())}, "strength"),
        ({"prompt": "x", "loras": "[{}]"}, {"image": ("a.png", photo())}, "loras[0]"),
        ({"prompt": "x"}, {"image": ("a.png", b"")}, "image"),
        ({}, {"image": ("a.png", photo())}, "prompt"),
    ],
)
async def test_bad_forms(
    client: httpx.AsyncClient, data: dict[str, str], files: dict[str, Any], param: str
) -> None:
    answer = await client.post(EDITS, data=data, files=files)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_another_type_of_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(EDITS, content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 400


async def test_deep_and_printed_colours_come_in_as_they_look(client: httpx.AsyncClient) -> None:
    """Half-grey in 16 bits and in ink is half-grey."""
    deep = io.BytesIO()
    Image.new("I;16", (64, 64), 32_896).save(deep, "PNG")
    ink = io.BytesIO()
    Image.new("CMYK", (64, 64), (0, 0, 0, 127)).save(ink, "TIFF")
    for data in (deep.getvalue(), ink.getvalue()):
        image = await made(client, VARIATIONS, image=data_url(data), strength=0)
        assert image.getpixel((30, 30)) == (128, 128, 128)


async def test_the_first_image_of_an_animation(client: httpx.AsyncClient) -> None:
    target = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    fields = {"image": data_url(target.getvalue()), "strength": 0}
    answer = await client.post(VARIATIONS, json=fields)
    assert answer.json()["warnings"] == ["image: the first of 2 frames was used"]


# The package calls variations deprecated, as its own model for them is.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_the_openai_package(make_context: MakeContext) -> None:
    transport = httpx.ASGITransport(create_app(make_context()))
    async with httpx.AsyncClient(transport=transport) as http:
        openai = AsyncOpenAI(api_key="-", base_url="http://127.0.0.1:8000/v1", http_client=http)
        edited = await openai.images.edit(
            image=("a.png", photo()), mask=("m.png", clear_half()), prompt="x", n=2
        )
        listed = await openai.images.edit(image=[("a.png", photo())], prompt="x")
        varied = await openai.images.create_variation(
            image=("a.png", photo()), size="256x256", response_format="b64_json"
        )
    assert edited.data is not None
    assert [bool(item.url) for item in edited.data] == [True, True]
    assert listed.data is not None
    assert len(listed.data) == 1
    assert varied.data is not None
    assert varied.data[0].b64_json is not None
    assert opened(base64.b64decode(varied.data[0].b64_json)).size == (256, 256)
