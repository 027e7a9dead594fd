"""The finishing steps of videos over fakes: their order, what may fail, and what is done again."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.fakes.audio_generation import FakeAudio
from deployments.fakes.engine import FakeChat, FakeSpeech, FakeTranscription
from deployments.fakes.images import FakeImages
from deployments.fakes.interpolation import FakeInterpolation
from deployments.fakes.media import FakeMedia
from deployments.fakes.stems import FakeStems
from deployments.fakes.video import FakeVideo
from deployments.fakes.vision import FakeDepth, FakeUpscaling
from pipelines.image_to_video import ImageToVideo
from pipelines.nested import NestedStage
from pipelines.video_generation import VideoGeneration
from pipelines.video_speech import SpokenLine, spoken_transcript
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.audio.speech import Speak
from serve_app.core.config import Model
from serve_app.core.errors import AppError, Cancelled, InvalidRequest, Unavailable
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.stages import PlainStage
from serve_app.core.video.dubbing import DubVideo
from serve_app.core.video.finishing import PlacedLine, VideoFinish
from serve_app.core.video.image_to_video import AnimatedPrompt, AnimatePrompt
from serve_app.core.video.processing import ReplaceAudio, VideoWithAudio
from serve_app.core.video.production import ProduceVideo, Videos
from tests.notices import texts_of
from tests.running import stages_over

T = TypeVar("T")
BLOB = Blob(sha256="a" * 64, mime="video/mp4", size=1)
LINE = {
    "speech": {"model": "hum", "text": "0123456789", "format": "wav", "language": "en"},
    "field": "tts_text",
}
DUBBING = {
    "target_language": "de",
    "transcription_model": "ear",
    "translation_model": "echo",
    "speech_model": "hum",
    "stems_model": "hpss",
}
EVERYTHING = {
    "frames": {"model": "flow", "multiplier": 2},
    "size": {"model": "large", "factor": 2},
    "lines": [LINE],
    "dubbing": DUBBING,
    "subtitles": {"translation_model": "echo"},
    "writes_subtitles": True,
    "burns_subtitles": True,
    "stereo": {"model": "deep", "method": "zoe"},
}
STEPS = [
    *("interpolate", "upscale", "speak", "add-sound", "dub"),
    *("subtitle", "burn-subtitles", "stereo"),
]


class Recorded(PlainStage):
    """Keeps what was done, and does not do again what was; stages fail that are told to."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.begun: list[str] = []
        self.reports: list[tuple[str, Progress]] = []
        self.failing: dict[str, AppError] = {}

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.begun.append(name)

        async def failing() -> T:
            raise self.failing[name]

        if name not in self.results:
            chosen = failing if name in self.failing else work
            self.results[name] = await super().__call__(name, chosen)
        done: T = self.results[name]
        return done

    def report(self, name: str, progress: Progress) -> None:
        self.reports.append((name, progress))


class Mixer(FakeMedia):
    """Has videos without audio where told to."""

    is_silent = False
    asked: tuple[ReplaceAudio, ...] = ()

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        self.asked = (*self.asked, request)
        if self.is_silent and request.recordings[0].audio == request.video:
            raise InvalidRequest(
                "recordings[0]: there is no audio in this file", param="recordings[0]"
            )
        return await super().replace_audio(request)


