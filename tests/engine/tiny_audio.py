"""Tiny random checkpoints of models that make audio, saved by the real classes."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AudioLDMPipeline,
    AutoencoderKL,
    AutoencoderOobleck,
    DDIMScheduler,
    EDMDPMSolverMultistepScheduler,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    ClapTextModelWithProjection,
    EncodecConfig,
    GPT2Config,
    GPT2Model,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

WORDS = ("<pad>", "</s>", "<unk>", "slow", "piano", "rain", "on", "a", "roof")
SAMPLE_RATE = 3200
RATE = 1600
"""Of what diffusers makes."""
HOP = 64
CODES = 32
WINDOW_TOKENS = 64
"""Of MusicGen: 60 frames, 1.2 s."""


def save_musicgen(path: Path, *, channels: int = 1) -> Path:
    """Fifty frames a second, like MusicGen's own."""
    torch.manual_seed(0)
    books = 4
    decoder = MusicgenDecoderConfig(
        vocab_size=CODES,
        max_position_embeddings=128,
        num_hidden_layers=2,
        ffn_dim=32,
        num_attention_heads=2,
        hidden_size=16,
        num_codebooks=books * channels,
        audio_channels=channels,
        # With smaller weights no prompt would make a difference.
        initializer_factor=0.3,
        pad_token_id=CODES,
        bos_token_id=CODES,
    )
    codec = EncodecConfig(
        sampling_rate=SAMPLE_RATE,
        hidden_size=16,
        num_filters=4,
        num_lstm_layers=1,
        upsampling_ratios=[8, 4, 2],
        codebook_size=CODES,
        codebook_dim=16,
        target_bandwidths=[books * 5 * 50 / 1000],
        use_causal_conv=False,
    )
    config = MusicgenConfig(text_encoder=_text_config(), audio_encoder=codec, decoder=decoder)
    model = MusicgenForConditionalGeneration(config)
    _audible(model.audio_encoder)
    settings = model.generation_config
    settings.update(
        max_length=WINDOW_TOKENS,
        do_sample=True,
        guidance_scale=3.0,
        pad_token_id=CODES,
        bos_token_id=CODES,
        decoder_start_token_id=CODES,
    )
    model.save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


def _audible(codec: Any) -> None:
    """Random codebooks are empty, and what is made of them is silence."""
    for layer in codec.quantizer.layers:
        layer.codebook.embed.copy_(torch.randn_like(layer.codebook.embed))


def save_stable_audio(path: Path, *, scheduler: str | None = None) -> Path:
    """Stereo, at most 2.56 s at once. `scheduler` is the class that the checkpoint names."""
    torch.manual_seed(0)
    pipeline: Any = StableAudioPipeline(
        vae=AutoencoderOobleck(
            encoder_hidden_size=4,
            downsampling_ratios=[4, 4],
            channel_multiples=[1, 2],
            decoder_channels=4,
            decoder_input_channels=4,
            audio_channels=2,
            sampling_rate=RATE,
        ),
        text_encoder=T5EncoderModel(_text_config()),
        projection_model=StableAudioProjectionModel(
            text_encoder_dim=16, conditioning_dim=16, min_value=0, max_value=32
        ),
        tokenizer=_tokenizer(),
        transformer=StableAudioDiTModel(
            sample_size=256,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            num_key_value_attention_heads=1,
            out_channels=4,
            cross_attention_dim=16,
            time_proj_dim=8,
            global_states_input_dim=32,
            cross_attention_input_dim=16,
        ),
        scheduler=EDMDPMSolverMultistepScheduler(
            sigma_min=0.3,
            sigma_max=500,
            sigma_data=1.0,
            sigma_schedule="exponential",
            prediction_type="v_prediction",
        ),
    )
    pipeline.save_pretrained(path)
    if scheduler is not None:
        index = json.loads((path / "model_index.json").read_text())
        index["scheduler"][1] = scheduler
        (path / "model_index.json").write_text(json.dumps(index))
    return path


def save_audioldm(path: Path) -> Path:
    """Mono, 1600 samples a second, a vocoder of eight samples per frame."""
    torch.manual_seed(0)
    pipeline: Any = AudioLDMPipeline(
        vae=_spectrum_codec(),
        text_encoder=ClapTextModelWithProjection(ClapTextConfig(**_clap_text())),
        tokenizer=_tokenizer(),
        unet=UNet2DConditionModel(
            **_unet(),
            cross_attention_dim=(8, 16),
            attention_head_dim=4,
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=16,
            class_embeddings_concat=True,
        ),
        scheduler=_ddim(),
        vocoder=_vocoder(),
    )
    pipeline.save_pretrained(path)
    return path


def save_audioldm2(path: Path) -> Path:
    """As it was given out, with a GPT-2 that has no head."""
    torch.manual_seed(0)
    language_model = GPT2Model(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20))
    language_model.config.max_new_tokens = 8
    hearing = {"spec_size": 16, "window_size": 4, "num_mel_bins": 16, "patch_size": 2}
    hearing |= {"patch_stride": 2, "patch_embeds_hidden_size": 8, "hidden_size": 16}
    sides = {"depths": [1, 1], "num_attention_heads": [2, 2], "projection_dim": 16}
    config = ClapConfig(text_config=_clap_text(), audio_config=hearing | sides, projection_dim=16)
    letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"rainosluwp", "\u0120"]
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *"rainp"]
    pipeline: Any = AudioLDM2Pipeline(
        vae=_spectrum_codec(),
        text_encoder=ClapModel(config),
        text_encoder_2=T5EncoderModel(_text_config()),
        projection_model=AudioLDM2ProjectionModel(
            text_encoder_dim=16, text_encoder_1_dim=16, langauge_model_dim=16
        ),
        language_model=language_model,
        tokenizer=RobertaTokenizer(
            vocab={letter: i for i, letter in enumerate(letters)}, merges=[], model_max_length=16
        ),
        tokenizer_2=T5Tokenizer(
            vocab=[(piece, 0.0) for piece in pieces], extra_ids=0, model_max_length=16
        ),
        feature_extractor=ClapFeatureExtractor(),
        unet=AudioLDM2UNet2DConditionModel(
            **_unet(), cross_attention_dim=([None, 16, 16], [None, 16, 16])
        ),
        scheduler=_ddim(),
        vocoder=_vocoder(),
    )
    pipeline.save_pretrained(path)
    return path


def _spectrum_codec() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=[8, 16],
        in_channels=1,
        out_channels=1,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D", "DownEncoderBlock2D"],
        up_block_types=["UpDecoderBlock2D", "UpDecoderBlock2D"],
        latent_channels=4,
    )


def _clap_text() -> dict[str, Any]:
    return {
        "vocab_size": 20,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "projection_dim": 16,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
    }


def _unet() -> dict[str, Any]:
    return {
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }


def _ddim() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False
    )


def _vocoder() -> SpeechT5HifiGan:
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8,
            sampling_rate=RATE,
            upsample_initial_channel=8,
            upsample_rates=[4, 2],
            upsample_kernel_sizes=[8, 4],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
            initializer_range=0.3,
            normalize_before=False,
        )
    )


def _text_config() -> T5Config:
    return T5Config(
        vocab_size=len(WORDS),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    words: Any = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        model_max_length=16,
    )
