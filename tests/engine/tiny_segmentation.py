"""Tiny SAM, SAM 2 and Mask2Former checkpoints with random weights, as files on disk."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessorPil,
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamImageProcessorPil,
    SamModel,
    SwinConfig,
)

SIDE = 64
WIDTH = 16
NAMES = {0: "cat", 1: "sky", 2: "tree"}
DECODER = {
    "hidden_size": WIDTH,
    "mlp_dim": 32,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": WIDTH,
}
SWIN = {
    "image_size": SIDE,
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 1, 1],
    "window_size": 4,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}


def save_sam(path: Path, *, sure: bool = False) -> Path:
    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": WIDTH,
            "output_channels": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": WIDTH // 2,
            "mlp_dim": 32,
            "initializer_range": 0.5,
        },
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 8},
        mask_decoder_config=DECODER,
    )
    model = SamModel(config)
    _saved(model, path, sure=sure, sure_bias=0.95)
    size = {"height": SIDE, "width": SIDE}
    SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=size).save_pretrained(path)
    return path


def save_sam2(path: Path, *, sure: bool = False) -> Path:
    torch.manual_seed(0)
    config = Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 1, 1],
                "window_size_per_stage": [4, 4, 4, 4],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": WIDTH,
        },
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 16},
        mask_decoder_config=DECODER,
    )
    return _saved(Sam2Model(config), path, sure=sure, sure_bias=4.0)


def save_mask2former(path: Path, *, sure: bool = False) -> Path:
    """Without a sure head no object is likely enough; with it, some are."""
    torch.manual_seed(0)
    config = Mask2FormerConfig(
        backbone_config=SwinConfig(**SWIN),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
        id2label=NAMES,
        label2id={name: number for number, name in NAMES.items()},
    )
    model = Mask2FormerForUniversalSegmentation(config)
    if sure:
        with torch.no_grad():
            model.class_predictor.weight.mul_(40)
    model.save_pretrained(path)
    size = {"shortest_edge": 48, "longest_edge": 96}
    Mask2FormerImageProcessorPil(size=size).save_pretrained(path)
    return path


def _saved(model: Any, path: Path, *, sure: bool, sure_bias: float) -> Path:
    """A sure model thinks highly of its masks, and its masks have hard edges."""
    decoder = model.mask_decoder
    with torch.no_grad():
        if sure:
            decoder.iou_prediction_head.proj_out.bias.fill_(sure_bias)
            decoder.iou_prediction_head.proj_out.weight.mul_(0.01)
        for network in decoder.output_hypernetworks_mlps:
            network.proj_out.weight.mul_(1e8 if sure else 1)
            network.proj_out.bias.mul_(1e8 if sure else 1)
    model.save_pretrained(path)
    return path
