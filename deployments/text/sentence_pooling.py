"""From token vectors to one vector: pooling and projection as a checkpoint's own files say.

The files are those of sentence-transformers: `modules.json`, `1_Pooling/config.json`, `N_Dense`.
Imported only where torch is.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from serve_app.core.errors import BackendUnavailable

Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(batch, tokens, width) vectors and (batch, tokens) mask to (batch, width); padding is right."""

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Identity": lambda values: values,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
}


def mean(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The average over real tokens."""
    weights = mask.unsqueeze(-1).to(vectors.dtype)
    return (vectors * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def first(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """The first token, `[CLS]` in BERT."""
    return vectors[:, 0]


def last(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last real token, for decoders."""
    ends = mask.sum(dim=1) - 1
    return vectors[torch.arange(vectors.shape[0], device=vectors.device), ends]


POOLS: dict[str, Pool] = {"mean": mean, "cls": first, "lasttoken": last}
FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


class SentencePooling:
    """What follows the encoder. Without files it is the mean, as sentence-transformers has it."""

    def __init__(self, path: Path) -> None:
        self._pool = _pool_of(_read(_module_path(path, "Pooling", "1_Pooling") / "config.json"))
        self._layers = [_dense(folder) for folder in _modules(path, "Dense")]

    def __call__(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, width) in float32, not normalised."""
        pooled = self._pool(vectors, mask).float()
        for layer in self._layers:
            pooled = layer(pooled)
        return pooled


def longest_sentence(path: Path) -> int | None:
    """`max_seq_length`, the tokens that sentence-transformers would read."""
    limit = _read(path / "sentence_bert_config.json").get("max_seq_length")
    return limit if isinstance(limit, int) and limit > 0 else None


def _pool_of(config: dict[str, Any]) -> Pool:
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else [FLAGS[f] for f in FLAGS if config.get(f)]
    if len(modes) > 1 or not POOLS.keys() >= set(modes):
        raise BackendUnavailable(
            f"the checkpoint's pooling {'+'.join(modes)!r} is not supported",
            remedy=f"supported: {', '.join(map(repr, POOLS))}",
        )
    return POOLS[modes[0] if modes else "mean"]


def _dense(folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    config = _read(folder / "config.json")
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise BackendUnavailable(
            f"the checkpoint's activation {activation!r} is not supported",
            remedy=f"supported: {', '.join(map(repr, ACTIVATIONS))}",
        )
    weights = _weights(folder)
    linear, bias = weights["linear.weight"].float(), weights.get("linear.bias")

    def project(vectors: torch.Tensor) -> torch.Tensor:
        offset = None if bias is None else bias.float().to(vectors.device)
        moved = torch.nn.functional.linear(vectors, linear.to(vectors.device), offset)
        return ACTIVATIONS[activation](moved)

    return project


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / "model.safetensors").exists():
        return load_file(folder / "model.safetensors")
    weights: dict[str, torch.Tensor] = torch.load(
        folder / "pytorch_model.bin", weights_only=True, map_location="cpu"
    )
    return weights


def _modules(path: Path, kind: str) -> list[Path]:
    """The folders of the modules of one kind, in order."""
    modules = json.loads(text) if (text := _text(path / "modules.json")) else []
    return [path / m["path"] for m in modules if str(m["type"]).rpartition(".")[2] == kind]


def _module_path(path: Path, kind: str, default: str) -> Path:
    return next(iter(_modules(path, kind)), path / default)


def _read(file: Path) -> dict[str, Any]:
    content = json.loads(_text(file) or "{}")
    return content if isinstance(content, dict) else {}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
