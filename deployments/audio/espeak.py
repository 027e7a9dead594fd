"""Speech by espeak-ng: a hundred languages, no download, 300 times faster than real time."""

import importlib
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

from typing_extensions import override

from deployments.audio.espeak_library import FASTEST_WPM, NORMAL_WPM, SLOWEST_WPM, espeak_library
from deployments.model_engine import ModelEngine
from serve_app.core.audio.speech import (
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEvent,
    SpeechModel,
    Voice,
    Voices,
)
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.audio import EspeakOptions
from serve_app.core.text.languages import language_code
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread, iterate_callbacks

# OpenAI's names, each a voice of its own by espeak-ng's variants (m: male, f: female; the files of
# its directory voices/!v).
OPENAI_VOICES: dict[str, str] = {
    "alloy": "f5",
    "ash": "m2",
    "ballad": "m4",
    "cedar": "m8",
    "coral": "f1",
    "echo": "m1",
    "fable": "m5",
    "marin": "f3",
    "nova": "f2",
    "onyx": "m3",
    "sage": "f4",
    "shimmer": "Annie",
    "verse": "m7",
}
LISTED = 40


class EspeakSpeech(ModelEngine[EspeakOptions], SpeechModel):
    """A SpeechModel. A voice is a language tag, with a variant (`en-us+f3`) or without, or one of
    OpenAI's names, which speaks the language that is asked for.
    """

    def __init__(
        self,
        options: EspeakOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        # Loading the codecs takes longer than a whole sentence: not while somebody waits for one.
        for module in ("av.filter", "numpy", "deployments.audio.speech_encoding"):
            importlib.import_module(module)
        self._library = espeak_library()
        self._identifiers = self._library.voices()
        self._languages = tuple(self._identifiers)
        self._default = options.voice

    async def close(self) -> None:
        """Nothing to free: the library stays with the process."""

    def has_voice(self, name: str | None) -> bool:
        """Whether it speaks with a voice of that name."""
        folded = (name or "").strip().lower()
        return folded in OPENAI_VOICES or self._named(folded) is not None

    async def voices(self, request: ListVoices) -> Voices:  # noqa: ARG002 - has one model
        """The default, OpenAI's names, then every language."""
        names = [self._default, *OPENAI_VOICES, *self._languages]
        spoken = {tag: language_code(tag) for tag in self._languages}
        voices = (Voice(name=n, language=spoken.get(n)) for n in dict.fromkeys(names))
        return Voices(voices=tuple(voices))

    @override
    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        """Speeds beyond espeak's own range are reached by stretching in time."""
        voice = self._voice(request)
        work = in_thread(lambda stop: self._spoken(request, voice, stop))
        try:
            async for item in work:
                yield item
        finally:
            await work.aclose()

    @override
    async def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        """By signal processing: the voice that is spoken with is espeak-ng's."""
        from deployments.audio.clone_espeak import EspeakAudio, cloned

        tag = self._language(request.language) or self._default.partition("+")[0]
        wanted, rate = _paces(request.speed)
        async with self.blobs.local_file(request.reference) as reference:

            def work(stop: Callable[[], bool]) -> Iterator[CloneEvent]:
                def synthesize(variant: str) -> Iterator[bytes]:
                    voice = self._named(f"{tag}+{variant}" if variant else tag) or tag
                    return self._samples(request.text, voice, rate, stop)

                performance = EspeakAudio(synthesize, self._library.sample_rate, rate / wanted)
                return cloned(request, reference, performance, stop)

            events = in_thread(work)
            async with closing(events):
                async for event in events:
                    yield event

    def _spoken(
        self, request: Speak, voice: str, stop: Callable[[], bool]
    ) -> Iterator[SpeechEvent]:
        from deployments.audio.speech_encoding import spoken

        wanted, rate = _paces(request.speed)
        return spoken(
            self._samples(request.text, voice, rate, stop),
            request,
            sample_rate=self._library.sample_rate,
            tempo=wanted / rate,
        )

    def _samples(
        self, text: str, voice: str, rate: int, stop: Callable[[], bool]
    ) -> Iterator[bytes]:
        """Espeak calls back; the calls are turned into an iterator by a thread of their own."""

        def speak(take: Callable[[bytes], bool]) -> None:
            self._library.synthesize(text, voice=voice, words_per_minute=rate, take=take)

        return iterate_callbacks(speak, stop)

    def _voice(self, request: Speak) -> str:
        """The library's name for what the request asks for."""
        if request.voice is None:
            tag = self._language(request.language) or self._default
            return self._named(tag) or self._named("en-us") or tag
        name = request.voice.strip().lower()
        if name in OPENAI_VOICES:
            tag = self._language(request.language) or self._default.partition("+")[0]
            name = f"{tag}+{OPENAI_VOICES[name]}"
        voice = self._named(name)
        if voice is None:
            listed = ", ".join([*OPENAI_VOICES, *self._languages[:LISTED]])
            raise InvalidRequest(
                f"unknown voice {name[:100]!r}", remedy=f"voices: {listed} …", param="voice"
            )
        return voice

    def _named(self, name: str) -> str | None:
        """A language tag, with a variant or without, as the library takes it."""
        tag, _, variant = name.partition("+")
        # Callers' spelling is lower case, the library's files are not.
        variant = {known.lower(): known for known in OPENAI_VOICES.values()}.get(variant, variant)
        is_variant = variant in ("", *OPENAI_VOICES.values()) or (
            variant[0] in "mf" and variant[1:] in tuple("12345678")
        )
        identifier = self._identifiers.get(tag) or self._identifiers.get(self._nearest(tag) or "")
        if identifier is None or not is_variant:
            return None
        return f"{identifier}+{variant}" if variant else identifier

    def _language(self, language: str | None) -> str | None:
        """The tag that a language is spoken with."""
        if language is None:
            return None
        tag = language.lower().replace("_", "-")
        found = tag if tag in self._identifiers else self._nearest(language)
        if found is None:
            raise InvalidRequest(
                f"espeak-ng does not speak {language!r}",
                remedy=f"languages: {', '.join(self._languages)}",
                param="language",
            )
        return found

    def _nearest(self, language: str) -> str | None:
        """A tag of the same language: the default voice's, else the plainest one."""
        code = language_code(language)
        if code is None:
            return None
        codes = (code, "cmn") if code == "zh" else (code,)
        tags = [tag for tag in self._languages if tag.partition("-")[0] in codes]
        default = self._default.partition("+")[0]
        return default if default in tags else min(tags, key=len, default=None)


def _paces(speed: float) -> tuple[float, int]:
    """Words per minute: those wanted, and those within espeak-ng's own range."""
    wanted = NORMAL_WPM * speed
    return wanted, round(min(FASTEST_WPM, max(SLOWEST_WPM, wanted)))
