"""Tiny encoder checkpoints with random weights and a real word tokenizer, as files on disk."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
)

from serve_app.core.media import Blob

SENTENCE = "the a red blue green cat dog house sits runs on under is big small and ."
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *SENTENCE.split())
POSITIONS = 32
WIDTH = 24


def word_tokenizer() -> PreTrainedTokenizerFast:
    ids = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def bert_config(**changes: Any) -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=POSITIONS,
        initializer_range=0.5,
        **changes,
    )


def save_encoder(path: Path, *, pooling: dict[str, Any] | None = None) -> Path:
    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    if pooling is not None:
        (path / "1_Pooling").mkdir()
        (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return path


def save_cross_encoder(path: Path, *, labels: int) -> Path:
    torch.manual_seed(1)
    BertForSequenceClassification(bert_config(num_labels=labels)).save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return path


def save_clip(path: Path) -> Path:
    torch.manual_seed(2)
    size = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**size, **ends, "vocab_size": len(WORDS), "max_position_embeddings": 16},
        vision_config={**size, "image_size": 16, "patch_size": 8},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(path)
    return path


class Files:
    """A blob store over files that exist already, by hash."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    @asynccontextmanager
    async def local_file(self, blob: Blob) -> AsyncIterator[Path]:
        yield self._files[blob.sha256]
