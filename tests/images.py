"""Media that tests make."""

import base64
import io
import struct
import zlib
from collections.abc import AsyncGenerator
from typing import Any

from PIL import Image


def png(color: str = "red", size: tuple[int, int] = (800, 400), **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, color).save(target, "PNG", **options)
    return target.getvalue()


def data_url(data: bytes) -> str:
    return f"data:;base64,{base64.b64encode(data).decode()}"


async def chunks(data: bytes) -> AsyncGenerator[bytes]:
    yield data


def huge_png(width: int = 9000, height: int = 8000) -> bytes:
    """Ten kilobytes that decode to 72 million pixels."""
    target = io.BytesIO()
    Image.new("1", (width, height)).save(target, "PNG", optimize=True)
    return target.getvalue()


def claiming_png(width: int = 100_000, height: int = 100_000) -> bytes:
    """A small image whose header claims another size; every checksum is right."""
    data = bytearray(png(size=(4, 4)))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)
