"""The fields of a transcription request, from a form or from JSON."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, ValidationError
from starlette.requests import Request

from serve_app.api.context import Context
from serve_app.api.errors import from_validation_errors
from serve_app.api.job_body import PRIORITY, JobBody
from serve_app.api.json_body import read_json_object
from serve_app.api.multipart import Form, body_kind, read_form
from serve_app.api.wire_types import FALSE, TRUE, Integer, ModelName, Number, Text, Track
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob
from serve_app.core.text.languages import language_code
from serve_app.core.video.subtitles import Granularity

Format = Literal["json", "text", "verbose_json", "srt", "vtt", "diarized_json"]
LISTS = frozenset(
    {"timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"}
)
NO_EFFECT = (
    "include",
    "chunking_strategy",
    "known_speaker_names",
    "known_speaker_references",
)
TASK_TYPES = frozenset({"transcribe", "translate"})
UNDIVIDED = frozenset({"json", "text"})
"""Forms in which nothing is seen of segments."""


def _flag(value: Any) -> Any:
    """A form has text only."""
    if isinstance(value, str) and value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    return value


def _number(value: Any) -> Any:
    """Numbers of a form, without accepting booleans."""
    if isinstance(value, str):
        try:
            return int(value) if value.strip().lstrip("-").isdigit() else float(value)
        except ValueError:
            return value
    return value


FormFlag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]


class TranscriptionBody(JobBody):
    """POST /v1/audio/transcriptions and /v1/audio/translations."""

    model: ModelName | None = None
    language: Text | None = Field(default=None, max_length=100)
    prompt: Text | None = None
    response_format: Format | None = None
    temperature: (
        Annotated[Number, BeforeValidator(_number), Field(strict=True, ge=0, le=1)] | None
    ) = None
    translate: FormFlag | None = None
    target_language: Text | None = None
    task_type: Text | None = None
    stream: FormFlag | None = None
    segment_granularity: Granularity | None = None
    diarize: FormFlag | None = None
    audio_track: Track | None = None
    num_speakers: Annotated[Integer, BeforeValidator(_number), Field(ge=1, le=100)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = Field(
        default=None,
        validation_alias=AliasChoices("timestamp_granularities", "timestamp_granularities[]"),
    )
    include: list[Text] | None = None
    chunking_strategy: Any = None
    known_speaker_names: list[Text] | None = None
    known_speaker_references: list[Text] | None = None
    wants_async: FormFlag | None = Field(default=None, validation_alias="async")
    priority: (
        Annotated[Integer, BeforeValidator(_number), Field(ge=-PRIORITY, le=PRIORITY)] | None
    ) = None

    _without_effect: frozenset[str] = PrivateAttr(default=frozenset())

    def leave(self, names: frozenset[str]) -> None:
        """These fields have no effect on this route or with this model."""
        self._without_effect |= names

    def without_effect(self) -> list[str]:
        """Accepted for compatibility, or of no use to the model or with the others; word times are
        always there. A temperature of 0 is what every model does by itself.
        """
        useless = [*NO_EFFECT, *sorted(self._without_effect)]
        if (self.task_type or "").lower() not in TASK_TYPES:
            useless += ["task_type"]
        if self.temperature == 0 and "temperature" in useless:
            useless.remove("temperature")
        if self.stream:
            useless += ["response_format"]
        if not self.wants_speakers:
            useless += ["num_speakers"]
        if self.stream or not self.shows_segments:
            useless += ["segment_granularity"]
        return [name for name in useless if getattr(self, name) is not None]

    @property
    def wants_speakers(self) -> bool:
        """Whether segments have speakers; a stream has no form that could ask for it."""
        return bool(self.diarize) or (self.response_format == "diarized_json" and not self.stream)

    @property
    def shows_segments(self) -> bool:
        """Whether the answer has segments: JSON has them only with speakers."""
        form = self.response_format or "json"
        return form not in UNDIVIDED or (form == "json" and self.wants_speakers)

    @property
    def translation_field(self) -> str | None:
        """The field that asks for translation into English, by any of its names."""
        if self.translate:
            return "translate"
        if (self.task_type or "").lower() == "translate":
            return "task_type"
        return None if self.target_language is None else "target_language"

    def original_language_fields(self) -> frozenset[str]:
        """The fields that ask for the words as they were said."""
        requested = {
            "translate": self.translate is False,
            "task_type": (self.task_type or "").lower() == "transcribe",
        }
        return frozenset(name for name, is_asked in requested.items() if is_asked)

    def check_target(self) -> None:
        """UnsupportedCapability for translation to anything but English."""
        if self.target_language is not None and language_code(self.target_language) != "en":
            raise UnsupportedCapability(
                f"no configured model translates speech to {self.target_language[:50]!r}",
                remedy="only to English ('en')",
                param="target_language",
            )


async def read_transcription(request: Request, context: Context) -> tuple[TranscriptionBody, Blob]:
    """The fields and the stored audio of a multipart form or a JSON body."""
    if body_kind(request, param="file") == "form":
        form = await read_form(request, intake=context.intake, file_fields=("file",), kind="audio")
        body = validated(form_values(form))
        if form.files.get("file"):
            return body, form.files["file"][0]
        media: Any = next(iter(form.fields.get("file", ())), None)
    else:
        values = await read_json_object(request)
        media = values.pop("file", None)
        body = validated(values)
    if not isinstance(media, str) or not media:
        raise InvalidRequest("a file is required", param="file")
    return body, await context.intake.take(media, param="file", kind="audio")


def form_values(form: Form) -> dict[str, Any]:
    """Fields as a JSON body would have them."""
    text_fields = form.text_fields(free=("prompt",))
    text_fields.pop("file", None)
    return {name: texts if name in LISTS else texts[-1] for name, texts in text_fields.items()}


def validated(values: dict[str, Any]) -> TranscriptionBody:
    """The body. InvalidRequest with the path of the field."""
    try:
        return TranscriptionBody.model_validate(values)
    except ValidationError as error:
        raise from_validation_errors(error.errors(), values) from None
