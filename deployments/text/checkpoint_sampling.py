"""How a checkpoint wants its tokens to be chosen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serve_app.core.options.sampling import NOTHING_SAID, SamplingDefaults

OURS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
OF_GGUF = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_p": "top_p",
    "general.sampling.top_k": "top_k",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repeat_penalty",
}


def checkpoint_sampling(path: Path | None) -> SamplingDefaults:
    """As the `generation_config.json` in a checkpoint's directory says."""
    if path is None:
        return NOTHING_SAID
    try:
        content = json.loads((path / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return NOTHING_SAID
    return _said(content, OURS) if isinstance(content, dict) else NOTHING_SAID


def gguf_sampling(metadata: Mapping[str, Any]) -> SamplingDefaults:
    """As a GGUF's metadata say."""
    return _said(metadata, OF_GGUF)


def _said(content: Mapping[str, Any], words: Mapping[str, str]) -> SamplingDefaults:
    """Values that cannot be are left out."""
    found = {ours: content[word] for word, ours in words.items() if content.get(word) is not None}
    kept = {}
    for name, value in found.items():
        try:
            kept[name] = getattr(SamplingDefaults.model_validate({name: value}), name)
        except ValidationError:
            continue
    return SamplingDefaults(**kept)
