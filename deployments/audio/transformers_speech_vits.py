"""VITS by transformers, Meta's MMS-TTS among them: a language per checkpoint, perhaps many
speakers. Imported only where torch is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils.import_utils import is_phonemizer_available, is_uroman_available
from typing_extensions import override

from deployments.audio.sentences import sentences
from deployments.audio.transformers_speech_parts import Samples, Speaker, Stop, as_samples, placed
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.text.languages import language_code


class VitsSpeaker(Speaker):
    """A Speaker. Speakers have numbers, not names: `speaker-0` is the first."""

    has_speed = True

    def __init__(self, path: Path, device: torch.device, extra: dict[str, Any]) -> None:
        tokenizer = transformers.VitsTokenizer.from_pretrained(path, local_files_only=True)
        if tokenizer.phonemize and not is_phonemizer_available():
            raise BackendUnavailable(
                "this checkpoint needs phonemes",
                remedy="install espeak-ng and phonemizer: pip install phonemizer",
                provider="transformers",
            )
        self._tokenizer = tokenizer
        model = transformers.VitsModel.from_pretrained(path, local_files_only=True, **extra)
        self._model = placed(model, device)
        config = self._model.config
        self.sample_rate = int(config.sampling_rate)
        self.language = language_code(tokenizer.language or "")
        count = int(config.num_speakers)
        self.presets = tuple(f"speaker-{k}" for k in range(count)) if count > 1 else ("default",)

    @override
    def read(self, text: str) -> list[torch.Tensor]:
        """InvalidRequest for a script that the checkpoint knows in Latin letters
        only, while nothing can write it so.
        """
        if self._tokenizer.is_uroman and not text.isascii() and not is_uroman_available():
            raise InvalidRequest(
                "this model reads Latin letters",
                remedy=(
                    "write the text in them, or install the romanizer on the server: pip install "
                    "uroman"
                ),
                param="text",
            )
        inputs = [self._tokenizer(part)["input_ids"] for part in sentences(text)]
        # A blank stands between all letters, so that a text without letters is one blank.
        return [torch.tensor([ids]) for ids in inputs if len(ids) > 1]

    @override
    def synthesize(
        self,
        sentence: torch.Tensor,
        *,
        voice: str,
        speed: float,
        stop: Stop,
    ) -> Iterator[Samples]:
        number = self.presets.index(voice) if len(self.presets) > 1 else None
        with torch.inference_mode():
            output = self._model(
                sentence.to(self._model.device),
                speaker_id=number,
                speaking_rate=self._model.speaking_rate * speed,
            )
        yield as_samples(output.waveform[0])
