"""What the composition root imports and how placement becomes scaling."""

import subprocess
import sys

from serve_app.build import resources
from serve_app.core.config import Family

HEAVY = (
    "torch",
    "transformers",
    "av",
    "faster_whisper",
    "vllm",
    "diffusers",
    "PIL",
)


def test_importing_the_composition_root_imports_nothing_heavy() -> None:
    code = f"import serve_app.build, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == "[]"


def test_vllm_workers_take_their_gpus_from_a_placement_group() -> None:
    family = Family.model_validate(
        {
            "name": "chat",
            "options": {"engine": "vllm", "tensor_parallel": 2},
            "models": [{"id": "m"}],
            "placement": {"gpus": 0.5, "cpus": 2},
        }
    )
    assert resources(family) == {
        "ray_actor_options": {"num_cpus": 2.0, "num_gpus": 0},
        "placement_group_bundles": [{"CPU": 2.0, "GPU": 0.5}, {"GPU": 0.5}],
        "placement_group_strategy": "PACK",
    }
