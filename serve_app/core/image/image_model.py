"""What an engine for images can do."""

from collections.abc import AsyncIterator
from typing import Protocol

from serve_app.core.engine import Engine
from serve_app.core.image.images import ImageEvent, ImageToImage, Inpaint, TextToImage


class ImageModel(Engine, Protocol):
    """Generates images. Each verb yields Progress in steps over all images, then the Images.

    InvalidRequest names the field: `scheduler` and `vae_model` list those that fit the model,
    `loras[i]` is unknown or made for another one. UnsupportedCapability for a verb, or references,
    that the model is not made for.
    """

    def text_to_image(self, request: TextToImage) -> AsyncIterator[ImageEvent]:
        """Images of a text."""
        ...

    def image_to_image(self, request: ImageToImage) -> AsyncIterator[ImageEvent]:
        """An edited image."""
        ...

    def inpaint(self, request: Inpaint) -> AsyncIterator[ImageEvent]:
        """An image with an edited part."""
        ...
