"""How long a video gets, in how many renderings, how large: a request fitted to what a model
can.
"""

import math
from dataclasses import dataclass

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.notices import Notice
from serve_app.core.video.generation import MODE_NAMES, GenerateVideo, VideoFacts


@dataclass(frozen=True)
class VideoPlan:
    """Renderings of `render_frames` each; every one but the first repeats `overlap` frames of the
    one before. The video has `num_frames`, which may be fewer than are rendered.
    """

    size: Size
    fps: float
    num_frames: int
    render_frames: int
    overlap: int = 0
    warnings: tuple[Notice, ...] = ()


def planned(request: GenerateVideo, facts: VideoFacts, *, size: Size | None = None) -> VideoPlan:
    """The plan of the frames that the model makes; `size` is used where the request has none.

    UnsupportedCapability for a mode or a length that needs what the model lacks, InvalidRequest
    for more frames than it makes.
    """
    check_mode(request, facts)
    fps = request.fps or facts.native_fps
    # A video that is made anew goes on from nothing but itself.
    overlap = 0 if request.mode == "v2v" else _overlap(request, facts)
    wanted = wanted_frames(request, facts)
    render = _render_frames(request, facts, wanted, overlap)
    renders = 1 if wanted <= render else math.ceil((wanted - overlap) / max(1, render - overlap))
    _check_length(request, facts, wanted, renders)
    rounded = rounded_size(request.size or size or Size(width=512, height=512), facts.side_multiple)
    goes_on = renders > 1 or request.mode == "extend"
    warnings = (
        *_size_warning(request, rounded),
        *_length_warning(request, facts),
        *_overlap_warning(request, overlap if goes_on else 0),
    )
    return VideoPlan(rounded, fps, wanted, render, overlap, warnings)


def renderings(plan: VideoPlan, facts: VideoFacts, *, is_continued: bool) -> list[tuple[int, int]]:
    """The frames of every rendering, and how many at its beginning repeat what there is already;
    the first one repeats only the end of a video that is continued.
    """
    found: list[tuple[int, int]] = []
    made = 0
    while made < plan.num_frames:
        known = plan.overlap if found or is_continued else 0
        left = enough_frames(plan.num_frames - made + known, facts)
        count = max(min(plan.render_frames, left), enough_frames(known + 1, facts))
        found.append((count, known))
        made += count - known
    return found


def check_mode(request: GenerateVideo, facts: VideoFacts) -> None:
    """UnsupportedCapability when the model has not got the mode."""
    if request.mode not in facts.modes:
        able = ", ".join(f"{mode!r} ({MODE_NAMES[mode]})" for mode in facts.modes)
        raise UnsupportedCapability(
            f"model {request.model!r} cannot do {request.mode!r}",
            remedy=f"it can do {able}",
            param="mode",
        )


def check_media(request: GenerateVideo) -> None:
    """InvalidRequest when a medium that the mode needs is missing."""
    if request.mode in ("v2v", "extend") and request.video is None:
        raise InvalidRequest(f"the mode {request.mode!r} needs a video", param="video")
    if request.mode == "interp" and request.end_image is None:
        raise InvalidRequest(f"the mode {request.mode!r} needs a last image", param="end_image")
    if request.mode in ("i2v", "ti2v", "interp") and first_image(request) is None:
        raise InvalidRequest(f"the mode {request.mode!r} needs an image", param="image")


def first_image(request: GenerateVideo) -> Blob | None:
    """What the video begins with: the image, or the last of the frames to go on from."""
    return request.image or (request.cond_frames[-1] if request.cond_frames else None)


def wanted_frames(request: GenerateVideo, facts: VideoFacts) -> int:
    """How many frames the caller wants, on the model's grid unless a duration was given."""
    if request.duration_s is not None:
        return max(1, round(request.duration_s * (request.fps or facts.native_fps)))
    if request.num_segments is None:
        return legal_frames(request.num_frames or facts.segment_frames, facts)
    segment = _segment_frames(request, facts)
    return segment + (request.num_segments - 1) * max(1, segment - _overlap(request, facts))


def legal_frames(count: int, facts: VideoFacts) -> int:
    """The nearest number of frames that the model can make; the next larger of two."""
    steps = math.floor((count - facts.frame_base) / facts.frame_step + 0.5)
    legal = facts.frame_base + max(0, steps) * facts.frame_step
    while legal < facts.min_frames:
        legal += facts.frame_step
    return legal


