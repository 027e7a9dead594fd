"""Protocol objects that pick the family by the request's `model`, for pipelines."""

from collections.abc import AsyncIterator

from serve_app.catalog.catalog import Models
from serve_app.catalog.diarized_transcription import transcribed
from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio
from serve_app.core.audio.speech import CloneEvent, CloneSpeech, Speak, SpeechEvent, Voice
from serve_app.core.audio.stems import SeparateStems, StemEvent
from serve_app.core.audio.transcription import Transcribe, TranscriptionEvent
from serve_app.core.image.depth import ConvertToStereo, DepthEvent, EstimateDepth, StereoEvent
from serve_app.core.image.images import ImageEvent, ImageToImage, Inpaint, TextToImage
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.text.chat import Chat, ChatEvent, Complete
from serve_app.core.text.translation import Translate, TranslationEvent
from serve_app.core.video.generation import GenerateVideo, VideoEvent
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent


class CatalogChat:
    """A ChatModel over every text model of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def chat(self, request: Chat) -> AsyncIterator[ChatEvent]:
        """See ChatModel."""
        return self._models.chat(request.model).runs.chat(request)

    def complete(self, request: Complete) -> AsyncIterator[ChatEvent]:
        """See ChatModel."""
        return self._models.chat(request.model).runs.complete(request)


class CatalogSpeech:
    """A SpeechModel over every speech model of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def speak(self, request: Speak) -> AsyncIterator[SpeechEvent]:
        """See SpeechModel."""
        return self._models.speech(request.model).runs.speak(request)

    def clone(self, request: CloneSpeech) -> AsyncIterator[CloneEvent]:
        """See SpeechModel."""
        return self._models.speech(request.model).runs.clone(request)

    async def voices(self, model: str) -> tuple[Voice, ...]:
        """See SpeechModel."""
        return await self._models.speech(model).runs.voices(model)


class CatalogTranscription:
    """A TranscriptionModel over every transcription model of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def transcribe(self, request: Transcribe) -> AsyncIterator[TranscriptionEvent]:
        """See TranscriptionModel."""
        return transcribed(self._models, request)


class CatalogTranslation:
    """A Translator over every model of the catalog that translates, or can be told to."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def translate(self, request: Translate) -> AsyncIterator[TranslationEvent]:
        """See Translator."""
        return self._models.translation(request.model).runs.translate(request)


class CatalogVideo:
    """A VideoModel over every video model of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def generate_video(self, request: GenerateVideo) -> AsyncIterator[VideoEvent]:
        """See VideoModel."""
        return self._models.video(request.model).runs.generate_video(request)


class CatalogImages:
    """An ImageModel over every image model of the catalog."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def text_to_image(self, request: TextToImage) -> AsyncIterator[ImageEvent]:
        """See ImageModel."""
        return self._models.images(request.model).runs.text_to_image(request)

    def image_to_image(self, request: ImageToImage) -> AsyncIterator[ImageEvent]:
        """See ImageModel."""
        return self._models.images(request.model).runs.image_to_image(request)

    def inpaint(self, request: Inpaint) -> AsyncIterator[ImageEvent]:
        """See ImageModel."""
        return self._models.images(request.model).runs.inpaint(request)


class CatalogStems:
    """A StemSeparator over every model of the catalog that takes mixes apart."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def separate_stems(self, request: SeparateStems) -> AsyncIterator[StemEvent]:
        """See StemSeparator."""
        return self._models.stems(request.model).runs.separate_stems(request)


class CatalogUpscaling:
    """An Upscaler over every model of the catalog that makes frames larger."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def upscale(self, request: UpscaleImage) -> AsyncIterator[UpscaleEvent]:
        """See Upscaler."""
        return self._models.upscaling(request.model).runs.upscale(request)

    def upscale_video(self, request: UpscaleVideo) -> AsyncIterator[VideoUpscaleEvent]:
        """See Upscaler."""
        return self._models.upscaling(request.model).runs.upscale_video(request)


class CatalogInterpolation:
    """An Interpolator over every model of the catalog that puts frames between frames."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def interpolate(self, request: InterpolateVideo) -> AsyncIterator[InterpolationEvent]:
        """See Interpolator."""
        return self._models.interpolation(request.model).runs.interpolate(request)


class CatalogDepth:
    """A DepthEstimator over every model of the catalog that estimates depth."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def estimate_depth(self, request: EstimateDepth) -> AsyncIterator[DepthEvent]:
        """See DepthEstimator."""
        return self._models.depth(request.model).runs.estimate_depth(request)

    def convert_to_stereo(self, request: ConvertToStereo) -> AsyncIterator[StereoEvent]:
        """See DepthEstimator."""
        return self._models.depth(request.model).runs.convert_to_stereo(request)


class CatalogAudio:
    """An AudioGenerator over every model of the catalog that makes audio."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def generate_audio(self, request: GenerateAudio) -> AsyncIterator[AudioEvent]:
        """See AudioGenerator."""
        return self._models.sound(request.model).runs.generate_audio(request)
