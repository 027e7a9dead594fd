"""What every engine is besides its modality's Protocol."""

from typing import Protocol


class Engine(Protocol):
    """One loaded model. The constructor blocks while it loads and runs in a thread; it raises
    BackendUnavailable, naming cause and remedy, when the model or the library cannot be had.
    `context_length` is in tokens, None where the word has no meaning.
    """

    context_length: int | None

    async def start(self) -> None:
        """Called once, on the replica's event loop, before the first verb."""
        ...

    async def close(self) -> None:
        """Free everything. May be called twice."""
        ...
