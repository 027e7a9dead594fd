"""Stubs of the vendors that speak OpenAI's form, each with what it has of its own.

Shapes: https://platform.openai.com/docs/api-reference, https://ai.google.dev/gemini-api/docs/openai,
https://openrouter.ai/docs/api-reference/overview, https://vercel.com/docs/ai-gateway and
https://learn.microsoft.com/azure/ai-foundry/openai/latest.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

from tests.upstreams.answers import StubAnswer, StubCall, StubRequest
from tests.upstreams.openai_media import PNG, WAV, form_fields
from tests.upstreams.vendor_stub import SSE, Reply, VendorStub, sse
from tests.upstreams.video_stub import VideoStub

CREATED = 1_790_000_000
KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
STATUSES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
STATUSES |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
"""Google's words."""


class OpenAIStub(VendorStub):
    name, folder = "openai", "/v1"
    owner = "openai"
    videos: VideoStub

    def reset(self) -> None:
        super().reset()
        self.videos = VideoStub()

    def known_models(self) -> list[dict[str, Any]]:
        ids = ("gpt-5", "text-embedding-3-small", "gpt-image-1", "tts-1", "whisper-1")
        return [self.model(each) for each in ids]

    def model(self, model: str) -> dict[str, Any]:
        return {"id": model, "object": "model", "created": CREATED, "owned_by": self.owner}

    def error(self, status: int, message: str) -> Any:
        kind, code = KINDS.get(status, ("server_error", None))
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_in_stream(self, message: str) -> bytes:
        return sse({"error": {"message": message, "type": "server_error", "code": None}})

    async def handle(self, request: StubRequest, reply: Reply) -> None:
        match request.path.removeprefix(self.folder):
            case "/models":
                await reply.json({"object": "list", "data": self.models})
            case "/chat/completions" if request.json.get("stream") and self.streams:
                await reply.stream(self.chat_events(request, reply), SSE)
            case "/chat/completions":
                await reply.json(self.chat(request))
            case "/completions":
                await reply.json(self.completion(request))
            case "/embeddings":
                await reply.json(self.embeddings(request))
            case "/images/generations" | "/images/edits":
                data = [{"b64_json": base64.b64encode(PNG).decode()}]
                await reply.json({"created": CREATED, "data": data, "usage": self.image_usage()})
            case "/audio/speech":
                await reply.whole(200, WAV, "audio/wav")
            case "/audio/transcriptions":
                fields = form_fields(request)
                seconds = {"type": "duration", "seconds": 3}
                assert fields["file"], "the file of a form"
                await reply.json({"text": self.answer.text, "usage": seconds})
            case path if path.startswith("/videos"):
                await self.videos.handle(request, reply, path)
            case other:
                await reply.refuse(404, f"Invalid URL (POST {other})")

    def chat(self, request: StubRequest) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": self.message(self.answer),
            "logprobs": None,
            "finish_reason": self.answer.finish,
        }
        return self.head(request, "chat.completion") | {
            "choices": [choice],
            "usage": self.usage(),
        }

    def message(self, answer: StubAnswer) -> dict[str, Any]:
        calls = [self.tool_call(each, i) for i, each in enumerate(answer.calls)]
        said = {"reasoning_content": answer.reasoning} if answer.reasoning else {}
        return {
            "role": "assistant",
            "content": None if calls else answer.text,
            "refusal": answer.refusal or None,
            "annotations": [],
            **said,
            **({"tool_calls": calls} if calls else {}),
        }

    def tool_call(self, call: StubCall, index: int | None) -> dict[str, Any]:
        """Of a message; with an index of a stream."""
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": call.id, "type": "function", "function": function}

    async def chat_events(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        head = self.head(request, "chat.completion.chunk")
        for delta in self.deltas():
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
            yield sse(head | {"choices": [choice]})
            await asyncio.sleep(self.answer.pause_s)
        if reply.trouble.mishap == "error_in_stream":
            yield self.error_in_stream(reply.trouble.message)
            return
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self.answer.finish}
        yield sse(head | {"choices": [last]})
        if (request.json.get("stream_options") or {}).get("include_usage"):
            yield sse(head | {"choices": [], "usage": self.usage()})
        yield sse("[DONE]")

    def deltas(self) -> list[dict[str, Any]]:
        """The first has the role; tools' arguments come in two pieces."""
        found: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
        if self.answer.reasoning:
            found.append({"reasoning_content": self.answer.reasoning})
        for index, call in enumerate(self.answer.calls):
            half = len(call.arguments) // 2
            begun = {"index": index} | self.tool_call(call, index)
            begun["function"] = {"name": call.name, "arguments": ""}
            found.append({"tool_calls": [begun]})
            for part in (call.arguments[:half], call.arguments[half:]):
                found.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        return (
            found if self.answer.calls else [*found, *({"content": p} for p in self.answer.pieces)]
        )

    def completion(self, request: StubRequest) -> dict[str, Any]:
        choice = {"text": self.answer.text, "index": 0, "logprobs": None}
        head = self.head(request, "text_completion")
        choices = [choice | {"finish_reason": self.answer.finish}]
        return head | {"choices": choices, "usage": self.usage()}

    def embeddings(self, request: StubRequest) -> dict[str, Any]:
        inputs = request.json["input"]
        count = len(inputs) if isinstance(inputs, list) else 1
        data = [
            {"object": "embedding", "index": i, "embedding": [0.0, 0.6, 0.8 * (-1) ** i]}
            for i in range(count)
        ]
        usage = {"prompt_tokens": self.answer.prompt_tokens}
        usage |= {"total_tokens": self.answer.prompt_tokens}
        return {"object": "list", "data": data, "model": request.json["model"], "usage": usage}

    def head(self, request: StubRequest, kind: str) -> dict[str, Any]:
        model = request.json["model"]
        return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": model}

    def usage(self) -> dict[str, Any]:
        answer = self.answer
        return {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        }

    def image_usage(self) -> dict[str, Any]:
        return {"input_tokens": 7, "output_tokens": 272, "total_tokens": 279}


