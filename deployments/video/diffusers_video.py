"""Videos by diffusers: Wan, LTX, CogVideoX and Stable Video Diffusion, from a directory."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from typing_extensions import override

from deployments.model_engine import WorkerEngine
from deployments.video.diffusers_video_checkpoint import VideoCheckpoint
from deployments.video.diffusers_video_segments import Made, VideoMaking
from deployments.video.video_files import VideoFiles, stored_video
from serve_app.core.config import Model
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.video.generation import GenerateVideo, VideoEvent, VideoModel
from serve_app.runtime.memory import free_memory
from serve_app.runtime.threads import pushed


class DiffusersVideo(WorkerEngine[DiffusersVideoOptions], VideoModel):
    """A VideoModel. Videos are made one after the other in one thread."""

    requires = ("av", "cv2")

    def __init__(
        self, options: DiffusersVideoOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._checkpoint: VideoCheckpoint | None = VideoCheckpoint(options, model, path)
        self.video_facts = self._checkpoint.kind.facts

    async def close(self) -> None:
        """Free the weights; a video under way is finished by its thread."""
        await super().close()
        self._checkpoint = None
        free_memory()

    @override
    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        checkpoint = self._checkpoint
        assert checkpoint is not None, "a closed engine is not used"
        with tempfile.TemporaryDirectory(prefix="video-") as folder:
            target = Path(folder) / "video.mp4"
            async with AsyncExitStack() as stack:

                async def local(blob: Blob) -> Path:
                    return await stack.enter_async_context(self.blobs.local_file(blob))

                files = await VideoFiles.of(request, local)
                making = VideoMaking(request, self.options, checkpoint, files, target)
                events: AsyncGenerator[Made] = pushed(making.run, self.worker)
                async with aclosing(events):
                    async for event in events:
                        if isinstance(event, Progress):
                            yield event
                            continue
                        video = event
            yield await stored_video(self.blobs, target, video)
