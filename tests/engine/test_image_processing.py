"""Images scaled, cropped, marked and converted by the real engine: pixels that are known."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from deployments.video.av_media import AvMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import AppError, InvalidRequest, PayloadTooLarge
from serve_app.core.image.image_processing import (
    IMAGE_FILE_MIME,
    ConvertImageStep,
    ImageFileFormat,
    ProcessedImage,
    ProcessImage,
)
from serve_app.core.image.processing_steps import (
    CropStep,
    Position,
    Resampling,
    ScaleStep,
    WatermarkStep,
)
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.video import AvOptions
from tests.images import chunks, claiming_png, png
from tests.material import content
from tests.notices import texts_of

FORMATS: tuple[ImageFileFormat, ...] = get_args(ImageFileFormat)
PILLOW = {
    "jpg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "webp": "WEBP",
}


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def media(blobs: FsspecBlobStore) -> AsyncGenerator[AvMedia]:
    engine = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


def file_of(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def quarters(width: int = 40, height: int = 20) -> Image.Image:
    """Red, green, blue and white, from the top left on."""
    image = Image.new("RGB", (width, height), "red")
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill="lime")
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill="blue")
    draw.rectangle((width // 2, height // 2, width, height), fill="white")
    return image


async def stored(blobs: FsspecBlobStore, data: bytes) -> Blob:
    return await blobs.write(chunks(data))


async def processed(
    media: AvMedia, data: bytes, *steps: Any, marks: tuple[bytes, ...] = (), **fields: Any
) -> tuple[ProcessedImage, Image.Image]:
    """The result and the decoded image; `marks` replace the blobs of the watermark steps."""
    waiting = [await stored(media.blobs, mark) for mark in marks]  # type: ignore[arg-type]
    given = [
        step.model_copy(update={"image": waiting.pop(0)})
        if isinstance(step, WatermarkStep)
        else step
        for step in steps
    ]
    blob = await stored(media.blobs, data)  # type: ignore[arg-type]
    request = ProcessImage(image=blob, steps=tuple(given), **fields)
    *events, result = [event async for event in media.process_image(request)]
    assert isinstance(result, ProcessedImage)
    ends = [event for event in events if isinstance(event, Progress)][-1]
    assert ends.current == ends.total == len(steps)
    image = Image.open(io.BytesIO(await content(media.blobs, result.image)))
    assert image.size == (result.size.width, result.size.height)
    return result, image


NOTHING = Blob(sha256="0" * 64, mime="image/png", size=1)


def mark(**fields: Any) -> WatermarkStep:
    return WatermarkStep(image=NOTHING, **fields)


@pytest.mark.parametrize(
    ("step", "size"),
    [
        (ScaleStep(width=20), (20, 10)),
        (ScaleStep(height=40), (80, 40)),
        (ScaleStep(width=7, height=9), (7, 9)),
        (ScaleStep(width=20, keeps_ratio=False), (20, 20)),
        (ScaleStep(height=5, keeps_ratio=False), (40, 5)),
        (ScaleStep(width=1), (1, 1)),
    ],
)
async def test_scaled(media: AvMedia, step: ScaleStep, size: tuple[int, int]) -> None:
    result, image = await processed(media, file_of(quarters()), step)
    assert image.size == size
    assert result.format == "png"
    assert (image.format, result.image.mime) == ("PNG", "image/png")


async def test_the_nearest_pixels_have_no_new_colours(media: AvMedia) -> None:
    steps = {name: ScaleStep(width=90, resampling=name) for name in get_args(Resampling)}
    colours = {}
    for name, step in steps.items():
        _, image = await processed(media, file_of(quarters()), step)
        colours[name] = len(image.convert("RGB").getcolors(90 * 45) or ())
    assert colours["nearest"] == 4 < colours["smooth"]


async def test_cropped(media: AvMedia) -> None:
    _, image = await processed(media, file_of(quarters()), CropStep(x=20, y=0, width=20, height=10))
    assert image.size == (20, 10)
    assert image.getcolors() == [(200, (0, 255, 0))]


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("top_left", (10, 10)),
        ("top_right", (80, 10)),
        ("bottom_left", (10, 30)),
        ("bottom_right", (80, 30)),
        ("center", (45, 20)),
    ],
)
async def test_a_watermark_at_its_place(
    media: AvMedia, position: Position, box: tuple[int, int]
) -> None:
    _, image = await processed(
        media, png("white", (100, 50)), mark(position=position), marks=(png("blue", (10, 10)),)
    )
    pixels = np.asarray(image.convert("RGB"))
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    assert (columns.min(), rows.min()) == box
    assert (columns.max() + 1, rows.max() + 1) == (box[0] + 10, box[1] + 10)


async def test_a_watermark_is_as_large_and_as_clear_as_asked(media: AvMedia) -> None:
    step = mark(position="top_left", scale=0.5, opacity=0.5)
    _, image = await processed(
        media, png("white", (100, 50)), step, marks=(png("black", (40, 20)),)
    )
    pixels = np.asarray(image.convert("L"))
    assert pixels[15, 20] == pytest.approx(127, abs=2)
    assert (pixels < 250).sum() == 20 * 10


async def test_a_watermark_larger_than_the_image_is_shrunk(media: AvMedia) -> None:
    result, image = await processed(
        media, png("white", (30, 20)), mark(), marks=(png("blue", (90, 30)),)
    )
    assert image.size == (30, 20)
    rows, columns = np.nonzero(np.asarray(image.convert("RGB"))[..., 0] < 128)
    assert (columns.min(), columns.max() + 1) == (0, 30)
    assert (rows.min(), rows.max() + 1) == (0, 10)
    assert texts_of(result.warnings) == ("steps[0].image: shrunk to 30x10 to fit into 30x20",)


async def test_where_there_is_no_room_the_margin_is_smaller(media: AvMedia) -> None:
    step = mark(position="top_left")
    _, image = await processed(media, png("white", (16, 40)), step, marks=(png("blue", (8, 8)),))
    rows, columns = np.nonzero(np.asarray(image.convert("RGB"))[..., 0] < 128)
    assert (columns.min(), rows.min()) == (8, 10)


async def test_a_mark_over_what_is_transparent(media: AvMedia) -> None:
    clear = file_of(Image.new("RGBA", (40, 40), (255, 0, 0, 0)))
    _, image = await processed(
        media, clear, mark(position="center"), marks=(png("blue", (10, 10)),)
    )
    assert image.getpixel((20, 20)) == (0, 0, 255, 255)
    assert image.getpixel((2, 2))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "CMYK"])
async def test_every_format_of_every_kind_of_image(
    media: AvMedia, format: ImageFileFormat, mode: str
) -> None:
    source = quarters().convert("L") if mode == "I;16" else quarters()
    image = source.convert("I;16") if mode == "I;16" else source.convert(mode)
    data = file_of(image, "TIFF" if mode == "CMYK" else "PNG")
    result, made = await processed(media, data, ConvertImageStep(format=format))
    assert (result.format, result.image.mime) == (format, IMAGE_FILE_MIME[format])
    assert made.format == PILLOW[format]
    if mode in ("RGB", "RGBA", "P"):
        found = np.asarray(made.convert("RGB")).astype(int)
        assert np.abs(found[5, 10] - (255, 0, 0)).max() < 24
        assert np.abs(found[15, 30] - 255).max() < 24


@pytest.mark.parametrize("format", FORMATS)
async def test_transparency_stays_or_becomes_white(media: AvMedia, format: ImageFileFormat) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 10, 20))
    _, made = await processed(media, file_of(clear), ConvertImageStep(format=format))
    pixels = np.asarray(made.convert("RGBA")).astype(int)
    assert np.abs(pixels[10, 5] - (0, 0, 255, 255)).max() < 12
    if format in ("jpg", "bmp"):
        assert np.abs(pixels[10, 17] - 255).max() < 12
    else:
        assert pixels[10, 17, 3] == 0


async def test_an_image_on_its_side_is_turned_before_its_steps(media: AvMedia) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file_of(quarters(), "JPEG", exif=exif, quality=95)
    _, image = await processed(media, data, CropStep(width=10, height=20))
    assert image.size == (10, 20)
    # Turned clockwise, what was at the bottom left is at the top left.
    assert np.abs(np.asarray(image)[10, 5].astype(int) - (0, 0, 255)).max() < 30


async def test_all_steps_in_their_order(media: AvMedia) -> None:
    _, image = await processed(
        media,
        file_of(quarters()),
        ScaleStep(width=400),
        CropStep(x=200, width=200, height=100),
        mark(position="top_left"),
        ConvertImageStep(format="bmp"),
        marks=(png("black", (20, 20)),),
    )
    pixels = np.asarray(image)
    assert image.size == (200, 100)
    assert tuple(pixels[15, 15]) == (0, 0, 0)
    assert np.abs(pixels[50, 150].astype(int) - (0, 255, 0)).max() < 12


@pytest.mark.parametrize("format", FORMATS)
async def test_colours_of_a_profile_are_kept_or_become_srgb(
    media: AvMedia, format: ImageFileFormat
) -> None:
    """A profile that swaps nothing but says so; what has no place for it is converted."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(quarters(), icc_profile=profile)
    _, image = await processed(media, data, ConvertImageStep(format=format))
    assert ("icc_profile" in image.info) == (format not in ("gif", "bmp"))


