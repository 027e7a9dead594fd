"""Routes that answer in front of the framework read the same out of a body as the framework does,
and leave to it what they do not read.
"""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from pydantic import ValidationError

from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_body import ChatBody

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
SAY = {"messages": [{"role": "user", "content": "x"}], "model": "echo"}
ODD = (
    '"model": "a", "model": "b"',
    '"model": 1, "model": "b"',
    '"model": "a", "model": 1',
    '"\\u006dodel": "q"',
    '"messages": [], "messages": [{"role": "user", "content": "y"}]',
    '"metadata": {"a": 123456789012345678901234567890}',
    '"metadata": {"a": NaN, "b": -Infinity, "c": 1e400}',
    '"metadata": {"a": 0.10000000000000000555111512312578, "b": -0, "c": -0.0, "d": 1E5}',
    '"metadata": ' + '{"a": ' * 150 + "1" + "}" * 150,
    '"x": ' + "[" * 150 + "]" * 150,
    '"temperature": 1',
    '"temperature": NaN',
    '"temperature": 1e400',
    '"temperature": 1E0',
    '"seed": 5.0',
    '"seed": 1e2',
    '"seed": -0',
    '"seed": true',
    '"max_tokens": 9223372036854775808',
    '"n": "1"',
    '"stream": 1',
    '"stream": "true"',
    '"user": "\\ud83d\\ude00"',
    '"user": "\\ud83d"',
    '"user": "\\u0000"',
    '"x": "a\tb"',
    '"x": 1,',
    '"x": 01',
    '"logit_bias": {"1": 2, "1": 3}',
    '"tools": [{"function": {"name": "a", "parameters": {"x": null, "x": 1}}}]',
    '"unknown": [1, 2.5, {"a": null}]',
    '"model": null',
)


@pytest.mark.parametrize("fields", ODD)
def test_an_odd_body_is_read_as_the_framework_reads_it(fields: str) -> None:
    content = f'{{"messages": [{{"role": "user", "content": "x"}}], {fields}}}'
    try:
        expected = repr(ChatBody.model_validate(json.loads(content)))
    except (ValidationError, ValueError):
        expected = "no chat"
    try:
        read = repr(ChatBody.model_validate_json(content.encode()))
    except ValidationError:
        read = "no chat"
    assert read == expected


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (json.dumps(SAY).encode(), JSON),
        (json.dumps(SAY).encode("utf-16"), JSON),
        (b"\xef\xbb\xbf" + json.dumps(SAY).encode(), JSON),
        (json.dumps(SAY).encode(), {"content-type": "Application/JSON; charset=utf-8"}),
        (json.dumps(SAY).encode(), {"content-type": "application/vnd.api+json"}),
        (json.dumps(SAY | {"x": json.loads("[" * 400 + "]" * 400)}).encode(), JSON),
    ],
)
async def test_every_spelling_of_a_body_is_answered(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post(CHAT, content=content, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_what_the_framework_is_left_to_read_it_reads_from_the_beginning(
    client: httpx.AsyncClient,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"messages": ', b'[{"role": "user", ', b'"content": 5}]}'):
            yield piece

    answer = await client.post(CHAT, content=pieces(), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content"


def test_a_route_that_takes_something_else_is_none() -> None:
    router = APIRouter(route_class=DirectRoute)

    async def other(body: ChatBody) -> None:
        del body

    with pytest.raises(TypeError, match="other takes"):
        router.post("/other")(other)
