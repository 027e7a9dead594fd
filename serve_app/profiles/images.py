"""Checks that a reference image can be decoded. Blocks."""

from pathlib import Path

from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.image_files import UNREADABLE, opened_image


def check_image(path: Path, *, param: str, pixels: int) -> None:
    """InvalidRequest for what is no image that can be decoded; PayloadTooLarge for one that has
    more than so many pixels.
    """
    from PIL import Image

    try:
        with opened_image(path) as (image, _):
            if image.width * image.height > pixels:
                raise PayloadTooLarge(
                    f"an image of {image.width}x{image.height} has more than the allowed "
                    f"{pixels} pixels",
                    param=param,
                )
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PayloadTooLarge(
            f"the image has more than the allowed {pixels} pixels", param=param
        ) from None
    except UNREADABLE:
        raise InvalidRequest("the image cannot be decoded", param=param) from None
