"""Chat and completion by vLLM, through the LLMServer of `ray.serve.llm` in this process.

LLMServer starts vLLM's workers as Ray actors in the replica's placement group. It blocks the event
loop while it starts, so it has one of its own.
"""

import asyncio
import base64
import hashlib
import importlib.util
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from deployments.model_engine import ModelEngine
from deployments.text.best_of import best_of
from deployments.text.checkpoint_sampling import checkpoint_sampling
from deployments.text.enforced_schema import enforced, enforced_format, warned
from deployments.text.loop_thread import LoopThread
from deployments.text.token_verbs import TokenVerbs
from deployments.text.vllm_stream import PROVIDER, StreamReader, silenced
from deployments.text.vllm_wire import (
    chat_fields,
    complete_fields,
    media_of,
    ranks,
    reasoning_parser_of,
    tool_parser_of,
)
from serve_app.core.config import Model
from serve_app.core.errors import AppError, BackendUnavailable, InvalidRequest
from serve_app.core.media import Blob, BlobStore
from serve_app.core.options.sampling import settled
from serve_app.core.options.text import VllmOptions
from serve_app.core.text.chat import Chat, ChatEvent, Complete, Sampling

if TYPE_CHECKING:
    from deployments.text.prompt_tokens import PromptTokens

logger = logging.getLogger(__name__)

INSTALL = "install the gpu extra: pip install 'polyphony[gpu]'"


@dataclass(frozen=True)
class VllmBackend:
    """A running LLMServer and the request classes it takes."""

    server: Any
    chat_request: Callable[..., Any]
    completion_request: Callable[..., Any]


Talk = TypeVar("Talk", Chat, Complete)
StartBackend = Callable[[VllmOptions, Model, Path], Awaitable[VllmBackend]]


class VllmChat(ModelEngine[VllmOptions], TokenVerbs):
    """One vLLM engine. Errors known before the first token are raised before the first item;
    closing a stream aborts its request in vLLM.
    """

    def __init__(
        self,
        options: VllmOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        start_backend: StartBackend | None = None,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        if start_backend is None and importlib.util.find_spec("vllm") is None:
            raise BackendUnavailable(f"model {model.id!r} needs vLLM", remedy=f"{INSTALL}")
        if path is None:
            raise BackendUnavailable(
                f"model {model.id!r} has no source",
                remedy="set it to a hub id or a local directory",
            )
        self._fingerprint = _fingerprint(options, model)
        self._sampling = checkpoint_sampling(path)
        self._loop = LoopThread("vllm")
        try:
            backend = self._loop.run((start_backend or _started)(options, model, path))
        except (ImportError, OSError, ValueError, RuntimeError, TimeoutError) as error:
            self._loop.stop()
            logger.exception("vllm cannot load model %r", model.id)
            raise _loading_error(model, error) from error
        self._backend: VllmBackend | None = backend
        self._prompt_tokens: PromptTokens | None = None
        self.context_length = options.context_length or _context_length(backend.server)

    async def close(self) -> None:
        """Shut the engine down. What runs fails."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await self._loop.result(_shut_down(backend.server))
            self._loop.stop()

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        """As ChatModel says."""
        backend = self._running()
        request, warnings = await enforced(request)
        media = {blob.sha256: await self._base64(blob) for blob in media_of(request)}
        wire = _checked(backend.chat_request, chat_fields(self._settled(request), media))
        async with aclosing(self._events(backend.server.chat, wire, "messages")) as events:
            async for event in warned(_said(events, request.sampling), warnings):
                yield event

    async def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        """As ChatModel says; UnsupportedCapability for what vLLM has not."""
        backend = self._running()
        form, warnings = await enforced_format(request.response_format)
        request = request.model_copy(update={"response_format": form})
        wire = _checked(backend.completion_request, complete_fields(self._settled(request)))
        async with aclosing(self._events(backend.server.completions, wire, "prompt")) as events:
            ranked = best_of(events, request) if ranks(request) else events
            async for event in warned(_said(ranked, request.sampling), warnings):
                yield event

    @override
    async def prompt_tokens(self) -> "PromptTokens":
        """Read when they are first needed: vLLM's own tokenizer is in another process."""
        self._running()
        if self._prompt_tokens is None:
            self._prompt_tokens = await asyncio.to_thread(self._read_tokens)
        return self._prompt_tokens

    def _read_tokens(self) -> "PromptTokens":
        from deployments.text.prompt_tokens import read_prompt_tokens

        assert self.path is not None
        return read_prompt_tokens(
            self.path, model_id=self.model.id, context_length=self.context_length
        )

    async def _events(
        self, verb: Callable[[Any], Awaitable[Any]], wire: Any, param: str
    ) -> AsyncGenerator[ChatEvent]:
        reader = StreamReader(fingerprint=self._fingerprint, prompt_param=param)
        try:
            async with aclosing(self._loop.stream(lambda: _items(verb, wire))) as items:
                async for item in items:
                    for event in reader.events(item):
                        yield event
        except AppError:
            raise
        except Exception as error:
            raise _running_error(error) from error

    def _settled(self, request: Talk) -> Talk:
        """With what it leaves open as the configuration or the checkpoint says."""
        sampling = settled(request.sampling, self.options.sampling, self._sampling)
        return request.model_copy(update={"sampling": sampling})

    def _running(self) -> VllmBackend:
        if self._backend is None:
            raise BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)
        return self._backend

    async def _base64(self, blob: Blob) -> str:
        content = b"".join([chunk async for chunk in self.blobs.read(blob)])
        return base64.b64encode(content).decode()