class Graph:
    """The pipelines over the shipped fakes."""

    def __init__(self, folder: Path) -> None:
        blobs = FsspecBlobStore(folder)

        def made(kind: Any, task: Any) -> Any:
            return kind(FakeOptions(task=task), Model(id="fake"), blobs=blobs)

        self.media: Mixer = made(Mixer, "media")
        self.stage = Recorded()
        self.blobs = blobs
        self.parts: dict[str, Any] = {
            "images": made(FakeImages, "images"),
            "video": made(FakeVideo, "video"),
            "interpolation": made(FakeInterpolation, "interpolation"),
            "upscaling": made(FakeUpscaling, "upscaling"),
            "depth": made(FakeDepth, "depth"),
            "speech": made(FakeSpeech, "speech"),
            "transcription": made(FakeTranscription, "transcription"),
            "translation": ChatTranslator(EngineRunner(made(FakeChat, "chat"))),
            "stems": made(FakeStems, "stems"),
            "sound": made(FakeAudio, "sound"),
            "media": self.media,
        }

    async def produced(self, **fields: Any) -> Videos:
        values: dict[str, Any] = {
            "generation": {
                "model": "m",
                "seed": 5,
                "prompt": "a boat",
                "num_frames": 17,
                "size": {"width": 64, "height": 48},
            }
        }
        request = ProduceVideo.model_validate(values | fields)
        pipeline = VideoGeneration(stages_over(self.parts, self.stage), self.blobs)
        *_, last = [event async for event in pipeline.run(request)]
        assert isinstance(last, Videos)
        if not self.stage.failing:
            assert tuple(self.stage.begun) == request.stages
        return last


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph(tmp_path)


async def test_every_step_is_done_in_its_order(graph: Graph) -> None:
    made = await graph.produced(finish=EVERYTHING)
    assert graph.stage.begun == ["generate", *STEPS]
    [video] = made.videos
    assert (video.size.width, video.fps, video.num_frames) == (256, 16, 34)
    assert video.duration_s == pytest.approx(2.125)
    assert made.subtitles[0] is not None
    assert made.subtitles[0].mime == "application/x-subrip"


async def test_videos_are_finished_one_after_the_other(graph: Graph) -> None:
    await graph.produced(count=2, finish={"lines": [LINE]})
    assert graph.stage.begun == [
        *("generate-1", "generate-2", "speak-1", "add-sound-1", "speak-2", "add-sound-2")
    ]


FIELDS = {
    "interpolate": "interpolate_output",
    "upscale": "upscale_output",
    "dub": "dub_video",
    "subtitle": "generate_subtitles",
    "burn-subtitles": "burn_subtitles",
    "stereo": "convert_to_3d",
}


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ("interpolate", "interpolate_output"),
        ("upscale", "upscale_output"),
        ("speak", "tts_text"),
        ("add-sound", "tts_text"),
        ("dub", "dub_video"),
        ("subtitle", "generate_subtitles"),
        ("burn-subtitles", "burn_subtitles"),
        ("stereo", "convert_to_3d"),
    ],
)
async def test_what_fails_is_left_out(graph: Graph, step: str, field: str) -> None:
    graph.stage.failing = {step: Unavailable("it broke")}
    made = await graph.produced(finish=EVERYTHING | {"fields": FIELDS})
    assert f"{field}: left out; stage {step!r}: it broke" in texts_of(made.warnings)
    assert graph.stage.begun[-1] == "stereo"
    assert ("burn-subtitles" in graph.stage.begun) == (step != "subtitle")
    assert (made.subtitles == (None,)) == (step == "subtitle")
    assert (made.videos[0].fps == 8) == (step == "interpolate")
    widths = {"upscale": 128, "stereo": 128}
    assert made.videos[0].size.width == widths.get(step, 256)


async def test_a_video_that_fails_is_an_error(graph: Graph) -> None:
    graph.stage.failing = {"generate": Unavailable("it broke")}
    with pytest.raises(Unavailable) as caught:
        await graph.produced(finish=EVERYTHING)
    assert caught.value.explanation == "stage 'generate': it broke"
    assert graph.stage.begun == ["generate"]


async def test_a_cancelled_job_does_not_go_on_without_a_step(graph: Graph) -> None:
    graph.stage.failing = {"speak": Cancelled("the job was cancelled")}
    with pytest.raises(Cancelled):
        await graph.produced(finish=EVERYTHING)
    assert graph.stage.begun[-1] == "speak"


async def test_a_job_that_is_resumed_does_no_finished_step_again(graph: Graph) -> None:
    first = await graph.produced(finish=EVERYTHING)
    for name in ("subtitle", "burn-subtitles"):
        del graph.stage.results[name]
    mixed = len(graph.media.asked)
    graph.stage.begun.clear()
    assert await graph.produced(finish=EVERYTHING) == first
    assert len(graph.media.asked) == mixed


