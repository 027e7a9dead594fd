"""The image checkpoint that the project makes by itself on first start, without a network.

A Stable Diffusion of a few megabytes, with an IP-Adapter beside it, that does everything a trained
one does. Its weights are random: what it generates is noise.
"""

from pathlib import Path
from typing import Any

from deployments.text.starter import Recipe, ensure_built

RECIPE = 1
SEED = 20260
CONTRAST = 0.5
"""Standard deviation of what the decoder makes of noise, in the range from -1 to 1."""

TOKENS = 77
HIDDEN, HEADS, TEXT_LAYERS = 32, 4, 2
LATENT_CELLS = 64
"""A side of the latents; with 8 pixels per cell the model's own size is 512x512."""

LATENT_CHANNELS = 4
UNET_CHANNELS = (16, 32, 64)
VAE_CHANNELS = (8, 8, 16, 16)
GROUPS = 4
EYE_PX = 32
IMAGE_TOKENS = 4


def ensure_starter_images(directory: Path) -> Path:
    """The checkpoint for images; see `ensure_built`. It takes a few seconds and 2 MB."""
    return ensure_built(directory, Recipe(RECIPE, "starter image model", _build))


def _build(directory: Path) -> None:
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    from deployments.torch_seeding import seeded

    # Of this call alone: other engines of the process draw from the global generator.
    with seeded(SEED, torch.device("cpu")):
        tokenizer = _tokenizer()
        unet = _unet()
        pipeline: Any = StableDiffusionPipeline(
            vae=_autoencoder(),
            text_encoder=_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=unet,
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(directory)
        save_ip_adapter(directory / "ip_adapter", unet)


def _tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    from deployments.text.starter_tokenizer import END_OF_TEXT, trained_tokenizer

    trained = trained_tokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=trained.backend_tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=TOKENS,
        clean_up_tokenization_spaces=False,
    )


def _text_encoder(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    end = tokenizer.eos_token_id
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            intermediate_size=2 * HIDDEN,
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=TOKENS,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
        )
    ).eval()


def _unet() -> Any:
    """Attention only where a cell is 32 pixels wide, so that large images do not take long."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT_CELLS,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=UNET_CHANNELS,
        layers_per_block=1,
        norm_num_groups=GROUPS,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=HIDDEN,
        attention_head_dim=HEADS,
    )


def _autoencoder() -> Any:
    import torch
    from diffusers import AutoencoderKL

    vae: Any = AutoencoderKL(
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        norm_num_groups=GROUPS,
        down_block_types=("DownEncoderBlock2D",) * len(VAE_CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(VAE_CHANNELS),
        latent_channels=LATENT_CHANNELS,
        sample_size=8 * LATENT_CELLS,
        mid_block_add_attention=False,
    )
    vae.eval()
    with torch.no_grad():
        image = vae.decode(torch.randn(1, LATENT_CHANNELS, 32, 32) / vae.config.scaling_factor)
        last = vae.decoder.conv_out
        last.bias.zero_()
        last.weight.mul_(CONTRAST / image.sample.std())
    return vae


def save_ip_adapter(directory: Path, unet: Any) -> None:
    """An IP-Adapter of random weights for a UNet, with its image encoder."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=HIDDEN,
            intermediate_size=2 * HIDDEN,
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=HEADS,
            image_size=EYE_PX,
            patch_size=EYE_PX // 4,
            projection_dim=HIDDEN,
        )
    )
    encoder.save_pretrained(directory / "image_encoder")
    width = unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(IMAGE_TOKENS * width, HIDDEN) / HIDDEN**0.5,
        "image_proj.proj.bias": torch.zeros(IMAGE_TOKENS * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    layers = [name for name in unet.attn_processors if "attn2" in name]
    for position, name in enumerate(layers):
        module = unet.get_submodule(name.removesuffix(".processor"))
        for kind, own in (("to_k_ip", module.to_k), ("to_v_ip", module.to_v)):
            # The library counts every attention layer, of which each second one reads the prompt.
            key = f"ip_adapter.{2 * position + 1}.{kind}.weight"
            weights[key] = torch.randn_like(own.weight) / width**0.5
    save_file(weights, directory / "ip_adapter.safetensors")
