"""The noise that images are made of, where a request says more of it than a seed.

Imported only where torch is. Noise is made on the CPU, so that a seed is the same image everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from serve_app.core.image.images import MaskFill, Size, Variation

ALIKE = 0.9995
"""A cosine above which two directions are one."""

AS_PIXELS: tuple[MaskFill, ...] = ("original", "surroundings")
"""What masked parts are filled with before they become latents."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class NoiseWishes:
    """What is asked for of an image's noise. `mask` is white where the image is made anew."""

    seed: int
    variation: Variation | None = None
    scale: float = 1.0
    fill: MaskFill = "original"
    mask: Any = None

    @property
    def is_plain(self) -> bool:
        """Whether a pipeline's own noise is all there is to it."""
        return self.variation is None and self.scale == 1 and self.fill in AS_PIXELS


def mixed(share: float, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Spherical interpolation of two noises of one image, row by row."""
    one = first / first.norm(dim=1, keepdim=True)
    other = second / second.norm(dim=1, keepdim=True)
    cosine = (one * other).sum(1)
    if cosine.mean() > ALIKE:
        return first * (1 - share) + second * share
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    return (torch.sin((1 - share) * angle) / sine).unsqueeze(1) * first + (
        torch.sin(share * angle) / sine
    ).unsqueeze(1) * second


def varied(
    own: torch.Tensor, seed: int, variation: Variation, cell_px: int, *, drawn_before: int = 0
) -> torch.Tensor:
    """An image's noise with its variation's mixed in. `drawn_before` is how many tensors of this
    shape a pipeline draws of a seed before the noise.
    """
    shape = _within(own.shape, variation.from_size, cell_px)
    base = own if shape == own.shape else _drawn(seed, shape, own.dtype, drawn_before)
    if variation.strength:
        other = _drawn(variation.seed, shape, own.dtype, drawn_before)
        base = mixed(variation.strength, base.float(), other.float()).to(own.dtype)
    return base if shape == own.shape else _in_the_middle(base, own)


def _within(shape: torch.Size, size: Size | None, cell_px: int) -> torch.Size:
    if size is None:
        return shape
    height, width = max(1, size.height // cell_px), max(1, size.width // cell_px)
    return torch.Size((shape[0], height, width))


def _drawn(seed: int, shape: torch.Size, dtype: torch.dtype, before: int) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(seed)
    for _ in range(before):
        torch.randn((1, *shape), generator=generator, dtype=dtype)
    return torch.randn((1, *shape), generator=generator, dtype=dtype)[0]


def _in_the_middle(small: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
    """What is larger than the other one is cut at both sides."""
    result = around.clone()
    across = [_overlap(small.shape[i], around.shape[i]) for i in (1, 2)]
    (from_y, to_y, rows), (from_x, to_x, columns) = across
    part = small[:, from_y : from_y + rows, from_x : from_x + columns]
    result[:, to_y : to_y + rows, to_x : to_x + columns] = part
    return result


def _overlap(small: int, large: int) -> tuple[int, int, int]:
    gap = (large - small) // 2
    return max(-gap, 0), max(gap, 0), min(small, large)


def first_noise(
    generators: Sequence[torch.Generator],
    wishes: Sequence[NoiseWishes],
    shape: Shape,
    *,
    dtype: torch.dtype,
    cell_px: int,
) -> torch.Tensor:
    """What images are made of that have no source: drawn from the generators, as the pipeline
    would, so that what it draws later is the same.
    """
    rows = []
    for generator, wish in zip(generators, wishes, strict=True):
        own = torch.randn((1, *shape), generator=generator, dtype=dtype)[0]
        if wish.variation is not None:
            own = varied(own, wish.seed, wish.variation, cell_px)
        rows.append(own)
    return torch.stack(rows)


def use_noise(scheduler: Any, wishes: Sequence[NoiseWishes], *, cell_px: int) -> None:
    """Have a scheduler, when it first adds noise to the latents of a source, take what is asked for
    and not what the pipeline has drawn. Later that noise is used again, over and over.
    """
    name = "add_noise" if hasattr(scheduler, "add_noise") else "scale_noise"
    add: Callable[..., torch.Tensor] = getattr(scheduler, name)
    known: list[tuple[torch.Tensor, torch.Tensor]] = []

    def added(latents: torch.Tensor, second: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
        noise = second if name == "add_noise" else third
        if not known or known[0][0] is not noise:
            wanted = [_wanted(row, wish, cell_px) for row, wish in zip(noise, wishes, strict=True)]
            known[:] = [(noise, torch.stack(wanted))]
            each = zip(latents, noise, wishes, strict=True)
            latents = torch.stack([_filled(row, one, wish) for row, one, wish in each])
        own = known[0][1]
        return add(latents, own, third) if name == "add_noise" else add(latents, second, own)

    setattr(scheduler, name, added)


def _wanted(noise: torch.Tensor, wish: NoiseWishes, cell_px: int) -> torch.Tensor:
    if wish.variation is not None:
        # The pipeline has drawn once before, to encode the source.
        own = noise.cpu()
        mine = varied(own, wish.seed, wish.variation, cell_px, drawn_before=1)
        noise = mine.to(noise.device)
    return noise * wish.scale


def _filled(latents: torch.Tensor, noise: torch.Tensor, wish: NoiseWishes) -> torch.Tensor:
    """The part that is made anew as noise, or as nothing."""
    if wish.mask is None or wish.fill in AS_PIXELS:
        return latents
    height, width = latents.shape[-2:]
    small = wish.mask.resize((width, height))
    values = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(height, width)
    is_new = (values >= 128).to(latents.device, latents.dtype)
    fill = noise if wish.fill == "noise" else torch.zeros_like(latents)
    return latents * (1 - is_new) + fill * is_new
