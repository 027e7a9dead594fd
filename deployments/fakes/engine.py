"""The engines of `engine: fake`: deterministic, quick, without weights, for every task.

They ship with the product so that an installation, a client or a whole graph can be tried and
measured without a model; the test suite runs on them.
"""

import asyncio
import hashlib
import math
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from typing_extensions import override

from deployments.fakes.breakage import raise_breakage
from deployments.fakes.replies import FakeReplies, tokens_of
from deployments.fakes.tokens import TEMPLATE, decoded, encoded, rendered
from serve_app.core.audio.speech import (
    AudioChunk,
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEnd,
    SpeechEvent,
    Voice,
    Voices,
)
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
    Word,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.chat import Chat, ChatEvent, Complete
from serve_app.core.text.chat_model import ChatModel
from serve_app.core.text.embeddings import Embed, Embeddings
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.core.text.tokens import (
    Detokenize,
    PlainPrompt,
    PromptFormat,
    ReadPromptFormat,
    RenderPrompt,
    Tokenize,
    Tokens,
)

DIMENSIONS = 64
SAMPLE_RATE = 24_000
SECONDS_PER_CHARACTER = 0.05
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog")


class FakeEngine:
    """Loading as the options ask for it."""

    def __init__(
        self,
        options: FakeOptions,
        model: Model,
        *,
        path: Path | None = None,  # noqa: ARG002 - every engine is constructed alike
        blobs: BlobStore,
    ) -> None:
        self.options = options
        self.model = model
        self.blobs = blobs
        self.context_length: int | None = None
        time.sleep(options.load_s)
        if options.fails_with:
            raise BackendUnavailable(options.fails_with, param="model", provider="fake")
        self._note(f"loaded {model.id}")

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    @asynccontextmanager
    async def working(self, verb: str, subject: str, *, delays: bool = True) -> AsyncIterator[None]:
        """Take as long as the options say, unless the work `delays` itself, and note it. A line is
        one write, so that processes can share the file.
        """
        self._note(f"{verb} begins {subject}")
        await asyncio.sleep(self.options.delay_s if delays else 0)
        raise_breakage(self.options, subject)
        yield
        self._note(f"{verb} ends {subject}")

    def _note(self, line: str) -> None:
        if self.options.diary is not None:
            with self.options.diary.open("ab", buffering=0) as diary:
                diary.write(f"{line}\n".encode())


