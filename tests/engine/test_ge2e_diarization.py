"""Speakers told apart by GE2E with its published weights, on voices that take turns."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from deployments.audio.ge2e_diarization import Ge2eDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.audio import Ge2eOptions
from tests.conversation import Conversation, conversation, rightly_named
from tests.material import clip, silence, stored, tone, wav
from tests.notices import texts_of
from tests.weights import default_models, weights

TWO = ("en-us+m3", "en-us+f2")
THREE = ("en-us+m3", "en-us+f1", "en-us+f3")
MODEL = "ge2e"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    """Two voices, eight sentences."""
    return asyncio.run(conversation(tmp_path_factory.mktemp("two"), TWO, sentences=8))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def engine(blobs: FsspecBlobStore) -> AsyncGenerator[Ge2eDiarization]:
    engine = Ge2eDiarization(
        Ge2eOptions(), default_models()[MODEL], path=weights(MODEL), blobs=blobs
    )
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


async def diarized(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, data: bytes, num_speakers: int | None = None
) -> Diarization:
    request = Diarize(model=MODEL, audio=await stored(blobs, data), num_speakers=num_speakers)
    *told, last = [event async for event in engine.diarize(request)]
    assert all(isinstance(event, Progress) for event in told)
    assert isinstance(last, Diarization)
    return last


def voices(result: Diarization) -> Sequence[str]:
    return sorted({turn.speaker for turn in result.turns})


@pytest.mark.parametrize("given", [2, None])
async def test_two_voices_are_told_apart(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, two: Conversation, given: int | None
) -> None:
    result = await diarized(engine, blobs, two.wav, given)
    assert voices(result) == ["A", "B"]
    assert rightly_named(two, result.turns) > 0.9
    assert result.turns[0].speaker == "A"
    starts = [turn.start for turn in result.turns]
    assert starts == sorted(starts)


async def test_noise_does_not_hide_who_speaks(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(two.samples))
    noisy = wav(((two.samples + noise) * 32767).astype("<i2").tobytes())
    assert rightly_named(two, (await diarized(engine, blobs, noisy)).turns) > 0.9


@pytest.mark.parametrize("given", [3, None])
async def test_three_voices(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, tmp_path: Path, given: int | None
) -> None:
    three = await conversation(tmp_path, THREE, sentences=9)
    result = await diarized(engine, blobs, three.wav, given)
    assert voices(result) == ["A", "B", "C"]
    assert rightly_named(three, result.turns) > 0.9


@pytest.mark.parametrize("voice", TWO)
async def test_one_voice_is_one_speaker(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, tmp_path: Path, voice: str
) -> None:
    alone = await conversation(tmp_path, (voice,), sentences=6)
    result = await diarized(engine, blobs, alone.wav)
    assert voices(result) == ["A"]
    assert rightly_named(alone, result.turns) > 0.9
    assert voices(await diarized(engine, blobs, alone.wav, 1)) == ["A"]


async def test_a_telephone_recording(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    narrow = wav((two.samples[::2] * 32767).astype("<i2").tobytes(), sample_rate=8_000)
    result = await diarized(engine, blobs, narrow, 2)
    assert rightly_named(two, result.turns) > 0.9


async def test_the_audio_of_a_video(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, two: Conversation, tmp_path: Path
) -> None:
    pcm = (two.samples * 32767).astype("<i2").tobytes()
    video = clip(tmp_path / "video.mp4", 2.0, audio=pcm).read_bytes()
    assert rightly_named(two, (await diarized(engine, blobs, video, 2)).turns) > 0.9


async def test_silence_has_no_speaker(engine: Ge2eDiarization, blobs: FsspecBlobStore) -> None:
    for data in (wav(silence(3.0)), wav(silence(0.001)), wav(silence(65.0))):
        assert (await diarized(engine, blobs, data)).turns == ()


async def test_more_speakers_than_speech_is_said(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    alone = await conversation(tmp_path, TWO[:1], sentences=1)
    result = await diarized(engine, blobs, alone.wav, 50)
    found = len(voices(result))
    assert 1 <= found < 50
    assert f"only {found} of 50 speakers could be distinguished" in texts_of(result.warnings)


async def test_the_shortest_audio_is_no_error(
    engine: Ge2eDiarization, blobs: FsspecBlobStore
) -> None:
    await diarized(engine, blobs, wav(tone(0.001)), 3)


@pytest.mark.parametrize("data", [b"no audio at all", wav(b"")])
async def test_what_cannot_be_decoded_names_the_file(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, data: bytes
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await diarized(engine, blobs, data)
    assert caught.value.param == "audio"


async def test_progress_counts_the_seconds_and_a_closed_stream_ends_the_work(
    engine: Ge2eDiarization, blobs: FsspecBlobStore, two: Conversation
) -> None:
    request = Diarize(model=MODEL, audio=await stored(blobs, wav(tone(300.0))))
    events = engine.diarize(request)
    first: DiarizationEvent = await anext(events)
    assert isinstance(first, Progress)
    assert 0 < first.current <= 30
    await events.aclose()
    assert (await diarized(engine, blobs, two.wav)).turns


TORCH_FREE = """
import sys
from pathlib import Path
from deployments.audio.ge2e_diarization import Ge2eDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.audio import Ge2eOptions
blobs = FsspecBlobStore(Path(sys.argv[1]))
Ge2eDiarization(Ge2eOptions(), Model(id="m"), path=Path(sys.argv[2]), blobs=blobs)
print([name for name in ("torch", "transformers", "sklearn") if name in sys.modules])
"""


def test_it_never_imports_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TORCH_FREE, str(tmp_path), str(weights(MODEL))]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "[]\n"


def test_other_weights_are_named(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    def loaded(path: Path | None) -> Ge2eDiarization:
        return Ge2eDiarization(Ge2eOptions(), Model(id="mine"), path=path, blobs=blobs)

    for path in (None, tmp_path):
        with pytest.raises(BackendUnavailable, match="'mine' is no GE2E voice encoder") as caught:
            loaded(path)
        assert str(tmp_path) not in caught.value.message
    file = tmp_path / "ge2e.safetensors"
    save_file({"linear.weight": np.zeros((2, 2), np.float32)}, file)
    with pytest.raises(BackendUnavailable, match=r"'linear.weight' has the shape \(2, 2\)"):
        loaded(file)
