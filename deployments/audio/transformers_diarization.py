"""Who speaks when, by the x-vectors of a trained model (D. Snyder et al., X-vectors: robust DNN
embeddings for speaker recognition, 2018). Imported only where torch is.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from transformers import AutoFeatureExtractor, AutoModelForAudioXVector
from typing_extensions import override

from deployments.audio.audio_decoding import SPEECH_RATE, speech_blocks
from deployments.audio.mfcc import FRAMES_PER_S, mfcc
from deployments.audio.speaker_turns import (
    Labels,
    diarization_of,
    piece_lengths,
    speech_regions,
    turns_of,
)
from deployments.audio.speech_windows import Samples, SpeechWindow, speech_windows
from deployments.model_engine import ModelEngine
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import check_complete, loading
from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize, Diarizer
from serve_app.core.config import Model
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import TransformersDiarizationOptions
from serve_app.core.tracks import AudioTrack
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

WINDOW_S = 30.0
EMBEDDED_SAMPLES = 2 * SPEECH_RATE
"""Samples from which a voice is told; less speech is repeated until it is as long."""
BATCH = 16
MOST_PIECES = 10_000
"""Every piece is compared with every other, which takes 8 bytes a pair at least twice."""
FRAME = SPEECH_RATE // FRAMES_PER_S
Vectors = np.ndarray[Any, np.dtype[np.float32]]


class TransformersDiarization(ModelEngine[TransformersDiarizationOptions], Diarizer):
    """A Diarizer. A speaker who changes without a pause is noticed two seconds late at most."""

    def __init__(
        self,
        options: TransformersDiarizationOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        device = device_of(options)
        with loading(model, path) as checkpoint:
            voices, info = AutoModelForAudioXVector.from_pretrained(
                checkpoint, local_files_only=True, output_loading_info=True, **options.extra
            )
            feature_extractor: Any = AutoFeatureExtractor.from_pretrained(
                checkpoint, local_files_only=True
            )
        check_complete(model, info["missing_keys"], kind="a checkpoint for x-vectors")
        self._voices: Any = voices.to(device).eval()
        self._feature_extractor = feature_extractor
        self._device = device
        self._similarity = options.similarity

    async def close(self) -> None:
        """Let go of the weights."""
        self._voices = None

    @override
    async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        async with self.blobs.local_file(request.audio) as path:
            events = in_thread(lambda stop: self._diarized(path, request, stop))
            async with closing(events):
                async for event in events:
                    yield event

    def _diarized(
        self, path: Path, request: Diarize, stop: Callable[[], bool]
    ) -> Iterator[DiarizationEvent]:
        """Where speech is, is told by all of the audio; so it is decoded twice, and never held."""
        levels = [np.zeros(0, dtype=np.float32)]
        for window in _windows(path, request.audio_track):
            levels.append(mfcc(window.samples)[1])
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
                vectors.append(self._vectors(pieces[start : start + BATCH]))
            end_s = window.start_s + window.duration_s
            yield Progress(phase="diarize", current=round(end_s))
        if not vectors:
            yield Diarization(turns=())
            return
        labels = _clustered(np.concatenate(vectors), request.num_speakers, self._similarity)
        yield diarization_of(turns_of(regions, np.repeat(labels, lengths)), request.num_speakers)

    @torch.inference_mode()
    def _vectors(self, pieces: list[Samples]) -> Vectors:
        """One of length 1 per piece."""
        inputs_16k = [np.resize(piece, EMBEDDED_SAMPLES) for piece in pieces]
        inputs = self._feature_extractor(inputs_16k, sampling_rate=SPEECH_RATE, return_tensors="pt")
        found = self._voices(inputs["input_values"].to(self._device)).embeddings
        normal = torch.nn.functional.normalize(found.float(), dim=-1)
        return np.asarray(normal.cpu().numpy(), dtype=np.float32)


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


def _clustered(vectors: Vectors, num_speakers: int | None, similarity: float) -> Labels:
    """The speaker of every vector, by the mean likeness of two speakers' vectors."""
    if len(vectors) == 1:
        return np.zeros(1, dtype=np.int64)
    tree = linkage(vectors, method="average", metric="cosine")
    if num_speakers is None:
        found = fcluster(tree, 1 - similarity, criterion="distance")
    else:
        found = fcluster(tree, num_speakers, criterion="maxclust")
    return np.asarray(found, dtype=np.int64)
