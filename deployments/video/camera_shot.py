"""One video of a moving camera: where its images come from, and how it is written.

Everything here blocks.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from deployments.video.camera import Camera, covered
from deployments.video.camera_paths import eased
from deployments.video.optical_flow import FramesBetween
from deployments.video.remade_video import video_warnings
from deployments.video.video_decoding import ProbedVideo, at_rate, probed, video_frames
from deployments.video.video_encoding import VideoWriter
from deployments.video.video_files import VideoFile, VideoFiles, image
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.video.generation import CameraMotion, GenerateVideo, VideoFacts
from serve_app.core.video.plan import VideoPlan, check_media, check_mode, planned

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FOCUS_SPREAD = 0.08
USUAL_STRENGTH = 0.5
UNUSED = {
    "negative_prompt": "the negative prompt has",
    "steps": "steps have",
    "guidance_scale": "guidance has",
    "offload": "offloading has",
}
"""By field: how a warning begins that says that it has no effect."""


class CameraShot:
    """One request at work. The seed decides what exactly the camera aims at."""

    def __init__(
        self, request: GenerateVideo, facts: VideoFacts, files: VideoFiles, target: Path
    ) -> None:
        self._request = request
        self._facts = facts
        self._files = files
        self._target = target

    def run(self, stop: Callable[[], bool]) -> Iterator[Progress | VideoFile]:
        """Progress in frames, last what was written; ends early when told to stop."""
        check_mode(self._request, self._facts)
        check_media(self._request)
        source = self._source()
        plan = planned(self._request, self._facts, size=source.size if source else None)
        total = self._total(plan, source)
        lost = video_warnings(source) if source else []
        with ExitStack() as stack:
            writer = stack.enter_context(self._writer(plan, source))
            frames = stack.enter_context(closing(self._frames(plan, total)))
            for frame in frames:
                if stop():
                    return
                writer.write(frame)
                done = writer.num_frames
                yield Progress(phase="frames", current=done, total=max(total, done))
            writer.finish()
        yield VideoFile(
            size=writer.size,
            fps=writer.fps,
            num_frames=writer.num_frames,
            duration_s=writer.duration_s,
            seed=self._request.seed,
            warnings=(*plan.warnings, *self._warnings(), *lost),
        )

    def _source(self) -> ProbedVideo | None:
        """The video that is gone on from. PayloadTooLarge when it is too long."""
        if self._files.video is None:
            return None
        source = probed(self._files.video, param="video")
        limit_s = (self._facts.max_frames or 0) / self._facts.native_fps
        if (source.duration_s or 0) > limit_s:
            raise PayloadTooLarge(
                f"{source.duration_s:.0f} s are more than the allowed {limit_s:.0f} s",
                param="video",
            )
        return source

    def _writer(self, plan: VideoPlan, source: ProbedVideo | None) -> VideoWriter:
        return VideoWriter(
            self._target,
            plan.size,
            fps=plan.fps,
            quality=self._request.quality or "fast",
            audio=self._files.video if source and source.has_audio else None,
        )

    def _total(self, plan: VideoPlan, source: ProbedVideo | None) -> int:
        """How many frames there will be, as far as the source's own word for its length is true."""
        held = round((source.duration_s or 0) * plan.fps) if source else 0
        match self._request.mode:
            case "v2v":
                return max(1, min(held, plan.num_frames) if self._is_limited else held)
            case "extend":
                return held + plan.num_frames
        return plan.num_frames

    def _frames(self, plan: VideoPlan, total: int) -> Generator[Pixels]:
        camera = self._camera(plan)
        match self._request.mode:
            case "v2v":
                limit = plan.num_frames if self._is_limited else None
                yield from camera.frames(islice(self._shown(plan.fps), limit), total)
            case "extend":
                last: Pixels | None = None
                for last in self._shown(plan.fps):
                    yield covered(last, plan.size)
                assert last is not None, "a video without frames is refused by its decoder"
                count = plan.num_frames + 1
                # The first of them is the source's last.
                yield from islice(camera.frames(repeat(last, count), count), 1, None)
            case "interp":
                yield from camera.frames(self._between(plan), plan.num_frames)
            case _:
                still = repeat(self._still(), plan.num_frames)
                yield from camera.frames(still, plan.num_frames)

    def _still(self) -> Pixels:
        still = self._files.first_image()
        if still is None:
            raise InvalidRequest(
                f"model {self._request.model!r} animates images", remedy="send one", param="image"
            )
        return still

    def _shown(self, fps: float) -> Generator[Pixels]:
        """The frames of the request's video at the rate of the new one."""
        assert self._files.video is not None, "checked with the mode"
        with closing(video_frames(self._files.video, param="video")) as frames:
            yield from at_rate(frames, fps)

    def _between(self, plan: VideoPlan) -> Generator[Pixels]:
        """From the image to the end image."""
        assert self._files.end_image is not None, "checked with the mode"
        ends = (self._still(), image(self._files.end_image, param="end_image"))
        between = FramesBetween(*(covered(end, plan.size) for end in ends))
        for number in range(plan.num_frames):
            yield between.at(eased(number / max(1, plan.num_frames - 1)))

    def _camera(self, plan: VideoPlan) -> Camera:
        request = self._request
        strength = USUAL_STRENGTH if request.strength is None else request.strength
        spread = np.random.default_rng(request.seed % 2**63).uniform(-1, 1, 2) * FOCUS_SPREAD
        return Camera(
            size=plan.size,
            motion=self._motion,
            amount=strength / USUAL_STRENGTH,
            focus=(0.5 + float(spread[0]), 0.5 + float(spread[1])),
            quality=request.quality or "fast",
        )

    @property
    def _motion(self) -> CameraMotion | None:
        """As asked; a still is zoomed into, what moves by itself is left alone."""
        if self._request.camera_motion is None and self._request.mode not in ("v2v", "interp"):
            return "zoom-in"
        return self._request.camera_motion

    @property
    def _is_limited(self) -> bool:
        request = self._request
        return any((request.num_frames, request.num_segments, request.duration_s))

    def _warnings(self) -> tuple[Notice, ...]:
        """What has no effect here; on a still that was generated from the prompt, all of it had
        one.
        """
        request = self._request
        unmoved: list[Notice] = []
        if self._motion is None and request.strength is not None:
            unmoved = [Notice(text="the strength has no effect without camera motion")]
        if request.mode == "t2v":
            return tuple(unmoved)
        unused = [words for name, words in UNUSED.items() if getattr(request, name) is not None]
        unused += ["the prompt has"] if request.prompt.strip() else []
        said = (Notice(text=f"{words} no effect on camera moves") for words in unused)
        return (*unmoved, *said)
