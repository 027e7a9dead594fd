"""Fields of operations by the names that the native dialect has for them."""

from collections.abc import Mapping

from serve_app.api.dialect import OwnNames

DUBBING = {"source_language": "source_lang", "target_language": "target_lang"}
RENDERING = {
    "duration_s": "duration_seconds",
    "offload": "offload_strategy",
    "steps": "num_inference_steps",
}
SIZE = ("width", "height")
FIELDS: Mapping[str, Mapping[str, OwnNames]] = {
    "audio.speech": {"text": "input"},
    "audio.clone": {"text": "input", "reference": "ref_audio"},
    "audio.convert": {"source": "source_audio", "target": "target_voice"},
    "audio.transcription": {"audio": "file", "mode": "task_type"},
    "audio.stems": {"allows_fallback": "fallback_mode"},
    "embed": {"texts": "input", "images": "image"},
    "image.upscale": {
        "allows_resize": "allow_resize",
        "compression": "output_compression",
        "format": "output_format",
    },
    "pipeline.video-dub": DUBBING,
    "video.generation": {**RENDERING, "size": SIZE},
    "video.rendering": {**RENDERING, "size": SIZE},
    "video.subtitle": {"target_language": "target_lang"},
    "video.upscale": {"factor": "upscale_factor", "allows_resize": "allow_resize"},
}
"""By operation, also of those that it is done by; what is not listed is called as in the core."""
