"""The engine of every family's options: the whole list of what the server can load.

Each engine is imported inside the branch that needs it, in the replica, so that nothing heavy is
imported before.
"""

from functools import partial
from pathlib import Path

from serve_app.core.config import Family, Model
from serve_app.core.engine import Engine, Report
from serve_app.core.media import BlobStore
from serve_app.core.options.audio import (
    DemucsOptions,
    DiffusersAudioOptions,
    EspeakOptions,
    FasterWhisperOptions,
    HpssOptions,
    MfccOptions,
    MusicgenOptions,
    PiperOptions,
    PocketsphinxOptions,
    PocketTtsOptions,
    RubberbandOptions,
    SpeechT5ConversionOptions,
    TransformersDiarizationOptions,
    TransformersSpeechOptions,
)
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import (
    DiffusersOptions,
    GrabcutOptions,
    InsightfaceOptions,
    LanczosOptions,
    OpencvFacesOptions,
    SpandrelOptions,
    Swin2srOptions,
)
from serve_app.core.options.text import TransformersOptions, VllmOptions
from serve_app.core.options.video import (
    AvOptions,
    CameraMovesOptions,
    DiffusersVideoOptions,
    OpticalFlowOptions,
    RifeOptions,
)
from serve_app.core.settings import Storage

STARTER = "builtin:starter"
STARTER_IMAGES = "builtin:starter-images"


