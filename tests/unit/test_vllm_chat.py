import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployments.text.loop_thread import LoopThread
from deployments.text.vllm_chat import VllmBackend, VllmChat, engine_arguments
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded, InvalidRequest
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice
from serve_app.core.options.text import VllmOptions
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatMessage,
    Complete,
    ImagePart,
    TextFormat,
    TextPart,
    Usage,
)

USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
IMAGE = Blob(sha256="a" * 64, mime="image/png", size=3)


def frame(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def word(text: str, reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return frame({"choices": [choice]})


class Server:
    """As LLMServer: a verb is a coroutine that gives a generator of lists of frames."""

    def __init__(self, say: Callable[[], AsyncGenerator[Any]]) -> None:
        self._say = say
        self.requests: list[Any] = []
        self.threads: set[str] = set()
        self.aborted = threading.Event()
        self.stopped: list[str] = []
        client = SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=1234),
            shutdown=lambda: self.stopped.append("client"),
        )
        self.engine = SimpleNamespace(shutdown=self._shutdown, _engine_client=client)

    async def chat(self, request: Any) -> AsyncGenerator[Any]:
        self.requests.append(request)
        return self._answer()

    async def completions(self, request: Any) -> AsyncGenerator[Any]:
        return await self.chat(request)

    async def _answer(self) -> AsyncGenerator[Any]:
        self.threads.add(threading.current_thread().name)
        try:
            async for item in self._say():
                yield [item]
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted.set()
            raise

    async def _shutdown(self) -> None:
        self.stopped.append("engine")


class Blobs:
    async def read(self, blob: Blob) -> AsyncIterator[bytes]:
        yield b"PIC"


async def two_words() -> AsyncGenerator[Any]:
    yield word("Hel")
    yield word("lo", "stop")
    yield frame(USAGE)


async def endless() -> AsyncGenerator[Any]:
    while True:
        yield word("on ")
        await asyncio.sleep(0.001)


def strict(**fields: Any) -> dict[str, Any]:
    if fields["temperature"] > 2:
        raise ValueError("Temperature is too high")
    return fields


def engine_of(server: Server, tmp_path: Path) -> VllmChat:
    async def start(options: VllmOptions, model: Model, path: Path) -> VllmBackend:
        return VllmBackend(server, strict, strict)

    return VllmChat(
        VllmOptions(),
        Model(id="m", source="org/m"),
        path=tmp_path,
        blobs=cast("BlobStore", Blobs()),
        start_backend=start,
    )


HI = Chat(model="m", messages=(ChatMessage(role="user", content=(TextPart(text="Hi"),)),))


async def test_deltas_and_usage_come_from_the_engines_own_thread(tmp_path: Path) -> None:
    server = Server(two_words)
    engine = engine_of(server, tmp_path)
    assert engine.context_length == 1234
    events = [event async for event in engine.chat(HI)]
    usage = events.pop()
    assert events == [ChatDelta(text="Hel"), ChatDelta(text="lo", finish_reason="stop")]
    assert isinstance(usage, Usage)
    assert usage.fingerprint is not None
    assert server.threads == {"vllm"}
    prompt = Complete(model="m", prompts=("Hi",))
    assert [type(event) async for event in engine.complete(prompt)] == [
        ChatDelta,
        ChatDelta,
        Usage,
    ]
    assert server.requests[1]["prompt"] == ["Hi"]
    await engine.close()
    await engine.close()
    assert server.stopped == ["engine", "client"]


async def test_images_travel_as_data(tmp_path: Path) -> None:
    server = Server(two_words)
    engine = engine_of(server, tmp_path)
    message = ChatMessage(role="user", content=(ImagePart(image=IMAGE),))
    async for _ in engine.chat(HI.model_copy(update={"messages": (message,)})):
        pass
    (part,) = server.requests[0]["messages"][0]["content"]
    assert part["image_url"] == {"url": "data:image/png;base64,UElD"}
    await engine.close()


