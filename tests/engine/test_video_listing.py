"""`GET /v1/models` tells of a video checkpoint before it is loaded what the loaded model tells."""

import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from deployments.video.diffusers_video import DiffusersVideo
from deployments.video.diffusers_video_kinds import PIPELINES
from serve_app.access.authentication import access_over
from serve_app.access.bootstrap import prepare_access
from serve_app.api.app import create_app
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.checkpoints import KINDS
from serve_app.core.video.generation import VideoFacts, VideoModel
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.one_process import one_process
from tests.engine.tiny_video import save_cogvideox, save_ltx, save_svd, save_wan, save_wan_image

SAVED: dict[str, Callable[[Path], Path]] = {
    "WanPipeline": save_wan,
    "WanImageToVideoPipeline": save_wan_image,
    "LTXPipeline": save_ltx,
    "LTXConditionPipeline": partial(save_ltx, has_conditions=True),
    "CogVideoXPipeline": save_cogvideox,
    "CogVideoXImageToVideoPipeline": partial(save_cogvideox, is_for_images=True),
    "StableVideoDiffusionPipeline": save_svd,
}
RENAMED = {
    "WanVideoToVideoPipeline": "WanPipeline",
    "LTXImageToVideoPipeline": "LTXPipeline",
    "CogVideoXVideoToVideoPipeline": "CogVideoXPipeline",
}
"""Classes over the same weights."""
OPTIONS = {"engine": "diffusers_video", "device": "cpu", "threads": 1, "max_frames": 500}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("listed-checkpoints")
    made = {name: save(folder / name) for name, save in SAVED.items()}
    for name, other in RENAMED.items():
        made[name] = copied(made[other], folder / name, _class_name=name)
    # Wan 2.2's small model and its large one say so in their index.
    made["small"] = copied(made["WanPipeline"], folder / "small", expand_timesteps=True)
    made["large"] = copied(made["WanPipeline"], folder / "large", boundary_ratio=0.875)
    return made


def copied(path: Path, target: Path, **index: Any) -> Path:
    shutil.copytree(path, target)
    file = target / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | index))
    return target


class Server:
    """An app over these checkpoints, whose models are in the states of `statuses`."""

    def __init__(self, folder: Path, checkpoints: Mapping[str, Path]) -> None:
        self.statuses: dict[str, ModelStatus] = {}
        models = [{"id": name, "source": str(path)} for name, path in checkpoints.items()]
        config = AppConfig.model_validate(
            {
                "families": [{"name": "video", "options": OPTIONS, "models": models}],
                "auth": {"required": False},
                "storage": {"data_dir": folder},
            }
        )
        family = config.families[0]
        assert isinstance(family.options, DiffusersVideoOptions)
        self.options = family.options
        self.models = family.models
        self.blobs = FsspecBlobStore(folder / "blobs")
        self.database = Database(f"sqlite:///{folder / 'polyphony.sqlite'}")
        migrate(self.database)
        prepare_access(self.database, {})
        context = one_process(
            config,
            {"video": cast("VideoModel", object())},
            database=self.database,
            blobs=self.blobs,
            access=access_over(self.database, config),
            statuses=self.statuses,
        )
        transport = httpx.ASGITransport(create_app(context))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")

    async def videos(self) -> dict[str, Any]:
        answer = await self.client.get("/v1/models", params={"type": "video"})
        assert answer.status_code == 200
        return {entry["id"]: entry.get("video") for entry in answer.json()["data"]}


@pytest.fixture
async def server(tmp_path: Path, checkpoints: dict[str, Path]) -> AsyncIterator[Server]:
    server = Server(tmp_path, checkpoints)
    async with server.client:
        yield server
    server.database.close()


def test_every_kind_has_pipelines_and_is_tried_here() -> None:
    assert set(KINDS) == set(PIPELINES) == {*SAVED, *RENAMED}


async def test_every_kind_is_listed_before_it_is_loaded_as_after(
    server: Server, checkpoints: dict[str, Path]
) -> None:
    before = await server.videos()
    assert set(before) == set(checkpoints)
    for model in server.models:
        path = checkpoints[model.id]
        engine = DiffusersVideo(server.options, model, path=path, blobs=server.blobs)
        told = engine.video_facts
        check_grid(told, engine._checkpoint.first)  # type: ignore[union-attr]
        await engine.close()
        server.statuses[model.id] = ModelStatus(id=model.id, state="ready", video=told)
        assert before[model.id] == told.model_dump(mode="json"), model.id
    assert await server.videos() == before
    one = await server.client.get("/v1/models/small")
    assert one.json()["video"] == before["small"]
    assert before["small"]["modes"] == ["t2v", "i2v", "ti2v", "extend"]
    assert before["large"]["modes"] == ["t2v"]


def check_grid(facts: VideoFacts, pipeline: Any) -> None:
    """That it is the one which diffusers' pipeline works with."""
    match facts.family:
        case "ltx":
            step = pipeline.vae_temporal_compression_ratio
            side = max(32, pipeline.vae_spatial_compression_ratio)
        case "svd":
            step, side = 1, pipeline.vae_scale_factor * 2
        case _:
            patch = pipeline.transformer.config.patch_size
            step = pipeline.vae_scale_factor_temporal
            side = pipeline.vae_scale_factor_spatial * (
                patch if isinstance(patch, int) else patch[1]
            )
    assert (facts.frame_step, facts.side_multiple) == (step, side)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"_class_name": "FluxPipeline"}'])
async def test_a_broken_index_lists_no_grid_and_is_no_error(
    tmp_path: Path, checkpoints: dict[str, Path], content: str
) -> None:
    broken = copied(checkpoints["WanPipeline"], tmp_path / "broken")
    (broken / "model_index.json").write_text(content)
    server = Server(tmp_path, {"whole": checkpoints["WanPipeline"], "broken": broken})
    async with server.client:
        videos = await server.videos()
    server.database.close()
    assert videos["broken"] is None
    assert videos["whole"] is not None
