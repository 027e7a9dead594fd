"""Tiny Marian, M2M100 and NLLB checkpoints, with tokenizers that were trained on a few lines.

One Marian is trained until it says its ten pairs by heart, so that its answers are known.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
)

PAIRS = {
    "Good morning.": "Guten Morgen.",
    "Where is the station?": "Wo ist der Bahnhof?",
    "The cat sleeps on the roof.": "Die Katze schläft auf dem Dach.",
    "I would like a glass of water, please.": "Ich hätte gern ein Glas Wasser, bitte.",
    "It is raining today.": "Heute regnet es.",
    "My brother lives in Berlin.": "Mein Bruder wohnt in Berlin.",
    "We are late!": "Wir sind spät dran!",
    "How much does the book cost?": "Wie viel kostet das Buch?",
    "She has never seen the sea.": "Sie hat das Meer noch nie gesehen.",
    "Thank you and goodbye.": "Danke und auf Wiedersehen.",
}
LINES = [*PAIRS, *PAIRS.values()]
PIECES = 120
STEPS = 400
LEARNT = 0.02
SIZES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "dropout": 0.0,
}
CODES = ["deu_Latn", "eng_Latn", "zho_Hans", "zho_Hant"]


def sentence_pieces(lines: Sequence[str]) -> bytes:
    """A SentencePiece model of these lines."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=PIECES,
        model_type="unigram",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def marian(
    folder: Path,
    *,
    languages: tuple[str | None, str | None] = ("eng", "deu"),
    marks: Sequence[str] = (),
    positions: int = 256,
    init_std: float = 0.5,
) -> MarianMTModel:
    """A Marian with random weights; with `marks` its texts begin with the language they go to."""
    folder.mkdir(parents=True, exist_ok=True)
    data = sentence_pieces(LINES)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=data)
    words = [pieces.id_to_piece(at) for at in range(pieces.get_piece_size())]
    kept = [word for word in words if word not in ("<unk>", "<s>", "</s>")]
    vocabulary = {word: at for at, word in enumerate(["</s>", "<unk>", *kept, *marks, "<pad>"])}
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(data)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"),
        str(folder / "target.spm"),
        str(folder / "vocab.json"),
        source_lang=languages[0],
        target_lang=languages[1],
        model_max_length=positions,
    )
    tokenizer.save_pretrained(folder)
    padding = vocabulary["<pad>"]
    torch.manual_seed(0)
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(vocabulary),
            max_position_embeddings=positions,
            pad_token_id=padding,
            decoder_start_token_id=padding,
            eos_token_id=0,
            forced_eos_token_id=0,
            init_std=init_std,
            **SIZES,
        )
    )
    model.generation_config.update(num_beams=2, max_length=positions, bad_words_ids=[[padding]])
    model.save_pretrained(folder)
    return model


def trained_marian(folder: Path) -> None:
    """One that says PAIRS by heart."""
    model = marian(folder, init_std=0.02)
    tokenizer = MarianTokenizer.from_pretrained(folder)
    inputs = tokenizer(list(PAIRS), text_target=list(PAIRS.values()), padding=True)
    tokens, mask, labels = (
        torch.tensor(inputs[name]) for name in ("input_ids", "attention_mask", "labels")
    )
    labels[labels == tokenizer.pad_token_id] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    torch.set_num_threads(1)
    for _ in range(STEPS):
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < LEARNT:
            break
    model.eval().save_pretrained(folder)


def m2m100(folder: Path) -> None:
    """An M2M100 with random weights and the language tokens of the published ones."""
    folder.mkdir(parents=True, exist_ok=True)
    data = sentence_pieces(LINES)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=data)
    words = [pieces.id_to_piece(at) for at in range(3, pieces.get_piece_size())]
    vocabulary = {w: at for at, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    (folder / "sentencepiece.bpe.model").write_bytes(data)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), model_max_length=256
    )
    tokenizer.save_pretrained(folder)
    _save(folder, len(vocabulary) + len(tokenizer.lang_code_to_id) + tokenizer.num_madeup_words)


def nllb(folder: Path) -> None:
    """An NLLB with random weights, of four languages."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted({letter for line in LINES for letter in line.replace(" ", "▁")})
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    tokenizer = NllbTokenizer(
        vocab={word: at for at, word in enumerate(words)},
        merges=[],
        extra_special_tokens=CODES,
        model_max_length=256,
    )
    tokenizer.save_pretrained(folder)
    _save(folder, len(tokenizer))


def _save(folder: Path, size: int) -> None:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=size,
        max_position_embeddings=256,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        scale_embedding=True,
        init_std=0.5,
        **SIZES,
    )
    model = M2M100ForConditionalGeneration(config)
    model.generation_config.update(max_length=200)
    model.save_pretrained(folder)
