"""Chats of the AI Server dialect: at once, queued, and what a callback is told."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_app.api.callback_rendering import callback_rendering
from serve_app.api.context import Context
from serve_app.core.errors import InternalError
from serve_app.core.settings import Jobs, Limits
from serve_app.jobs.callbacks import Callbacks
from tests.ai_server import ended, form, refused
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import png

SAY = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
URL = "/api/OpenAiChatCompletion"


def said(body: dict[str, Any]) -> str:
    text: str = body["choices"][0]["message"]["content"]
    return text


@pytest.mark.covers("AI Server: OpenAiChatCompletion")
@pytest.mark.parametrize(
    "body",
    [
        SAY,
        SAY | {"model": "echo:latest"},
        SAY | {"stream": True, "provider": "any", "tag": "t"},
        SAY | {"max_tokens": 50, "topP": 1.0, "frequencyPenalty": 0, "presence_penalty": 0},
        SAY | {"maxTokens": 50, "Seed": 1, "Temperature": 0, "N": 1, "stop": None, "tools": []},
        {"Model": "echo", "Messages": [{"Role": "User", "Content": "one two three", "Images": []}]},
        SAY | {"responseFormat": {"type": "Text"}, "tools": [{"type": "function"}]},
        SAY | {"refId": "named"},
    ],
)
async def test_a_conversation(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-job-id"]
    told = answer.json()
    assert told["object"] == "chat.completion"
    assert told.keys() >= {"id", "created", "model", "choices", "usage"}
    assert "null" not in json.dumps(told)
    assert sorted(said(told).split()) == ["one", "three", "two"]


@pytest.mark.parametrize(
    "request_",
    [
        {"json": SAY, "params": {"maxTokens": "50", "temperature": "0.5", "stream": "True"}},
        {"data": {"model": "echo", "messages": json.dumps(SAY["messages"]), "n": "1"}},
        form(("Model", "echo"), ("Messages", json.dumps(SAY["messages"])), ("Stop", "[x,y]")),
        {"json": SAY, "params": {"stop": "x", "user": "1", "responseFormat": '{"type":"text"}'}},
    ],
)
async def test_a_conversation_in_texts(client: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    answer = await client.post(URL, **request_)
    assert answer.status_code == 200, answer.text
    assert sorted(said(answer.json()).split()) == ["one", "three", "two"]


async def test_texts_that_are_no_conversation(client: httpx.AsyncClient) -> None:
    for params in ({"temperature": "warm"}, {"maxTokens": "0.5"}, {"n": "1e999"}):
        refused(await client.post(URL, json=SAY, params=params), 400, "ArgumentException")


async def test_log_probabilities(client: httpx.AsyncClient) -> None:
    asked = {"logProbs": True, "topLogprobs": 2}
    told = (await client.post(URL, json=SAY | asked)).json()
    assert told["choices"][0]["logprobs"]["content"]
    told = (await client.post(URL, json=SAY | {"logprobs": True, "topLogProbs": 1})).json()
    assert len(told["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 1


async def test_images_of_a_message(client: httpx.AsyncClient) -> None:
    image = base64.b64encode(png(size=(8, 6))).decode()
    message = {"role": "user", "content": "what is it", "images": [image]}
    answer = await client.post(URL, json={"model": "org/eye", "messages": [message]})
    assert answer.status_code == 200, answer.text
    message["images"] = ["%"]
    answer = await client.post(URL, json={"model": "org/eye", "messages": [message]})
    refused(answer, 400, "ArgumentException", field="Messages[0].images[0]")


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ({"model": "echo"}, 400, "ArgumentNullException", "Messages"),
        ({"model": "echo", "messages": []}, 400, "ArgumentNullException", "Messages"),
        ({"messages": SAY["messages"]}, 400, "ArgumentNullException", "Model"),
        (SAY | {"model": "nobody"}, 404, "NotFound", "Model nobody not found"),
        (SAY | {"temperature": 5}, 400, "ArgumentException", None),
        (SAY | {"messages": "hello"}, 400, "ArgumentException", None),
        (SAY | {"messages": [{"role": "nobody", "content": "x"}]}, 400, "ArgumentException", None),
        (SAY | {"n": 10**40}, 400, "ArgumentException", None),
    ],
)
async def test_conversations_that_are_none(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, message: str | None
) -> None:
    refused(await client.post(URL, json=body), status, code, message)
    if "messages" in body and "model" in body:
        queued = await client.post("/api/QueueOpenAiChatCompletion", json={"request": body})
        refused(queued, status, code, message)


async def test_no_model_chats(make_context: MakeContext) -> None:
    families = [each for each in FAMILIES if each["name"] not in ("chat", "vision")]
    async with client_of(make_context(families=families)) as client:
        refused(await client.post(URL, json=SAY), 405, "NotSupportedException")


@pytest.mark.covers("AI Server: QueueOpenAiChatCompletion")
async def test_a_queued_conversation(client: httpx.AsyncClient) -> None:
    body = {"request": SAY, "refId": "chat"}
    told = (await client.post("/api/QueueOpenAiChatCompletion", json=body)).json()
    assert told.keys() == {"id", "refId", "statusUrl"}
    waited = (await client.get("/api/WaitForOpenAiChat?refId=chat")).json()["result"]
    assert (waited["id"], waited["refId"], waited["state"]) == (told["id"], "chat", "Completed")
    assert waited["completedDate"].endswith("Z")
    assert "one two three" in said(json.loads(waited["responseBody"]))
    status = (await ended(client, told["statusUrl"])).json()
    assert (status["jobId"], status["refId"]) == (told["id"], "chat")
    assert status["result"] == json.loads(waited["responseBody"])
    got = (await client.get(f"/api/GetOpenAiChat?id={told['id']}")).json()
    assert got == {"result": waited}
    refused(
        await client.post("/api/QueueOpenAiChatCompletion", json={}), 400, "ArgumentNullException"
    )


async def test_a_queued_conversation_in_a_query(client: httpx.AsyncClient) -> None:
    url = "/api/QueueOpenAiChatCompletion"
    told = (await client.get(url, params={"request": json.dumps(SAY)})).json()
    status = (await ended(client, told["statusUrl"])).json()
    assert "one two three" in said(status["result"])
    refused(await client.get(url, params={"request": "[1]"}), 400, "ArgumentNullException")


async def test_a_queued_conversation_that_is_repeated(client: httpx.AsyncClient) -> None:
    call = {"json": {"request": SAY}, "headers": {"Idempotency-Key": "once"}}
    first = (await client.post("/api/QueueOpenAiChatCompletion", **call)).json()
    assert (await client.post("/api/QueueOpenAiChatCompletion", **call)).json() == first


class Broken:
    def chat(self, request: object) -> AsyncIterator[object]:
        return self.said()

    async def said(self) -> AsyncIterator[object]:
        raise InternalError("the model is gone")
        yield


async def test_a_conversation_that_fails(make_context: MakeContext) -> None:
    async with client_of(make_context(runs={"chat": Broken()})) as client:
        refused(await client.post(URL, json=SAY), 500, "Exception")
        body = {"request": SAY, "refId": "chat"}
        told = (await client.post("/api/QueueOpenAiChatCompletion", json=body)).json()
        answer = await ended(client, told["statusUrl"])
        assert (answer.status_code, answer.json()["jobState"]) == (200, "Failed")
        got = (await client.get("/api/GetOpenAiChat?refId=chat")).json()
        assert got["result"]["state"] == "Failed"
        assert got["responseStatus"]["errorCode"] == "Exception"


async def test_a_conversation_that_takes_too_long(make_context: MakeContext) -> None:
    options = {"engine": "fake", "task": "chat", "tokens_per_s": 10}
    slow = [each | {"options": options} if each["name"] == "chat" else each for each in FAMILIES]
    context = make_context(families=slow, jobs={"sync_timeout_s": {"api": 0.05}})
    async with client_of(context) as client:
        meta = refused(await client.post(URL, json=SAY), 504, "TimeoutException")["meta"]
        status = (await ended(client, meta["statusUrl"])).json()
    assert status["jobState"] == "Completed"


async def told_to_callback(
    context: Context, path: str, request: dict[str, Any]
) -> tuple[dict[str, Any], httpx.Response]:
    """What is posted when the job of a queued call has ended, and the call's answer."""
    heard: list[bytes] = []
    is_heard = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].split()[0])
        heard.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        is_heard.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    allowed = Limits(fetch_allow=("127.0.0.1",))
    calling = replace(context, config=context.config.model_copy(update={"limits": allowed}))
    async with server, client_of(calling) as client:
        request = {"headers": request.get("headers", {}) | {"ReplyTo": url}} | {
            name: value for name, value in request.items() if name != "headers"
        }
        queued = await client.post(path, **request)
        assert queued.status_code == 200, queued.text
        ref = queued.json()["refId"]
        async with asyncio.timeout(30):
            while (await client.get(f"/v1/jobs/{ref}")).json()["finished_at"] is None:
                await asyncio.sleep(0.02)
        callbacks = Callbacks(
            context.database,
            callback_rendering(context.config, context.blobs),
            settings=Jobs(),
            limits=allowed,
            secret=None,
        )
        await callbacks.deliver_due()
        async with asyncio.timeout(30):
            await is_heard.wait()
    body: dict[str, Any] = json.loads(heard[0])
    return body, queued


