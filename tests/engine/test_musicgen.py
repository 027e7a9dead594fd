"""Audio by MusicGen: tiny random checkpoints through the real classes."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from deployments.audio.musicgen import MusicgenAudio
from deployments.audio.musicgen_windows import CodeCollector, MusicgenWindows
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.audio_generation import GenerateAudio, GeneratedAudio
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.message import Progress
from serve_app.core.options.audio import MusicgenOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import load_engine
from tests.engine.tiny_audio import HOP, SAMPLE_RATE, save_musicgen
from tests.material import content, decoded

MODEL = Model(id="tiny")
OPTIONS = MusicgenOptions(device="cpu", threads=1)
# 60 frames of the codec, fifty a second.
WINDOW_S = 1.2


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_musicgen(tmp_path_factory.mktemp("musicgen"))


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="session")
def engine(checkpoint: Path, blobs: FsspecBlobStore) -> MusicgenAudio:
    return MusicgenAudio(OPTIONS, MODEL, path=checkpoint, blobs=blobs)


def request(**fields: Any) -> GenerateAudio:
    values = {"model": "tiny", "prompt": "slow piano", "duration_s": 0.5, "seed": 7}
    return GenerateAudio.model_validate(values | fields)


async def made(engine: MusicgenAudio, **fields: Any) -> tuple[GeneratedAudio, list[Progress]]:
    *told, last = [event async for event in engine.generate_audio(request(**fields))]
    assert isinstance(last, GeneratedAudio)
    return last, [event for event in told if isinstance(event, Progress)]


@pytest.mark.parametrize("duration_s", [0.001, 0.5, WINDOW_S, 1.21, 3.3333])
async def test_an_audio_is_as_long_as_asked_for(
    engine: MusicgenAudio, blobs: FsspecBlobStore, duration_s: float
) -> None:
    audio, _ = await made(engine, duration_s=duration_s)
    samples = round(duration_s * SAMPLE_RATE)
    assert (audio.sample_rate, audio.channels, audio.seed) == (SAMPLE_RATE, 1, 7)
    assert audio.duration_s == samples / SAMPLE_RATE
    heard = decoded(await content(blobs, audio.audio))
    assert (heard.codec, heard.sample_rate, len(heard.samples)) == (
        *("pcm_s16le", SAMPLE_RATE),
        samples,
    )
    assert np.std(heard.samples) > 0.001
    assert audio.facts()[audio.audio.sha256].duration_s == audio.duration_s


async def test_seeds_are_repeatable(engine: MusicgenAudio) -> None:
    first, _ = await made(engine, duration_s=2.0, seed=1)
    again, _ = await made(engine, duration_s=2.0, seed=1)
    other, _ = await made(engine, duration_s=2.0, seed=2)
    negative, _ = await made(engine, duration_s=2.0, seed=-1)
    largest, _ = await made(engine, duration_s=2.0, seed=2**63 - 1)
    assert first == again
    assert len({made.audio.sha256 for made in (first, other, negative, largest)}) >= 3


async def test_another_prompt_is_another_audio(engine: MusicgenAudio) -> None:
    one, _ = await made(engine, prompt="slow piano")
    other, _ = await made(engine, prompt="rain on a roof")
    assert one.audio != other.audio


async def test_nobody_else_has_its_random_numbers(engine: MusicgenAudio) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    await made(engine)
    assert torch.rand(1) == expected


async def test_the_codes_are_those_that_the_library_makes_audio_of(checkpoint: Path) -> None:
    """The frames that the next window is given are read from the steps; the library moves them
    into their order by itself for what it returns.
    """
    kind: Any = transformers.MusicgenForConditionalGeneration
    model = kind.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    inputs = tokenizer("slow piano", return_tensors="pt")
    windows = MusicgenWindows.of(model)
    given = None
    for count in (25, 40):
        codes = CodeCollector(windows, given, lambda _: None, lambda: False)
        known: dict[str, Any] = {} if given is None else {"decoder_input_ids": given}
        audio = model.generate(
            **inputs, **known, max_length=windows.length(count), stopping_criteria=[codes]
        )
        assert codes.frames().shape == (4, count)
        again = model.audio_encoder.decode(codes.frames()[None, None], [None]).audio_values
        torch.testing.assert_close(audio, again)
        assert audio.shape == (1, 1, count * HOP)
        if given is not None:
            assert torch.equal(codes.frames()[:, : given.shape[1]], given)
        given = codes.frames()[:, -windows.kept :]


async def test_long_recordings_go_on_from_what_was_heard(
    engine: MusicgenAudio, blobs: FsspecBlobStore
) -> None:
    """The first window of a long audio is a short one's, up to where the next begins to be heard;
    then there is no step larger than those within windows.
    """
    whole, _ = await made(engine, duration_s=WINDOW_S)
    long, _ = await made(engine, duration_s=3.0)
    first = decoded(await content(blobs, whole.audio)).samples
    samples = decoded(await content(blobs, long.audio)).samples
    until = len(first) - engine.windows.fade
    np.testing.assert_array_equal(samples[:until], first[:until])
    steps = np.abs(np.diff(samples))
    joint = slice(until - 1, len(first) + 1)
    assert steps[joint].max() <= steps[: until - 1].max() * 1.5


async def test_progress_is_told_in_frames(engine: MusicgenAudio) -> None:
    _, told = await made(engine, duration_s=3.0)
    steps = [progress.current for progress in told]
    assert steps == sorted(steps)
    assert set(steps) == set(range(151))
    assert {(progress.phase, progress.total) for progress in told} == {("generate", 150)}


async def test_stereo(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    path = save_musicgen(tmp_path / "stereo", channels=2)
    engine = MusicgenAudio(OPTIONS, MODEL, path=path, blobs=blobs)
    audio, _ = await made(engine, duration_s=2.5)
    heard = decoded(await content(blobs, audio.audio))
    assert (audio.channels, heard.channels) == (2, 2)
    assert heard.duration_s == 2.5
    again, _ = await made(engine, duration_s=2.5)
    assert again == audio


async def test_guidance_comes_from_the_options(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    plain = MusicgenAudio(OPTIONS, MODEL, path=checkpoint, blobs=blobs)
    guided = MusicgenAudio(
        OPTIONS.model_copy(update={"guidance_scale": 10.0}), MODEL, path=checkpoint, blobs=blobs
    )
    free = MusicgenAudio(
        OPTIONS.model_copy(update={"guidance_scale": 1.0}), MODEL, path=checkpoint, blobs=blobs
    )
    recordings = [(await made(engine))[0].audio for engine in (plain, guided, free)]
    assert len(set(recordings)) == 3


async def test_closing_the_stream_stops_the_work(
    engine: MusicgenAudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of audio would be 180,000 steps."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    events = engine.generate_audio(request(duration_s=3600))
    first = await anext(events)
    assert list(tmp_path.iterdir())
    assert isinstance(first, Progress)
    assert first.total == 180_000
    async with asyncio.timeout(60):
        await events.aclose()
        # Its folder goes with it, at once.
        assert not list(tmp_path.iterdir())
        audio, _ = await made(engine)
    assert audio.duration_s == 0.5


async def test_two_at_the_same_time(engine: MusicgenAudio) -> None:
    alone, _ = await made(engine, seed=4)
    (one, _), (other, _) = await asyncio.gather(made(engine, seed=4), made(engine, seed=5))
    assert one == alone
    assert other.audio != one.audio


async def test_other_kinds_are_refused(engine: MusicgenAudio) -> None:
    with pytest.raises(UnsupportedCapability, match="generates 'music', not 'sfx'") as caught:
        await made(engine, kind="sfx")
    assert caught.value.param == "kind"


@pytest.mark.parametrize("duration_s", [0, -1, 7201, float("nan"), float("inf")])
def test_lengths_out_of_range_are_no_request(duration_s: float) -> None:
    with pytest.raises(ValueError, match="duration_s"):
        request(duration_s=duration_s)


async def test_closing_twice_is_no_error(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    engine = MusicgenAudio(OPTIONS, MODEL, path=checkpoint, blobs=blobs)
    await engine.close()
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await made(engine)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    transformers.T5Config().save_pretrained(tmp_path / "t5")
    with pytest.raises(BackendUnavailable, match="is of type 't5'; engine 'musicgen' takes"):
        MusicgenAudio(OPTIONS, MODEL, path=tmp_path / "t5", blobs=blobs)


def test_a_broken_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BackendUnavailable, match="model 'tiny' cannot be loaded") as caught:
        MusicgenAudio(OPTIONS, MODEL, path=copy, blobs=blobs)
    assert str(tmp_path) not in caught.value.message


def test_a_model_without_a_source_is_refused(blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="has no source"):
        MusicgenAudio(OPTIONS, MODEL, path=None, blobs=blobs)


def test_the_configuration_names_it(checkpoint: Path, tmp_path: Path) -> None:
    family = Family.model_validate(
        {
            "name": "sound",
            "options": {"engine": "musicgen", "device": "cpu"},
            "models": [{"id": "tiny", "source": str(checkpoint)}],
        }
    )
    engine = load_engine(family, Storage(data_dir=tmp_path), family.models[0], checkpoint)
    assert isinstance(engine, MusicgenAudio)
