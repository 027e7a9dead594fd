"""Audio by diffusers: Stable Audio, AudioLDM, AudioLDM 2 and MusicLDM, from a directory."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from deployments.audio.audio_samples import Samples
from deployments.audio.diffusers_audio_checkpoint import AudioCheckpoint
from deployments.audio.joined_audio import JoinedAudio, Push, Stop, audio_stream, check_kind
from deployments.model_engine import WorkerEngine
from serve_app.core.audio.audio_generation import AudioEvent, AudioGenerator, GenerateAudio
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import DiffusersAudioOptions
from serve_app.runtime.memory import free_memory
from serve_app.runtime.streams import closing

SEEDS = 2**63
FADE_S = 1.0
"""From one window into the next, where a window has room for it."""
SHORTEST_S = 1.0
"""Less is cut from this; vocoders make nothing of a few frames."""


class AudioStopped(Exception):
    """Nobody waits for the audio any more."""


class DiffusersAudio(WorkerEngine[DiffusersAudioOptions], AudioGenerator):
    """An AudioGenerator. Audio files are made one after the other in one thread. What is longer
    than a window is made of several, generated with the seed, the seed + 1 and so on, and faded
    into each other.
    """

    def __init__(
        self, options: DiffusersAudioOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._checkpoint: AudioCheckpoint | None = AudioCheckpoint(options, model, path)
        self.sample_rate = self._checkpoint.sample_rate
        self.window_s = self._checkpoint.window / self.sample_rate

    async def close(self) -> None:
        """Free the weights; an audio file under way is finished by its thread."""
        await super().close()
        self._checkpoint = None
        free_memory()

    @override
    async def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        """Progress in denoising steps."""
        check_kind(request, self.options)
        checkpoint = self._checkpoint
        assert checkpoint is not None, "a closed engine is not used"
        making = DiffusersAudioMaking(request, checkpoint, self.options)
        events = audio_stream(request, making.run, self.blobs, self.worker)
        async with closing(events):
            async for event in events:
                yield event


class DiffusersAudioMaking:
    """One audio file in the engine's thread."""

    def __init__(
        self, request: GenerateAudio, checkpoint: AudioCheckpoint, options: DiffusersAudioOptions
    ) -> None:
        self._request = request
        self._checkpoint = checkpoint
        self._options = options
        self._steps = options.steps or checkpoint.steps
        rate, window = checkpoint.sample_rate, checkpoint.window
        self._count = round(request.duration_s * rate)
        self._fade = min(round(FADE_S * rate), window // 4)
        self._pieces = pieces(self._count, window, self._fade)

    def run(self, target: Path, push: Push, stop: Stop) -> None:
        """Every window, in turn, into the file."""
        rate = self._checkpoint.sample_rate
        try:
            with JoinedAudio(target, rate, fade=self._fade, is_same_audio=False) as joined:
                for number, count in enumerate(self._pieces):
                    joined.add(self._generated(number, count, push, stop))
                push(joined.finish(self._count, self._checkpoint.warnings(self._request.prompt)))
        except AudioStopped:
            return
        finally:
            self._checkpoint.pipeline.maybe_free_model_hooks()

    def _generated(self, number: int, count: int, push: Push, stop: Stop) -> Samples:
        """The samples of one window."""
        total = self._steps * len(self._pieces)

        def after_step(step: int, *_: object) -> None:
            if stop():
                raise AudioStopped
            current = min(number * self._steps + step + 1, total)
            push(Progress(phase="generate", current=current, total=total))

        rate = self._checkpoint.sample_rate
        requested = max(count, min(self._checkpoint.window, round(SHORTEST_S * rate)))
        settings: dict[str, Any] = {"num_inference_steps": self._steps, "callback": after_step}
        if self._options.guidance_scale is not None:
            settings["guidance_scale"] = self._options.guidance_scale
        generator = torch.Generator(self._checkpoint.device)
        generator.manual_seed((self._request.seed + number) % SEEDS)
        # Half a sample more, because pipelines round down.
        settings[self._checkpoint.duration_name] = (requested + 0.5) / rate
        if stop():
            raise AudioStopped
        made = self._checkpoint.pipeline(
            self._request.prompt, generator=generator, **settings
        ).audios
        samples = np.asarray(made, dtype=np.float32).reshape(-1, np.shape(made)[-1])
        # Half precision may overflow; silence is better than noise in the whole video.
        return np.nan_to_num(samples[:, :count])


def pieces(count: int, window: int, fade: int) -> list[int]:
    """How many samples each window gives to an audio file of `count`, with those that are faded."""
    made = 0
    lengths: list[int] = []
    while made < count or not lengths:
        known = fade if lengths else 0
        length = min(window, known + count - made)
        lengths.append(length)
        made += length - known
    return lengths
