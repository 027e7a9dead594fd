"""`KeyRing`: encrypts secrets for the database, and reads what former keys have encrypted.

AES-256-GCM with a nonce per secret. What is sealed names the key that did it, and can be opened
only for the purpose that it was sealed for, so that rows cannot be swapped.
"""

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serve_app.core.errors import BackendUnavailable

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = "v1"


class CannotOpen(Exception):
    """None of the keys here has sealed it, or it was changed since."""


class KeyRing:
    """The encryption keys of this server: the first seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._current = _id_of(keys[0]) if keys else None

    def __len__(self) -> int:
        return len(self._ciphers)

    def seal(self, secret: str, *, purpose: str) -> str:
        """The secret as the database may keep it. BackendUnavailable without any key."""
        if self._current is None:
            raise BackendUnavailable(
                "this server has no key to encrypt secrets with",
                remedy="set ENCRYPTION_KEYS, and on a cluster the same on every node",
            )
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[self._current]
        data = nonce + cipher.encrypt(nonce, secret.encode(), _bound(purpose))
        return f"{VERSION}.{self._current}.{urlsafe_b64encode(data).decode()}"

    def open(self, sealed: str, *, purpose: str) -> str:
        """The secret. CannotOpen."""
        version, key_id, data = (*sealed.split("."), "", "")[:3]
        cipher = self._ciphers.get(key_id)
        if version != VERSION or cipher is None:
            raise CannotOpen
        try:
            raw = urlsafe_b64decode(data)
            nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return cipher.decrypt(nonce, rest, _bound(purpose)).decode()
        except (ValueError, InvalidTag):
            raise CannotOpen from None

    def is_current(self, sealed: str) -> bool:
        """Whether the key that seals now has sealed it."""
        return sealed.split(".")[1:2] == [self._current]


def _id_of(key: bytes) -> str:
    """Enough of a digest to tell keys apart; it says nothing of 256 random bits."""
    return hashlib.sha256(b"polyphony encryption key " + key).hexdigest()[:12]


def _bound(purpose: str) -> bytes:
    return f"polyphony {VERSION} {purpose}".encode()