class AzureStub(OpenAIStub):
    """The v1 form, which needs no api-version. Its filters come in a chunk without choices."""

    name, folder = "azure", "/openai/v1"
    owner = "system"

    def key_of(self, headers: dict[str, str]) -> str:
        return headers.get("api-key") or super().key_of(headers)

    def error(self, status: int, message: str) -> Any:
        if status == 401:
            return {"error": {"code": "401", "message": message}}
        return super().error(status, message)

    async def chat_events(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        filters = [{"prompt_index": 0, "content_filter_results": {}}]
        begun = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        yield sse(begun | {"prompt_filter_results": filters})
        async for event in super().chat_events(request, reply):
            yield event


class GoogleStub(OpenAIStub):
    """Ids begin with `models/`, calls in streams have no index and come in one piece, usage is in
    every chunk, and errors are in a list.
    """

    name, folder = "google", "/v1beta/openai"
    owner = "google"

    def known_models(self) -> list[dict[str, Any]]:
        ids = ("models/gemini-3-flash", "models/gemini-embedding-001", "models/imagen-4")
        return [{"id": each, "object": "model", "owned_by": "google"} for each in ids]

    def error(self, status: int, message: str) -> Any:
        error = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
        return [{"error": error}]

    def message(self, answer: StubAnswer) -> dict[str, Any]:
        full = super().message(answer)
        return {name: full[name] for name in ("role", "content", "tool_calls") if full.get(name)}

    def tool_call(self, call: StubCall, index: int | None) -> dict[str, Any]:
        signed = {"google": {"thought_signature": "c2lnbmVk"}}
        return {"extra_content": signed} | super().tool_call(call, index)

    async def chat_events(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        head = self.head(request, "chat.completion.chunk") | {"usage": self.usage()}
        calls = [self.tool_call(each, None) for each in self.answer.calls]
        parts = [{"tool_calls": calls}] if calls else [{"content": p} for p in self.answer.pieces]
        for i, part in enumerate(parts):
            last = i == len(parts) - 1 and reply.trouble.mishap != "error_in_stream"
            choice = {"index": 0, "delta": {"role": "assistant"} | part}
            choice |= {"finish_reason": self.answer.finish} if last else {}
            yield sse(head | {"choices": [choice]})
            await asyncio.sleep(self.answer.pause_s)
        if reply.trouble.mishap == "error_in_stream":
            yield sse(self.error(503, reply.trouble.message)[0])
            return
        yield sse("[DONE]")

    def usage(self) -> dict[str, Any]:
        """Without what was thought, which is in the total alone."""
        full = super().usage()
        thought = full["total_tokens"] + self.answer.reasoning_tokens
        return {name: full[name] for name in ("prompt_tokens", "completion_tokens")} | {
            "total_tokens": thought
        }


class OpenRouterStub(OpenAIStub):
    """Comments before the first token, and errors in a chunk of a stream that has begun."""

    name, folder = "openrouter", "/api/v1"

    def known_models(self) -> list[dict[str, Any]]:
        modalities = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
        price = {"prompt": "0.0000025", "completion": "0.00001"}
        fields = {"name": "GPT-5", "created": CREATED, "context_length": 400_000, "pricing": price}
        parameters = ["tools", "reasoning", "structured_outputs"]
        fields |= {"architecture": modalities, "supported_parameters": parameters}
        return [{"id": "openai/gpt-5"} | fields, {"id": "meta-llama/llama-4:free"} | fields]

    def error(self, status: int, message: str) -> Any:
        metadata = {"provider_name": "OpenAI", "raw": message}
        return {
            "error": {"message": "Provider returned error", "code": status, "metadata": metadata}
        }

    def message(self, answer: StubAnswer) -> dict[str, Any]:
        full = super().message(answer)
        thought = full.pop("reasoning_content", None)
        return full | {"reasoning": thought}

    def deltas(self) -> list[dict[str, Any]]:
        found = super().deltas()
        for delta in found:
            if "reasoning_content" in delta:
                delta["reasoning"] = delta.pop("reasoning_content")
        return found

    def head(self, request: StubRequest, kind: str) -> dict[str, Any]:
        return super().head(request, kind) | {"id": "gen-1", "provider": "OpenAI"}

    def usage(self) -> dict[str, Any]:
        return super().usage() | {"cost": 0.00125, "is_byok": False}

    def error_in_stream(self, message: str) -> bytes:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        error = {
            "code": 502,
            "message": message,
            "metadata": {"error_type": "provider_unavailable"},
        }
        return sse(
            {"id": "gen-1", "object": "chat.completion.chunk", "error": error}
            | {"choices": [choice | {"native_finish_reason": "error"}]}
        )

    async def chat_events(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        yield b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
        async for event in super().chat_events(request, reply):
            yield event


class VercelStub(OpenAIStub):
    """What the gateway knows of the way is in the last message and the last delta."""

    name, folder = "vercel", "/v1"

    def known_models(self) -> list[dict[str, Any]]:
        price = {"input": "0.0000025", "output": "0.00001"}
        rest = {"object": "model", "created": CREATED, "owned_by": "openai", "pricing": price}
        rest |= {"context_window": 400_000, "max_tokens": 128_000}
        tags = {"tags": ["reasoning", "tool-use", "vision"]}
        return [
            rest | tags | {"id": "openai/gpt-5", "name": "GPT-5", "type": "language"},
            rest | {"id": "openai/text-embedding-3-small", "type": "embedding"},
            rest | {"id": "google/imagen-4.0-generate", "type": "image"},
        ]

    def message(self, answer: StubAnswer) -> dict[str, Any]:
        routing = {"originalModelId": "openai/gpt-5", "finalProvider": "openai"}
        gateway = {"gateway": {"routing": routing, "cost": "0.0006766", "generationId": "gen_1"}}
        return super().message(answer) | {"provider_metadata": gateway}
