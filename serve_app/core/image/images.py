"""Images: text to images, and images to images."""

from itertools import groupby
from typing import Literal, Self

from pydantic import Field
from typing_extensions import override

from serve_app.core.early_end import EndsEarly
from serve_app.core.image.attachments import Lora, References
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.image.sampling_names import SamplingNames
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

ImageFormat = Literal["png", "jpeg", "webp"]
Quality = Literal["low", "standard", "high"]
Resize = Literal["crop", "stretch", "nearest", "fill", "latent"]
MaskFill = Literal["original", "surroundings", "noise", "nothing"]
LatentResampling = Literal[
    "bilinear", "smooth_bilinear", "bicubic", "smooth_bicubic", "nearest", "exact_nearest"
]
"""How latents are resized; `smooth` leaves out what is too fine for a smaller size."""

MAX_PIXELS = 64_000_000
"""Of an image that an operation takes or makes, where nothing else is said."""

IMAGE_MIME: dict[ImageFormat, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}


class Size(Message):
    """In pixels."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Image(Message):
    """One image; `size` is what it really has, which is the asked one up to the model's step.
    `latents` are what it was decoded from, where that is asked for and the model has some.
    """

    image: Blob
    seed: int
    size: Size
    variation_seed: int | None = None
    latents: Blob | None = None


class Images(MediaResult):
    """The last item. `prompt_cache_hit` says that the prompt had been read before; `skipped` are
    the numbers, from 0, of images that were left out on request. `sampling` is the sampler and the
    schedule that were used where the request names any, `second_sampling` those of a second pass.
    """

    images: tuple[Image, ...]
    skipped: tuple[int, ...] = ()
    prompt_cache_hit: bool = False
    sampling: ImageSampling | None = None
    second_sampling: ImageSampling | None = None

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {
            made.image.sha256: MediaFacts(
                seed=made.seed, width=made.size.width, height=made.size.height
            )
            for made in self.images
        }


class Variation(Message):
    """Another seed whose noise is mixed into an image's own by `strength`; image i takes it from
    `seed` + i. The noise is that of an image of `from_size`, in the middle of this one.
    """

    seed: int
    strength: float = Field(default=0, ge=0, le=1)
    from_size: Size | None = None


class HiresPass(Message):
    """A second pass over each image, made larger by `upscaler`: `latent`, `lanczos`, `nearest` or
    the id of an upscaling model. None means as in the first pass. `size` goes before `scale`.
    A LoRA that is registered is one of the pass's own model.
    """

    size: Size | None = None
    scale: float = Field(default=2.0, ge=1, le=4)
    upscaler: str = "latent"
    latent_resampling: LatentResampling = "bilinear"
    strength: float = Field(default=0.7, ge=0, le=1)
    steps: int | None = Field(default=None, ge=1)
    prompt: str | None = None
    negative_prompt: str | None = None
    sampling: ImageSampling | None = None
    guidance_scale: float | None = None
    model: str | None = None
    loras: tuple[Lora, ...] | None = None


class ImageGeneration(EndsEarly[Images]):
    """What all requests for images share: generate `count` of them, image i from `seed` + i.

    None in `size`, `steps`, `guidance_scale` and `scheduler` means the model's own; `quality`
    scales the model's own steps only. `compression` is the quality of jpeg and webp, 0 to 100.
    `vae_model` names one that the family's options list. `max_pixels` bounds the images taken.

    `sampling` goes before `scheduler`. With `weighs_words` prompts have weights, `(more:1.2)` and
    `[less]`, and may be long; they may change on the way, `[from:to:0.5]` and `[one|other]`, which
    goes on from `steps_before` of an earlier pass; and an image may be made of several, `AND`.
    `clip_skip` counts the last layers of the text encoder, of which 1 is the whole. What is
    `is_tileable` has no seams. What a model cannot do of these is a warning.

    `batch_size` images are generated at once, the model's choice by default. `leaves_out` are the
    numbers of those that are not generated. Text i of `embedded_texts` stands in the file of image
    i in place of the parameters, with the `sampling_names` of what was used. Progress has a preview
    every `preview_every_s`, or more rarely.
    """

    model: str
    prompt: str = ""
    negative_prompt: str | None = None
    count: int = Field(default=1, ge=1)
    size: Size | None = None
    seed: int
    steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    quality: Quality = "standard"
    scheduler: str | None = None
    checks_safety: bool = True
    format: ImageFormat = "png"
    compression: int = Field(default=95, ge=0, le=100)
    loras: tuple[Lora, ...] = ()
    vae_model: str | None = None
    references: References | None = None
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    sampling: ImageSampling | None = None
    variation: Variation | None = None
    weighs_words: bool = False
    steps_before: int = Field(default=0, ge=0)
    clip_skip: int = Field(default=1, ge=1, le=12)
    is_tileable: bool = False
    batch_size: int | None = Field(default=None, ge=1)
    leaves_out: tuple[int, ...] = ()
    embedded_texts: tuple[str, ...] = ()
    sampling_names: SamplingNames | None = None
    preview_every_s: float | None = Field(default=None, ge=0)
    keeps_latents: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the images that are to be generated."""
        return tuple(i for i in range(self.count) if i not in self.leaves_out)

    @property
    def at_once(self) -> int | None:
        """How many are generated at once; None is the model's choice."""
        return self.batch_size or (1 if self.can_end_early else None)

    @property
    def batches(self) -> list[tuple[int, ...]]:
        """The numbers of the images that are generated at once."""
        size = self.at_once or self.count
        return [tuple(batch) for _, batch in groupby(self.numbers, key=lambda i: i // size)]

    def variation_seed(self, number: int) -> int | None:
        """The seed of the variation of an image."""
        return None if self.variation is None else self.variation.seed + number

    def embedded_text(self, number: int, used: ImageSampling | None) -> str | None:
        """What stands in an image's file, None for the parameters."""
        if not self.embedded_texts:
            return None
        text, names, used = self.embedded_texts[number], self.sampling_names, used or self.sampling
        return text if names is None or used is None else names.filled(text, used)

    @override
    def rest_after(self, made: Images | None) -> Self | None:
        if made is None:
            return self
        there = {image.seed - self.seed for image in made.images}
        left_out = tuple(sorted({*self.leaves_out, *made.skipped, *there}))
        rest = self.model_copy(update={"leaves_out": left_out})
        return rest if rest.numbers else None

    @override
    def joined(self, made: Images | None, later: Images) -> Images:
        if made is None:
            return later
        images = sorted((*made.images, *later.images), key=lambda image: image.seed)
        changes = {
            "images": tuple(images),
            "sampling": made.sampling or later.sampling,
            "skipped": tuple(sorted({*made.skipped, *later.skipped})),
            "warnings": tuple(dict.fromkeys((*made.warnings, *later.warnings))),
        }
        return later.model_copy(update=changes)

    @override
    def skipping(self, made: Images | None) -> Images:
        """All of the batch, as far as it is not there."""
        made = made or Images(images=())
        rest = self.rest_after(made)
        if rest is None:
            return made
        return made.model_copy(update={"skipped": (*made.skipped, *rest.batches[0])})

    @override
    def ended_with(self, made: Images | None) -> Images:
        made = made or Images(images=())
        said = Notice(text=f"ended early: {len(made.images)} of {self.count} images")
        return made.model_copy(update={"warnings": (*made.warnings, said)})


class ImageToImage(ImageGeneration, Operation[Images]):
    """Edit `image`, of which less is left the greater `strength` is.

    A given `size` is covered by the image, which is cropped at its centre and never stretched.
    Without one the result has the image's own size, or, with `is_sized_by_model`, its proportions
    and about as many pixels as the model generates by itself. `resize` is another way to a size:
    out of proportion, smoothly or not or as the model's latents, or whole, with the sides filled.
    Where the model has made the image, its `latents` are resized as they were. `noise_scale` is how
    strong the noise is from which it is made anew.
    """

    name, task, verb = "image.edit", "images", "image_to_image"

    image: Blob
    strength: float = Field(default=0.75, ge=0, le=1)
    is_sized_by_model: bool = False
    resize: Resize = "crop"
    latents: Blob | None = None
    latent_resampling: LatentResampling = "bilinear"
    noise_scale: float = Field(default=1.0, ge=0, le=2)


class Inpaint(ImageToImage):
    """Edit the part of `image` that `mask` selects; every other pixel stays as it is.

    In a mask that is not opaque the transparent part is edited, else the white part; always the
    white part where its brightness is read. It is resized to the image. `rounds_mask` makes it
    black and white, `inverts_mask` the other part the edited one, and `mask_blur` softens its edges
    by so many pixels in width and height.

    `mask_fill` is what the part is made anew from: what is there, the colours around it, noise, or
    nothing. With `region_padding` only the part is worked on, at `size`, with so many pixels around
    it; the result has the image's own size.
    """

    name, task, verb = "image.inpaint", "images", "inpaint"

    mask: Blob
    mask_reading: Literal["transparency", "brightness"] = "transparency"
    rounds_mask: bool = False
    inverts_mask: bool = False
    mask_blur: tuple[float, float] = (0.0, 0.0)
    mask_fill: MaskFill = "original"
    region_padding: int | None = Field(default=None, ge=0, le=4096)


class VaryImage(ImageToImage):
    """Vary `image` without a prompt."""

    name, task, verb = "image.variation", "images", "image_to_image"


class TextToImage(ImageGeneration, Operation[Images]):
    """Generate images from `prompt`. The catalog does the `hires` pass; engines do not."""

    name, task, verb = "image.generation", "images", "text_to_image"

    prompt: str
    hires: HiresPass | None = None


ImageEvent = Progress | Images
