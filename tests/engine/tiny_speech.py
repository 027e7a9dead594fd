"""Tiny VITS and SpeechT5 checkpoints whose audio is noise of a known length."""

import json
import math
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from transformers import (
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    SpeechT5Tokenizer,
    VitsConfig,
    VitsModel,
    VitsTokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz '-"
VITS_RATE, VITS_HOP, FRAMES_PER_TOKEN = 16_000, 64, 8
SPEECHT5_RATE, SPEECHT5_HOP, XVECTOR = 8_000, 16, 8


def vits_duration_s(letters: int, *, speed: float = 1.0) -> float:
    """Of one sentence: every letter and every blank between and around lasts eight frames."""
    frames = (2 * letters + 1) * math.ceil(FRAMES_PER_TOKEN / speed)
    return frames * VITS_HOP / VITS_RATE


def vits(
    folder: Path, *, speakers: int = 1, language: str | None = "eng", is_uroman: bool = False
) -> Path:
    """Reads small letters."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    vocabulary = folder / "letters.json"
    vocabulary.write_text(json.dumps({letter: k for k, letter in enumerate("|" + LETTERS)}))
    VitsTokenizer(
        str(vocabulary),
        pad_token="|",
        unk_token=None,
        language=language,
        phonemize=False,
        is_uroman=is_uroman,
    ).save_pretrained(folder)
    model = VitsModel(
        VitsConfig(
            vocab_size=len(LETTERS) + 1,
            hidden_size=16,
            num_hidden_layers=1,
            ffn_dim=16,
            flow_size=16,
            spectrogram_bins=9,
            num_speakers=speakers,
            speaker_embedding_size=4 if speakers > 1 else 0,
            upsample_initial_channel=16,
            upsample_rates=[8, 8],
            upsample_kernel_sizes=[16, 16],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3, 5]],
            prior_encoder_num_flows=1,
            prior_encoder_num_wavenet_layers=1,
            posterior_encoder_num_wavenet_layers=1,
            use_stochastic_duration_prediction=False,
            duration_predictor_filter_channels=8,
            sampling_rate=VITS_RATE,
        )
    )
    with torch.no_grad():
        # A little under the whole number, as durations are rounded up.
        model.duration_predictor.proj.weight.zero_()
        model.duration_predictor.proj.bias.fill_(math.log(FRAMES_PER_TOKEN - 1e-3))
        if speakers > 1:
            model.embed_speaker.weight.normal_(std=2.0)
        model.decoder.conv_post.weight.mul_(2)
    model.save_pretrained(folder)
    return folder


def speecht5(
    folder: Path, *, voices: tuple[str, ...] = ("ann", "bob"), is_endless: bool = True
) -> Path:
    """An endless one never finds an end by itself: every token lasts twenty frames, the most there
    is. Any other ends as soon as it may.
    """
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    _tokenizer(folder)
    model = SpeechT5ForTextToSpeech(
        SpeechT5Config(
            vocab_size=81,
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
            max_text_positions=60,
            max_speech_positions=2000,
        )
    )
    with torch.no_grad():
        model.speech_decoder_postnet.prob_out.weight.zero_()
        model.speech_decoder_postnet.prob_out.bias.fill_(-20.0 if is_endless else 20.0)
    model.save_pretrained(folder)
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=4,
            sampling_rate=SPEECHT5_RATE,
            upsample_initial_channel=16,
            upsample_rates=[4, 4],
            upsample_kernel_sizes=[8, 8],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3, 5]],
        )
    )
    with torch.no_grad():
        for weight in vocoder.parameters():
            weight.normal_(std=0.3)
    vocoder.save_pretrained(folder / "vocoder")
    (folder / "voices").mkdir()
    for k, name in enumerate(voices):
        vector = np.random.default_rng(k).normal(size=XVECTOR).astype(np.float32) * 9
        if k % 2:
            torch.save(torch.from_numpy(vector), folder / "voices" / f"{name}.pt")
        else:
            np.save(folder / "voices" / f"{name}.npy", vector)
    return folder


def _tokenizer(folder: Path) -> None:
    """Letters, learnt from a text that holds each."""
    text = folder / "letters.txt"
    text.write_text("\n".join(["the quick brown fox, jumps over. the lazy dog!"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spm_char"),
        model_type="char",
        vocab_size=36,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    SpeechT5Tokenizer(str(folder / "spm_char.model")).save_pretrained(folder)
