"""Torch's own random numbers, which all engines of a process share.

Imported only where torch is.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import torch

SEEDS = 2**63


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Within it torch draws from the seed; afterwards it goes on as if nothing had been drawn. One
    at a time in the whole process, whichever engines they are of: the others would draw from each
    other's seeds.
    """
    with _turn(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed % SEEDS)
        yield


@cache
def _turn() -> threading.Lock:
    return threading.Lock()
