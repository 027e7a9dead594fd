"""SpeechT5 by transformers, with its vocoder and speaker embeddings. Imported only where torch is.

A voice is a vector of speaker_embedding_dim numbers (an x-vector), of which the checkpoint has
none: they come as files.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from typing_extensions import override

from deployments.audio.sentences import LONGEST, sentences
from deployments.audio.transformers_speech_parts import (
    Interruption,
    Samples,
    Speaker,
    SpeechStopped,
    Stop,
    as_samples,
    has_letters,
    placed,
)
from serve_app.core.errors import BackendUnavailable

SUFFIXES = (".npy", ".pt", ".bin")


class SpeechT5Speaker(Speaker):
    """A Speaker whose presets are the files of a directory."""

    has_speed = False
    language: str | None = None

    def __init__(
        self,
        path: Path,
        device: torch.device,
        extra: dict[str, Any],
        *,
        vocoder: Path | None,
        voices: Path | None,
    ) -> None:
        self._tokenizer = transformers.SpeechT5Tokenizer.from_pretrained(
            path, local_files_only=True
        )
        model = transformers.SpeechT5ForTextToSpeech.from_pretrained(
            path, local_files_only=True, **extra
        )
        self._model = placed(model, device)
        self._vocoder = placed(_load_vocoder(vocoder or path / "vocoder"), device)
        self.sample_rate = int(self._vocoder.config.sampling_rate)
        self._embeddings = _embeddings(voices or path / "voices", self._model.config)
        self.presets = tuple(self._embeddings)
        # A token is a letter; the beginning and the end take one each.
        self._longest = min(LONGEST, int(self._model.config.max_text_positions))
        self._interruption = Interruption(self._model.speecht5.decoder.prenet)

    @override
    def read(self, text: str) -> list[torch.Tensor]:
        """Numbers are written out in English, as no letter stands for a digit."""
        # Compatible characters are taken apart here, as one of them can become many letters.
        plain = unicodedata.normalize("NFKC", self._tokenizer.normalizer(text))
        parts = [p for p in sentences(plain, longest=self._longest - 2) if has_letters(p)]
        nothing = {self._tokenizer.unk_token_id, *self._tokenizer.all_special_ids}
        nothing.add(self._tokenizer.convert_tokens_to_ids("▁"))
        inputs = [self._tokenizer(part)["input_ids"][: self._longest] for part in parts]
        return [torch.tensor([ids]) for ids in inputs if not nothing.issuperset(ids)]

    @override
    def synthesize(
        self,
        sentence: torch.Tensor,
        *,
        voice: str,
        speed: float,
        stop: Stop,
    ) -> Iterator[Samples]:
        """A sentence is cut off between two steps of the decoder."""
        return self.synthesized(sentence, self._embeddings[voice], stop)

    @property
    def vector_size(self) -> int:
        """How many numbers a voice is."""
        return int(self._model.config.speaker_embedding_dim)

    def synthesized(
        self, sentence: torch.Tensor, vector: torch.Tensor, stop: Stop
    ) -> Iterator[Samples]:
        """The sentence in the voice of an x-vector, shaped (1, vector_size)."""
        self._interruption.stop = stop
        device = self._model.device
        try:
            yield as_samples(
                self._model.generate_speech(
                    sentence.to(device),
                    vector.to(device),
                    vocoder=self._vocoder,
                )
            )
        except SpeechStopped:
            return


def _load_vocoder(path: Path) -> Any:
    if not path.is_dir():
        raise BackendUnavailable(
            "SpeechT5 needs a vocoder",
            remedy=(
                "set options.vocoder to a hub id such as 'microsoft/speecht5_hifigan', or put it "
                "into the directory 'vocoder' of the model"
            ),
            provider="transformers",
        )
    return transformers.SpeechT5HifiGan.from_pretrained(path, local_files_only=True)


def _embeddings(folder: Path, config: Any) -> dict[str, torch.Tensor]:
    """By name, shaped (1, speaker_embedding_dim)."""
    size = int(config.speaker_embedding_dim)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    found = {file.stem: _embedding(file, size) for file in files if file.suffix in SUFFIXES}
    if not found:
        raise BackendUnavailable(
            f"SpeechT5 needs voices: set options.voices to a directory with speaker embeddings "
            f"({', '.join(SUFFIXES)}) of {size} numbers, such as those of the data set "
            "'Matthijs/cmu-arctic-xvectors'",
            provider="transformers",
        )
    return found


def _embedding(file: Path, size: int) -> torch.Tensor:
    if file.suffix == ".npy":
        vector = torch.from_numpy(np.load(file, allow_pickle=False))
    else:
        vector = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(vector, torch.Tensor) or vector.numel() != size:
        raise BackendUnavailable(
            f"the voice file {file.name!r} is not a vector of {size} numbers",
            provider="transformers",
        )
    return vector.reshape(1, size).float()
