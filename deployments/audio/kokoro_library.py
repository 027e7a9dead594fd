"""Kokoro-82M as ONNX through the library kokoro-onnx: its files, phonemes and samples. Imported
only where the library is.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from kokoro_onnx import Kokoro
from kokoro_onnx.chunker import pause_after, split_phonemes
from kokoro_onnx.config import MAX_PHONEME_LENGTH, SAMPLE_RATE

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono at SAMPLE_RATE, full scale is -1 to 1."""
Style = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (phonemes, 1, 256): a voice, by the number of phonemes that it speaks at once."""

SENTENCE_PAUSE_S, CLAUSE_PAUSE_S = 0.25, 0.1
"""The library's own, between two batches of a text."""
INPUTS = {"style", "speed"}
VOICE_SUFFIXES = (".npz", ".bin")


class KokoroLibrary:
    """One loaded model. BackendUnavailable for files that are something else."""

    sample_rate = SAMPLE_RATE

    def __init__(self, model: Model, path: Path | None, *, threads: int | None) -> None:
        network, voices = _files(model, path)
        try:
            session = _session(network, threads)
            self._kokoro = Kokoro.from_session(session, str(voices))
            loaded: Any = self._kokoro.voices
            self._styles: dict[str, Style] = {name: _style(loaded[name]) for name in loaded.files}
            loaded.close()
        except Exception as error:
            # onnxruntime's errors have no common base but Exception.
            reason = str(error).replace(str(network.parent), "its directory").split("\n")[0]
            raise BackendUnavailable(
                f"model {model.id!r} cannot be loaded by kokoro-onnx: {reason}",
                remedy="check that its .onnx file and its voices (.npz or .bin) are complete",
                provider="kokoro",
            ) from error

    @property
    def voices(self) -> tuple[str, ...]:
        """Their names, in the order of the file."""
        return tuple(self._styles)

    def batches(self, sentence: str, tag: str) -> list[str]:
        """The phonemes of a text in espeak-ng's language `tag`, as many at once as the model
        takes. None where nothing of it can be spoken.
        """
        phonemes = " ".join(self._kokoro.tokenizer.phonemize(sentence, tag).split())
        is_spoken = any(sound.isalpha() for sound in phonemes)
        return split_phonemes(phonemes, MAX_PHONEME_LENGTH) if is_spoken else []

    def samples(self, batch: str, voice: str, speed: float) -> Samples:
        """What phonemes sound like, without silence around them. Blocks."""
        audio, _ = self._kokoro.create(batch, self._styles[voice], speed=speed, is_phonemes=True)
        return np.nan_to_num(np.asarray(audio, dtype=np.float32))

    def pause_s(self, batch: str) -> float:
        """How long it is silent between a batch and its successor."""
        return float(pause_after(batch, SENTENCE_PAUSE_S, CLAUSE_PAUSE_S))


def _files(model: Model, path: Path | None) -> tuple[Path, Path]:
    """The network and its voices: the one `.onnx` file, and the one `.npz` or `.bin` beside it."""
    folder = path.parent if path and path.is_file() else path
    files = sorted(folder.rglob("*")) if folder else []
    networks = [path] if path and path.is_file() else [f for f in files if f.suffix == ".onnx"]
    voices = [file for file in files if file.suffix in VOICE_SUFFIXES]
    if len(networks) != 1 or len(voices) != 1:
        raise BackendUnavailable(
            f"model {model.id!r} needs a directory with one .onnx file and one file of voices "
            "(.npz or .bin)",
            remedy=f"it has {len(networks)} and {len(voices)}",
            provider="kokoro",
        )
    return networks[0], voices[0]


def _session(network: Path, threads: int | None) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    # Left to itself, onnxruntime binds its threads to cores, where they wait for those of other
    # models instead of moving on.
    settings.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(
        str(network), settings, providers=["CPUExecutionProvider"]
    )
    missing = INPUTS - {each.name for each in session.get_inputs()}
    if missing:
        raise ValueError(f"the network has no input {min(missing)!r}")
    return session


def _style(voice: Any) -> Style:
    style: Style = np.asarray(voice, dtype=np.float32)
    if style.ndim != 3 or style.shape[1:] != (1, 256) or not len(style):
        raise ValueError(f"a voice has the shape {style.shape} and not (phonemes, 1, 256)")
    return style
