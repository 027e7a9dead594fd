"""Frames, rates and sides of each family of video checkpoints, told by their configurations."""

from dataclasses import dataclass

from serve_app.core.video.checkpoint_parts import (
    CheckpointDescription,
    CogVideoXAutoencoder,
    CogVideoXTransformer,
    LtxAutoencoder,
    SvdAutoencoder,
    SvdUnet,
    WanAutoencoder,
    WanSettings,
    WanTransformer,
)

WAN_FRAMES, WAN_FPS = 81, 16.0
WAN_22_FRAMES, WAN_22_FPS = 121, 24.0
LTX_FRAMES, LTX_FPS = 161, 25.0
LTX_LONGEST = 257
LTX_SIDE = 32
"""The pipelines insist on it whatever the checkpoint is."""
COGVIDEOX_FPS, COGVIDEOX_15_FPS = 8.0, 16.0
SVD_FPS = 7.0


@dataclass(frozen=True)
class VideoGrid:
    """`frames` is what the model was made for, `longest` what one rendering can have. Numbers of
    frames are 1 + k times `step`, sides multiples of `side`.
    """

    family: str
    fps: float
    frames: int
    longest: int
    step: int
    side: int


def wan_transformer(checkpoint: CheckpointDescription) -> WanTransformer:
    """Either of the two that large models have; they are alike."""
    return checkpoint.part(WanTransformer, "transformer", "transformer_2")


def wan_grid(checkpoint: CheckpointDescription) -> VideoGrid:
    """2.2's small model has a rate and a length of its own."""
    autoencoder = checkpoint.part(WanAutoencoder, "vae")
    is_small = WanSettings.model_validate(checkpoint.settings).expand_timesteps
    frames = WAN_22_FRAMES if is_small else WAN_FRAMES
    return VideoGrid(
        family="wan",
        fps=WAN_22_FPS if is_small else WAN_FPS,
        frames=frames,
        longest=frames,
        step=autoencoder.scale_factor_temporal,
        side=autoencoder.scale_factor_spatial * wan_transformer(checkpoint).patch_size[1],
    )


def ltx_grid(checkpoint: CheckpointDescription) -> VideoGrid:
    """Of LTX-Video, whatever its pipeline."""
    autoencoder = checkpoint.part(LtxAutoencoder, "vae")
    return VideoGrid(
        family="ltx",
        fps=LTX_FPS,
        frames=LTX_FRAMES,
        longest=LTX_LONGEST,
        step=autoencoder.temporal,
        side=max(LTX_SIDE, autoencoder.spatial),
    )


def cogvideox_grid(checkpoint: CheckpointDescription) -> VideoGrid:
    """1.5 has a rate of its own."""
    transformer = checkpoint.part(CogVideoXTransformer, "transformer")
    autoencoder = checkpoint.part(CogVideoXAutoencoder, "vae")
    halvings = len(autoencoder.block_out_channels) - 1
    return VideoGrid(
        family="cogvideox",
        fps=COGVIDEOX_FPS if transformer.patch_size_t is None else COGVIDEOX_15_FPS,
        frames=transformer.sample_frames,
        longest=transformer.sample_frames,
        step=autoencoder.temporal_compression_ratio,
        side=2**halvings * transformer.patch_size,
    )


def svd_grid(checkpoint: CheckpointDescription) -> VideoGrid:
    """A side is halved between the blocks of the autoencoder and of the U-Net."""
    unet = checkpoint.part(SvdUnet, "unet")
    blocks = checkpoint.part(SvdAutoencoder, "vae").block_out_channels
    return VideoGrid(
        family="svd",
        fps=SVD_FPS,
        frames=unet.num_frames,
        longest=unet.num_frames,
        step=1,
        side=2 ** (len(blocks) - 1 + len(unet.block_out_channels) - 1),
    )
