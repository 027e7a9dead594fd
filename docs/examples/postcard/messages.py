"""The postcard pipeline's messages: an image with a caption that is read aloud."""

from serve_app.core.image.images import Size
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.pipelines import PipelineOperation

CAPTION, IMAGE, VOICE = "caption", "image", "voice"
WEIGHTS = {CAPTION: 1.0, IMAGE: 4.0, VOICE: 1.0}


class Postcard(MediaResult):
    """An image and its caption; `audio` is WAV, or None if the caption was not read aloud."""

    image: Blob
    caption: str
    audio: Blob | None = None
    size: Size
    seed: int

    def facts(self) -> dict[str, MediaFacts]:
        """The seed and the size of the image."""
        generated = MediaFacts(seed=self.seed, width=self.size.width, height=self.size.height)
        return {self.image.sha256: generated}


class SendPostcard(PipelineOperation[Postcard]):
    """Generate an image of `prompt`, write a caption and read it aloud. Model fields are canonical
    ids; without a speech model nothing is read aloud.
    """

    name = "pipeline.postcard"
    pipeline = "postcard"

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
        """The caption, the image, and the voice if there is one."""
        read = (VOICE,) if self.speech_model else ()
        return (CAPTION, IMAGE, *read)

    def weight_of(self, stage: str) -> float:
        """About how long a stage takes, compared with the others."""
        return WEIGHTS[stage]
