"""Media that tests make."""

import io
from collections.abc import AsyncGenerator
from typing import Any

from PIL import Image


def png(color: str = "red", size: tuple[int, int] = (800, 400), **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, color).save(target, "PNG", **options)
    return target.getvalue()


async def chunks(data: bytes) -> AsyncGenerator[bytes]:
    yield data
