#!/bin/bash
# diffusers 0.42.0 with transformers 5.23.0.
#
# One would guess: a word that `load_textual_inversion` adds with the vector of a known word is read as that word.
# Instead: its number is higher than that of the end of the text, and an encoder whose `eos_token_id` is 2, as it is in the
# configurations of Stable Diffusion and SDXL, takes the highest number for the end. The vectors of the tokens are the same, the
# summary of the text (`text_embeds`, which SDXL is given) is that of another place. Numbers below the end's do not have that effect.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.13.0" "diffusers==0.42.0" "transformers==5.23.0" tokenizers accelerate
cat >"$folder/seen.py" <<'PYTHON'
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

words = {"<start>": 0, "a": 1, "red": 2, "boat": 3, "<end>": 4}
tokens = Tokenizer(WordLevel(words, unk_token="<end>"))
tokens.pre_tokenizer = Whitespace()
torch.manual_seed(0)
config = CLIPTextConfig(
    vocab_size=5, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=1, projection_dim=8,
    max_position_embeddings=8, bos_token_id=0, eos_token_id=2, pad_token_id=4,
)


class Pipeline(TextualInversionLoaderMixin):
    components = {}
    hf_device_map = {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<end>", pad_token="<end>", model_max_length=8
    )
    text_encoder = CLIPTextModelWithProjection(config).eval()


def read(text):
    ids = Pipeline.tokenizer(text + " <end>", return_tensors="pt").input_ids
    with torch.no_grad():
        found = Pipeline.text_encoder(ids)
    return found.last_hidden_state, found.text_embeds


pipeline = Pipeline()
vector = pipeline.text_encoder.get_input_embeddings().weight[words["red"]].detach().clone()
pipeline.load_textual_inversion({"scarlet": vector})
known, learned = read("a red boat"), read("a scarlet boat")
assert torch.allclose(known[0], learned[0], atol=1e-5)
print("vectors of the tokens: the same")
apart = (known[1] - learned[1]).abs().max().item()
print(f"summary of the text: {apart:.2f} apart")
assert apart > 0.01, "the summary is the same now"
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" 2>/dev/null
