"""What tasks are called in error messages, and what to configure for those that nothing does."""

from collections.abc import Mapping

from serve_app.core.options.engine import Task

TASK_NAMES: dict[Task, str] = {
    "chat": "text",
    "embeddings": "embedding",
    "rerank": "rerank",
    "translation": "translation",
    "speech": "speech",
    "transcription": "transcription",
    "diarization": "speaker diarization",
    "images": "image",
    "segmentation": "segmentation",
    "faces": "face",
    "upscaling": "upscaling",
    "depth": "depth",
    "captioning": "captioning",
    "video": "video",
    "interpolation": "frame interpolation",
    "stems": "stem separation",
    "conversion": "voice conversion",
    "sound": "sound",
    "media": "media",
}

EXAMPLES: Mapping[Task, str] = {
    "upscaling": ", such as {engine: swin2sr} with the source caidas/swin2SR-classical-sr-x2-64",
    "depth": ", such as {engine: transformers, task: depth} with the source "
    "depth-anything/Depth-Anything-V2-Small-hf",
    "captioning": ", such as {engine: transformers, task: captioning} with the source "
    "Salesforce/blip-image-captioning-base",
    "sound": ", such as {engine: musicgen} with the source facebook/musicgen-small",
}
"""What to add for the tasks that no built-in model does."""
