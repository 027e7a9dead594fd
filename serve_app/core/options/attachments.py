"""What lies beside a family's checkpoints: names to hub ids or local paths."""

from collections.abc import Mapping

from serve_app.core.options.engine import EngineOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import DiffusersOptions


def loras_in(options: EngineOptions) -> Mapping[str, str]:
    """Where each LoRA is."""
    return options.loras if isinstance(options, DiffusersOptions | FakeOptions) else {}


def vaes_in(options: EngineOptions) -> Mapping[str, str]:
    """Where each autoencoder is."""
    return options.vaes if isinstance(options, DiffusersOptions | FakeOptions) else {}


def embeddings_in(options: EngineOptions) -> Mapping[str, str]:
    """Where each learned word is."""
    return options.embeddings if isinstance(options, DiffusersOptions | FakeOptions) else {}
