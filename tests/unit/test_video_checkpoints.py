"""What video checkpoints can make, told by their files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.core.config import AppConfig
from serve_app.core.video.checkpoint_parts import (
    INDEX,
    CheckpointDescription,
    IncompleteCheckpoint,
)
from serve_app.core.video.checkpoints import KINDS, checkpoint_facts
from serve_app.core.video.generation import VideoFacts

WAN_22_SMALL: dict[str, dict[str, Any]] = {
    INDEX: {
        "_class_name": "WanPipeline",
        "_diffusers_version": "0.35.0.dev0",
        "boundary_ratio": None,
        "expand_timesteps": True,
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "transformer_2": [None, None],
        "vae": ["diffusers", "AutoencoderKLWan"],
    },
    "transformer/config.json": {
        "_class_name": "WanTransformer3DModel",
        "image_dim": None,
        "in_channels": 48,
        "patch_size": [1, 2, 2],
        "pos_embed_seq_len": None,
    },
    "vae/config.json": {
        "_class_name": "AutoencoderKLWan",
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "scale_factor_temporal": 4,
        "temperal_downsample": [False, True, True],
    },
}
LTX_095: dict[str, dict[str, Any]] = {
    INDEX: {
        "_class_name": "LTXConditionPipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "LTXVideoTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLLTXVideo"],
    },
    "transformer/config.json": {"patch_size": 1, "patch_size_t": 1},
    "vae/config.json": {
        "patch_size": 4,
        "patch_size_t": 1,
        "spatial_compression_ratio": 32,
        "spatio_temporal_scaling": [True, True, True, True],
        "temporal_compression_ratio": 8,
    },
}


def facts_of(files: dict[str, dict[str, Any]], **extra: Any) -> VideoFacts:
    return checkpoint_facts(CheckpointDescription.of_files(files, extra), 1800)


def files_of(name: str, *parts: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """Of a checkpoint that leaves everything to diffusers' defaults."""
    index = {"_class_name": name} | settings | {part: ["diffusers", "Some"] for part in parts}
    return {INDEX: index} | {f"{part}/config.json": {} for part in parts}


@pytest.mark.parametrize(
    ("id", "files"),
    [("Wan-AI/Wan2.2-TI2V-5B-Diffusers", WAN_22_SMALL), ("Lightricks/LTX-Video-0.9.5", LTX_095)],
)
def test_the_shipped_configuration_states_what_the_published_files_say(
    id: str, files: dict[str, dict[str, Any]]
) -> None:
    path = Path(__file__).parents[2] / "serve_config.yaml"
    config = AppConfig.model_validate(yaml.safe_load(path.read_text())["applications"][0]["args"])
    [stated] = [m.video for f in config.families for m in f.models if m.id == id]
    assert stated == facts_of(files)


@pytest.mark.parametrize(
    ("files", "modes", "grid"),
    [
        (files_of("WanPipeline", "transformer", "vae"), "t2v v2v", (1, 4, 81, 16)),
        (
            files_of("WanPipeline", "transformer", "transformer_2", "vae", boundary_ratio=0.875),
            "t2v",
            (1, 4, 81, 16),
        ),
        (files_of("WanVideoToVideoPipeline", "transformer", "vae"), "t2v v2v", (1, 4, 81, 16)),
        (
            files_of("WanImageToVideoPipeline", "transformer_2", "vae"),
            "i2v ti2v extend interp",
            (1, 4, 81, 16),
        ),
        (files_of("LTXPipeline", "vae"), "t2v i2v ti2v extend", (1, 8, 257, 32)),
        (files_of("LTXImageToVideoPipeline", "vae"), "t2v i2v ti2v extend", (1, 8, 257, 32)),
        (
            files_of("LTXConditionPipeline", "vae"),
            "t2v i2v ti2v v2v interp extend",
            (1, 8, 257, 32),
        ),
        (files_of("CogVideoXPipeline", "transformer", "vae"), "t2v v2v", (1, 4, 49, 16)),
        (
            files_of("CogVideoXVideoToVideoPipeline", "transformer", "vae"),
            "t2v v2v",
            (1, 4, 49, 16),
        ),
        (
            files_of("CogVideoXImageToVideoPipeline", "transformer", "vae"),
            "i2v ti2v extend",
            (1, 4, 49, 16),
        ),
        (files_of("StableVideoDiffusionPipeline", "unet", "vae"), "i2v extend", (1, 1, 25, 8)),
    ],
)
def test_what_a_file_leaves_out_is_diffusers_default(
    files: dict[str, dict[str, Any]], modes: str, grid: tuple[int, int, int, int]
) -> None:
    facts = facts_of(files)
    assert " ".join(facts.modes) == modes
    assert grid == (
        facts.frame_base,
        facts.frame_step,
        facts.max_frames_per_render,
        facts.side_multiple,
    )


def test_models_for_images_with_an_encoder_have_one_place_for_an_image() -> None:
    files = files_of("WanImageToVideoPipeline", "transformer", "vae")
    files["transformer/config.json"] = {"image_dim": 1280}
    assert "interp" not in facts_of(files).modes
    files["transformer/config.json"] = {"image_dim": 1280, "pos_embed_seq_len": 514}
    assert "interp" in facts_of(files).modes


def test_the_options_of_a_family_go_before_the_files() -> None:
    files = files_of("WanPipeline", "transformer", "vae")
    assert facts_of(files, expand_timesteps=True).modes == ("t2v", "i2v", "ti2v", "extend")


def test_a_pipeline_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="FluxPipeline is not a known video pipeline") as caught:
        facts_of(files_of("FluxPipeline", "transformer", "vae"))
    assert all(name in str(caught.value) for name in KINDS)


@pytest.mark.parametrize("lost", [INDEX, "transformer/config.json", "vae/config.json"])
def test_nothing_is_made_up_for_a_file_that_is_not_there(lost: str) -> None:
    files = files_of("WanPipeline", "transformer", "vae")
    del files[lost]
    with pytest.raises(IncompleteCheckpoint, match=lost):
        facts_of(files)


@pytest.mark.parametrize(
    ("name", "part", "says"),
    [
        ("WanPipeline", "transformer", {"patch_size": "wide"}),
        ("WanPipeline", "transformer", {"patch_size": [1]}),
        ("WanPipeline", "vae", {"scale_factor_temporal": 0}),
        ("LTXPipeline", "vae", {"spatio_temporal_scaling": None}),
        ("CogVideoXPipeline", "vae", {"block_out_channels": []}),
        ("StableVideoDiffusionPipeline", "unet", {"num_frames": -1}),
    ],
)
def test_what_cannot_be_is_a_value_error(name: str, part: str, says: dict[str, Any]) -> None:
    files = files_of(name, "transformer", "unet", "vae") | {f"{part}/config.json": says}
    with pytest.raises(ValueError, match="validation error"):
        facts_of(files)


@pytest.mark.parametrize(
    "files",
    [
        files_of("WanPipeline", "vae"),
        files_of("WanPipeline", "transformer"),
        files_of("StableVideoDiffusionPipeline", "vae"),
    ],
)
def test_a_checkpoint_without_a_part(files: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="has no"):
        facts_of(files)
