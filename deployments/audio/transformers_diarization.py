"""Who speaks when, by the x-vectors of a trained model (D. Snyder et al., X-vectors: robust DNN
embeddings for speaker recognition, 2018). Imported only where torch is.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioXVector
from typing_extensions import override

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speaker_clustering import Vectors
from deployments.audio.speaker_diarization import diarized
from deployments.audio.speech_windows import Samples
from deployments.model_engine import ModelEngine
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import check_complete, loading
from serve_app.core.audio.diarization import DiarizationEvent, Diarize, Diarizer
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.audio import TransformersDiarizationOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

EMBEDDED_SAMPLES = 2 * SPEECH_RATE
"""Samples from which a voice is told; less speech is repeated until it is as long."""


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
            events = in_thread(
                lambda stop: diarized(path, request, self._vectors, self._similarity, stop)
            )
            async with closing(events):
                async for event in events:
                    yield event

    @torch.inference_mode()
    def _vectors(self, pieces: list[Samples]) -> Vectors:
        """One of length 1 per piece."""
        inputs_16k = [np.resize(piece, EMBEDDED_SAMPLES) for piece in pieces]
        inputs = self._feature_extractor(inputs_16k, sampling_rate=SPEECH_RATE, return_tensors="pt")
        found = self._voices(inputs["input_values"].to(self._device)).embeddings
        normal = torch.nn.functional.normalize(found.float(), dim=-1)
        return np.asarray(normal.cpu().numpy(), dtype=np.float32)
