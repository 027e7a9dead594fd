"""What stands in the place of an engine's options for models of providers."""

from typing import ClassVar

from serve_app.core.options.engine import EngineOptions
from serve_app.core.tasks import Task


class UpstreamOptions(EngineOptions):
    """Never configured: `engine` is the type of the provider. Everything that is optional is passed
    on.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"prompt", "temperature"})

    engine: str
    task: Task
