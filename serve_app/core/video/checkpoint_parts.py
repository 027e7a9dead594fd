"""What diffusers' files say of a video checkpoint, typed, with diffusers' own defaults for what is
left out. Built from the files or from a loaded pipeline. Knows no diffusers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

INDEX = "model_index.json"
PARTS = ("transformer", "transformer_2", "vae", "unet")
FILES = (INDEX, *(f"{name}/config.json" for name in PARTS))
"""What is read of a checkpoint, by its path in the checkpoint's directory."""

Count = Annotated[int, Field(gt=0)]


class CheckpointPart(BaseModel):
    """A configuration of which only what is asked for is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class WanSettings(CheckpointPart):
    """Of the pipeline: which of Wan 2.2's models it is."""

    expand_timesteps: bool = False
    boundary_ratio: float | None = None


class WanTransformer(CheckpointPart):
    """WanTransformer3DModel; `patch_size` is frames, height, width."""

    patch_size: tuple[Count, Count, Count] = (1, 2, 2)
    image_dim: int | None = None
    pos_embed_seq_len: int | None = None


class WanAutoencoder(CheckpointPart):
    """AutoencoderKLWan."""

    scale_factor_temporal: Count = 4
    scale_factor_spatial: Count = 8


class LtxAutoencoder(CheckpointPart):
    """AutoencoderKLLTXVideo, which works out the ratios that are not stated."""

    patch_size: Count = 4
    patch_size_t: Count = 1
    spatio_temporal_scaling: tuple[bool, ...] = (True, True, True, False)
    spatial_compression_ratio: Count | None = None
    temporal_compression_ratio: Count | None = None

    @property
    def spatial(self) -> int:
        """Pixels to a latent, along a side."""
        return self.spatial_compression_ratio or self.patch_size * self._scaling

    @property
    def temporal(self) -> int:
        """Frames to a latent."""
        return self.temporal_compression_ratio or self.patch_size_t * self._scaling

    @property
    def _scaling(self) -> int:
        return 1 << sum(self.spatio_temporal_scaling)


class CogVideoXTransformer(CheckpointPart):
    """CogVideoXTransformer3DModel; only 1.5 has `patch_size_t`."""

    patch_size: Count = 2
    patch_size_t: Count | None = None
    sample_frames: Count = 49


class CogVideoXAutoencoder(CheckpointPart):
    """AutoencoderKLCogVideoX: a side is halved between its blocks."""

    block_out_channels: tuple[int, ...] = Field((128, 256, 256, 512), min_length=1)
    temporal_compression_ratio: Count = 4


class SvdUnet(CheckpointPart):
    """UNetSpatioTemporalConditionModel."""

    block_out_channels: tuple[int, ...] = Field((320, 640, 1280, 1280), min_length=1)
    num_frames: Count = 25


class SvdAutoencoder(CheckpointPart):
    """AutoencoderKLTemporalDecoder."""

    block_out_channels: tuple[int, ...] = Field((64,), min_length=1)


P = TypeVar("P", bound=CheckpointPart)


class IncompleteCheckpoint(ValueError):
    """A file that says what the checkpoint is is not there."""


@dataclass(frozen=True)
class CheckpointDescription:
    """`pipeline` is the name of diffusers' class, `settings` its own configuration, `parts` the
    configurations of those of `PARTS` that the checkpoint has.
    """

    pipeline: str
    settings: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of_files(cls, files: Mapping[str, Mapping[str, Any]], extra: Mapping[str, Any]) -> Self:
        """Of the content of `FILES`, as far as they are there; `extra` is what the pipeline is
        given beside them. IncompleteCheckpoint where one is missing.
        """
        index = {**files.get(INDEX, {}), **extra}
        needed = needed_files(index)
        missing = [file for file in (INDEX, *needed) if file not in files]
        if missing:
            raise IncompleteCheckpoint(f"there is no {missing[0]}")
        parts = {file.partition("/")[0]: files[file] for file in needed}
        return cls(str(index.get("_class_name")), index, parts)

    def part(self, kind: type[P], *names: str) -> P:
        """The first of these parts that the checkpoint has. ValueError where it has none, or says
        what cannot be.
        """
        for name in names:
            if name in self.parts:
                return kind.model_validate(self.parts[name])
        raise ValueError(f"{self.pipeline} has no {names[0]}")


def needed_files(index: Mapping[str, Any]) -> tuple[str, ...]:
    """The configurations of the parts that an index names: by library and class, and by two nulls
    where a part was left out.
    """
    named = [name for name in PARTS if isinstance(index.get(name), list) and any(index[name])]
    return tuple(f"{name}/config.json" for name in named)
