"""Stems without a trained model: harmonic/percussive separation, centre and change of the audio."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from deployments.audio.audio_progress import audio_facts, audio_progress
from deployments.audio.audio_samples import Audio, WavFile, opened_audio
from deployments.audio.hpss_masks import REACH_FRAMES, masks
from deployments.audio.overlapping_windows import WindowGrid, inner_samples, pieces, spectrum_of
from deployments.model_engine import ModelEngine
from serve_app.core.audio.stems import (
    STEM_NAMES,
    STEM_ROLES,
    SeparateStems,
    Stem,
    StemEvent,
    StemName,
    Stems,
)
from serve_app.core.errors import BackendUnavailable
from serve_app.core.message import Progress
from serve_app.core.options.audio import HpssOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

LIMITATIONS = (
    "separated by signal processing, not by a trained model: every stem keeps traces of the others",
    "a voice is told by what changes and lies in the centre of a stereo mix; solo instruments "
    "there are taken for voices, held notes of voices for instruments",
)


class HpssStems(ModelEngine[HpssOptions]):
    """A StemSeparator. An hour of audio takes no more memory than seconds of it."""

    requires = ("av",)

    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        """See StemSeparator."""
        if not request.allows_fallback:
            raise BackendUnavailable(
                f"model {request.model!r} separates by signal processing only; "
                "allow a fallback to use it",
                param="allows_fallback",
                provider=self.options.engine,
            )
        names = STEM_NAMES[request.stem_mode]
        duration_s = 0.0
        with tempfile.TemporaryDirectory(prefix="stems-") as folder:
            targets = {name: Path(folder) / f"{name}.wav" for name in names}
            async with self.blobs.local_file(request.audio) as source:
                choice = (
                    await asyncio.to_thread(audio_facts, source, request.audio_track)
                ).warnings
                work = in_thread(lambda stop: _separated(source, request, targets, stop))
                async with closing(work):
                    async for item in work:
                        if isinstance(item, Progress):
                            yield item
                        else:
                            duration_s = item
            yield await self._stored(request, targets, duration_s, choice)

    async def _stored(
        self,
        request: SeparateStems,
        targets: dict[StemName, Path],
        duration_s: float,
        choice: tuple[str, ...],
    ) -> Stems:
        stems = [
            Stem(
                name=name,
                role=STEM_ROLES[name],
                audio=await self.blobs.write_file(path, mime="audio/wav"),
            )
            for name, path in targets.items()
        ]
        return Stems(
            stem_mode=request.stem_mode,
            stems=tuple(stems),
            engine=self.options.engine,
            model=self.model.id,
            quality="best-effort",
            dependency="numpy",
            duration_s=duration_s,
            limitations=LIMITATIONS,
            warnings=choice,
        )


def _separated(
    source: Path, request: SeparateStems, targets: dict[StemName, Path], stop: Callable[[], bool]
) -> Iterator[Progress | float]:
    """Writes the stems; the last item is the audio's duration in seconds."""
    with ExitStack() as stack:
        audio = stack.enter_context(opened_audio(source, param="audio", track=request.audio_track))
        files = {
            name: WavFile(
                stack.enter_context(path.open("wb")),
                sample_rate=audio.sample_rate,
                channels=audio.channels,
            )
            for name, path in targets.items()
        }
        done = 0
        for count in _written(audio, request, files, stop):
            done += count
            yield audio_progress("separate", done / audio.sample_rate, audio.duration_s)
        for file in files.values():
            file.finish()
        yield done / audio.sample_rate


def _written(
    audio: Audio, request: SeparateStems, files: dict[StemName, WavFile], stop: Callable[[], bool]
) -> Iterator[int]:
    """How many samples were written, piece by piece; ends early when told to stop."""
    grid = WindowGrid.for_rate(audio.sample_rate, reach_frames=REACH_FRAMES)
    hertz = np.fft.rfftfreq(grid.window, 1 / audio.sample_rate).astype(np.float32)
    for piece, count in pieces(audio.blocks, grid):
        spectrum = spectrum_of(piece, grid)
        for name, mask in masks(spectrum, hertz, request.stem_mode).items():
            if stop():
                return
            files[name].write(inner_samples(spectrum * mask, grid, count))
        yield count
