"""What models and voices there are."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.known_models import NAMED_VOICES
from serve_app.api.ai_server.operation_route import Done, operation_routes
from serve_app.api.ai_server.scalars import Whole, YesNo
from serve_app.api.ai_server.service_body import ServiceBody, bound
from serve_app.api.call import Call
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.audio.audio_generation import GenerateAudio
from serve_app.core.audio.speech import Speak
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.image.captioning import DescribeImage
from serve_app.core.image.images import TextToImage
from serve_app.core.image.upscaling import UpscaleImage
from serve_app.core.operation import Operation

NAMED: dict[str, type[Operation[Any]]] = {
    "TextToImage": TextToImage,
    "ImageUpscale": UpscaleImage,
    "ImageToText": DescribeImage,
    "SpeechToText": Transcribe,
    "TextToSpeech": Speak,
    "TextToAudio": GenerateAudio,
}
MEDIA_TYPES = {operation.task: name for name, operation in NAMED.items()}
TAG = "models"


class ListFields(ServiceBody):
    """Which part of a list."""

    skip: Whole | None = None
    take: Whole | None = None
    vision: YesNo | None = None


async def media_models(call: Call, arguments: Arguments) -> Done:  # noqa: ARG001
    """ActiveMediaModels."""
    found = [{"key": each.id, "value": each.id} for each in _media(call)]
    return {"results": found}, None


async def ai_models(call: Call, arguments: Arguments) -> Done:
    """ActiveAiModels."""
    wants_vision = bound(ListFields, arguments).vision
    found = [
        each.id
        for each in call.context.catalog.every("chat")
        if wants_vision is None or wants_vision == ("image_to_text" in each.model.capabilities)
    ]
    return {"results": found}, None


async def voices(call: Call, arguments: Arguments) -> Done:
    """QueryTextToSpeechVoices."""
    speech = call.context.catalog.every("speech")
    names = NAMED_VOICES if speech else ()
    found = [{"id": name, "model": name} for name in (*names, *(each.id for each in speech))]
    return _page(bound(ListFields, arguments), found), None


async def query_media_models(call: Call, arguments: Arguments) -> Done:
    """QueryMediaModels."""
    found = [
        {"id": each.id, "name": each.id, "type": kind, "modelType": kind}
        for each in _media(call)
        for kind in (MEDIA_TYPES[each.family.options.task],)
    ]
    return _page(bound(ListFields, arguments), found), None


def _media(call: Call) -> list[CatalogEntry]:
    found = call.context.catalog.all()
    return [each for each in found if each.family.options.task in MEDIA_TYPES]


def _page(fields: ListFields, found: Sequence[Any]) -> dict[str, Any]:
    offset = max(0, fields.skip or 0)
    end = None if fields.take is None else offset + max(0, fields.take)
    return {"offset": offset, "total": len(found), "results": list(found[offset:end])}


ROUTES: list[BaseRoute] = [
    *operation_routes("ActiveMediaModels", media_models, does="List models for media.", tag=TAG),
    *operation_routes("ActiveAiModels", ai_models, does="List models for chats.", tag=TAG),
    *operation_routes("QueryTextToSpeechVoices", voices, does="List voices.", tag=TAG),
    *operation_routes("QueryMediaModels", query_media_models, does="List models.", tag=TAG),
]
