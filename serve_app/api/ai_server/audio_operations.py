"""What speaks, transcribes and converts audio."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.image_operations import Seed
from serve_app.api.ai_server.known_models import check_media, named_voice, voice_for
from serve_app.api.ai_server.operation_body import OperationBody
from serve_app.api.ai_server.scalars import NOT_EMPTY, Words, one_of
from serve_app.api.ai_server.service_error import ServiceError, missing, unsupported
from serve_app.api.call import Call
from serve_app.catalog.transcription_routing import select
from serve_app.core.audio.audio_processing import (
    AUDIO_FILE_MIME,
    AudioFileFormat,
    ConvertAudioStep,
    ProcessAudio,
)
from serve_app.core.audio.speech import Speak
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

INPUT_CHARACTERS = 16_384
NO_FORMAT, BAD_FORMAT = "No output format provided", "Invalid output format"


class TextToSpeechFields(OperationBody):
    """TextToSpeech, whose text is `input` or `text`; `model` is a model or a voice."""

    names: ClassVar = {"input": ("text",)}

    input: Annotated[Words, Field(max_length=INPUT_CHARACTERS), NOT_EMPTY]
    model: Annotated[Words, Field(max_length=500)] | None = None
    seed: Seed | None = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:  # noqa: ARG002
        """The operation."""
        found, voice = await voice_for(call.context.catalog, self.model)
        return Speak(model=found.id, text=self.input, voice=voice, seed=self.seed, format="mp3")

    def notices(self, operation: Operation[Any]) -> tuple[Notice, ...]:
        """That the model has no such voice: its own one is heard then."""
        voice = named_voice(self.model)
        if voice is None or not isinstance(operation, Speak) or operation.voice is not None:
            return ()
        text = f"{operation.model!r} has no voice {voice!r}; its own voice is heard"
        return (Notice(field="voice", text=text),)


class SpeechToTextFields(OperationBody):
    """SpeechToText."""

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        audio = await files.take("audio", missing("Audio"))
        catalog = call.context.catalog
        if not catalog.every("transcription"):
            raise unsupported("transcription")
        return Transcribe(model=select(catalog, None, None).id, audio=audio)


class ConvertAudioFields(OperationBody):
    """ConvertAudio."""

    output_format: (
        Annotated[
            AudioFileFormat,
            BeforeValidator(one_of({name: name for name in AUDIO_FILE_MIME}, otherwise=BAD_FORMAT)),
        ]
        | None
    ) = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        check_media(call.context.catalog)
        audio = await files.take("audio", ServiceError("No audio file provided"))
        if self.output_format is None:
            raise ServiceError(NO_FORMAT)
        return ProcessAudio(audio=audio, steps=(ConvertAudioStep(format=self.output_format),))
