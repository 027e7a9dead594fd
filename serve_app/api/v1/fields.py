"""Fields of operations by the names that the native dialect has for them."""

from collections.abc import Mapping

from serve_app.api.dialect import OwnNames

DUBBING = {
    "burns_subtitles": "burn_subtitles",
    "clones_voice": "voice_clone",
    "source_language": "source_lang",
    "target_language": "target_lang",
}
RENDERING = {
    "duration_s": "duration_seconds",
    "offload": "offload_strategy",
    "steps": "num_inference_steps",
}
IMAGES = {
    "compression": "output_compression",
    "count": "n",
    "format": "output_format",
    "references": "character_references",
}
SIZE = ("width", "height")
FIELDS: Mapping[str, Mapping[str, OwnNames]] = {
    "audio.speech": {"format": "response_format", "text": "input"},
    "audio.clone": {
        "format": "response_format",
        "reference": "ref_audio",
        "reference_text": "ref_text",
        "text": "input",
    },
    "audio.convert": {
        "guidance": "inference_cfg_rate",
        "is_singing": "f0_condition",
        "source": "source_audio",
        "target": "target_voice",
    },
    "audio.transcription": {"audio": "file", "mode": "task_type"},
    "audio.stems": {"allows_fallback": "fallback_mode"},
    "complete": {"prompts": "prompt"},
    "embed": {"texts": "input", "images": "image"},
    "image.edit": IMAGES,
    "image.generation": IMAGES,
    "image.inpaint": IMAGES,
    "image.upscale": {
        "allows_resize": "allow_resize",
        "compression": "output_compression",
        "format": "output_format",
    },
    "image.variation": IMAGES,
    "pipeline.story": {
        "animates": "animate",
        "guidance_scale": "image_cfg",
        "references": "character_references",
        "size": "image_size",
        "speech_model": "tts_model",
        "steps": "image_steps",
        "voice": "tts_voice",
    },
    "pipeline.video-dub": DUBBING,
    "video.generation": {**RENDERING, "references": "character_references", "size": SIZE},
    "video.rendering": {**RENDERING, "size": SIZE},
    "video.subtitle": {"burns": "burn", "target_language": "target_lang"},
    "video.upscale": {"factor": "upscale_factor", "allows_resize": "allow_resize"},
}
"""By operation, also of those that it is done by. What is not listed is called as in the core."""
