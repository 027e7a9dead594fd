"""The operations of this dialect, one row each."""

from dataclasses import dataclass

from serve_app.api.ai_server.audio_operations import (
    ConvertAudioFields,
    SpeechToTextFields,
    TextToSpeechFields,
)
from serve_app.api.ai_server.image_operations import (
    ImageToImageFields,
    ImageToTextFields,
    ImageUpscaleFields,
    ImageWithMaskFields,
    TextToImageFields,
)
from serve_app.api.ai_server.image_processing import (
    ConvertImageFields,
    CropImageFields,
    ScaleImageFields,
    WatermarkImageFields,
)
from serve_app.api.ai_server.operation_body import OperationBody
from serve_app.api.ai_server.video_processing import (
    ConvertVideoFields,
    CropVideoFields,
    ScaleVideoFields,
    TrimVideoFields,
    WatermarkVideoFields,
)
from serve_app.observability.classes import Category

ARTIFACT_STATUS = "GetArtifactGenerationStatus"
TEXT_STATUS = "GetTextGenerationStatus"


@dataclass(frozen=True)
class Row:
    """An operation `name` and its twin: the fields of its `body`, those of its `files`, and what it
    counts as. `posts` and `queue_posts` are for POST alone.
    """

    name: str
    body: type[OperationBody]
    files: tuple[str, ...]
    category: Category
    status: str = ARTIFACT_STATUS
    posts: bool = False
    queue_posts: bool = False

    @property
    def queue_name(self) -> str:
        """That of the twin."""
        return f"Queue{self.name}"

    @property
    def tag(self) -> str:
        """Under which it is described."""
        return {"image": "images", "video": "video"}.get(self.category, "audio")


IMAGE, MASK, VIDEO, MARK, AUDIO = "image", "mask", "video", "watermark", "audio"
ROWS = (
    Row("TextToImage", TextToImageFields, (), "image"),
    Row("ImageToImage", ImageToImageFields, (IMAGE,), "image"),
    Row("ImageWithMask", ImageWithMaskFields, (IMAGE, MASK), "image"),
    Row("ImageUpscale", ImageUpscaleFields, (IMAGE,), "image"),
    Row("ImageToText", ImageToTextFields, (IMAGE,), "image", TEXT_STATUS),
    Row("SpeechToText", SpeechToTextFields, (AUDIO,), "asr", TEXT_STATUS),
    Row("TextToSpeech", TextToSpeechFields, (), "tts"),
    Row("ScaleVideo", ScaleVideoFields, (VIDEO,), "video"),
    Row("CropVideo", CropVideoFields, (VIDEO,), "video"),
    Row("WatermarkVideo", WatermarkVideoFields, (VIDEO, MARK), "video"),
    Row("ConvertVideo", ConvertVideoFields, (VIDEO,), "video"),
    Row("TrimVideo", TrimVideoFields, (VIDEO,), "video"),
    Row("ScaleImage", ScaleImageFields, (IMAGE,), "image", posts=True, queue_posts=True),
    Row("CropImage", CropImageFields, (IMAGE,), "image", posts=True, queue_posts=True),
    Row("WatermarkImage", WatermarkImageFields, (IMAGE, MARK), "image", queue_posts=True),
    Row("ConvertImage", ConvertImageFields, (IMAGE,), "image", posts=True, queue_posts=True),
    Row("ConvertAudio", ConvertAudioFields, (AUDIO,), "tts"),
)
