"""What the options of every engine share."""

from collections.abc import Collection
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.core.tasks import Task

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Section(BaseModel):
    """A part of the configuration: frozen, and a key that does not exist is an error that names
    those that do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keys_exist(cls, content: object) -> object:
        keys = cls.known_keys()
        for key in content if isinstance(content, dict) else ():
            if key not in keys:
                raise ValueError(f"unknown key {key!r}; keys: {', '.join(keys)}")
        return content

    @classmethod
    def known_keys(cls) -> Collection[str]:
        """Those that there are."""
        return cls.model_fields


class EngineOptions(Section):
    """What every engine's options share. `task` decides which Protocol the family satisfies.

    `extra` is handed to the engine's library as it is, the one place where nothing is checked.
    `is_fallback` marks engines that stand in for a trained model where callers allow that.
    `honours` are the optional fields of speech and transcription requests, and the rare ones of
    text, that the engine acts on; others are reported as ignored. `takes_prompts` is whether a
    segmentation model can be pointed at objects. `stem_modes` are those of an engine that lacks
    others; none are all. `remedy` is what to do when the engine's packages
    are missing.
    """

    takes_prompts: ClassVar[bool] = True
    remedy: ClassVar[str] = "install the local extra: pip install 'polyphony[local]'"
    is_fallback: ClassVar[bool] = False
    stem_modes: ClassVar[frozenset[str]] = frozenset()
    honours: ClassVar[frozenset[str]] = frozenset()

    engine: str
    task: Task
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def clones(self) -> bool:
        """Whether it speaks in the voice of a recording."""
        return False


class DeviceOptions(EngineOptions):
    """Of engines whose models go to a device. `device` auto is CUDA where there is one. `threads`
    is the library's intra-op number on a CPU, None leaves it to the library.
    """

    device: Device = "auto"
    threads: int | None = Field(default=None, ge=1)


class TorchOptions(DeviceOptions):
    """Of engines whose models can be held in another number type. `dtype` auto is the checkpoint's
    own on a GPU and float32 on a CPU, unless the engine says otherwise.
    """

    dtype: Dtype = "auto"
