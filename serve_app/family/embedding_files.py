"""What the file of a learned word says of itself, without the library that reads its vectors."""

import json
from pathlib import Path
from typing import IO, NamedTuple

from serve_app.family.model_files import local_path

SUFFIX = ".safetensors"
HEADER_BYTES = 1 << 20
"""The length of a safetensors header is told by 8 bytes; that of one vector is short."""


class EmbeddingShape(NamedTuple):
    """How many vectors there are, and how long each is; of one for several encoders, together."""

    vectors: int
    width: int


def embedding_shape(source: str, data_dir: Path) -> EmbeddingShape | None:
    """Of a safetensors file on this machine; None for all else. Blocks."""
    place = local_path(source, data_dir)
    if place is not None and place.is_dir():
        files = sorted(place.glob(f"*{SUFFIX}"))
        place = files[0] if len(files) == 1 else None
    if place is None or place.suffix != SUFFIX:
        return None
    try:
        with place.open("rb") as file:
            shapes = _shapes(file)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    counts = {shape[0] if len(shape) > 1 else 1 for shape in shapes if shape}
    if len(counts) != 1:
        return None
    return EmbeddingShape(counts.pop(), sum(shape[-1] for shape in shapes))


def _shapes(file: IO[bytes]) -> list[list[int]]:
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(min(length, HEADER_BYTES)))
    return [[*map(int, about["shape"])] for name, about in header.items() if name != "__metadata__"]
