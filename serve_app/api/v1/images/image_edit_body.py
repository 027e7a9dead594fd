"""The bodies of the routes that edit images, read from JSON or from a form."""

import json
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from starlette.requests import Request
from typing_extensions import override

from serve_app.api.context import Context
from serve_app.api.errors import from_validation_errors
from serve_app.api.json_body import read_json_object
from serve_app.api.multipart import Form, body_kind, read_form
from serve_app.api.v1.configured import SentMedium, image_list
from serve_app.api.v1.images.image_body import (
    MAX_EXTRAS,
    ImageRequestBody,
    checked_prompt,
)
from serve_app.api.v1.images.image_extras import with_uploaded
from serve_app.api.wire_types import FALSE, TRUE, Media, Number, Text
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.bounds import PROMPT_CHARACTERS
from serve_app.core.image.images import Images, ImageToImage, Inpaint, VaryImage
from serve_app.core.operation import Operation

FILES = ("image", "mask", "character_references")
LISTS = frozenset({"image", "character_references", "character_profiles", "environment_profiles"})
FLAGS = frozenset({"disable_safety_checker", "async"})
PARSED = frozenset(
    {"n", "output_compression", "steps", "guidance_scale", "seed", "loras"}
    | {"character_strength", "strength", "priority"}
)

Strength = Annotated[Number, Field(strict=True, ge=0, le=1)]
ImageTexts = Annotated[
    list[Media],
    Field(min_length=1, max_length=MAX_EXTRAS),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
BodyT = TypeVar("BodyT", bound="SourceBody")


class SourceBody(ImageRequestBody):
    """The first image is edited; further images are references."""

    default_strength: ClassVar[float]

    image: ImageTexts
    strength: Strength | None = None

    @override
    def has_references(self) -> bool:
        return len(self.image) > 1 or super().has_references()

    def media(self) -> list[SentMedium]:
        """What was sent to look at."""
        mask: SentMedium = ("mask", getattr(self, "mask", None), "image")
        return [("image", self.image[0], "image"), *image_list("image", self.image)[1:], mask]

    async def source(self, found: CatalogEntry, context: Context) -> dict[str, Any]:
        """The fields of an ImageToImage, with the image stored."""
        first, *others = self.image
        fields = await self.generation_fields(found, context, also=others)
        return fields | {
            "image": await context.intake.take(first, param="image", kind="image"),
            "strength": self.default_strength if self.strength is None else self.strength,
            "is_sized_by_model": self.is_auto_size,
        }

    async def to_operation(self, found: CatalogEntry, context: Context) -> Operation[Images]:
        """The operation."""
        raise NotImplementedError


class EditBody(SourceBody):
    """POST /v1/images/edits."""

    default_strength = 0.75

    prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)
    mask: Media | None = None

    async def to_operation(self, found: CatalogEntry, context: Context) -> Operation[Images]:
        """An Inpaint when there is a mask."""
        fields = await self.source(found, context)
        fields["prompt"] = checked_prompt(self.prompt)
        if self.mask is None:
            return ImageToImage(**fields)
        mask = await context.intake.take(self.mask, param="mask", kind="image")
        return Inpaint(mask=mask, **fields)


class InpaintBody(EditBody):
    """POST /v1/images/inpaint."""

    default_strength = 0.99

    mask: Media


class VariationBody(SourceBody):
    """POST /v1/images/variations."""

    default_strength = 0.6

    async def to_operation(self, found: CatalogEntry, context: Context) -> Operation[Images]:
        """A VaryImage."""
        return VaryImage(**await self.source(found, context))


async def read_image_body(request: Request, context: Context, kind: type[BodyT]) -> BodyT:
    """The body, from JSON or from a form, whose files are stored and named by their hash."""
    if body_kind(request, param="image") == "form":
        form = await read_form(
            request,
            intake=context.intake,
            file_fields=FILES,
            kind="image",
            other_fields=("loras",),
        )
        values = form_values(form)
    else:
        values = await read_json_object(request)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise from_validation_errors(error.errors(), values) from None


def form_values(form: Form) -> dict[str, Any]:
    """Fields as a JSON body would have them, which they are in a form if they are no text."""
    values: dict[str, Any] = {}
    for name, texts in form.text_fields(free=("prompt", "negative_prompt")).items():
        values[name] = texts if name in LISTS else _parsed(name, texts[-1])
    for name, blobs in form.files.items():
        stored = [f"sha256:{blob.sha256}" for blob in blobs]
        if name == "loras":
            values[name] = with_uploaded(values.get(name, []), stored)
            continue
        values[name] = stored if name in LISTS else stored[-1]
    return values


def _parsed(name: str, text: str) -> Any:
    if name in FLAGS and text.lower() in TRUE | FALSE:
        return text.lower() in TRUE
    if name not in PARSED:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def request_schema(kind: type[SourceBody]) -> dict[str, Any]:
    """The description of a body that comes in two types."""
    schema = kind.model_json_schema()
    forms: tuple[Literal["application/json", "multipart/form-data"], ...] = (
        "application/json",
        "multipart/form-data",
    )
    content = {form: {"schema": schema} for form in forms}
    return {"requestBody": {"required": True, "content": content}}
