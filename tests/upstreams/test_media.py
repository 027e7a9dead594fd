"""Embeddings, rerank, images, speech and transcription by a provider of OpenAI's shape."""

import base64
import io
import struct
import wave
from typing import Any

import httpx
import pytest

from serve_app.upstreams.openai_form.audio_length import AudioLength
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import Asked, PlainStub, Told, told
from tests.upstreams.replies import PNG


def embeddings(asked: Asked) -> Told:
    floats = struct.pack("<2f", 3.0, 4.0)
    encoded = base64.b64encode(floats).decode()
    data = [
        {"index": 1, "embedding": [0.0, 2.0]},
        {"index": 0, "embedding": encoded},
    ]
    return told({"data": data, "usage": {"prompt_tokens": 4}})


async def test_embeddings(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """In the order of the inputs and of length one, in whatever form they come."""
    stub.answer = embeddings
    await register(client, stub.url)
    body = {"model": "mine/embed", "input": ["a", "b"], "dimensions": 2}
    answer = await client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["usage"]["prompt_tokens"] == 4
    first, second = (each["embedding"] for each in said["data"])
    assert first == pytest.approx([0.6, 0.8])
    assert second == [0.0, 1.0]
    sent = stub.asked[0].json
    assert (sent["model"], sent["input"], sent["dimensions"]) == ("embed", ["a", "b"], 2)


@pytest.mark.parametrize(
    "data", [[], None, [{"index": 0, "embedding": "%"}], [{"index": 5, "embedding": [1.0]}], [3]]
)
async def test_wrong_embeddings(client: httpx.AsyncClient, stub: PlainStub, data: Any) -> None:
    stub.answer = lambda _: told({"data": data})
    await register(client, stub.url)
    answer = await client.post("/v1/embeddings", json={"model": "mine/e", "input": "a"})
    assert answer.status_code == 502


async def test_rerank(client: httpx.AsyncClient, stub: PlainStub) -> None:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    stub.answer = lambda _: told({"results": results, "usage": {"total_tokens": 8}})
    await register(client, stub.url)
    body = {"model": "mine/r", "query": "q", "documents": ["a", "b"], "top_n": 1}
    said = (await client.post("/v1/rerank", json=body)).json()
    assert [each["index"] for each in said["results"]] == [1]
    assert stub.asked[0].path == "/v1/rerank"
    assert stub.asked[0].json["documents"] == ["a", "b"]


async def test_completions(client: httpx.AsyncClient, stub: PlainStub) -> None:
    logprobs = {"tokens": ["x"], "token_logprobs": [-0.5], "top_logprobs": [{"x": -0.5}]}
    choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": logprobs}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    stub.answer = lambda _: told({"choices": [choice], "usage": usage})
    await register(client, stub.url)
    body = {"model": "mine/c", "prompt": "a", "max_tokens": 1, "logprobs": 1}
    said = (await client.post("/v1/completions", json=body)).json()
    assert said["choices"][0]["text"] == "x"
    assert said["choices"][0]["finish_reason"] == "length"
    assert said["choices"][0]["logprobs"]["tokens"] == ["x"]
    assert stub.asked[0].json["prompt"] == "a"


@pytest.mark.parametrize("form", ["b64_json", "data", "url"])
async def test_images(client: httpx.AsyncClient, stub: PlainStub, form: str) -> None:
    """In base64, as a data URL, or at a URL of the provider's own host, without its key."""
    encoded = base64.b64encode(PNG).decode()

    def answer(asked: Asked) -> Told:
        if asked.method == "GET":
            assert asked.key == ""
            return Told(200, (PNG,), {"Content-Type": "image/png"})
        entries = {
            "b64_json": {"b64_json": encoded},
            "data": {"url": f"data:image/png;base64,{encoded}"},
            "url": {"url": f"{stub.url}/made.png"},
        }
        return told({"data": [entries[form]]})

    stub.answer = answer
    await register(client, stub.url)
    body = {"model": "mine/gpt-image-1", "prompt": "a dot", "size": "256x256", "seed": 4}
    got = await client.post("/v1/images/generations", json=body | {"response_format": "b64_json"})
    assert got.status_code == 200, got.text
    assert base64.b64decode(got.json()["data"][0]["b64_json"])[:4] == b"\x89PNG"
    sent = stub.asked[0].json
    assert (sent["model"], sent["prompt"], sent["size"]) == ("gpt-image-1", "a dot", "256x256")


@pytest.mark.parametrize(
    "entry",
    [{}, {"b64_json": "%"}, {"b64_json": "aGVsbG8="}, {"url": "http://10.0.0.1/x.png"}],
)
async def test_wrong_images(client: httpx.AsyncClient, stub: PlainStub, entry: Any) -> None:
    """A URL within the network is read only if it is of the provider's own host."""
    stub.answer = lambda _: told({"data": [entry]})
    await register(client, stub.url)
    body = {"model": "mine/dall-e-3", "prompt": "a dot"}
    answer = await client.post("/v1/images/generations", json=body)
    assert answer.status_code == 502, answer.text


async def test_image_edits(client: httpx.AsyncClient, stub: PlainStub) -> None:
    encoded = base64.b64encode(PNG).decode()
    stub.answer = lambda _: told({"data": [{"b64_json": encoded}]})
    await register(client, stub.url)
    files = {"image": ("a.png", PNG, "image/png")}
    fields = {"model": "mine/gpt-image-1", "prompt": "make it red"}
    answer = await client.post("/v1/images/edits", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    (asked,) = stub.asked
    assert asked.path == "/v1/images/edits"
    assert b'name="image"; filename="image.png"' in asked.body
    assert b"make it red" in asked.body


async def test_other_dialects_generate_images(client: httpx.AsyncClient, stub: PlainStub) -> None:
    encoded = base64.b64encode(PNG).decode()
    stub.answer = lambda _: told({"data": [{"b64_json": encoded}]})
    await register(client, stub.url)
    settings = {"sd_model_checkpoint": "mine/dall-e-3"}
    body = {"prompt": "a dot", "override_settings": settings, "width": 64, "height": 64}
    answer = await client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["images"][0])[:4] == b"\x89PNG"


def spoken(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16000, 0, "NONE", ""))
        written.writeframes(bytes(int(32000 * seconds)))
    return file.getvalue()


