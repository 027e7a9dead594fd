"""Reference pictures: what can be decoded. Blocks."""

from pathlib import Path

from serve_app.core.errors import InvalidRequest


def check_picture(path: Path, *, param: str, pixels: int) -> None:
    """InvalidRequest for what is no picture that can be decoded, or one of too many pixels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > pixels:
                raise InvalidRequest(
                    f"{param}: {image.width}x{image.height} is more than the allowed "
                    f"{pixels} pixels",
                    param=param,
                )
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InvalidRequest(f"{param}: the image cannot be decoded", param=param) from None
