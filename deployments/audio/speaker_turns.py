"""From the loudness of frames to stretches of speech, and from speakers of frames to turns."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from deployments.audio.frame_levels import FRAMES_PER_S, Levels
from deployments.audio.speaker_clustering import Labels
from serve_app.core.audio.diarization import Diarization, SpeakerTurn, speaker_name
from serve_app.core.notices import Notice

Flags = np.ndarray[Any, np.dtype[np.bool_]]

FAINTEST_DB = -60.0
OVER_NOISE_DB = 6.0
UNDER_LOUDEST_DB = 35.0
SHORTEST_PAUSE = round(0.3 * FRAMES_PER_S)
SHORTEST_SPEECH = round(0.16 * FRAMES_PER_S)
LONGEST_PIECE = 2 * FRAMES_PER_S
JOINED_PAUSE_S = 0.5


def speech_regions(level_db: Levels) -> list[tuple[int, int]]:
    """First and last frame (exclusive) of what is louder than the recording's own noise. Shorter
    pauses than 0.3 s belong to it; shorter bursts than 0.16 s do not.
    """
    if not len(level_db):
        return []
    noise, loudest = float(np.percentile(level_db, 10)), float(level_db.max())
    floor = max(FAINTEST_DB, noise + OVER_NOISE_DB, loudest - UNDER_LOUDEST_DB)
    regions: list[tuple[int, int]] = []
    for start, end in _runs(level_db > floor):
        if regions and start - regions[-1][1] < SHORTEST_PAUSE:
            regions[-1] = (regions[-1][0], end)
        else:
            regions.append((start, end))
    return [(start, end) for start, end in regions if end - start >= SHORTEST_SPEECH]


def piece_lengths(regions: list[tuple[int, int]]) -> Labels:
    """The regions in equal stretches of at most about two seconds, as numbers of frames."""
    lengths: list[int] = []
    for start, end in regions:
        edges = np.linspace(start, end, max(1, round((end - start) / LONGEST_PIECE)) + 1)
        lengths += np.diff(edges.round().astype(int)).tolist()
    return np.array(lengths, dtype=np.int64)


def turns_of(regions: list[tuple[int, int]], labels: Labels) -> tuple[SpeakerTurn, ...]:
    """Turns from the speaker of every frame of the regions, speakers named as they appear."""
    names: dict[int, str] = {}
    turns: list[SpeakerTurn] = []
    position = 0
    for start, end in regions:
        own = labels[position : position + end - start]
        position += end - start
        for label, first, last in _same(own):
            name = names.setdefault(label, speaker_name(len(names)))
            begins, ends = (start + first) / FRAMES_PER_S, (start + last) / FRAMES_PER_S
            if turns and turns[-1].speaker == name and begins - turns[-1].end <= JOINED_PAUSE_S:
                turns[-1] = turns[-1].model_copy(update={"end": ends})
            else:
                turns.append(SpeakerTurn(start=begins, end=ends, speaker=name))
    return tuple(turns)


def _runs(flags: Flags) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(flags.astype(np.int8), 1)))
    return ((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _same(labels: Labels) -> Iterator[tuple[int, int, int]]:
    """Label, first and last (exclusive) of every run of equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for first, last in pairwise(edges):
        yield int(labels[first]), first, last


def diarization_of(
    turns: tuple[SpeakerTurn, ...], num_speakers: int | None, *warnings: Notice
) -> Diarization:
    """The result, which says when it found fewer speakers than it was told of."""
    found = len({turn.speaker for turn in turns})
    if turns and num_speakers is not None and found < num_speakers:
        said = f"only {found} of {num_speakers} speakers could be distinguished"
        warnings += (Notice(text=said),)
    return Diarization(turns=turns, warnings=warnings)
