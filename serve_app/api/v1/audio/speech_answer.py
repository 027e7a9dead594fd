"""What is answered for a spoken text that is a job's."""

from typing import Literal, Self

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import links_of
from serve_app.api.v1.media_output import MediaForm
from serve_app.core.audio.speech import SpokenAudio
from serve_app.core.message import Message


class SpeechOutput(AnswerOutput):
    """The form asked for. Encodings are answered by URL: the audio is in a file by then."""

    response_format: (
        Literal["mp3", "wav", "opus", "flac", "aac", "pcm", "url", "b64_wav", "b64_mp3", "json"]
        | None
    ) = None

    @property
    def form(self) -> MediaForm:
        """That of the envelope's item."""
        requested = self.response_format
        return requested if requested == "b64_wav" or requested == "b64_mp3" else "url"

    def by_url(self) -> Self:
        """The same with files by URL."""
        return self.model_copy(update={"response_format": "url"})


async def speech_body(finished: Finished[Message, SpokenAudio, SpeechOutput]) -> AnswerBody:
    """An envelope, or the flat object of `json`."""
    links, audio = links_of(finished), finished.result.audio
    if finished.output.response_format == "json":
        return {"audio": await links.base64(audio), "format": "mp3"}
    return result_envelope(finished, await links.item(audio, finished.output.form))
