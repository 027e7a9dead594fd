"""SpeechT5 in the voice of a recording: tiny random checkpoints through the real classes."""

from pathlib import Path
from typing import Any

import pytest

from deployments.audio.transformers_speech import TransformersSpeech
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import AudioChunk, CloneSpeech, SpeechEnd
from serve_app.core.audio.wav import sized
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.options.audio import TransformersSpeechOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import load_engine
from tests.engine.tiny_conversion import speaker_model
from tests.engine.tiny_speech import speecht5
from tests.material import decoded, silence, spoken, stored, wav


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speecht5(tmp_path_factory.mktemp("speecht5-clone") / "tts")


@pytest.fixture(scope="session")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaker_model(tmp_path_factory.mktemp("speaker") / "wavlm")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(folder: Path, ears: Path, blobs: FsspecBlobStore) -> TransformersSpeech:
    options = TransformersSpeechOptions(device="cpu", threads=1, speaker_model=str(ears))
    model = Model(id="speecht5", source="x")
    return TransformersSpeech(options, model, path=folder, blobs=blobs, speaker_model=ears)


async def cloned(
    engine: TransformersSpeech, blobs: FsspecBlobStore, reference: bytes, **fields: Any
) -> tuple[bytes, SpeechEnd]:
    request = CloneSpeech(
        model="speecht5", text="hello there", reference=await stored(blobs, reference), **fields
    )
    events = [event async for event in engine.clone(request)]
    end = events[-1]
    assert isinstance(end, SpeechEnd)
    data = b"".join(event.data for event in events if isinstance(event, AudioChunk))
    return sized(data), end


async def test_each_reference_has_its_voice_and_each_seed_its_audio(
    engine: TransformersSpeech, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    man, woman = [
        await spoken(tmp_path, "good morning my friends", voice=voice)
        for voice in ("en-us", "en-us+f2")
    ]
    first, end = await cloned(engine, blobs, man, seed=7)
    again, _ = await cloned(engine, blobs, man, seed=7, reference_text="good morning my friends")
    other, _ = await cloned(engine, blobs, woman, seed=7)
    seeded, _ = await cloned(engine, blobs, man, seed=8)
    assert first == again
    assert other != first
    assert seeded != first
    assert decoded(first).duration_s == pytest.approx(end.duration_s, abs=0.001)


async def test_speed_and_format(
    engine: TransformersSpeech, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    man = await spoken(tmp_path, "good morning my friends")
    normal, _ = await cloned(engine, blobs, man)
    fast, end = await cloned(engine, blobs, man, speed=2.0, format="flac")
    assert decoded(fast).codec == "flac"
    assert end.duration_s == pytest.approx(decoded(normal).duration_s / 2, rel=0.15)


@pytest.mark.parametrize("kind", ["silence", "empty", "bytes"])
async def test_a_reference_without_a_voice_is_named(
    engine: TransformersSpeech, blobs: FsspecBlobStore, kind: str
) -> None:
    bad = {"silence": wav(silence(2.0)), "empty": wav(b""), "bytes": b"RIFF" + bytes(999)}[kind]
    with pytest.raises(InvalidRequest) as caught:
        await cloned(engine, blobs, bad)
    assert caught.value.param == "reference"


async def test_without_a_speaker_model_it_has_its_own_voices_only(
    folder: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    options = TransformersSpeechOptions(device="cpu", threads=1)
    assert not options.clones
    engine = TransformersSpeech(options, Model(id="x", source="x"), path=folder, blobs=blobs)
    with pytest.raises(UnsupportedCapability):
        await cloned(engine, blobs, await spoken(tmp_path, "good morning"))


def test_a_speaker_model_of_another_size_is_refused(
    folder: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    ears = speaker_model(tmp_path / "six", size=6)
    options = TransformersSpeechOptions(device="cpu", speaker_model=str(ears))
    with pytest.raises(BackendUnavailable, match="6 numbers"):
        TransformersSpeech(
            options, Model(id="x", source="x"), path=folder, blobs=blobs, speaker_model=ears
        )


def test_it_is_configured_by_a_source_of_its_own(folder: Path, ears: Path, tmp_path: Path) -> None:
    family = Family.model_validate(
        {
            "name": "speech",
            "options": {
                "engine": "transformers_speech",
                "device": "cpu",
                "speaker_model": str(ears),
            },
            "models": [{"id": "speecht5", "source": str(folder)}],
        }
    )
    assert family.options.clones
    engine = load_engine(family, Storage(data_dir=tmp_path), family.models[0], folder)
    assert isinstance(engine, TransformersSpeech)
