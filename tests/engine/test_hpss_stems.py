"""Stems by signal processing, of mixes whose parts are known."""

import io
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.audio.hpss_stems import HpssStems
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.stems import STEM_NAMES, SeparateStems, StemMode, Stems
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.audio import HpssOptions
from tests.material import stored

Samples = np.ndarray[Any, np.dtype[np.float64]]
MODES: tuple[StemMode, ...] = ("vocals-instrumental", "4-stem", "drums-bass-other")
STEP = 1 / 32768
GAIN_DB = 8


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def engine(blobs: FsspecBlobStore) -> AsyncGenerator[HpssStems]:
    engine = HpssStems(HpssOptions(), Model(id="hpss"), path=None, blobs=blobs)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


def parts(rate: int, seconds: float) -> dict[str, Samples]:
    """Mono: a tune sung with vibrato, drum beats, a bass and a chord; quieter than full scale."""
    moments = np.arange(round(rate * seconds)) / rate
    notes = np.array([294, 330, 392, 349, 440, 370, 311])[(moments / 0.45).astype(int) % 7]
    turns = np.cumsum(notes * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * moments))) / rate
    voice = sum(np.sin(2 * np.pi * k * turns) / k for k in (1, 2, 3, 4))
    noise = np.random.default_rng(7).standard_normal(len(moments))
    chord = sum(np.sin(2 * np.pi * hz * moments) for hz in (523.25, 659.26, 783.99))
    return {
        "vocals": 0.1 * voice,
        "drums": 0.15 * noise * np.exp(-60 * (moments % 0.5)),
        "bass": 0.15 * np.sin(2 * np.pi * 70 * moments),
        "other": 0.06 * chord,
    }


def panned(recordings: dict[str, Samples], channels: int) -> dict[str, Samples]:
    """Shaped (channels, samples); in stereo the chord is on the sides, the rest in the centre."""
    if channels == 1:
        return {name: audio[None] for name, audio in recordings.items()}
    sides = dict.fromkeys(recordings, (1.0, 1.0)) | {"other": (1.0, -1.0)}
    return {name: np.outer(sides[name], audio) for name, audio in recordings.items()}


def wav(samples: Samples, rate: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples.T * 32767).astype("<i2").tobytes())
    return target.getvalue()


def read(data: bytes) -> tuple[int, Samples]:
    with wave.open(io.BytesIO(data)) as file:
        count, channels, rate = file.getnframes(), file.getnchannels(), file.getframerate()
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(count), "<i2").reshape(-1, channels)
        assert len(samples) == count
    return rate, samples.T / 32768


def sdr_db(wanted: Samples, found: Samples) -> float:
    """Signal to distortion, in decibels."""
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)))


