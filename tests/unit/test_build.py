"""What the composition root imports and how placement becomes scaling."""

import subprocess
import sys

HEAVY = (
    "torch",
    "transformers",
    "av",
    "faster_whisper",
    "vllm",
    "diffusers",
    "PIL",
    "pocketsphinx",
)


def test_importing_the_composition_root_imports_nothing_heavy() -> None:
    code = f"import serve_app.build, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == "[]"
