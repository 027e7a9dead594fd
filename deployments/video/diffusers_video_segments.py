"""One video at work: its renderings, each going on from the one before, written as they come.

Everything here blocks.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deployments.video.camera import covered
from deployments.video.diffusers_video_calls import RenderingInputs, VideoCall
from deployments.video.diffusers_video_checkpoint import VideoCheckpoint
from deployments.video.remade_video import video_warnings
from deployments.video.video_decoding import ProbedVideo, at_rate, probed, video_frames
from deployments.video.video_encoding import VideoWriter
from deployments.video.video_files import VideoFile, VideoFiles, image
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.video.generation import GenerateVideo, VideoMode
from serve_app.core.video.plan import (
    VideoPlan,
    check_media,
    check_mode,
    enough_frames,
    planned,
    renderings,
)

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Made = Progress | VideoFile


class VideoStopped(Exception):
    """Nobody waits for the video any more."""


class VideoMaking:
    """One request in the engine's thread."""

    def __init__(
        self,
        request: GenerateVideo,
        options: DiffusersVideoOptions,
        checkpoint: VideoCheckpoint,
        files: VideoFiles,
        target: Path,
    ) -> None:
        self._facts = checkpoint.kind.facts
        self._request = _with_still(request, self._facts.modes)
        self._options = options
        self._checkpoint = checkpoint
        self._files = files
        self._target = target

    def run(self, push: Callable[[Made], None], is_stopped: Callable[[], bool]) -> None:
        """Hand on progress, last the file. What is wrong is raised before anything is made."""
        check_mode(self._request, self._facts)
        check_media(self._request)
        source = self._source()
        plan = self._plan(source)
        pipeline = self._checkpoint.pipeline(self._request.mode)
        call = VideoCall(pipeline, self._request, self._options)
        pipeline = self._checkpoint.prepared(pipeline, self._request.offload)
        sizes = self._renderings(plan, source)
        rendering = Rendering(pipeline, call, plan, push, is_stopped, count=len(sizes))
        rendering.generator.manual_seed(self._request.seed % 2**63)
        lost = video_warnings(source) if source else []
        warnings = (*plan.warnings, *call.warnings(), *self._warnings(), *lost)
        try:
            video = self._written(plan, source, self._frames(plan, sizes, rendering), is_stopped)
        except VideoStopped:
            return
        finally:
            pipeline.maybe_free_model_hooks()
        push(replace(video, warnings=warnings))

    def _source(self) -> ProbedVideo | None:
        """The video that is gone on from. PayloadTooLarge when it is too long."""
        if self._files.video is None:
            return None
        source = probed(self._files.video, param="video")
        fps = self._request.fps or self._facts.native_fps
        if (source.duration_s or 0) * fps > self._options.max_frames:
            raise PayloadTooLarge(
                f"{source.duration_s:.1f} s at {fps:g} fps are more than the allowed "
                f"{self._options.max_frames} frames",
                param="video",
            )
        return source

    def _plan(self, source: ProbedVideo | None) -> VideoPlan:
        plan = planned(self._request, self._facts, size=source.size if source else None)
        fixed = self._checkpoint.kind.fixed_size
        if fixed is None or fixed == plan.size:
            return plan
        said = f"this model generates {fixed.width}x{fixed.height} only"
        return replace(plan, size=fixed, warnings=(Notice(field="size", text=said),))

    def _renderings(self, plan: VideoPlan, source: ProbedVideo | None) -> list[tuple[int, int]]:
        request = self._request
        if request.mode != "v2v":
            return renderings(plan, self._facts, is_continued=request.mode == "extend")
        held = round((source.duration_s or 0) * plan.fps) if source else 0
        is_limited = any((request.num_frames, request.num_segments, request.duration_s))
        left = min(held, plan.num_frames) if is_limited and held else held or plan.num_frames
        most = self._facts.max_frames_per_render
        return [(min(most, left - at), 0) for at in range(0, left, most)]

    def _written(
        self,
        plan: VideoPlan,
        source: ProbedVideo | None,
        frames: Generator[Pixels],
        is_stopped: Callable[[], bool],
    ) -> VideoFile:
        audio = self._files.video if source and source.has_audio else None
        writer = VideoWriter(self._target, plan.size, fps=plan.fps, quality="best", audio=audio)
        with writer, closing(frames):
            for frame in frames:
                if is_stopped():
                    raise VideoStopped
                writer.write(frame)
            writer.finish()
        return VideoFile(
            size=writer.size,
            fps=writer.fps,
            num_frames=writer.num_frames,
            duration_s=writer.duration_s,
            seed=self._request.seed,
        )

    def _frames(
        self, plan: VideoPlan, sizes: list[tuple[int, int]], rendering: "Rendering"
    ) -> Generator[Pixels]:
        if self._request.mode == "v2v":
            yield from self._regenerated(plan, sizes, rendering)
            return
        recent: deque[Pixels] = deque(self._lead(plan), maxlen=max(1, plan.overlap))
        if self._request.mode == "extend":
            for shown in self._shown(plan):
                recent.append(shown)
                yield shown
        end = self._end(plan)
        left = plan.num_frames
        for count, known in sizes:
            lead = self._on_grid(tuple(recent))
            made = rendering.frames(RenderingInputs(lead=lead, end=end), count)
            for frame in islice(made, min(known, len(lead)), None):
                if left > 0:
                    recent.append(frame)
                    yield frame
                    left -= 1

    def _on_grid(self, lead: tuple[Pixels, ...]) -> tuple[Pixels, ...]:
        """As many of the last frames as a pipeline takes together."""
        over = max(0, len(lead) - self._facts.frame_base) % self._facts.frame_step
        return lead[over:]

    def _regenerated(
        self, plan: VideoPlan, sizes: list[tuple[int, int]], rendering: "Rendering"
    ) -> Generator[Pixels]:
        """Piece by piece; the last frame is repeated where a piece is too short for the model."""
        with closing(self._shown(plan)) as shown:
            for count, _ in sizes:
                piece = list(islice(shown, count))
                if not piece:
                    return
                whole = enough_frames(len(piece), self._facts)
                padded = (*piece, *[piece[-1]] * (whole - len(piece)))
                yield from islice(
                    rendering.frames(RenderingInputs(video=padded), whole), len(piece)
                )

    def _lead(self, plan: VideoPlan) -> list[Pixels]:
        files = self._files
        if files.image is not None:
            return [covered(image(files.image, param="image"), plan.size)]
        return [
            covered(image(path, param=f"cond_frames[{i}]"), plan.size)
            for i, path in enumerate(files.cond_frames)
        ]

    def _end(self, plan: VideoPlan) -> Pixels | None:
        if self._files.end_image is None:
            return None
        return covered(image(self._files.end_image, param="end_image"), plan.size)

    def _shown(self, plan: VideoPlan) -> Generator[Pixels]:
        """The frames of the request's video as the new one has them."""
        assert self._files.video is not None, "checked with the mode"
        with closing(video_frames(self._files.video, param="video")) as frames:
            for pixels in at_rate(frames, plan.fps):
                yield covered(pixels, plan.size)

    def _warnings(self) -> list[Notice]:
        offload = self._request.offload
        if offload in (None, "none") or self._checkpoint.device.type == "cuda":
            return []
        return [Notice(text="offloading has no effect without a GPU")]