@pytest.mark.parametrize(
    ("step", "kind", "param"),
    [
        (CropStep(x=30, width=11, height=1), InvalidRequest, "steps[0]"),
        (CropStep(x=40, width=1, height=1), InvalidRequest, "steps[0]"),
        (CropStep(x=2**62, width=2**62, height=1), InvalidRequest, "steps[0]"),
        (ScaleStep(width=2**62), PayloadTooLarge, "steps[0]"),
        (ScaleStep(width=2**62, height=1), PayloadTooLarge, "steps[0]"),
        (ScaleStep(height=2**40, keeps_ratio=False), PayloadTooLarge, "steps[0]"),
    ],
)
async def test_what_cannot_be_done(
    media: AvMedia, step: Any, kind: type[AppError], param: str
) -> None:
    with pytest.raises(kind) as raised:
        await processed(media, file_of(quarters()), step)
    assert raised.value.param == param


async def test_a_second_crop_is_within_what_the_first_left(media: AvMedia) -> None:
    whole = CropStep(width=10, height=10)
    with pytest.raises(InvalidRequest) as raised:
        await processed(media, file_of(quarters()), whole, CropStep(width=11, height=1))
    assert raised.value.param == "steps[1]"
    assert raised.value.message == (
        "a crop of 11x1 at 0,0 is not within the 10x10 pixels of the source"
    )


async def test_more_than_a_format_can_hold(media: AvMedia) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await processed(
            media,
            png(size=(20, 20)),
            ScaleStep(width=16_384, height=1),
            ConvertImageStep(format="webp"),
        )
    assert raised.value.param == "steps[1].format"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png()[:200], InvalidRequest),
        (b"no image", InvalidRequest),
        (claiming_png(), PayloadTooLarge),
    ],
)
async def test_broken_images(media: AvMedia, data: bytes, kind: type[AppError]) -> None:
    with pytest.raises(kind) as raised:
        await processed(media, data, ScaleStep(width=5))
    assert raised.value.param == "image"
    with pytest.raises(kind) as raised:
        await processed(media, png(), ScaleStep(width=50), mark(), marks=(data,))
    assert raised.value.param == "steps[1].image"
