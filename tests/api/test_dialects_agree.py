"""One input, asked for in every dialect that has a word for it, has one result."""

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from deployments.video.av_media import AvMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.video import AvOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import png
from tests.material import tone, wav

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
PROMPTS = TEXTS.filter(lambda text: text.strip() == text)
SIDES = st.sampled_from((64, 128, 192))
SEEDS = st.integers(0, 2**31 - 1)
few = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def answered(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()


def pixels(data: bytes) -> "np.ndarray[Any, Any]":
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


async def fetched(client: httpx.AsyncClient, url: str) -> bytes:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.content


@few
@given(text=TEXTS, seed=SEEDS, limit=st.integers(1, 20))
async def test_chats(client: httpx.AsyncClient, text: str, seed: int, limit: int) -> None:
    body = {
        "model": "echo",
        "messages": [{"role": "user", "content": text}],
        "seed": seed,
        "max_tokens": limit,
        "temperature": 0.5,
    }
    answers = [
        await answered(client, path, body)
        for path in ("/v1/chat/completions", "/chat/completions", "/api/OpenAiChatCompletion")
    ]
    first, *others = [(each["choices"][0], each["usage"]) for each in answers]
    for choice, usage in others:
        assert choice["message"]["content"] == first[0]["message"]["content"]
        assert choice["finish_reason"] == first[0]["finish_reason"]
        assert usage["completion_tokens"] == first[1]["completion_tokens"]


@few
@given(prompt=TEXTS, seed=SEEDS, limit=st.integers(1, 20))
async def test_completions(client: httpx.AsyncClient, prompt: str, seed: int, limit: int) -> None:
    body = {"model": "echo", "prompt": prompt, "seed": seed, "max_tokens": limit}
    native = await answered(client, "/v1/completions", body)
    for path in ("/completion", "/completions"):
        other = await answered(client, path, body)
        assert other["choices"][0]["text"] == native["choices"][0]["text"]
        assert other["usage"] == native["usage"]
    llama = {"prompt": prompt, "seed": seed, "n_predict": limit}
    assert (await answered(client, "/completion", llama))["content"] == other["content"]


@few
@given(text=TEXTS)
async def test_embeddings(client: httpx.AsyncClient, text: str) -> None:
    native = await answered(client, "/v1/embeddings", {"model": "digest", "input": text})
    vector = native["data"][0]["embedding"]
    other = await answered(client, "/embeddings", {"input": text})
    assert other["data"][0]["embedding"] == vector
    for path, body in (("/embedding", {}), ("/embeddings", {"stream": False})):
        (found,) = await answered(client, path, body | {"content": text})
        assert found["embedding"] == [vector]


@few
@given(prompt=PROMPTS, width=SIDES, height=SIDES, seed=SEEDS)
async def test_images(
    client: httpx.AsyncClient, prompt: str, width: int, height: int, seed: int
) -> None:
    native = {"prompt": prompt, "size": f"{width}x{height}", "seed": seed}
    (image,) = (
        await answered(
            client,
            "/v1/images/generations",
            native | {"response_format": "b64_json", "output_format": "webp"},
        )
    )["data"]
    mine = base64.b64decode(image["b64_json"])
    size = {"width": width, "height": height, "seed": seed}
    asked = {"positivePrompt": prompt} | size
    (result,) = (await answered(client, "/api/TextToImage", asked))["results"]
    assert np.array_equal(pixels(await fetched(client, result["url"])), pixels(mine))
    drawn = await answered(client, "/sdapi/v1/txt2img", {"prompt": prompt} | size)
    assert pixels(base64.b64decode(drawn["images"][0])).shape == pixels(mine).shape
    assert drawn["parameters"]["seed"] == image["seed"] == seed


@pytest.fixture
async def processing(make_context: MakeContext, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose media are really processed."""
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    async with client_of(make_context(runs={"media": media})) as client:
        yield client


@pytest.mark.parametrize("asked", [(1, 1), (90, 60), (301, 7), (30, None), (None, 80)])
async def test_scaled_images(
    processing: httpx.AsyncClient, asked: tuple[int | None, int | None]
) -> None:
    image = base64.b64encode(stripes()).decode()
    size = {name: side for name, side in zip(("width", "height"), asked, strict=True) if side}
    step = {"type": "scale", "keep_ratio": False} | size
    native = await answered(
        processing,
        "/v1/images/process",
        {"image": image, "steps": [step], "response_format": "b64_json"},
    )
    (result,) = (await answered(processing, "/api/ScaleImage", {"image": image} | size))["results"]
    mine = pixels(base64.b64decode(native["data"][0]["b64_json"]))
    assert mine.shape == (asked[1] or 40, asked[0] or 60, 3)
    assert np.array_equal(pixels(await fetched(processing, result["url"])), mine)


def stripes() -> bytes:
    """A PNG of 60x40, each of whose columns is another grey."""
    columns = np.arange(60, dtype=np.uint8)[None, :, None] * 4
    written = io.BytesIO()
    Image.fromarray(np.broadcast_to(columns, (40, 60, 3)).copy()).save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize("factor", [2, 4])
async def test_enlarged_images(client: httpx.AsyncClient, factor: int) -> None:
    image = base64.b64encode(png("navy", (20, 10))).decode()
    native = await answered(
        client,
        "/v1/images/upscale",
        {"image": image, "scale": factor, "response_format": "b64_json"},
    )
    mine = pixels(base64.b64decode(native["data"][0]["b64_json"]))
    asked = {"image": image, "upscaling_resize": factor, "upscaler_1": "repeater"}
    web = await answered(client, "/sdapi/v1/extra-single-image", asked)
    assert np.array_equal(pixels(base64.b64decode(web["image"])), mine)
    if factor == 2:
        (result,) = (await answered(client, "/api/ImageUpscale", {"image": image}))["results"]
        found = pixels(await fetched(client, result["url"])).astype(int)
        # WebP of this dialect is not lossless.
        assert np.abs(found - mine).max() <= 4


async def test_transcripts(client: httpx.AsyncClient) -> None:
    audio = base64.b64encode(wav(tone(0.4))).decode()
    native = await answered(client, "/v1/audio/transcriptions", {"file": audio})
    results = (await answered(client, "/api/SpeechToText", {"audio": audio}))["results"]
    assert results[0]["text"] == native["text"]


@few
@given(text=PROMPTS)
async def test_speech(client: httpx.AsyncClient, text: str) -> None:
    native = await client.post("/v1/audio/speech", json={"input": text, "response_format": "mp3"})
    assert native.status_code == 200, native.text
    (result,) = (await answered(client, "/api/TextToSpeech", {"input": text}))["results"]
    assert await fetched(client, result["url"]) == native.content
