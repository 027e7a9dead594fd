"""Stems by Demucs (S. Rouard et al., Hybrid transformers for music source separation, 2023)."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from deployments.audio.audio_resampling import resampled
from deployments.audio.audio_samples import Audio, Samples, opened_audio
from deployments.audio.down_mixing import mono_blocks
from deployments.audio.stem_files import Separator, Stop, Targets, separated
from deployments.audio.stem_writer import StemWriter, with_channels
from deployments.model_engine import ModelEngine
from serve_app.core.audio.stems import STEM_NAMES, SeparateStems, StemEvent, StemName, StemSeparator
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import DemucsOptions
from serve_app.runtime.streams import closing

OWN_STEMS = ("vocals", "drums", "bass")
"""Stems that a model gives as they are; `other` and `instrumental` are the sum of what is left."""
SMALLEST_DEVIATION = 1e-5
StemSamples = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (sources, channels, samples)."""


@dataclass(frozen=True)
class MixStatistics:
    """Of a whole audio: samples per channel, and mean and deviation of its mono mix."""

    samples: int
    mean: float
    deviation: float


class DemucsStems(ModelEngine[DemucsOptions], StemSeparator):
    """A StemSeparator. Holds a few chunks of audio at a time."""

    def __init__(
        self,
        options: DemucsOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._bag, self._device = _load(options, model, path)

    async def close(self) -> None:
        """Let go of the weights."""
        self._bag = None

    @override
    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        """UnsupportedCapability for stems that the model was not trained for."""
        self._check(STEM_NAMES[request.stem_mode])
        by = Separator(self.options.engine, self.model.id, "ml", "demucs")
        events = separated(request, self.blobs, partial(self._separated, request), by)
        async with closing(events):
            async for event in events:
                yield event

    def _check(self, names: tuple[StemName, ...]) -> None:
        missing = [name for name in names if name in OWN_STEMS and name not in self._bag.sources]
        if missing:
            raise UnsupportedCapability(
                f"model {self.model.id!r} does not separate {missing[0]!r}",
                remedy=f"its stems: {', '.join(self._bag.sources)}",
                param="stem_mode",
            )

    def _separated(
        self, request: SeparateStems, source: Path, targets: Targets, stop: Stop
    ) -> Iterator[Progress | float]:
        """Writes the stems; the last item is the audio's duration in seconds."""
        with opened_audio(source, param="audio", track=request.audio_track) as audio:
            level = level_of(mono_blocks(audio.blocks, audio.sample_rate), stop)
        with ExitStack() as stack:
            audio = stack.enter_context(
                opened_audio(source, param="audio", track=request.audio_track)
            )
            duration_s = level.samples / audio.sample_rate
            writers = {
                name: StemWriter(stack.enter_context(path.open("wb")), audio, self._bag.samplerate)
                for name, path in targets.items()
            }
            yield Progress(phase="separate", current=0, total=round(duration_s))
            done_s = 0.0
            for stems in self._stems(audio, level, stop):
                for name, writer in writers.items():
                    writer.write(stem_of(name, tuple(writers), self._bag.sources, stems))
                done_s += stems.shape[-1] / self._bag.samplerate
                now = round(min(done_s, duration_s))
                yield Progress(phase="separate", current=now, total=round(duration_s))
            for writer in writers.values():
                writer.finish(level.samples)
            yield duration_s

    def _stems(self, audio: Audio, level: MixStatistics, stop: Stop) -> Iterator[StemSamples]:
        """What the model makes of the audio, at the model's rate, as loud as the audio is."""
        from deployments.audio.demucs_chunks import ChunkedSeparation

        chunks = ChunkedSeparation(self._bag, self._device, overlap=self.options.overlap)
        channels, rate = self._bag.audio_channels, audio.sample_rate
        blocks = mono_blocks(audio.blocks, rate) if channels == 1 else audio.blocks
        wanted = (
            (with_channels(block, channels) - level.mean) / level.deviation
            for block in resampled(blocks, rate, self._bag.samplerate)
        )
        for stems in chunks.separated(wanted, stop):
            yield stems * level.deviation + level.mean


def level_of(blocks: Iterator[Samples], stop: Stop) -> MixStatistics:
    """Of all blocks of one channel, or of those until it was told to stop."""
    count, total, squares = 0, 0.0, 0.0
    for block in blocks:
        mono = block[0].astype(np.float64)
        count += len(mono)
        total += float(mono.sum())
        squares += float(np.square(mono).sum())
        if stop():
            break
    mean = total / max(1, count)
    deviation = max(0.0, squares / max(1, count) - mean**2) ** 0.5
    return MixStatistics(count, mean, max(deviation, SMALLEST_DEVIATION))


def stem_of(
    name: StemName, requested: tuple[StemName, ...], sources: list[str], stems: StemSamples
) -> Samples:
    """The stem from what the model gives: its own, or all that nobody asked for."""
    if name in OWN_STEMS:
        return np.asarray(stems[sources.index(name)], dtype=np.float32)
    left = [i for i, source in enumerate(sources) if source not in requested or source == name]
    return np.asarray(stems[left].sum(axis=0), dtype=np.float32)


def _load(options: DemucsOptions, model: Model, path: Path | None) -> tuple[Any, Any]:
    """The models and their device."""
    from deployments.audio.demucs_checkpoint import load_bag
    from deployments.torch_device import device_of

    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source", remedy="set it to a hub id or a local directory"
        )
    device = device_of(options)
    try:
        return load_bag(path).eval().to(device), device
    except (ValueError, RuntimeError) as error:
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded by demucs",
            remedy=(
                "its source must be a directory with weights of Demucs (.safetensors or .th) and, "
                "for a bag of models, its list (.yaml)"
            ),
            provider=options.engine,
        ) from error
