"""`OpenAIForm`: the wire form of all providers of OpenAI's shape."""

from collections.abc import AsyncIterator
from typing import Any, cast

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import ListVoices, Speak
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.images import ImageToImage, TextToImage
from serve_app.core.message import Message
from serve_app.core.operation import Item, Operation
from serve_app.core.settings import Limits
from serve_app.core.tasks import UPSTREAM_TASKS
from serve_app.core.text.chat import Chat, Complete
from serve_app.core.text.embeddings import Embed
from serve_app.core.text.rerank import Rerank
from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamListing, UpstreamTarget
from serve_app.core.video.generation import GenerateVideo
from serve_app.upstreams.openai_form.chat import chat
from serve_app.upstreams.openai_form.completions import complete
from serve_app.upstreams.openai_form.embeddings import embed, rerank
from serve_app.upstreams.openai_form.exchange import OpenAIExchange
from serve_app.upstreams.openai_form.images import images
from serve_app.upstreams.openai_form.listing import listed_models
from serve_app.upstreams.openai_form.speech import speak, voices
from serve_app.upstreams.openai_form.transcription import transcribe
from serve_app.upstreams.openai_form.videos import generate_video


class OpenAIForm:
    """Satisfies `WireForm`. Media are read from `blobs` and stored there."""

    tasks = UPSTREAM_TASKS

    def __init__(self, blobs: FsspecBlobStore, limits: Limits) -> None:
        self._blobs = blobs
        self._limits = limits

    def run(
        self, operation: Operation[Any, Item], target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncIterator[Item]:
        """The items of the operation's stream."""
        exchange = OpenAIExchange(target, calls)
        return cast("AsyncIterator[Item]", self._items(operation, exchange))

    async def models(
        self, target: UpstreamTarget, calls: UpstreamCalls
    ) -> tuple[UpstreamListing, ...]:
        """What the provider lists."""
        return await listed_models(OpenAIExchange(target, calls))

    def _items(
        self, operation: Operation[Any, Any], exchange: OpenAIExchange
    ) -> AsyncIterator[Message]:
        match operation:
            case Chat():
                return chat(operation, exchange, self._blobs)
            case Complete():
                return complete(operation, exchange)
            case Embed():
                return embed(operation, exchange)
            case Rerank():
                return rerank(operation, exchange)
            case TextToImage() | ImageToImage():
                return images(operation, exchange, self._blobs, self._limits)
            case Speak():
                return speak(operation, exchange)
            case ListVoices():
                return voices(operation, exchange)
            case Transcribe():
                return transcribe(operation, exchange, self._blobs)
            case GenerateVideo():
                return generate_video(operation, exchange, self._blobs, self._limits)
        raise UnsupportedCapability(
            f"provider {exchange.name!r} has no request for {operation.name!r}",
            remedy="name a model of this server",
            param="model",
        )