class Rendering:
    """Calls of one pipeline, one after the other, whose steps are told."""

    def __init__(
        self,
        pipeline: Any,
        call: VideoCall,
        plan: VideoPlan,
        push: Callable[[Made], None],
        is_stopped: Callable[[], bool],
        *,
        count: int,
    ) -> None:
        # On the CPU, so that a seed means the same video on every device.
        self.generator = torch.Generator("cpu")
        self._pipeline = pipeline
        self._call = call
        self._plan = plan
        self._push = push
        self._is_stopped = is_stopped
        self._total = call.steps * count
        self._done = 0

    def frames(self, material: RenderingInputs, count: int) -> Iterator[Pixels]:
        """Render once. Raises VideoStopped between two steps."""
        if self._is_stopped():
            raise VideoStopped
        if material.video and self._call.keeps_video:
            return iter(material.video)
        plan = self._plan
        arguments = self._call.arguments(material, plan.size, plan.fps, count)
        output = self._pipeline(
            **arguments, generator=self.generator, callback_on_step_end=self._report_step
        )
        self._done += self._call.steps
        self._push(Progress(phase="denoise", current=self._done, total=self._total))
        return map(_eight_bits, output.frames[0])

    def _report_step(
        self, pipeline: Any, step: int, _: Any, values: dict[str, Any]
    ) -> dict[str, Any]:
        if self._is_stopped():
            raise VideoStopped
        # Strength leaves steps out, and some schedulers take more than they are asked for.
        count = getattr(pipeline, "num_timesteps", None) or self._call.steps
        current_step = min(self._call.steps, round((step + 1) * self._call.steps / count))
        self._push(Progress(phase="denoise", current=self._done + current_step, total=self._total))
        return values


def _with_still(request: GenerateVideo, modes: tuple[VideoMode, ...]) -> GenerateVideo:
    """A still that was generated from the prompt is animated, without words by a model that has
    none.
    """
    if request.mode != "t2v" or request.image is None:
        return request
    if "ti2v" in modes:
        return request.model_copy(update={"mode": "ti2v"})
    wordless = {"mode": "i2v", "prompt": "", "negative_prompt": None}
    return request.model_copy(update=wordless)


def _eight_bits(frame: "np.ndarray[Any, np.dtype[np.float32]]") -> Pixels:
    """Weights that overflow make frames that are no numbers; these are black."""
    return np.asarray(np.rint(np.nan_to_num(frame) * 255).clip(0, 255), dtype=np.uint8)
