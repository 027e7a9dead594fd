"""Videos without a trained model: a camera that moves over stills and videos."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from typing_extensions import override

from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.video import CameraMovesOptions
from serve_app.core.video.generation import GenerateVideo, VideoEvent, VideoFacts, VideoModel
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread


class CameraMoves(ModelEngine[CameraMovesOptions], VideoModel):
    """A VideoModel. A video takes no more memory than a few of its frames."""

    requires = ("av", "cv2")

    def __init__(
        self,
        options: CameraMovesOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        assert options.facts is not None
        self.video_facts: VideoFacts = options.facts

    @override
    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        from deployments.video.camera_shot import CameraShot
        from deployments.video.video_files import VideoFiles, stored_video

        with tempfile.TemporaryDirectory(prefix="video-") as folder:
            target = Path(folder) / "video.mp4"
            async with AsyncExitStack() as stack:

                async def local(blob: Blob) -> Path:
                    return await stack.enter_async_context(self.blobs.local_file(blob))

                files = await VideoFiles.of(request, local)
                shot = CameraShot(request, self.video_facts, files, target)
                work = in_thread(shot.run)
                async with closing(work):
                    async for item in work:
                        if isinstance(item, Progress):
                            yield item
                            continue
                        video = item
            yield await stored_video(self.blobs, target, video)
