"""Sizes of images as `WIDTHxHEIGHT`."""

import re

from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size

SIDE_PX = range(64, 4097)
SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})", re.ASCII)


def requested_size(text: str | None, *, param: str) -> Size | None:
    """None for `auto` and for nothing. InvalidRequest for what is no size of an image."""
    if text is None or text.strip().lower() == "auto":
        return None
    match = SIZE.fullmatch(text.strip())
    if match is None or any(int(side) not in SIDE_PX for side in match.groups()):
        raise InvalidRequest(
            f"{text[:50]!r} is not 'auto' or WIDTHxHEIGHT with sides from "
            f"{SIDE_PX.start} to {SIDE_PX.stop - 1}, such as '1024x1024'",
            param=param,
        )
    return Size(width=int(match[1]), height=int(match[2]))
