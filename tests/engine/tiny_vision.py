"""Tiny random checkpoints of what looks at images, and calls of the engines over them."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BeitConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessorPil,
    BlipProcessor,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessorPil,
    Swin2SRConfig,
    Swin2SRForImageSuperResolution,
    Swin2SRImageProcessorPil,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)
from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

from serve_app.core.media import Blob, BlobStore
from tests.engine.tiny_encoders import WORDS, word_tokenizer
from tests.images import chunks


def save_swin2sr(folder: Path, *, upscale: int = 2, **fields: Any) -> Path:
    torch.manual_seed(0)
    config = Swin2SRConfig(
        embed_dim=8,
        depths=[2],
        num_heads=[2],
        window_size=4,
        image_size=16,
        upscale=upscale,
        upsampler=fields.pop("upsampler", "pixelshuffledirect"),
        **fields,
    )
    Swin2SRForImageSuperResolution(config).save_pretrained(folder)
    Swin2SRImageProcessorPil().save_pretrained(folder)
    return folder


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards, blue is in the middle."""
    rows = [
        (255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1), 128)
        for y in range(height)
        for x in range(width)
    ]
    image = Image.new("RGB", (width, height))
    image.putdata(rows)
    return image


async def stored(blobs: BlobStore, image: Image.Image | bytes, format: str = "PNG") -> Blob:
    if isinstance(image, bytes):
        return await blobs.write(chunks(image))
    target = io.BytesIO()
    image.save(target, format)
    return await blobs.write(chunks(target.getvalue()))


async def image_of(blobs: BlobStore, blob: Blob) -> Image.Image:
    data = b"".join([chunk async for chunk in blobs.read(blob)])
    return Image.open(io.BytesIO(data))


async def last(events: AsyncIterator[Any]) -> Any:
    return [event async for event in events][-1]


def save_depth_anything(folder: Path, **fields: Any) -> Path:
    torch.manual_seed(0)
    config = DepthAnythingConfig(
        backbone_config=Dinov2Config(
            image_size=28,
            patch_size=14,
            hidden_size=8,
            num_hidden_layers=4,
            num_attention_heads=2,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
        ),
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        **fields,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    processor = DPTImageProcessorPil(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14
    )
    processor.save_pretrained(folder)
    return folder


def save_dpt(folder: Path, **fields: Any) -> Path:
    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
        **fields,
    )
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_zoedepth(folder: Path) -> Path:
    torch.manual_seed(0)
    config = ZoeDepthConfig(
        backbone_config=BeitConfig(
            image_size=32,
            patch_size=8,
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=16,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
            use_relative_position_bias=True,
        ),
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=4,
        num_attractors=[2, 2, 2, 2],
        bin_embedding_dim=8,
        bin_configurations=[{"name": "nyu", "n_bins": 8, "min_depth": 1e-3, "max_depth": 10.0}],
    )
    ZoeDepthForDepthEstimation(config).save_pretrained(folder)
    processor = ZoeDepthImageProcessorPil(size={"height": 32, "width": 32}, ensure_multiple_of=32)
    processor.save_pretrained(folder)
    return folder


def save_blip(folder: Path, *, answers: bool = False) -> Path:
    """BLIP over the few words of `tiny_encoders`: [CLS] begins a text, [SEP] ends it."""
    torch.manual_seed(3)
    begin, end = WORDS.index("[CLS]"), WORDS.index("[SEP]")
    config = BlipConfig(
        text_config={
            "vocab_size": len(WORDS),
            "hidden_size": 16,
            "encoder_hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "bos_token_id": begin,
            "sep_token_id": end,
            "eos_token_id": end,
            "pad_token_id": 0,
            "initializer_range": 0.5,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.5,
        },
        projection_dim=16,
    )
    kind = BlipForQuestionAnswering if answers else BlipForConditionalGeneration
    kind(config).eval().save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(images, word_tokenizer()).save_pretrained(folder)
    return folder
