"""An audio file that is made in pieces, faded into each other, on its way into a WAV file; and how
the engines that make audio of words answer with it.
"""

import tempfile
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from deployments.audio.audio_samples import Samples, WavFile
from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio, GeneratedAudio
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.audio import AudioGenerationOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import pushed


@dataclass(frozen=True)
class WrittenAudio:
    """What is in the file."""

    sample_rate: int
    channels: int
    samples: int
    warnings: tuple[Notice, ...] = ()


Push = Callable[[Progress | WrittenAudio], None]
Stop = Callable[[], bool]
Work = Callable[[Path, Push, Stop], None]


class JoinedAudio:
    """Pieces of which each begins with the last `fade` samples of the one before, in another
    rendering. The fade is linear where the two are of the same audio, else of equal power. Only
    the samples to be faded are held in memory.
    """

    def __init__(self, target: Path, sample_rate: int, *, fade: int, is_same_audio: bool) -> None:
        self._target = target
        self._sample_rate = sample_rate
        self._fade = fade
        self._power = 1.0 if is_same_audio else 0.5
        self._held: Samples | None = None
        self._file: WavFile | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, samples: Samples) -> None:
        """The next piece, shaped (channels, samples)."""
        if self._file is None:
            file = self._stack.enter_context(self._target.open("wb"))
            self._file = WavFile(file, sample_rate=self._sample_rate, channels=len(samples))
        if self._held is not None:
            samples = self._faded(self._held, samples)
        end = max(0, samples.shape[1] - self._fade)
        self._file.write(samples[:, :end])
        self._held = samples[:, end:].copy()

    def finish(self, count: int, warnings: tuple[Notice, ...] = ()) -> WrittenAudio:
        """Complete the file, `count` samples long."""
        assert self._file is not None
        assert self._held is not None
        self._file.write(self._held)
        self._file.cut_to(count)
        self._file.finish()
        return WrittenAudio(self._sample_rate, len(self._held), count, warnings)

    def _faded(self, old: Samples, new: Samples) -> Samples:
        count = min(old.shape[1], new.shape[1])
        rise = (np.arange(count, dtype=np.float32) + 0.5) / max(1, count)
        both = old[:, :count] * (1 - rise) ** self._power + new[:, :count] * rise**self._power
        return np.concatenate([both, new[:, count:]], axis=1, dtype=np.float32)


def check_kind(request: GenerateAudio, options: AudioGenerationOptions) -> None:
    """UnsupportedCapability for what the models of the family do not make."""
    if request.kind not in options.kinds:
        made = ", ".join(map(repr, options.kinds))
        raise UnsupportedCapability(
            f"model {request.model!r} generates {made}, not {request.kind!r}", param="kind"
        )


async def audio_stream(
    request: GenerateAudio, work: Work, blobs: BlobStore, thread: Executor
) -> AsyncGenerator[AudioEvent]:
    """What `work` tells while it writes the file that it is given, then the audio, stored."""
    written: WrittenAudio | None = None
    with tempfile.TemporaryDirectory(prefix="audio-") as folder:
        target = Path(folder) / "audio.wav"
        events: AsyncGenerator[Progress | WrittenAudio] = pushed(
            lambda push, is_stopped: work(target, push, is_stopped), thread
        )
        async with closing(events):
            async for event in events:
                if isinstance(event, Progress):
                    yield event
                else:
                    written = event
        assert written is not None
        audio = await blobs.write_file(target, mime="audio/wav")
    yield GeneratedAudio(
        audio=audio,
        duration_s=written.samples / written.sample_rate,
        sample_rate=written.sample_rate,
        channels=written.channels,
        seed=request.seed,
        warnings=written.warnings,
    )
