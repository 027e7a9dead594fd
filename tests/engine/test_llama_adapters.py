"""LoRA adapters in GGUF form on the model of the local default."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from deployments.text.llama_cpp_chat import LlamaCppChat
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.chat import ChatDelta, Complete, Sampling
from tests.engine.gguf_writer import gguf
from tests.weights import weights

WIDTH, RANK = 576, 2
PROMPT = "The capital of France is"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """It changes what the layers ask for, at random."""
    random = np.random.default_rng(1)
    tensors = {}
    for layer in range(10):
        name = f"blk.{layer}.attn_output.weight"
        tensors[f"{name}.lora_a"] = random.normal(size=(RANK, WIDTH))
        tensors[f"{name}.lora_b"] = random.normal(size=(WIDTH, RANK))
    metadata: dict[str, str | float] = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 2.0,
    }
    path = tmp_path / "adapter.gguf"
    path.write_bytes(gguf(metadata, tensors))
    return path


def continued(**options: object) -> str:
    sizes = {"task": "chat", "context_length": 256, "slots": 1, "threads": 1}
    chosen = LlamaCppOptions.model_validate(sizes | options)
    engine = LlamaCppChat(chosen, Model(id="m"), path=weights("SmolLM2-135M-Instruct"), blobs=None)  # type: ignore[arg-type]
    sampling = Sampling(temperature=0.0, max_tokens=8)
    request = Complete(model="m", prompts=(PROMPT,), sampling=sampling)

    async def read() -> str:
        events = [event async for event in engine.complete(request)]
        await engine.close()
        return "".join(event.text for event in events if isinstance(event, ChatDelta))

    return asyncio.run(read())


def test_an_adapter_changes_the_answer_as_far_as_its_scale_says(adapter: Path) -> None:
    plain = continued()
    assert "Paris" in plain
    file = str(adapter)
    assert continued(adapters=[{"file": file, "scale": 0.0}]) == plain
    assert "Paris" not in continued(adapters=[{"file": file, "scale": 4.0}])


def test_an_adapter_that_is_not_there_is_named() -> None:
    with pytest.raises(BackendUnavailable, match=r"no file 'none.gguf'"):
        continued(adapters=[{"file": "none.gguf"}])


def test_an_adapter_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF and no more")
    with pytest.raises(BackendUnavailable, match=r"'damaged.gguf' cannot be loaded"):
        continued(adapters=[{"file": str(path)}])
