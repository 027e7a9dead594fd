"""Fields of operations by the names that the native dialect has for them."""

from collections.abc import Mapping

FIELDS: Mapping[str, Mapping[str, str]] = {
    "audio.speech": {"text": "input"},
    "audio.clone": {"text": "input", "reference": "ref_audio"},
    "audio.convert": {"source": "source_audio", "target": "target_voice"},
    "audio.transcription": {"mode": "task_type"},
    "audio.stems": {"allows_fallback": "fallback_mode"},
}
"""By operation; those that are not listed are called as in the core."""