async def test_what_no_grammar_has_is_left_out_with_a_warning(tmp_path: Path) -> None:
    server = Server(two_words)
    engine = engine_of(server, tmp_path)
    form = TextFormat(type="json_schema", json_schema={"type": "string", "not": {"const": "x"}})
    request = HI.model_copy(update={"response_format": form})
    first, *others = [event async for event in engine.chat(request)]
    sent = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert sent == {"type": "string"}
    warning = Notice(field="response_format.json_schema", text="'not' is not enforced")
    assert first == ChatDelta(text="Hel", warnings=(warning,))
    assert not any(event.warnings for event in others if isinstance(event, ChatDelta))
    strict = form.model_copy(update={"strict": True})
    with pytest.raises(InvalidRequest, match="'not'"):
        await anext(engine.chat(HI.model_copy(update={"response_format": strict})))
    await engine.close()


async def test_closing_a_stream_aborts_the_request(tmp_path: Path) -> None:
    server = Server(endless)
    engine = engine_of(server, tmp_path)
    events = engine.chat(HI)
    assert await anext(events) == ChatDelta(text="on ")
    await events.aclose()
    assert await asyncio.to_thread(server.aborted.wait, 10)
    await engine.close()


async def test_cancelling_the_caller_aborts_the_request(tmp_path: Path) -> None:
    server = Server(endless)
    engine = engine_of(server, tmp_path)
    first = asyncio.Event()

    async def listen() -> None:
        async for _ in engine.chat(HI):
            first.set()

    task = asyncio.create_task(listen())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.aborted.wait, 10)
    await engine.close()


async def test_errors_are_raised_before_the_first_item(tmp_path: Path) -> None:
    async def overflow() -> AsyncGenerator[Any]:
        yield {"error": {"message": "Too long", "param": "input_tokens", "code": 400}}

    engine = engine_of(Server(overflow), tmp_path)
    with pytest.raises(ContextLengthExceeded):
        await anext(engine.chat(HI))
    hot = HI.sampling.model_copy(update={"temperature": 3.0})
    with pytest.raises(InvalidRequest, match="temperature is too high"):
        await anext(engine.chat(HI.model_copy(update={"sampling": hot})))
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await anext(engine.chat(HI))


async def test_an_engine_that_breaks_says_nothing_of_its_insides(tmp_path: Path) -> None:
    class EngineDeadError(Exception):
        pass

    async def dying() -> AsyncGenerator[Any]:
        yield word("a")
        raise EngineDeadError("see /opt/vllm/core.py")

    engine = engine_of(Server(dying), tmp_path)
    events = engine.chat(HI)
    await anext(events)
    with pytest.raises(BackendUnavailable, match="EngineDeadError") as caught:
        await anext(events)
    assert "/opt" not in caught.value.message
    assert caught.value.retry_after_s == 30
    await engine.close()


def test_a_backend_that_cannot_start(tmp_path: Path) -> None:
    async def fail(options: VllmOptions, model: Model, path: Path) -> VllmBackend:
        raise RuntimeError("No CUDA in /opt/vllm")

    with pytest.raises(BackendUnavailable, match=r"'m' cannot be loaded by vLLM") as caught:
        VllmChat(
            VllmOptions(),
            Model(id="m"),
            path=tmp_path,
            blobs=cast("BlobStore", Blobs()),
            start_backend=fail,
        )
    assert "/opt" not in caught.value.message


async def test_stopping_the_thread_ends_its_streams() -> None:
    loop = LoopThread("own")
    items = loop.stream(endless)
    await anext(items)
    loop.stop()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        async for _ in items:
            pass
    loop.stop()


def test_the_operators_arguments_win() -> None:
    options = VllmOptions(
        context_length=4096,
        tensor_parallel=2,
        extra={"tool_call_parser": "pythonic", "max_num_seqs": 8},
    )
    assert engine_arguments(options, "<tool_call>\n") == {
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 1,
        "gpu_memory_utilization": 0.9,
        "enable_prompt_tokens_details": True,
        "max_model_len": 4096,
        "enable_auto_tool_choice": True,
        "tool_call_parser": "pythonic",
        "max_num_seqs": 8,
    }
