"""Image checkpoints of random weights, small enough to draw in a second."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

WORDS = ("<|startoftext|>", "<|endoftext|>", "<unk>", "a", "red", "boat", "green", "house")
TOKENS = 16
WIDTH = 16


def save_stable_diffusion(path: Path) -> Path:
    """Latents of 8 by 8 cells, each 2 by 2 pixels: the model's own size is 16x16."""
    torch.manual_seed(0)
    pipeline = StableDiffusionPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(),
        unet=_unet(),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(path)
    return path


def save_prudish_stable_diffusion(path: Path) -> Path:
    """As `save_stable_diffusion`, with a safety checker that finds something in every image."""
    plain = StableDiffusionPipeline.from_pretrained(save_stable_diffusion(path / "plain"))
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    checker: Any = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16))
    checker.concept_embeds_weights.data.fill_(-10)
    parts = plain.components | {
        "safety_checker": checker,
        "feature_extractor": CLIPImageProcessorPil(size=32, crop_size=32),
    }
    StableDiffusionPipeline(**parts).save_pretrained(path / "prudish")
    return path / "prudish"


def save_stable_diffusion_xl(path: Path) -> Path:
    """As `save_stable_diffusion`, with two text encoders and sizes among the conditions."""
    torch.manual_seed(1)
    pipeline = StableDiffusionXLPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder(),
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_unet(
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
        ),
    )
    pipeline.save_pretrained(path)
    return path


def save_flux(path: Path) -> Path:
    """A transformer over patches of 2 by 2 cells, each of 2 by 2 pixels."""
    torch.manual_seed(2)
    pipeline = FluxPipeline(
        vae=_autoencoder(scaling_factor=0.36, shift_factor=0.12, use_quant_conv=False),
        text_encoder=_text_encoder(),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
        ).eval(),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipeline.save_pretrained(path)
    return path


def save_lora(path: Path, checkpoint: Path, *, seed: int = 3) -> Path:
    """A LoRA of random weights for the UNet of a Stable Diffusion, as diffusers writes it."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet")
    unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    StableDiffusionPipeline.save_lora_weights(
        path, unet_lora_layers=get_peft_model_state_dict(unet)
    )
    return path / "pytorch_lora_weights.safetensors"


def save_vae(path: Path, **options: Any) -> Path:
    """Another autoencoder."""
    torch.manual_seed(4)
    _autoencoder(**options).save_pretrained(path)
    return path


def _autoencoder(**options: Any) -> AutoencoderKL:
    values = {"latent_channels": 4, "sample_size": 16} | options
    return AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **values,
    )


def _unet(**options: Any) -> UNet2DConditionModel:
    values = {"cross_attention_dim": WIDTH} | options
    return UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        **values,
    )


def _text_encoder(kind: Any = CLIPTextModel) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        projection_dim=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return kind(config).eval()


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        model_max_length=TOKENS,
    )
