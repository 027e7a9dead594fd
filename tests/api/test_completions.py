"""POST /v1/completions."""

import re
from typing import Any

import httpx
import pytest

URL = "/v1/completions"


async def complete(client: httpx.AsyncClient, prompt: Any = "one two", **fields: Any) -> Any:
    answer = await client.post(URL, json={"prompt": prompt} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def texts(client: httpx.AsyncClient, prompt: Any, **fields: Any) -> list[str]:
    choices = (await complete(client, prompt, **fields))["choices"]
    assert [choice["index"] for choice in choices] == list(range(len(choices)))
    return [choice["text"] for choice in choices]


@pytest.mark.covers("CoderAI: POST /v1/completions")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    body = await complete(client, model="parrot")
    assert re.fullmatch(r"cmpl-[0-9a-f]{24}", body.pop("id"))
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "text_completion",
        "model": "echo",
        "system_fingerprint": "fake-1",
        "choices": [{"text": "one two", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([7, 8], ["<7> <8>"]),
        ([[7], [8, 9]], ["<7>", "<8> <9>"]),
        (["only"], ["only"]),
    ],
)
async def test_every_form_of_a_prompt(
    client: httpx.AsyncClient, prompt: Any, expected: list[str]
) -> None:
    assert await texts(client, prompt) == expected


async def test_choices_are_numbered_prompt_by_prompt(client: httpx.AsyncClient) -> None:
    assert await texts(client, ["a b", "c d"], n=2) == ["a b", "b a", "c d", "d c"]


async def test_echo_says_the_prompt_first(client: httpx.AsyncClient) -> None:
    assert await texts(client, "one", echo=True) == ["oneone"]


async def test_where_an_answer_ends(client: httpx.AsyncClient) -> None:
    choice = (await complete(client, "a b c", max_tokens=2))["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("a b", "length")
    assert await texts(client, "a b c", stop=["c", "b"]) == ["a"]


async def test_log_probabilities_in_the_older_shape(client: httpx.AsyncClient) -> None:
    choice = (await complete(client, "ab cd", logprobs=2))["choices"][0]
    assert choice["logprobs"] == {
        "tokens": ["ab", " cd"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"ab": -0.5, "other0": -2.0}, {" cd": -0.5, "other0": -2.0}],
        "text_offset": [0, 2],
    }
    choice = (await complete(client, "ab", logprobs=0))["choices"][0]
    assert choice["logprobs"]["top_logprobs"] == [None]


async def test_best_of(client: httpx.AsyncClient) -> None:
    assert len(await texts(client, "a b", n=2, best_of=3)) == 2
    for fields in ({"n": 3, "best_of": 2}, {"best_of": 2, "stream": True}):
        answer = await client.post(URL, json={"prompt": "a"} | fields)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "best_of"


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"prompt": "a", "user": "u", "other": 1})
    assert sorted(answer.headers["x-ignored-fields"].split(",")) == ["other", "user"]
