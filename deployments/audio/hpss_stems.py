"""Stems without a trained model: harmonic/percussive separation, centre and change of the audio."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from typing_extensions import override

from deployments.audio.audio_progress import audio_progress
from deployments.audio.audio_samples import Audio, WavFile, opened_audio
from deployments.audio.hpss_masks import REACH_FRAMES, masks
from deployments.audio.overlapping_windows import WindowGrid, inner_samples, pieces, spectrum_of
from deployments.audio.stem_files import Separator, Stop, Targets, separated
from deployments.model_engine import ModelEngine
from serve_app.core.audio.stems import SeparateStems, StemEvent, StemName, StemSeparator
from serve_app.core.errors import BackendUnavailable
from serve_app.core.message import Progress
from serve_app.core.options.audio import HpssOptions
from serve_app.runtime.streams import closing

LIMITATIONS = (
    "separated by signal processing, not by a trained model: every stem keeps traces of the others",
    "voices are detected as changing parts in the centre of a stereo mix; solo instruments "
    "there may be taken for voices, and held notes of voices for instruments",
)


class HpssStems(ModelEngine[HpssOptions], StemSeparator):
    """A StemSeparator. An hour of audio takes no more memory than seconds of it."""

    requires = ("av",)

    @override
    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        if not request.allows_fallback:
            raise BackendUnavailable(
                f"model {request.model!r} separates by signal processing only",
                remedy="allow the fallback to use it",
                param="allows_fallback",
                provider=self.options.engine,
            )
        by = Separator(
            self.options.engine, self.model.id, "best-effort", "numpy", limitations=LIMITATIONS
        )
        events = separated(request, self.blobs, partial(_separated, request), by)
        async with closing(events):
            async for event in events:
                yield event


def _separated(
    request: SeparateStems, source: Path, targets: Targets, stop: Stop
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
    audio: Audio, request: SeparateStems, files: dict[StemName, WavFile], stop: Stop
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
