"""Tiny SpeechT5 checkpoints for speech to speech whose audio is noise of a known length, and the
speaker models that they go with.
"""

from pathlib import Path
from typing import Literal

import torch
from transformers import (
    SpeechT5Config,
    SpeechT5ForSpeechToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForXVector,
    WavLMConfig,
    WavLMForXVector,
)

RATE, HOP, XVECTOR = 8_000, 128, 8
FRAMES_PER_S = 50
"""Of the source, as its convolutions stride by 320 samples of 16 kHz."""
CONVOLUTIONS = {
    "conv_dim": [8] * 7,
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def converter(folder: Path, *, ends_at_once: bool = False) -> Path:
    """With its vocoder and speaker model inside. It ends as early or as late as it may."""
    torch.manual_seed(0)
    model = SpeechT5ForSpeechToSpeech(
        SpeechT5Config(
            hidden_size=16,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=16,
            num_mel_bins=4,
            speech_decoder_prenet_units=8,
            speech_decoder_prenet_layers=1,
            speaker_embedding_dim=XVECTOR,
            speech_decoder_postnet_layers=1,
            speech_decoder_postnet_units=8,
            speech_decoder_postnet_kernel=5,
            reduction_factor=2,
            max_speech_positions=4000,
            **CONVOLUTIONS,
        )
    )
    with torch.no_grad():
        model.speech_decoder_postnet.prob_out.weight.zero_()
        model.speech_decoder_postnet.prob_out.bias.fill_(20.0 if ends_at_once else -20.0)
    model.save_pretrained(folder)
    _vocoder(folder / "vocoder")
    speaker_model(folder / "speaker_model")
    return folder


def speaker_model(
    folder: Path, *, kind: Literal["wavlm", "wav2vec2"] = "wavlm", size: int = XVECTOR
) -> Path:
    """Random, and different for different voices all the same."""
    torch.manual_seed(1)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "tdnn_dim": [8, 8, 8, 8, 8],
        "xvector_output_dim": size,
        **CONVOLUTIONS,
    }
    if kind == "wavlm":
        WavLMForXVector(WavLMConfig(**sizes)).save_pretrained(folder)
    else:
        Wav2Vec2ForXVector(Wav2Vec2Config(**sizes)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def _vocoder(folder: Path) -> None:
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=4,
            sampling_rate=RATE,
            upsample_initial_channel=16,
            upsample_rates=[8, 4, 4],
            upsample_kernel_sizes=[16, 8, 8],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3, 5]],
        )
    )
    with torch.no_grad():
        for weight in vocoder.parameters():
            weight.normal_(std=0.3)
    vocoder.save_pretrained(folder)
