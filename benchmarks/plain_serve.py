"""The same fake engine behind Ray Serve as its documentation shows it: a FastAPI ingress, one
deployment per family, a handle between them, one token per yield, every switch at its default.
Started by `overhead.py` as `plain_serve.py <config> <port>`.
"""

import json
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import ray
import yaml
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.fakes.engine import FakeChat
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig, Family
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, ChatMessage, TextPart, Usage

MAX_ONGOING_REQUESTS = 100
"""Serve's own default of 5 would refuse the comparison: 32 streams would wait for each other."""


class MessageBody(BaseModel):
    """One message of a conversation."""

    role: str
    content: str


class ChatBody(BaseModel):
    """The part of OpenAI's request that the load uses."""

    model: str
    messages: list[MessageBody]
    stream: bool = False

    def to_chat(self) -> Chat:
        """The engine's request."""
        messages = (
            ChatMessage.model_validate({"role": m.role, "content": (TextPart(text=m.content),)})
            for m in self.messages
        )
        return Chat(model=self.model, messages=tuple(messages))


@serve.deployment(max_ongoing_requests=MAX_ONGOING_REQUESTS, ray_actor_options={"num_cpus": 0})
class FakeFamily:
    """The engine in a replica."""

    def __init__(self, family: Family) -> None:
        assert isinstance(family.options, FakeOptions)
        blobs = FsspecBlobStore(tempfile.mkdtemp())
        self._engine = FakeChat(family.options, family.models[0], blobs=blobs)

    async def answer(self, chat: Chat) -> tuple[str, Usage]:
        """The whole text at once."""
        text, usage = "", Usage(prompt_tokens=0, completion_tokens=0)
        async for event in self._engine.chat(chat):
            if isinstance(event, Usage):
                usage = event
            else:
                text += event.text
        return text, usage

    async def stream(self, chat: Chat) -> AsyncGenerator[ChatEvent]:
        """Token by token."""
        async for event in self._engine.chat(chat):
            yield event


async def _frames(model: str, events: AsyncIterator[ChatEvent]) -> AsyncGenerator[str]:
    head = _head("chat.completion.chunk", model)
    async for event in events:
        if isinstance(event, ChatDelta):
            delta = {"content": event.text}
            choice = {"index": 0, "delta": delta, "finish_reason": event.finish_reason}
            yield f"data: {json.dumps(head | {'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


def _head(kind: str, model: str) -> dict[str, Any]:
    identity = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}


# Serve pickles the app with its routes where it is decorated: what they call is defined above.
app = FastAPI()


@serve.deployment(max_ongoing_requests=MAX_ONGOING_REQUESTS, ray_actor_options={"num_cpus": 0})
@serve.ingress(app)
class PlainIngress:
    """The HTTP side."""

    def __init__(self, families: dict[str, DeploymentHandle[Any]]) -> None:
        self._families = families

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(self, body: ChatBody) -> dict[str, Any] | StreamingResponse:
        """OpenAI's route, streamed or not."""
        handle = self._families[body.model]
        if body.stream:
            events = handle.options(stream=True).stream.remote(body.to_chat())
            return StreamingResponse(_frames(body.model, events), media_type="text/event-stream")
        text, usage = await handle.answer.remote(body.to_chat())
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return _head("chat.completion", body.model) | {
            "choices": [choice],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
        }


def main(config_file: str, port: int) -> None:
    """Serve until told to stop."""
    args = yaml.safe_load(Path(config_file).read_text())["applications"][0]["args"]
    config = AppConfig.model_validate(args)
    with tempfile.TemporaryDirectory(prefix="plain-", ignore_cleanup_errors=True) as folder:
        ray.init(address="local", include_dashboard=False, _temp_dir=folder)
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            families = {
                family.models[0].id: FakeFamily.options(name=family.name).bind(family)
                for family in config.families
            }
            serve.run(PlainIngress.bind(families))
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            signal.pause()
        finally:
            serve.shutdown()
            ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
