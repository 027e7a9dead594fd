"""The postcard pipeline over the shipped fakes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from deployments.fakes.engine import FakeChat, FakeSpeech
from deployments.fakes.images import FakeImages
from pipelines.postcard import PostcardPress
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import Speak, SpeechEvent
from serve_app.core.config import Model
from serve_app.core.errors import Cancelled, Unavailable
from serve_app.core.image.images import ImageEvent, Size, TextToImage
from serve_app.core.notices import Notice
from serve_app.core.options.fake import FakeOptions
from serve_app.core.stages import PlainStage
from serve_app.core.video.postcard import Postcard, SendPostcard
from tests.running import stages_over

T = TypeVar("T")
BOAT = SendPostcard(
    prompt="a red boat",
    text_model="echo",
    image_model="squares",
    speech_model="hum",
    size=Size(width=64, height=64),
    seed=7,
)


class Noting(PlainStage):
    """Records the stages that begin."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.names.append(name)
        return await super().__call__(name, work)


class Reader(FakeSpeech):
    """Signals when it begins, and can be told to fail."""

    begun: asyncio.Event
    error: Exception | None = None

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        self.begun.set()
        if self.error is not None:
            raise self.error
        async for event in super().speak(request):
            yield event


class Generator(FakeImages):
    """Generates once the reader has begun; times out if both do not run at the same time."""

    waits_for: asyncio.Event | None = None

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        if self.waits_for is not None:
            async with asyncio.timeout(5):
                await self.waits_for.wait()
        async for event in super().text_to_image(request):
            yield event


class Parts:
    """The pipeline over fakes."""

    def __init__(self, folder: Path) -> None:
        blobs, model = FsspecBlobStore(folder), Model(id="fake")
        self.stages = Noting()
        self.images = Generator(FakeOptions(task="images"), model, blobs=blobs)
        self.speech = Reader(FakeOptions(task="speech"), model, blobs=blobs)
        self.speech.begun = asyncio.Event()
        chat = FakeChat(FakeOptions(task="chat"), model, blobs=blobs)
        parts = {"chat": chat, "images": self.images, "speech": self.speech}
        self.press = PostcardPress(stages_over(parts, self.stages), blobs)

    async def sent(self, request: SendPostcard = BOAT) -> Postcard:
        """The last thing that the pipeline yields."""
        events = [event async for event in self.press.run(request)]
        assert isinstance(events[-1], Postcard)
        return events[-1]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """New parts for every test."""
    return Parts(tmp_path)


async def test_a_postcard_is_written_generated_and_read(parts: Parts) -> None:
    card = await parts.sent()
    assert set(card.caption.split()) == {"a", "red", "boat"}
    assert card.image.mime == "image/png"
    assert card.audio is not None
    assert card.audio.mime == "audio/wav"
    assert card.warnings == ()
    assert parts.stages.names == ["caption", "image", "voice"]
    assert tuple(parts.stages.names) == BOAT.stages


async def test_it_is_read_while_it_is_generated(parts: Parts) -> None:
    parts.images.waits_for = parts.speech.begun
    assert (await parts.sent()).audio is not None


async def test_without_a_voice_nothing_is_read(parts: Parts) -> None:
    request = BOAT.model_copy(update={"speech_model": None})
    card = await parts.sent(request)
    assert card.audio is None
    assert tuple(parts.stages.names) == request.stages == ("caption", "image")


async def test_a_caption_that_cannot_be_read_is_a_warning(parts: Parts) -> None:
    parts.speech.error = Unavailable("the voice is lost")
    card = await parts.sent()
    assert card.audio is None
    assert card.warnings == (Notice(text="stage 'voice': the voice is lost"),)


async def test_a_cancelled_pipeline_yields_no_postcard(parts: Parts) -> None:
    parts.speech.error = Cancelled("the job was cancelled")
    with pytest.raises(Cancelled):
        await parts.sent()
