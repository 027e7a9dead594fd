"""What is done with a video once it is made: frames, size, audio, language, subtitles, stereo."""

from pydantic import Field

from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.audio.speech import CloneSpeech, Speak
from serve_app.core.image.depth import DepthMethod
from serve_app.core.image.upscaling import VideoFactor
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.video.dubbing import Dubbing
from serve_app.core.video.subtitling import Subtitling

INTERPOLATE, UPSCALE, SPEAK, AUDIO = "interpolate", "upscale", "speak", "add-sound"
MAKE_AUDIO = "make-sound"
DUB, SUBTITLE, BURN, STEREO = "dub", "subtitle", "burn-subtitles", "stereo"
WEIGHTS = {
    INTERPOLATE: 2.0,
    UPSCALE: 4.0,
    SPEAK: 1.0,
    MAKE_AUDIO: 3.0,
    AUDIO: 0.5,
    DUB: 4.0,
    SUBTITLE: 2.0,
    STEREO: 4.0,
}
LINE_GAP_S = 0.1
"""Between a line and the next one, where that has no time of its own."""


class PlacedLine(Message):
    """A line and the second at which it is spoken; None is after the one before. `speaker` is who
    says it, for those who read; `field` is where the request has it.
    """

    speech: Speak | CloneSpeech
    start_s: float | None = Field(default=None, ge=0)
    speaker: str | None = None
    field: str


class InterpolationStep(Message):
    """Show `multiplier` times as many frames in the same time."""

    model: str
    multiplier: int = Field(default=2, ge=2, le=8)


class UpscalingStep(Message):
    """Make every frame `factor` times as wide and as high."""

    model: str
    factor: VideoFactor = 2
    allows_resize: bool = False


class StereoStep(Message):
    """Make the video stereoscopic; see ConvertToStereo."""

    model: str
    method: DepthMethod | None = None


class BackgroundAudio(Message):
    """Make an audio file as long as the video; see GenerateAudio."""

    model: str
    prompt: str = Field(min_length=1)
    kind: AudioKind = "music"


class VideoFinish(Message):
    """The steps, done in this order, each a stage; one that fails leaves the video as it was.
    `audio` is heard from the beginning on, `lines` are spoken over it, `background` is lowered
    under what is spoken. With `keeps_audio` what the video sounds like stays under all of them.
    `fields` is where the request has each step, for warnings about it.
    """

    frames: InterpolationStep | None = None
    size: UpscalingStep | None = None
    lines: tuple[PlacedLine, ...] = ()
    audio: Blob | None = None
    background: BackgroundAudio | None = None
    keeps_audio: bool = False
    dubbing: Dubbing | None = None
    subtitles: Subtitling | None = None
    writes_subtitles: bool = False
    burns_subtitles: bool = False
    stereo: StereoStep | None = None
    fields: dict[str, str] = Field(default_factory=dict)

    def field(self, step: str) -> str:
        """The caller's own field for a step."""
        return self.fields.get(step, step)

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the steps that are asked for."""
        requested = {
            INTERPOLATE: self.frames,
            UPSCALE: self.size,
            SPEAK: self.lines,
            MAKE_AUDIO: self.background,
            AUDIO: self.lines or self.audio or self.background,
            DUB: self.dubbing,
            SUBTITLE: self.subtitles,
            BURN: self.burns_subtitles,
            STEREO: self.stereo,
        }
        return tuple(name for name, step in requested.items() if step)


def weight_of(stage: str) -> float:
    """How much of the work a step is, by the name of its stage."""
    return next((w for name, w in WEIGHTS.items() if stage.startswith(name)), 1.0)
