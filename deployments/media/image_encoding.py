"""Images to bytes, with what they were made from written into them; and the rule for sizes."""

import io
from pathlib import Path
from typing import Any

from serve_app.core.image.attachments import Lora
from serve_app.core.image.images import ImageFormat, ImageGeneration, ImageToImage, Size

EXIF_IFD = 0x8769
USER_COMMENT = 0x9286
EXIF_CHARACTERS = 32_000
"""What a JPEG has room for: its Exif data are 64 KiB at most, and a character takes two bytes."""
PREVIEW_QUALITY = 80
PNG_RUNS = 3
"""zlib's strategy Z_RLE: half the time of its default, and photographs get no larger."""


def encoded(image: Any, format: ImageFormat, *, compression: int, parameters: str) -> bytes:
    """A Pillow image in RGB as a file. The parameters are the text chunk `parameters` of a PNG and
    the Exif user comment of a JPEG or WebP, where the tools for such images look for them.
    """
    from PIL.PngImagePlugin import PngInfo

    target = io.BytesIO()
    if format == "png":
        info = PngInfo()
        info.add_itxt("parameters", parameters)
        image.save(target, "PNG", pnginfo=info, compress_type=PNG_RUNS)
    else:
        written = _cut(parameters) if format == "jpeg" else parameters
        image.save(target, format.upper(), quality=compression, exif=_exif(written))
    return target.getvalue()


def png_bytes(image: Any) -> bytes:
    """A Pillow image as a PNG file."""
    target = io.BytesIO()
    image.save(target, "PNG", compress_type=PNG_RUNS)
    return target.getvalue()


def jpeg_bytes(image: Any) -> bytes:
    """A Pillow image in RGB as a small JPEG file."""
    target = io.BytesIO()
    image.save(target, "JPEG", quality=PREVIEW_QUALITY)
    return target.getvalue()


def saved_png(image: Any, target: Path, *, colours: bytes | None = None) -> None:
    """A Pillow image as a PNG file; `colours` is an ICC profile."""
    image.save(target, "PNG", compress_type=PNG_RUNS, icc_profile=colours)


def parameters_text(
    request: ImageGeneration,
    *,
    seed: int,
    size: Size,
    steps: int,
    guidance_scale: float | None = None,
    scheduler: str | None = None,
) -> str:
    """The parameters of one image in the widespread form: the prompt, the negative prompt, and a
    line of pairs.
    """
    pairs = {
        "Steps": steps,
        "Sampler": scheduler or request.scheduler,
        "CFG scale": request.guidance_scale if guidance_scale is None else guidance_scale,
        "Seed": seed,
        "Size": f"{size.width}x{size.height}",
        "Model": request.model,
        "Denoising strength": request.strength if isinstance(request, ImageToImage) else None,
        "VAE": request.vae_model,
        "LoRAs": " ".join(map(_lora_text, request.loras)) or None,
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(
        ", ".join(f"{name}: {value}" for name, value in pairs.items() if value is not None)
    )
    return "\n".join(lines)


def _lora_text(lora: Lora) -> str:
    file = lora.file.sha256[:12] if lora.file else None
    return f"{lora.registered or lora.source or file}:{lora.weight:g}"


def _cut(parameters: str) -> str:
    """As much as there is room for, with the settings, which are the last line."""
    prompts, _, settings = parameters.rpartition("\n")
    # In units of UTF-16, of which some characters take two.
    room = EXIF_CHARACTERS - len(settings.encode("utf-16-be")) // 2 - 1
    return prompts.encode("utf-16-be")[: 2 * room].decode("utf-16-be", "ignore") + f"\n{settings}"


def _exif(parameters: str) -> Any:
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
    return exif
