"""POST /v1/video/upscale over the fake, which passes for trained, and over real resampling."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.image.lanczos_upscaling import LanczosUpscaling
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.image import LanczosOptions
from serve_app.core.status import ModelStatus
from tests.api.conftest import MakeContext, client_of
from tests.images import png
from tests.material import clip, tone, wav
from tests.videos import audio_packets, check_playable, landscape, write_video

URL = "/v1/video/upscale"
TRAINED = {
    "name": "trained",
    "options": {"engine": "fake", "task": "upscaling"},
    "models": [{"id": "repeater"}],
}
RESIZING = {"name": "resizing", "options": {"engine": "lanczos"}, "models": [{"id": "lanczos"}]}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    return clip(path, 1.0, audio=tone(1.0)).read_bytes()


async def upscale(
    make_context: MakeContext,
    tmp_path: Path,
    families: tuple[dict[str, Any], ...] = (TRAINED, RESIZING),
    statuses: dict[str, ModelStatus] | None = None,
    limits: dict[str, Any] | None = None,
    **fields: Any,
) -> httpx.Response:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    lanczos = LanczosUpscaling(LanczosOptions(), Model(id="lanczos"), path=None, blobs=blobs)
    runs = {"resizing": lanczos} if RESIZING in families else {}
    context = make_context(
        families=list(families), runs=runs, statuses=statuses, limits=limits or {}
    )
    async with client_of(context) as client:
        return await client.post(URL, json=fields)


@pytest.mark.covers("CoderAI: POST /v1/video/upscale")
async def test_the_whole_answer_of_a_trained_engine(
    make_context: MakeContext, tmp_path: Path, video: bytes
) -> None:
    answer = await upscale(make_context, tmp_path, video=encoded(video))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {}
    assert item.pop("url").endswith(".mp4")
    assert item.pop("duration") == pytest.approx(1.0, abs=0.01)
    assert item == {"width": 128, "height": 96, "fps": 10.0, "num_frames": 10, "engine": "fake"}
    assert answer.headers["x-job-id"]


@pytest.mark.parametrize("factor", [2, 3, 4])
async def test_resizing_keeps_audio_and_says_so(
    make_context: MakeContext, tmp_path: Path, video: bytes, factor: int
) -> None:
    answer = await upscale(
        make_context,
        tmp_path,
        (RESIZING,),
        video=encoded(video),
        allow_resize=True,
        upscale_factor=factor,
        response_format="b64_mp4",
    )
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    data = base64.b64decode(item["b64_mp4"])
    check_playable(data, size=(64 * factor, 48 * factor), fps=10, frames=10)
    assert audio_packets(data) == audio_packets(video)
    assert item["engine"] == "lanczos"
    assert answer.json()["warnings"] == [
        "engine: resized by Lanczos resampling, which adds no detail; no trained upscaler was used"
    ]


async def test_a_trained_engine_goes_before_resizing(
    make_context: MakeContext, tmp_path: Path, video: bytes
) -> None:
    families = (RESIZING, TRAINED)
    answer = await upscale(
        make_context, tmp_path, families, video=encoded(video), allow_resize=True
    )
    assert answer.json()["data"][0]["engine"] == "fake"


@pytest.mark.parametrize(
    ("families", "fields", "param"),
    [
        ((), {"allow_resize": True}, "model"),
        ((RESIZING,), {}, "allow_resize"),
        ((RESIZING,), {"model": "lanczos"}, "allow_resize"),
    ],
)
async def test_without_a_trained_engine(
    make_context: MakeContext,
    tmp_path: Path,
    video: bytes,
    families: tuple[dict[str, Any], ...],
    fields: dict[str, Any],
    param: str,
) -> None:
    answer = await upscale(make_context, tmp_path, families, video=encoded(video), **fields)
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"video": None}, "video"),
        ({"video": ""}, "video"),
        ({"video": 7}, "video"),
        ({"video": "file:///etc/passwd"}, "video"),
        ({"video": "no video"}, "video"),
        ({"video": encoded(png())}, "video"),
        ({"video": encoded(wav(tone(0.2)))}, "video"),
        ({"video": encoded(b"\x00\x00\x00\x18ftypisom" + bytes(100))}, "video"),
        ({"upscale_factor": 1}, "upscale_factor"),
        ({"upscale_factor": 5}, "upscale_factor"),
        ({"upscale_factor": "2"}, "upscale_factor"),
        ({"allow_resize": "yes"}, "allow_resize"),
        ({"response_format": "b64_png"}, "response_format"),
        ({"model": 7}, "model"),
        ({"model": "echo"}, "model"),
        ({"ref_id": "not allowed"}, "ref_id"),
    ],
)
async def test_bad_fields(
    make_context: MakeContext, tmp_path: Path, video: bytes, fields: dict[str, Any], param: str
) -> None:
    chat = {
        "name": "chat",
        "options": {"engine": "fake", "task": "chat"},
        "models": [{"id": "echo"}],
    }
    fields = {"video": encoded(video)} | fields
    answer = await upscale(make_context, tmp_path, (TRAINED, chat), **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_an_unknown_model(make_context: MakeContext, tmp_path: Path, video: bytes) -> None:
    answer = await upscale(make_context, tmp_path, video=encoded(video), model="foo")
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "model"


async def test_a_video_that_is_cut_off(
    make_context: MakeContext, tmp_path: Path, video: bytes
) -> None:
    source = write_video(tmp_path / "video.mkv", [landscape(64, 48, seed=i) for i in range(20)])
    data = source.read_bytes()
    answer = await upscale(make_context, tmp_path, video=encoded(data[: len(data) // 2]))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "video"
    assert (await upscale(make_context, tmp_path, video=encoded(video))).status_code == 200


async def test_a_result_that_would_be_too_large(make_context: MakeContext, tmp_path: Path) -> None:
    source = write_video(tmp_path / "wide.mp4", [landscape(4098, 16)] * 2)
    video = encoded(source.read_bytes())
    answer = await upscale(make_context, tmp_path, video=video, upscale_factor=4)
    assert answer.status_code == 413, answer.text
    assert answer.json()["error"]["param"] == "upscale_factor"


async def test_a_video_over_the_limit(
    make_context: MakeContext, tmp_path: Path, video: bytes
) -> None:
    limits = {"base64_bytes": 1000}
    answer = await upscale(make_context, tmp_path, limits=limits, video=encoded(video))
    assert answer.status_code == 413
    assert answer.json()["error"]["param"] == "video"


async def test_fields_without_effect_are_named(
    make_context: MakeContext, tmp_path: Path, video: bytes
) -> None:
    answer = await upscale(make_context, tmp_path, video=encoded(video), user="me", mystery=1)
    assert answer.headers["x-ignored-fields"] == "mystery,user"
