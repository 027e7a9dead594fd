"""The local default's Whisper, with recordings whose words are known."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deployments.audio.audio_encoding import AudioFrames, resampler
from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import AudioChunk, Speak
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.message import Progress
from tests.conversation import SENTENCES
from tests.listening import EAR, listener, words_of
from tests.material import COUNTING, clip, counting, decoded, espeak, silence, stored, tone, wav

PAUSE_S = 2.0
WORST_ERROR_RATE = 0.35
"""espeak-ng says no sentence twice alike."""


@pytest.fixture(scope="module")
def spoken() -> bytes:
    """A WAV file of `COUNTING`."""
    return counting()


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def engine(blobs: FsspecBlobStore) -> Iterator[FasterWhisperTranscription]:
    """One for all tests, because its model takes longer to load than they do."""
    engine = listener(blobs)
    asyncio.run(engine.start())
    yield engine
    asyncio.run(engine.close())


async def heard(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, data: bytes, **wanted: object
) -> list[TranscriptionEvent]:
    request = {"model": EAR, "audio": await stored(blobs, data), **wanted}
    return [e async for e in engine.transcribe(Transcribe.model_validate(request))]


def transcript(events: list[TranscriptionEvent]) -> Transcript:
    assert isinstance(events[-1], Transcript)
    return events[-1]


def word_error_rate(said: str, heard: str) -> float:
    """The words to change, add or leave out, as a share of those said (Levenshtein)."""
    wanted, found = (words_of(text) for text in (said, heard))
    costs = list(range(len(found) + 1))
    for row, word in enumerate(wanted, start=1):
        before, costs[0] = costs[0], row
        for column, other in enumerate(found, start=1):
            change = before + (word != other)
            before = costs[column]
            costs[column] = min(change, costs[column] + 1, costs[column - 1] + 1)
    return costs[-1] / len(wanted)


def understood(text: str) -> int:
    return len(set(words_of(text)) & set(COUNTING.split()))


def samples_16_khz(data: bytes) -> bytes:
    """WAV of any rate as 16 kHz samples."""
    audio = decoded(data)
    pcm = (audio.samples * 32_767).astype("<i2").tobytes()
    convert = resampler("s16", 16_000)
    frames = [*convert.resample(AudioFrames(audio.sample_rate).frame(pcm)), *convert.resample(None)]
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)


async def test_every_word_of_a_recording(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    result = transcript(await heard(engine, blobs, spoken))
    assert words_of(result.text) == COUNTING.split()
    assert result.language == "en"
    assert result.duration_s == pytest.approx(decoded(spoken).duration_s, abs=0.05)


async def test_word_times_increase_inside_the_audio(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    result = transcript(await heard(engine, blobs, spoken))
    words = [word for segment in result.segments for word in segment.words]
    assert len(words) >= 7
    assert all(word.start <= word.end for word in words)
    assert all(one.end <= other.start + 1e-6 for one, other in itertools.pairwise(words))
    assert words[0].start >= 0
    assert words[-1].end <= result.duration_s + 0.05


async def test_segments_come_first_and_join_to_the_text(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    pcm = samples_16_khz(spoken)
    events = await heard(engine, blobs, wav(pcm + silence(PAUSE_S) + pcm))
    *before, last = events
    assert isinstance(last, Transcript)
    assert last.segments == tuple(event for event in before if isinstance(event, TranscriptSegment))
    seconds = [event.current for event in before if isinstance(event, Progress)]
    assert seconds == sorted(seconds)
    assert words_of(last.text) == words_of(" ".join(each.text for each in last.segments))
    assert [segment.id for segment in last.segments] == list(range(len(last.segments)))
    assert words_of(last.text) == COUNTING.split() * 2


async def test_the_audio_of_a_video_is_understood(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes, tmp_path: Path
) -> None:
    pcm = samples_16_khz(spoken)
    video = clip(tmp_path / "video.mp4", len(pcm) / 32_000, audio=pcm)
    result = transcript(await heard(engine, blobs, video.read_bytes()))
    assert understood(result.text) >= 6, result.text


async def test_words_are_mostly_right(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = " ".join(SENTENCES[:4])
    speech = Speak(model="espeak-ng", text=said, voice="en-us+f2", speed=0.75, format="wav")
    chunks = [e.data async for e in espeak(tmp_path).speak(speech) if isinstance(e, AudioChunk)]
    result = transcript(await heard(engine, blobs, b"".join(chunks)))
    assert word_error_rate(said, result.text) < WORST_ERROR_RATE, result.text
    assert word_error_rate(" ".join(SENTENCES[4:8]), result.text) > 0.9


def test_the_word_error_rate_counts_what_is_changed_added_and_left_out() -> None:
    assert word_error_rate("One two, three four.", "one two three four") == 0
    assert word_error_rate("one two three four", "one too three four") == 0.25
    assert word_error_rate("one two three four", "one three four five six") == 0.75
    assert word_error_rate("one two", "") == 1


@pytest.mark.parametrize("audio", [silence(2.0), silence(0.01), tone(0.001)])
async def test_silence_is_an_empty_text(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, audio: bytes
) -> None:
    result = transcript(await heard(engine, blobs, wav(audio)))
    assert (result.text, result.segments) == ("", ())
    assert result.duration_s == pytest.approx(len(audio) / 32_000, abs=0.001)


async def test_leaving_after_the_first_segment_ends_the_work(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    pcm = samples_16_khz(spoken) + silence(PAUSE_S)
    audio = await stored(blobs, wav(pcm * 8))
    stream = engine.transcribe(Transcribe(model=EAR, audio=audio))
    async for event in stream:
        if isinstance(event, TranscriptSegment):
            break
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert understood(transcript(await heard(engine, blobs, spoken)).text) == 7


async def test_two_at_once_are_both_understood(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    together = await asyncio.gather(*(heard(engine, blobs, spoken) for _ in range(2)))
    texts = [words_of(transcript(events).text) for events in together]
    assert texts == [COUNTING.split()] * 2


async def test_what_was_heard_before_changes_nothing(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, spoken: bytes
) -> None:
    alone = transcript(await heard(engine, blobs, spoken)).text
    noise = np.random.default_rng(0).normal(scale=3000, size=48_000).astype("<i2").tobytes()
    await heard(engine, blobs, wav(tone(2.0, hz=180.0) + noise))
    assert transcript(await heard(engine, blobs, spoken)).text == alone
