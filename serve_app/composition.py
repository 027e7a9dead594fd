"""Every pipeline, in one list."""

from pipelines.image_to_video import ImageToVideo
from pipelines.story import Story
from pipelines.video_dub import VideoDub
from pipelines.video_generation import VideoGeneration
from pipelines.video_subtitles import VideoSubtitles
from serve_app.core.pipelines import MakePipeline

PIPELINES: tuple[MakePipeline, ...] = (
    VideoDub,
    VideoSubtitles,
    Story,
    VideoGeneration,
    ImageToVideo,
)
