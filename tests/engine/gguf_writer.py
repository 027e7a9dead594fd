"""Small files in GGUF form, version 3."""

import struct
from collections.abc import Mapping

import numpy as np

ALIGNMENT = 32
STRING, FLOAT = 8, 6


def text_of(value: str) -> bytes:
    """Its length and the text."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(metadata: Mapping[str, str | float], tensors: Mapping[str, np.ndarray]) -> bytes:
    """A file with these tensors as float32. Their shapes are numpy's: the last axis is the one
    that llama.cpp calls the first.
    """
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        is_text = isinstance(value, str)
        packed = text_of(value) if isinstance(value, str) else struct.pack("<f", value)
        head += text_of(key) + struct.pack("<I", STRING if is_text else FLOAT) + packed
    content = b""
    for name, values in tensors.items():
        shape = values.shape[::-1]
        head += text_of(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", 0, len(content))
        content += values.astype("<f4").tobytes()
        content += b"\0" * (-len(content) % ALIGNMENT)
    return head + b"\0" * (-len(head) % ALIGNMENT) + content
