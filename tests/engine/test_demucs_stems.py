"""Demucs with tiny random weights: the library's own answer, in bounded memory, in every mode."""

import io
import json
import subprocess
import sys
import wave
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from safetensors.torch import save_file

from deployments.audio.demucs_chunks import ChunkedSeparation
from deployments.audio.demucs_stems import DemucsStems
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.stems import STEM_NAMES, SeparateStems, StemMode, Stems
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.message import Progress
from serve_app.core.options.audio import DemucsOptions
from tests.engine.tiny_demucs import RATE, SOURCES, save_pickle, save_safetensors, tiny
from tests.material import clip, stored, tone

Samples = np.ndarray[Any, np.dtype[np.float64]]
MODES: tuple[StemMode, ...] = ("vocals-instrumental", "4-stem", "drums-bass-other")
STEP = 1 / 32768


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Threads that wait for each other make tiny models slow on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_safetensors(tmp_path_factory.mktemp("demucs"), "tiny")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def loaded(path: Path | None, blobs: FsspecBlobStore) -> DemucsStems:
    options = DemucsOptions(device="cpu", threads=1)
    return DemucsStems(options, Model(id="tiny"), path=path, blobs=blobs)


@pytest.fixture
async def engine(checkpoint: Path, blobs: FsspecBlobStore) -> AsyncGenerator[DemucsStems]:
    engine = loaded(checkpoint, blobs)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


def noise(channels: int, samples: int) -> Samples:
    return 0.2 * np.random.default_rng(5).standard_normal((channels, samples)).clip(-3, 3)


def wav(samples: Samples, rate: int = RATE) -> bytes:
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
        samples = np.frombuffer(file.readframes(count), "<i2").reshape(-1, channels)
        assert len(samples) == count
    return rate, samples.T / 32768


async def separated(
    engine: DemucsStems, blobs: FsspecBlobStore, data: bytes, mode: StemMode = "4-stem"
) -> tuple[Stems, dict[str, tuple[int, Samples]]]:
    request = SeparateStems(model="tiny", audio=await stored(blobs, data), stem_mode=mode)
    *told, result = [event async for event in engine.separate_stems(request)]
    assert all(isinstance(event, Progress) for event in told)
    assert isinstance(result, Stems)
    assert tuple(stem.name for stem in result.stems) == STEM_NAMES[mode]
    recordings: dict[str, tuple[int, Samples]] = {}
    for stem in result.stems:
        recordings[stem.name] = read(b"".join([chunk async for chunk in blobs.read(stem.audio)]))
    return result, recordings


@pytest.mark.parametrize("samples", [1, 9_000, 16_000, 16_001, 35_000, 100_003])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_chunks_give_what_the_library_gives_for_the_whole(samples: int, overlap: float) -> None:
    bag = BagOfModels([tiny(), tiny(seed=1)])
    mix = noise(2, samples).astype(np.float32)

    def blocks() -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        for start in range(0, samples, 1_000):
            yield mix[:, start : start + 1_000]

    chunks = ChunkedSeparation(bag, torch.device("cpu"), overlap=overlap)
    found = np.concatenate(list(chunks.separated(blocks(), lambda: False)), axis=-1)
    whole = apply_model(bag, torch.from_numpy(mix)[None], shifts=0, overlap=overlap)[0].numpy()
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 1e-5


