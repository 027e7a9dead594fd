"""Speakers told apart without a trained model, on voices of espeak-ng that take turns."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest

from deployments.audio.mfcc_diarization import MfccDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.audio import MfccOptions
from tests.conversation import Conversation, conversation, rightly_named
from tests.material import clip, silence, stored, tone, wav
from tests.notices import texts_of

TWO = ("en-us+m3", "en-us+f2")
FOUR = ("en-us", "en-us+f1", "en-us+m4", "en-us+f3")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    """Two voices, eight sentences."""
    return asyncio.run(conversation(tmp_path_factory.mktemp("two"), TWO, sentences=8))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def engine(blobs: FsspecBlobStore) -> AsyncGenerator[MfccDiarization]:
    engine = MfccDiarization(MfccOptions(), Model(id="mfcc"), path=None, blobs=blobs)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


async def diarized(
    engine: MfccDiarization, blobs: FsspecBlobStore, data: bytes, num_speakers: int | None = None
) -> Diarization:
    request = Diarize(model="mfcc", audio=await stored(blobs, data), num_speakers=num_speakers)
    *told, last = [event async for event in engine.diarize(request)]
    assert all(isinstance(event, Progress) for event in told)
    assert isinstance(last, Diarization)
    return last


def voices(result: Diarization) -> Sequence[str]:
    return sorted({turn.speaker for turn in result.turns})


@pytest.mark.parametrize("given", [2, None])
async def test_two_voices_are_told_apart(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation, given: int | None
) -> None:
    result = await diarized(engine, blobs, two.wav, given)
    assert voices(result) == ["A", "B"]
    assert rightly_named(two, result.turns) > 0.9
    assert result.turns[0].speaker == "A"
    starts = [turn.start for turn in result.turns]
    assert starts == sorted(starts)


async def test_it_says_that_it_is_best_effort(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    [warning] = texts_of((await diarized(engine, blobs, two.wav)).warnings)
    assert "best effort" in warning


async def test_noise_does_not_hide_who_speaks(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(two.samples))
    noisy = wav(((two.samples + noise) * 32767).astype("<i2").tobytes())
    assert rightly_named(two, (await diarized(engine, blobs, noisy)).turns) > 0.9


async def test_four_voices_where_they_are_said_to_be_four(
    engine: MfccDiarization, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    four = await conversation(tmp_path, FOUR, sentences=12)
    result = await diarized(engine, blobs, four.wav, 4)
    assert voices(result) == ["A", "B", "C", "D"]
    assert rightly_named(four, result.turns) > 0.9


@pytest.mark.parametrize("voice", TWO)
async def test_one_voice_is_one_speaker(
    engine: MfccDiarization, blobs: FsspecBlobStore, tmp_path: Path, voice: str
) -> None:
    alone = await conversation(tmp_path, (voice,), sentences=6)
    result = await diarized(engine, blobs, alone.wav)
    assert voices(result) == ["A"]
    assert rightly_named(alone, result.turns) > 0.9
    assert voices(await diarized(engine, blobs, alone.wav, 1)) == ["A"]


async def test_a_telephone_recording(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    narrow = wav((two.samples[::2] * 32767).astype("<i2").tobytes(), sample_rate=8_000)
    result = await diarized(engine, blobs, narrow, 2)
    assert rightly_named(two, result.turns) > 0.9


async def test_the_audio_of_a_video(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation, tmp_path: Path
) -> None:
    pcm = (two.samples * 32767).astype("<i2").tobytes()
    video = clip(tmp_path / "video.mp4", 2.0, audio=pcm).read_bytes()
    assert rightly_named(two, (await diarized(engine, blobs, video, 2)).turns) > 0.9


async def test_silence_has_no_speaker(engine: MfccDiarization, blobs: FsspecBlobStore) -> None:
    for data in (wav(silence(3.0)), wav(silence(0.001)), wav(silence(65.0))):
        assert (await diarized(engine, blobs, data)).turns == ()


async def test_more_speakers_than_speech_is_said(
    engine: MfccDiarization, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    alone = await conversation(tmp_path, TWO[:1], sentences=1)
    result = await diarized(engine, blobs, alone.wav, 50)
    found = len(voices(result))
    assert 1 <= found < 50
    assert f"only {found} of 50 speakers could be distinguished" in texts_of(result.warnings)


async def test_the_shortest_audio_is_no_error(
    engine: MfccDiarization, blobs: FsspecBlobStore
) -> None:
    await diarized(engine, blobs, wav(tone(0.001)), 3)


@pytest.mark.parametrize("data", [b"no audio at all", wav(b"")])
async def test_what_cannot_be_decoded_names_the_file(
    engine: MfccDiarization, blobs: FsspecBlobStore, data: bytes
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await diarized(engine, blobs, data)
    assert caught.value.param == "audio"


async def test_progress_counts_the_seconds_and_a_closed_stream_ends_the_work(
    engine: MfccDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    request = Diarize(model="mfcc", audio=await stored(blobs, wav(tone(300.0))))
    events = engine.diarize(request)
    first: DiarizationEvent = await anext(events)
    assert isinstance(first, Progress)
    assert 0 < first.current <= 30
    await events.aclose()
    assert (await diarized(engine, blobs, two.wav)).turns


TORCH_FREE = """
import sys
from pathlib import Path
from deployments.audio.mfcc_diarization import MfccDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.audio import MfccOptions
blobs = FsspecBlobStore(Path(sys.argv[1]))
MfccDiarization(MfccOptions(), Model(id="m"), path=None, blobs=blobs)
print([name for name in ("torch", "transformers", "sklearn") if name in sys.modules])
"""


def test_it_never_imports_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TORCH_FREE, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "[]\n"
