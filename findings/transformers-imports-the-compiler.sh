#!/bin/bash
# transformers 5.23.0 with torch 2.13.0.
#
# One would guess: a server that never compiles does not load torch's compiler; transformers loads its parts only when they are
# used, so that a class for generation brings no more than the model's own code.
# Instead: importing any causal model imports `torch._dynamo`, with 93 modules that eager inference never calls. Avoiding
# the compiler in code of one's own therefore saves nothing in a process that generates with transformers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.13.0" "transformers==5.23.0"
cat >"$folder/seen.py" <<'PYTHON'
import sys

import torch
import transformers


def compiler() -> int:
    return sum(name.startswith("torch._dynamo") for name in sys.modules)


before = compiler()
from transformers import LlamaForCausalLM

after = compiler()
print(f"torch {torch.__version__}, transformers {transformers.__version__}")
print(f"modules of torch._dynamo: {before} before a causal model is imported, {after} after")
assert before == 0 and after > 50, (before, after, LlamaForCausalLM)
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" 2>/dev/null
