"""How many servers like this one a request has passed: providers of which one leads back to the
other would call each other for ever.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from serve_app.core.errors import InvalidRequest
from serve_app.core.upstreams.upstream_calls import Header

HOP_HEADER = b"x-polyphony-hops"
MOST_HOPS = 5
HOPS: ContextVar[int] = ContextVar("HOPS", default=0)
"""Of the request that is worked on now; tasks that it starts have it, too."""


def hops_in(value: bytes) -> int:
    """What a header says; nothing that is no small number."""
    return int(value) if value.isdigit() and len(value) < 4 else 0


@contextmanager
def hopped(hops: int) -> Generator[None]:
    """Work on a request that has passed so many."""
    token = HOPS.set(hops)
    try:
        yield
    finally:
        HOPS.reset(token)


def next_hop() -> Header:
    """The header of a request to another server like this one. InvalidRequest after too many: a
    client's error, so that no server on the way tries another key or model.
    """
    hops = HOPS.get()
    if hops >= MOST_HOPS:
        raise InvalidRequest(
            f"the request has passed {hops} servers: one of their providers leads back to another",
            remedy="change the routes or the providers' base_url",
            param="model",
            code="provider_loop",
        )
    return HOP_HEADER, str(hops + 1).encode()
