"""What the user of a starting server reads: what is done, and how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Says what is done and how long it took."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Print the name and the duration when the block has ended."""
        started_at = time.monotonic()
        yield
        print_line(f"  {name}: {time.monotonic() - started_at:.1f} s")

    @property
    def total_s(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started_at


def print_line(line: str) -> None:
    """Write a line for the user."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def first_line(error: Exception) -> str:
    """Of what an error says, the part that is for the user."""
    return str(error).strip().partition("\n")[0]
