"""Music under videos: how loud it is when, and what is asked of the model that makes it."""

from collections.abc import AsyncGenerator

import pytest

from deployments.fakes.audio_generation import FakeAudio
from pipelines.video_background import UNDER_SPEECH, background_levels
from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio, GeneratedAudio
from serve_app.core.config import Model
from serve_app.core.errors import Unavailable
from serve_app.core.notices import Notice
from serve_app.core.options.fake import FakeOptions
from serve_app.core.video.processing import GainPoint
from tests.notices import texts_of
from tests.unit.test_video_finishing import DUBBING, LINE, Graph

MUSIC = {"model": "band", "prompt": "slow piano", "kind": "music"}
# The fake video has 17 frames at 8 per second.
VIDEO_S = 2.125


class Band(FakeAudio):
    """Keeps the requests, and has something to say."""

    asked: tuple[GenerateAudio, ...] = ()

    async def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        self.asked = (*self.asked, request)
        async for event in super().generate_audio(request):
            if isinstance(event, GeneratedAudio):
                yield event.model_copy(
                    update={"warnings": (Notice(field="audio_prompt", text="cut"),)}
                )
            else:
                yield event


@pytest.fixture
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return Graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def band(graph: Graph) -> Band:
    band = Band(FakeOptions(task="sound"), Model(id="band"), blobs=graph.blobs)
    graph.parts["sound"] = band
    return band


def gain_at(levels: tuple[GainPoint, ...], at_s: float) -> float:
    """As the mixer reads them."""
    before = [level for level in levels if level.at_s <= at_s][-1]
    after = next(level for level in levels if level.at_s >= at_s)
    if before.at_s == after.at_s:
        return before.gain
    share = (at_s - before.at_s) / (after.at_s - before.at_s)
    return before.gain + share * (after.gain - before.gain)


async def test_music_is_as_long_as_the_video(graph: Graph, band: Band) -> None:
    made = await graph.produced(finish={"background": MUSIC})
    assert graph.stage.begun == ["generate", "make-sound", "add-sound"]
    [asked] = band.asked
    assert asked == GenerateAudio.model_validate(MUSIC | {"duration_s": VIDEO_S, "seed": 5})
    [mix] = graph.media.asked
    [audio] = mix.recordings
    assert (audio.audio.mime, audio.start_s) == ("audio/wav", 0.0)
    assert gain_at(audio.levels, 1.0) == 1.0
    assert texts_of(made.warnings) == ("audio_prompt: cut",)


async def test_every_video_has_its_own_music(graph: Graph, band: Band) -> None:
    await graph.produced(count=2, finish={"background": MUSIC})
    assert [asked.seed for asked in band.asked] == [5, 6]
    assert graph.stage.begun[2:] == [
        *("make-sound-1", "add-sound-1", "make-sound-2", "add-sound-2")
    ]


async def test_music_is_lowered_while_somebody_speaks(graph: Graph, band: Band) -> None:
    # Ten characters are spoken for half a second.
    line = LINE | {"start_s": 0.5}
    await graph.produced(finish={"background": MUSIC, "lines": [line]})
    assert len(band.asked) == 1
    [mix] = graph.media.asked
    spoken, music = mix.recordings
    assert spoken.levels == ()
    assert gain_at(music.levels, 0.0) == 1.0
    assert gain_at(music.levels, 0.75) == pytest.approx(UNDER_SPEECH) == pytest.approx(0.2512, 1e-3)
    assert gain_at(music.levels, 1.4) == 1.0


async def test_music_is_low_under_an_audio_that_the_video_has(graph: Graph, band: Band) -> None:
    await graph.produced(finish={"background": MUSIC, "keeps_audio": True})
    assert len(band.asked) == 1
    [mix] = graph.media.asked
    own, music = mix.recordings
    assert own.audio == mix.video
    assert gain_at(music.levels, 1.0) == pytest.approx(UNDER_SPEECH)


