"""The core Protocols over Serve handles, so that callers never see Ray."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Any, cast

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from serve_app.core.captioning import DescribeImage, DescriptionEvent
from serve_app.core.chat import Chat, ChatEvent, Complete
from serve_app.core.costs import METER, Spent
from serve_app.core.depth import DepthEvent, EstimateDepth
from serve_app.core.diarization import DiarizationEvent, Diarize
from serve_app.core.embeddings import Embed, Embeddings
from serve_app.core.errors import AppError, BackendUnavailable, InternalError, QueueFull
from serve_app.core.face_swap import (
    ExtractedPictures,
    ExtractPictures,
    FaceSwapEvent,
    SwapFaces,
)
from serve_app.core.film import AssembleFilm, Film
from serve_app.core.images import ImageEvent, ImageToImage, Inpaint, TextToImage
from serve_app.core.media import Blob
from serve_app.core.media_processing import ExtractAudio, ReplaceAudio
from serve_app.core.rerank import Relevance, Rerank
from serve_app.core.segmentation import SegmentEvent, SegmentImage
from serve_app.core.speech import CloneEvent, CloneSpeech, Speak, SpeechEvent, Voice
from serve_app.core.status import ModelStatus
from serve_app.core.stems import SeparateStems, StemEvent
from serve_app.core.transcription import Transcribe, TranscriptionEvent
from serve_app.core.upscaling import UpscaleEvent, UpscaleImage
from serve_app.core.video import GenerateVideo, VideoEvent
from serve_app.core.voice_conversion import ConversionEvent, ConvertVoice


@contextmanager
def remote_errors(name: str) -> Generator[None]:
    """Turn what a handle raises into the error tree; an AppError comes back as it was raised."""
    try:
        yield
    except AppError as error:
        # A RayTaskError twin of the error; the original hangs on it and has no remote traceback.
        cause = getattr(error, "cause", None)
        raise (cause if isinstance(cause, AppError) else error) from None
    except BackPressureError:
        raise QueueFull(
            f"too many requests are waiting for {name!r}; try again later", retry_after_s=5
        ) from None
    except RayActorError:
        raise BackendUnavailable(
            f"the process of {name!r} stopped while it worked on this; try again",
            provider=name,
            retry_after_s=2,
        ) from None
    except DeploymentUnavailableError:
        raise BackendUnavailable(
            f"{name!r} cannot be started; the server's log says why", provider=name
        ) from None
    except RayTaskError as error:
        raise InternalError(
            f"{name!r} failed unexpectedly; the server's log says why", provider=name
        ) from error


class Remote:
    """A family or pipeline behind a handle."""

    def __init__(
        self, name: str, handle: DeploymentHandle[Any], *, has_several_models: bool = False
    ) -> None:
        self.name = name
        self._has_several_models = has_several_models
        # Requests are messages of importable classes, which plain pickle writes at a third of the
        # cost; answers may be errors of any class.
        handle = handle.options(request_serialization="pickle")
        self._call_handle = handle.options(method_name="call")
        self._stream_handle = handle.options(method_name="stream", stream=True)
        self._metered_call_handle = handle.options(method_name="metered_call")
        self._metered_stream_handle = handle.options(method_name="metered_stream", stream=True)
        self._status_handle = handle.options(method_name="status")
        self._load_handle = handle.options(method_name="load_model")
        self._unload_handle = handle.options(method_name="unload_model")

    async def status(self) -> tuple[ModelStatus, ...]:
        """The models' states in one of the replicas; starts one when there is none."""
        with remote_errors(self.name):
            return cast("tuple[ModelStatus, ...]", await self._status_handle.remote())

    async def load_model(self, model_id: str) -> ModelStatus:
        """See Loadable. One of the replicas does it; it is started when there is none."""
        with remote_errors(self.name):
            handle = self._routed(self._load_handle, model_id)
            return cast("ModelStatus", await handle.remote(model_id))

    async def unload_model(self, model_id: str) -> ModelStatus:
        """See Loadable. One of the replicas does it."""
        with remote_errors(self.name):
            handle = self._routed(self._unload_handle, model_id)
            return cast("ModelStatus", await handle.remote(model_id))

    async def _call(self, verb: str, model_id: str, *arguments: object) -> Any:
        meter = METER.get()
        with remote_errors(self.name):
            if meter is None:
                handle = self._routed(self._call_handle, model_id)
                return await handle.remote(verb, model_id, *arguments)
            handle = self._routed(self._metered_call_handle, model_id)
            answer, spent = await handle.remote(verb, model_id, *arguments)
        meter.device_s += spent.device_s
        return answer

    async def _stream(self, verb: str, model_id: str, *arguments: object) -> AsyncGenerator[Any]:
        meter = METER.get()
        handle = self._stream_handle if meter is None else self._metered_stream_handle
        remote = self._routed(handle, model_id).remote(verb, model_id, *arguments)
        response = cast("DeploymentResponseGenerator[Any]", remote)
        try:
            with remote_errors(self.name):
                async for batch in response:
                    for item in batch:
                        if isinstance(item, Spent) and meter is not None:
                            meter.device_s += item.device_s
                        else:
                            yield item
        finally:
            response.cancel()  # type: ignore[no-untyped-call]

    def _routed(self, handle: DeploymentHandle[Any], model_id: str) -> DeploymentHandle[Any]:
        """To a replica that holds the model, where replicas differ in what they hold."""
        return handle.options(multiplexed_model_id=model_id) if self._has_several_models else handle


class RemoteChat(Remote):
    """A ChatModel."""

    def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        """See ChatModel."""
        return self._stream("chat", request.model, request)

    def complete(self, request: Complete) -> AsyncGenerator[ChatEvent]:
        """See ChatModel."""
        return self._stream("complete", request.model, request)


class RemoteEmbeddings(Remote):
    """An EmbeddingModel."""

    async def embed(self, request: Embed) -> Embeddings:
        """See EmbeddingModel."""
        return cast("Embeddings", await self._call("embed", request.model, request))


class RemoteRerank(Remote):
    """A RerankModel."""

    async def rerank(self, request: Rerank) -> Relevance:
        """See RerankModel."""
        return cast("Relevance", await self._call("rerank", request.model, request))


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

    async def extract_pictures(self, request: ExtractPictures) -> ExtractedPictures:
        """See FaceModel."""
        found = await self._call("extract_pictures", request.model, request)
        return cast("ExtractedPictures", found)


class RemoteUpscaling(Remote):
    """An Upscaler."""

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        return self._stream("upscale", request.model, request)


class RemoteDepth(Remote):
    """A DepthEstimator."""

    def estimate_depth(self, request: EstimateDepth) -> AsyncGenerator[DepthEvent]:
        """See DepthEstimator."""
        return self._stream("estimate_depth", request.model, request)


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


class RemoteMedia(Remote):
    """A MediaProcessor. Its family has no models; the engine goes by the family's name."""

    async def extract_audio(self, request: ExtractAudio) -> Blob:
        """See MediaProcessor."""
        return cast("Blob", await self._call("extract_audio", self.name, request))

    async def replace_audio(self, request: ReplaceAudio) -> Blob:
        """See MediaProcessor."""
        return cast("Blob", await self._call("replace_audio", self.name, request))

    async def assemble_film(self, request: AssembleFilm) -> Film:
        """See MediaProcessor."""
        return cast("Film", await self._call("assemble_film", self.name, request))
