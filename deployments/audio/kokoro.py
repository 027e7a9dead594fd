"""Speech by Kokoro-82M, a small model that speaks naturally in real time on a CPU."""

import importlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from deployments.audio.espeak import EspeakSpeech
from deployments.audio.kokoro_languages import KokoroLanguages, stand_ins
from deployments.audio.preset_voices import PresetVoices
from deployments.audio.sentences import sentences
from deployments.audio.speech_encoding import spoken
from deployments.model_engine import ModelEngine
from serve_app.core.audio.speech import (
    OPENAI_VOICES,
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEnd,
    SpeechEvent,
    SpeechModel,
    Voice,
    Voices,
)
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.options.audio import EspeakOptions, KokoroOptions
from serve_app.runtime.extras import needed_by
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

Samples = np.ndarray[Any, np.dtype[np.float32]]
Stop = Callable[[], bool]
SLOWEST, FASTEST = 0.5, 2.0
"""The speeds that the library takes."""


class KokoroVoices(Protocol):
    """A loaded model, which is a KokoroLibrary, or what takes its place in a test."""

    @property
    def sample_rate(self) -> int:
        """Of what it speaks."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """At least one name."""
        ...

    def batches(self, sentence: str, tag: str) -> list[str]:
        """The phonemes of a text, as many at once as the model takes."""
        ...

    def samples(self, batch: str, voice: str, speed: float) -> Samples:
        """What phonemes sound like."""
        ...

    def pause_s(self, batch: str) -> float:
        """How long it is silent between a batch and its successor."""
        ...


class KokoroSpeech(ModelEngine[KokoroOptions], SpeechModel):
    """A SpeechModel. A voice speaks the language that is asked for, else its own one."""

    def __init__(
        self,
        options: KokoroOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        library: KokoroVoices | None = None,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        # Loading the codecs takes longer than a short sentence: not while somebody waits for one.
        importlib.import_module("av.filter")
        self._library = _loaded(options, model, path) if library is None else library
        voices = self._library.voices
        self._presets = PresetVoices(
            voices, default=options.voice, stand_ins=stand_ins(voices, options.voice)
        )
        self._languages = KokoroLanguages(model)
        self._fallback = (
            EspeakSpeech(EspeakOptions(), model, path=None, blobs=blobs)
            if options.fallback == "espeak"
            else None
        )
        # One sentence at a time has all threads: two at once would both be late.
        self._lock = threading.Lock()

    async def close(self) -> None:
        """Forgetting the session frees it."""
        self.__dict__.pop("_library", None)

    async def voices(self, request: ListVoices) -> Voices:
        """The default, the other voices, OpenAI's names, then the fall-back's."""
        own = [
            Voice(name=each.name, language=self._languages.own(self._presets.speaker(each.name)))
            for each in self._presets.listing(None)
        ]
        others = () if self._fallback is None else (await self._fallback.voices(request)).voices
        names = {each.name for each in own}
        return Voices(voices=(*own, *(each for each in others if each.name not in names)))

    @override
    def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        raise UnsupportedCapability(
            f"model {request.model!r} speaks with its own voices only", param="reference"
        )

    @override
    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """Audio comes sentence by sentence, and between two it can be stopped."""
        try:
            voice = self._presets.speaker(request.voice)
            tag = self._languages.tag(voice, request.language)
        except InvalidRequest as refusal:
            events = self._spoken_by_fallback(request, refusal)
        else:
            events = in_thread(lambda stop: self._spoken(request, voice, tag, stop))
        async with closing(events):
            async for event in events:
                yield event

    async def _spoken_by_fallback(
        self, request: Speak, refusal: InvalidRequest
    ) -> AsyncGenerator[SpeechEvent]:
        """By espeak-ng, where it may stand in and has the voice or the language."""
        if self._fallback is None:
            raise refusal
        is_language = refusal.param == "language"
        if is_language and (request.voice or "").strip().lower() not in OPENAI_VOICES:
            request = request.model_copy(update={"voice": None})
        elif not is_language and not self._fallback.has_voice(request.voice):
            raise refusal
        said = f"spoken by espeak-ng: {self.model.id!r} does not speak {request.language!r}"
        more = (Notice(text=said),) if is_language else ()
        events = self._fallback.speak(request)
        async with closing(events):
            async for event in events:
                if isinstance(event, SpeechEnd):
                    event = event.model_copy(update={"warnings": (*event.warnings, *more)})
                yield event

    def _spoken(self, request: Speak, voice: str, tag: str, stop: Stop) -> Iterator[SpeechEvent]:
        speed = min(FASTEST, max(SLOWEST, request.speed))
        return spoken(
            map(_pcm, self._recordings(request.text, voice, tag, speed, stop)),
            request,
            sample_rate=self._library.sample_rate,
            tempo=request.speed / speed,
        )

    def _recordings(
        self, text: str, voice: str, tag: str, speed: float, stop: Stop
    ) -> Iterator[Samples]:
        """The audio of each sentence, with the pause before it."""
        library, before = self._library, ""
        for sentence in sentences(text.encode("utf-8", "replace").decode()):
            for batch in library.batches(sentence, tag):
                if stop():
                    return
                with self._lock:
                    audio = library.samples(batch, voice, speed)
                if before:
                    silence = round(library.pause_s(before) * library.sample_rate)
                    yield np.zeros(silence, dtype=np.float32)
                before = batch
                yield audio
        if not before:
            raise InvalidRequest(
                "the text contains nothing that this model can speak", param="text"
            )


def _loaded(options: KokoroOptions, model: Model, path: Path | None) -> KokoroVoices:
    with needed_by(options):
        from deployments.audio.kokoro_library import KokoroLibrary
    return KokoroLibrary(model, path, threads=options.threads)


def _pcm(samples: Samples) -> bytes:
    return bytes((samples.clip(-1.0, 1.0) * 32767).astype("<i2").tobytes())
