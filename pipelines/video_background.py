"""Music or noise under a video: made as long as it, lowered under what is spoken, faded out."""

from collections.abc import Sequence

from serve_app.core.audio.audio_generation import LONGEST_AUDIO_S, GenerateAudio, GeneratedAudio
from serve_app.core.stages import Stages
from serve_app.core.video.finishing import BackgroundAudio
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.processing import GainPoint

UNDER_SPEECH = 10 ** (-12 / 20)
"""Twelve decibels less."""
RAMP_S = 0.3
"""From one level to another."""
FADE_OUT_S = 2.0
"""At the end, where that is not more than a quarter of the video."""
Span = tuple[float, float]


async def generate_background(
    stage: Stages, name: str, requested: BackgroundAudio, video: GeneratedVideo
) -> GeneratedAudio:
    """The audio for a video, of its length and from its seed."""
    operation = GenerateAudio(
        model=requested.model,
        prompt=requested.prompt,
        kind=requested.kind,
        duration_s=min(video.duration_s, LONGEST_AUDIO_S),
        seed=video.seed,
    )
    return await stage.outcome(name, operation)


def background_levels(
    duration_s: float, spoken: Sequence[Span], *, is_under_all: bool
) -> tuple[GainPoint, ...]:
    """How loud the background is: lowered while something is spoken, or with `is_under_all` from
    beginning to end, because nobody knows when; and out at the end of the video.
    """
    speech = [(0.0, duration_s)] if is_under_all else spoken
    points = _lowered(_merged(speech, duration_s))
    fade_s = duration_s - min(FADE_OUT_S, duration_s / 4)
    moments = {0.0, fade_s, duration_s} | {at_s for at_s, _ in points}
    return tuple(
        GainPoint(
            at_s=at_s, gain=_between(points, at_s) * _between(_ending(fade_s, duration_s), at_s)
        )
        for at_s in sorted(moments)
        if 0 <= at_s <= duration_s
    )


def _merged(spoken: Sequence[Span], duration_s: float) -> list[Span]:
    """What is spoken within the video, in its order; pauses too short to come back are none."""
    merged: list[Span] = []
    for start_s, end_s in sorted(spoken):
        if start_s >= duration_s:
            continue
        if merged and start_s - merged[-1][1] <= 2 * RAMP_S:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged


def _lowered(spoken: Sequence[Span]) -> list[Span]:
    """Seconds and gains."""
    points: list[Span] = []
    for start_s, end_s in spoken:
        points += [(start_s - RAMP_S, 1.0), (start_s, UNDER_SPEECH)]
        points += [(end_s, UNDER_SPEECH), (end_s + RAMP_S, 1.0)]
    return points


def _ending(fade_s: float, duration_s: float) -> list[Span]:
    return [(fade_s, 1.0), (duration_s, 0.0)]


def _between(points: Sequence[Span], at_s: float) -> float:
    """The gain at a second, by a line between the points before and after it."""
    earlier = [point for point in points if point[0] <= at_s]
    later = [point for point in points if point[0] > at_s]
    if not earlier or not later:
        return (earlier or later or [(0.0, 1.0)])[-1 if earlier else 0][1]
    (before_s, before), (after_s, after) = earlier[-1], later[0]
    return before + (after - before) * (at_s - before_s) / (after_s - before_s)
