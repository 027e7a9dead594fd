"""Opening checkpoints with transformers: arguments, token limit, and what went wrong.

Imported only where torch is.
"""

import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from deployments.torch_device import dtype_of
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.text import TransformersOptions

UNLIMITED = 10**6
"""Tokenizers without a limit of their own say 10^30."""
PATH = re.compile(r"(?<![\w.:])/(?:[\w.+-]++/)++[\w.+-]*+")


def loading_arguments(options: TransformersOptions, device: torch.device) -> dict[str, Any]:
    """The arguments of `from_pretrained`, `options.extra` last."""
    return {
        "dtype": dtype_of(options, device),
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": True,
        **options.extra,
    }


@contextmanager
def loading(model: Model, path: Path | None, *, library: str = "transformers") -> Generator[Path]:
    """The model's directory; what the libraries raise inside becomes BackendUnavailable."""
    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source", remedy="set it to a hub id or a local directory"
        )
    # Bars are for terminals; a replica's log has one line per model.
    transformers.utils.logging.disable_progress_bar()
    try:
        yield path
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).replace(str(path), "its directory").strip().split("\n")[0]
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded by {library}: {_without_paths(reason)}",
            remedy="check that its source is a complete checkpoint of the right kind",
        ) from error


def check_complete(
    model: Model, missing: Iterable[str], *, kind: str, unused: str | None = None
) -> None:
    """BackendUnavailable when weights of a checkpoint would be random, but for those whose name
    has the pattern `unused` in it.
    """
    lost = sorted(name for name in missing if unused is None or not re.search(unused, name))
    if lost:
        raise BackendUnavailable(
            f"model {model.id!r} has no weights for {lost[0]!r} and {len(lost) - 1} more",
            remedy=f"set its source to {kind}",
        )


def _without_paths(text: str) -> str:
    return PATH.sub("its directory", text)


def token_limit(model: Any, tokenizer: Any, options: TransformersOptions) -> int | None:
    """How many tokens the model can read; None where nothing limits it.

    A padding index in the position table (RoBERTa and kin) means that positions start after it.
    """
    if options.context_length is not None:
        return options.context_length
    limits = [tokenizer.model_max_length, getattr(tokenizer, "max_seq_length", None)]
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and positions > 0:
        table = next(
            (m for name, m in model.named_modules() if name.endswith("position_embeddings")), None
        )
        padding = getattr(table, "padding_idx", None)
        limits.append(positions - (0 if padding is None else padding + 1))
    known = [limit for limit in limits if limit and limit < UNLIMITED]
    return min(known, default=None)
