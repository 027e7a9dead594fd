"""What the native dialect is sent for each operation: the bodies, and the names of their fields."""

from collections.abc import Iterator, Mapping

from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.completion_body import CompletionBody
from serve_app.api.openai.embedding_body import EmbeddingBody
from serve_app.api.v1.audio.audio_processing import AudioProcessBody
from serve_app.api.v1.audio.clone import CloneBody
from serve_app.api.v1.audio.convert import ConvertBody
from serve_app.api.v1.audio.speech_body import SpeechBody
from serve_app.api.v1.audio.stems import StemsBody
from serve_app.api.v1.audio.transcription_body import TranscriptionBody
from serve_app.api.v1.images.depth import DepthBody
from serve_app.api.v1.images.face_swap import FaceSwapBody
from serve_app.api.v1.images.image_body import GenerationBody
from serve_app.api.v1.images.image_edit_body import EditBody, InpaintBody, VariationBody
from serve_app.api.v1.images.image_processing import ImageProcessBody
from serve_app.api.v1.images.segmentation import SegmentBody
from serve_app.api.v1.images.upscaling import UpscaleBody
from serve_app.api.v1.text.rerank import RerankBody
from serve_app.api.v1.video.dub import DubBody
from serve_app.api.v1.video.image_to_video import ImageToVideoBody
from serve_app.api.v1.video.story import StoryBody
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_interpolation import InterpolationBody
from serve_app.api.v1.video.video_processing import VideoProcessBody
from serve_app.api.v1.video.video_subtitles import SubtitleBody
from serve_app.api.v1.video.video_upscaling import VideoUpscaleBody
from serve_app.api.wire_object import WireObject

BODIES: Mapping[str, tuple[type[WireObject], ...]] = {
    "audio.clone": (CloneBody,),
    "audio.convert": (ConvertBody,),
    "audio.process": (AudioProcessBody,),
    "audio.speech": (SpeechBody,),
    "audio.stems": (StemsBody,),
    "audio.transcription": (TranscriptionBody,),
    "chat": (ChatBody,),
    "complete": (CompletionBody,),
    "embed": (EmbeddingBody,),
    "image.depth": (DepthBody,),
    "image.edit": (EditBody,),
    "image.faceswap": (FaceSwapBody,),
    "image.generation": (GenerationBody,),
    "image.inpaint": (EditBody, InpaintBody),
    "image.process": (ImageProcessBody,),
    "image.segment": (SegmentBody,),
    "image.upscale": (UpscaleBody,),
    "image.variation": (VariationBody,),
    "pipeline.image-to-video": (ImageToVideoBody,),
    "pipeline.story": (StoryBody,),
    "pipeline.video-dub": (DubBody,),
    "rerank": (RerankBody,),
    "video.generation": (VideoBody,),
    "video.interpolate": (InterpolationBody,),
    "video.process": (VideoProcessBody,),
    "video.subtitle": (SubtitleBody,),
    "video.upscale": (VideoUpscaleBody,),
}
"""What is sent for an operation. Of others that only jobs have, every field is named."""


def _words(bodies: tuple[type[WireObject], ...]) -> Iterator[str]:
    for body in bodies:
        for name, field in body.model_fields.items():
            yield field.alias or name


SENT: Mapping[str, frozenset[str]] = {
    operation: frozenset(_words(bodies)) for operation, bodies in BODIES.items()
}
"""The names of the fields of those bodies."""
