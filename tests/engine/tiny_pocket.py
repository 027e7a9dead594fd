"""A tiny Pocket TTS checkpoint: noise whose audio depends on the voice, of a known length."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PocketTTSAudioTokenizerConfig,
    PocketTTSAudioTokenizerModel,
    PocketTTSConfig,
    PocketTTSFeatureExtractor,
    PocketTTSFlowHeadConfig,
    PocketTTSForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from tests.material import tone, wav

RATE, FRAME, LATENT = 8_000, 32, 8
LETTERS = "abcdefghijklmnopqrstuvwxyz .,!?"
SPECIAL = {
    "audio_prompt_token": "<voice>",
    "audio_latent_token": "<audio>",
    "audio_prompt_bos_token": "<voice-begins>",
    "audio_bos_token": "<audio-begins>",
}
TEMPLATE = (
    "{% for message in messages %}{% for item in message.content %}"
    "{% if item.type == 'audio' %}<voice-begins><voice>{% else %}{{ item.text }}{% endif %}"
    "{% endfor %}{% endfor %}<audio-begins>"
)


def pocket_duration_s(letters: int) -> float:
    """Of one sentence: as many frames as there may be, ceil((letters / 3 + 2) * 3)."""
    return (letters + 6) * FRAME / RATE


def pocket(folder: Path, *, voices: tuple[str, ...] = ("ann", "bob")) -> Path:
    """Voices are tones; the first is deeper."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    PocketTTSFeatureExtractor(
        sampling_rate=RATE, frame_size=FRAME, pad_to_multiple_of=FRAME
    ).save_pretrained(folder)
    _codec().save_pretrained(folder / "audio_tokenizer")
    _model(tokenizer).save_pretrained(folder)
    (folder / "voices").mkdir()
    for k, name in enumerate(voices):
        audio = wav(tone(0.5, hz=200 * (k + 1), sample_rate=RATE), sample_rate=RATE)
        (folder / "voices" / f"{name}.wav").write_bytes(audio)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {letter: k for k, letter in enumerate(("<unk>", "<pad>", *LETTERS))}
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=letters,
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        extra_special_tokens=SPECIAL,
        chat_template=TEMPLATE,
    )


def _codec() -> PocketTTSAudioTokenizerModel:
    codec = PocketTTSAudioTokenizerModel(
        PocketTTSAudioTokenizerConfig(
            hidden_size=16,
            num_filters=4,
            upsampling_ratios=[4, 4],
            upsample_groups=16,
            num_hidden_layers=1,
            intermediate_size=16,
            num_attention_heads=2,
            num_key_value_heads=2,
            latent_stride=2,
            latent_dim=LATENT,
            sampling_rate=RATE,
        )
    )
    with torch.no_grad():
        for weight in codec.parameters():
            weight.normal_(std=0.3)
    return codec


def _model(tokenizer: PreTrainedTokenizerFast) -> PocketTTSForConditionalGeneration:
    ids = {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    model = PocketTTSForConditionalGeneration(
        PocketTTSConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            latent_dim=LATENT,
            pad_token_id=tokenizer.pad_token_id,
            # By which the most frames are reckoned, and nothing else: a letter gets one.
            frame_rate=3.0,
            flow_head_config=PocketTTSFlowHeadConfig(
                hidden_size=16,
                num_hidden_layers=1,
                latent_dim=LATENT,
                condition_dim=16,
                frequency_embedding_size=16,
            ),
            **ids,
        )
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.normal_(std=0.3)
        # It never finds an end by itself.
        model.eos_head.weight.zero_()
        model.eos_head.bias.fill_(-99.0)
    model.generation_config.do_sample = True
    model.generation_config.temperature = 0.7
    return model