def load_engine(family: Family, storage: Storage, model: Model, path: Path | None) -> Engine:
    """The engine of one model, loaded from its files. Blocks; runs in a replica.

    One line per engine and task.
    """
    from serve_app.blobs.store import FsspecBlobStore

    blobs: BlobStore = FsspecBlobStore(storage.blobs_location)
    match family.options:
        case FakeOptions() as options:
            from deployments.fakes.loading import fake_engine

            return fake_engine(options, model, blobs)
        case TransformersOptions(task="chat") as options:
            from deployments.text.transformers_chat import TransformersChat

            return TransformersChat(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="embeddings") as options:
            from deployments.text.transformers_embeddings import TransformersEmbeddings

            return TransformersEmbeddings(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="translation") as options:
            from deployments.text.transformers_translation import TransformersTranslation

            return TransformersTranslation(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="segmentation") as options:
            from deployments.image.transformers_segmentation import TransformersSegmentation

            return TransformersSegmentation(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="depth") as options:
            from deployments.image.transformers_depth import TransformersDepth

            return TransformersDepth(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="captioning") as options:
            from deployments.image.transformers_captioning import TransformersCaptioning

            return TransformersCaptioning(options, model, path=path, blobs=blobs)
        case TransformersDiarizationOptions() as options:
            from deployments.audio.transformers_diarization import TransformersDiarization

            return TransformersDiarization(options, model, path=path, blobs=blobs)
        case TransformersOptions() as options:
            from deployments.text.transformers_rerank import TransformersRerank

            return TransformersRerank(options, model, path=path, blobs=blobs)
        case DiffusersOptions() as options:
            from deployments.image.diffusers_images import DiffusersImages

            find = partial(_located, storage, model)
            return DiffusersImages(options, model, path=path, blobs=blobs, locate=find)
        case DiffusersVideoOptions() as options:
            from deployments.video.diffusers_video import DiffusersVideo

            return DiffusersVideo(options, model, path=path, blobs=blobs)
        case CameraMovesOptions() as options:
            from deployments.video.camera_moves import CameraMoves

            return CameraMoves(options, model, path=path, blobs=blobs)
        case OpticalFlowOptions() as options:
            from deployments.video.flow_interpolation import FlowInterpolation

            return FlowInterpolation(options, model, path=path, blobs=blobs)
        case RifeOptions() as options:
            from deployments.video.rife_interpolation import RifeInterpolation

            return RifeInterpolation(options, model, path=path, blobs=blobs)
        case VllmOptions() as options:
            from deployments.text.vllm_chat import VllmChat

            return VllmChat(options, model, path=path, blobs=blobs)
        case FasterWhisperOptions() as options:
            from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription

            return FasterWhisperTranscription(options, model, path=path, blobs=blobs)
        case PocketsphinxOptions() as options:
            from deployments.audio.pocketsphinx_transcription import PocketsphinxTranscription

            return PocketsphinxTranscription(options, model, path=path, blobs=blobs)
        case MfccOptions() as options:
            from deployments.audio.mfcc_diarization import MfccDiarization

            return MfccDiarization(options, model, path=path, blobs=blobs)
        case EspeakOptions() as options:
            from deployments.audio.espeak import EspeakSpeech

            return EspeakSpeech(options, model, path=path, blobs=blobs)
        case GrabcutOptions() as options:
            from deployments.image.grabcut import GrabcutSegmentation

            return GrabcutSegmentation(options, model, path=path, blobs=blobs)
        case OpencvFacesOptions() as options:
            from deployments.image.opencv_faces import OpencvFaces

            return OpencvFaces(options, model, path=path, blobs=blobs)
        case InsightfaceOptions() as options:
            from deployments.image.insightface_faces import InsightfaceFaces

            return InsightfaceFaces(options, model, path=path, blobs=blobs)
        case TransformersSpeechOptions(vocoder=part, speaker_model=speaker) as options:
            from deployments.audio.transformers_speech import TransformersSpeech

            extra = _part_path(storage, model, part)
            ears = _part_path(storage, model, speaker)
            return TransformersSpeech(
                options, model, path=path, blobs=blobs, part=extra, speaker_model=ears
            )
        case PocketTtsOptions(audio_tokenizer=part) as options:
            from deployments.audio.transformers_speech import TransformersSpeech

            extra = _part_path(storage, model, part)
            return TransformersSpeech(options, model, path=path, blobs=blobs, part=extra)
        case PiperOptions() as options:
            from deployments.audio.piper import PiperSpeech

            return PiperSpeech(options, model, path=path, blobs=blobs)
        case Swin2srOptions() as options:
            from deployments.image.swin2sr_upscaling import Swin2srUpscaling

            return Swin2srUpscaling(options, model, path=path, blobs=blobs)
        case SpandrelOptions() as options:
            from deployments.image.spandrel_upscaling import SpandrelUpscaling

            return SpandrelUpscaling(options, model, path=path, blobs=blobs)
        case LanczosOptions() as options:
            from deployments.image.lanczos_upscaling import LanczosUpscaling

            return LanczosUpscaling(options, model, path=path, blobs=blobs)
        case DemucsOptions() as options:
            from deployments.audio.demucs_stems import DemucsStems

            return DemucsStems(options, model, path=path, blobs=blobs)
        case HpssOptions() as options:
            from deployments.audio.hpss_stems import HpssStems

            return HpssStems(options, model, path=path, blobs=blobs)
        case SpeechT5ConversionOptions(vocoder=vocoder, speaker_model=speaker) as options:
            from deployments.audio.speecht5_conversion import SpeechT5Conversion

            return SpeechT5Conversion(
                options,
                model,
                path=path,
                blobs=blobs,
                vocoder=_part_path(storage, model, vocoder),
                speaker_model=_part_path(storage, model, speaker),
            )
        case RubberbandOptions() as options:
            from deployments.audio.rubberband_conversion import RubberbandConversion

            return RubberbandConversion(options, model, path=path, blobs=blobs)
        case MusicgenOptions() as options:
            from deployments.audio.musicgen import MusicgenAudio

            return MusicgenAudio(options, model, path=path, blobs=blobs)
        case DiffusersAudioOptions() as options:
            from deployments.audio.diffusers_audio import DiffusersAudio

            return DiffusersAudio(options, model, path=path, blobs=blobs)
        case AvOptions() as options:
            from deployments.video.av_media import AvMedia

            return AvMedia(options, model, path=path, blobs=blobs)


def _part_path(storage: Storage, model: Model, source: str | None) -> Path | None:
    """Where the files of a part are that has a source of its own, a vocoder say."""
    part = model.model_copy(update={"source": source, "revision": None})
    return model_path(storage, part, lambda _: None)


def model_path(storage: Storage, model: Model, report: Report) -> Path | None:
    """Where the model's files are, None where it is built in. They are downloaded, or made, where
    they are not there yet.
    """
    if model.source is None:
        return None
    if model.source == STARTER:
        from deployments.text.starter import ensure_starter

        return ensure_starter(storage.data_dir / "models" / "starter")
    if model.source == STARTER_IMAGES:
        from deployments.image.starter_images import ensure_starter_images

        return ensure_starter_images(storage.data_dir / "models" / "starter-images")
    from serve_app.family.model_files import locate

    return locate(
        model.source,
        revision=model.revision,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=report,
    )


def _located(storage: Storage, model: Model, source: str) -> Path:
    """The files of what an engine lays beside its model."""
    from serve_app.family.model_files import locate

    return locate(
        source,
        revision=None,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=lambda _: None,
    )
