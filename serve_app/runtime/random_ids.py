"""Ids that nobody can guess, several per request."""

import os
import threading

AT_ONCE = 4096


class RandomBytes:
    """The system's random bytes, fetched many at a time: each call to the system lets go of the
    interpreter, and waits for its other threads to get it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Nothing that was fetched is used: a forked process would repeat it."""
        self._lock = threading.Lock()
        self._bytes = b""
        self._taken = 0

    def take(self, count: int) -> bytes:
        """Bytes that were never given before."""
        with self._lock:
            if self._taken + count > len(self._bytes):
                self._bytes = os.urandom(max(AT_ONCE, count))
                self._taken = 0
            begin, self._taken = self._taken, self._taken + count
            return self._bytes[begin : self._taken]


_random_bytes = RandomBytes()


def random_hex(byte_count: int) -> str:
    """Twice as many hexadecimal digits, as of `secrets.token_hex`."""
    return _random_bytes.take(byte_count).hex()
