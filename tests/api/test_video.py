"""POST /v1/video/generations over the fake engines and over camera moves."""

import base64
import io
from typing import Any

import av
import httpx
import pytest

from deployments.camera_moves import CameraMoves
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options import CameraMovesOptions
from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.pictures import png

URL = "/v1/video/generations"
PIPELINES = [{"name": "video-generation"}]
SMALL = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 5}
PNG = base64.b64encode(png(size=(64, 48))).decode()


async def post(make_context: MakeContext, **fields: Any) -> httpx.Response:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        return await client.post(URL, json=SMALL | fields)


async def test_one(make_context: MakeContext) -> None:
    a = await post(make_context)
    assert a.status_code == 200, a.text
    print(a.json())
