"""What tests of the Automatic1111 dialect share."""

import base64
import io
import json
from typing import Any

import httpx
from PIL import Image

from tests.images import png

SD = "/sdapi/v1"
QUICK: dict[str, Any] = {"prompt": "a boat", "width": 64, "height": 64, "steps": 2, "seed": 7}


def base64_png(color: str = "red", size: tuple[int, int] = (64, 64)) -> str:
    return base64.b64encode(png(color, size)).decode()


def encoded_png(image: Image.Image) -> str:
    target = io.BytesIO()
    image.save(target, "PNG")
    return base64.b64encode(target.getvalue()).decode()


def opened(text: str) -> Image.Image:
    """An image of an answer; a `data:` prefix would not be base64."""
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def info_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    info: dict[str, Any] = json.loads(answer.json()["info"])
    return info


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"error", "detail", "body", "errors"}
    assert (body["error"], body["body"]) == (code, "")
    assert isinstance(body["errors"], str)
    return body
