"""Whisper through faster-whisper on a tiny checkpoint that recites a known text."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from deployments.audio.faster_whisper_windows import CHUNK_S, SHORTEST_WINDOW_S
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.audio import FasterWhisperOptions
from tests.engine.tiny_whisper import ENGLISH, LANGUAGE, ORIGINAL, Recited, save_whisper
from tests.material import clip, counting, silence, stored, tone, wav

AUDIO_S = 3.0
WINDOW_S = CHUNK_S


def text_of(recited: Recited) -> str:
    return " ".join(word for _, words in recited for word in words)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


class CountedTranscription(FasterWhisperTranscription):
    """Knows how much was heard, also of what nobody waited for."""

    heard = 0

    def _heard(
        self, path: Path, request: Transcribe, language: str | None, stop: Callable[[], bool]
    ) -> Iterator[TranscriptionEvent]:
        for event in super()._heard(path, request, language, stop):
            self.heard += 1
            yield event


def loaded(
    path: Path | None, blobs: FsspecBlobStore, *, vad: bool = False, batch_size: int = 1
) -> CountedTranscription:
    options = FasterWhisperOptions(device="cpu", threads=1, vad=vad, batch_size=batch_size)
    return CountedTranscription(options, Model(id="whisper-tiny"), path=path, blobs=blobs)


@pytest.fixture
def engine(checkpoint: Path, blobs: FsspecBlobStore) -> CountedTranscription:
    return loaded(checkpoint, blobs)


async def heard(
    engine: CountedTranscription, blobs: FsspecBlobStore, data: bytes, **wanted: object
) -> list[TranscriptionEvent]:
    request = {"model": "whisper-tiny", "audio": await stored(blobs, data), **wanted}
    return [e async for e in engine.transcribe(Transcribe.model_validate(request))]


def transcript(events: list[TranscriptionEvent]) -> Transcript:
    assert isinstance(events[-1], Transcript)
    return events[-1]


async def test_segments_come_first_and_join_to_the_text(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    *events, last = await heard(engine, blobs, wav(tone(AUDIO_S)))
    assert isinstance(last, Transcript)
    assert last.segments == tuple(event for event in events if isinstance(event, TranscriptSegment))
    assert [segment.text for segment in last.segments] == ["Der rote Hund.", "Er sitzt."]
    assert last.text == text_of(ORIGINAL)
    assert last.duration_s == AUDIO_S


async def test_segments_say_how_sure_the_model_is(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    result = transcript(await heard(engine, blobs, wav(tone(AUDIO_S))))
    assert [segment.id for segment in result.segments] == [0, 1]
    for segment in result.segments:
        assert segment.avg_logprob == pytest.approx(0.0, abs=0.01)
        assert segment.no_speech_prob == pytest.approx(0.0, abs=0.01)
        assert segment.temperature == 0.0
        assert 0 < (segment.compression_ratio or 0) < 2.4


async def test_words_have_times_that_increase_inside_the_audio(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    result = transcript(await heard(engine, blobs, wav(tone(AUDIO_S))))
    words = [word for segment in result.segments for word in segment.words]
    assert " ".join(word.word for word in words) == text_of(ORIGINAL)
    assert all(type(word.start) is float and type(word.end) is float for word in words)
    assert all(0 <= word.start <= word.end <= AUDIO_S for word in words)
    assert all(one.end <= other.start for one, other in itertools.pairwise(words))
    json.loads(result.model_dump_json())


async def test_the_language_is_detected_or_taken_as_named(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    audio = wav(tone(AUDIO_S))
    assert transcript(await heard(engine, blobs, audio)).language == LANGUAGE
    for name in ("fr", "fr-CA", "French"):
        assert transcript(await heard(engine, blobs, audio, language=name)).language == "fr"


@pytest.mark.parametrize("language", ["klingon", "ia"])
async def test_an_unknown_language_lists_the_known_ones(
    engine: CountedTranscription, blobs: FsspecBlobStore, language: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"does not understand '{language}'") as caught:
        await heard(engine, blobs, wav(tone(AUDIO_S)), language=language)
    assert caught.value.param == "language"
    assert "'whisper-tiny'" in caught.value.message
    assert "cs, cy, da, de" in caught.value.message


async def test_translation_gives_english(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    events = await heard(engine, blobs, wav(tone(AUDIO_S)), mode="translate")
    assert transcript(events).text == text_of(ENGLISH)
    assert transcript(events).language == LANGUAGE


@pytest.mark.parametrize("wanted", [{"temperature": 0.7}, {"prompt": "Der Hund Ümläut 🐕"}])
async def test_temperature_and_prompt_are_taken(
    engine: CountedTranscription, blobs: FsspecBlobStore, wanted: dict[str, object]
) -> None:
    result = transcript(await heard(engine, blobs, wav(tone(AUDIO_S)), **wanted))
    assert result.text == text_of(ORIGINAL)
    assert result.segments[0].temperature == wanted.get("temperature", 0.0)


async def test_long_audio_is_heard_to_its_end(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    result = transcript(await heard(engine, blobs, wav(tone(2 * WINDOW_S))))
    assert result.text == f"{text_of(ORIGINAL)} {text_of(ORIGINAL)}"
    assert [segment.start >= WINDOW_S for segment in result.segments] == [False] * 2 + [True] * 2
    assert result.duration_s == 2 * WINDOW_S


async def test_progress_counts_the_seconds(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    events = await heard(engine, blobs, wav(tone(2 * WINDOW_S)))
    seconds = [event.current for event in events if isinstance(event, Progress)]
    assert seconds == sorted(seconds)
    assert seconds[0] <= WINDOW_S
    assert seconds[-1] == 2 * WINDOW_S
    assert {event.total for event in events if isinstance(event, Progress)} == {2 * WINDOW_S}


async def test_more_than_a_window_is_heard_piece_by_piece(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    count = int(SHORTEST_WINDOW_S / CHUNK_S) + 2
    result = transcript(await heard(engine, blobs, wav(tone(count * WINDOW_S))))
    starts = [segment.start for segment in result.segments]
    assert starts == sorted(starts)
    assert result.text.startswith(" ".join([text_of(ORIGINAL)] * count))
    assert [segment.id for segment in result.segments] == list(range(len(starts)))
    assert result.duration_s == count * WINDOW_S
    assert starts[-1] > SHORTEST_WINDOW_S
    assert result.language == LANGUAGE


@pytest.mark.parametrize("vad", [False, True])
async def test_batches_hear_what_one_chunk_after_the_other_hears(
    checkpoint: Path, blobs: FsspecBlobStore, tmp_path: Path, vad: bool
) -> None:
    spoken = counting()
    engines = [loaded(checkpoint, blobs, vad=vad, batch_size=size) for size in (1, 4)]
    one, other = [transcript(await heard(engine, blobs, spoken)) for engine in engines]
    assert one.text == other.text == text_of(ORIGINAL)
    assert one.language == other.language == LANGUAGE
    for result in (one, other):
        words = [word for segment in result.segments for word in segment.words]
        assert " ".join(word.word for word in words) == result.text
        assert all(0 <= word.start <= word.end <= result.duration_s + 0.5 for word in words)


async def test_batches_hear_long_audio_to_its_end(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    engine = loaded(checkpoint, blobs, batch_size=3)
    result = transcript(await heard(engine, blobs, wav(tone(4 * WINDOW_S))))
    starts = [segment.start for segment in result.segments]
    assert starts == sorted(starts)
    assert starts[0] < WINDOW_S
    assert starts[-1] > 3 * WINDOW_S
    assert set(result.text.split()) == set(text_of(ORIGINAL).split())
    assert result.duration_s == 4 * WINDOW_S


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("seconds", [AUDIO_S, 3 * WINDOW_S])
async def test_nothing_is_imagined_in_silence(
    checkpoint: Path, blobs: FsspecBlobStore, batch_size: int, seconds: float
) -> None:
    engine = loaded(checkpoint, blobs, batch_size=batch_size)
    result = transcript(await heard(engine, blobs, wav(silence(seconds))))
    assert (result.text, result.segments, result.language) == ("", (), None)
    assert result.duration_s == seconds


async def test_leaving_after_the_first_segment_ends_the_work(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    audio = await stored(blobs, wav(tone(10 * WINDOW_S)))
    stream = engine.transcribe(Transcribe(model="whisper-tiny", audio=audio))
    assert isinstance(await anext(stream), TranscriptSegment)
    await stream.aclose()
    assert engine.heard < 2 * 2 * 10
    assert transcript(await heard(engine, blobs, wav(tone(AUDIO_S)))).text == text_of(ORIGINAL)


async def test_the_audio_of_a_video_is_heard(
    engine: CountedTranscription, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.0))
    result = transcript(await heard(engine, blobs, video.read_bytes()))
    assert result.text == text_of(ORIGINAL)
    assert result.duration_s == pytest.approx(2.0, abs=0.1)


async def test_pauses_are_left_out_where_voices_are_looked_for(
    checkpoint: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = loaded(checkpoint, blobs, vad=True)
    assert transcript(await heard(engine, blobs, counting())).text
    result = transcript(await heard(engine, blobs, wav(silence(AUDIO_S)), language="de"))
    assert (result.text, result.segments, result.language) == ("", (), "de")
    assert result.duration_s == AUDIO_S
    assert transcript(await heard(engine, blobs, wav(silence(AUDIO_S)))).text == ""


async def test_the_shortest_audio_is_no_error(
    engine: CountedTranscription, blobs: FsspecBlobStore
) -> None:
    result = transcript(await heard(engine, blobs, wav(tone(0.001))))
    assert result.duration_s == 0.001


@pytest.mark.parametrize("data", [b"no audio at all", wav(b""), b"\x1aE\xdf\xa3" + bytes(100)])
async def test_what_cannot_be_decoded_names_the_file(
    engine: CountedTranscription, blobs: FsspecBlobStore, data: bytes
) -> None:
    with pytest.raises(InvalidRequest, match=r"^no audio can be decoded") as caught:
        await heard(engine, blobs, data)
    assert caught.value.param == "audio"


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_a_folder_without_a_checkpoint_cannot_be_loaded(
    content: bytes | None, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(BackendUnavailable, match="'whisper-tiny' cannot be loaded") as caught:
        loaded(tmp_path, blobs)
    assert "CTranslate2" in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_a_model_needs_a_source(blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'whisper-tiny' has no source"):
        loaded(None, blobs)


async def test_closing_twice_is_no_error(engine: CountedTranscription) -> None:
    await engine.start()
    await engine.close()
    await engine.close()


TORCH_FREE = """
import sys
from pathlib import Path

from deployments.video.av_media import AvMedia
from deployments.video.av_remux import Remux
from deployments.audio.espeak import EspeakSpeech
from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.audio import EspeakOptions, FasterWhisperOptions
from serve_app.core.options.video import AvOptions

checkpoint, folder = Path(sys.argv[1]), Path(sys.argv[2])
shared = {"model": Model(id="m"), "blobs": FsspecBlobStore(folder)}
AvMedia(AvOptions(), path=None, **shared)
EspeakSpeech(EspeakOptions(), path=None, **shared)
FasterWhisperTranscription(FasterWhisperOptions(device="cpu"), path=checkpoint, **shared)
heavy = ("torch", "transformers", "diffusers", "vllm", "tensorflow")
print([name for name in heavy if name in sys.modules])
"""


def test_engines_of_audio_and_media_never_import_torch(checkpoint: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", TORCH_FREE, str(checkpoint), str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert result.stdout.strip() == "[]"
