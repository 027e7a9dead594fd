"""Speech by Piper: small VITS voices as ONNX files, in real time on slow machines. The library is
GPL-3.0 and an extra; nothing of it comes with the server.
"""

import importlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from deployments.audio.preset_voices import OwnLanguages, PresetVoices
from deployments.audio.sentences import sentences
from deployments.audio.speech_encoding import spoken
from deployments.model_engine import ModelEngine
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
from serve_app.core.options.audio import PiperOptions
from serve_app.runtime.extras import needed_by
from serve_app.runtime.threads import in_thread


class PiperConfig(Protocol):
    """What is read of `piper.config.PiperConfig`."""

    sample_rate: int
    espeak_voice: str
    num_speakers: int
    speaker_id_map: dict[str, int]
    length_scale: float


class PiperVoice(Protocol):
    """What is used of `piper.PiperVoice`."""

    config: PiperConfig

    def synthesize(self, text: str, syn_config: Any = None) -> Iterable[Any]:
        """Chunks with `audio_int16_bytes`, each made when it is asked for."""
        ...


class Piper(Protocol):
    """The library, or what takes its place in a test."""

    def load(self, path: Path) -> PiperVoice:
        """The voice of an `.onnx` file with its `.onnx.json`."""
        ...

    def synthesis(self, *, speaker_id: int | None, length_scale: float) -> Any:
        """A `piper.SynthesisConfig`."""
        ...


class PiperSpeech(ModelEngine[PiperOptions], SpeechModel):
    """A SpeechModel. Voices are the speakers that the voice file names."""

    def __init__(
        self,
        options: PiperOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        library: Piper | None = None,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        with needed_by(options):
            self._piper = InstalledPiper() if library is None else library
        self._voice = _load(self._piper, model, path)
        config = self._voice.config
        count = config.num_speakers
        names = sorted(config.speaker_id_map, key=lambda name: config.speaker_id_map[name])
        self._speakers: dict[str, int | None] = (
            {name: config.speaker_id_map[name] for name in names}
            or {f"speaker-{k}": k for k in range(count) if count > 1}
            or {"default": None}
        )
        self._presets = PresetVoices(tuple(self._speakers), default=options.voice)
        self._languages = OwnLanguages(model.id, model.languages or (config.espeak_voice,))
        # espeak-ng, with which Piper reads, keeps its voice in the process's global state.
        self._lock = threading.Lock()

    async def close(self) -> None:
        """Forgetting the session frees it."""
        self.__dict__.pop("_voice", None)

    async def voices(self, request: ListVoices) -> Voices:  # noqa: ARG002 - has one model
        """The default, the other speakers, then OpenAI's names."""
        return Voices(voices=self._presets.listing(self._languages.only))

    @override
    def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        raise UnsupportedCapability(
            f"model {request.model!r} speaks with its own voices only", param="reference"
        )

    @override
    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """Audio comes sentence by sentence, and between two it can be stopped."""
        speaker = self._speakers[self._presets.speaker(request.voice)]
        warnings = self._languages.warnings(request.language)
        rate = self._voice.config.sample_rate

        def produce(stop: Callable[[], bool]) -> Iterator[SpeechEvent]:
            pieces = self._pieces(request, speaker, stop)
            return spoken(pieces, request, sample_rate=rate, warnings=warnings)

        work = in_thread(produce)
        try:
            async for item in work:
                yield item
        finally:
            await work.aclose()

    def _pieces(
        self, request: Speak, speaker: int | None, stop: Callable[[], bool]
    ) -> Iterator[bytes]:
        slowness = self._voice.config.length_scale / request.speed
        how = self._piper.synthesis(speaker_id=speaker, length_scale=slowness)
        num_bytes = 0
        for sentence in sentences(request.text.encode("utf-8", "replace").decode()):
            if stop():
                return
            with self._lock:
                chunks = self._voice.synthesize(sentence, syn_config=how)
                pcm = b"".join(chunk.audio_int16_bytes for chunk in chunks)
            if pcm:
                num_bytes += len(pcm)
                yield pcm
        if not num_bytes:
            raise InvalidRequest(
                "the text contains nothing that this model can speak", param="text"
            )


class InstalledPiper(Piper):
    """The library, imported here. ImportError when it is not installed."""

    def __init__(self) -> None:
        self._module = importlib.import_module("piper")

    @override
    def load(self, path: Path) -> PiperVoice:
        voice: PiperVoice = self._module.PiperVoice.load(path)
        return voice

    @override
    def synthesis(self, *, speaker_id: int | None, length_scale: float) -> Any:
        return self._module.SynthesisConfig(speaker_id=speaker_id, length_scale=length_scale)


def _load(piper: Piper, model: Model, path: Path | None) -> PiperVoice:
    """BackendUnavailable when there is no voice, and for files that are none."""
    found = [path] if path and path.is_file() else sorted(path.rglob("*.onnx")) if path else []
    if len(found) != 1:
        raise BackendUnavailable(
            f"model {model.id!r} needs one Piper voice: set its source to an .onnx file, or to a "
            "directory with one",
            remedy=f"it has {len(found)}",
            provider="piper",
        )
    try:
        return piper.load(found[0])
    except Exception as error:
        # onnxruntime's errors have no common base but Exception.
        reason = str(error).replace(str(found[0].parent), "its directory").split("\n")[0]
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded by piper: {reason}",
            remedy="check that the voice and its .onnx.json are complete",
            provider="piper",
        ) from error
