"""An engine of each task: a loaded model with the verbs of the task's Protocol."""

from typing import Protocol

from serve_app.core.audio.audio_generation import AudioGenerator
from serve_app.core.audio.diarization import Diarizer
from serve_app.core.audio.speech import SpeechModel
from serve_app.core.audio.stems import StemSeparator
from serve_app.core.audio.transcription import TranscriptionModel
from serve_app.core.audio.voice_conversion import VoiceConverter
from serve_app.core.engine import Engine
from serve_app.core.image.captioning import ImageDescriber
from serve_app.core.image.depth import DepthEstimator
from serve_app.core.image.face_swap import FaceModel
from serve_app.core.image.images import ImageModel
from serve_app.core.image.segmentation import SegmentationModel
from serve_app.core.image.upscaling import Upscaler
from serve_app.core.text.chat import ChatModel
from serve_app.core.text.embeddings import EmbeddingModel
from serve_app.core.text.rerank import RerankModel
from serve_app.core.text.translation import Translator
from serve_app.core.video.generation import VideoModel
from serve_app.core.video.interpolation import Interpolator
from serve_app.core.video.processing import MediaProcessor


class ChatEngine(ChatModel, Engine, Protocol):
    """Of the task `chat`."""


class EmbeddingEngine(EmbeddingModel, Engine, Protocol):
    """Of the task `embeddings`."""


class RerankEngine(RerankModel, Engine, Protocol):
    """Of the task `rerank`."""


class TranslationEngine(Translator, Engine, Protocol):
    """Of the task `translation`."""


class ImageEngine(ImageModel, Engine, Protocol):
    """Of the task `images`."""


class SegmentationEngine(SegmentationModel, Engine, Protocol):
    """Of the task `segmentation`."""


class FaceEngine(FaceModel, Engine, Protocol):
    """Of the task `faces`."""


class UpscalingEngine(Upscaler, Engine, Protocol):
    """Of the task `upscaling`."""


class DepthEngine(DepthEstimator, Engine, Protocol):
    """Of the task `depth`."""


class CaptioningEngine(ImageDescriber, Engine, Protocol):
    """Of the task `captioning`."""


class SpeechEngine(SpeechModel, Engine, Protocol):
    """Of the task `speech`."""


class TranscriptionEngine(TranscriptionModel, Engine, Protocol):
    """Of the task `transcription`."""


class DiarizationEngine(Diarizer, Engine, Protocol):
    """Of the task `diarization`."""


class StemEngine(StemSeparator, Engine, Protocol):
    """Of the task `stems`."""


class ConversionEngine(VoiceConverter, Engine, Protocol):
    """Of the task `conversion`."""


class AudioGenerationEngine(AudioGenerator, Engine, Protocol):
    """Of the task `sound`."""


class VideoEngine(VideoModel, Engine, Protocol):
    """Of the task `video`."""


class InterpolationEngine(Interpolator, Engine, Protocol):
    """Of the task `interpolation`."""


class MediaEngine(MediaProcessor, Engine, Protocol):
    """Of the task `media`."""
