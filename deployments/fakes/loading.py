"""The fake of every task."""

from deployments.fakes import engine as fake
from serve_app.core.config import Model
from serve_app.core.engine import Engine
from serve_app.core.media import BlobStore
from serve_app.core.options.fake import FakeOptions


def fake_engine(options: FakeOptions, model: Model, blobs: BlobStore) -> Engine:
    """That of the options' task. Each is imported where it is needed, as the real ones are."""
    match options.task:
        case "chat":
            return fake.FakeChat(options, model, blobs=blobs)
        case "embeddings":
            return fake.FakeEmbeddings(options, model, blobs=blobs)
        case "rerank":
            return fake.FakeRerank(options, model, blobs=blobs)
        case "translation":
            from deployments.fakes.translation import FakeTranslation

            return FakeTranslation(options, model, blobs=blobs)
        case "speech":
            return fake.FakeSpeech(options, model, blobs=blobs)
        case "transcription":
            return fake.FakeTranscription(options, model, blobs=blobs)
        case "diarization":
            from deployments.fakes.diarization import FakeDiarization

            return FakeDiarization(options, model, blobs=blobs)
        case "images":
            from deployments.fakes.images import FakeImages

            return FakeImages(options, model, blobs=blobs)
        case "segmentation":
            from deployments.fakes.segmentation import FakeSegmentation

            return FakeSegmentation(options, model, blobs=blobs)
        case "faces":
            from deployments.fakes.faces import FakeFaces

            return FakeFaces(options, model, blobs=blobs)
        case "upscaling":
            from deployments.fakes.vision import FakeUpscaling

            return FakeUpscaling(options, model, blobs=blobs)
        case "depth":
            from deployments.fakes.vision import FakeDepth

            return FakeDepth(options, model, blobs=blobs)
        case "captioning":
            from deployments.fakes.vision import FakeCaptions

            return FakeCaptions(options, model, blobs=blobs)
        case "video":
            from deployments.fakes.video import FakeVideo

            return FakeVideo(options, model, blobs=blobs)
        case "interpolation":
            from deployments.fakes.interpolation import FakeInterpolation

            return FakeInterpolation(options, model, blobs=blobs)
        case "stems":
            from deployments.fakes.stems import FakeStems

            return FakeStems(options, model, blobs=blobs)
        case "conversion":
            from deployments.fakes.conversion import FakeConversion

            return FakeConversion(options, model, blobs=blobs)
        case "sound":
            from deployments.fakes.audio_generation import FakeAudio

            return FakeAudio(options, model, blobs=blobs)
        case "media":
            return fake.FakeMedia(options, model, blobs=blobs)
