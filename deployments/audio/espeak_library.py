"""espeak-ng through ctypes. The library keeps one voice and one text at a time in global state, so
everything here runs under one lock.
"""

import ctypes
import threading
from collections.abc import Callable
from functools import cache

from serve_app.core.errors import BackendUnavailable

# Names and values as in espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
POSITION_CHARACTER = 1
CHARACTERS_UTF8 = 1
PARAMETER_RATE = 1
BUFFER_MS = 60
SLOWEST_WPM, NORMAL_WPM, FASTEST_WPM = 80, 175, 450

SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class VoiceStructure(ctypes.Structure):
    """espeak_VOICE; `languages` is a priority byte and a name, repeated."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class EspeakLibrary:
    """The loaded library."""

    def __init__(self) -> None:
        try:
            import espeakng_loader

            library = ctypes.CDLL(espeakng_loader.get_library_path())
            data = str(espeakng_loader.get_data_path()).encode()
        except (ImportError, OSError) as error:
            raise BackendUnavailable(
                "espeak-ng cannot be loaded",
                remedy="install the local extra: pip install 'polyphony[local]'",
                provider="espeak",
            ) from error
        self._library = library
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(VoiceStructure))
        self._lock = threading.Lock()
        self.sample_rate = int(
            library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MS, data, 0)
        )
        if self.sample_rate <= 0:
            raise BackendUnavailable("espeak-ng finds no voice data", provider="espeak")

    def voices(self) -> dict[str, str]:
        """Lower-case language tags and the names under which the library finds their voices."""
        found: dict[str, str] = {}
        with self._lock:
            voices = self._library.espeak_ListVoices(None)
            position = 0
            while voices[position]:
                voice = voices[position].contents
                tag = (voice.languages or b"")[1:].split(b"\0")[0].decode().lower()
                if tag and tag != "variant" and voice.identifier:
                    found.setdefault(tag, voice.identifier.decode())
                position += 1
        return found

    def synthesize(
        self, text: str, *, voice: str, words_per_minute: int, take: Callable[[bytes], bool]
    ) -> None:
        """Speak. Blocks. `take` gets signed 16-bit mono samples as they come and says whether to
        go on.
        """

        def on_samples(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
            if not samples or count <= 0:
                return 0
            return 0 if take(ctypes.string_at(samples, count * 2)) else 1

        callback = SynthCallback(on_samples)
        data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        with self._lock:
            self._library.espeak_SetSynthCallback(callback)
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise BackendUnavailable(f"espeak-ng has no voice {voice!r}", provider="espeak")
            self._library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
            self._library.espeak_Synth(
                data, len(data), 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None
            )


@cache
def espeak_library() -> EspeakLibrary:
    """The one library of this process: initialising it twice would free the first one's data."""
    return EspeakLibrary()
