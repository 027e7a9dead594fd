"""The video-dub pipeline over the shipped fakes: its stages, translation, fitting and failing."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.fakes.engine import FakeChat, FakeSpeech, FakeTranscription
from deployments.fakes.media import FakeMedia
from deployments.fakes.stems import FakeStems
from pipelines.video_dub import VideoDub
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.audio.speech import AudioChunk, CloneEvent, CloneSpeech, Speak, SpeechEvent
from serve_app.core.audio.stems import SeparateStems, StemEvent
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.audio.wav import sized
from serve_app.core.config import Model
from serve_app.core.errors import AppError, InvalidRequest, Unavailable
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.fake import FakeOptions
from serve_app.core.stages import PlainStage
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, Usage
from serve_app.core.video.dubbing import DubbedVideo, DubVideo
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    ExtractedAudio,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithAudio,
)
from tests.notices import texts_of
from tests.running import stages_over

T = TypeVar("T")
STAGES = ["extract-audio", "transcribe", "translate", "speak", "replace-audio"]
VIDEO = Blob(sha256="0" * 64, mime="video/mp4", size=4)
SAID = ["the quick brown", "fox jumps over", "the lazy dog"]


class Script(FakeChat):
    """Answers what it is told to and keeps the requests."""

    def __init__(self, blobs: FsspecBlobStore, answers: Sequence[str | AppError]) -> None:
        super().__init__(FakeOptions(task="chat"), Model(id="chat"), blobs=blobs)
        self.answers = list(answers)
        self.asked: list[Chat] = []

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, AppError):
            raise answer
        for position in range(0, len(answer), 5):
            yield ChatDelta(text=answer[position : position + 5])
        yield Usage(prompt_tokens=1, completion_tokens=1)


class Transcription(FakeTranscription):
    """Hears the given segments, or what the shipped fake hears."""

    segments: Sequence[TranscriptSegment] | None = None
    language: str | None = "en"
    warnings: tuple[Notice, ...] = ()
    asked: Transcribe | None = None

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        self.asked = request
        async for event in super().transcribe(request):
            if isinstance(event, Transcript):
                segments = event.segments if self.segments is None else tuple(self.segments)
                changes = {"segments": segments, "language": self.language}
                yield event.model_copy(update={**changes, "warnings": self.warnings})
            else:
                yield event


class Speech(FakeSpeech):
    """Keeps the requests."""

    def __init__(self, options: FakeOptions, model: Model, *, blobs: FsspecBlobStore) -> None:
        super().__init__(options, model, blobs=blobs)
        self.asked: list[Speak] = []
        self.cloned: list[CloneSpeech] = []

    async def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        self.cloned.append(request)
        async for event in super().clone(request):
            yield event

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        self.asked.append(request)
        if not any(letter.isalnum() for letter in request.text):
            raise InvalidRequest(
                "the text contains nothing that this model can speak", param="text"
            )
        async for event in super().speak(request):
            yield event


class Media(FakeMedia):
    """Keeps the request, or fails."""

    def __init__(self, options: FakeOptions, model: Model, *, blobs: FsspecBlobStore) -> None:
        super().__init__(options, model, blobs=blobs)
        self.asked: ReplaceAudio | None = None
        self.cut: ExtractAudio | None = None
        self.burned: BurnSubtitles | None = None
        self.fails_with: dict[str, AppError] = {}

    async def burn_subtitles(
        self, request: BurnSubtitles
    ) -> AsyncGenerator[Progress | SubtitledVideo]:
        self.burned = request
        async for event in super().burn_subtitles(request):
            yield event

    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        self.cut = request
        if error := self.fails_with.get("extract-audio"):
            raise error
        return await super().extract_audio(request)

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        if error := self.fails_with.get("replace-audio"):
            raise error
        self.asked = request
        return await super().replace_audio(request)


class Apart(FakeStems):
    """Fails if told to."""

    error: AppError | None = None

    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        if self.error is not None:
            raise self.error
        async for event in super().separate_stems(request):
            yield event


class Noting(PlainStage):
    """Notes what runs."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.names.append(name)
        return await super().__call__(name, work)


