"""The media engine of `engine: fake`: what it is given is what it gives back."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.audio.audio_processing import ProcessAudio, ProcessedAudio
from serve_app.core.image.image_processing import ProcessedImage, ProcessImage
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    ExtractedAudio,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithAudio,
)
from serve_app.core.video.video_processing import ProcessedVideo, ProcessVideo


class FakeMedia(FakeEngine):
    """A MediaProcessor that hands back what it is given."""

    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        """The video itself."""
        async with self.working("extract_audio", request.video.sha256):
            return ExtractedAudio(audio=request.video)

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        """The video itself."""
        async with self.working("replace_audio", request.video.sha256):
            return VideoWithAudio(video=request.video)

    async def burn_subtitles(
        self, request: BurnSubtitles
    ) -> AsyncGenerator[Progress | SubtitledVideo]:
        """The video itself."""
        async with self.working("burn_subtitles", request.video.sha256):
            yield Progress(phase="burn-subtitles", current=1, total=1)
        yield SubtitledVideo(video=request.video)

    async def process_image(
        self, request: ProcessImage
    ) -> AsyncGenerator[Progress | ProcessedImage]:
        """The image itself, of one pixel."""
        async with self.working("process_image", request.image.sha256):
            yield Progress(phase="process", current=len(request.steps), total=len(request.steps))
        size = Size(width=1, height=1)
        yield ProcessedImage(image=request.image, size=size, format=request.format)

    async def process_audio(
        self, request: ProcessAudio
    ) -> AsyncGenerator[Progress | ProcessedAudio]:
        """The audio itself, of a second."""
        async with self.working("process_audio", request.audio.sha256):
            yield Progress(phase="process", current=1, total=1)
        yield ProcessedAudio(audio=request.audio, format=request.format, duration_s=1.0)

    async def process_video(
        self, request: ProcessVideo
    ) -> AsyncGenerator[Progress | ProcessedVideo]:
        """The video itself, of one pixel and a second."""
        async with self.working("process_video", request.video.sha256):
            yield Progress(phase="process", current=1, total=1)
        yield ProcessedVideo(
            video=request.video,
            size=Size(width=1, height=1),
            format=request.format,
            duration_s=1.0,
            encoded="nothing",
        )

    async def assemble_video(self, request: AssembleVideo) -> AssembledVideo:
        """The first scene's clip, or image; every scene lasts a second."""
        count = len(request.scenes)
        first = request.scenes[0]
        async with self.working("assemble_video", first.image.sha256):
            return AssembledVideo(
                video=first.clip or first.image,
                audio=first.narration,
                size=request.size,
                fps=request.fps,
                num_frames=round(count * request.fps),
                duration_s=count,
                starts_s=tuple(float(i) for i in range(count)),
            )
