"""The story pipeline over fakes: its script, what runs at the same time, and what may fail."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.fakes.engine import FakeChat, FakeSpeech
from deployments.fakes.images import FakeImages
from deployments.fakes.media import FakeMedia
from deployments.fakes.video import FakeVideo
from pipelines.story import Story
from pipelines.story_answers import read_script, spread_over_scenes
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import Speak, SpeechEvent
from serve_app.core.config import Model
from serve_app.core.errors import (
    AppError,
    Cancelled,
    ContextLengthExceeded,
    InvalidRequest,
    Unavailable,
)
from serve_app.core.image.images import ImageEvent, Size, TextToImage
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.stages import PlainStage
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, Usage
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo
from serve_app.core.video.generation import GenerateVideo, VideoEvent
from serve_app.core.video.story import StoryVideo, TellStory
from tests.notices import texts_of
from tests.running import stages_over

T = TypeVar("T")
TALE = "A red fox finds a lantern. It carries the lantern home. The forest glows all night."
SCENES = [
    {"line": "A fox finds a lantern.", "picture": "a red fox beside a lantern, dusk"},
    {"line": "The fox goes home.", "picture": "a red fox with a lantern, path"},
    {"line": "The forest glows.", "picture": "a glowing forest, night"},
]
SCRIPT = json.dumps({"scenes": SCENES})


class Author(FakeChat):
    """Answers what it is told to."""

    answers: Sequence[str] = (SCRIPT,)
    parts: Sequence[str] = ()
    """Of the first answer, instead."""
    parts_read: int = 0
    asked: int = 0
    error: AppError | None = None

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        if self.error is not None:
            raise self.error
        answer = self.answers[self.asked]
        self.asked += 1
        for part in self.parts if self.asked == 1 else ():
            self.parts_read += 1
            yield ChatDelta(text=part)
        yield ChatDelta(text=answer)
        yield Usage(prompt_tokens=1, completion_tokens=1)


class Painter(FakeImages):
    """Paints when as many as `together` are painting, and fails on words."""

    together: int = 1
    failing: Sequence[str] = ()
    error: AppError = Unavailable("the brush broke")
    painting: int = 0
    prompts: list[str]

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        self.prompts = [*getattr(self, "prompts", []), request.prompt]
        self.painting += 1
        async with asyncio.timeout(60):
            while self.painting < self.together:
                await asyncio.sleep(0)
        if any(word in request.prompt for word in self.failing):
            raise copy(self.error)
        async for event in super().text_to_image(request):
            yield event


class Animator(FakeVideo):
    """Keeps what it was asked for."""

    asked: tuple[GenerateVideo, ...] = ()
    is_broken = False

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        self.asked = (*self.asked, request)
        if self.is_broken:
            raise Unavailable("the camera is lost")
        async for event in super().generate_video(request):
            yield event


class Narrator(FakeSpeech):
    """Refuses voices that it does not have, as all do."""

    asked: tuple[Speak, ...] = ()

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        self.asked = (*self.asked, request)
        if request.voice == "nobody":
            raise InvalidRequest("unknown voice 'nobody'", param="voice")
        async for event in super().speak(request):
            yield event


class Cutter(FakeMedia):
    """Keeps what it was asked for."""

    asked: AssembleVideo

    async def assemble_video(self, request: AssembleVideo) -> AssembledVideo:
        self.asked = request
        return await super().assemble_video(request)


class Noting(PlainStage):
    """Notes what begins and what is reported."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.reports: list[tuple[str, Progress]] = []

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.names.append(name)
        return await super().__call__(name, work)

    def report(self, name: str, progress: Progress) -> None:
        self.reports.append((name, progress))