@pytest.mark.covers("AI Server: callbacks")
async def test_a_callback_tells_of_files(make_context: MakeContext) -> None:
    body = {"positivePrompt": "a boat", "width": 64, "state": "mine", "refId": "told"}
    told, _ = await told_to_callback(make_context(), "/api/QueueTextToImage", {"json": body})
    (output,) = told.pop("outputs")
    assert output["url"].startswith("http://127.0.0.1:8000/artifacts/")
    assert output.keys() == {"fileName", "url"}
    assert told == {"state": "mine", "refId": "told"}


async def test_a_callback_tells_of_media(make_context: MakeContext) -> None:
    request = form(("image", png()), ("outputFormat", "gif"))
    told, _ = await told_to_callback(make_context(), "/api/QueueConvertImage", request)
    assert told["outputs"][0]["outputFormat"] == "Image"


async def test_a_callback_tells_of_texts(make_context: MakeContext) -> None:
    request = form(("image", png()))
    told, _ = await told_to_callback(make_context(), "/api/QueueImageToText", request)
    assert told.keys() == {"refId", "textOutputs"}


async def test_a_callback_is_the_answer_of_a_chat(make_context: MakeContext) -> None:
    request = {"json": {"request": SAY}}
    told, _ = await told_to_callback(make_context(), "/api/QueueOpenAiChatCompletion", request)
    assert sorted(said(told).split()) == ["one", "three", "two"]


async def test_a_callback_tells_of_failures(make_context: MakeContext) -> None:
    context = make_context(runs={"chat": Broken()})
    request = {"json": {"request": SAY}}
    told, _ = await told_to_callback(context, "/api/QueueOpenAiChatCompletion", request)
    assert told.keys() == {"refId", "responseStatus"}
    assert told["responseStatus"]["errorCode"] == "Exception"


async def test_a_callback_that_would_be_refused(client: httpx.AsyncClient) -> None:
    body = {"positivePrompt": "a boat", "replyTo": "ftp://a"}
    refused(
        await client.post("/api/QueueTextToImage", json=body),
        400,
        "ArgumentException",
        field="ReplyTo",
    )
