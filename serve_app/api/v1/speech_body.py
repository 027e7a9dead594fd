"""The body of a speech request and its way into core."""

from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from serve_app.api.v1.chat_parts import Piece
from serve_app.api.v1.job_body import JobBody
from serve_app.api.v1.wire import Flag, Integer, Number, Text
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.languages import language_code
from serve_app.core.speech import AudioFormat, Speak, SpeechModel
from serve_app.models import Found, Models

OPENAI_MODELS = frozenset({"tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
CLONE_TASKS = frozenset({"voiceclone", "clone", "base"})
TASKS = CLONE_TASKS | {"", "customvoice", "voicedesign"}
ENVELOPES: dict[str, AudioFormat] = {
    "url": "mp3",
    "b64_wav": "wav",
    "b64_mp3": "mp3",
    "json": "mp3",
}
INPUT_CHARACTERS = 16_384
STYLE_FIELDS = ("instructions", "emotion", "style")


def _first_base64(value: Any) -> Any:
    """The aliases of the medium's first base64 form."""
    return "b64_wav" if value in ("base64", "b64") else value


ResponseFormat = Annotated[
    Literal["mp3", "wav", "opus", "flac", "aac", "pcm", "url", "b64_wav", "b64_mp3", "json"],
    BeforeValidator(_first_base64),
]


class VoiceBody(Piece):
    """A voice by id, OpenAI's newer spelling."""

    id: Text = Field(min_length=1, max_length=200)


class SpeechShared(JobBody):
    """The fields that a batch can share between its items."""

    model: Text | None = Field(default=None, max_length=500)
    voice: Annotated[Text, Field(min_length=1, max_length=200)] | VoiceBody | None = None
    response_format: ResponseFormat | None = None
    speed: Annotated[Number, Field(strict=True, ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: Text | None = None
    emotion: Text | None = None
    style: Text | None = None
    voice_profile: Text | None = None
    task_type: Text | None = None
    language: Text | None = None
    ref_audio: Text | None = None
    ref_text: Text | None = None
    x_vector_only_mode: Flag | None = None
    max_new_tokens: Annotated[Integer, Field(ge=1)] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Styles are for models that take a description; none does yet."""
        names = (*STYLE_FIELDS, "user", "x_vector_only_mode", "max_new_tokens", "ref_text")
        return [name for name in names if getattr(self, name) is not None]


class SpeechBody(SpeechShared):
    """POST /v1/audio/speech."""

    input: Text = Field(min_length=1, max_length=INPUT_CHARACTERS)

    def found(self, models: Models) -> Found[SpeechModel]:
        """The model; OpenAI's names mean the default."""
        name = None if (self.model or "").lower() in OPENAI_MODELS else self.model
        return models.speech(name)

    def to_speak(self, found: Found[SpeechModel], *, default: AudioFormat = "mp3") -> Speak:
        """The operation. Refuses what needs a model that takes a reference."""
        self._refuse_references(found)
        if not self.input.strip():
            raise InvalidRequest("input: must not be blank", param="input")
        voice = self.voice.id if isinstance(self.voice, VoiceBody) else self.voice
        return Speak(
            model=found.id,
            text=self.input,
            voice=voice,
            language=self._language(),
            speed=1.0 if self.speed is None else self.speed,
            format=self.format(default),
        )

    def format(self, default: AudioFormat = "mp3") -> AudioFormat:
        """The form in which the sound is encoded."""
        asked = self.response_format or default
        return ENVELOPES.get(asked) or cast("AudioFormat", asked)

    def _refuse_references(self, found: Found[SpeechModel]) -> None:
        task = (self.task_type or "").lower().replace("_", "").replace("-", "")
        if task not in TASKS:
            raise InvalidRequest(
                f"task_type: {task[:50]!r} is not one of CustomVoice, VoiceDesign, VoiceClone",
                param="task_type",
            )
        for name, is_asked in (
            ("voice_profile", self.voice_profile is not None),
            ("ref_audio", self.ref_audio is not None),
            ("task_type", task in CLONE_TASKS or task == "voicedesign"),
        ):
            if is_asked:
                raise UnsupportedCapability(
                    f"{name}: model {found.id!r} speaks with its preset voices only; "
                    "models that clone: none is configured",
                    param=name,
                )

    def _language(self) -> str | None:
        """A code or a locale as it is, an English name as its code; Auto is None."""
        if self.language is None or self.language.strip().lower() in ("", "auto"):
            return None
        code = language_code(self.language)
        if code is None:
            raise InvalidRequest(
                f"language: unknown language {self.language[:50]!r}; use an ISO code such as 'en'",
                param="language",
            )
        folded = self.language.strip().lower().replace("_", "-")
        return folded if folded.partition("-")[0] == code else code


class SpeechBatchBody(SpeechShared):
    """POST /v1/audio/speech/batch: bodies that inherit the shared fields."""

    items: list[dict[str, object]] = Field(min_length=1, max_length=64)
