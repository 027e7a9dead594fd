"""The error for a package that an engine needs and that is not installed."""

from collections.abc import Generator
from contextlib import contextmanager

from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.engine import EngineOptions


@contextmanager
def needed_by(options: EngineOptions) -> Generator[None]:
    """BackendUnavailable that names the missing package and how to install it."""
    with needed(f"the {options.engine} engine", options.remedy, provider=options.engine):
        yield


@contextmanager
def needed(
    who: str, remedy: str = EngineOptions.remedy, *, provider: str | None = None
) -> Generator[None]:
    """As `needed_by`, for what is no engine."""
    try:
        yield
    except ImportError as error:
        raise BackendUnavailable(
            f"{who} needs {error.name or str(error)!r}", remedy=f"{remedy}", provider=provider
        ) from error
