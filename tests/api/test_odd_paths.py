"""Paths that a router, a gate and a proxy may each read differently: none is a way around."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.convertors import Convertor
from starlette.routing import Route
from starlette.types import ASGIApp

from serve_app.api.app import create_app
from tests.api.conftest import MakeContext

TOKENS = {"API_TOKENS": "sk-one", "ADMIN_TOKEN": "sk-boss"}
ODDITIES: dict[str, Callable[[str], str]] = {
    "a newline at the end": lambda path: f"{path}\n",
    "a return at the end": lambda path: f"{path}\r",
    "a newline at the start": lambda path: f"/\n{path[1:]}",
    "a newline in the middle": lambda path: path.replace("/", "\n/", 2),
    "NUL at the end": lambda path: f"{path}\0",
    "a second slash at the start": lambda path: f"/{path}",
    "a second slash at the last name": lambda path: "//".join(path.rsplit("/", 1)),
    "a dot as a folder": lambda path: f"/.{path}",
    "two dots as a folder": lambda path: f"/x/..{path}",
    "a dot at the last name": lambda path: "/./".join(path.rsplit("/", 1)),
    "a slash at the end": lambda path: f"{path}/",
    "a dot at the end": lambda path: f"{path}/.",
    "capitals": str.upper,
    "a capital": str.title,
    "a semicolon": lambda path: f"{path};x=1",
    "a space": lambda path: f"{path} ",
}


async def answered(app: ASGIApp, method: str, path: str, token: str | None = None) -> Any:
    """The status and the error of an empty request; `path` is as the server has decoded it, which
    an HTTP client would tidy up.
    """
    headers = [(b"host", b"127.0.0.1:8000")]
    if token is not None:
        headers.append((b"x-api-key", token.encode()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not received:
            # The client stays.
            await asyncio.Event().wait()
        return received.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status, body = sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
    has_error = status >= 400 and body.startswith(b"{")
    return status, error_in(json.loads(body)) if has_error else {}


def error_in(body: dict[str, Any]) -> dict[str, Any]:
    """Code and message, in whatever shape a dialect gives them."""
    if "responseStatus" in body:
        told = body["responseStatus"]
        return {"code": told["errorCode"], "message": told["message"]}
    if "error" not in body:
        # Coder's messages have no code, and tell in the details what was asked for.
        return {"code": body["message"], "message": body.get("detail", body["message"])}
    if isinstance(body["error"], str):
        return {"code": body["error"], "message": body["detail"]}
    return dict(body["error"])


def plain_paths(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that the app has, with a name in each gap."""
    for route in app.routes:
        assert isinstance(route, Route), route
        names: dict[str, Convertor[Any]] = route.param_convertors
        path = str(route.url_path_for(route.name, **dict.fromkeys(names, "1")))
        for method in route.methods or ():
            yield method, path


def is_refused(status: int, error: dict[str, Any], *, by: int) -> bool:
    """Whether a request has reached no route: for its credential, its path or for lack of one."""
    if status == 404:
        return str(error["message"]).startswith("no such route")
    return status in (by, 400)


@pytest.mark.parametrize("required", [True, False])
async def test_no_spelling_of_a_path_needs_less_scope(
    make_context: MakeContext, required: bool
) -> None:
    app = create_app(
        make_context(auth={"required": required}, environment=TOKENS, limits={"rates": None})
    )
    walked = 0
    for method, path in plain_paths(app):
        for token, refusal in ((None, 401), ("sk-one", 403)):
            status, _ = await answered(app, method, path, token)
            if status != refusal:
                continue
            for name, oddly in ODDITIES.items():
                status, error = await answered(app, method, oddly(path), token)
                assert is_refused(status, error, by=refusal), (method, path, name, token, status)
                walked += 1
    assert walked > (1000 if required else 500)


@pytest.mark.parametrize("path", ["/admin\n", "/metrics\n", "/v1/models\r", "/\nhealth"])
async def test_a_line_break_in_a_path_is_400(make_context: MakeContext, path: str) -> None:
    app = create_app(make_context(auth={"required": True}, environment=TOKENS))
    for token in (None, "sk-one", "sk-boss"):
        status, error = await answered(app, "GET", path, token)
        assert (status, error["code"]) == (400, "invalid_request")


async def test_a_path_below_a_prefix_needs_the_scope_of_its_route(
    make_context: MakeContext,
) -> None:
    """A server in front may hand over a path with a prefix that it calls the root."""
    app = create_app(make_context(auth={"required": True}, environment=TOKENS))

    async def below(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/own", "path": f"/own{scope['path']}"}, receive, send)

    for path in ("/admin/api/tokens", "/metrics"):
        assert (await answered(below, "GET", path))[0] == 401
        assert (await answered(below, "GET", path, "sk-one"))[0] == 403
        assert (await answered(below, "GET", path, "sk-boss"))[0] == 200
    assert (await answered(below, "GET", "/v1/health"))[0] == 200
