"""Speech by transformers: VITS and SpeechT5, sentence by sentence. Imported only where torch is."""

import secrets
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import numpy as np
import torch
import transformers

from deployments.preset_voices import OwnLanguages, PresetVoices
from deployments.speech_encoding import spoken
from deployments.transformers_checkpoint import device_of, loading
from deployments.transformers_speech_parts import Samples, Speaker, Stop
from deployments.transformers_speech_speecht5 import SpeechT5Speaker
from deployments.transformers_speech_vits import VitsSpeaker
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.options import TransformersSpeechOptions
from serve_app.core.speech import (
    CloneEvent,
    CloneSpeech,
    Speak,
    SpeechEvent,
    Voice,
)
from serve_app.core.threads import in_thread

SEEDS = 2**63


class TransformersSpeech:
    """A SpeechModel. Voices are the checkpoint's speakers; OpenAI's names stand for them in turn.
    Without a seed every answer is another one.
    """

    context_length: int | None = None

    def __init__(
        self,
        options: TransformersSpeechOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,  # noqa: ARG002 - every engine is constructed alike
        vocoder: Path | None = None,
    ) -> None:
        device = device_of(options)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        with loading(model, path) as checkpoint:
            self._speaker = _speaker(options, checkpoint, device, vocoder)
        self._device = device
        self._presets = PresetVoices(self._speaker.presets, default=options.voice)
        own = () if self._speaker.language is None else (self._speaker.language,)
        self._languages = OwnLanguages(model.id, model.languages or own)
        # The random numbers of torch are the process's own: whoever seeds them works alone.
        self._lock = threading.Lock()

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Forgetting the weights frees them."""
        self.__dict__.pop("_speaker", None)

    async def voices(self, model: str) -> tuple[Voice, ...]:  # noqa: ARG002 - has one model
        """The default, the other speakers, then OpenAI's names."""
        return self._presets.listing(self._languages.only)

    def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        """See SpeechModel."""
        raise UnsupportedCapability(
            f"model {request.model!r} speaks with its own voices only", param="ref_audio"
        )

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """See SpeechModel. Sound comes sentence by sentence, and between two it can be stopped."""
        voice = self._presets.speaker(request.voice)
        warnings = self._languages.warnings(request.language)
        speaker = self._speaker

        def produce(stop: Stop) -> Iterator[SpeechEvent]:
            return spoken(
                map(_pcm, self._sounds(request, voice, stop)),
                request,
                sample_rate=speaker.sample_rate,
                tempo=1.0 if speaker.has_speed else request.speed,
                warnings=warnings,
            )

        work = in_thread(produce)
        try:
            async for item in work:
                yield item
        finally:
            await work.aclose()

    def _sounds(self, request: Speak, voice: str, stop: Stop) -> Iterator[Samples]:
        """The sound of each sentence. Sentence k is drawn with the seed plus k."""
        # Lone surrogates are no text to tokenizers.
        sentences = self._speaker.read(request.text.encode("utf-8", "replace").decode())
        if not sentences:
            raise InvalidRequest("input: holds nothing that this model can say", param="input")
        seed = secrets.randbits(62) if request.seed is None else request.seed
        for k, sentence in enumerate(sentences):
            if stop():
                return
            with self._lock, torch.random.fork_rng(self._devices()):
                torch.manual_seed((seed + k) % SEEDS)
                sounds = self._speaker.say(sentence, voice=voice, speed=request.speed, stop=stop)
                said = list(sounds)
            yield from said

    def _devices(self) -> list[torch.device]:
        return [self._device] if self._device.type == "cuda" else []


def _speaker(
    options: TransformersSpeechOptions, path: Path, device: torch.device, vocoder: Path | None
) -> Speaker:
    config = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
    match config.model_type:
        case "vits":
            return VitsSpeaker(path, device, options.extra)
        case "speecht5":
            return SpeechT5Speaker(
                path, device, options.extra, vocoder=vocoder, voices=options.voices
            )
    raise BackendUnavailable(
        f"a checkpoint of type {config.model_type!r} does not speak here; types: vits, speecht5"
    )


def _pcm(samples: Samples) -> bytes:
    return bytes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