def _said(events: AsyncIterator[ChatEvent], sampling: Sampling) -> AsyncIterator[ChatEvent]:
    return silenced(events) if sampling.max_tokens == 0 else events


async def _items(verb: Callable[[Any], Awaitable[Any]], wire: Any) -> AsyncGenerator[Any]:
    async with aclosing(await verb(wire)) as items:
        async for item in items:
            yield item


async def _shut_down(server: Any) -> None:
    """LLMServer's own shutdown leaves the engine's processes to the end of this one."""
    await server.engine.shutdown()
    client = getattr(server.engine, "_engine_client", None)
    if client is not None:
        client.shutdown()


async def _started(options: VllmOptions, model: Model, path: Path) -> VllmBackend:
    """LLMServer with vLLM. Inside a placement group its workers take that one's bundles."""
    import ray
    from ray.serve.llm import LLMConfig
    from ray.serve.llm.deployment import LLMServer
    from ray.serve.llm.openai_api_models import ChatCompletionRequest, CompletionRequest

    group = ray.util.get_current_placement_group()
    template = _chat_template(path)
    config = LLMConfig(
        model_loading_config={"model_id": model.id, "model_source": str(path)},
        engine_kwargs=engine_arguments(options, template),
        placement_group_config={"bundles": list(group.bundle_specs)} if group else None,
        experimental_configs={"stream_batching_interval_ms": 0},
        log_engine_metrics=False,
    )
    server: Any = LLMServer.sync_init(config)
    await server.start()
    return VllmBackend(server, ChatCompletionRequest, CompletionRequest)


def engine_arguments(options: VllmOptions, template: str) -> dict[str, Any]:
    """Arguments of vLLM; those of `options.extra` win. The template tells the parsers."""
    arguments: dict[str, Any] = {
        "tensor_parallel_size": options.tensor_parallel,
        "pipeline_parallel_size": options.pipeline_parallel,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "enable_prompt_tokens_details": True,
    }
    if options.context_length is not None:
        arguments["max_model_len"] = options.context_length
    if parser := tool_parser_of(template):
        arguments |= {"enable_auto_tool_choice": True, "tool_call_parser": parser}
    if parser := reasoning_parser_of(template):
        arguments["reasoning_parser"] = parser
    return arguments | options.extra


def _chat_template(path: Path) -> str:
    try:
        return (path / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    try:
        config = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(config.get("chat_template") or "")


def _checked(body: Callable[..., Any], fields: dict[str, Any]) -> Any:
    """The checks of vLLM itself, which are stricter here and there."""
    from pydantic import ValidationError

    try:
        return body(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or None
        raise InvalidRequest(first["msg"].lower(), param=where, provider=PROVIDER) from error
    except ValueError as error:
        raise InvalidRequest(str(error).lower(), provider=PROVIDER) from error


def _context_length(server: Any) -> int | None:
    """The engine's own limit; LLMServer tells it only when it was configured."""
    client = getattr(server.engine, "_engine_client", None)
    length = getattr(getattr(client, "model_config", None), "max_model_len", None)
    return length if isinstance(length, int) else None


def _fingerprint(options: VllmOptions, model: Model) -> str:
    weights = f"{model.place}@{model.revision} {options.model_dump_json()}"
    return f"vllm-{_version()}-{hashlib.sha256(weights.encode()).hexdigest()[:8]}"


def _version() -> str:
    try:
        return version("vllm")
    except PackageNotFoundError:
        return "unknown"


def _loading_error(model: Model, error: Exception) -> BackendUnavailable:
    if isinstance(error, ImportError):
        return BackendUnavailable(
            f"model {model.id!r} needs {error.name or 'vLLM'!r} to run in vLLM", remedy=f"{INSTALL}"
        )
    return BackendUnavailable(
        f"model {model.id!r} cannot be loaded by vLLM ({type(error).__name__})",
        remedy=(
            "the server's log says why: often too little GPU memory (lower context_length, or "
            "raise gpu_memory_utilization or tensor_parallel) or an architecture that vLLM does "
            "not know"
        ),
    )


def _running_error(error: Exception) -> AppError:
    logger.error("vllm failed while it answered", exc_info=error)
    return BackendUnavailable(
        f"the engine failed ({type(error).__name__})",
        remedy="the server's log says why",
        provider=PROVIDER,
        retry_after_s=30 if type(error).__name__ == "EngineDeadError" else None,
    )
