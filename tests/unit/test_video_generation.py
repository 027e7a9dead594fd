"""The video-generation pipeline over fakes: its stages, seeds, stills, warnings and failures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from pipelines.video_generation import VideoGeneration
from serve_app.core.errors import AppError, UpstreamError
from serve_app.core.image.images import Image, ImageEvent, Images, Size, TextToImage
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.stages import PlainStage
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo, VideoEvent
from serve_app.core.video.production import ProduceVideo, Videos
from tests.notices import texts_of
from tests.running import stages_over

T = TypeVar("T")
SIZE = Size(width=64, height=48)


def blob(name: str) -> Blob:
    return Blob(sha256=(name.encode().hex() * 32)[:64], mime="video/mp4", size=4)


class Images_:
    """Draws blobs that tell their seed."""

    def __init__(self) -> None:
        self.asked: list[TextToImage] = []

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        self.asked.append(request)
        yield Progress(phase="denoise", current=1, total=1)
        seeds = range(request.seed, request.seed + request.count)
        images = [Image(image=blob(f"still {seed}"), seed=seed, size=SIZE) for seed in seeds]
        yield Images(images=tuple(images), warnings=(Notice(field="size", text="rounded"),))


class Video:
    """Makes blobs that tell their seed."""

    def __init__(self) -> None:
        self.asked: list[GenerateVideo] = []
        self.fails_at: int | None = None
        self.is_silent = False

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        self.asked.append(request)
        if request.seed == self.fails_at:
            raise UpstreamError("it broke", param="num_frames")
        yield Progress(phase="frames", current=1, total=1)
        await asyncio.sleep(0)
        if not self.is_silent:
            yield GeneratedVideo(
                video=blob(f"video {request.seed}"),
                size=SIZE,
                fps=8,
                num_frames=8,
                duration_s=1.0,
                seed=request.seed,
                warnings=(
                    Notice(field="steps", text="none"),
                    Notice(text=f"seed {request.seed}"),
                ),
            )


class Recorded(PlainStage):
    """Keeps what was done, and does not do again what was."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.begun: list[str] = []
        self.told: list[tuple[str, str]] = []

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.begun.append(name)
        if name not in self.results:
            self.results[name] = await super().__call__(name, work)
        done: T = self.results[name]
        return done

    def report(self, name: str, progress: Progress) -> None:
        self.told.append((name, progress.phase))


class Graph:
    def __init__(self) -> None:
        self.images, self.video, self.stage = Images_(), Video(), Recorded()
        # Nothing here is stored.
        self.blobs: Any = None

    async def produced(self, **fields: Any) -> Videos:
        values: dict[str, Any] = {"generation": {"model": "m", "seed": 5, "prompt": "a boat"}}
        request = ProduceVideo.model_validate(values | fields)
        assert request.stages == tuple(self.stages_of(request))
        parts = {"images": self.images, "video": self.video}
        pipeline = VideoGeneration(stages_over(parts, self.stage), self.blobs)
        *_, last = [event async for event in pipeline.run(request)]
        assert isinstance(last, Videos)
        return last

    def stages_of(self, request: ProduceVideo) -> list[str]:
        videos = (
            ["generate"]
            if request.count == 1
            else [f"generate-{i + 1}" for i in range(request.count)]
        )
        return (["picture"] if request.image else []) + videos


async def test_one_video() -> None:
    graph = Graph()
    made = await graph.produced(warnings=(Notice(field="audio_type", text="none"),))
    assert [video.seed for video in made.videos] == [5]
    assert texts_of(made.warnings) == ("audio_type: none", "steps: none", "seed 5")
    assert graph.stage.begun == ["generate"]
    assert graph.stage.told == [("generate", "frames")]
    facts = made.facts()[blob("video 5").sha256]
    assert (facts.seed, facts.width, facts.height, facts.duration_s) == (5, 64, 48, 1.0)


async def test_every_video_is_a_stage() -> None:
    graph = Graph()
    made = await graph.produced(count=3)
    assert [video.seed for video in made.videos] == [5, 6, 7]
    assert graph.stage.begun == ["generate-1", "generate-2", "generate-3"]
    assert texts_of(made.warnings) == ("steps: none", "seed 5", "seed 6", "seed 7")


async def test_stills_are_drawn_first_and_each_is_animated() -> None:
    graph = Graph()
    image = TextToImage(model="p", prompt="a boat", seed=5, count=2)
    made = await graph.produced(count=2, image=image.model_dump())
    assert graph.stage.begun == ["picture", "generate-1", "generate-2"]
    assert graph.images.asked == [image]
    assert [video.image for video in graph.video.asked] == [blob("still 5"), blob("still 6")]
    assert texts_of(made.warnings)[0] == "size: rounded"


async def test_a_job_that_is_resumed_keeps_what_was_finished() -> None:
    graph = Graph()
    image = TextToImage(model="p", prompt="a boat", seed=5, count=2)
    graph.video.fails_at = 6
    with pytest.raises(AppError) as caught:
        await graph.produced(count=2, image=image.model_dump())
    assert caught.value.explanation == "stage 'generate-2': it broke"
    assert caught.value.param == "num_frames"
    graph.video.fails_at = None
    made = await graph.produced(count=2, image=image.model_dump())
    assert [video.seed for video in made.videos] == [5, 6]
    assert len(graph.images.asked) == 1
    assert [video.seed for video in graph.video.asked] == [5, 6, 6]


async def test_an_engine_that_ends_without_a_video() -> None:
    graph = Graph()
    graph.video.is_silent = True
    with pytest.raises(UpstreamError, match="ended without a result"):
        await graph.produced()