@pytest.mark.parametrize("mode", MODES)
async def test_stems_are_the_models_sources(
    engine: DemucsStems, blobs: FsspecBlobStore, mode: StemMode
) -> None:
    mix = noise(2, 30_000)
    result, found = await separated(engine, blobs, wav(mix), mode)
    heard = torch.from_numpy(np.rint(mix * 32767).astype(np.float32) / 32768)
    mono = heard.mean(0)
    normal = (heard - mono.mean()) / mono.std(correction=0)
    sources = apply_model(BagOfModels([tiny()]), normal[None], shifts=0)[0]
    by_name = dict(zip(SOURCES, (sources * mono.std() + mono.mean()).numpy(), strict=True))
    wanted = {
        "vocals-instrumental": {
            "vocals": by_name["vocals"],
            "instrumental": by_name["drums"] + by_name["bass"] + by_name["other"],
        },
        "4-stem": by_name,
        "drums-bass-other": {
            "drums": by_name["drums"],
            "bass": by_name["bass"],
            "other": by_name["vocals"] + by_name["other"],
        },
    }[mode]
    for name, (rate, audio) in found.items():
        assert rate == RATE
        assert np.abs(audio - wanted[name].clip(-1, 1)).max() < 3 * STEP + 1e-3, name
    assert result.duration_s == pytest.approx(30_000 / RATE)


async def test_what_made_the_stems_is_said(engine: DemucsStems, blobs: FsspecBlobStore) -> None:
    result, _ = await separated(engine, blobs, wav(noise(1, 100)))
    assert (result.engine, result.model, result.quality) == ("demucs", "tiny", "ml")
    assert (result.dependency, result.limitations) == ("demucs", ())


@pytest.mark.parametrize(
    ("rate", "channels", "samples"),
    [
        (8_000, 1, 1),
        (8_000, 2, 12_345),
        (22_050, 1, 50_001),
        (44_100, 2, 100_001),
        (96_000, 8, 9_601),
    ],
)
async def test_stems_have_the_mixs_rate_length_and_channels(
    engine: DemucsStems, blobs: FsspecBlobStore, rate: int, channels: int, samples: int
) -> None:
    data = wav(noise(channels, samples), rate)
    _, found = await separated(engine, blobs, data, "vocals-instrumental")
    assert {(r, s.shape) for r, s in found.values()} == {(rate, (min(channels, 2), samples))}


async def test_another_rate_changes_the_stems_little(
    engine: DemucsStems, blobs: FsspecBlobStore
) -> None:
    moments = np.arange(16_000) / 16_000
    mix = np.stack([0.3 * np.sin(2 * np.pi * hz * moments) for hz in (300, 500)])
    _, fast = await separated(engine, blobs, wav(mix, 16_000))
    _, slow = await separated(engine, blobs, wav(mix[:, ::2], RATE))
    for name, (_, audio) in fast.items():
        inner = audio[:, 400:-400:2]
        assert np.abs(inner - slow[name][1][:, 200:-200]).max() < 0.1 * np.abs(inner).max() + 0.01


async def test_silence(engine: DemucsStems, blobs: FsspecBlobStore) -> None:
    _, found = await separated(engine, blobs, wav(np.zeros((2, 20_000))))
    assert max(np.abs(audio).max() for _, audio in found.values()) <= 0.01


async def test_a_video_and_a_header_that_claims_four_gigabytes(
    engine: DemucsStems, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.0)).read_bytes()
    result, _ = await separated(engine, blobs, video)
    assert result.duration_s == pytest.approx(2.0, abs=0.1)
    data = bytearray(wav(0.1 * np.ones((1, RATE))))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    result, found = await separated(engine, blobs, bytes(data))
    assert {audio.shape for _, audio in found.values()} == {(1, RATE)}


@pytest.mark.parametrize("data", [b"RIFF\xff\xff\xff\xffWAVEfmt ", b"no audio at all" * 50])
async def test_what_cannot_be_decoded(
    engine: DemucsStems, blobs: FsspecBlobStore, data: bytes
) -> None:
    audio = await stored(blobs, data)
    with pytest.raises(InvalidRequest) as failure:
        await anext(engine.separate_stems(SeparateStems(model="tiny", audio=audio)))
    assert failure.value.param == "audio"