async def test_a_whole_pipeline_tells_its_progress_as_one_stage(graph: Graph) -> None:
    await graph.produced(finish={"lines": [LINE], "dubbing": DUBBING})
    told = [progress for name, progress in graph.stage.reports if name == "dub"]
    percents = [progress.current for progress in told]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert {progress.total for progress in told} == {100}
    assert "translate" in {progress.phase for progress in told}


async def test_a_nested_stage_names_itself_in_errors() -> None:
    operation = DubVideo.model_validate(DUBBING | {"video": BLOB.model_dump()})
    outer = Recorded()

    async def broken() -> None:
        raise Unavailable("it broke")

    async def work() -> None:
        await NestedStage(outer, "dub", operation)("translate", broken)

    with pytest.raises(Unavailable) as caught:
        await outer("dub", work)
    assert caught.value.explanation == "stage 'translate': it broke"


async def test_a_video_made_of_another_keeps_its_audio(graph: Graph) -> None:
    await graph.produced(finish={"lines": [LINE], "keeps_audio": True})
    [mix] = graph.media.asked
    assert [audio.audio == mix.video for audio in mix.recordings] == [True, False]


async def test_a_video_made_of_a_silent_one_has_none_to_keep(graph: Graph) -> None:
    graph.media.is_silent = True
    made = await graph.produced(finish={"lines": [LINE], "keeps_audio": True})
    assert [len(mix.recordings) for mix in graph.media.asked] == [2, 1]
    assert made.warnings == ()


async def test_an_image_is_drawn_and_animated(graph: Graph) -> None:
    request = AnimatePrompt.model_validate(
        {
            "image": {"model": "p", "prompt": "a boat", "seed": 3},
            "generation": {"model": "m", "mode": "ti2v", "prompt": "a boat", "seed": 4},
            "finish": {"size": {"model": "large"}, "lines": [LINE]},
            "warnings": [{"field": "fps", "text": "odd"}],
        }
    )
    pipeline = ImageToVideo(stages_over(graph.parts, graph.stage), graph.blobs)
    *_, made = [event async for event in pipeline.run(request)]
    assert isinstance(made, AnimatedPrompt)
    assert tuple(graph.stage.begun) == request.stages
    assert request.stages == ("image", "video", "upscale", "speak", "add-sound")
    assert (made.image.seed, made.video.seed) == (3, 4)
    assert texts_of(made.warnings)[0] == "fps: odd"
    facts = made.facts()
    assert facts[made.video.video.sha256].width == made.video.size.width
    assert facts[made.image.image.sha256].seed == 3
    assert request.weight_of("video") > request.weight_of("image") > request.weight_of("speak")


def line(start_s: float, end_s: float, text: str) -> SpokenLine:
    placed = PlacedLine(speech=Speak(model="hum", text=text), field=text)
    return SpokenLine(line=placed, audio=BLOB, start_s=start_s, end_s=end_s)


def test_lines_are_told_in_the_order_in_which_they_are_heard() -> None:
    transcript, warnings = spoken_transcript(
        [line(3, 5, "last"), line(0, 1, "first"), line(9, 10, "never")], 4
    )
    assert transcript is not None
    assert [(s.id, s.start, s.end, s.text) for s in transcript.segments] == [
        (0, 0, 1, "first"),
        (1, 3, 4, "last"),
    ]
    assert [text.partition(";")[0] for text in texts_of(warnings)] == [
        "last: is cut",
        "never: is left out",
    ]


def test_without_lines_nothing_is_known() -> None:
    assert spoken_transcript([], 4) == (None, ())


def test_steps_have_weights() -> None:
    plan = VideoFinish.model_validate(EVERYTHING)
    assert list(plan.stages) == STEPS
    request = ProduceVideo.model_validate(
        {"generation": {"model": "m", "seed": 1}, "count": 2, "finish": EVERYTHING}
    )
    assert request.weight_of("dub-2") == request.weight_of("dub-1") > request.weight_of("speak-1")
    assert len(set(request.stages)) == len(request.stages) == 18
