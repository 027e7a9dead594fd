"""`execute`: one match from an operation's type to the model that runs it."""

from collections.abc import AsyncIterator, Awaitable

from serve_app.catalog.catalog import Models
from serve_app.catalog.diarized_transcription import transcribed
from serve_app.core.audio.audio_generation import GenerateAudio
from serve_app.core.audio.speech import CloneSpeech, Speak
from serve_app.core.audio.stems import SeparateStems
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.audio.voice_conversion import ConvertVoice
from serve_app.core.image.captioning import DescribeImage
from serve_app.core.image.depth import EstimateDepth
from serve_app.core.image.face_swap import SwapFaces
from serve_app.core.image.images import ImageToImage, Inpaint, TextToImage
from serve_app.core.image.segmentation import SegmentImage
from serve_app.core.image.upscaling import UpscaleImage, UpscaleVideo
from serve_app.core.message import Message
from serve_app.core.operations import Operation
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.text.chat import Chat, Complete
from serve_app.core.text.embeddings import Embed
from serve_app.core.text.rerank import Rerank
from serve_app.core.text.translation import Translate
from serve_app.core.video.interpolation import InterpolateVideo


def execute(models: Models, operation: Operation) -> AsyncIterator[Message]:
    """Run any operation; what answers once is a stream of one item, the last item is the result.

    Raises what the look-up of the operation's model raises.
    """
    match operation:
        case Chat():
            return models.chat(operation.model).runs.chat(operation)
        case Complete():
            return models.chat(operation.model).runs.complete(operation)
        case Embed():
            return _single(models.embeddings(operation.model).runs.embed(operation))
        case Rerank():
            return _single(models.rerank(operation.model).runs.rerank(operation))
        case Translate():
            return models.translation(operation.model).runs.translate(operation)
        case Speak():
            return models.speech(operation.model).runs.speak(operation)
        case CloneSpeech():
            return models.speech(operation.model).runs.clone(operation)
        case Transcribe():
            return transcribed(models, operation)
        case TextToImage():
            return models.images(operation.model).runs.text_to_image(operation)
        case Inpaint():
            return models.images(operation.model).runs.inpaint(operation)
        case ImageToImage():
            return models.images(operation.model).runs.image_to_image(operation)
        case SegmentImage():
            return models.segmentation(operation.model).runs.segment_image(operation)
        case SwapFaces():
            return models.faces(operation.model).runs.swap_faces(operation)
        case UpscaleImage():
            return models.upscaling(operation.model).runs.upscale(operation)
        case UpscaleVideo():
            return models.upscaling(operation.model).runs.upscale_video(operation)
        case InterpolateVideo():
            return models.interpolation(operation.model).runs.interpolate(operation)
        case EstimateDepth():
            return models.depth(operation.model).runs.estimate_depth(operation)
        case DescribeImage():
            return models.captioning(operation.model).runs.describe_image(operation)
        case SeparateStems():
            return models.stems(operation.model).runs.separate_stems(operation)
        case ConvertVoice():
            return models.conversion(operation.model).runs.convert_voice(operation)
        case GenerateAudio():
            return models.sound(operation.model).runs.generate_audio(operation)
        case PipelineOperation():
            return models.pipeline(type(operation))(operation)


async def _single(result: Awaitable[Message]) -> AsyncIterator[Message]:
    yield await result
