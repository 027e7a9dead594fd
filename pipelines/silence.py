"""Films in which there is nothing to be written down or said again."""

from serve_app.core.errors import InvalidRequest
from serve_app.core.transcription import Transcript


def check_speech(transcript: Transcript) -> None:
    """InvalidRequest where no word was heard."""
    if not any(segment.text.strip() for segment in transcript.segments):
        raise InvalidRequest("nobody speaks in the video", param="video")
