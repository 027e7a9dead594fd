"""Opening checkpoints of diffusers that make audio, and what they are made for.

Imported only where diffusers is.
"""

import inspect
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.notices import Notice
from serve_app.core.options.audio import DiffusersAudioOptions

TRAINED_S = 10.24
"""What AudioLDM, AudioLDM 2 and MusicLDM were trained on."""
SDE_SCHEDULER = "CosineDPMSolverMultistepScheduler"
DURATIONS = ("audio_end_in_s", "audio_length_in_s")
"""What the pipelines call the length of an audio file."""


class AudioCheckpoint:
    """The pipeline of one model. `window` is the most samples that it makes at once, `steps` what
    its pipeline does by default.
    """

    def __init__(self, options: DiffusersAudioOptions, model: Model, path: Path | None) -> None:
        self.device = device_of(options)
        diffusers.utils.logging.disable_progress_bar()
        with loading(model, path, library="diffusers") as directory:
            self.pipeline: Any = _opened(directory, options, self.device)
            taken = inspect.signature(self.pipeline.__call__).parameters
            self.duration_name = next((name for name in DURATIONS if name in taken), "")
            if not self.duration_name:
                raise BackendUnavailable(
                    f"model {model.id!r} is a {type(self.pipeline).__name__}",
                    remedy=(
                        "engine 'diffusers_audio' takes Stable Audio, AudioLDM, AudioLDM 2 and "
                        "MusicLDM"
                    ),
                )
            _make_generative(self.pipeline)
            self.pipeline.to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.steps: int = taken["num_inference_steps"].default
        self.sample_rate, self.window = self._facts(options.window_s)

    def warnings(self, prompt: str) -> tuple[Notice, ...]:
        """What of the prompt is not heard."""
        tokenizer = self.pipeline.tokenizer
        limit = tokenizer.model_max_length
        if len(tokenizer(prompt).input_ids) <= limit:
            return ()
        return (Notice(text=f"the model uses only the first {limit} tokens of the prompt"),)

    def _facts(self, window_s: float | None) -> tuple[int, int]:
        """Hz, and samples."""
        vocoder = getattr(self.pipeline, "vocoder", None)
        if vocoder is not None:
            rate = vocoder.config.sampling_rate
            return rate, round((window_s or TRAINED_S) * rate)
        codec = self.pipeline.vae
        rate = codec.config.sampling_rate
        # One less than there are, because half a sample more is asked for.
        longest = int(self.pipeline.transformer.config.sample_size) * codec.hop_length - 1
        longest = min(longest, int(self.pipeline.projection_model.config.max_value * rate) - 1)
        return rate, longest if window_s is None else min(longest, round(window_s * rate))


def _opened(directory: Path, options: DiffusersAudioOptions, device: torch.device) -> Any:
    """The pipeline. Stable Audio's own scheduler needs torchsde; where that is not installed, the
    same solver takes over its settings, with noise from the generator.
    """
    arguments: dict[str, Any] = {"dtype": _dtype(options, device), "local_files_only": True}
    index = json.loads((directory / "model_index.json").read_text())
    _, scheduler = index.get("scheduler") or (None, None)
    if scheduler != SDE_SCHEDULER or find_spec("torchsde"):
        arguments |= options.extra
        return diffusers.DiffusionPipeline.from_pretrained(str(directory), **arguments)
    arguments |= {"scheduler": None} | options.extra
    pipeline = diffusers.DiffusionPipeline.from_pretrained(str(directory), **arguments)
    pipeline.register_modules(
        scheduler=diffusers.EDMDPMSolverMultistepScheduler.from_pretrained(
            str(directory), subfolder="scheduler", algorithm_type="sde-dpmsolver++"
        )
    )
    return pipeline


def _make_generative(pipeline: Any) -> None:
    """AudioLDM 2 was given out with a GPT-2 that cannot generate in transformers since 4.50; the
    same weights with a head can.
    """
    body = getattr(pipeline, "language_model", None)
    if body is None or hasattr(body, "_update_model_kwargs_for_generation"):
        return
    whole = transformers.GPT2LMHeadModel(body.config)
    whole.transformer = body
    whole.tie_weights()
    pipeline.register_modules(language_model=whole.eval())


def _dtype(options: DiffusersAudioOptions, device: torch.device) -> torch.dtype:
    if options.dtype != "auto":
        return getattr(torch, options.dtype)  # type: ignore[no-any-return]
    return torch.float32 if device.type == "cpu" else torch.float16
