"""Speech by transformers, sentence by sentence: VITS, SpeechT5 and Pocket TTS. Imported only where
torch is.
"""

import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from typing_extensions import override

from deployments.audio.clone_speecht5 import SpeechT5CloningSpeaker
from deployments.audio.preset_voices import OwnLanguages, PresetVoices
from deployments.audio.speech_encoding import spoken
from deployments.audio.transformers_speech_parts import CloningSpeaker, Samples, Speaker, Stop
from deployments.audio.transformers_speech_pocket import PocketSpeaker, recorded
from deployments.audio.transformers_speech_speecht5 import SpeechT5Speaker
from deployments.audio.transformers_speech_vits import VitsSpeaker
from deployments.model_engine import ModelEngine
from deployments.torch_device import device_of
from deployments.torch_seeding import seeded
from deployments.transformers_checkpoint import loading
from serve_app.core.audio.speech import (
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEvent,
    SpeechModel,
    Voices,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.options.audio import PocketTtsOptions, TransformersSpeechOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

Say = Callable[[Any, Stop], Iterator[Samples]]
"""The audio of a sentence, in the voice that is meant."""


class TransformersSpeech(ModelEngine[TransformersSpeechOptions | PocketTtsOptions], SpeechModel):
    """A SpeechModel. Voices are the checkpoint's speakers; OpenAI's names stand for them in turn.
    Without a seed every answer is another one.
    """

    def __init__(
        self,
        options: TransformersSpeechOptions | PocketTtsOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        part: Path | None = None,
        speaker_model: Path | None = None,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        device = device_of(options)
        with loading(model, path) as checkpoint:
            self._speaker = _speaker(options, checkpoint, device, part, speaker_model)
        self._device = device
        self._presets = PresetVoices(self._speaker.presets, default=options.voice)
        own = () if self._speaker.language is None else (self._speaker.language,)
        self._languages = OwnLanguages(model.id, model.languages or own)
        # The speaker can be interrupted for one sentence at a time.
        self._lock = threading.Lock()

    async def close(self) -> None:
        """Forgetting the weights frees them."""
        self.__dict__.pop("_speaker", None)

    async def voices(self, request: ListVoices) -> Voices:  # noqa: ARG002 - has one model
        """The default, the other speakers, then OpenAI's names."""
        return Voices(voices=self._presets.listing(self._languages.only))

    @override
    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """Audio comes sentence by sentence, and between two it can be stopped."""
        speaker, voice = self._speaker, self._presets.speaker(request.voice)

        def synthesize(sentence: Any, stop: Stop) -> Iterator[Samples]:
            return speaker.synthesize(sentence, voice=voice, speed=request.speed, stop=stop)

        warnings = self._languages.warnings(request.language)
        work = in_thread(lambda stop: self._spoken(request, synthesize, warnings, stop))
        async with closing(work):
            async for item in work:
                yield item

    @override
    async def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        speaker = self._speaker
        if not isinstance(speaker, CloningSpeaker):
            raise UnsupportedCapability(
                f"model {request.model!r} speaks with its own voices only", param="reference"
            )
        warnings = self._languages.warnings(request.language)
        async with self.blobs.local_file(request.reference) as reference:

            def produce(stop: Stop) -> Iterator[CloneEvent]:
                with self._lock:
                    voice = speaker.voice_of(recorded(reference, speaker.sample_rate))

                def synthesize(sentence: Any, stop: Stop) -> Iterator[Samples]:
                    return speaker.synthesize_as(sentence, voice=voice, stop=stop)

                yield from self._spoken(request, synthesize, warnings, stop)

            work = in_thread(produce)
            async with closing(work):
                async for item in work:
                    yield item

    def _spoken(
        self,
        request: Speak | CloneSpeech,
        synthesize: Say,
        warnings: tuple[Notice, ...],
        stop: Stop,
    ) -> Iterator[SpeechEvent]:
        speaker = self._speaker
        return spoken(
            map(_pcm, self._recordings(request, synthesize, stop)),
            request,
            sample_rate=speaker.sample_rate,
            tempo=1.0 if speaker.has_speed else request.speed,
            warnings=warnings,
        )

    def _recordings(
        self, request: Speak | CloneSpeech, synthesize: Say, stop: Stop
    ) -> Iterator[Samples]:
        """The audio of each sentence. Sentence k is generated with the seed plus k."""
        # Lone surrogates are no text to tokenizers.
        sentences = self._speaker.read(request.text.encode("utf-8", "replace").decode())
        if not sentences:
            raise InvalidRequest(
                "the text contains nothing that this model can speak", param="text"
            )
        seed = secrets.randbits(62) if request.seed is None else request.seed
        for k, sentence in enumerate(sentences):
            if stop():
                return
            with self._lock, seeded(seed + k, self._device):
                recordings = list(synthesize(sentence, stop))
            yield from recordings


def _speaker(
    options: TransformersSpeechOptions | PocketTtsOptions,
    path: Path,
    device: torch.device,
    part: Path | None,
    speaker_model: Path | None,
) -> Speaker:
    config = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
    match config.model_type, options:
        case "vits", TransformersSpeechOptions():
            return VitsSpeaker(path, device, options.extra)
        case "speecht5", TransformersSpeechOptions(voices=voices):
            if speaker_model is None:
                return SpeechT5Speaker(path, device, options.extra, vocoder=part, voices=voices)
            return SpeechT5CloningSpeaker(
                path,
                device,
                options.extra,
                vocoder=part,
                voices=voices,
                speaker_model=speaker_model,
            )
        case "pocket_tts", PocketTtsOptions(voices=voices):
            return PocketSpeaker(path, device, options.extra, audio_tokenizer=part, voices=voices)
    raise BackendUnavailable(
        f"a checkpoint of type {config.model_type!r} does not speak with engine {options.engine!r}",
        remedy=(
            "engine transformers_speech takes vits and speecht5, engine pocket_tts takes pocket_tts"
        ),
    )


def _pcm(samples: Samples) -> bytes:
    return bytes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
