"""What is told of video checkpoints that were never loaded, and when it is looked at again."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_app.core.config import Model
from serve_app.core.options.video import CameraMovesOptions, DiffusersVideoOptions
from serve_app.core.video.generation import VideoFacts
from serve_app.family.checkpoint_downloads import RETRY_S
from serve_app.family.checkpoint_facts import LOOK_AGE_S, CheckpointFacts
from serve_app.family.model_files import Hub
from tests.hubs import SHA, TinyHub

OPTIONS = DiffusersVideoOptions()
NOWHERE = "http://127.0.0.1:1"
FILES: dict[str, Any] = {
    "model_index.json": {
        "_class_name": "WanPipeline",
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "transformer_2": [None, None],
        "vae": ["diffusers", "AutoencoderKLWan"],
    },
    "transformer/config.json": {"patch_size": [1, 2, 2]},
    "vae/config.json": {"scale_factor_spatial": 8, "scale_factor_temporal": 4},
}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Here:
    """The facts of one model, as a server asks for them."""

    def __init__(self, folder: Path, source: str, *, endpoint: str = NOWHERE) -> None:
        self.clock = Clock()
        self.model = Model(id="tiny", source=source)
        hub = Hub(endpoint=endpoint, cache_dir=folder / "cache")
        self.checkpoints = CheckpointFacts(folder / "data", hub=hub, clock=self.clock)

    async def facts(self, after: float = 0.0) -> VideoFacts | None:
        self.clock.now += after
        return await self.checkpoints(self.model, OPTIONS)

    async def step(self, after: float = 0.0) -> int | None:
        facts = await self.facts(after)
        return facts.frame_step if facts is not None else None


def write(folder: Path, files: dict[str, Any] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


async def test_a_look_counts_for_a_while_and_changes_are_noticed_after_it(tmp_path: Path) -> None:
    here = Here(tmp_path, str(tmp_path / "wan"))
    assert await here.step() is None
    write(tmp_path / "wan")
    assert await here.step(LOOK_AGE_S - 1) is None
    assert await here.step(1) == 4
    write(tmp_path / "wan", {"vae/config.json": {"scale_factor_temporal": 8}})
    assert await here.step(LOOK_AGE_S - 1) == 4
    assert await here.step(1) == 8
    shutil.rmtree(tmp_path / "wan")
    assert await here.step(LOOK_AGE_S - 1) == 8
    assert await here.step(1) is None


async def test_many_callers_at_once_are_told_the_same(tmp_path: Path) -> None:
    here = Here(tmp_path, str(write(tmp_path / "wan")))
    told = await asyncio.gather(*(here.facts() for _ in range(20)))
    assert all(facts is told[0] for facts in told)
    assert told[0] is not None


async def test_below_the_data_and_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    write(tmp_path / "data/models/wan")
    assert await Here(tmp_path, "models/wan").step() == 4
    repository = tmp_path / "cache/models--org--tiny"
    write(repository / "snapshots" / SHA)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(SHA)
    assert await Here(tmp_path, "org/tiny").step() == 4


@pytest.mark.parametrize(
    "files",
    [
        {"model_index.json": []},
        {"model_index.json": {}},
        {"model_index.json": {"_class_name": ["WanPipeline"]}},
        {"model_index.json": {"_class_name": "FluxPipeline"}},
        {"model_index.json": {"_class_name": "WanPipeline", "vae": "diffusers"}},
        FILES | {"vae/config.json": {"scale_factor_temporal": {}}},
        FILES | {"transformer/config.json": {"patch_size": None}},
        FILES | {"transformer/config.json": 7},
    ],
)
async def test_what_cannot_be_understood_is_not_known(tmp_path: Path, files: Any) -> None:
    assert await Here(tmp_path, str(write(tmp_path / "wan", files))).facts() is None


async def test_a_download_that_goes_on_is_not_known_yet(tmp_path: Path) -> None:
    partial = {name: FILES[name] for name in ("model_index.json", "transformer/config.json")}
    here = Here(tmp_path, str(write(tmp_path / "wan", partial)))
    assert await here.facts() is None
    write(tmp_path / "wan")
    assert await here.step(LOOK_AGE_S) == 4


async def test_engines_without_checkpoints_are_not_looked_at(tmp_path: Path) -> None:
    checkpoints = CheckpointFacts(tmp_path)
    wan = Model(id="tiny", source=str(write(tmp_path / "wan")))
    assert await checkpoints(wan, CameraMovesOptions()) is None
    assert await checkpoints(Model(id="none"), OPTIONS) is None


async def test_the_hub_is_asked_in_the_background(tmp_path: Path, hub: TinyHub) -> None:
    hub.files = {name: json.dumps(content).encode() for name, content in FILES.items()}
    here = Here(tmp_path, "org/tiny", endpoint=hub.url)
    assert await here.facts() is None
    assert await _found(here)
    fetched = {request.partition("/main/")[2] for request in hub.requests if "GET" in request}
    assert fetched == {"", *FILES}


async def test_a_hub_that_fails_is_asked_again_later(tmp_path: Path, hub: TinyHub) -> None:
    hub.files = {name: json.dumps(content).encode() for name, content in FILES.items()}
    hub.fails = {"vae/config.json": (404, "EntryNotFound")}
    here = Here(tmp_path, "org/tiny", endpoint=hub.url)
    assert await here.facts() is None
    await _until(lambda: any("vae/config.json" in request for request in hub.requests))
    hub.fails = {}
    assert await here.facts(RETRY_S - 1) is None
    assert await here.facts(LOOK_AGE_S) is None
    assert await _found(here)


@pytest.mark.parametrize(
    "source", ["org/tiny", "org/other", "/no/such/place", "a/b/c/d", "~no-such-user"]
)
async def test_what_is_nowhere_is_no_error(
    tmp_path: Path, hub: TinyHub, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "serve_app")
    endpoint = NOWHERE if source == "org/tiny" else hub.url
    assert await Here(tmp_path, source, endpoint=endpoint).facts() is None
    await _until(lambda: "does not describe" in caplog.text)
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to be")


async def _found(here: Here) -> bool:
    """Once the download has come; so many looks are well beyond another try."""
    for _ in range(1000):
        if await here.facts(LOOK_AGE_S) is not None:
            return True
        await asyncio.sleep(0.02)
    return False
