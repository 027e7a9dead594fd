"""`execute`: one match from an operation's type to the model that runs it."""

from collections.abc import AsyncIterator, Awaitable

from serve_app.core.captioning import DescribeImage
from serve_app.core.chat import Chat, Complete
from serve_app.core.depth import EstimateDepth
from serve_app.core.embeddings import Embed
from serve_app.core.face_swap import SwapFaces
from serve_app.core.images import ImageToImage, Inpaint, TextToImage
from serve_app.core.interpolation import InterpolateVideo
from serve_app.core.message import Message
from serve_app.core.operations import Operation
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.rerank import Rerank
from serve_app.core.segmentation import SegmentImage
from serve_app.core.sound import GenerateSound
from serve_app.core.speech import CloneSpeech, Speak
from serve_app.core.stems import SeparateStems
from serve_app.core.transcription import Transcribe
from serve_app.core.translation import Translate
from serve_app.core.upscaling import UpscaleImage, UpscaleVideo
from serve_app.core.voice_conversion import ConvertVoice
from serve_app.diarized_transcription import transcribed
from serve_app.models import Models


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
        case GenerateSound():
            return models.sound(operation.model).runs.generate_sound(operation)
        case PipelineOperation():
            return models.pipeline(type(operation))(operation)


async def _single(result: Awaitable[Message]) -> AsyncIterator[Message]:
    yield await result
