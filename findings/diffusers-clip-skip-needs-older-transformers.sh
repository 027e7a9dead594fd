#!/bin/bash
# diffusers 0.42.0 with transformers 5.23.0.
#
# One would guess: `clip_skip`, a documented argument of StableDiffusionPipeline, works with the transformers that diffusers accepts;
# the pipeline itself runs with the newest one.
# Instead: with any `clip_skip` the pipeline ends in AttributeError, because it reaches for `text_encoder.text_model.final_layer_norm`,
# and CLIPTextModel of transformers 5 has its layers directly. SDXL, which needs no layer norm there, takes the argument. Whoever
# leaves out layers has to read the prompt himself and pass `prompt_embeds`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.13.0" "diffusers==0.42.0" "transformers==5.23.0" tokenizers accelerate
cat >"$folder/seen.py" <<'PYTHON'
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

words = {"<end>": 0, "a": 1}
config = CLIPTextConfig(
    vocab_size=2, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=1,
    max_position_embeddings=4, bos_token_id=0, eos_token_id=0, pad_token_id=0,
)
pipeline = StableDiffusionPipeline(
    vae=AutoencoderKL(block_out_channels=(4,), norm_num_groups=2),
    text_encoder=CLIPTextModel(config).eval(),
    tokenizer=PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<end>")),
        eos_token="<end>", pad_token="<end>", model_max_length=4,
    ),
    unet=UNet2DConditionModel(
        sample_size=8, block_out_channels=(4,), layers_per_block=1, norm_num_groups=2, cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), attention_head_dim=2,
    ),
    scheduler=DDIMScheduler(),
    safety_checker=None, feature_extractor=None, requires_safety_checker=False,
)
fields = {"prompt": "a", "num_inference_steps": 1, "output_type": "latent"}
assert torch.isfinite(pipeline(**fields).images).all()
print("without clip_skip: an image")
try:
    pipeline(clip_skip=1, **fields)
except AttributeError as error:
    print("with clip_skip=1:", error)
else:
    raise SystemExit("clip_skip works")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" 2>/dev/null
