"""The bodies of the routes that process media in steps, read from JSON or from a form."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request

from serve_app.api.body_schema import body_schema
from serve_app.api.context import Context
from serve_app.api.errors import from_validation_errors
from serve_app.api.job_body import JobBody
from serve_app.api.json_body import read_json_object
from serve_app.api.multipart import Form, body_kind, read_form
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import FALSE, TRUE, Flag, Integer, Media, Number, Text
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.processing_steps import (
    CropStep,
    Position,
    Resampling,
    ScaleStep,
    WatermarkStep,
)
from serve_app.core.media import MediaKind
from serve_app.core.message import Message

FORM_TYPES = ("application/json", "multipart/form-data")
Pixels = Annotated[Integer, Field(ge=1)]
Offset = Annotated[Integer, Field(ge=0)]
BodyT = TypeVar("BodyT", bound="ProcessBody")
Step = TypeVar("Step", bound=Message, covariant=True)


class WireStep(WireObject):
    """A step; a field that it does not know would be something that is not done."""

    model_config = ConfigDict(extra="forbid")


class ScaleBody(WireStep):
    """Resize to exactly `width` and `height`. A missing side follows the other one with
    `keep_ratio`, else it stays as it is. `nearest` keeps hard edges.
    """

    type: Literal["scale"]
    width: Pixels | None = None
    height: Pixels | None = None
    keep_ratio: Flag = True
    resampling: Resampling = "smooth"

    @model_validator(mode="after")
    def _has_a_side(self) -> "ScaleBody":
        if self.width is None and self.height is None:
            raise ValueError("a step that scales needs 'width', 'height' or both")
        return self

    def to_step(self) -> ScaleStep:
        """The core's."""
        return ScaleStep(
            width=self.width,
            height=self.height,
            keeps_ratio=self.keep_ratio,
            resampling=self.resampling,
        )


class CropBody(WireStep):
    """Cut out `width` times `height` pixels, beginning `x` from the left and `y` from the top."""

    type: Literal["crop"]
    x: Offset = 0
    y: Offset = 0
    width: Pixels
    height: Pixels

    def to_step(self) -> CropStep:
        """The core's."""
        return CropStep(x=self.x, y=self.y, width=self.width, height=self.height)


class WatermarkBody(WireStep):
    """Lay an image over the medium; a step that names none means the one beside the steps. `scale`
    is a factor of the mark's own size; a mark that does not fit is shrunk until it does. `opacity`
    multiplies its own transparency.
    """

    type: Literal["watermark"]
    image: Media | None = None
    position: Position = "bottom_right"
    scale: Annotated[Number, Field(strict=True, gt=0, le=10)] = 1.0
    opacity: Annotated[Number, Field(strict=True, ge=0, le=1)] = 1.0

    async def stored(self, context: Context, given: str | None, *, param: str) -> WatermarkStep:
        """The core's, its image stored. InvalidRequest where there is none."""
        named = self.image or given
        if named is None:
            raise InvalidRequest("a watermark needs an image", param=f"{param}.image")
        place = f"{param}.image" if self.image else "watermark"
        return WatermarkStep(
            image=await context.intake.take(named, param=place, kind="image"),
            position=self.position,
            scale=self.scale,
            opacity=self.opacity,
        )


class ProcessBody(JobBody):
    """A medium under the name of its kind, and `steps`."""

    medium: ClassVar[MediaKind]

    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")


class MarkedBody(ProcessBody):
    """One whose steps may lay an image over it. `watermark` is for those that name none."""

    watermark: Media | None = None
    steps: list[Any]

    def without_effect(self) -> list[str]:
        """A watermark that no step uses, too."""
        marks = (step for step in self.steps if isinstance(step, WatermarkBody))
        is_used = any(mark.image is None for mark in marks)
        return [*super().without_effect(), *(() if is_used else self.sent("watermark"))]


class StepBody(Protocol[Step]):
    """A step without media."""

    def to_step(self) -> Step:
        """The core's."""
        ...


async def stored_steps(
    steps: Sequence[WatermarkBody | StepBody[Step]], given: str | None, context: Context
) -> tuple[WatermarkStep | Step, ...]:
    """The core's steps, with their images stored."""
    made: list[WatermarkStep | Step] = []
    for number, step in enumerate(steps):
        if isinstance(step, WatermarkBody):
            made.append(await step.stored(context, given, param=f"steps[{number}]"))
        else:
            made.append(step.to_step())
    return tuple(made)


async def read_process_body(request: Request, context: Context, kind: type[BodyT]) -> BodyT:
    """The body, from JSON or from a form, whose files are stored and named by their hash."""
    if body_kind(request, param=kind.medium) == "form":
        others = {"watermark"} & {*kind.model_fields}
        form = await read_form(
            request,
            intake=context.intake,
            file_fields=(kind.medium,),
            kind=kind.medium,
            other_fields=others,
        )
        values = form_values(form)
    else:
        values = await read_json_object(request)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise from_validation_errors(error.errors(), values) from None


def form_values(form: Form) -> dict[str, Any]:
    """Fields as a JSON body would have them: `steps` are JSON there."""
    values: dict[str, Any] = {name: texts[-1] for name, texts in form.text_fields().items()}
    for name in {"steps", "priority"} & values.keys():
        try:
            values[name] = json.loads(values[name])
        except (ValueError, RecursionError):
            continue
    if isinstance(flag := values.get("async"), str) and flag.lower() in TRUE | FALSE:
        values["async"] = flag.lower() in TRUE
    return values | {name: f"sha256:{blobs[-1].sha256}" for name, blobs in form.files.items()}


def described(kind: type[ProcessBody]) -> dict[str, Any]:
    """The description of a body that comes in two types."""
    whole = body_schema(kind)
    content = {form: {"schema": whole} for form in FORM_TYPES}
    return {"requestBody": {"required": True, "content": content}}