class Graph:
    """The pipeline, its parts and the stages that it ran."""

    def __init__(self, folder: Path) -> None:
        self.blobs = FsspecBlobStore(folder)
        model = Model(id="fake")
        self.transcription = Transcription(
            FakeOptions(task="transcription"), model, blobs=self.blobs
        )
        self.chat = Script(self.blobs, [])
        self.speech: Speech = Speech(FakeOptions(task="speech"), model, blobs=self.blobs)
        self.stems: Apart = Apart(FakeOptions(task="stems"), model, blobs=self.blobs)
        self.media = Media(FakeOptions(task="media"), model, blobs=self.blobs)
        self.replaced: dict[str, Any] = {}
        self.stages: list[str] = []

    async def dub(self, target: str = "en", **wanted: Any) -> DubbedVideo:
        """Translations are given to `self.chat` before."""
        parts = {
            "transcription": self.transcription,
            "translation": ChatTranslator(EngineRunner(self.chat)),
            "speech": self.speech,
            "stems": self.stems,
            "media": self.media,
            **self.replaced,
        }
        pipeline = VideoDub(stages_over(parts, Noting(self.stages)), self.blobs)
        request = DubVideo(
            video=VIDEO,
            target_language=target,
            transcription_model="ear",
            translation_model="brain",
            speech_model="mouth",
            **wanted,
        )
        *_, last = [event async for event in pipeline.run(request)]
        assert isinstance(last, DubbedVideo)
        return last

    async def placed_s(self) -> list[tuple[float, float]]:
        """Start and length of the audio files that were put into the video."""
        assert self.media.asked is not None
        return [(s.start_s, await self._length_s(s.audio)) for s in self.media.asked.recordings]

    async def _length_s(self, blob: Blob) -> float:
        data = sized(b"".join([chunk async for chunk in self.blobs.read(blob)]))
        with wave.open(io.BytesIO(data)) as file:
            return float(file.getnframes() / file.getframerate())


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph(tmp_path)


def translations(*texts: str) -> list[str | AppError]:
    return [json.dumps({"translation": text}) for text in texts]


async def test_the_stages_run_in_their_order(graph: Graph) -> None:
    graph.chat.answers = translations("eins", "zwei", "drei")
    result = await graph.dub("de")
    assert graph.stages == STAGES
    assert result.video == VIDEO
    assert result.source_language == "en"
    assert result.warnings == ()
    assert [(s.start, s.end, s.source_text, s.text) for s in result.segments] == [
        (0.0, 1.0, "the quick brown", "eins"),
        (1.0, 2.0, "fox jumps over", "zwei"),
        (2.0, 3.0, "the lazy dog", "drei"),
    ]


async def test_every_model_is_asked_by_its_name(graph: Graph) -> None:
    graph.chat.answers = translations("eins", "zwei", "drei")
    await graph.dub("de", voice="hum", source_language="en")
    assert graph.transcription.asked == Transcribe(model="ear", audio=VIDEO, language="en")
    assert {request.model for request in graph.chat.asked} == {"brain"}
    spoken = {(s.model, s.voice, s.language, s.format) for s in graph.speech.asked}
    assert spoken == {("mouth", "hum", "de", "wav")}


async def test_translations_are_asked_for_by_the_languages_names(graph: Graph) -> None:
    graph.chat.answers = translations("eins", "zwei", "drei")
    await graph.dub("de-AT")
    assert [request.messages[-1].text for request in graph.chat.asked] == SAID
    for request in graph.chat.asked:
        assert "from English to German" in request.messages[0].text
        assert request.response_format.type == "json_schema"
        assert request.sampling.temperature == 0


@pytest.mark.parametrize("target", ["en", "en-GB", "English", "EN_us"])
async def test_the_same_language_is_not_translated(graph: Graph, target: str) -> None:
    result = await graph.dub(target)
    assert graph.chat.asked == []
    assert [segment.text for segment in result.segments] == SAID
    assert [speak.text for speak in graph.speech.asked[::2]] == SAID
    assert result.warnings == ()


async def test_an_unknown_source_language_is_translated(graph: Graph) -> None:
    graph.transcription.language = None
    graph.chat.answers = translations("one", "two", "three")
    result = await graph.dub("en")
    assert [segment.text for segment in result.segments] == ["one", "two", "three"]
    assert " from " not in graph.chat.asked[0].messages[0].text
    assert result.source_language is None


