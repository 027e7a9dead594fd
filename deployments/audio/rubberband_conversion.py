"""Voice conversion without a trained model: the source's pitch and average spectrum moved to the
target's. What is said, and how, stays the source's.
"""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing as closed
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from deployments.audio.audio_decoding import BYTES_PER_SECOND, first_seconds, speech_blocks
from deployments.audio.pcm_wav import written_wav
from deployments.audio.pitch import HIGHEST_SPOKEN_HZ, HIGHEST_SUNG_HZ
from deployments.audio.rubberband import Reshaping, ffmpeg_path, reshaped
from deployments.audio.voice_character import VoiceCharacter, measured_character
from deployments.audio.voice_likeness import voice_change
from deployments.model_engine import ModelEngine
from serve_app.core.audio.voice_conversion import (
    ConversionEvent,
    ConvertedVoice,
    ConvertVoice,
    VoiceConverter,
)
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.audio import RubberbandOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import pushed

BEST_EFFORT = Notice(
    text="converted by signal processing, not by a trained model: the pitch and the average "
    "spectrum are the target's; accent, breath and the finer timbre stay the source's"
)
UNVOICED = Notice(
    text="no voice was detected in the source; only the pitch shift changes its pitch"
)
TARGET_S = 300.0
"""More of the target tells nothing new."""
Push = Callable[[Progress], None]


class RubberbandConversion(ModelEngine[RubberbandOptions], VoiceConverter):
    """A VoiceConverter. An hour of audio takes no more memory than seconds of it."""

    def __init__(
        self,
        options: RubberbandOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        ffmpeg_path()

    @override
    async def convert_voice(self, request: ConvertVoice) -> AsyncGenerator[ConversionEvent]:
        """Progress in seconds of audio."""
        with tempfile.TemporaryDirectory(prefix="voice-") as folder:
            wav = Path(folder) / "converted.wav"
            async with (
                self.blobs.local_file(request.source) as source,
                self.blobs.local_file(request.target) as target,
            ):
                conversion = Conversion(request, source, target, wav)
                work = pushed(conversion.run)
                async with closing(work):
                    async for progress in work:
                        yield progress
            audio = await self.blobs.write_file(wav, mime="audio/wav")
        warnings = (BEST_EFFORT, *conversion.warnings, *without_diffusion(request, self.model.id))
        yield ConvertedVoice(audio=audio, duration_s=conversion.duration_s, warnings=warnings)


def without_diffusion(request: ConvertVoice, model: str) -> Iterator[Notice]:
    """Warnings for what was asked of an engine that does not diffuse."""
    requested = {"number of diffusion steps": request.diffusion_steps, "guidance": request.guidance}
    for words, value in requested.items():
        if value is not None:
            said = f"the {words} has no effect: model {model!r} is not a diffusion model"
            yield Notice(text=said)


class Conversion:
    """One conversion between local files. `duration_s` and `warnings` are known when it has run."""

    def __init__(self, request: ConvertVoice, source: Path, target: Path, wav: Path) -> None:
        self._request = request
        self._source = source
        self._target = target
        self._wav = wav
        self._source_s = 0.0
        self.duration_s = 0.0
        self.warnings: tuple[Notice, ...] = ()

    def run(self, push: Push, stop: Callable[[], bool]) -> None:
        """Blocks. Measures both, then writes the file."""
        target = self._target_character(stop)
        source = self._source_character(push, stop)
        if stop():
            return
        if target.pitch_hz is None:
            raise InvalidRequest(
                "no voice was detected in the target",
                remedy="send a recording with speech",
                param="target",
            )
        self._write(self._reshaping(source, target, stop), push, stop)

    def _target_character(self, stop: Callable[[], bool]) -> VoiceCharacter:
        blocks = speech_blocks(self._target, param="target")
        return measured_character(
            first_seconds(blocks, TARGET_S), stop, highest_hz=self._highest_hz
        )

    def _source_character(self, push: Push, stop: Callable[[], bool]) -> VoiceCharacter:
        def counted() -> Iterator[bytes]:
            for block in speech_blocks(self._source, param="source"):
                seconds = int(self._source_s)
                self._source_s += len(block) / BYTES_PER_SECOND
                if int(self._source_s) > seconds:
                    push(Progress(phase="listen", current=int(self._source_s)))
                yield block

        return measured_character(counted(), stop, highest_hz=self._highest_hz)

    @property
    def _highest_hz(self) -> float:
        return HIGHEST_SUNG_HZ if self._request.is_singing else HIGHEST_SPOKEN_HZ

    def _reshaping(
        self, source: VoiceCharacter, target: VoiceCharacter, stop: Callable[[], bool]
    ) -> Reshaping:
        if source.pitch_hz is None:
            self.warnings = (UNVOICED,)
        blocks = speech_blocks(self._source, param="source")
        wanted = voice_change(target, source, blocks, stop, highest_hz=self._highest_hz)
        shift = 2 ** (self._request.pitch_shift / 12)
        return replace(wanted, pitch=wanted.pitch * shift, duration=self._request.length_adjust)

    def _write(self, wanted: Reshaping, push: Push, stop: Callable[[], bool]) -> None:
        rate = self._request.sample_rate
        blocks = speech_blocks(self._source, param="source", rate=rate)
        total = max(1, round(self._source_s * wanted.duration))
        audio = reshaped(blocks, wanted, rate=rate, out_rate=rate, stop=stop)
        with closed(audio):
            for samples in written_wav(self._wav, audio, sample_rate=rate, param="source"):
                self.duration_s = samples / rate
                current = min(total, int(self.duration_s))
                push(Progress(phase="convert", current=current, total=total))
