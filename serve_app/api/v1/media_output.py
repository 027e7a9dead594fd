"""The forms in which generated files are answered: by URL, or in base64 under the form's name."""

from typing import Literal, Self

from serve_app.api.answers import AnswerOutput
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import MediaKind

MediaForm = Literal["url", "b64_json", "b64_wav", "b64_mp3", "b64_mp4"]
BASE64: dict[MediaKind, MediaForm] = {"image": "b64_json", "audio": "b64_wav", "video": "b64_mp4"}


class MediaOutput(AnswerOutput):
    """The form of a file, which is the key of its item."""

    response_format: MediaForm = "url"

    def by_url(self) -> Self:
        """The same with files by URL."""
        return self.model_copy(update={"response_format": "url"})


def media_form(response_format: str | None, medium: MediaKind) -> MediaForm:
    """The form asked for; `base64` and `b64` mean the medium's own.

    InvalidRequest for a form of another medium.
    """
    wanted, own = response_format or "url", BASE64[medium]
    if wanted in ("base64", "b64", own):
        return own
    if wanted != "url":
        raise InvalidRequest(f"{wanted[:50]!r} is not one of url, {own}", param="response_format")
    return "url"


def media_output(response_format: str | None, medium: MediaKind) -> MediaOutput:
    """`media_form` as an output."""
    return MediaOutput(response_format=media_form(response_format, medium))
