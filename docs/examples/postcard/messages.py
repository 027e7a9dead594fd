"""The postcard pipeline's messages: an image with a caption that is read aloud."""

from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

from serve_app.core.image.images import Size
from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.pipelines import PipelineOperation

CAPTION, IMAGE, VOICE = "caption", "picture", "voice"
WEIGHTS = {CAPTION: 1.0, IMAGE: 4.0, VOICE: 1.0}


class SendPostcard(PipelineOperation):
    """Draw `prompt`, write a caption for it and read that aloud. Model fields are canonical ids;
    without a speech model nothing is read.
    """

    pipeline: ClassVar[str] = "postcard"

    prompt: str
    text_model: str
    image_model: str
    speech_model: str | None = None
    size: Size
    seed: int

    @property
    def model(self) -> str:
        """The model that the job and its files are listed under."""
        return self.image_model

    @property
    def stages(self) -> tuple[str, ...]:
        """See PipelineOperation."""
        read = (VOICE,) if self.speech_model else ()
        return (CAPTION, IMAGE, *read)

    def weight_of(self, stage: str) -> float:
        """See PipelineOperation."""
        return WEIGHTS[stage]


class Postcard(MediaResult):
    """An image and its caption; `audio` is WAV, and None where nothing was read."""

    image: Blob
    caption: str
    audio: Blob | None = None
    size: Size
    seed: int

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        drawn = Facts(seed=self.seed, width=self.size.width, height=self.size.height)
        return {self.image.sha256: drawn}


PostcardEvent = Progress | Postcard


class PostcardSender(Protocol):
    """Sends postcards."""

    def send_postcard(self, request: SendPostcard) -> AsyncIterator[PostcardEvent]:
        """Last the postcard. Fails when nothing can be written or drawn; a caption that cannot be
        read aloud is told in the warnings.
        """
        ...
