"""A video as a request: the fields of OpenAI's Videos API, and of servers that have more of them.

https://platform.openai.com/docs/api-reference/videos and
https://docs.vllm.ai/projects/vllm-omni/en/latest/serving/videos_api/
"""

import asyncio
import io
import math
from collections.abc import Mapping
from pathlib import Path

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.image.image_files import UNREADABLE, opened_image, upright
from serve_app.core.image.images import Size
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice
from serve_app.core.upstreams.provider import ProviderType
from serve_app.core.video.generation import MODE_NAMES, GenerateVideo
from serve_app.core.video.plan import check_media, first_image
from serve_app.upstreams.openai_form.chat_request import bytes_of
from serve_app.upstreams.openai_form.exchange import OWN_SERVER, OpenAIExchange
from serve_app.upstreams.openai_form.media_files import File, named_file

SORA: frozenset[ProviderType] = frozenset({"openai", "azure"})
"""Types whose models take just these lengths and sizes, and an image of the video's size only."""
SORA_SECONDS = (4, 8, 12)
SORA_SIZES = ((1280, 720), (720, 1280), (1792, 1024), (1024, 1792))
USUAL_FPS = 24.0
OWN_FIELDS: Mapping[str, str] = {
    "negative_prompt": "negative_prompt",
    "num_frames": "num_frames",
    "fps": "fps",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "seed": "seed",
}
"""Fields of servers of one's own, by our words for them."""
NO_FIELD = "the provider has no such field"
OTHERS = ("strength", "num_cond_frames", "quality", "camera_motion", "offload")
"""Which nobody has a field for."""


async def video_form(
    operation: GenerateVideo, exchange: OpenAIExchange, blobs: BlobStore
) -> tuple[dict[str, str | list[str] | File], tuple[Notice, ...]]:
    """The fields of the form, and what is left out or was changed."""
    _check(operation)
    notices = _left_out(operation, exchange)
    form: dict[str, str | list[str] | File] = {
        "model": exchange.target.model,
        "prompt": operation.prompt,
    }
    is_own = exchange.kind in OWN_SERVER
    if (seconds := _seconds(operation, exchange.kind, notices)) is not None:
        form["seconds"] = str(seconds)
    size = _size(operation, exchange.kind, notices)
    if size is not None:
        form["size"] = f"{size.width}x{size.height}"
    if is_own:
        given = {theirs: getattr(operation, ours) for ours, theirs in OWN_FIELDS.items()}
        form |= {name: str(value) for name, value in given.items() if value is not None}
    if (image := first_image(operation)) is not None:
        form["input_reference"] = await _reference(image, exchange, size, blobs)
    return form, tuple(notices)


def _check(operation: GenerateVideo) -> None:
    if operation.mode not in ("t2v", "i2v", "ti2v"):
        raise UnsupportedCapability(
            f"the provider has no request for {operation.mode!r} ({MODE_NAMES[operation.mode]})",
            remedy="it generates videos of a prompt and of an image",
            param="mode",
        )
    check_media(operation)
    if (operation.num_segments or 1) > 1:
        raise UnsupportedCapability(
            "the provider does not continue its videos", param="num_segments"
        )


def _left_out(operation: GenerateVideo, exchange: OpenAIExchange) -> list[Notice]:
    names = list(OTHERS)
    if exchange.kind not in OWN_SERVER:
        names += [name for name in OWN_FIELDS if name not in ("seed", "num_frames")]
    found = [name for name in names if getattr(operation, name) is not None]
    if len(operation.cond_frames) > 1:
        found.append("cond_frames")
    return [Notice(text=NO_FIELD, field=name) for name in found]


def _seconds(operation: GenerateVideo, kind: ProviderType, notices: list[Notice]) -> int | None:
    """Whole ones. None for as long as the model's videos are, and where frames say it."""
    wanted, field = operation.duration_s, "duration_s"
    if wanted is None:
        if operation.num_frames is None or kind in OWN_SERVER:
            return None
        wanted, field = operation.num_frames / (operation.fps or USUAL_FPS), "num_frames"
    seconds = math.ceil(wanted)
    if kind in SORA:
        seconds = next((each for each in SORA_SECONDS if each >= seconds), seconds)
    if seconds != wanted:
        notices.append(Notice(text=f"the provider is asked for {seconds} s", field=field))
    return seconds


def _size(operation: GenerateVideo, kind: ProviderType, notices: list[Notice]) -> Size | None:
    size = operation.size
    if size is None or kind not in SORA or (size.width, size.height) in SORA_SIZES:
        return size
    width, height = SORA_SIZES[0] if size.width >= size.height else SORA_SIZES[1]
    notices.append(Notice(text=f"the provider is asked for {width}x{height}", field="size"))
    return Size(width=width, height=height)


async def _reference(
    image: Blob, exchange: OpenAIExchange, size: Size | None, blobs: BlobStore
) -> File:
    if size is None or exchange.kind not in SORA:
        return named_file("image", await bytes_of(image, blobs), image.mime)
    async with blobs.local_file(image) as path:
        try:
            return named_file("image", await asyncio.to_thread(_fitted, path, size), "image/png")
        except UNREADABLE as error:
            raise InvalidRequest("the image cannot be read", param="image") from error


def _fitted(path: Path, size: Size) -> bytes:
    """As a PNG of just this size, which its middle fills."""
    from PIL import ImageOps

    with opened_image(path) as opened:
        turned = upright(opened.image, opened.orientation).convert("RGB")
        written = io.BytesIO()
        ImageOps.fit(turned, (size.width, size.height)).save(written, "PNG")
    return written.getvalue()
