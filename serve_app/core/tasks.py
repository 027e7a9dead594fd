"""The table of tasks. Everything that lists tasks reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal[
    "chat",
    "embeddings",
    "rerank",
    "translation",
    "speech",
    "transcription",
    "diarization",
    "images",
    "segmentation",
    "faces",
    "upscaling",
    "depth",
    "captioning",
    "video",
    "interpolation",
    "stems",
    "conversion",
    "sound",
    "media",
]
ModelType = Literal["text", "image", "video", "audio", "tts", "vision", "embedding", "rerank"]
Capability = Literal[
    "text_generation",
    "image_to_text",
    "embeddings",
    "rerank",
    "image_generation",
    "image_to_image",
    "inpainting",
    "controlnet",
    "depth_estimation",
    "image_segmentation",
    "image_upscaling",
    "face_restoration",
    "object_detection",
    "style_transfer",
    "video_generation",
    "image_to_video",
    "video_to_video",
    "video_interpolation",
    "video_upscaling",
    "speech_to_text",
    "text_to_speech",
    "subtitle_generation",
    "audio_generation",
    "audio_to_audio",
    "lip_sync",
    "video_dubbing",
]


@dataclass(frozen=True)
class TaskRow:
    """What is known of a task.

    `label` stands before "model" in messages. `type` is what its models are listed as; None where
    no request can name one. `capabilities` are those of every model of the task, `coarse` one name
    for them together. `example` is a family to add where no built-in engine does the task. Answers
    of one that `streams` come while they are made. Only families without models do what has no
    `has_models`, and so it has no default either. With `is_upstream`, models of providers can be
    asked for it; what `is_small` besides goes to them from the process that a client is connected
    to, because a hop between processes would show.
    """

    label: str
    type: ModelType | None = None
    capabilities: tuple[Capability, ...] = ()
    coarse: str | None = None
    example: str = ""
    streams: bool = False
    has_models: bool = True
    is_upstream: bool = False
    is_small: bool = False

    @property
    def suggestion(self) -> str:
        """The example as the end of a sentence that says to add a family."""
        return f", such as {self.example}" if self.example else ""


TASKS: Mapping[Task, TaskRow] = {
    "chat": TaskRow(
        "text",
        "text",
        ("text_generation",),
        coarse="llm",
        streams=True,
        is_upstream=True,
        is_small=True,
    ),
    "embeddings": TaskRow(
        "embedding", "embedding", ("embeddings",), is_upstream=True, is_small=True
    ),
    "rerank": TaskRow("rerank", "rerank", ("rerank",), is_upstream=True, is_small=True),
    # Its capability is that of which it is a part: no name is for translation alone.
    "translation": TaskRow("translation", "text", ("video_dubbing",)),
    "speech": TaskRow(
        "speech", "tts", ("text_to_speech",), coarse="tts", streams=True, is_upstream=True
    ),
    "transcription": TaskRow(
        "transcription",
        "audio",
        ("speech_to_text", "subtitle_generation"),
        coarse="asr",
        streams=True,
        is_upstream=True,
    ),
    "diarization": TaskRow("speaker diarization"),
    "images": TaskRow(
        "image", "image", ("image_generation", "image_to_image", "inpainting"), is_upstream=True
    ),
    "segmentation": TaskRow("segmentation", "image", ("image_segmentation",)),
    "faces": TaskRow("face", "image", ("object_detection",)),
    "upscaling": TaskRow(
        "upscaling",
        "image",
        ("image_upscaling", "video_upscaling"),
        example="{engine: swin2sr} with the source caidas/swin2SR-classical-sr-x2-64",
    ),
    "depth": TaskRow(
        "depth",
        "image",
        ("depth_estimation",),
        example="{engine: transformers, task: depth} with the source "
        "depth-anything/Depth-Anything-V2-Small-hf",
    ),
    "captioning": TaskRow(
        "captioning",
        "vision",
        ("image_to_text",),
        example="{engine: transformers, task: captioning} with the source "
        "Salesforce/blip-image-captioning-base",
    ),
    "video": TaskRow("video", "video", ("video_generation",), is_upstream=True),
    "interpolation": TaskRow("frame interpolation", "video", ("video_interpolation",)),
    "stems": TaskRow("stem separation", "audio", ("audio_to_audio",)),
    "conversion": TaskRow("voice conversion", "audio", ("audio_to_audio",)),
    "sound": TaskRow(
        "sound",
        "audio",
        ("audio_generation",),
        example="{engine: musicgen} with the source facebook/musicgen-small",
    ),
    "media": TaskRow("media", has_models=False),
}
MODEL_TASKS: tuple[Task, ...] = tuple(task for task, row in TASKS.items() if row.has_models)
"""Those whose families have models, one of which is the default."""
UPSTREAM_TASKS: frozenset[Task] = frozenset(task for task, row in TASKS.items() if row.is_upstream)
"""What models of providers can be asked for."""
SMALL_TASKS: frozenset[Task] = frozenset(task for task, row in TASKS.items() if row.is_small)
"""What goes to providers without another process between."""
