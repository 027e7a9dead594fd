"""The body of a speech request and its way into core."""

from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, PrivateAttr

from serve_app.api.job_body import JobBody
from serve_app.api.openai.chat_parts import NestedBody
from serve_app.api.v1.audio.spoken_language import spoken_language
from serve_app.api.v1.audio.voice_references import VoiceReference
from serve_app.api.wire_types import Flag, Integer, MediaText, ModelName, Number, Text
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.audio.speech import AudioFormat, CloneSpeech, Speak
from serve_app.core.errors import InvalidRequest, UnsupportedCapability

OPENAI_MODELS = frozenset({"tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
CLONE_TASKS = frozenset({"voiceclone", "clone", "base"})
ENVELOPES: dict[str, AudioFormat] = {
    "url": "mp3",
    "b64_wav": "wav",
    "b64_mp3": "mp3",
    "json": "mp3",
}
INPUT_CHARACTERS = 16_384
STYLE_FIELDS = ("instructions", "emotion", "style")
OPTIONAL = (*STYLE_FIELDS, "user", "x_vector_only_mode", "max_new_tokens", "ref_text", "seed")
"""What has an effect with some models only, or with none."""


def _first_base64(value: Any) -> Any:
    """The aliases of the medium's first base64 form."""
    return "b64_wav" if value in ("base64", "b64") else value


ResponseFormat = Annotated[
    Literal["mp3", "wav", "opus", "flac", "aac", "pcm", "url", "b64_wav", "b64_mp3", "json"],
    BeforeValidator(_first_base64),
]


class VoiceIdBody(NestedBody):
    """A voice by id, as in OpenAI's newer API."""

    id: Text = Field(min_length=1, max_length=200)


class SpeechShared(JobBody):
    """The fields that a batch can share between its items."""

    model: ModelName | None = None
    voice: Annotated[Text, Field(min_length=1, max_length=200)] | VoiceIdBody | None = None
    response_format: ResponseFormat | None = None
    speed: Annotated[Number, Field(strict=True, ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: Text | None = None
    emotion: Text | None = None
    style: Text | None = None
    voice_profile: Text | None = None
    task_type: Text | None = None
    language: Text | None = None
    ref_audio: MediaText | None = None
    ref_text: Text | None = None
    x_vector_only_mode: Flag | None = None
    max_new_tokens: Annotated[Integer, Field(ge=1)] | None = None
    seed: Integer | None = None
    user: Text | None = None

    _without_effect: set[str] = PrivateAttr(default_factory=lambda: set(OPTIONAL))

    def without_effect(self) -> list[str]:
        """What neither the route nor the model acts on. A recording goes before a profile, and both
        before a voice.
        """
        names = set(self._without_effect)
        if self.ref_audio is not None:
            names.add("voice_profile")
        if self.ref_audio is not None or self.voice_profile is not None:
            names.add("voice")
        return [name for name in sorted(names) if getattr(self, name) is not None]

    def leave(self, *names: str) -> None:
        """These fields have no effect on this route."""
        self._without_effect.update(names)


class SpeechBody(SpeechShared):
    """POST /v1/audio/speech."""

    input: Text = Field(min_length=1, max_length=INPUT_CHARACTERS)

    def found(self, catalog: Catalog) -> CatalogEntry:
        """The model; OpenAI's names mean the default."""
        return catalog.find("speech", self.model_name())

    def model_name(self) -> str | None:
        """None for the default."""
        return None if (self.model or "").lower() in OPENAI_MODELS else self.model

    def voice_name(self) -> str | None:
        """The voice, in whichever spelling."""
        return self.voice.id if isinstance(self.voice, VoiceIdBody) else self.voice

    def to_speak(self, found: CatalogEntry, *, default: AudioFormat = "mp3") -> Speak:
        """The operation, with a voice of the model's own."""
        self._without_effect -= found.family.options.honours
        return Speak(
            model=found.id,
            text=self._text(),
            voice=self.voice_name(),
            language=spoken_language(self.language),
            speed=1.0 if self.speed is None else self.speed,
            seed=self.seed,
            format=self.format(default),
        )

    def to_clone(
        self,
        found: CatalogEntry,
        reference: VoiceReference,
        *,
        default: AudioFormat = "mp3",
    ) -> CloneSpeech:
        """The operation, with the voice of a recording."""
        self._without_effect -= found.family.options.honours
        return CloneSpeech(
            model=found.id,
            text=self._text(),
            reference=reference.audio,
            reference_text=self.ref_text or reference.text,
            language=spoken_language(self.language),
            speed=1.0 if self.speed is None else self.speed,
            seed=self.seed,
            format=self.format(default),
        )

    def format(self, default: AudioFormat = "mp3") -> AudioFormat:
        """The form in which the audio is encoded."""
        requested = self.response_format or default
        return ENVELOPES.get(requested) or cast("AudioFormat", requested)

    def task(self) -> Literal["", "clone", "customvoice"]:
        """InvalidRequest for an unknown one, UnsupportedCapability for what no model does."""
        task = (self.task_type or "").lower().replace("_", "").replace("-", "")
        if task in CLONE_TASKS:
            return "clone"
        if task == "voicedesign":
            raise UnsupportedCapability(
                "no configured model designs voices from a description",
                remedy="set 'voice' instead",
                param="task_type",
            )
        if task not in ("", "customvoice"):
            raise InvalidRequest(
                f"{task[:50]!r} is not one of CustomVoice, VoiceDesign, VoiceClone",
                param="task_type",
            )
        return "customvoice" if task else ""

    def _text(self) -> str:
        if not self.input.strip():
            raise InvalidRequest("the text must not be blank", param="input")
        return self.input


class SpeechBatchBody(SpeechShared):
    """POST /v1/audio/speech/batch: bodies that inherit the shared fields. An item that is no object
    is an error of its own.
    """

    items: list[object] = Field(min_length=1, max_length=64)
