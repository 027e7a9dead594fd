"""Audio by diffusers: tiny random checkpoints through the real classes."""

import asyncio
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.audio.diffusers_audio import DiffusersAudio, pieces
from deployments.audio.joined_audio import JoinedAudio
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.audio_generation import GenerateAudio, GeneratedAudio
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.message import Progress
from serve_app.core.options.audio import DiffusersAudioOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import load_engine
from tests.engine.tiny_audio import RATE, save_audioldm, save_audioldm2, save_stable_audio
from tests.material import content, decoded
from tests.notices import texts_of

MODEL = Model(id="tiny")
OPTIONS = DiffusersAudioOptions(device="cpu", threads=1, steps=2)
SAVED: dict[str, tuple[Any, int]] = {
    "stable-audio": (save_stable_audio, 2),
    "audioldm": (save_audioldm, 1),
    "audioldm2": (save_audioldm2, 1),
}
SDE = "CosineDPMSolverMultistepScheduler"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sounds")
    return {name: save(folder / name) for name, (save, _) in SAVED.items()}


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="session", params=list(SAVED))
def named(request: Any) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def engine(named: str, checkpoints: dict[str, Path], blobs: FsspecBlobStore) -> DiffusersAudio:
    # AudioLDM makes audio files of any length at once.
    options = OPTIONS if named == "stable-audio" else OPTIONS.model_copy(update={"window_s": 2.0})
    return DiffusersAudio(options, MODEL, path=checkpoints[named], blobs=blobs)


def request(**fields: Any) -> GenerateAudio:
    values = {"model": "tiny", "prompt": "rain on a roof", "duration_s": 0.5, "seed": 7}
    return GenerateAudio.model_validate(values | {"kind": "ambient"} | fields)


async def made(engine: DiffusersAudio, **fields: Any) -> tuple[GeneratedAudio, list[Progress]]:
    *told, last = [event async for event in engine.generate_audio(request(**fields))]
    assert isinstance(last, GeneratedAudio)
    return last, [event for event in told if isinstance(event, Progress)]


@pytest.mark.parametrize("duration_s", [0.001, 0.5, 2.0, 6.01])
async def test_an_audio_is_as_long_as_asked_for(
    engine: DiffusersAudio, named: str, blobs: FsspecBlobStore, duration_s: float
) -> None:
    audio, _ = await made(engine, duration_s=duration_s)
    samples = round(duration_s * RATE)
    assert (audio.sample_rate, audio.channels) == (RATE, SAVED[named][1])
    assert audio.duration_s == samples / RATE
    heard = decoded(await content(blobs, audio.audio))
    assert (heard.sample_rate, heard.channels) == (RATE, SAVED[named][1])
    assert len(heard.samples) == samples
    assert np.abs(heard.samples).max() > 0.001
    assert audio.warnings == ()


async def test_seeds_are_repeatable(engine: DiffusersAudio) -> None:
    first, _ = await made(engine, duration_s=4.0, seed=1)
    again, _ = await made(engine, duration_s=4.0, seed=1)
    other, _ = await made(engine, duration_s=4.0, seed=-2)
    assert first == again
    assert first.audio != other.audio


async def test_another_prompt_is_another_audio(engine: DiffusersAudio) -> None:
    one, _ = await made(engine, prompt="slow piano")
    other, _ = await made(engine, prompt="rain on a roof")
    assert one.audio != other.audio


async def test_long_recordings_are_made_of_windows(
    engine: DiffusersAudio, blobs: FsspecBlobStore
) -> None:
    """The first window of a long audio is what a short one is, up to where the next begins."""
    window_s = engine.window_s
    whole, told = await made(engine, duration_s=window_s)
    assert [progress.current for progress in told] == [1, 2]
    long, told = await made(engine, duration_s=2 * window_s)
    assert [progress.current for progress in told] == list(range(1, 7))
    assert {progress.total for progress in told} == {6}
    first = decoded(await content(blobs, whole.audio)).samples
    samples = decoded(await content(blobs, long.audio)).samples
    until = len(first) - len(first) // 4
    np.testing.assert_array_equal(samples[:until], first[:until])
    assert samples[len(first) :].std() > 0


