"""The AI Server dialect's processing of media, over the real engine."""

import io
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from deployments.video.av_media import AvMedia
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.video import AvOptions
from tests.ai_server import ended, form, refused, results
from tests.api.conftest import MakeContext, client_of
from tests.images import data_url, png
from tests.material import clip, tone, wav

RED, BLUE = png("red", (60, 40)), png("blue", (10, 8))
LARGE = png("blue", (200, 200))
WATERMARK = {"position": "WatermarkPosition.TOP_LEFT", "watermarkScale": "0.0", "opacity": "1"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of 64x48 with a tone."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    return clip(path, 2.0, audio=tone(2.0)).read_bytes()


@pytest.fixture
def context(make_context: MakeContext, tmp_path: Path) -> Context:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    return make_context(runs={"media": media})


async def fetched(client: httpx.AsyncClient, answer: httpx.Response) -> tuple[str, bytes]:
    (made,) = results(answer)
    return made["fileName"], (await client.get(made["url"])).content


@pytest.mark.covers(
    "AI Server: ScaleImage",
    "AI Server: CropImage",
    "AI Server: WatermarkImage",
    "AI Server: ConvertImage",
)
@pytest.mark.parametrize(
    ("name", "request_", "format", "size"),
    [
        ("ScaleImage", form(("image", RED), ("width", "30"), ("height", "30")), "PNG", (30, 30)),
        ("ScaleImage", form(("image", RED), ("width", "30")), "PNG", (30, 40)),
        ("ScaleImage", {"json": {"image": data_url(RED), "height": 20}}, "PNG", (60, 20)),
        ("CropImage", form(("image", RED), ("width", "5"), ("height", "6")), "PNG", (5, 6)),
        ("CropImage?x=55&y=34&width=5&height=6", form(("image", RED)), "PNG", (5, 6)),
        (
            "WatermarkImage",
            form(("image", RED), ("watermark", BLUE), *WATERMARK.items()),
            "PNG",
            (60, 40),
        ),
        ("WatermarkImage", form(("watermark", BLUE), ("image", RED)), "PNG", (60, 40)),
        ("WatermarkImage", form(("image", RED), ("watermark", LARGE)), "PNG", (60, 40)),
        (
            "ConvertImage",
            form(("image", RED), ("outputFormat", "ImageOutputFormat.GIF")),
            "GIF",
            (60, 40),
        ),
    ],
)
async def test_images(
    context: Context, name: str, request_: dict[str, Any], format: str, size: tuple[int, int]
) -> None:
    async with client_of(context) as client:
        _, data = await fetched(client, await client.post(f"/api/{name}", **request_))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == (format, size)


@pytest.mark.parametrize("name", ["jpg", "png", "gif", "bmp", "tiff", "webp"])
async def test_images_are_converted(context: Context, name: str) -> None:
    async with client_of(context) as client:
        parts = form(("image", RED), ("outputFormat", name.upper()), filename="my photo.v2.png")
        file, data = await fetched(client, await client.post("/api/ConvertImage", **parts))
    assert file == f"my photo.v2.{name}"
    assert Image.open(io.BytesIO(data)).size == (60, 40)


async def test_a_watermark_is_where_it_was_asked_for(context: Context) -> None:
    async with client_of(context) as client:
        corner = form(
            ("image", RED), ("watermark", BLUE), ("position", "bottom-right"), ("opacity", "1")
        )
        _, data = await fetched(client, await client.post("/api/WatermarkImage", **corner))
        image = Image.open(io.BytesIO(data)).convert("RGB")
        assert image.getpixel((49, 29)) == (0, 0, 255)
        assert image.getpixel((50, 30)) == (255, 0, 0)
        half = form(("image", RED), ("watermark", BLUE), ("opacity", "0.0"))
        _, data = await fetched(client, await client.post("/api/WatermarkImage", **half))
        red, _, blue = Image.open(io.BytesIO(data)).convert("RGB").getpixel((10, 10))
        assert abs(red - blue) < 3


@pytest.mark.covers(
    "AI Server: ScaleVideo",
    "AI Server: CropVideo",
    "AI Server: WatermarkVideo",
    "AI Server: ConvertVideo",
    "AI Server: TrimVideo",
)
@pytest.mark.parametrize(
    ("name", "fields", "size", "seconds"),
    [
        ("ScaleVideo", {"width": "128"}, (128, 96), 2.0),
        ("CropVideo", {"x": "1", "width": "31", "height": "21"}, (31, 21), 2.0),
        ("TrimVideo", {"startTime": "0:00.500", "endTime": "00:01.5"}, (64, 48), 1.0),
        ("TrimVideo", {"startTime": "0:00:01"}, (64, 48), 1.0),
        ("ConvertVideo", {"outputFormat": "ConvertVideoOutputFormat.M_P4"}, (64, 48), 2.0),
        ("WatermarkVideo", {"opacity": "0"}, (64, 48), 2.0),
    ],
)
async def test_videos(
    context: Context,
    video: bytes,
    name: str,
    fields: dict[str, str],
    size: tuple[int, int],
    seconds: float,
) -> None:
    mark = [("watermark", BLUE)] if name == "WatermarkVideo" else []
    async with client_of(context) as client:
        parts = form(("video", video), *mark, *fields.items(), filename="a.mp4")
        file, data = await fetched(client, await client.post(f"/api/{name}", **parts))
    assert file.endswith(".mp4")
    with av.open(io.BytesIO(data)) as container:
        image = container.streams.video[0]
        assert (image.width, image.height) == size
        assert container.streams.audio
        assert float(container.duration or 0) / av.time_base == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("name", ["mov", "webm", "mkv", "MVK", "avi", "wmv", "mpeg", "ogg"])
async def test_videos_are_converted(context: Context, video: bytes, name: str) -> None:
    async with client_of(context) as client:
        parts = form(("video", video), ("outputFormat", name), filename="a.mp4")
        answer = await client.post("/api/ConvertVideo", **parts)
        file, _ = await fetched(client, answer)
        wanted = "mkv" if name == "MVK" else name
        assert file.endswith(f".{wanted}")
        # What was made is a medium that others may name.
        body = {"video": answer.json()["results"][0]["url"], "outputFormat": "mp4"}
        results(await client.post("/api/ConvertVideo", json=body))


@pytest.mark.parametrize(
    ("given", "kept"), [("mov", "mov"), ("webm", "webm"), ("avi", "avi"), ("mkv", "mp4")]
)
async def test_a_scaled_video_keeps_its_container(
    context: Context, video: bytes, given: str, kept: str
) -> None:
    async with client_of(context) as client:
        parts = form(("video", video), ("outputFormat", given), filename="a.mp4")
        made = results(await client.post("/api/ConvertVideo", **parts))
        body = {"video": made[0]["url"], "height": 24}
        file, data = await fetched(client, await client.post("/api/ScaleVideo", json=body))
    assert file.endswith(f".{kept}")
    with av.open(io.BytesIO(data)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 24)


@pytest.mark.covers("AI Server: ConvertAudio")
@pytest.mark.parametrize("name", ["mp3", "wav", "aac", "flac", "ogg", "m4a", "wma", "M_P3"])
async def test_audio_is_converted(context: Context, name: str) -> None:
    async with client_of(context) as client:
        parts = form(("audio", wav(tone(0.5))), ("outputFormat", name), filename="a.wav")
        file, data = await fetched(client, await client.post("/api/ConvertAudio", **parts))
    assert file.endswith(f".{'mp3' if name == 'M_P3' else name}")
    assert data


async def test_media_are_processed_in_the_queue(context: Context, video: bytes) -> None:
    async with client_of(context) as client:
        parts = form(("video", video), ("width", "32"), ("refId", "v"), filename="a.mp4")
        told = (await client.post("/api/QueueScaleVideo", **parts)).json()
        status = (await ended(client, told["statusUrl"])).json()
        assert status["results"][0]["fileName"].endswith(".mp4")
        parts = form(("image", RED), ("width", "100"), ("height", "9"), ("refId", "c"))
        told = (await client.post("/api/QueueCropImage", **parts)).json()
        answer = await ended(client, told["statusUrl"])
        refused(answer, 500, "Exception", "Job failed: Invalid crop dimensions")
        assert answer.json()["jobState"] == "Failed"


@pytest.mark.parametrize(
    ("name", "fields", "code", "message"),
    [
        ("ScaleImage", {}, "ArgumentException", "Invalid scale dimensions"),
        ("ScaleImage", {"width": "0"}, "ArgumentException", "Invalid scale dimensions"),
        ("ScaleImage", {"width": "-5"}, "ArgumentException", "Invalid scale dimensions"),
        ("CropImage", {}, "ArgumentException", "Invalid crop dimensions"),
        (
            "CropImage",
            {"width": "0", "height": "5"},
            "ArgumentException",
            "Invalid crop dimensions",
        ),
        (
            "CropImage",
            {"x": "-1", "width": "5", "height": "5"},
            "ArgumentException",
            "Invalid crop",
        ),
        (
            "CropImage",
            {"width": "61", "height": "5"},
            "ArgumentException",
            "Invalid crop dimensions",
        ),
        ("CropImage", {"width": str(10**18), "height": "5"}, "ArgumentException", "Invalid crop"),
        ("CropImage", {"width": str(10**30), "height": "5"}, "FormatException", None),
        ("ConvertImage", {}, "ArgumentException", "No output format provided"),
        ("ConvertImage", {"outputFormat": "exe"}, "ArgumentException", "Invalid output format"),
        ("WatermarkImage", {}, "ArgumentException", "No watermark image file provided"),
    ],
)
async def test_images_that_cannot_be_made(
    context: Context, name: str, fields: dict[str, str], code: str, message: str | None
) -> None:
    async with client_of(context) as client:
        answer = await client.post(f"/api/{name}", **form(("image", RED), *fields.items()))
    refused(answer, 400, code, message)


@pytest.mark.parametrize(
    ("name", "fields", "code", "message"),
    [
        ("ScaleVideo", {}, "ArgumentException", "Invalid scale dimensions"),
        ("ScaleVideo", {"width": "7681"}, "InclusiveBetween", "'Width' must be between 1 and 7680"),
        ("ScaleVideo", {"height": "0"}, "InclusiveBetween", None),
        ("CropVideo", {"height": "5"}, "GreaterThan", "'Width' must be greater than '0'."),
        ("CropVideo", {"width": "5", "height": "-1"}, "GreaterThan", "'Height'"),
        (
            "CropVideo",
            {"width": "500", "height": "5"},
            "ArgumentException",
            "Invalid crop dimensions",
        ),
        ("CropVideo", {"x": "-1", "width": "5", "height": "5"}, "ArgumentException", None),
        ("TrimVideo", {}, "NotEmpty", "'Start Time' must not be empty."),
        ("TrimVideo", {"startTime": "5"}, "ArgumentException", "Invalid start time format"),
        ("TrimVideo", {"startTime": "0:61"}, "ArgumentException", "Invalid start time format"),
        (
            "TrimVideo",
            {"startTime": "0:01", "endTime": "x"},
            "ArgumentException",
            "Invalid end time",
        ),
        ("TrimVideo", {"startTime": "0:01", "endTime": "0:00"}, "ArgumentException", None),
        ("TrimVideo", {"startTime": "1:00"}, "ArgumentException", None),
        ("ConvertVideo", {}, "ArgumentException", "No output format provided"),
        ("ConvertVideo", {"outputFormat": "exe"}, "ArgumentException", "Invalid output format"),
        ("WatermarkVideo", {"position": "middle"}, "FormatException", None),
        ("WatermarkVideo", {"opacity": "2"}, "InclusiveBetween", None),
        ("WatermarkVideo", {}, "ArgumentException", "No watermark image file provided"),
    ],
)
async def test_videos_that_cannot_be_made(
    context: Context,
    video: bytes,
    name: str,
    fields: dict[str, str],
    code: str,
    message: str | None,
) -> None:
    async with client_of(context) as client:
        parts = form(("video", video), *fields.items(), filename="a.mp4")
        refused(await client.post(f"/api/{name}", **parts), 400, code, message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, "No image file provided")
            for name in ("ScaleImage", "CropImage", "WatermarkImage")
        ),
        *(
            (name, "No video file provided")
            for name in ("ScaleVideo", "WatermarkVideo", "ConvertVideo")
        ),
        ("ConvertAudio", "No audio file provided"),
        ("ConvertImage", "No image file provided"),
    ],
)
async def test_no_file(context: Context, name: str, message: str) -> None:
    async with client_of(context) as client:
        for path in (f"/api/{name}", f"/api/Queue{name}"):
            answer = await client.post(
                path,
                json={"width": 5, "outputFormat": "mp3"}
                if name == "ConvertAudio"
                else {"width": 5},
            )
            refused(answer, 400, "ArgumentException", message)


async def test_a_size_that_no_server_has_room_for(context: Context) -> None:
    async with client_of(context) as client:
        parts = form(("image", RED), ("width", str(10**9)), ("height", "10"))
        refused(await client.post("/api/ScaleImage", **parts), 413, "RequestTooLarge")
