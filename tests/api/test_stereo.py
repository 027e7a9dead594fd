"""Videos for two eyes: `convert_to_3d` and `depth_method` of POST /v1/video/generations."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.fakes.vision import FakeDepth
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import Unavailable
from serve_app.core.image.depth import ConvertToStereo, StereoEvent
from serve_app.core.options.fake import FakeOptions
from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.videos import check_playable, decoded

URL = "/v1/video/generations"
SMALL = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 17, "seed": 5}
ASKED = {"convert_to_3d": True}


def depth_family(*models: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "depth",
        "options": {"engine": "fake", "task": "depth"},
        "models": [{"created": 1} | model for model in models],
    }


class Studio:
    """An app whose depth models are known to be of these kinds, or whose files are in `folder`."""

    def __init__(self, make_context: MakeContext, **kinds: Any) -> None:
        self.make_context = make_context
        self.kinds = kinds
        self.models: list[dict[str, Any]] = [{"id": id} for id in kinds]
        self.failed: set[str] = set()
        self.default: str | None = None

    async def post(self, **fields: Any) -> httpx.Response:
        others = [family for family in FAMILIES if family["name"] != "depth"]
        statuses = {
            id: ModelStatus(id=id, state="ready", depth_method=kind)
            for id, kind in self.kinds.items()
            if kind is not None
        }
        for id in self.failed:
            statuses[id] = ModelStatus(id=id, state="failed", cause="it broke")
        context = self.make_context(
            pipelines=[{"name": "video-generation"}],
            families=[*others, depth_family(*self.models)],
            statuses=statuses,
            defaults={"depth": self.default},
        )
        async with client_of(context) as client:
            answer = await client.post(URL, json=SMALL | fields)
            if answer.status_code == 200:
                job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
                assert [stage["name"] for stage in job["stages"]][-1] == "stereo"
        return answer

    async def used(self, method: str) -> str:
        """The model that the warnings of the fake, which is of no kind, name."""
        answer = await self.post(convert_to_3d=True, depth_method=method)
        assert answer.status_code == 200, answer.text
        [warning] = answer.json()["warnings"]
        assert warning.startswith(f"no depth model of the kind {method!r} is available; ")
        return str(warning.split("'")[3])


async def test_a_video_for_two_eyes(make_context: MakeContext) -> None:
    context = make_context(pipelines=[{"name": "video-generation"}])
    async with client_of(context) as client:
        flat = (await client.post(URL, json=SMALL)).json()["data"][0]
        answer = await client.post(URL, json=SMALL | ASKED)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        [item] = body["data"]
        data = (await client.get(item["url"])).content
        before = (await client.get(flat["url"])).content
    assert "warnings" not in body
    changed = {"url", "width"}
    assert {k: v for k, v in item.items() if k not in changed} == {
        k: v for k, v in flat.items() if k not in changed
    }
    assert (flat["width"], item["width"]) == (64, 128)
    check_playable(data, size=(128, 48), fps=8, frames=17)
    for eyes, frame in zip(decoded(data), decoded(before), strict=True):
        for eye in np.split(eyes, 2, axis=1):
            assert np.abs(eye.astype(int).mean() - frame.mean()) < 8


async def test_the_first_model_of_the_kind_is_used(make_context: MakeContext) -> None:
    studio = Studio(make_context, wide="midas", near="zoe", near2="zoe", far="depth-anything")
    assert await studio.used("midas") == "wide"
    assert await studio.used("zoe") == "near"
    assert await studio.used("depth-anything") == "far"
    studio.default = "near2"
    assert await studio.used("zoe") == "near2"
    assert await studio.used("midas") == "wide"


async def test_a_kind_that_is_not_there_is_refused(make_context: MakeContext) -> None:
    answer = await Studio(make_context, wide="midas", far="depth-anything").post(
        convert_to_3d=True, depth_method="zoe"
    )
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "depth_method")
    assert error["message"].startswith("no configured depth model is of the kind")
    assert "'wide' (midas), 'far' (depth-anything)" in error["message"]
    assert "leave it out" in error["message"]


async def test_a_model_that_nobody_knows_yet_is_used_and_told(make_context: MakeContext) -> None:
    studio = Studio(make_context, wide="midas", unseen=None)
    assert await studio.used("zoe") == "unseen"
    assert await studio.used("midas") == "wide"


async def test_a_kind_is_read_from_the_checkpoint_before_it_is_loaded(
    make_context: MakeContext, tmp_path: Path
) -> None:
    studio = Studio(make_context)
    kinds = {"a": "depth_anything", "b": "zoedepth", "c": "dpt", "d": "depth_pro"}
    for name, architecture in kinds.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": architecture}))
        studio.models.append({"id": f"model-{name}", "source": str(tmp_path / name)})
    assert await studio.used("depth-anything") == "model-a"
    assert await studio.used("zoe") == "model-b"
    assert await studio.used("midas") == "model-c"
    del studio.models[1]
    answer = await studio.post(convert_to_3d=True, depth_method="zoe")
    assert answer.status_code == 400
    assert "'model-d' (depth_pro)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_type": ["zoedepth"]}', None])
async def test_what_cannot_be_read_is_not_known(
    make_context: MakeContext, tmp_path: Path, content: str | None
) -> None:
    studio = Studio(make_context)
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    studio.models.append({"id": "odd", "source": str(tmp_path)})
    studio.models.append({"id": "remote", "source": "nobody/has-this"})
    assert await studio.used("zoe") == "odd"


async def test_a_model_that_cannot_be_loaded_comes_last(make_context: MakeContext) -> None:
    studio = Studio(make_context, broken=None, unseen=None)
    studio.failed = {"broken"}
    assert await studio.used("zoe") == "unseen"


async def test_without_a_depth_model_it_says_which_would_do(make_context: MakeContext) -> None:
    context = make_context(
        pipelines=[{"name": "video-generation"}],
        families=[family for family in FAMILIES if family["name"] != "depth"],
    )
    async with client_of(context) as client:
        answer = await client.post(URL, json=SMALL | ASKED)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith("no depth model is configured")
    assert "{engine: transformers, task: depth}" in message


class Blind(FakeDepth):
    """Fails half-way."""

    async def convert_to_stereo(self, request: ConvertToStereo) -> AsyncGenerator[StereoEvent]:
        async for event in super().convert_to_stereo(request):
            yield event
            raise Unavailable("it went blind")


async def test_a_step_that_fails_is_left_out(make_context: MakeContext, tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    blind = Blind(FakeOptions(task="depth"), Model(id="bright"), blobs=blobs)
    context = make_context(pipelines=[{"name": "video-generation"}], runs={"depth": blind})
    async with client_of(context) as client:
        answer = await client.post(URL, json=SMALL | ASKED)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["warnings"] == ["convert_to_3d: left out; stage 'stereo': it went blind"]
    assert body["data"][0]["width"] == 64