async def test_music_is_not_low_under_a_video_that_is_silent(graph: Graph, band: Band) -> None:
    graph.media.is_silent = True
    await graph.produced(finish={"background": MUSIC, "keeps_audio": True})
    assert len(band.asked) == 1
    music = graph.media.asked[-1].recordings
    assert [gain_at(audio.levels, 1.0) for audio in music] == [1.0]


async def test_without_its_music_the_video_is_as_it_was(graph: Graph, band: Band) -> None:
    graph.stage.failing = {"make-sound": Unavailable("the band is gone")}
    made = await graph.produced(finish={"background": MUSIC})
    assert band.asked == ()
    assert texts_of(made.warnings) == (
        "make-sound: left out; stage 'make-sound': the band is gone",
    )
    assert graph.media.asked == ()
    assert len(made.videos) == 1


async def test_lines_are_heard_without_the_music(graph: Graph, band: Band) -> None:
    graph.stage.failing = {"make-sound": Unavailable("the band is gone")}
    asked = {"background": MUSIC, "lines": [LINE], "dubbing": DUBBING}
    made = await graph.produced(finish=asked | {"fields": {"make-sound": "add_audio"}})
    assert band.asked == ()
    assert texts_of(made.warnings)[0].startswith("add_audio: left out")
    assert [len(mix.recordings) for mix in graph.media.asked[:1]] == [1]
    assert graph.stage.begun[-1] == "dub"


async def test_a_job_that_is_resumed_makes_no_music_again(graph: Graph, band: Band) -> None:
    first = await graph.produced(finish={"background": MUSIC})
    del graph.stage.results["add-sound"]
    graph.stage.begun.clear()
    assert await graph.produced(finish={"background": MUSIC}) == first
    assert len(band.asked) == 1


def test_it_fades_out_at_the_end() -> None:
    levels = background_levels(60.0, (), is_under_all=False)
    assert [(level.at_s, level.gain) for level in levels] == [(0, 1), (58, 1), (60, 0)]
    short = background_levels(2.0, (), is_under_all=False)
    assert [(level.at_s, level.gain) for level in short] == [(0, 1), (1.5, 1), (2, 0)]


def test_it_fades_out_from_where_it_is() -> None:
    levels = background_levels(60.0, (), is_under_all=True)
    assert gain_at(levels, 0) == gain_at(levels, 58) == pytest.approx(UNDER_SPEECH)
    assert gain_at(levels, 59) == pytest.approx(UNDER_SPEECH / 2)
    assert levels[-1] == GainPoint(at_s=60, gain=0)


def test_short_pauses_are_no_reason_to_come_back() -> None:
    levels = background_levels(60.0, [(10, 12), (12.5, 14), (20, 21)], is_under_all=False)
    assert gain_at(levels, 12.25) == pytest.approx(UNDER_SPEECH)
    assert gain_at(levels, 17) == 1.0
    assert gain_at(levels, 20.5) == pytest.approx(UNDER_SPEECH)
    assert gain_at(levels, 21.15) == pytest.approx((1 + UNDER_SPEECH) / 2)
    seconds = [level.at_s for level in levels]
    assert seconds == sorted(seconds)


def test_lines_beside_each_other_and_beyond_the_end() -> None:
    levels = background_levels(
        10.0, [(50, 51), (2, 5), (3, 4), (0, 1), (9.5, 30)], is_under_all=False
    )
    for at_s in (0, 0.5, 2, 3.5, 4.5, 5):
        assert gain_at(levels, at_s) == pytest.approx(UNDER_SPEECH)
    assert gain_at(levels, 1.5) == 1.0
    assert gain_at(levels, 7) == 1.0
    assert (levels[0].at_s, levels[-1].at_s) == (0, 10)
    assert gain_at(levels, 9.75) == pytest.approx(UNDER_SPEECH * 0.125, rel=0.01)
