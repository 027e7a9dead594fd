"""Who speaks when: stretches of speech in short pieces, what a trained model makes of each, and
which of them are alike.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE, speech_blocks
from deployments.audio.frame_levels import FRAMES_PER_S, levels_db
from deployments.audio.speaker_clustering import Labels, Vectors, clustered
from deployments.audio.speaker_turns import (
    diarization_of,
    piece_lengths,
    speech_regions,
    turns_of,
)
from deployments.audio.speech_windows import Samples, SpeechWindow, speech_windows
from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.message import Progress
from serve_app.core.tracks import AudioTrack

WINDOW_S = 30.0
BATCH = 16
MOST_PIECES = 10_000
"""Every piece is compared with every other, which takes 8 bytes a pair at least twice."""
FRAME = SPEECH_RATE // FRAMES_PER_S


def diarized(
    path: Path,
    request: Diarize,
    vectors_of: Callable[[list[Samples]], Vectors],
    similarity: float,
    stop: Callable[[], bool],
) -> Iterator[DiarizationEvent]:
    """Progress in seconds of audio, last the result. `vectors_of` takes pieces of two seconds at
    most, 16 kHz mono. Where speech is, is told by all of the audio; so it is decoded twice, and
    never held. Blocks.
    """
    levels = [np.zeros(0, dtype=np.float32)]
    for window in _windows(path, request.audio_track):
        levels.append(levels_db(window.samples))
        if stop():
            return
    regions = speech_regions(np.concatenate(levels))
    lengths = piece_lengths(regions)
    check_count(lengths)
    vectors: list[Vectors] = []
    for window, pieces in _pieces_of(
        _windows(path, request.audio_track), piece_edges(regions, lengths)
    ):
        for start in range(0, len(pieces), BATCH):
            if stop():
                return
            vectors.append(vectors_of(pieces[start : start + BATCH]))
        yield Progress(phase="diarize", current=round(window.start_s + window.duration_s))
    if not vectors:
        yield Diarization(turns=())
        return
    labels = clustered(np.concatenate(vectors), request.num_speakers, similarity)
    yield diarization_of(turns_of(regions, np.repeat(labels, lengths)), request.num_speakers)


def check_count(lengths: Labels) -> None:
    """PayloadTooLarge for more pieces, whose lengths are in frames, than can be compared."""
    if len(lengths) > MOST_PIECES:
        raise PayloadTooLarge(
            f"{lengths.sum() / FRAMES_PER_S / 3600:.1f} hours of speech are too many for "
            "diarization",
            remedy="send the recording in parts",
            param="audio",
        )


def piece_edges(regions: list[tuple[int, int]], lengths: Labels) -> list[tuple[int, int]]:
    """First and last frame (exclusive) of every piece of the regions."""
    edges, rest = [], iter(lengths.tolist())
    for start, end in regions:
        while start < end:
            length = next(rest)
            edges.append((start, start + length))
            start += length
    return edges


def _windows(path: Path, track: AudioTrack | None) -> Iterator[SpeechWindow]:
    return speech_windows(speech_blocks(path, param="audio", track=track), longest_s=WINDOW_S)


def _pieces_of(
    windows: Iterator[SpeechWindow], edges: list[tuple[int, int]]
) -> Iterator[tuple[SpeechWindow, list[Samples]]]:
    """Every window with the samples of the pieces whose middle lies in it."""
    position = 0
    for window in windows:
        first = round(window.start_s * SPEECH_RATE)
        last = first + len(window.samples)
        pieces = []
        while position < len(edges) and sum(edges[position]) * FRAME // 2 < last:
            start, end = (edge * FRAME - first for edge in edges[position])
            pieces.append(window.samples[max(0, start) : max(1, end)])
            position += 1
        yield window, pieces
