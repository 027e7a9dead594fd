"""Images of coloured squares that show what they were asked for: another request, other squares."""

import hashlib
import io
from typing import Any

from deployments.media.image_encoding import encoded, parameters_text
from serve_app.core.image.images import ImageGeneration, ImageToImage, Size, Variation
from serve_app.core.image.samplers import ImageSampling

SQUARES = 8
STEPS = 4
"""Where a request leaves them open."""
PREVIEW_PX = 64


def written_image(
    request: ImageGeneration,
    number: int,
    size: Size,
    source: Any,
    *,
    steps: int,
    used: ImageSampling | None,
) -> tuple[bytes, Size]:
    """Image `number` of a request as a file, and its size."""
    image = _image(request, number, size, source)
    made = Size(width=image.width, height=image.height)
    seed = request.seed + number
    text = request.embedded_text(number, used)
    if text is None:
        text = parameters_text(request, seed=seed, size=made, steps=steps)
    data = encoded(image, request.format, compression=request.compression, parameters=text)
    return data, made


def preview_file(request: ImageGeneration, number: int, size: Size, source: Any) -> bytes:
    """The same image, small."""
    image = _image(request, number, size, source)
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=80)
    return target.getvalue()


def _image(request: ImageGeneration, number: int, size: Size, source: Any) -> Any:
    from PIL import Image as Stills

    if source is not None:
        size = Size(width=source.image.width, height=source.image.height)
    image = _varied(request, number, size)
    if isinstance(request, ImageToImage):
        image = source.finished(Stills.blend(source.image, image, request.strength))
    return image


def _varied(request: ImageGeneration, number: int, size: Size) -> Any:
    """Squares of the seed, with those of the variation's laid over them by its strength."""
    from PIL import Image as Stills

    variation = request.variation or Variation(seed=0)
    within = variation.from_size or size
    image = _squares(request, request.seed + number, within)
    if variation.strength:
        other = _squares(request, variation.seed + number, within)
        image = Stills.blend(image, other, variation.strength)
    if within == size:
        return image
    around = _squares(request, request.seed + number, size)
    place = (size.width - within.width) // 2, (size.height - within.height) // 2
    around.paste(image, place)
    return around


def _squares(request: ImageGeneration, seed: int, size: Size) -> Any:
    from PIL import Image as Stills

    prompts = [_read(request, text) for text in (request.prompt, request.negative_prompt or "")]
    subject = "\0".join([*prompts, str(seed), *_marks(request)])
    colours = hashlib.shake_256(subject.encode()).digest(SQUARES * SQUARES * 3)
    small = Stills.frombytes("RGB", (SQUARES, SQUARES), colours)
    if request.is_tileable:
        small.paste(small.crop((0, 0, 1, SQUARES)), (SQUARES - 1, 0))
        small.paste(small.crop((0, 0, SQUARES, 1)), (0, SQUARES - 1))
    return small.resize((size.width, size.height), Stills.Resampling.NEAREST)


def _read(request: ImageGeneration, prompt: str) -> str:
    """The prompt; where its words are weighed, the weights count and the brackets do not, and what
    comes later counts, too.
    """
    from deployments.media.prompt_schedules import prompt_stretches
    from deployments.media.weighted_prompts import weighted_texts

    if not request.weighs_words:
        return prompt
    read = []
    for stretch in prompt_stretches(
        prompt, request.steps or STEPS, steps_before=request.steps_before
    ):
        parts = weighted_texts(stretch.text)
        weights = [f"{part.weight:.6g}" for part in parts if part.weight != 1]
        read.append("".join(part.text or "BREAK" for part in parts) + "".join(weights))
    return "\n".join(read)


def _marks(request: ImageGeneration) -> list[str]:
    """What else is asked for, where it is."""
    given = {
        "sampling": request.sampling,
        "loras": request.loras,
        "vae": request.vae_model,
        "clip_skip": request.clip_skip - 1,
    }
    return [f"{name}={value!r}" for name, value in given.items() if value]
