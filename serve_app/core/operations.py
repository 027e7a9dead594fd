"""Every operation, its name and its result, and both as JSON for what must outlive a process."""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from serve_app.core.audio.audio_generation import GenerateAudio, GeneratedAudio
from serve_app.core.audio.speech import CloneSpeech, Speak
from serve_app.core.audio.stems import SeparateStems, Stems
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.audio.voice_conversion import ConvertedVoice, ConvertVoice
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.image.depth import DepthMap, EstimateDepth
from serve_app.core.image.face_swap import SwapFaces, SwappedFaces
from serve_app.core.image.images import Images, ImageToImage, Inpaint, TextToImage, VaryImage
from serve_app.core.image.segmentation import SegmentImage, Segments
from serve_app.core.image.upscaling import UpscaledImage, UpscaledVideo, UpscaleImage, UpscaleVideo
from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Message
from serve_app.core.text.chat import Chat, ChatEvent, Complete
from serve_app.core.text.embeddings import Embed, Embeddings
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.core.text.translation import Translate, Translation
from serve_app.core.video.dubbing import DubbedVideo, DubVideo
from serve_app.core.video.image_to_video import AnimatedPrompt, AnimatePrompt
from serve_app.core.video.interpolation import InterpolatedVideo, InterpolateVideo
from serve_app.core.video.production import ProduceVideo, Videos
from serve_app.core.video.story import TellStory, ToldStory
from serve_app.core.video.subtitling import Subtitles, SubtitleVideo

M = TypeVar("M", bound=Message)
Operation = (
    Chat
    | Complete
    | Embed
    | Rerank
    | Translate
    | Speak
    | CloneSpeech
    | Transcribe
    | TextToImage
    | ImageToImage
    | VaryImage
    | Inpaint
    | SegmentImage
    | SwapFaces
    | UpscaleImage
    | UpscaleVideo
    | InterpolateVideo
    | EstimateDepth
    | DescribeImage
    | SeparateStems
    | ConvertVoice
    | GenerateAudio
    | ProduceVideo
    | DubVideo
    | SubtitleVideo
    | TellStory
    | AnimatePrompt
)


class SaidText(Message):
    """All that a text model said, as it came."""

    events: tuple[ChatEvent, ...]


class SpokenAudio(MediaResult):
    """A spoken text, stored."""

    audio: Blob
    duration_s: float

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {self.audio.sha256: Facts(duration_s=self.duration_s)}


Result = (
    SaidText
    | Embeddings
    | Relevance
    | Translation
    | SpokenAudio
    | Transcript
    | Images
    | Segments
    | SwappedFaces
    | UpscaledImage
    | UpscaledVideo
    | InterpolatedVideo
    | DepthMap
    | ImageDescription
    | Stems
    | ConvertedVoice
    | GeneratedAudio
    | Videos
    | DubbedVideo
    | Subtitles
    | ToldStory
    | AnimatedPrompt
)

OPERATIONS: dict[str, tuple[type[Operation], type[Result]]] = {
    "chat": (Chat, SaidText),
    "complete": (Complete, SaidText),
    "embed": (Embed, Embeddings),
    "rerank": (Rerank, Relevance),
    "translate": (Translate, Translation),
    "audio.speech": (Speak, SpokenAudio),
    "audio.clone": (CloneSpeech, SpokenAudio),
    "audio.transcription": (Transcribe, Transcript),
    "image.generation": (TextToImage, Images),
    "image.edit": (ImageToImage, Images),
    "image.variation": (VaryImage, Images),
    "image.inpaint": (Inpaint, Images),
    "image.segment": (SegmentImage, Segments),
    "image.faceswap": (SwapFaces, SwappedFaces),
    "image.upscale": (UpscaleImage, UpscaledImage),
    "image.depth": (EstimateDepth, DepthMap),
    "image.description": (DescribeImage, ImageDescription),
    "audio.stems": (SeparateStems, Stems),
    "audio.convert": (ConvertVoice, ConvertedVoice),
    "audio.generation": (GenerateAudio, GeneratedAudio),
    "video.generation": (ProduceVideo, Videos),
    "video.upscale": (UpscaleVideo, UpscaledVideo),
    "video.interpolate": (InterpolateVideo, InterpolatedVideo),
    "pipeline.video-dub": (DubVideo, DubbedVideo),
    "video.subtitle": (SubtitleVideo, Subtitles),
    "pipeline.story": (TellStory, ToldStory),
    "pipeline.image-to-video": (AnimatePrompt, AnimatedPrompt),
}
"""By public name: the part before the dot is the operation's medium, where it has one."""

_NAMES = {operation: name for name, (operation, _) in OPERATIONS.items()}


class Unreadable(Message):
    """What another version of the server has written and this one cannot read."""


def operation_name(operation: Operation) -> str:
    """The public name."""
    return _NAMES[type(operation)]


def read_operation(name: str, content: dict[str, Any]) -> Operation | Unreadable:
    """The operation that `to_json` wrote."""
    operation: Operation | Unreadable = _read(name, 0, content)
    return operation


def read_result(name: str, content: dict[str, Any]) -> Result | Unreadable:
    """The result that `to_json` wrote."""
    result: Result | Unreadable = _read(name, 1, content)
    return result


def read_message(kind: type[M], content: dict[str, Any]) -> M | Unreadable:
    """The message that `to_json` wrote, also under the field names of an earlier version."""
    for fields in (content, _renamed(content)):
        try:
            # Only in JSON does pydantic read lists as tuples and base64 as bytes when strict.
            return kind.model_validate_json(json.dumps(fields))
        except ValidationError:
            continue
    return Unreadable()


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON; bytes are base64, and numbers that JSON has not are strings: Postgres
    refuses them, and pydantic reads both.
    """
    content: dict[str, Any] = _with_finite_numbers(message.model_dump(mode="json"))
    return content


def _with_finite_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _with_finite_numbers(item) for key, item in value.items()}
    return [_with_finite_numbers(item) for item in value] if isinstance(value, list) else value


def blobs_of(value: object) -> list[Blob]:
    """Every blob that a message, or a collection of them, refers to, at any depth."""
    if isinstance(value, Blob):
        return [value]
    if isinstance(value, Mapping):
        return blobs_of([*value.values()])
    if isinstance(value, Message):
        return [
            blob for name in type(value).model_fields for blob in blobs_of(getattr(value, name))
        ]
    if isinstance(value, tuple | list):
        return [blob for item in value for blob in blobs_of(item)]
    return []


FORMER_FIELDS = {
    "film": "video",
    "film_error": "video_error",
    "keeps_sound": "keeps_audio",
    "picture": "image",
    "picture_error": "image_error",
    "sound": "audio",
}
"""Fields of messages by the names under which earlier versions have stored them."""


def _read(name: str, position: int, content: dict[str, Any]) -> Any:
    if name not in OPERATIONS:
        return Unreadable()
    return read_message(OPERATIONS[name][position], content)


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {FORMER_FIELDS.get(key, key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value
