"""What the pipelines that make films are made of, and the stages that they share."""

from dataclasses import dataclass

from serve_app.core.depth import DepthEstimator
from serve_app.core.images import ImageModel, Images, TextToImage
from serve_app.core.interpolation import Interpolator
from serve_app.core.media import BlobStore
from serve_app.core.media_processing import MediaProcessor
from serve_app.core.sound import SoundModel
from serve_app.core.speech import SpeechModel
from serve_app.core.stages import Stage, result_of
from serve_app.core.stems import StemSeparator
from serve_app.core.transcription import TranscriptionModel
from serve_app.core.translation import Translator
from serve_app.core.upscaling import Upscaler
from serve_app.core.video import GeneratedVideo, GenerateVideo, VideoModel


@dataclass(frozen=True)
class FilmParts:
    """Everything that makes and finishes films."""

    images: ImageModel
    video: VideoModel
    interpolation: Interpolator
    upscaling: Upscaler
    depth: DepthEstimator
    speech: SpeechModel
    transcription: TranscriptionModel
    translator: Translator
    stems: StemSeparator
    sound: SoundModel
    media: MediaProcessor
    blobs: BlobStore


async def drawn(parts: FilmParts, stage: Stage, name: str, picture: TextToImage) -> Images:
    """The pictures, drawn in the stage `name`."""
    return await stage(
        name, lambda: result_of(stage, name, parts.images.text_to_image(picture), Images)
    )


async def generated(
    parts: FilmParts, stage: Stage, name: str, generation: GenerateVideo
) -> GeneratedVideo:
    """The film, made in the stage `name`."""
    return await stage(
        name,
        lambda: result_of(stage, name, parts.video.generate_video(generation), GeneratedVideo),
    )
