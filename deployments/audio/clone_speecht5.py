"""SpeechT5 in the voice of a recording, by its x-vector. Imported only where torch is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speaker_embedding import SpeakerEmbedder
from deployments.audio.transformers_speech_parts import CloningSpeaker, Samples, Stop
from deployments.audio.transformers_speech_speecht5 import SpeechT5Speaker
from deployments.audio.voice_character import measured_character
from serve_app.core.errors import InvalidRequest


class SpeechT5CloningSpeaker(SpeechT5Speaker, CloningSpeaker):
    """A CloningSpeaker, with a speaker model beside the checkpoint."""

    def __init__(
        self,
        path: Path,
        device: torch.device,
        extra: dict[str, Any],
        *,
        vocoder: Path | None,
        voices: Path | None,
        speaker_model: Path,
    ) -> None:
        super().__init__(path, device, extra, vocoder=vocoder, voices=voices)
        self._embedder = SpeakerEmbedder(speaker_model, device, size=self.vector_size)

    @override
    def voice_of(self, samples: Samples) -> torch.Tensor:
        """InvalidRequest where nobody speaks."""
        resampled = _at_speech_rate(samples, self.sample_rate)
        pcm = (resampled * 32767).astype("<i2").tobytes()
        if measured_character(iter([pcm]), lambda: False).pitch_hz is None:
            raise InvalidRequest(
                "no voice was detected in the reference",
                remedy="send a recording with speech",
                param="reference",
            )
        return self._embedder.vector(resampled)

    @override
    def synthesize_as(self, sentence: torch.Tensor, *, voice: Any, stop: Stop) -> Iterator[Samples]:
        return self.synthesized(sentence, voice, stop)


def _at_speech_rate(samples: Samples, rate: int) -> Samples:
    """What speaker models listen to, which is the rate of SpeechT5's own vocoder."""
    if rate == SPEECH_RATE:
        return samples
    moments = np.arange(len(samples) * SPEECH_RATE // rate) * (rate / SPEECH_RATE)
    found: Samples = np.interp(moments, np.arange(len(samples)), samples).astype(np.float32)
    return found
