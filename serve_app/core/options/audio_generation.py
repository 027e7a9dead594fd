"""The options of engines that make audio of words."""

from typing import Literal

from pydantic import Field

from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.options.engine import EngineOptions


class AudioGenerationOptions(EngineOptions):
    """What engines for audio share. `kinds` is what the models of the family are trained to make;
    requests for another kind go to another family. `device` and `threads` as in
    TransformersOptions; `dtype` auto is float32 on a CPU and float16 on a GPU.
    """

    task: Literal["sound"] = "sound"
    kinds: tuple[AudioKind, ...] = Field(default=("music", "sfx", "ambient"), min_length=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)


class MusicgenOptions(AudioGenerationOptions):
    """MusicGen, in mono or stereo, through transformers. What is longer than its window goes on
    from the last third of it. `guidance_scale` is by default the checkpoint's; 1 is
    none.
    """

    engine: Literal["musicgen"] = "musicgen"
    kinds: tuple[AudioKind, ...] = Field(default=("music",), min_length=1)
    guidance_scale: float | None = Field(default=None, ge=1, le=30)


class DiffusersAudioOptions(AudioGenerationOptions):
    """Stable Audio, AudioLDM, AudioLDM 2 and MusicLDM through diffusers. `steps` and
    `guidance_scale` are by default the pipeline's own. What is longer than `window_s`, by default
    what the checkpoint is made for, is made of several windows faded into each other.
    """

    engine: Literal["diffusers_audio"] = "diffusers_audio"
    steps: int | None = Field(default=None, ge=1, le=1000)
    window_s: float | None = Field(default=None, ge=0.1, le=600)