class Stage:
    """The pipeline and its parts."""

    def __init__(self, folder: Path) -> None:
        blobs = FsspecBlobStore(folder)
        model = Model(id="fake")

        def made(kind: Any, task: Any) -> Any:
            return kind(FakeOptions(task=task), model, blobs=blobs)

        self.chat: Author = made(Author, "chat")
        self.images: Painter = made(Painter, "images")
        self.video: Animator = made(Animator, "video")
        self.speech: Narrator = made(Narrator, "speech")
        self.media: Cutter = made(Cutter, "media")
        self.stages = Noting()
        parts = {
            "chat": self.chat,
            "images": self.images,
            "video": self.video,
            "speech": self.speech,
            "media": self.media,
        }
        self.story = Story(stages_over(parts, self.stages), blobs)

    async def tell(self, **fields: Any) -> StoryVideo:
        values = {
            "story": TALE,
            "text_model": "author",
            "image_model": "painter",
            "video_model": "animator",
            "speech_model": "narrator",
            "size": Size(width=64, height=64),
            "num_frames": 5,
            "seed": 7,
        }
        events = [e async for e in self.story.run(TellStory(**{**values, **fields}))]
        result = events[-1]
        assert isinstance(result, StoryVideo)
        return result


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_story_is_written_drawn_spoken_animated_and_cut(stage: Stage) -> None:
    told = await stage.tell()
    request = TellStory.model_validate(
        {
            **{f"{n}_model": n for n in ("text", "image", "video", "speech")},
            "story": TALE,
            "size": {"width": 64, "height": 64},
            "seed": 7,
        }
    )
    assert tuple(stage.stages.names) == (
        "script",
        "narration",
        *request.stages[1:4],
        "animate-1",
        "film",
    )
    assert sorted(stage.stages.names) == sorted(request.stages)
    assert [scene.scene.line for scene in told.scenes] == [scene["line"] for scene in SCENES]
    assert len({scene.image for scene in told.scenes}) == 3
    assert [scene.clip is not None for scene in told.scenes] == [True, False, False]
    (clip,) = stage.video.asked
    assert (clip.mode, clip.image, clip.seed) == ("ti2v", told.scenes[0].image, 7)
    assert [line.text for line in stage.speech.asked] == [scene["line"] for scene in SCENES]
    assert [scene.narration_s > 0 for scene in stage.media.asked.scenes] == [True] * 3
    assert told.video is not None
    assert told.audio is not None
    assert told.warnings == ()


async def test_images_are_drawn_at_the_same_time(stage: Stage) -> None:
    stage.images.together = 3
    told = await stage.tell()
    assert all(scene.image for scene in told.scenes)


async def test_all_scenes_can_move(stage: Stage) -> None:
    told = await stage.tell(animates="all")
    assert all(scene.clip for scene in told.scenes)
    assert [request.seed for request in stage.video.asked] == [7, 8, 9]


async def test_one_failing_image_does_not_waste_the_others(stage: Stage) -> None:
    stage.images.failing = ("path",)
    told = await stage.tell(animates="all")
    assert [scene.image is not None for scene in told.scenes] == [True, False, True]
    assert told.scenes[1].image_error == "stage 'picture-2': the brush broke"
    assert texts_of(told.warnings) == ("stage 'picture-2': the brush broke",)
    assert [request.seed for request in stage.video.asked] == [7, 9]
    # The line is told over the image before.
    shown = stage.media.asked.scenes
    assert shown[1].image == told.scenes[0].image
    assert shown[1].clip is None


async def test_a_first_image_that_fails_is_replaced_by_the_next(stage: Stage) -> None:
    stage.images.failing = ("dusk",)
    told = await stage.tell()
    assert stage.video.asked == ()
    assert stage.media.asked.scenes[0].image == told.scenes[1].image


async def test_without_any_image_it_fails(stage: Stage) -> None:
    stage.images.failing = ("a",)
    with pytest.raises(Unavailable) as caught:
        await stage.tell()
    assert caught.value.explanation == "stage 'picture-1': the brush broke"


async def test_what_fails_besides_is_told(stage: Stage) -> None:
    stage.video.is_broken = True
    told = await stage.tell(voice="nobody")
    assert told.scenes[0].clip_error == "stage 'animate-1': the camera is lost"
    assert told.audio_error == "stage 'narration': unknown voice 'nobody'"
    assert told.audio is None
    assert told.video is not None
    assert texts_of(told.warnings) == (told.scenes[0].clip_error, told.audio_error)


async def test_a_story_that_is_too_long_for_its_author_is_named(stage: Stage) -> None:
    stage.chat.error = ContextLengthExceeded("the prompt has 9 tokens", param="messages")
    with pytest.raises(ContextLengthExceeded) as caught:
        await stage.tell()
    assert caught.value.explanation == "stage 'script': the prompt has 9 tokens"
    assert caught.value.param == "story"


async def test_a_cancelled_story_does_not_go_on(stage: Stage) -> None:
    stage.images.failing, stage.images.error = ("path",), Cancelled("the job was cancelled")
    with pytest.raises(Cancelled):
        await stage.tell()
    assert "film" not in stage.stages.names


async def test_without_a_voice_it_is_silent(stage: Stage) -> None:
    told = await stage.tell(speech_model=None)
    assert (told.audio, told.audio_error) == (None, None)
    assert "narration" not in stage.stages.names


async def test_a_bad_script_is_asked_for_again(stage: Stage) -> None:
    stage.chat.answers = ('{"scenes": [{"line": "only on', SCRIPT)
    told = await stage.tell()
    assert stage.chat.asked == 2
    assert told.scenes[2].scene.line == "The forest glows."
    assert told.warnings == ()


