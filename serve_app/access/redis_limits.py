"""Rates that all replicas share, counted in a Redis. Imported where one is configured: its library
takes a replica 7 MiB.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable
from typing import Any, cast

from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from limits.storage import storage_from_string
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from serve_app.access.slots import Slots
from serve_app.access.windows import WindowStorage

logger = logging.getLogger(__name__)

UNANSWERED = (RedisError, StorageError)
"""What it raises when the Redis does not answer."""
PATIENCE_S = 1.0
LEASE_S = 30.0
PREFIX = "POLYPHONY:slots:"
TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] * 1000))
return 1
"""
RENEW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] * 1000))
return 1
"""


def redis_storage(url: str) -> "tuple[WindowStorage, RedisSlots]":
    """Windows and slots in one Redis."""
    options: dict[str, Any] = {
        "implementation": "redispy",
        "socket_timeout": PATIENCE_S,
        "socket_connect_timeout": PATIENCE_S,
        # Once more at once: the connection may be one from before a restart.
        "retry": Retry(NoBackoff(), 1),
    }
    storage = storage_from_string(f"async+{url}", **options)
    assert isinstance(storage, RedisStorage)
    return storage, RedisSlots(cast(Any, storage.bridge).get_connection())


class RedisSlots(Slots):
    """Slots of every replica, in one sorted set per key, ordered by the end of their leases. They
    are renewed while they are held; those of a replica that was killed run out by themselves.
    """

    def __init__(self, client: Any, *, lease_s: float = LEASE_S) -> None:
        self._client = client
        self._lease_s = lease_s
        self._take = client.register_script(TAKE)
        self._renew = client.register_script(RENEW)
        self._held: dict[str, set[str]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    @override
    async def take(self, key: str, limit: int) -> str | None:
        """Raises RedisError."""
        slot = secrets.token_hex(8)
        key = PREFIX + key
        taken = False
        try:
            taken = bool(await self._take(keys=[key], args=[limit, self._lease_s, slot]))
        except asyncio.CancelledError:
            # The script may have run all the same.
            self._start(self._remove(key, slot))
            raise
        if not taken:
            return None
        self._held.setdefault(key, set()).add(slot)
        if self._renewing is None or self._renewing.done():
            self._renewing = self._start(self._renew_while_held())
        return slot

    @override
    def free(self, key: str, slot: str) -> None:
        key = PREFIX + key
        held = self._held.get(key, set())
        held.discard(slot)
        if not held:
            self._held.pop(key, None)
        self._start(self._remove(key, slot))

    @override
    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._client.aclose()

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _remove(self, key: str, slot: str) -> None:
        # What cannot be removed runs out with its lease.
        with contextlib.suppress(RedisError):
            await cast("Awaitable[int]", self._client.zrem(key, slot))

    async def _renew_while_held(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if not self._held:
                return
            for key, slots in list(self._held.items()):
                try:
                    await self._renew(keys=[key], args=[self._lease_s, *slots])
                except RedisError as error:
                    logger.warning("slots of running requests were not renewed: %s", error)