class FakeChat(FakeEngine, ChatModel):
    """A ChatModel that says the last message back."""

    def __init__(
        self, options: FakeOptions, model: Model, *, path: Path | None = None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self.context_length = options.context_length
        self._replies = FakeReplies(options)

    @override
    def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        return self._replies.chat(request)

    @override
    def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        return self._replies.complete(request)

    @override
    async def tokenize(self, request: Tokenize) -> Tokens:
        return Tokens(ids=encoded(request.text))

    @override
    async def detokenize(self, request: Detokenize) -> PlainPrompt:
        return PlainPrompt(text=decoded(request))

    @override
    async def render_prompt(self, request: RenderPrompt) -> PlainPrompt:
        return PlainPrompt(text=rendered(request))

    @override
    async def read_prompt_format(self, request: ReadPromptFormat) -> PromptFormat:
        return PromptFormat(template=TEMPLATE, context_length=self.context_length)


class FakeEmbeddings(FakeEngine):
    """An EmbeddingModel whose vectors are the text's digest."""

    async def embed(self, request: Embed) -> Embeddings:
        """Equal texts have equal vectors, others nearly orthogonal ones."""
        raise_breakage(self.options, str(request.texts[0]))
        if request.images:
            raise UnsupportedCapability(f"model {request.model!r} embeds text only", param="images")
        size = request.dimensions or DIMENSIONS
        if size > DIMENSIONS:
            raise InvalidRequest(
                f"{size} dimensions are more than the model's {DIMENSIONS}", param="dimensions"
            )
        texts = [t if isinstance(t, str) else " ".join(map(str, t)) for t in request.texts]
        return Embeddings(
            vectors=tuple(_vector(text, size) for text in texts),
            dimensions=size,
            prompt_tokens=sum(len(tokens_of(text)) for text in texts),
        )


class FakeRerank(FakeEngine):
    """A RerankModel that scores by shared words."""

    async def rerank(self, request: Rerank) -> Relevance:
        """The share of the query's words that a document has."""
        query = set(request.query.lower().split())
        documents = [set(document.lower().split()) for document in request.documents]
        tokens = sum(len(document) + len(query) for document in documents)
        scores = tuple(len(query & document) / max(1, len(query)) for document in documents)
        return Relevance(scores=scores, prompt_tokens=tokens)


class FakeSpeech(FakeEngine):
    """A SpeechModel that hums: a tone of 0.05 s per character."""

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """A tone whose length follows the text's."""
        from deployments.audio.audio_encoding import encode

        listed = await self.voices(ListVoices(model=request.model))
        names = [voice.name for voice in listed.voices]
        if request.voice is not None and request.voice not in names:
            raise InvalidRequest(
                f"unknown voice {request.voice!r}",
                remedy=f"voices: {', '.join(names)}",
                param="voice",
            )
        encoder = encode(request.format, SAMPLE_RATE)
        duration_s = len(request.text) * SECONDS_PER_CHARACTER / request.speed
        async with self.working("speak", request.text):
            for data in (encoder.push(_tone(duration_s)), encoder.finish()):
                if data:
                    yield AudioChunk(data=data)
        yield SpeechEnd(duration_s=duration_s, characters=len(request.text))

    async def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        """As `speak`, whoever is heard in the reference."""
        async with self.working("clone", request.reference.sha256):
            yield Progress(phase="clone", current=1, total=1)
        speech = Speak(
            model=request.model, text=request.text, speed=request.speed, format=request.format
        )
        async for event in self.speak(speech):
            yield event

    async def voices(self, request: ListVoices) -> Voices:  # noqa: ARG002 - has one model
        """Two."""
        hum, alloy = Voice(name="hum", language="en"), Voice(name="alloy", language="en")
        return Voices(voices=(hum, alloy))


class FakeTranscription(FakeEngine):
    """A TranscriptionModel that always transcribes the same sentence, three words a second."""

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        """Three segments of one second."""
        segments = tuple(map(_segment, range(3)))
        async with self.working("transcribe", request.audio.sha256):
            for segment in segments:
                yield segment
        yield Transcript(
            text=" ".join(WORDS),
            language=request.language or "en",
            duration_s=3.0,
            segments=segments,
        )


def _segment(number: int) -> TranscriptSegment:
    """The `number`th second: three words."""
    words = tuple(
        Word(word=word, start=number + k / 3, end=number + (k + 1) / 3)
        for k, word in enumerate(WORDS[3 * number : 3 * number + 3])
    )
    text = " ".join(word.word for word in words)
    return TranscriptSegment(id=number, start=number, end=number + 1, text=text, words=words)


def _vector(text: str, size: int) -> bytes:
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(DIMENSIONS)
    values = [byte - 127.5 for byte in digest[:size]]
    norm = math.sqrt(sum(value * value for value in values))
    return struct.pack(f"<{size}f", *(value / norm for value in values))


def _eleven_waves() -> bytes:
    """After which the samples repeat."""
    count = SAMPLE_RATE // 40
    step = 2 * math.pi * 440 / SAMPLE_RATE
    return struct.pack(f"<{count}h", *(int(9000 * math.sin(k * step)) for k in range(count)))


TONE = _eleven_waves()


def _tone(duration_s: float) -> bytes:
    """440 Hz, signed 16-bit little-endian mono."""
    size = 2 * int(duration_s * SAMPLE_RATE)
    return (TONE * (size // len(TONE) + 1))[:size]
