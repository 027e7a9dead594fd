"""Videos in which there is nothing to subtitle or to dub."""

from serve_app.core.audio.transcription import Transcript
from serve_app.core.errors import InvalidRequest


def check_speech(transcript: Transcript) -> None:
    """InvalidRequest where nothing was transcribed."""
    if not any(has_words(segment.text) for segment in transcript.segments):
        raise InvalidRequest("the video has no speech", param="video")


def has_words(text: str) -> bool:
    """Whether there is anything to say; transcription models write notes and dots for music."""
    return any(character.isalnum() for character in text)
