"""The story pipeline's messages: a text made into a narrated video."""

from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from serve_app.core.image.attachments import References
from serve_app.core.image.images import Size
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.pipelines import PipelineOperation

SCRIPT, NARRATION, VIDEO = "script", "narration", "film"
WEIGHTS = {SCRIPT: 1.0, "picture": 3.0, "animate": 6.0, NARRATION: 1.0, VIDEO: 1.0}
Animated = Literal["first", "all"]


class Scene(Message):
    """One scene: the line that is spoken, and what the image shows."""

    line: str
    image: str


class StoryScene(Message):
    """What became of a scene. Whatever failed is None, and its error a sentence."""

    scene: Scene
    image: Blob | None = None
    image_error: str | None = None
    clip: Blob | None = None
    clip_error: str | None = None


class StoryVideo(MediaResult):
    """A video, and its parts. `audio` is the whole narration as it is heard in the video."""

    scenes: tuple[StoryScene, ...]
    audio: Blob | None = None
    audio_error: str | None = None
    video: Blob | None = None
    video_error: str | None = None
    size: Size
    duration_s: float | None = None
    seed: int

    @override
    def facts(self) -> dict[str, MediaFacts]:
        of_video = MediaFacts(
            seed=self.seed,
            width=self.size.width,
            height=self.size.height,
            duration_s=self.duration_s,
        )
        found = {} if self.video is None else {self.video.sha256: of_video}
        for number, scene in enumerate(self.scenes):
            for blob in (scene.image, scene.clip):
                if blob is not None:
                    found[blob.sha256] = MediaFacts(seed=self.seed + number)
        return found


class TellStory(PipelineOperation[StoryVideo]):
    """Tell `story` in `scenes` scenes: a line and an image for each, some of them animated, the
    lines spoken, and everything cut into one video. Model fields are canonical ids; without a
    speech model nothing is spoken. `voice` None is the model's own. Scene i is generated and
    animated from `seed` + i. `steps` and `guidance_scale` are the images'.
    """

    name = "pipeline.story"

    pipeline: ClassVar[str] = "story"

    story: str
    text_model: str
    image_model: str
    video_model: str
    speech_model: str | None = None
    voice: str | None = None
    scenes: int = Field(default=3, ge=1)
    size: Size
    steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    num_frames: int = Field(default=16, ge=1)
    fps: float = Field(default=8.0, gt=0)
    animates: Animated = "first"
    seed: int
    references: References | None = None

    @property
    def model(self) -> str:
        """The model that the story is told by."""
        return self.text_model

    @property
    def prompt(self) -> str:
        """What it is about."""
        return self.story

    @property
    @override
    def stages(self) -> tuple[str, ...]:
        spoken = (NARRATION,) if self.speech_model else ()
        generated = (image_stage(i) for i in range(self.scenes))
        moving = (animate_stage(i) for i in self.animated)
        return (SCRIPT, *generated, *spoken, *moving, VIDEO)

    @override
    def weight_of(self, stage: str) -> float:
        return WEIGHTS[stage.partition("-")[0]]

    @property
    def animated(self) -> range:
        """The scenes that move."""
        return range(1 if self.animates == "first" else self.scenes)


StoryEvent = Progress | StoryVideo


def image_stage(index: int) -> str:
    """The stage that generates a scene's image."""
    return f"picture-{index + 1}"


def animate_stage(index: int) -> str:
    """The stage that makes a scene move."""
    return f"animate-{index + 1}"
