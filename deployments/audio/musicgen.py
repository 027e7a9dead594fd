"""Audio by MusicGen (J. Copet et al., Simple and controllable music generation, 2023)."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import torch
import transformers
from typing_extensions import override

from deployments.audio.audio_samples import Samples
from deployments.audio.joined_audio import JoinedAudio, Push, Stop, audio_stream, check_kind
from deployments.audio.musicgen_windows import CodeCollector, MusicgenWindows, WindowStopped
from deployments.model_engine import WorkerEngine
from deployments.torch_device import device_of
from deployments.torch_seeding import seeded
from deployments.transformers_checkpoint import check_complete, loading
from serve_app.core.audio.audio_generation import AudioEvent, AudioGenerator, GenerateAudio
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.audio import MusicgenOptions
from serve_app.runtime.memory import free_memory
from serve_app.runtime.streams import closing


class MusicgenAudio(WorkerEngine[MusicgenOptions], AudioGenerator):
    """An AudioGenerator. Audio files are made one after the other in one thread, window by window;
    each goes on from the last third of the one before, and is written before the next one is begun.
    """

    def __init__(
        self, options: MusicgenOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._device = device_of(options)
        with loading(model, path) as directory:
            self._tokenizer, self._model = _opened(directory, options, model, self._device)
            self.windows = MusicgenWindows.of(self._model)

    async def close(self) -> None:
        """Free the weights; an audio file under way is finished by its thread."""
        await super().close()
        self._model = None
        free_memory()

    @override
    async def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        """Progress in frames of the codec, fifty a second in MusicGen's own."""
        check_kind(request, self.options)
        making = MusicgenMaking(self._model, self.windows, self.options)

        def work(target: Path, push: Push, stop: Stop) -> None:
            inputs = self._tokenizer(request.prompt, return_tensors="pt").to(self._device)
            making.run(request, dict(inputs), target, push, stop)

        events = audio_stream(request, work, self.blobs, self.worker)
        async with closing(events):
            async for event in events:
                yield event


class MusicgenMaking:
    """One audio file in the engine's thread."""

    def __init__(self, model: Any, windows: MusicgenWindows, options: MusicgenOptions) -> None:
        self._model = model
        self._windows = windows
        self._options = options

    def run(
        self,
        request: GenerateAudio,
        inputs: dict[str, torch.Tensor],
        target: Path,
        push: Push,
        stop: Stop,
    ) -> None:
        """Every window, in turn, into the file."""
        windows = self._windows
        total, done, number = windows.frames(request.duration_s), 0, 0
        given: torch.Tensor | None = None

        def tell(new: int) -> None:
            push(Progress(phase="generate", current=min(total, done + new), total=total))

        try:
            with JoinedAudio(
                target, windows.sample_rate, fade=windows.fade, is_same_audio=True
            ) as joined:
                while done < total:
                    codes = CodeCollector(windows, given, tell, stop)
                    known = 0 if given is None else given.shape[1]
                    count = min(windows.longest, known + total - done)
                    seed = request.seed + number
                    audio = self._window(inputs, given, count, codes, seed)
                    joined.add(audio[:, max(0, known * windows.hop - windows.fade) :])
                    given = codes.frames()[:, -windows.kept :]
                    done, number = done + count - known, number + 1
                push(joined.finish(round(request.duration_s * windows.sample_rate)))
        except WindowStopped:
            return

    def _window(
        self,
        inputs: dict[str, torch.Tensor],
        given: torch.Tensor | None,
        count: int,
        codes: CodeCollector,
        seed: int,
    ) -> Samples:
        """The audio of `count` frames, of which those that are given are the first."""
        device = self._model.device
        settings: dict[str, Any] = {"max_length": self._windows.length(count)}
        if self._options.guidance_scale is not None:
            settings["guidance_scale"] = self._options.guidance_scale
        if given is not None:
            settings["decoder_input_ids"] = given.to(device)
        with seeded(seed, device):
            made = self._model.generate(
                **inputs, **settings, stopping_criteria=transformers.StoppingCriteriaList([codes])
            )
        samples: Samples = made[0].float().cpu().numpy()
        return samples


def _opened(
    directory: Path, options: MusicgenOptions, model: Model, device: torch.device
) -> tuple[Any, Any]:
    config = transformers.AutoConfig.from_pretrained(directory, local_files_only=True)
    if config.model_type != "musicgen":
        raise BackendUnavailable(
            f"model {model.id!r} is of type {config.model_type!r}",
            remedy=(
                "engine 'musicgen' takes checkpoints such as facebook/musicgen-small or "
                "facebook/musicgen-stereo-small"
            ),
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    arguments = {"dtype": _dtype(options, device), "local_files_only": True} | options.extra
    kind: Any = transformers.MusicgenForConditionalGeneration
    loaded, facts = kind.from_pretrained(directory, output_loading_info=True, **arguments)
    check_complete(model, facts["missing_keys"], kind="a checkpoint of MusicGen")
    return tokenizer, loaded.eval().to(device)


def _dtype(options: MusicgenOptions, device: torch.device) -> Any:
    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    return torch.float32 if device.type == "cpu" else torch.float16
