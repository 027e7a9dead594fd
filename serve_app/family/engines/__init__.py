"""The engine of every family's options: the whole list of what the server can load, by task."""

from pathlib import Path

from serve_app.core.config import Family, Model
from serve_app.core.engine import Engine
from serve_app.core.options.every_engine import AnyEngineOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import audio, image, text, video
from serve_app.family.engines.given import Common, Given
from serve_app.runtime.extras import needed_by


def load_engine(family: Family, storage: Storage, model: Model, path: Path | None) -> Engine:
    """The engine of one model, loaded from its files. Blocks; runs in a replica."""
    from serve_app.blobs.store import FsspecBlobStore

    blobs = FsspecBlobStore(storage.blobs_location)
    given = Given(storage, Common(model=model, path=path, blobs=blobs))
    with needed_by(family.options):
        return _engine(family.options, given)


def _engine(options: AnyEngineOptions, given: Given) -> Engine:
    match options.task:
        case "chat":
            return text.chat(options, given)
        case "embeddings":
            return text.embeddings(options, given)
        case "rerank":
            return text.rerank(options, given)
        case "translation":
            return text.translation(options, given)
        case "images":
            return image.images(options, given)
        case "segmentation":
            return image.segmentation(options, given)
        case "faces":
            return image.faces(options, given)
        case "upscaling":
            return image.upscaling(options, given)
        case "depth":
            return image.depth(options, given)
        case "captioning":
            return image.captioning(options, given)
        case "speech":
            return audio.speech(options, given)
        case "transcription":
            return audio.transcription(options, given)
        case "diarization":
            return audio.diarization(options, given)
        case "stems":
            return audio.stems(options, given)
        case "conversion":
            return audio.conversion(options, given)
        case "sound":
            return audio.sound(options, given)
        case "video":
            return video.video(options, given)
        case "interpolation":
            return video.interpolation(options, given)
        case "media":
            return video.media(options, given)
