"""/v1/environments/extract: whole frames of images and videos. The rest is in test_characters."""

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageFilter

from deployments.image.opencv_faces import OpencvFaces
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.image import OpencvFacesOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import png

PATH = "/v1/environments"
COLORS = ["red", "lime", "blue", "white"]


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def video_of(path: Path, frames: list[Image.Image]) -> bytes:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        stream.bit_rate, stream.gop_size = 4_000_000, 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    """Four seconds, each of one colour."""
    frames = [Image.new("RGB", (64, 32), color) for color in COLORS for _ in range(10)]
    return video_of(tmp_path / "video.mp4", frames)


@pytest.fixture
async def client(make_context: MakeContext, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose engine for faces is a real one."""
    blobs = FsspecBlobStore(tmp_path / "blobs")
    faces = OpencvFaces(OpencvFacesOptions(), Model(id="opencv"), path=None, blobs=blobs)
    async with client_of(make_context(runs={"faces": faces})) as client:
        yield client


async def images_of(client: httpx.AsyncClient, name: str) -> list[Image.Image]:
    read = (await client.get(f"{PATH}/{name}")).json()
    found = [base64.b64decode(image["data"].partition(",")[2]) for image in read["images"]]
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in found]


async def extracted(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post(f"{PATH}/extract", json={"name": "room"} | fields)


@pytest.mark.covers("CoderAI: environment profiles")
async def test_images_are_kept_whole(client: httpx.AsyncClient) -> None:
    images = [base64_of(png("red", (3000, 1500))), base64_of(png("blue", (30, 60)))]
    answer = await extracted(client, images=images, description="d")
    assert answer.json() == {"ok": True, "name": "room", "image_count": 2}
    assert [image.size for image in await images_of(client, "room")] == [(1024, 512), (30, 60)]


async def test_frames_are_spread_over_a_video(client: httpx.AsyncClient, video: bytes) -> None:
    answer = await extracted(client, videos=[base64_of(video)], max_images=4)
    assert answer.json()["image_count"] == 4, answer.text
    found = [image.getpixel((32, 16)) for image in await images_of(client, "room")]
    expected = [Image.new("RGB", (1, 1), color).getpixel((0, 0)) for color in COLORS]
    for pixel, wanted in zip(found, expected, strict=True):
        assert isinstance(pixel, tuple)
        assert isinstance(wanted, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 40


async def test_images_come_before_videos(client: httpx.AsyncClient, video: bytes) -> None:
    answer = await extracted(
        client,
        images=[base64_of(png("red", (10, 10)))] * 2,
        videos=[base64_of(video)],
        max_images=3,
    )
    assert answer.json()["image_count"] == 3
    sizes = [image.size for image in await images_of(client, "room")]
    assert sizes == [(10, 10), (10, 10), (64, 32)]


async def test_the_sharpest_frame_is_taken(client: httpx.AsyncClient, tmp_path: Path) -> None:
    sharp = Image.new("RGB", (64, 64), "black")
    for x in range(0, 64, 8):
        sharp.paste("white", (x, 0, x + 4, 64))
    blurred = sharp.filter(ImageFilter.GaussianBlur(6))
    video = video_of(tmp_path / "video.mp4", [blurred] * 10 + [sharp] * 10 + [blurred] * 20)
    await extracted(client, videos=[base64_of(video)], max_images=1)
    (frame,) = await images_of(client, "room")
    values = frame.convert("L").getextrema()
    assert isinstance(values[0], int | float)
    assert values[0] < 40, "blurred stripes are grey"


async def test_without_an_engine_that_decodes(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[])) as client:
        answer = await extracted(client, images=[base64_of(png())])
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "images"),
        ({"images": None, "videos": []}, "images"),
        ({"images": ["!"]}, "images[0]"),
        ({"images": [base64_of(b"\x89PNG\r\n\x1a\n" + bytes(60))]}, "images[0]"),
        ({"videos": [base64_of(b"\0\0\0\x18ftypisom" + bytes(60))]}, "videos[0]"),
        ({"videos": [base64_of(png())]}, "videos[0]"),
        ({"max_images": 33, "images": ["AA=="]}, "max_images"),
        ({"max_images": 0, "images": ["AA=="]}, "max_images"),
    ],
)
async def test_nothing_usable(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    answer = await extracted(client, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await client.get(f"{PATH}/room")).status_code == 404
