"""Passwords at rest: argon2id, computed away from the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from serve_app.core.errors import InvalidRequest

SHORTEST = 8
LONGEST = 1024
AT_ONCE = 2
"""Each computation takes 64 MiB for some tens of milliseconds."""


class Passwords:
    """Hashes and compares. `hasher` may be a cheaper one in tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """An argon2id hash with its parameters and salt."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self.hash_now, password
        )

    async def are_equal(self, stored: str | None, password: str) -> bool:
        """Whether the password belongs to the hash. Without a hash: False, after the same time."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._are_equal, stored, password
        )

    def hash_now(self, password: str) -> str:
        """`hash` in the caller's thread. Blocks."""
        return self._hasher.hash(_bytes(password))

    def _are_equal(self, stored: str | None, password: str) -> bool:
        nobodys = self._nobodys
        try:
            self._hasher.verify(stored or nobodys, _bytes(password[:LONGEST]))
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored) and len(password) <= LONGEST

    @cached_property
    def _nobodys(self) -> str:
        """What the password of an unknown user is compared with, to take as long."""
        return self._hasher.hash(b"nobody's")


def check_password(password: str, *, param: str) -> None:
    """Raises InvalidRequest for one that may not be chosen."""
    if len(password) < SHORTEST:
        raise InvalidRequest(f"a password needs at least {SHORTEST} characters", param=param)
    if len(password) > LONGEST:
        raise InvalidRequest(f"a password may have at most {LONGEST} characters", param=param)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
