"""The fields that txt2img and img2img share."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from serve_app.api.automatic1111.numbers import Real, Switch, Whole
from serve_app.api.automatic1111.saved_options import SettingsBody
from serve_app.api.automatic1111.task_names import TaskName
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Text
from serve_app.core.bounds import INT64, PROMPT_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size, Variation

MOST_IMAGES = 800
Prompt = Annotated[Text, Field(max_length=PROMPT_CHARACTERS)]
Name = Annotated[Text, Field(max_length=200)]
Side = Annotated[Whole, Field(ge=64, le=4096)]
Seed = Annotated[Whole, Field(lt=INT64 - MOST_IMAGES)]
Share = Annotated[Real, Field(ge=0, le=1)]
SAMPLER = "Euler a"
RESTORING = "Face restoration is not available; the images are as the model made them"
NOT_SHOWN = frozenset({"init_images", "mask"})
"""Fields of the request that its answer repeats only where that is asked for."""


class DiffusionBody(WireObject):
    """What is generated, and how. Fields that are not listed are accepted and not repeated."""

    usual_strength: ClassVar[float]

    prompt: Prompt
    negative_prompt: Prompt = ""
    width: Side = 512
    height: Side = 512
    steps: Annotated[Whole, Field(ge=1, le=150)] = 20
    cfg_scale: Annotated[Real, Field(ge=0, le=30)] = 7.5
    sampler_name: Name | None = None
    sampler_index: Name | None = None
    scheduler: Name | None = None
    seed: Seed = -1
    subseed: Seed = -1
    subseed_strength: Share = 0
    seed_resize_from_w: Annotated[Whole, Field(le=4096)] = -1
    seed_resize_from_h: Annotated[Whole, Field(le=4096)] = -1
    batch_size: Annotated[Whole, Field(ge=1, le=8)] = 1
    n_iter: Annotated[Whole, Field(ge=1, le=100)] = 1
    styles: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)
    denoising_strength: Share | None = None
    restore_faces: Switch = False
    tiling: Switch = False
    override_settings: SettingsBody = SettingsBody()
    override_settings_restore_afterwards: Switch = True
    send_images: Switch = True
    save_images: Switch = False
    do_not_save_samples: Switch = False
    do_not_save_grid: Switch = False
    force_task_id: TaskName = None
    script_name: Name | None = None
    script_args: Any = Field(default=None, exclude=True)
    alwayson_scripts: Any = Field(default=None, exclude=True)
    eta: Annotated[Real, Field(ge=0, le=1)] | None = None
    s_churn: Annotated[Real, Field(ge=0, le=1000)] = 0
    s_tmin: Annotated[Real, Field(ge=0, le=100_000)] = 0
    s_tmax: Annotated[Real, Field(ge=0, le=100_000)] = 0
    s_noise: Annotated[Real, Field(ge=0, le=10)] = 1

    @property
    def count(self) -> int:
        """Images of one source."""
        return self.batch_size * self.n_iter

    @property
    def strength(self) -> float:
        """How much an image is changed: the given one, or that of the second pass."""
        return self.usual_strength if self.denoising_strength is None else self.denoising_strength

    @property
    def size(self) -> Size:
        """That is asked for."""
        return Size(width=self.width, height=self.height)

    @property
    def sampler(self) -> str:
        """The sampler's name, or its older field's."""
        return (self.sampler_name or "").strip() or (self.sampler_index or "").strip() or SAMPLER

    def variation(self, subseed: int) -> Variation | None:
        """None where it is neither strong nor of another size."""
        sides = (self.seed_resize_from_w, self.seed_resize_from_h)
        first = Size(width=sides[0], height=sides[1]) if min(sides) > 0 else None
        if self.subseed_strength == 0 and first is None:
            return None
        return Variation(seed=subseed, strength=self.subseed_strength, from_size=first)

    def without_effect(self) -> tuple[str, ...]:
        """What was asked for and is not done, for `comments`."""
        return (RESTORING,) if self.restore_faces else ()

    def check_scripts(self) -> None:
        """InvalidRequest for a script: there are none. Empty arguments are for none."""
        if self.script_name is not None and self.script_name.strip().lower() not in ("", "none"):
            raise InvalidRequest("Script not found", param="script_name")
        scripts = self.alwayson_scripts
        for name, given in scripts.items() if isinstance(scripts, dict) else ():
            arguments = given.get("args") if isinstance(given, dict) else given
            if arguments:
                shown = str(name)[:100]
                raise InvalidRequest("Script not found", param=f"alwayson_scripts.{shown}")

    def parameters(self, seed: int) -> dict[str, Any]:
        """The request as its answer repeats it, with the seed that was used."""
        shown: dict[str, Any] = self.model_dump(exclude={*NOT_SHOWN, "override_settings"})
        given = self.override_settings.model_dump(by_alias=True, exclude_none=True)
        filled = {
            "seed": seed,
            "sampler_name": self.sampler,
            "scheduler": self.scheduler or "automatic",
            "denoising_strength": self.strength,
            "eta": 1.0 if self.eta is None else self.eta,
            "override_settings": given,
            "script_args": [],
            "alwayson_scripts": {},
        }
        return shown | filled
