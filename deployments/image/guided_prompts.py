"""Prompts that change from step to step, and images that are composed of several prompts, through
the UNet of a diffusers pipeline.

A composition is that of Liu et al. (2022), https://arxiv.org/abs/2206.01714: what each text adds to
no text at all is summed up, and the pipeline's own guidance goes on from there.

Imported only where torch is.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from deployments.media.prompt_schedules import composed_texts, prompt_stretches
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import ImageGeneration

MOST_STRANDS = 16
"""Texts of one image: each is as much work in every step as a whole image."""

HIDDEN, POOLED = "encoder_hidden_states", "text_embeds"
Rows = list[int]


@dataclass(frozen=True)
class Strand:
    """One of the texts of an image: the last step and the number of each of its versions."""

    weight: float
    versions: tuple[tuple[int, int], ...]

    def at(self, step: int) -> int:
        """The number of the version; the last one stays."""
        return next((number for until, number in self.versions if step <= until), self._last)

    @property
    def _last(self) -> int:
        return self.versions[-1][1]


def check_composition(request: ImageGeneration) -> None:
    """InvalidRequest for more texts than an image may be composed of."""
    count = len(composed_texts(request.prompt)) if request.weighs_words else 1
    if count > MOST_STRANDS:
        raise InvalidRequest(
            f"it joins {count} prompts by AND",
            remedy=f"at most {MOST_STRANDS} can be",
            param="prompt",
        )


class GuidedPrompts:
    """What there is to read for some images, and which of it is followed when. `texts` and
    `negatives` are each there once.
    """

    def __init__(
        self,
        prompts: Sequence[str],
        negatives: Sequence[str | None],
        *,
        steps: int,
        steps_before: int = 0,
    ) -> None:
        self._numbers: dict[str, int] = {}
        self._negative_numbers: dict[str | None, int] = {}

        def versions(numbers: dict[Any, int], text: Any) -> tuple[tuple[int, int], ...]:
            if text is None:
                return ((steps, numbers.setdefault(None, len(numbers))),)
            stretches = prompt_stretches(text, steps, steps_before=steps_before)
            return tuple((s.until, numbers.setdefault(s.text, len(numbers))) for s in stretches)

        self._images = [
            [Strand(part.weight, versions(self._numbers, part.text)) for part in composed]
            for composed in map(composed_texts, prompts)
        ]
        self._against = [Strand(1.0, versions(self._negative_numbers, text)) for text in negatives]
        self._readings: dict[str, torch.Tensor] = {}

    @property
    def texts(self) -> list[str]:
        """What is to be followed."""
        return [*self._numbers]

    @property
    def negatives(self) -> list[str | None]:
        """What is to be avoided."""
        return [*self._negative_numbers]

    def begun(self, readings: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The arguments of the pipeline for the first step, of `readings` of all texts, under the
        names of the arguments.
        """
        self._readings = readings
        chosen = {True: self._rows(0, 1), False: [strand.at(1) for strand in self._against]}
        return {
            name: vectors[chosen[not name.startswith("negative")]]
            for name, vectors in readings.items()
        }

    @contextmanager
    def followed(self, pipeline: Any) -> Generator[None]:
        """The pipeline's UNet reads what each step has to; as before when the block is left."""
        strands = [strand for image in self._images for strand in image]
        is_composed = any(len(image) > 1 for image in self._images)
        if not is_composed and all(len(s.versions) == 1 for s in (*strands, *self._against)):
            yield
            return
        guide = _Guide(self, int(getattr(pipeline.scheduler, "order", 1)))
        hooks = [pipeline.unet.register_forward_pre_hook(guide.before, with_kwargs=True)]
        if is_composed:
            hooks.append(pipeline.unet.register_forward_hook(guide.after, with_kwargs=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def count(self) -> int:
        """Of images."""
        return len(self._images)

    @property
    def most_strands(self) -> int:
        """Of any image."""
        return max(map(len, self._images))

    def weights(self, place: int) -> list[float]:
        """How much each image follows its text at a place; not at all where it has none there."""
        return [image[place].weight if place < len(image) else 0.0 for image in self._images]

    def read(self, step: int, place: int) -> dict[str, torch.Tensor]:
        """What the UNet is given for the texts at a place."""
        rows = self._rows(place, step)
        return self._given("", rows)

    def read_against(self, step: int) -> dict[str, torch.Tensor]:
        """The same for what is to be avoided."""
        return self._given("negative_", [strand.at(step) for strand in self._against])

    def _rows(self, place: int, step: int) -> Rows:
        return [
            (image[place] if place < len(image) else image[0]).at(step) for image in self._images
        ]

    def _given(self, prefix: str, rows: Rows) -> dict[str, torch.Tensor]:
        names = {HIDDEN: "prompt_embeds", POOLED: "pooled_prompt_embeds"}
        found = {name: self._readings.get(prefix + argument) for name, argument in names.items()}
        return {name: vectors[rows] for name, vectors in found.items() if vectors is not None}


class _Guide:
    """Stands around the calls of the UNet, of which a step takes `order`."""

    def __init__(self, prompts: GuidedPrompts, order: int) -> None:
        self._prompts = prompts
        self._order = order
        self._calls = 0

    def before(self, _: Any, arguments: Any, named: dict[str, Any]) -> Any:
        """What is read in this step in the place of what the pipeline has."""
        self._calls += 1
        rows, count = len(named[HIDDEN]), self._prompts.count
        wanted = self._prompts.read(self._step, 0)
        if rows == 2 * count:
            against = self._prompts.read_against(self._step)
            wanted = {name: torch.cat([against[name], wanted[name]]) for name in wanted}
        return arguments, _with(named, wanted) if rows in (count, 2 * count) else named

    def after(self, unet: Any, arguments: Any, named: dict[str, Any], output: Any) -> Any:
        """The sum of what the texts add, in the place of what the first one does."""
        noise, count = output[0], self._prompts.count
        if len(noise) not in (count, 2 * count):
            return output
        rest = _rows((arguments, named), slice(-count, None), len(noise))

        def foretold(wanted: dict[str, torch.Tensor]) -> torch.Tensor:
            # Past the hooks, which stand before the module's own call.
            made: torch.Tensor = unet.forward(*rest[0], **_with(rest[1], wanted))[0]
            return made

        is_guided = len(noise) == 2 * count
        nothing = noise[:count] if is_guided else foretold(self._prompts.read_against(self._step))
        made = nothing.clone()
        for place in range(self._prompts.most_strands):
            towards = foretold(self._prompts.read(self._step, place)) if place else noise[-count:]
            weights = noise.new_tensor(self._prompts.weights(place)).view(-1, 1, 1, 1)
            made += weights * (towards - nothing)
        return (torch.cat([nothing, made]) if is_guided else made, *output[1:])

    @property
    def _step(self) -> int:
        return (self._calls - 1) // self._order + 1


def _with(named: dict[str, Any], wanted: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The arguments of the UNet with other readings."""
    old = named[HIDDEN]
    like = {name: vectors.to(old.device, old.dtype) for name, vectors in wanted.items()}
    changed = named | {HIDDEN: like[HIDDEN]}
    conditions = named.get("added_cond_kwargs")
    if POOLED in like and conditions and POOLED in conditions:
        changed["added_cond_kwargs"] = conditions | {POOLED: like[POOLED]}
    return changed


def _rows(value: Any, wanted: slice, count: int) -> Any:
    """Some rows of every tensor in there that has so many."""
    if isinstance(value, torch.Tensor):
        return value[wanted] if value.dim() and len(value) == count else value
    if isinstance(value, dict):
        return {name: _rows(part, wanted, count) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_rows(part, wanted, count) for part in value)
    return value