async def separated(
    engine: HpssStems, blobs: FsspecBlobStore, data: bytes, mode: StemMode
) -> tuple[Stems, dict[str, tuple[int, Samples]]]:
    request = SeparateStems(
        model="hpss", audio=await stored(blobs, data), stem_mode=mode, allows_fallback=True
    )
    events = [event async for event in engine.separate_stems(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, Stems)
    assert tuple(stem.name for stem in result.stems) == STEM_NAMES[mode]
    recordings = {}
    for stem in result.stems:
        assert stem.audio.mime == "audio/wav"
        recordings[stem.name] = read(b"".join([chunk async for chunk in blobs.read(stem.audio)]))
    return result, recordings


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
async def test_every_stem_is_nearer_to_its_part_than_the_mix_is(
    engine: HpssStems, blobs: FsspecBlobStore, rate: int, channels: int
) -> None:
    known = panned(parts(rate, 7.0), channels)
    mix = sum(known.values(), np.zeros_like(known["bass"]))
    for mode in MODES:
        wanted = {name: known[name] for name in known if name in STEM_NAMES[mode]}
        if mode == "vocals-instrumental":
            wanted["instrumental"] = mix - known["vocals"]
        if mode == "drums-bass-other":
            wanted["other"] = known["vocals"] + known["other"]
        _, found = await separated(engine, blobs, wav(mix, rate), mode)
        for name, part in wanted.items():
            gained = sdr_db(part, found[name][1]) - sdr_db(part, mix)
            assert gained > GAIN_DB, (mode, name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("rate", "channels", "samples"),
    [(8_000, 1, 1), (8_000, 2, 12_345), (22_050, 1, 150_001), (96_000, 2, 200_003)],
)
async def test_stems_have_the_mixs_length_and_sum_to_it(
    engine: HpssStems,
    blobs: FsspecBlobStore,
    mode: StemMode,
    rate: int,
    channels: int,
    samples: int,
) -> None:
    noise = 0.2 * np.random.default_rng(3).standard_normal((channels, samples)).clip(-3, 3)
    data = wav(noise, rate)
    result, found = await separated(engine, blobs, data, mode)
    assert result.duration_s == pytest.approx(samples / rate)
    assert {(r, audio.shape) for r, audio in found.values()} == {(rate, noise.shape)}
    total = sum((audio for _, audio in found.values()), np.zeros_like(noise))
    assert np.abs(total - read(data)[1]).max() <= len(found) * STEP


async def test_silence_stays_silent(engine: HpssStems, blobs: FsspecBlobStore) -> None:
    _, found = await separated(engine, blobs, wav(np.zeros((2, 20_000)), 8_000), "4-stem")
    assert {np.abs(audio).max() for _, audio in found.values()} == {0.0}


async def test_what_made_the_stems_is_said(engine: HpssStems, blobs: FsspecBlobStore) -> None:
    result, _ = await separated(engine, blobs, wav(np.zeros((1, 100)), 8_000), "4-stem")
    assert (result.engine, result.model, result.quality) == ("hpss", "hpss", "best-effort")
    assert result.dependency == "numpy"
    assert result.limitations
    assert [stem.role for stem in result.stems] == ["lead", "rhythm", "bass", "rest"]


async def test_progress_counts_the_seconds(engine: HpssStems, blobs: FsspecBlobStore) -> None:
    data = wav(np.zeros((1, 8_000 * 20)), 8_000)
    request = SeparateStems(
        model="hpss", audio=await stored(blobs, data), stem_mode="4-stem", allows_fallback=True
    )
    told = [event async for event in engine.separate_stems(request)][:-1]
    assert all(isinstance(event, Progress) and event.total == 20 for event in told)
    seconds = [event.current for event in told if isinstance(event, Progress)]
    assert seconds == sorted(seconds)
    assert len(seconds) > 2
    assert seconds[-1] == 20


async def test_a_closed_stream_leaves_no_file_and_no_thread(
    engine: HpssStems, blobs: FsspecBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    data = wav(np.zeros((1, 8_000 * 600)), 8_000)
    request = SeparateStems(model="hpss", audio=await stored(blobs, data), allows_fallback=True)
    events = engine.separate_stems(request)
    assert isinstance(await anext(events), Progress)
    assert list(work.iterdir())
    await events.aclose()
    assert not list(work.iterdir())
    _, found = await separated(engine, blobs, wav(np.zeros((1, 100)), 8_000), "4-stem")
    assert len(found) == 4


async def test_more_than_two_channels_become_two(engine: HpssStems, blobs: FsspecBlobStore) -> None:
    eight = 0.1 * np.random.default_rng(1).standard_normal((8, 9_600))
    _, found = await separated(engine, blobs, wav(eight, 96_000), "drums-bass-other")
    assert {audio.shape for _, audio in found.values()} == {(2, 9_600)}


async def test_a_mix_over_full_scale_is_clipped_and_not_wrapped(
    engine: HpssStems, blobs: FsspecBlobStore
) -> None:
    loud = np.sign(np.sin(np.arange(16_000) * 2 * np.pi * 60 / 8_000))[None]
    _, found = await separated(engine, blobs, wav(loud, 8_000), "drums-bass-other")
    bass = found["bass"][1][0, 4_000:12_000]
    assert np.corrcoef(bass, loud[0, 4_000:12_000])[0, 1] > 0.7


async def test_it_is_not_taken_for_a_trained_model(
    engine: HpssStems, blobs: FsspecBlobStore
) -> None:
    audio = await stored(blobs, wav(np.zeros((1, 100)), 8_000))
    with pytest.raises(BackendUnavailable) as failure:
        await anext(engine.separate_stems(SeparateStems(model="hpss", audio=audio)))
    assert failure.value.param == "allows_fallback"


@pytest.mark.parametrize("data", [b"RIFF\xff\xff\xff\xffWAVEfmt ", b"no audio at all" * 50])
async def test_what_cannot_be_decoded(
    engine: HpssStems, blobs: FsspecBlobStore, data: bytes
) -> None:
    request = SeparateStems(model="hpss", audio=await stored(blobs, data), allows_fallback=True)
    with pytest.raises(InvalidRequest) as failure:
        await anext(engine.separate_stems(request))
    assert failure.value.param == "audio"


async def test_a_header_that_claims_four_gigabytes(
    engine: HpssStems, blobs: FsspecBlobStore
) -> None:
    data = bytearray(wav(0.1 * np.ones((1, 8_000)), 8_000))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    result, found = await separated(engine, blobs, bytes(data), "4-stem")
    assert result.duration_s == pytest.approx(1.0)
    assert {audio.shape for _, audio in found.values()} == {(1, 8_000)}