async def test_progress_counts_the_seconds_and_leaving_ends_the_work(
    engine: DemucsStems,
    blobs: FsspecBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    audio = await stored(blobs, wav(noise(1, RATE * 12)))
    told = [e async for e in engine.separate_stems(SeparateStems(model="tiny", audio=audio))]
    steps = [event for event in told if isinstance(event, Progress)]
    assert {step.total for step in steps} == {12}
    seconds = [step.current for step in steps]
    assert (seconds[0], seconds[-1]) == (0, 12)
    assert seconds == sorted(seconds)
    assert len(seconds) > 6
    long = await stored(blobs, wav(noise(1, RATE * 600)))
    events = engine.separate_stems(SeparateStems(model="tiny", audio=long))
    assert isinstance(await anext(events), Progress)
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    assert not list(work.iterdir())


async def test_checkpoints_in_every_form(
    checkpoint: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    data = wav(noise(2, 8_000))
    _, first = await separated(loaded(checkpoint, blobs), blobs, data)
    pickled = save_pickle(tmp_path / "pickled", "5c90dfd2-f7e0a4d2")
    (pickled / "tiny.yaml").write_text("models: ['5c90dfd2']\nsegment: 2\n")
    bag = save_pickle(save_safetensors(tmp_path / "bag", "one"), "two", seed=3)
    (bag / "both.yaml").write_text("models: [one, two]\nweights: [[1, 1, 1, 1], [0, 0, 0, 0]]\n")
    for path in (pickled, pickled / "5c90dfd2-f7e0a4d2.th", bag):
        _, found = await separated(loaded(path, blobs), blobs, data)
        for name, (_, audio) in found.items():
            assert np.abs(audio - first[name][1]).max() <= 2 * STEP


async def test_a_model_without_a_stem_names_those_it_has(
    blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = loaded(save_safetensors(tmp_path / "two", "two", ("vocals", "no_vocals")), blobs)
    data = wav(noise(1, 4_000))
    _, found = await separated(engine, blobs, data, "vocals-instrumental")
    assert list(found) == ["vocals", "instrumental"]
    with pytest.raises(UnsupportedCapability, match="does not separate 'drums'") as caught:
        await separated(engine, blobs, data, "4-stem")
    assert caught.value.param == "stem_mode"


async def test_more_stems_than_asked_for_are_in_the_rest(
    blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    sources = (*SOURCES, "guitar", "piano")
    engine = loaded(save_safetensors(tmp_path / "six", "six", sources), blobs)
    _, found = await separated(engine, blobs, wav(noise(1, 4_000)))
    assert list(found) == list(STEM_NAMES["4-stem"])


class Evil:
    """Would leave a file behind when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (self.target,))


def test_a_pickle_that_runs_code_is_refused(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    target = tmp_path / "was-here"
    torch.save({"klass": Evil(target)}, tmp_path / "evil.th")
    with pytest.raises(BackendUnavailable, match="cannot be loaded by demucs"):
        loaded(tmp_path, blobs)
    assert not target.exists()


def test_a_foreign_class_is_refused(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    metadata = {"klass": "subprocess.Popen", "args": json.dumps([["true"]]), "kwargs": "{}"}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(BackendUnavailable, match="cannot be loaded by demucs"):
        loaded(tmp_path, blobs)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.th": b"no weights"},
        {"a.safetensors": b"no weights"},
        {"a.yaml": b"models: [gone]"},
        {"a.yaml": b"- nothing"},
        {"a.yaml": b"models: ["},
        {"a.th": b"1", "b.th": b"2"},
    ],
)
def test_a_folder_without_a_checkpoint_cannot_be_loaded(
    files: dict[str, bytes], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded by demucs") as caught:
        loaded(folder, blobs)
    assert str(tmp_path) not in caught.value.message


def test_a_model_needs_a_source(blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' has no source"):
        loaded(None, blobs)


LIGHT = """
import sys
import deployments.audio.demucs_stems
print([name for name in ("torch", "demucs") if name in sys.modules])
"""


def test_torch_is_imported_only_by_loading() -> None:
    command = [sys.executable, "-c", LIGHT]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "[]\n"
