"""The engine of every family's options: the whole list of what the server can load, by task."""

from pathlib import Path

from serve_app.core.config import Family, Model
from serve_app.core.engine import Engine
from serve_app.core.options.every_engine import AnyEngineOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import (
    captioning,
    chat,
    conversion,
    depth,
    diarization,
    embeddings,
    faces,
    images,
    interpolation,
    media,
    rerank,
    segmentation,
    sound,
    speech,
    stems,
    transcription,
    translation,
    upscaling,
    video,
)
from serve_app.family.engines.given import CommonArguments, EngineSetup
from serve_app.runtime.extras import needed_by


def load_engine(family: Family, storage: Storage, model: Model, path: Path | None) -> Engine:
    """The engine of one model, loaded from its files. Blocks; runs in a replica."""
    from serve_app.blobs.store import FsspecBlobStore

    blobs = FsspecBlobStore(storage.blobs_location)
    given = EngineSetup(storage, CommonArguments(model=model, path=path, blobs=blobs))
    with needed_by(family.options):
        return make_engine(family.options, given)


def make_engine(options: AnyEngineOptions, given: EngineSetup) -> Engine:
    """The engine that the options ask for. Blocks while it loads."""
    # A table: one line for each task, of which the type checker sees that none is forgotten.
    # fmt: off
    match options.task:
        case "chat": return chat.engine(options, given)
        case "embeddings": return embeddings.engine(options, given)
        case "rerank": return rerank.engine(options, given)
        case "translation": return translation.engine(options, given)
        case "images": return images.engine(options, given)
        case "segmentation": return segmentation.engine(options, given)
        case "faces": return faces.engine(options, given)
        case "upscaling": return upscaling.engine(options, given)
        case "depth": return depth.engine(options, given)
        case "captioning": return captioning.engine(options, given)
        case "speech": return speech.engine(options, given)
        case "transcription": return transcription.engine(options, given)
        case "diarization": return diarization.engine(options, given)
        case "stems": return stems.engine(options, given)
        case "conversion": return conversion.engine(options, given)
        case "sound": return sound.engine(options, given)
        case "video": return video.engine(options, given)
        case "interpolation": return interpolation.engine(options, given)
        case "media": return media.engine(options, given)
    # fmt: on
