"""Lines of the contracts of the other dialects that no other test is about."""

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.sdapi import SD, base64_png, opened


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/completion", {"error"}),
        (f"{SD}/options", {"error", "detail", "body", "errors"}),
        ("/api/ActiveAiModels", {"responseStatus"}),
    ],
)
async def test_a_foreign_host_is_refused_in_the_shape_of_the_path(
    client: httpx.AsyncClient, path: str, shape: set[str]
) -> None:
    """While no token is needed, a web page must not reach the server by a name of its own."""
    answer = await client.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert answer.json().keys() == shape
    code = {"/completion": "forbidden", "/api/ActiveAiModels": "Forbidden"}.get(path)
    if code is not None:
        assert f'"{code}"' in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_health_is_open_to_every_method(make_context: MakeContext, method: str) -> None:
    async with client_of(make_context(auth={"required": True})) as client:
        answer = await client.request(method, "/health")
    assert answer.status_code == 200
    assert not any(name.lower().startswith("x-ratelimit") for name in answer.headers)


@pytest.mark.parametrize("more", [True, False, None])
async def test_special_tokens_may_be_asked_for(client: httpx.AsyncClient, more: object) -> None:
    sent = {"content": "one two", "add_special": more}
    plain = (await client.post("/tokenize", json={"content": "one two"})).json()["tokens"]
    tokens = (await client.post("/tokenize", json=sent)).json()["tokens"]
    assert tokens[-len(plain) :] == plain or set(plain) <= set(tokens)
    assert more or tokens == plain


async def test_switches_of_extras_are_accepted(client: httpx.AsyncClient) -> None:
    sent = {
        "image": base64_png(),
        "upscaler_1": "repeater",
        "upscaling_resize": 2,
        "upscale_first": True,
        "show_extras_results": False,
        "gfpgan_visibility": 0,
        "codeformer_weight": 0,
    }
    answer = await client.post(f"{SD}/extra-single-image", json=sent)
    assert answer.json().keys() == {"image", "html_info"}
    assert opened(answer.json()["image"]).size == (128, 128)


async def test_slots_and_types_are_not_served(client: httpx.AsyncClient) -> None:
    for path in ("/slots", "/types/python", "/slots/0"):
        assert (await client.get(path)).status_code == 404
