"""X-vectors: what a speaker-verification checkpoint of transformers knows of a voice. Imported only
where torch is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.transformers_speech_parts import Samples, placed
from serve_app.core.errors import BackendUnavailable

SHORTEST_S = 1.0
"""Shorter audio is repeated: the statistics of some frames only are no voice."""


class SpeakerEmbedder:
    """WavLMForXVector, Wav2Vec2ForXVector and kin: a vector of `size` numbers per voice."""

    def __init__(self, path: Path | None, device: torch.device, *, size: int) -> None:
        if path is None or not path.is_dir():
            raise BackendUnavailable(
                "a speaker model is needed to recognise voices",
                remedy=(
                    "set options.speaker_model to a hub id such as 'microsoft/wavlm-base-plus-sv', "
                    "or put one into the directory 'speaker_model' of the model"
                ),
                provider="transformers",
            )
        extractor = transformers.AutoFeatureExtractor.from_pretrained(path, local_files_only=True)
        model = transformers.AutoModelForAudioXVector.from_pretrained(path, local_files_only=True)
        found = int(model.config.xvector_output_dim)
        if found != size:
            raise BackendUnavailable(
                f"options.speaker_model: its vectors have {found} numbers, and the model needs "
                f"{size}",
                remedy=f"choose a speaker model with {size}",
                provider="transformers",
            )
        self._extractor: Any = extractor
        self._model = placed(model, device)

    def vector(self, samples: Samples) -> torch.Tensor:
        """Of 16 kHz mono, shaped (1, size), of length 1."""
        shortest = round(SHORTEST_S * SPEECH_RATE)
        times = -(-shortest // max(1, len(samples)))
        inputs = self._extractor(
            np.tile(samples, times), sampling_rate=SPEECH_RATE, return_tensors="pt"
        )
        with torch.inference_mode():
            embeddings = self._model(inputs["input_values"].to(self._model.device)).embeddings
        return torch.nn.functional.normalize(torch.nan_to_num(embeddings.float()), dim=-1)


def float_samples(blocks: Iterator[bytes]) -> Samples:
    """Signed 16-bit mono as numbers from -1 to 1."""
    pcm = np.frombuffer(b"".join(blocks), dtype="<i2")
    samples: Samples = pcm.astype(np.float32) / np.float32(32768)
    return samples
