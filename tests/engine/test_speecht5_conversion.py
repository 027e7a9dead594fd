"""Voices converted by SpeechT5: tiny random checkpoints through the real classes."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speaker_embedding import SpeakerEmbedder
from deployments.audio.speech_cuts import LONGEST_S, SpeechCut, pieces_at_pauses
from deployments.audio.speecht5_conversion import LONGEST, SHORTEST, SpeechT5Conversion
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.voice_conversion import ConvertedVoice, ConvertVoice
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import SpeechT5ConversionOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import load_engine
from tests.engine.test_rubberband_conversion import children
from tests.engine.tiny_conversion import FRAMES_PER_S, HOP, RATE, converter, speaker_model
from tests.material import content, decoded, silence, spoken, stored, tone, wav
from tests.notices import texts_of

SENTENCE = "the old sailor buys seven green apples"
MODEL = Model(id="speecht5", source="x")
OPTIONS = SpeechT5ConversionOptions(device="cpu", threads=1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converter(tmp_path_factory.mktemp("speecht5") / "vc")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(checkpoint: Path, blobs: FsspecBlobStore) -> SpeechT5Conversion:
    return SpeechT5Conversion(OPTIONS, MODEL, path=checkpoint, blobs=blobs)


async def converted(
    engine: SpeechT5Conversion, blobs: BlobStore, source: bytes, target: bytes, **fields: Any
) -> tuple[ConvertedVoice, bytes]:
    request = ConvertVoice(
        model="speecht5",
        source=await stored(blobs, source),
        target=await stored(blobs, target),
        **fields,
    )
    events = [event async for event in engine.convert_voice(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, ConvertedVoice)
    return result, await content(blobs, result.audio)


def longest_s(source_s: float, frames: float = LONGEST) -> float:
    """Of a checkpoint that never ends by itself."""
    return source_s * FRAMES_PER_S * frames * HOP / RATE


async def test_a_sentence_is_converted(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = await spoken(tmp_path, SENTENCE)
    result, data = await converted(engine, blobs, said, said)
    audio = decoded(data)
    assert (audio.codec, audio.sample_rate, audio.channels) == ("pcm_s16le", 22_050, 1)
    assert audio.duration_s == pytest.approx(longest_s(decoded(said).duration_s), rel=0.03)
    assert result.duration_s == pytest.approx(audio.duration_s, abs=0.001)
    assert audio.loudness(0, 1) > 0
    assert result.warnings == ()


async def test_another_target_gives_another_audio_and_the_same_the_same(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = await spoken(tmp_path, "hello")
    man, woman = said, await spoken(tmp_path, SENTENCE, voice="en-us+f2")
    first, second, other = [
        (await converted(engine, blobs, said, target))[1] for target in (man, man, woman)
    ]
    assert first == second
    assert first != other


async def test_a_checkpoint_that_ends_at_once_says_half_at_least(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    path = converter(tmp_path / "short", ends_at_once=True)
    engine = SpeechT5Conversion(OPTIONS, MODEL, path=path, blobs=blobs)
    said = await spoken(tmp_path, SENTENCE)
    _, data = await converted(engine, blobs, said, said)
    wanted = longest_s(decoded(said).duration_s, SHORTEST)
    assert decoded(data).duration_s == pytest.approx(wanted, rel=0.05)


async def test_pitch_duration_and_rate_are_changed_on_the_way_out(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = await spoken(tmp_path, "hello")
    result, data = await converted(
        engine,
        blobs,
        said,
        said,
        length_adjust=0.5,
        pitch_shift=4,
        is_singing=True,
        diffusion_steps=20,
        guidance=0.5,
    )
    assert decoded(data).sample_rate == 44_100
    wanted = longest_s(decoded(said).duration_s) / 2
    assert decoded(data).duration_s == pytest.approx(wanted, rel=0.1)
    names = [warning.partition(" has ")[0] for warning in texts_of(result.warnings)]
    assert names[:2] == ["the number of diffusion steps", "the guidance"]
    assert names[2].startswith("singing")


async def test_long_audio_is_converted_in_pieces_and_silence_is_left_alone(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore
) -> None:
    hum = tone(1.0, hz=150.0)
    source = wav(silence(35.0) + hum)
    _, data = await converted(engine, blobs, source, wav(tone(2.0, hz=150.0)))
    audio = decoded(data)
    assert audio.loudness(0, 25) == 0
    assert audio.duration_s > 35
    _, data = await converted(engine, blobs, wav(silence(2.0)), wav(tone(2.0, hz=150.0)))
    assert decoded(data).duration_s == pytest.approx(2.0, abs=0.01)
    assert decoded(data).loudness(0, 2) == 0


@pytest.mark.parametrize("kind", ["silence", "empty", "bytes"])
async def test_bad_audio_is_named(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore, tmp_path: Path, kind: str
) -> None:
    said = await spoken(tmp_path, "hello")
    bad = {
        "silence": wav(silence(1.0)),
        "empty": wav(b""),
        "bytes": b"RIFF" + bytes(range(256)) * 8,
    }[kind]
    with pytest.raises(InvalidRequest) as caught:
        await converted(engine, blobs, said, bad)
    assert caught.value.param == "target"
    if kind != "silence":
        with pytest.raises(InvalidRequest) as caught:
            await converted(engine, blobs, bad, said)
        assert caught.value.param == "source"
    await converted(engine, blobs, said, said)


async def test_a_tiny_source_is_converted(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore
) -> None:
    for samples in (1, 100, 500):
        click = wav(b"\0\x40" * samples)
        _, data = await converted(engine, blobs, click, wav(tone(1.0, hz=150.0)))
        assert decoded(data).sample_rate == 22_050


async def test_leaving_stops_between_two_steps(
    engine: SpeechT5Conversion, blobs: FsspecBlobStore
) -> None:
    audio = await stored(blobs, wav(tone(120.0, hz=150.0)))
    request = ConvertVoice(model="speecht5", source=audio, target=audio)
    events = engine.convert_voice(request)
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    assert children() == set()
    steps: list[bool] = []
    engine._model.speecht5.decoder.prenet.register_forward_pre_hook(lambda *_: steps.append(True))
    await converted(engine, blobs, wav(tone(1.0, hz=150.0)), wav(tone(1.0, hz=150.0)))
    assert len(steps) < 100, "nothing of the run before is still going on"


async def test_closing_twice_is_no_error(engine: SpeechT5Conversion) -> None:
    await engine.start()
    await engine.close()
    await engine.close()


@pytest.mark.parametrize("missing", ["vocoder", "speaker_model", "model.safetensors"])
def test_what_is_missing_is_named(
    checkpoint: Path, tmp_path: Path, blobs: FsspecBlobStore, missing: str
) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    gone = copy / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(BackendUnavailable) as caught:
        SpeechT5Conversion(OPTIONS, MODEL, path=copy, blobs=blobs)
    if missing != "model.safetensors":
        assert missing in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_another_kind_of_checkpoint_is_refused(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="wavlm"):
        SpeechT5Conversion(OPTIONS, MODEL, path=checkpoint / "speaker_model", blobs=blobs)


def test_parts_by_sources_of_their_own(checkpoint: Path, tmp_path: Path) -> None:
    main = shutil.copytree(checkpoint, tmp_path / "main")
    for part in ("vocoder", "speaker_model"):
        shutil.rmtree(main / part)
    family = Family.model_validate(
        {
            "name": "convert",
            "options": {
                "engine": "speecht5_conversion",
                "device": "cpu",
                "vocoder": str(checkpoint / "vocoder"),
                "speaker_model": str(speaker_model(tmp_path / "speaker", kind="wav2vec2")),
            },
            "models": [{"id": "speecht5", "source": str(main)}],
        }
    )
    engine = load_engine(family, Storage(data_dir=tmp_path), family.models[0], main)
    assert isinstance(engine, SpeechT5Conversion)


@pytest.mark.parametrize("kind", ["wavlm", "wav2vec2"])
def test_vectors_have_length_one_and_tell_voices_apart(tmp_path: Path, kind: Any) -> None:
    path = speaker_model(tmp_path / "speaker", kind=kind)
    embedder = SpeakerEmbedder(path, torch.device("cpu"), size=8)
    low, high = [
        np.frombuffer(tone(2.0, hz=hz), "<i2").astype(np.float32) / 32768 for hz in (120.0, 240.0)
    ]
    one, other, again = embedder.vector(low), embedder.vector(high), embedder.vector(low)
    assert one.shape == (1, 8)
    assert float(one.norm()) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert embedder.vector(low[:10]).isfinite().all()


def test_a_speaker_model_of_another_size_is_refused(tmp_path: Path) -> None:
    path = speaker_model(tmp_path / "speaker", size=6)
    with pytest.raises(BackendUnavailable, match="6 numbers"):
        SpeakerEmbedder(path, torch.device("cpu"), size=8)


def test_pieces_end_in_pauses_and_nothing_is_lost() -> None:
    hum = tone(13.0, hz=150.0) + silence(0.5)
    audio = hum * 4
    blocks = (audio[start : start + 4_000] for start in range(0, len(audio), 4_000))
    pieces = list(pieces_at_pauses(blocks))
    assert b"".join(piece.pcm for piece in pieces) == audio
    assert all(piece.duration_s <= LONGEST_S for piece in pieces)
    edges = np.cumsum([len(piece.pcm) // 2 for piece in pieces])[:-1] / SPEECH_RATE
    assert all(12.9 < edge % 13.5 < 13.5 for edge in edges)
    assert [SpeechCut(silence(1.0)).is_silent, SpeechCut(hum).is_silent] == [True, False]
    assert list(pieces_at_pauses(iter([]))) == []
