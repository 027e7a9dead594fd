"""Which part of a video is kept, and how ffmpeg is told so. Everything here blocks."""

from typing import NamedTuple

from deployments.video.frame_index import FrameIndex, Window
from deployments.video.video_decoding import ProbedVideo
from serve_app.core.errors import InvalidRequest
from serve_app.core.video.video_processing import ProcessVideo, TrimStep

CLOSER_S = 0.0005
"""Before the first frame that is not seen any more, however times are rounded."""


class Portion(NamedTuple):
    """What is read of a file. The first `skip_s` of it are thrown away; the frame that stands then
    has been on the screen for `lead_s`, which are not shown either.
    """

    start_s: float = 0.0
    end_s: float | None = None
    skip_s: float = 0.0
    lead_s: float = 0.0

    def arguments(self) -> list[str]:
        """Of ffmpeg, before the input. It seeks to microseconds, which are rounded down here."""
        begins = ["-ss", f"{int(self.start_s * 1e6) / 1e6:.6f}"] if self.start_s > 0 else []
        if self.end_s is None:
            return begins
        return [*begins, "-t", f"{max(CLOSER_S, self.end_s - self.start_s - CLOSER_S):.6f}"]

    def shortening(self) -> list[str]:
        """Of what is encoded: its last frame lasts no longer than what is read."""
        if self.end_s is None:
            return []
        lasts_s = self.end_s - self.start_s - self.skip_s - self.lead_s
        return ["-bsf:v", rf"setts=duration=min(DURATION\,{lasts_s:.6f}/TB-PTS)"]

    def filters(self) -> list[str]:
        """Of its images."""
        bounds = [f"start={self.skip_s - CLOSER_S:.6f}"] if self.skip_s else []
        if self.end_s is not None:
            # The option counts from the first frame, which may be late.
            bounds.append(f"end={max(CLOSER_S, self.end_s - self.start_s - CLOSER_S):.6f}")
        kept = [f"trim={':'.join(bounds)}"] if bounds else []
        skipped = [f"setpts=PTS-{self.skip_s:.6f}/TB"] if self.skip_s else []
        led = [rf"setpts=max(PTS-{self.lead_s:.6f}/TB\,0)"]
        return [*kept, *skipped, *(led if self.lead_s else ())]


WHOLE = Portion()


def trimmed(request: ProcessVideo, video: ProbedVideo) -> Window | None:
    """What all steps together leave of a video; None where none of them trims. InvalidRequest with
    `param` `steps[i]` where nothing is left.
    """
    window, is_trimmed = Window(), False
    for number, step in enumerate(request.steps):
        if not isinstance(step, TrimStep):
            continue
        ends = [end for end in (window.end_s, video.duration_s) if end is not None]
        window, is_trimmed = window.within(step.start_s, step.end_s), True
        if ends and window.start_s >= min(ends):
            left_s = min(ends) - (window.start_s - step.start_s)
            raise InvalidRequest(
                f"the video lasts {left_s:g} s there and ends before the cut begins",
                param=f"steps[{number}]",
            )
    return window if is_trimmed else None


def portion_of(
    window: Window | None, index: FrameIndex | None, *, is_sought: bool = True
) -> Portion:
    """What is read of a file so that exactly the frames of a window are seen. Without an index of
    frames ffmpeg's own cut has to do. A file that is not `is_sought` is read from its beginning.
    """
    if window is None:
        return WHOLE
    kept = index and index.kept(window)
    if not index or not kept:
        return Portion(window.start_s, window.end_s)
    first, start = index.shown[kept.start], index.start_of(window, kept)
    end = index.end_of(window, kept)
    # What is heard before an image that is not shown yet cannot be sought by its key frames.
    sought = index.sought(first) if first <= start and is_sought else 0
    first = min(first, start)
    return Portion(
        float(sought * index.base),
        None if end is None else float(end * index.base),
        float((first - sought) * index.base),
        float((start - first) * index.base),
    )
