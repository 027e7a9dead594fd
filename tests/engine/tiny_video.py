"""Wan, LTX, CogVideoX and Stable Video Diffusion checkpoints of random weights, small enough to
make a few frames in a second or two.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "boat", "green", "house", "camera")
WIDTH = 32
SVD_FRAMES = 6


def save_wan(path: Path) -> Path:
    """Text to video: frames 1 + 4k, sides in steps of 16."""
    torch.manual_seed(0)
    pipeline = WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=_wan_text_encoder(),
        vae=_wan_autoencoder(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        transformer=_wan_transformer(),
    )
    pipeline.save_pretrained(path)
    return path


def save_wan_image(path: Path) -> Path:
    """Image to video, also between two images."""
    torch.manual_seed(0)
    pipeline = WanImageToVideoPipeline(
        tokenizer=_tokenizer(),
        text_encoder=_wan_text_encoder(),
        vae=_wan_autoencoder(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        image_encoder=None,
        image_processor=None,
        transformer=_wan_transformer(in_channels=36),
    )
    pipeline.save_pretrained(path)
    return path


def save_ltx(path: Path, *, has_conditions: bool = False) -> Path:
    """Frames 1 + 8k, sides in steps of 32."""
    torch.manual_seed(0)
    kind = LTXConditionPipeline if has_conditions else LTXPipeline
    pipeline = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_ltx_autoencoder(),
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(),
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            patch_size=1,
            patch_size_t=1,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=WIDTH,
            num_layers=1,
            caption_channels=WIDTH,
        ),
    )
    pipeline.save_pretrained(path)
    return path


def save_cogvideox(path: Path, *, is_for_images: bool = False) -> Path:
    """Frames 1 + 4k up to 9, sides in steps of 16."""
    torch.manual_seed(0)
    kind = CogVideoXImageToVideoPipeline if is_for_images else CogVideoXPipeline
    pipeline = kind(
        tokenizer=_tokenizer(),
        text_encoder=_text_encoder(),
        vae=_cogvideox_autoencoder(),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=4,
            attention_head_dim=8,
            in_channels=8 if is_for_images else 4,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=WIDTH,
            num_layers=1,
            sample_width=4,
            sample_height=4,
            sample_frames=9,
            patch_size=2,
            temporal_compression_ratio=4,
            max_text_seq_length=16,
        ),
        scheduler=CogVideoXDDIMScheduler(),
    )
    pipeline.save_pretrained(path)
    return path


def save_svd(path: Path) -> Path:
    """Image to video without words: up to 6 frames, sides in steps of 16."""
    torch.manual_seed(0)
    pipeline = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 64),
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 2,
            latent_channels=4,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=WIDTH,
                num_hidden_layers=1,
                num_attention_heads=4,
                intermediate_size=37,
                patch_size=32,
                image_size=224,
                projection_dim=WIDTH,
            )
        ),
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=32,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=WIDTH,
            num_attention_heads=(4, 8),
            projection_class_embeddings_input_dim=96,
            addition_time_embed_dim=32,
            num_frames=SVD_FRAMES,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            interpolation_type="linear",
            num_train_timesteps=1000,
            prediction_type="v_prediction",
            sigma_max=700.0,
            sigma_min=0.002,
            steps_offset=1,
            timestep_spacing="leading",
            timestep_type="continuous",
            use_karras_sigmas=True,
        ),
        feature_extractor=CLIPImageProcessor(
            crop_size={"height": 224, "width": 224}, size={"shortest_edge": 224}
        ),
    )
    pipeline.save_pretrained(path)
    return path


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=16,
    )


def _text_options() -> dict[str, Any]:
    return {
        "vocab_size": len(WORDS),
        "d_model": WIDTH,
        "d_kv": 8,
        "d_ff": 37,
        "num_layers": 1,
        "num_heads": 4,
        "is_encoder_decoder": False,
        "use_cache": False,
    }


def _text_encoder() -> T5EncoderModel:
    return T5EncoderModel(T5Config(**_text_options()))


def _wan_text_encoder() -> UMT5EncoderModel:
    return UMT5EncoderModel(UMT5Config(**_text_options()))


def _wan_autoencoder() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )


def _wan_transformer(in_channels: int = 16) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=256,
        ffn_dim=WIDTH,
        num_layers=1,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )


def _ltx_autoencoder() -> AutoencoderKLLTXVideo:
    return AutoencoderKLLTXVideo(
        in_channels=3,
        out_channels=3,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, True, False),
        decoder_spatio_temporal_scaling=(True, True, True, False),
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        timestep_conditioning=False,
        patch_size=4,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )


def _cogvideox_autoencoder() -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