async def test_a_model_that_writes_noise_is_replaced_by_the_story(stage: Stage) -> None:
    noise = json.dumps({"scenes": [{"line": "zzkq wxv", "picture": "qqqq"}] * 3})
    stage.chat.answers = (noise, noise)
    told = await stage.tell()
    assert [scene.scene.line for scene in told.scenes] == [
        "A red fox finds a lantern.",
        "It carries the lantern home.",
        "The forest glows all night.",
    ]
    assert texts_of(told.warnings) == (
        "'author' wrote no usable script; the sentences of the story are used",
    )


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        '{"scenes": 3}',
        '{"scenes": [null]}',
        json.dumps({"scenes": SCENES[:2]}),
        json.dumps({"scenes": [*SCENES[:2], {"line": " ", "picture": "a fox"}]}),
        json.dumps({"scenes": [*SCENES[:2], {"line": "x"}]}),
        json.dumps({"scenes": [*SCENES[:2], {"line": 5, "picture": "a fox"}]}),
        json.dumps({"scenes": [*SCENES[:2], {"line": ["x"], "picture": {}}]}),
        json.dumps({"scenes": [*SCENES[:2], {"line": "\ud800", "picture": "a fox"}]}),
        "[" * 100_000,
        # What a model of 135 million parameters writes.
        json.dumps({"scenes": [{"line": "…", "picture": "…"}] * 3}),
        json.dumps({"scenes": [{"line": "A fox is here.", "picture": "a fox, night"}] * 3}),
        json.dumps(
            {
                "scenes": [
                    {
                        "line": f"A {animal} carries a lantern home through the forest.",
                        "picture": f"a {animal} and a lantern in a forest",
                    }
                    for animal in ("fox", "wolf", "lion")
                ]
            }
        ),
        json.dumps(
            {
                "scenes": [
                    *SCENES[:2],
                    {
                        "line": "The village glows.",
                        "picture": "a fox in a village" + ", beam of moonlight" * 9,
                    },
                ]
            }
        ),
    ],
)
def test_what_is_no_script(answer: str) -> None:
    values = dict.fromkeys(("text_model", "image_model", "video_model"), "m")
    request = TellStory(**values, story=TALE, size=Size(width=64, height=64), seed=1)
    assert read_script(answer, request) is None


@pytest.mark.parametrize(
    ("story", "count", "lines"),
    [
        ("One. Two! Three? Four.", 2, ["One. Two!", "Three? Four."]),
        ("one two three four", 2, ["one two", "three four"]),
        ("alone", 3, ["alone", "alone", "alone"]),
        ("\u4e00\u3002\u4e8c\u3002", 2, ["\u4e00\u3002", "\u4e8c\u3002"]),
    ],
)
def test_a_story_is_spread_over_its_scenes(story: str, count: int, lines: list[str]) -> None:
    assert [scene.line for scene in spread_over_scenes(story, count)] == lines


TOLD = (
    "They lived together in a castle, and the knight was sure they would be best friends. "
    "The dragon was a brave and noble dragon. The knight was a brave and noble knight. "
    "The dragon was a brave and noble dragon. The dragon had a special secret. It"
)


async def test_a_small_model_tells_how_a_story_goes_on(stage: Stage) -> None:
    """It writes no script, but plain sentences: those that say something new are told."""
    stage.chat.answers = ("no", "no", "Yes", TOLD)
    told = await stage.tell(story="A brave knight and a friendly dragon", scenes=4)
    assert [scene.scene.line for scene in told.scenes] == [
        "A brave knight and a friendly dragon",
        "They lived together in a castle, and the knight was sure they would be best friends.",
        "The dragon was a brave and noble dragon.",
        "The knight was a brave and noble knight.",
    ]
    # What is seen is where the story began.
    assert told.scenes[3].scene.image == (
        "The knight was a brave and noble knight. A brave knight and a friendly dragon"
    )
    assert told.warnings == ()
    assert stage.chat.asked == 4


@pytest.mark.parametrize(
    "beginning",
    [
        '{"scenes": [{"line": "A fox", "picture": "a fox' + ", a beam of moonlight" * 6,
        '{"scenes": [{"line": "A fox runs.", "picture": "a"}, {"line": "The fox runs.", "pict',
        '{"scenes": [{"line": "' + " ".join(str(number) for number in range(400)),
    ],
)
async def test_an_answer_of_no_use_is_not_waited_for(stage: Stage, beginning: str) -> None:
    stage.chat.parts = (beginning, "never read")
    stage.chat.answers = ("", SCRIPT)
    told = await stage.tell()
    assert stage.chat.parts_read == 1
    assert told.scenes[2].scene.line == "The forest glows."


async def test_an_image_without_a_word_of_the_story_shows_where_it_begins(stage: Stage) -> None:
    scenes = [*SCENES[:2], {"line": "The forest glows.", "picture": "a magical moment"}]
    stage.chat.answers = (json.dumps({"scenes": scenes}),)
    told = await stage.tell()
    shown = [scene.scene.image for scene in told.scenes]
    assert shown[:2] == [scene["picture"] for scene in SCENES[:2]]
    assert shown[2] == "a magical moment A red fox finds a lantern."
