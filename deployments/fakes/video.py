"""The video engine of `engine: fake`: squares that follow from prompt and seed and grow lighter."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from deployments.fakes.engine import FakeEngine
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo, VideoEvent, VideoFacts
from serve_app.core.video.plan import VideoPlan, check_media, check_mode, planned

SQUARES = 8
FACTS = VideoFacts(
    family="fake",
    modes=("t2v", "i2v", "ti2v", "v2v"),
    native_fps=8,
    frame_base=1,
    frame_step=4,
    min_frames=1,
    max_frames=33,
    max_frames_per_render=17,
    segment_frames=9,
    cond_frames=1,
    side_multiple=16,
    continuation="chained",
)


class FakeVideo(FakeEngine):
    """A VideoModel that makes 1, 5, 9 … frames per rendering, at most 17, sides in steps of 16."""

    video_facts = FACTS

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        """The same video for the same prompt, media and seed."""
        check_mode(request, FACTS)
        check_media(request)
        plan = planned(request, FACTS)
        steps = request.steps or 4
        async with self.working("generate_video", request.prompt):
            for step in range(steps):
                await asyncio.sleep(0)
                yield Progress(phase="denoise", current=step + 1, total=steps)
        yield await _videoed(self.blobs, request, plan)


async def _videoed(blobs: BlobStore, request: GenerateVideo, plan: VideoPlan) -> GeneratedVideo:
    from deployments.video.video_files import VideoFile, stored_video

    with tempfile.TemporaryDirectory(prefix="video-") as folder:
        path = Path(folder) / "video.mp4"
        await asyncio.to_thread(_write, path, request, plan)
        video = VideoFile(
            size=plan.size,
            fps=plan.fps,
            num_frames=plan.num_frames,
            duration_s=plan.num_frames / plan.fps,
            seed=request.seed,
            warnings=plan.warnings,
        )
        return await stored_video(blobs, path, video)


def _write(path: Path, request: GenerateVideo, plan: VideoPlan) -> None:
    from deployments.video.video_encoding import VideoWriter

    with VideoWriter(path, plan.size, fps=plan.fps, quality="draft") as writer:
        for frame in _frames(request, plan):
            writer.write(frame)
        writer.finish()


def _frames(request: GenerateVideo, plan: VideoPlan) -> Iterator[Any]:
    import numpy as np

    subject = request.model_dump_json(include={"prompt", "negative_prompt", "seed", "image"})
    colours = hashlib.shake_256(subject.encode()).digest(SQUARES * SQUARES * 3)
    squares = np.frombuffer(colours, np.uint8).reshape(SQUARES, SQUARES, 3).astype(np.float32)
    rows = np.arange(plan.size.height) * SQUARES // plan.size.height
    columns = np.arange(plan.size.width) * SQUARES // plan.size.width
    for number in range(plan.num_frames):
        light = (number + 1) / plan.num_frames
        yield (squares * light).astype(np.uint8)[rows][:, columns]
