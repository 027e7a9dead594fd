"""Images in other sizes, made once and kept."""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from serve_app.api.ai_server.service_error import ServiceError
from serve_app.api.context import Context
from serve_app.blobs.derived import find_derived, keep_derived
from serve_app.blobs.sniff import kind_of
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.image.image_files import UNREADABLE, opened_image, upright
from serve_app.core.media import Blob

OPTION = re.compile(r"(width|height)=([0-9]{1,9})", re.IGNORECASE)
LONGEST_PX = 4096
QUALITY = 80
BAD = "the variant is 'width=W', 'height=H' or both, joined by a comma, of at most 4096 pixels"


class VariantSize(NamedTuple):
    """In pixels; 0 keeps the ratio."""

    width: int
    height: int

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """What an image of a size becomes."""
        width, height = size
        if self.width and self.height:
            return self.width, self.height
        if self.width:
            return self.width, min(LONGEST_PX, max(1, round(height * self.width / width)))
        return min(LONGEST_PX, max(1, round(width * self.height / height))), self.height


def variant_size(options: str) -> VariantSize:
    """The size that the options ask for. ServiceError for others."""
    sizes = {"width": 0, "height": 0}
    for option in options.split(","):
        found = OPTION.fullmatch(option.strip())
        if found is None:
            raise ServiceError(BAD)
        sizes[found[1].lower()] = int(found[2])
    if not any(sizes.values()) or max(sizes.values()) > LONGEST_PX:
        raise ServiceError(BAD)
    return VariantSize(**sizes)


async def variant_of(context: Context, blob: Blob, options: str) -> Blob:
    """The image in another size, as WebP. ServiceError for what is no image."""
    size = variant_size(options)
    if kind_of(blob.mime) != "image":
        raise ServiceError("only images have variants")
    name = f"{blob.sha256}:{size.width}x{size.height}.webp"
    kept = await find_derived(context.database, name)
    if kept is not None and await context.blobs.has(kept):
        return kept
    with tempfile.TemporaryDirectory(prefix="variant-") as folder:
        target = Path(folder) / "variant.webp"
        async with context.blobs.local_file(blob) as path:
            pixels = context.config.limits.image_pixels
            await asyncio.to_thread(_write, path, target, size, pixels)
        made = await context.blobs.write_file(target, mime="image/webp")
    await keep_derived(context.database, name, made)
    return made


def _write(source: Path, target: Path, size: VariantSize, pixels: int) -> None:
    """Blocks."""
    from PIL import Image

    try:
        with opened_image(source) as still:
            image = still.image
            if image.width * image.height > pixels:
                raise PayloadTooLarge(f"the image has more than {pixels} pixels")
            turned = upright(image, still.orientation)
            mode = "RGBA" if turned.has_transparency_data else "RGB"
            small = turned.convert(mode).resize(size.of(turned.size), Image.Resampling.LANCZOS)
            small.save(target, "WEBP", quality=QUALITY)
    except UNREADABLE as error:
        raise ServiceError("the file cannot be read as an image") from error