def rounded_size(size: Size, multiple: int) -> Size:
    """Both sides to the nearest multiple, at least one of them."""

    def near(length: int) -> int:
        return max(multiple, math.floor(length / multiple + 0.5) * multiple)

    return Size(width=near(size.width), height=near(size.height))


def _segment_frames(request: GenerateVideo, facts: VideoFacts) -> int:
    wanted = legal_frames(request.num_frames or facts.segment_frames, facts)
    if wanted > facts.max_frames_per_render:
        raise InvalidRequest(
            f"a segment of model {request.model!r} has at most "
            f"{facts.max_frames_per_render} frames",
            param="num_frames",
        )
    return wanted


def _overlap(request: GenerateVideo, facts: VideoFacts) -> int:
    """How many frames a segment goes on from; several are on the model's grid."""
    for name in ("num_cond_frames", "cond_frames"):
        given = getattr(request, name)
        count = len(given) if isinstance(given, tuple) else given or 0
        if count > facts.cond_frames:
            raise UnsupportedCapability(
                f"model {request.model!r} continues from at most {facts.cond_frames} frames",
                param=name,
            )
    count = request.num_cond_frames or facts.cond_frames
    if count <= facts.frame_base:
        return count
    return count - (count - facts.frame_base) % facts.frame_step


def _render_frames(request: GenerateVideo, facts: VideoFacts, wanted: int, overlap: int) -> int:
    """The frames of each rendering: all in one where they fit, unless segments were asked for."""
    if request.num_segments is not None and request.num_frames is not None:
        return _segment_frames(request, facts)
    if request.num_segments is not None:
        shares = math.ceil((wanted + (request.num_segments - 1) * overlap) / request.num_segments)
        return min(enough_frames(shares, facts), facts.max_frames_per_render)
    if request.duration_s is not None and request.num_frames is not None:
        return _segment_frames(request, facts)
    repeated = overlap if request.mode == "extend" else 0
    if wanted + repeated <= facts.max_frames_per_render:
        return enough_frames(wanted + repeated, facts)
    return facts.segment_frames


def enough_frames(count: int, facts: VideoFacts) -> int:
    """The least legal number of at least `count` frames, or the most in one rendering."""
    steps = max(0, math.ceil((count - facts.frame_base) / facts.frame_step))
    legal = legal_frames(facts.frame_base + steps * facts.frame_step, facts)
    return min(legal, facts.max_frames_per_render)


def _check_length(request: GenerateVideo, facts: VideoFacts, wanted: int, renders: int) -> None:
    named = "duration_s" if request.duration_s is not None else "num_frames"
    if request.num_segments is not None and request.num_frames is None:
        named = "num_segments" if request.duration_s is None else named
    if renders > 1 and request.mode == "interp":
        raise InvalidRequest(
            f"between two images, model {request.model!r} generates at most "
            f"{facts.max_frames_per_render} frames",
            param=named,
        )
    if renders > 1 and facts.continuation == "none" and request.mode != "v2v":
        raise UnsupportedCapability(
            f"model {request.model!r} generates at most "
            f"{facts.max_frames_per_render} frames and cannot continue from them",
            param=named,
        )
    if facts.max_frames is not None and wanted > facts.max_frames:
        raise InvalidRequest(
            f"{wanted} frames are more than the {facts.max_frames} that model "
            f"{request.model!r} generates",
            param=named,
        )


def _size_warning(request: GenerateVideo, rounded: Size) -> tuple[Notice, ...]:
    if request.size is None or request.size == rounded:
        return ()
    return (Notice(field="size", text=f"rounded to {rounded.width}x{rounded.height}"),)


def _length_warning(request: GenerateVideo, facts: VideoFacts) -> tuple[Notice, ...]:
    requested = request.num_frames
    if (
        requested is None
        or request.duration_s is not None
        or requested == legal_frames(requested, facts)
    ):
        return ()
    return (Notice(field="num_frames", text=f"rounded to {legal_frames(requested, facts)}"),)


def _overlap_warning(request: GenerateVideo, used: int) -> tuple[Notice, ...]:
    requested = request.num_cond_frames
    if requested is None or requested == used:
        return ()
    if used == 0:
        said = "has no effect, because no video is continued"
        return (Notice(field="num_cond_frames", text=said),)
    return (Notice(field="num_cond_frames", text=f"rounded to {used}"),)
