"""Images without seams: convolutions that go on at the other side."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch


def can_be_seamless(pipeline: Any) -> bool:
    """Whether a pipeline works with convolutions; transformers cut images into patches."""
    return hasattr(pipeline, "unet")


@contextmanager
def seamless(pipeline: Any) -> Generator[None]:
    """The pipeline with such convolutions; as before when the block is left."""
    layers = [
        layer
        for part in (pipeline.unet, pipeline.vae)
        for layer in part.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    before = [layer.padding_mode for layer in layers]
    for layer in layers:
        layer.padding_mode = "circular"
    try:
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.padding_mode = mode
