"""Who speaks when, without a trained model: loudness, cepstra and clustering."""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import numpy as np
from typing_extensions import override

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.mfcc import COEFFICIENTS, mfcc
from deployments.audio.speaker_clustering import cluster
from deployments.audio.speaker_turns import diarization_of, piece_lengths, speech_regions, turns_of
from deployments.audio.speech_windows import speech_windows
from deployments.model_engine import ModelEngine
from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize, Diarizer
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.audio import MfccOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

WINDOW_S = 30.0
BEST_EFFORT = Notice(
    text="speakers were separated by signal processing, not by a trained model (best effort): "
    "similar voices may be merged, and speakers who overlap are not separated"
)


class MfccDiarization(ModelEngine[MfccOptions], Diarizer):
    """A Diarizer. Keeps 4 kB per second of audio."""

    requires = ("av",)

    @override
    async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        async with self.blobs.local_file(request.audio) as path:
            events = in_thread(lambda stop: _diarized(path, request, stop))
            async with closing(events):
                async for event in events:
                    yield event


def _diarized(path: Path, request: Diarize, stop: Callable[[], bool]) -> Iterator[DiarizationEvent]:
    # An audio file may be too short for a single sample at this rate.
    parts = [(np.zeros((0, COEFFICIENTS), np.float32), np.zeros(0, np.float32))]
    blocks = speech_blocks(path, param="audio", track=request.audio_track)
    for window in speech_windows(blocks, longest_s=WINDOW_S):
        parts.append(mfcc(window.samples))
        yield Progress(phase="diarize", current=round(window.start_s + window.duration_s))
        if stop():
            return
    features, level_db = (np.concatenate(column) for column in zip(*parts, strict=True))
    regions = speech_regions(level_db)
    if not regions:
        yield Diarization(turns=(), warnings=(BEST_EFFORT,))
        return
    spoken = np.concatenate([features[start:end] for start, end in regions])
    labels = cluster(spoken, piece_lengths(regions), request.num_speakers, stop)
    if not stop():
        yield diarization_of(turns_of(regions, labels), request.num_speakers, BEST_EFFORT)
