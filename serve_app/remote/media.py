"""The core Protocols of media over Serve handles."""

from collections.abc import AsyncGenerator
from typing import cast

from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio
from serve_app.core.audio.diarization import DiarizationEvent, Diarize
from serve_app.core.audio.speech import CloneEvent, CloneSpeech, Speak, SpeechEvent, Voice
from serve_app.core.audio.stems import SeparateStems, StemEvent
from serve_app.core.audio.transcription import Transcribe, TranscriptionEvent
from serve_app.core.audio.voice_conversion import ConversionEvent, ConvertVoice
from serve_app.core.image.captioning import DescribeImage, DescriptionEvent
from serve_app.core.image.depth import ConvertToStereo, DepthEvent, EstimateDepth, StereoEvent
from serve_app.core.image.face_swap import (
    ExtractedImages,
    ExtractImages,
    FaceSwapEvent,
    SwapFaces,
)
from serve_app.core.image.images import ImageEvent, ImageToImage, Inpaint, TextToImage
from serve_app.core.image.segmentation import SegmentEvent, SegmentImage
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.message import Progress
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo
from serve_app.core.video.generation import GenerateVideo, VideoEvent
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    ExtractedAudio,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithAudio,
)
from serve_app.remote.family import Remote


class RemoteSpeech(Remote):
    """A SpeechModel."""

    def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """See SpeechModel."""
        return self._stream("speak", request.model, request)

    def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        """See SpeechModel."""
        return self._stream("clone", request.model, request)

    async def voices(self, model: str) -> tuple[Voice, ...]:
        """See SpeechModel."""
        return cast("tuple[Voice, ...]", await self._call("voices", model, model))


class RemoteTranscription(Remote):
    """A TranscriptionModel."""

    def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        """See TranscriptionModel."""
        return self._stream("transcribe", request.model, request)


class RemoteDiarization(Remote):
    """A Diarizer."""

    def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        """See Diarizer."""
        return self._stream("diarize", request.model, request)


class RemoteImages(Remote):
    """An ImageModel."""

    def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        """See ImageModel."""
        return self._stream("text_to_image", request.model, request)

    def image_to_image(self, request: ImageToImage) -> AsyncGenerator[ImageEvent]:
        """See ImageModel."""
        return self._stream("image_to_image", request.model, request)

    def inpaint(self, request: Inpaint) -> AsyncGenerator[ImageEvent]:
        """See ImageModel."""
        return self._stream("inpaint", request.model, request)


class RemoteSegmentation(Remote):
    """A SegmentationModel."""

    def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        """See SegmentationModel."""
        return self._stream("segment_image", request.model, request)


class RemoteFaces(Remote):
    """A FaceModel."""

    def swap_faces(self, request: SwapFaces) -> AsyncGenerator[FaceSwapEvent]:
        """See FaceModel."""
        return self._stream("swap_faces", request.model, request)

    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        """See FaceModel."""
        found = await self._call("extract_images", request.model, request)
        return cast("ExtractedImages", found)


class RemoteUpscaling(Remote):
    """An Upscaler."""

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        return self._stream("upscale", request.model, request)

    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """See Upscaler."""
        return self._stream("upscale_video", request.model, request)


class RemoteDepth(Remote):
    """A DepthEstimator."""

    def estimate_depth(self, request: EstimateDepth) -> AsyncGenerator[DepthEvent]:
        """See DepthEstimator."""
        return self._stream("estimate_depth", request.model, request)

    def convert_to_stereo(self, request: ConvertToStereo) -> AsyncGenerator[StereoEvent]:
        """See DepthEstimator."""
        return self._stream("convert_to_stereo", request.model, request)


class RemoteCaptions(Remote):
    """An ImageDescriber."""

    def describe_image(self, request: DescribeImage) -> AsyncGenerator[DescriptionEvent]:
        """See ImageDescriber."""
        return self._stream("describe_image", request.model, request)


class RemoteVideo(Remote):
    """A VideoModel."""

    def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        """See VideoModel."""
        return self._stream("generate_video", request.model, request)


class RemoteInterpolation(Remote):
    """An Interpolator."""

    def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        """See Interpolator."""
        return self._stream("interpolate", request.model, request)


class RemoteStems(Remote):
    """A StemSeparator."""

    def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        """See StemSeparator."""
        return self._stream("separate_stems", request.model, request)


class RemoteConversion(Remote):
    """A VoiceConverter."""

    def convert_voice(self, request: ConvertVoice) -> AsyncGenerator[ConversionEvent]:
        """See VoiceConverter."""
        return self._stream("convert_voice", request.model, request)


class RemoteAudio(Remote):
    """An AudioGenerator."""

    def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        """See AudioGenerator."""
        return self._stream("generate_audio", request.model, request)


class RemoteMedia(Remote):
    """A MediaProcessor. Its family has no models; the engine goes by the family's name."""

    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        """See MediaProcessor."""
        return cast("ExtractedAudio", await self._call("extract_audio", self.name, request))

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        """See MediaProcessor."""
        return cast("VideoWithAudio", await self._call("replace_audio", self.name, request))

    async def assemble_video(self, request: AssembleVideo) -> AssembledVideo:
        """See MediaProcessor."""
        return cast("AssembledVideo", await self._call("assemble_video", self.name, request))

    def burn_subtitles(self, request: BurnSubtitles) -> AsyncGenerator[Progress | SubtitledVideo]:
        """See MediaProcessor."""
        return self._stream("burn_subtitles", self.name, request)
