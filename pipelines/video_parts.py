"""What the pipelines that make videos are made of, and the stages that they share."""

from dataclasses import dataclass

from serve_app.core.audio.audio_generation import AudioGenerator
from serve_app.core.audio.speech import SpeechModel
from serve_app.core.audio.stems import StemSeparator
from serve_app.core.audio.transcription import TranscriptionModel
from serve_app.core.image.depth import DepthEstimator
from serve_app.core.image.images import ImageModel, Images, TextToImage
from serve_app.core.image.upscaling import Upscaler
from serve_app.core.media import BlobStore
from serve_app.core.stages import Stage, result_of
from serve_app.core.text.translation import Translator
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo, VideoModel
from serve_app.core.video.interpolation import Interpolator
from serve_app.core.video.processing import MediaProcessor


@dataclass(frozen=True)
class VideoParts:
    """Everything that makes and finishes videos."""

    images: ImageModel
    video: VideoModel
    interpolation: Interpolator
    upscaling: Upscaler
    depth: DepthEstimator
    speech: SpeechModel
    transcription: TranscriptionModel
    translator: Translator
    stems: StemSeparator
    audio: AudioGenerator
    media: MediaProcessor
    blobs: BlobStore


async def drawn(parts: VideoParts, stage: Stage, name: str, image: TextToImage) -> Images:
    """The images, drawn in the stage `name`."""
    return await stage(
        name, lambda: result_of(stage, name, parts.images.text_to_image(image), Images)
    )


async def generated(
    parts: VideoParts, stage: Stage, name: str, generation: GenerateVideo
) -> GeneratedVideo:
    """The video, made in the stage `name`."""
    return await stage(
        name,
        lambda: result_of(stage, name, parts.video.generate_video(generation), GeneratedVideo),
    )