async def test_closing_the_stream_stops_the_work(
    engine: DiffusersAudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    events = engine.generate_audio(request(duration_s=7200))
    first = await anext(events)
    assert list(tmp_path.iterdir())
    assert isinstance(first, Progress)
    assert first.total is not None
    assert first.total > 5000
    async with asyncio.timeout(60):
        await events.aclose()
        # Its folder goes with it, at once.
        assert not list(tmp_path.iterdir())
        audio, _ = await made(engine)
    assert audio.duration_s == 0.5


async def test_long_prompts_are_cut_with_a_warning(engine: DiffusersAudio) -> None:
    audio, _ = await made(engine, prompt="rain " * 40)
    assert texts_of(audio.warnings) == ("the model uses only the first 16 tokens of the prompt",)


async def test_other_kinds_are_refused(checkpoints: dict[str, Path], blobs: Any) -> None:
    options = OPTIONS.model_copy(update={"kinds": ("sfx", "ambient")})
    engine = DiffusersAudio(options, MODEL, path=checkpoints["stable-audio"], blobs=blobs)
    with pytest.raises(UnsupportedCapability, match="generates 'sfx', 'ambient', not 'music'"):
        await made(engine, kind="music")


async def test_the_options_say_how_long_a_window_is(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    def engine(name: str, window_s: float | None) -> DiffusersAudio:
        options = OPTIONS.model_copy(update={"window_s": window_s})
        return DiffusersAudio(options, MODEL, path=checkpoints[name], blobs=blobs)

    # 256 frames of sixteen samples are all that the transformer has room for.
    assert engine("stable-audio", None).window_s == pytest.approx(2.56, abs=0.001)
    assert engine("stable-audio", 1.5).window_s == 1.5
    assert engine("stable-audio", 60.0).window_s == pytest.approx(2.56, abs=0.001)
    assert engine("audioldm", None).window_s == 10.24
    assert engine("audioldm", 30.0).window_s == 30.0


async def test_steps_and_guidance_come_from_the_options(
    engine: DiffusersAudio, named: str, checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    plain, _ = await made(engine)
    changed = OPTIONS.model_copy(update={"steps": 3, "window_s": engine.window_s})
    other = DiffusersAudio(changed, MODEL, path=checkpoints[named], blobs=blobs)
    audio, told = await made(other)
    assert len(told) == 3
    changed = OPTIONS.model_copy(update={"guidance_scale": 1.0, "window_s": engine.window_s})
    unguided = DiffusersAudio(changed, MODEL, path=checkpoints[named], blobs=blobs)
    free, _ = await made(unguided)
    assert len({plain.audio, audio.audio, free.audio}) == 3


async def test_a_scheduler_that_cannot_be_had_is_replaced(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    """Stable Audio Open names one that needs torchsde, which is not installed here."""
    path = save_stable_audio(tmp_path / "cosine", scheduler=SDE)
    engine = DiffusersAudio(OPTIONS, MODEL, path=path, blobs=blobs)
    audio, _ = await made(engine, duration_s=2.0)
    again, _ = await made(engine, duration_s=2.0)
    assert audio == again
    assert np.std(decoded(await content(blobs, audio.audio)).samples) > 0


def test_a_pipeline_of_another_kind_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    copy = shutil.copytree(checkpoints["audioldm"], tmp_path / "copy")
    index = json.loads((copy / "model_index.json").read_text())
    kept = {name: index[name] for name in ("unet", "scheduler", "_diffusers_version")}
    kept["_class_name"] = "DDPMPipeline"
    (copy / "model_index.json").write_text(json.dumps(kept))
    with pytest.raises(BackendUnavailable, match="is a DDPMPipeline; engine 'diffusers_audio'"):
        DiffusersAudio(OPTIONS, MODEL, path=copy, blobs=blobs)


def test_a_broken_checkpoint_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    copy = shutil.copytree(checkpoints["audioldm"], tmp_path / "copy")
    (copy / "model_index.json").write_text("{")
    with pytest.raises(BackendUnavailable, match="cannot be loaded by diffusers") as caught:
        DiffusersAudio(OPTIONS, MODEL, path=copy, blobs=blobs)
    assert str(tmp_path) not in caught.value.message


def test_the_configuration_names_it(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = checkpoints["stable-audio"]
    family = Family.model_validate(
        {
            "name": "sound",
            "options": {"engine": "diffusers_audio", "device": "cpu"},
            "models": [{"id": "tiny", "source": str(path)}],
        }
    )
    engine = load_engine(family, Storage(data_dir=tmp_path), family.models[0], path)
    assert isinstance(engine, DiffusersAudio)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 175, 176, 1000])
def test_windows_add_up(count: int) -> None:
    lengths = pieces(count, 100, 25)
    assert sum(lengths) - 25 * (len(lengths) - 1) == count
    assert all(25 < length <= 100 for length in lengths[1:])
    assert lengths[:-1] == [100] * (len(lengths) - 1)


@pytest.mark.parametrize("is_same_audio", [True, False])
def test_windows_are_faded_into_each_other(tmp_path: Path, *, is_same_audio: bool) -> None:
    target = tmp_path / "joined.wav"
    ones = np.full((1, 100), 0.25, dtype=np.float32)
    with JoinedAudio(target, 1000, fade=20, is_same_audio=is_same_audio) as joined:
        for piece in (ones, ones, ones):
            joined.add(piece)
        written = joined.finish(260)
    assert (written.samples, written.channels, written.sample_rate) == (260, 1, 1000)
    samples = decoded(target.read_bytes()).samples
    assert len(samples) == 260
    joints = {*range(80, 100), *range(160, 180)}
    outside = [samples[k] for k in range(260) if k not in joints]
    np.testing.assert_allclose(outside, 0.25, atol=1e-4)
    # What is alike stays as loud; what is not alike adds up by its power.
    highest = 0.25 if is_same_audio else 0.25 * 2**0.5
    assert samples.max() == pytest.approx(highest, rel=0.01)
    assert all(abs(b - a) < 0.05 for a, b in itertools.pairwise(samples))
