"""Spleeter with its published weights: a voice and the rest of a mix whose parts are known."""

from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
import torch

from deployments.audio.spleeter_stems import SpleeterStems
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.stems import SeparateStems, Stems
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.message import Progress
from serve_app.core.options.audio import SpleeterOptions
from tests.material import content, counting, decoded, silence, stored, wav
from tests.mixes import Samples, music, read, sdr_db, stereo_wav
from tests.weights import default_models, weights

MODEL = "spleeter-2stems"
RATE = 44_100
GAIN_DB = 8


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def engine(blobs: FsspecBlobStore) -> AsyncGenerator[SpleeterStems]:
    options = SpleeterOptions(device="cpu", threads=2)
    engine = SpleeterStems(options, default_models()[MODEL], path=weights(MODEL), blobs=blobs)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


async def separated(
    engine: SpleeterStems, blobs: FsspecBlobStore, data: bytes
) -> tuple[Stems, dict[str, tuple[int, Samples]]]:
    request = SeparateStems(model=MODEL, audio=await stored(blobs, data))
    *told, last = [event async for event in engine.separate_stems(request)]
    assert all(isinstance(event, Progress) for event in told)
    assert isinstance(last, Stems)
    return last, {stem.name: read(await content(blobs, stem.audio)) for stem in last.stems}


def voice(seconds: float) -> Samples:
    """Somebody who counts, again and again, on both channels."""
    audio = decoded(counting())
    moments = np.arange(round(audio.duration_s * RATE)) * audio.sample_rate / RATE
    once = np.interp(moments, np.arange(len(audio.samples)), audio.samples)
    return np.tile(np.resize(once, round(seconds * RATE)), (2, 1)) * 0.6


async def test_a_voice_is_taken_out_of_music(engine: SpleeterStems, blobs: FsspecBlobStore) -> None:
    known = {"vocals": voice(14.0), "instrumental": music(RATE, 14.0)}
    mix = known["vocals"] + known["instrumental"]
    result, found = await separated(engine, blobs, stereo_wav(mix, RATE))
    for name, wanted in known.items():
        rate, samples = found[name]
        assert (rate, samples.shape) == (RATE, mix.shape)
        assert sdr_db(wanted, samples) - sdr_db(wanted, mix) > GAIN_DB, name
    added = found["vocals"][1] + found["instrumental"][1]
    assert np.abs(added - mix).max() < 1e-3
    assert (result.quality, result.dependency) == ("ml", "torch")
    assert result.duration_s == pytest.approx(14.0)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (48_000, 2), (22_050, 1)])
async def test_stems_have_the_mixs_rate_channels_and_length(
    engine: SpleeterStems, blobs: FsspecBlobStore, rate: int, channels: int
) -> None:
    mix = music(rate, 1.2345)[:channels]
    _, found = await separated(engine, blobs, stereo_wav(mix, rate))
    for found_rate, samples in found.values():
        assert (found_rate, samples.shape) == (rate, mix.shape)


async def test_silence_stays_silence(engine: SpleeterStems, blobs: FsspecBlobStore) -> None:
    for seconds in (0.01, 10.0):
        _, found = await separated(engine, blobs, wav(silence(seconds)))
        for _, samples in found.values():
            assert not samples.any()


async def test_other_stems_and_no_audio_are_refused(
    engine: SpleeterStems, blobs: FsspecBlobStore
) -> None:
    audio = await stored(blobs, counting())
    request = SeparateStems(model=MODEL, audio=audio, stem_mode="4-stem")
    with pytest.raises(UnsupportedCapability) as lacking:
        await anext(engine.separate_stems(request))
    assert lacking.value.param == "stem_mode"
    with pytest.raises(InvalidRequest) as caught:
        await separated(engine, blobs, b"no audio")
    assert caught.value.param == "audio"


async def test_a_closed_stream_ends_the_work(engine: SpleeterStems, blobs: FsspecBlobStore) -> None:
    audio = await stored(blobs, wav(silence(3600.0)))
    events = engine.separate_stems(SeparateStems(model=MODEL, audio=audio))
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    await separated(engine, blobs, wav(silence(1.0)))


def test_other_weights_are_named(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    model = default_models()[MODEL].model_copy(update={"id": "mine"})
    for path in (None, tmp_path):
        with pytest.raises(BackendUnavailable, match="'mine' is no Spleeter model of two stems"):
            SpleeterStems(SpleeterOptions(), model, path=path, blobs=blobs)
    torch.save({"a": torch.ones(1)}, tmp_path / "vocals.safetensors")
    with pytest.raises(BackendUnavailable, match="cannot be read") as caught:
        SpleeterStems(SpleeterOptions(), model, path=tmp_path, blobs=blobs)
    assert str(tmp_path) not in caught.value.message
