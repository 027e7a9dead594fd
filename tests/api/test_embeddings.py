"""POST /v1/embeddings."""

import base64
import math
import struct
from typing import Any

import httpx
import pytest

URL = "/v1/embeddings"
BITS = {"turbo": 8, "turbo8": 8, "turbo6": 6, "turbo4": 4, "turbo2": 2}


async def embed(client: httpx.AsyncClient, value: Any = "hello", **fields: Any) -> Any:
    answer = await client.post(URL, json={"model": "digest", "input": value} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def vectors(client: httpx.AsyncClient, value: Any, **fields: Any) -> list[list[float]]:
    return [item["embedding"] for item in (await embed(client, value, **fields))["data"]]


def decoded(text: str) -> list[float]:
    data = base64.b64decode(text, validate=True)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@pytest.mark.covers("CoderAI: POST /v1/embeddings")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    body = await embed(client, ["one two", "three"])
    first, second = (item.pop("embedding") for item in body["data"])
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0}, {"object": "embedding", "index": 1}],
        "model": "digest",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert len(first) == len(second) == 64
    assert first != second


async def test_base64_holds_the_same_numbers(client: httpx.AsyncClient) -> None:
    floats = await vectors(client, ["a", "b"], encoding_format="float")
    encoded = await vectors(client, ["a", "b"], encoding_format="base64")
    assert [decoded(str(text)) for text in encoded] == floats
    assert await vectors(client, ["a", "b"]) == floats


async def test_one_text_and_a_list_of_one_are_the_same(client: httpx.AsyncClient) -> None:
    assert await vectors(client, "a") == await vectors(client, ["a"])


async def test_token_ids(client: httpx.AsyncClient) -> None:
    assert await vectors(client, [1, 2]) == await vectors(client, [[1, 2]])
    assert len(await vectors(client, [[1], [2, 3]])) == 2


async def test_fewer_dimensions_are_cut_and_normalised_again(client: httpx.AsyncClient) -> None:
    [whole] = await vectors(client, "a")
    [cut] = await vectors(client, "a", dimensions=8)
    norm = math.hypot(*whole[:8])
    assert cut == pytest.approx([value / norm for value in whole[:8]], rel=1e-5)
    assert math.hypot(*cut) == pytest.approx(1, rel=1e-5)
    answer = await client.post(URL, json={"model": "digest", "input": "a", "dimensions": 65})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "dimensions"


@pytest.mark.parametrize("mode", BITS)
@pytest.mark.parametrize("form", ["float", "base64"])
async def test_quantization_rounds_to_few_levels(
    client: httpx.AsyncClient, mode: str, form: str
) -> None:
    body = await embed(client, "a", quantization=mode, encoding_format=form)
    assert body["quantization"] == {"mode": mode, "bits": BITS[mode]}
    value = body["data"][0]["embedding"]
    rounded = decoded(value) if form == "base64" else value
    [exact] = await vectors(client, "a")
    peak = max(map(abs, exact))
    step = peak / (2 ** (BITS[mode] - 1) - 1)
    assert len(set(rounded)) <= 2 ** BITS[mode] - 1
    for before, after in zip(exact, rounded, strict=True):
        assert after / step == pytest.approx(round(after / step), abs=1e-3)
        assert abs(after - before) <= step / 2 + 1e-6


async def test_without_quantization_nothing_is_said_of_it(client: httpx.AsyncClient) -> None:
    assert "quantization" not in await embed(client, quantization=None)


async def test_at_most_2048_inputs(client: httpx.AsyncClient) -> None:
    assert len(await vectors(client, ["a"] * 2048, dimensions=1)) == 2048
    for body in (
        {"input": ["a"] * 2049},
        {"input": [[1]] * 2049},
        {"image": ["aGk="] * 2049},
        {"input": ["a"] * 2048, "image": "aGk="},
    ):
        answer = await client.post(URL, json={"model": "digest"} | body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] in ("input", "image")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"image": []}, "input"),
    ],
)
async def test_nothing_to_embed(client: httpx.AsyncClient, body: Any, param: str) -> None:
    answer = await client.post(URL, json={"model": "digest"} | body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("image", ["iVBORw0KGgo=", ["iVBORw0KGgo="]])
async def test_a_text_model_takes_no_images(client: httpx.AsyncClient, image: Any) -> None:
    answer = await client.post(URL, json={"model": "digest", "image": image})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "image")


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    body = {"model": "auto", "input": "a", "user": "u", "x": 1}
    answer = await client.post(URL, json=body)
    assert answer.json()["model"] == "digest"
    assert sorted(answer.headers["x-ignored-fields"].split(",")) == ["user", "x"]
