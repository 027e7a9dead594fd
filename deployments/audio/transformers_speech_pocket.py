"""Kyutai's Pocket TTS by transformers: speaks in the voice of a recording. Imported only where
torch is.

A voice is the recording's latents, shaped (frames, latent_dim), which its audio tokenizer makes.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from typing_extensions import override

from deployments.audio.audio_decoding import first_seconds, speech_blocks
from deployments.audio.transformers_speech_parts import (
    CloningSpeaker,
    Interruption,
    Samples,
    Speaker,
    SpeechStopped,
    Stop,
    as_samples,
    has_letters,
    placed,
)
from serve_app.core.audio.speech import REFERENCE_S
from serve_app.core.errors import BackendUnavailable, InvalidRequest

logger = logging.getLogger(__name__)

CLIPS = (".wav", ".flac", ".mp3", ".ogg")
LATENTS = ".safetensors"
PROCESSING = (
    "short_text_max_words",
    "frames_after_eos_short_text",
    "frames_after_eos",
    "fade_in_duration",
)
SILENCE = 1e-3


class PocketSpeaker(Speaker, CloningSpeaker):
    """A CloningSpeaker whose presets are the recordings, or latents, of a directory."""

    has_speed = False
    language: str | None = None

    def __init__(
        self,
        path: Path,
        device: torch.device,
        extra: dict[str, Any],
        *,
        audio_tokenizer: Path | None,
        voices: Path | None,
    ) -> None:
        codec = _load_codec(audio_tokenizer or path / "audio_tokenizer")
        self._processor = _processor(path, placed(codec, device))
        model = transformers.PocketTTSForConditionalGeneration.from_pretrained(
            path, local_files_only=True, **extra
        )
        self._model = placed(model, device)
        self.sample_rate = int(codec.config.sampling_rate)
        self._interruption = Interruption(self._model.model)
        self._voices = self._read_voices(voices or path / "voices")
        self.presets = tuple(self._voices)

    @override
    def read(self, text: str) -> list[str]:
        """What the tokenizer takes for a place of audio is no text."""
        for token in self._processor.placeholder_tokens:
            text = text.replace(token, " ")
        if not has_letters(text):
            return []
        return [part for part in self._processor.split_text(text) if has_letters(part)]

    @override
    def synthesize(
        self,
        sentence: str,
        *,
        voice: str,
        speed: float,
        stop: Stop,
    ) -> Iterator[Samples]:
        return self.synthesize_as(sentence, voice=self._voices[voice], stop=stop)

    @override
    def voice_of(self, samples: Samples) -> torch.Tensor:
        """InvalidRequest for silence."""
        if not samples.size or float(np.abs(samples).max()) < SILENCE:
            raise InvalidRequest(
                "no voice was detected in the reference",
                remedy="send a recording with speech",
                param="reference",
            )
        codec = self._processor.audio_tokenizer
        inputs = self._processor.feature_extractor(samples, sampling_rate=self.sample_rate)
        with torch.inference_mode():
            encoded = codec.encode(
                inputs["input_values"].to(codec.device), inputs["padding_mask"].to(codec.device)
            )
        latents: torch.Tensor = encoded.latents[0][encoded.latents_mask[0].bool()].float().cpu()
        return latents

    @override
    def synthesize_as(self, sentence: str, *, voice: torch.Tensor, stop: Stop) -> Iterator[Samples]:
        """A sentence is cut off between two frames of 80 ms."""
        self._interruption.stop = stop
        content = [{"type": "audio"}, {"type": "text", "text": sentence}]
        prompt = self._processor.apply_chat_template([{"role": "user", "content": content}])
        inputs = self._processor(text=prompt, audio_prompt_latents=[voice], return_tensors="pt")
        try:
            with torch.inference_mode():
                spoken = self._model.generate(
                    **inputs.to(self._model.device), return_dict_in_generate=True
                )
                latents = spoken.audio_latents[0][spoken.audio_latents_mask[0].bool()]
                yield as_samples(self._processor.decode(latents))
        except SpeechStopped:
            return

    def _read_voices(self, folder: Path) -> dict[str, torch.Tensor]:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        clips = {file.stem: self._clip(file) for file in files if file.suffix in CLIPS}
        tables = {file.stem: self._latents(file) for file in files if file.suffix == LATENTS}
        found = {name: voice for name, voice in (tables | clips).items() if voice is not None}
        if not found:
            raise BackendUnavailable(
                "Pocket TTS needs voices: set options.voices to a directory with recordings "
                f"({', '.join(CLIPS)}) or their latents ({LATENTS})",
                provider="transformers",
            )
        return found

    def _clip(self, file: Path) -> torch.Tensor:
        try:
            return self.voice_of(recorded(file, self.sample_rate))
        except InvalidRequest as error:
            raise BackendUnavailable(
                f"the voice file {file.name!r} is not a recording of speech",
                provider="transformers",
            ) from error

    def _latents(self, file: Path) -> torch.Tensor | None:
        """None for other tensors, which checkpoints have beside their voices."""
        size = self._model.config.latent_dim
        latents = [t for t in load_file(file).values() if t.dim() >= 2 and t.shape[-1] == size]
        if len(latents) != 1:
            logger.warning("the voice file %r has no latents; it is skipped", file.name)
            return None
        return latents[0].reshape(-1, size).float()


def recorded(path: Path, sample_rate: int) -> Samples:
    """The first seconds of a recording. InvalidRequest for what holds no audio."""
    blocks = speech_blocks(path, param="reference", rate=sample_rate)
    pcm = np.frombuffer(b"".join(first_seconds(blocks, REFERENCE_S, rate=sample_rate)), dtype="<i2")
    return pcm.astype(np.float32) / np.float32(32768)


def _load_codec(path: Path) -> Any:
    if not path.is_dir():
        raise BackendUnavailable(
            "Pocket TTS needs its audio tokenizer",
            remedy=(
                "set options.audio_tokenizer to a hub id or a local path, or put it into the "
                "directory 'audio_tokenizer' of the model"
            ),
            provider="transformers",
        )
    return transformers.PocketTTSAudioTokenizerModel.from_pretrained(path, local_files_only=True)


def _processor(path: Path, codec: Any) -> Any:
    """Put together here, as the checkpoint names its audio tokenizer by a hub id."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    extractor = transformers.PocketTTSFeatureExtractor.from_pretrained(path, local_files_only=True)
    file = path / "processor_config.json"
    settings = json.loads(file.read_text()) if file.is_file() else {}
    return transformers.PocketTTSProcessor(
        extractor,
        tokenizer,
        audio_tokenizer=codec,
        chat_template=tokenizer.chat_template,
        **{name: settings[name] for name in PROCESSING if name in settings},
    )
