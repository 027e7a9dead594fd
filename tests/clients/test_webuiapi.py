"""The `webuiapi` package against the local default: every convenience call that it has."""

import base64
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import webuiapi
from PIL import Image

from tests.clients.conftest import ROOT, Server

SMALL = {"width": 64, "height": 64, "steps": 2, "seed": 7}
MODEL = "starter-images"
LISTS = (
    *("sd_models", "samplers", "schedulers", "upscalers", "latent_upscale_modes", "sd_vae"),
    *("loras", "hypernetworks", "face_restorers", "realesrgan_models", "prompt_styles"),
    *("artist_categories", "artists"),
)
OBJECTS = ("options", "cmd_flags", "progress", "scripts", "embeddings", "memory")


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    address = urlsplit(server.url)
    api = webuiapi.WebUIApi(host=address.hostname, port=address.port)
    api.set_auth("anybody", "none")
    return api


@pytest.fixture(scope="module")
def made(api: Any) -> Any:
    return api.txt2img(prompt="a red boat", negative_prompt="dark", batch_size=2, **SMALL)


def test_every_list(api: Any) -> None:
    for name in LISTS:
        assert isinstance(getattr(api, f"get_{name}")(), list), name
    for name in OBJECTS:
        assert isinstance(getattr(api, f"get_{name}")(), dict), name
    assert api.refresh_checkpoints() is None
    assert "Euler a" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    assert any(title.startswith(MODEL) for title in api.util_get_model_names())


def test_the_model_is_chosen(api: Any) -> None:
    api.util_set_model("starter-image")
    assert api.util_get_current_model().startswith(MODEL)
    assert api.set_options({"CLIP_stop_at_last_layers": 1}) is None


@pytest.mark.covers("Automatic1111: the webuiapi client")
def test_text_to_image(api: Any, made: Any) -> None:
    assert [image.size for image in made.images] == [(64, 64)] * 2
    assert made.image.info["parameters"] == made.info["infotexts"][0]
    assert made.parameters["seed"] == 7
    info = api.png_info(made.image)
    assert info.info == made.info["infotexts"][0]
    assert info.parameters["Prompt"] == "a red boat"


def test_image_to_image(api: Any, made: Any) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    for more in ({}, {"mask_image": mask, "inpainting_fill": 1}):
        edited = api.img2img(images=[made.image], prompt="a storm", **more, **SMALL)
        assert edited.image.size == (64, 64)


def test_a_second_pass(api: Any) -> None:
    larger = api.txt2img(prompt="a boat", enable_hr=True, hr_scale=1.5, **SMALL)
    assert larger.image.size == (96, 96)


def test_extras(api: Any, made: Any) -> None:
    larger = api.extra_single_image(made.image, upscaler_1="Lanczos", upscaling_resize=2)
    assert larger.image.size == (128, 128)
    several = api.extra_batch_images(made.images, upscaler_1="Nearest", upscaling_resize=1.5)
    assert [image.size for image in several.images] == [(96, 96)] * 2


def test_work_is_watched_and_interrupted(api: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        many = {"width": 256, "height": 256, "steps": 20, "n_iter": 100, "seed": 7}
        running = pool.submit(api.txt2img, prompt="a red boat", **many)
        seen: dict[str, Any] = {"current_image": None}
        while seen["current_image"] is None or seen["state"]["job_no"] < 1:
            assert not running.done()
            time.sleep(0.1)
            seen = api.get_progress()
        assert 0 < seen["progress"] < 1
        with Image.open(io.BytesIO(base64.b64decode(seen["current_image"]))) as image:
            assert image.format == "JPEG"
        assert api.interrupt() == {}
        ended = running.result(timeout=60)
    assert 1 <= len(ended.images) < 100
    assert ended.info["all_seeds"] == [*range(7, 7 + len(ended.images))]
    assert "ended early" in ended.info["comments"]


def test_nobody_describes_images_here(api: Any, made: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        api.interrogate(made.image)
    assert caught.value.args[0] == 503


def test_nothing_is_left_running(api: Any) -> None:
    api.util_wait_for_ready(check_interval=0.1)
    assert api.interrupt() == {}
    assert api.skip() is None


def test_the_lines_of_the_page(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    (block,) = re.findall(r"(?ms)^```python\n(import webuiapi.*?)^```$", page())
    monkeypatch.chdir(tmp_path)
    exec(block.replace("8000", str(urlsplit(server.url).port)), {})
    with Image.open(tmp_path / "boat-larger.png") as image:
        assert image.size == (512, 512)


def page() -> str:
    return (ROOT / "docs/clients.md").read_text()
