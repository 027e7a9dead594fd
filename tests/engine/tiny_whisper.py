"""A tiny multilingual Whisper checkpoint in CTranslate2's form whose answers are known.

Every token has one successor, whatever is heard: the embedding of a token is the output direction
of the next one, and the layers between add nothing. So the model recites one text when it is told
to transcribe and another one when it is told to translate.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter  # type: ignore[import-untyped]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

LANGUAGE = "de"
"""What it detects."""
# Every moment and word stands once, as every token has one successor only.
ORIGINAL = (((0.0, 1.0), ("Der", "rote", "Hund.")), ((1.2, 2.0), ("Er", "sitzt.")))
ENGLISH = (((0.5, 1.5), ("The", "red", "dog", "sits.")),)

WIDTH = 64
HEAD_WIDTH = 32
LOUDNESS = 6.0
SEED = 1
MOST_TOKENS = 448
LANGUAGES = ("en", "de", "fr", "es")
MARKS = ("transcribe", "translate", "startoflm", "startofprev", "nospeech", "notimestamps")
Recited = Sequence[tuple[tuple[float, float], Sequence[str]]]


def save_whisper(path: Path, *, width: int = WIDTH, layers: int = 1) -> Path:
    """Write the checkpoint below `path` and give its folder. The decoder has twice the layers."""
    original, converted = path / "transformers", path / "ctranslate2"
    tokenizer = _tokenizer()
    model = _reciter(tokenizer, width, layers)
    model.save_pretrained(original)
    tokenizer.save_pretrained(original)
    converter = TransformersConverter(str(original), copy_files=["tokenizer.json"])
    converter.convert(str(converted))
    return converted


def _tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, whole words for what is recited, and Whisper's special tokens in their order."""
    said = [f"Ġ{word}" for _, words in (*ORIGINAL, *ENGLISH) for word in words]
    plain = ["", *sorted(pre_tokenizers.ByteLevel.alphabet()), *said]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(plain)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ("endoftext", "startoftranscript", *LANGUAGES, *MARKS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=[f"<|{name}|>" for name in names],
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )


def _reciter(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> WhisperForConditionalGeneration:
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(_config(tokenizer, width, layers))
    model.generation_config = GenerationConfig(
        lang_to_id={f"<|{code}|>": _id(tokenizer, code) for code in LANGUAGES},
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    random = torch.Generator().manual_seed(SEED)
    directions = torch.randn(model.config.vocab_size, width, generator=random)
    directions = torch.nn.functional.normalize(directions)
    decoder: Any = model.model.decoder
    with torch.no_grad():
        decoder.embed_positions.weight.zero_()
        decoder.embed_tokens.weight.copy_(directions)
        model.proj_out.weight.copy_(LOUDNESS * directions)
        for token, successor in _successors(tokenizer):
            decoder.embed_tokens.weight[token] = directions[successor]
        for layer in decoder.layers:
            # Attention is still computed, for word times, but adds nothing.
            for part in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                part.weight.zero_()
                part.bias.zero_()
    return model


def _config(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=len(tokenizer) + 1501,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=2 * layers,
        encoder_attention_heads=width // HEAD_WIDTH,
        decoder_attention_heads=width // HEAD_WIDTH,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_target_positions=MOST_TOKENS,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=_id(tokenizer, "startoftranscript"),
    )


def _successors(tokenizer: PreTrainedTokenizerFast) -> list[tuple[int, int]]:
    pairs = [(_id(tokenizer, "startoftranscript"), _id(tokenizer, LANGUAGE))]
    for task, recited in (("transcribe", ORIGINAL), ("translate", ENGLISH)):
        chain = [_id(tokenizer, task), *_tokens(tokenizer, recited), _id(tokenizer, "endoftext")]
        pairs += itertools.pairwise(chain)
    # Batches are told to give no times, which is the last that they are told.
    pairs.append((_id(tokenizer, "notimestamps"), _moment(tokenizer, ORIGINAL[0][0][0])))
    return pairs


def _tokens(tokenizer: PreTrainedTokenizerFast, recited: Recited) -> list[int]:
    tokens: list[int] = []
    for (start_s, end_s), words in recited:
        spoken = [tokenizer.get_vocab()[f"Ġ{word}"] for word in words]
        tokens += [_moment(tokenizer, start_s), *spoken, _moment(tokenizer, end_s)]
    return tokens


def _moment(tokenizer: PreTrainedTokenizerFast, seconds: float) -> int:
    return len(tokenizer) + round(seconds / 0.02)


def _id(tokenizer: PreTrainedTokenizerFast, name: str) -> int:
    return tokenizer.get_vocab()[f"<|{name}|>"]