@pytest.mark.parametrize(
    "answer", ["", "eins", '{"translation": ""}', '{"text": "eins"}', '["eins"]', '{"transl']
)
async def test_a_segment_that_is_not_translated_stays_and_is_said(
    graph: Graph, answer: str
) -> None:
    graph.transcription.warnings = (Notice(text="heard badly"),)
    graph.chat.answers = [*translations("eins"), answer, *translations("drei")]
    result = await graph.dub("de")
    assert [segment.text for segment in result.segments] == ["eins", SAID[1], "drei"]
    assert texts_of(result.warnings) == (
        "heard badly",
        "'brain' did not translate segment 1; the original words are spoken there",
    )


async def test_the_shipped_fakes_make_a_whole_graph(graph: Graph) -> None:
    options = FakeOptions(task="chat")
    fake = FakeChat(options, Model(id="fake"), blobs=graph.blobs)
    graph.replaced["translation"] = ChatTranslator(EngineRunner(fake))
    result = await graph.dub("de")
    assert [segment.text for segment in result.segments] == SAID
    assert len(result.warnings) == 1


@pytest.mark.parametrize(
    ("characters", "slot_s", "expected_s"),
    [
        (20, 1.0, 1.0),
        (20, 1.2, 1.2),
        (20, 0.8, 0.8),
        (20, 2.0, 1.25),
        (20, 0.1, 0.75),
        (20, 0.0, 0.75),
    ],
)
async def test_speech_is_fitted_to_its_slot_by_at_most_a_quarter(
    graph: Graph, characters: int, slot_s: float, expected_s: float
) -> None:
    """The fake speaks twenty characters in a second."""
    graph.transcription.segments = [
        TranscriptSegment(id=0, start=0.5, end=0.5 + slot_s, text="x" * characters)
    ]
    await graph.dub()
    ((start_s, length_s),) = await graph.placed_s()
    assert start_s == 0.5
    assert length_s == pytest.approx(expected_s, abs=0.001)


async def test_every_segment_starts_where_it_was_heard(graph: Graph) -> None:
    await graph.dub()
    placed = await graph.placed_s()
    assert [start_s for start_s, _ in placed] == [0.0, 1.0, 2.0]
    natural = [len(text) / 20 for text in SAID]
    assert [length_s for _, length_s in placed] == pytest.approx([n * 1.25 for n in natural])


async def test_what_is_too_long_for_its_time_is_told(graph: Graph) -> None:
    """Twenty characters in a second, three seconds of video."""
    times = ((0.0, 0.5, 8), (0.5, 1.0, 20), (1.2, 2.4, 24), (2.4, 2.9, 20))
    graph.transcription.segments = [
        TranscriptSegment(id=i, start=start, end=end, text="x" * characters)
        for i, (start, end, characters) in enumerate(times)
    ]
    dubbed = await graph.dub()
    assert texts_of(dubbed.warnings) == (
        "segment 3: too long for its time even when spoken faster; "
        "it overlaps what follows or is cut at the end",
    )


async def test_what_holds_no_words_is_not_said(graph: Graph) -> None:
    """Music is written down as notes by models that hear, and voices refuse to say them."""
    texts = ["the quick brown", "\u266a", "...", "\u4f60\u597d"]
    graph.transcription.segments = [
        TranscriptSegment(id=i, start=i, end=i + 1, text=text) for i, text in enumerate(texts)
    ]
    graph.transcription.language = "de"
    dubbed = await graph.dub("de")
    assert [start_s for start_s, _ in await graph.placed_s()] == [0.0, 3.0]
    assert [segment.text for segment in dubbed.segments] == texts


async def test_a_video_with_music_only_is_one_in_which_nobody_speaks(graph: Graph) -> None:
    graph.transcription.segments = [TranscriptSegment(id=0, start=0, end=1, text="\u266a \u266a")]
    with pytest.raises(InvalidRequest, match="has no speech"):
        await graph.dub()


async def test_speech_that_fits_is_spoken_once(graph: Graph) -> None:
    graph.transcription.segments = [TranscriptSegment(id=0, start=0, end=1.01, text="x" * 20)]
    await graph.dub()
    assert [speak.speed for speak in graph.speech.asked] == [1.0]


async def test_a_video_in_which_nobody_speaks(graph: Graph) -> None:
    graph.transcription.segments = []
    with pytest.raises(InvalidRequest) as caught:
        await graph.dub()
    assert caught.value.explanation == "stage 'transcribe': the video has no speech"
    assert caught.value.param == "video"
    assert graph.stages == STAGES[:2]


