"""Stems by Spleeter: voices and everything else."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from typing_extensions import override

from deployments.audio.audio_progress import audio_progress
from deployments.audio.audio_resampling import resampled
from deployments.audio.audio_samples import Samples, opened_audio
from deployments.audio.stem_files import Separator, Stop, Targets, separated
from deployments.audio.stem_writer import StemWriter, with_channels
from deployments.model_engine import ModelEngine
from serve_app.core.audio.stems import SeparateStems, StemEvent, StemName, StemSeparator
from serve_app.core.config import Model
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import SpleeterOptions
from serve_app.runtime.extras import needed_by
from serve_app.runtime.streams import closing

LIMITATIONS = ("separates voices from the rest only, and nothing above 11 kHz by itself",)
ORDER: tuple[StemName, ...] = ("vocals", "instrumental")
"""That of the model's stems."""


class SpleeterStems(ModelEngine[SpleeterOptions], StemSeparator):
    """A StemSeparator. Holds some ten seconds of audio at a time."""

    def __init__(
        self,
        options: SpleeterOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        with needed_by(options):
            from deployments.audio.spleeter_masks import SpleeterModel
        self._model = SpleeterModel(options, model, path)

    async def close(self) -> None:
        """Let go of the weights."""
        self.__dict__.pop("_model", None)

    @override
    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        """UnsupportedCapability for stems that the model was not trained for."""
        if request.stem_mode not in self.options.stem_modes:
            raise UnsupportedCapability(
                f"model {self.model.id!r} separates voices from the rest only",
                remedy="its modes: vocals-instrumental",
                param="stem_mode",
            )
        by = Separator(self.options.engine, self.model.id, "ml", "torch", limitations=LIMITATIONS)
        events = separated(request, self.blobs, partial(self._separated, request), by)
        async with closing(events):
            async for event in events:
                yield event

    def _separated(
        self, request: SeparateStems, source: Path, targets: Targets, stop: Stop
    ) -> Iterator[Progress | float]:
        """Writes the stems; the last item is the audio's duration in seconds."""
        rate = self._model.sample_rate
        with ExitStack() as stack:
            audio = stack.enter_context(
                opened_audio(source, param="audio", track=request.audio_track)
            )
            writers = [
                StemWriter(stack.enter_context(targets[name].open("wb")), audio, rate)
                for name in ORDER
            ]
            counted = Counted(audio.blocks)
            mix = (with_channels(each, 2) for each in resampled(counted, audio.sample_rate, rate))
            done_s = 0.0
            for stems in self._model.stems(mix, stop):
                for writer, samples in zip(writers, stems, strict=True):
                    writer.write(samples)
                done_s += stems.shape[-1] / rate
                yield audio_progress("separate", done_s, audio.duration_s)
            for writer in writers:
                writer.finish(counted.samples)
            yield counted.samples / audio.sample_rate


class Counted(Iterator[Samples]):
    """Blocks of audio, and how many samples per channel they had so far."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks = blocks
        self.samples = 0

    @override
    def __next__(self) -> Samples:
        block = next(self._blocks)
        self.samples += block.shape[1]
        return block