async def test_speech(client: httpx.AsyncClient, stub: PlainStub) -> None:
    audio = spoken(0.5)
    stub.answer = lambda _: Told(200, (audio[:100], audio[100:]), {"Content-Type": "audio/wav"})
    await register(client, stub.url)
    body = {"model": "mine/tts-1", "input": "hello", "voice": "nova", "response_format": "wav"}
    answer = await client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.content[:4] == b"RIFF"
    assert stub.asked[0].json == {
        "model": "tts-1",
        "input": "hello",
        "voice": "nova",
        "response_format": "wav",
    }


async def test_wrong_speech(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told({"audio": "?"})
    await register(client, stub.url)
    body = {"model": "mine/tts-1", "input": "hello", "voice": "nova"}
    assert (await client.post("/v1/audio/speech", json=body)).status_code == 502


def test_how_long_audio_is() -> None:
    length = AudioLength("wav")
    length.add(spoken(2))
    assert length.seconds == 2
    mp3 = AudioLength("mp3")
    mp3.add(b"ID3\x00\xff\xfb\x90\x00" + bytes(16_000 - 8))
    assert mp3.seconds == 1.0
    pcm = AudioLength("pcm")
    pcm.add(bytes(24_000))
    assert pcm.seconds == 0.5


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
async def test_transcription(client: httpx.AsyncClient, stub: PlainStub, model: str) -> None:
    has_times = model == "whisper-1"
    segment = {"id": 0, "start": 0.0, "end": 1.5, "text": " hello you "}
    words = [{"word": "hello", "start": 0.0, "end": 0.5}, {"word": "you", "start": 0.6, "end": 1.5}]
    whole = {"language": "english", "duration": 1.5, "segments": [segment], "words": words}
    stub.answer = lambda _: told({"text": "hello you"} | (whole if has_times else {}))
    await register(client, stub.url)
    files = {"file": ("a.wav", spoken(1.5), "audio/wav")}
    fields = {"model": f"mine/{model}", "response_format": "verbose_json", "language": "en"}
    answer = await client.post("/v1/audio/transcriptions", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["text"] == "hello you"
    assert said["language"] in ("en", "english")
    if has_times:
        assert said["segments"][0]["end"] == 1.5
    (asked,) = stub.asked
    assert asked.path == "/v1/audio/transcriptions"
    assert b'filename="audio.wav"' in asked.body
    assert (b"verbose_json" in asked.body) == has_times