@pytest.mark.parametrize("stage", ["extract-audio", "replace-audio"])
async def test_an_error_of_media_names_its_stage(graph: Graph, stage: str) -> None:
    graph.media.fails_with = {stage: InvalidRequest("it is broken", param="video")}
    with pytest.raises(InvalidRequest) as caught:
        await graph.dub()
    assert caught.value.explanation == f"stage '{stage}': it is broken"
    assert caught.value.param == "video"
    assert graph.stages[-1] == stage


async def test_an_error_of_the_translator_names_its_stage(graph: Graph) -> None:
    graph.chat.answers = [*translations("eins"), Unavailable("gone", retry_after_s=3)]
    with pytest.raises(Unavailable) as caught:
        await graph.dub("de")
    assert caught.value.explanation == "stage 'translate': gone"
    assert caught.value.retry_after_s == 3
    assert graph.stages == STAGES[:3]


async def test_an_error_of_the_voice_names_its_stage(graph: Graph) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await graph.dub(voice="nobody")
    assert caught.value.explanation.startswith("stage 'speak': unknown voice 'nobody'")
    assert caught.value.param == "voice"
    assert graph.stages == STAGES[:4]


async def test_the_background_is_heard_under_the_voice(graph: Graph) -> None:
    result = await graph.dub(stems_model="apart")
    assert graph.stages == [*STAGES[:2], "separate", *STAGES[2:]]
    assert graph.media.asked is not None
    assert [audio.start_s for audio in graph.media.asked.recordings] == [0.0, 0.0, 1.0, 2.0]
    assert result.warnings == ()


async def test_a_background_that_cannot_be_had_is_told(graph: Graph) -> None:
    graph.stems.error = Unavailable("the separator is gone")
    result = await graph.dub(stems_model="apart")
    assert graph.media.asked is not None
    assert len(graph.media.asked.recordings) == 3
    (warning,) = texts_of(result.warnings)
    assert warning == (
        "the background audio of the video is left out; stage 'separate': the separator is gone"
    )


async def test_the_voice_is_cloned_from_the_longest_utterance(graph: Graph) -> None:
    graph.transcription.segments = [
        TranscriptSegment(id=0, start=0, end=1, text="short"),
        TranscriptSegment(id=1, start=4, end=9, text="a longer one"),
    ]
    await graph.dub(clones_voice=True)
    assert graph.media.cut == ExtractAudio(video=VIDEO, start_s=4.0, end_s=19.0)
    assert {(c.text, c.reference, c.language) for c in graph.speech.cloned} == {
        ("short", VIDEO, "en"),
        ("a longer one", VIDEO, "en"),
    }


async def test_subtitles_are_burned_from_the_new_words(graph: Graph) -> None:
    graph.chat.answers = translations("eins", "zwei", "drei")
    await graph.dub("de", burns_subtitles=True)
    assert graph.stages == [*STAGES, "burn-subtitles"]
    assert graph.media.burned is not None
    assert [cue.text for cue in graph.media.burned.cues] == ["eins", "zwei", "drei"]


class Endless:
    """Streams of every kind that go on until they are closed."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.is_closed = False

    async def items(self, item: T) -> AsyncGenerator[T]:
        try:
            while True:
                yield item
                self.has_begun.set()
                await asyncio.sleep(0)
        finally:
            self.is_closed = True

    def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        return self.items(TranscriptSegment(id=0, start=0, end=1, text="x"))

    def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        return self.items(ChatDelta(text=" "))

    def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        return self.items(AudioChunk(data=b"RIFF"))


@pytest.mark.parametrize(
    ("part", "stage"),
    [("transcription", "transcribe"), ("translation", "translate"), ("speech", "speak")],
)
async def test_cancelling_closes_the_stage_that_runs(graph: Graph, part: str, stage: str) -> None:
    endless = Endless()
    graph.chat.answers = translations("eins", "zwei", "drei")
    graph.replaced[part] = (
        ChatTranslator(EngineRunner(endless)) if part == "translation" else endless
    )
    dubbing = asyncio.create_task(graph.dub("de"))
    await endless.has_begun.wait()
    dubbing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dubbing
    assert endless.is_closed
    assert graph.stages[-1] == stage
