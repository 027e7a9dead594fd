"""Where the encryption keys come from: the environment, or a file that is made at the first start.

Several keys are listed by commas or lines. The first encrypts; the others are former ones, which
are needed until everything was encrypted anew, at the next start.
"""

import binascii
import logging
import os
import re
import secrets
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from serve_app.upstreams.sealing import KEY_BYTES, KeyRing

logger = logging.getLogger(__name__)

VARIABLE = "ENCRYPTION_KEYS"
FILE = "encryption.key"
HEX = re.compile(r"[0-9A-Fa-f]{64}")


class UnusableKeys(RuntimeError):
    """What is configured is no key."""


def key_ring(
    environment: Mapping[str, str], data_dir: Path, *, makes_file: bool = False
) -> KeyRing:
    """The keys of the environment, and those of the file in `data_dir` behind them. With
    `makes_file`, a file is made where there is neither; without one, nothing can be sealed. Blocks.
    Raises UnusableKeys, which names where a key is and never the key.
    """
    keys = _read(environment.get(VARIABLE, ""), VARIABLE)
    file = data_dir / FILE
    if makes_file and not keys:
        try:
            _make(file)
        except OSError as error:
            logger.warning("%s cannot be made (%s): set %s", file, error.strerror, VARIABLE)
    if file.exists():
        _close_to_others(file)
        keys += _read(file.read_text(encoding="utf-8", errors="replace"), str(file))
    return KeyRing(list(dict.fromkeys(keys)))


def _read(text: str, where: str) -> list[bytes]:
    parts = [part.strip() for part in text.replace("\n", ",").split(",")]
    return [_key(part, where) for part in parts if part and not part.startswith("#")]


def _key(text: str, where: str) -> bytes:
    """A key in hex or base64."""
    try:
        key = bytes.fromhex(text) if HEX.fullmatch(text) else b64decode(text, "-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise UnusableKeys(
            f"{where}: a key is {KEY_BYTES} random bytes in base64 or hex; make one with "
            f"'openssl rand -hex {KEY_BYTES}'"
        )
    return key


def _make(file: Path) -> None:
    """Write a new key where there is none; whole or not at all, since two processes may do so."""
    if file.exists():
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only its owner can read it from the beginning.
    with NamedTemporaryFile("w", dir=file.parent) as written:
        written.write(f"{secrets.token_hex(KEY_BYTES)}\n")
        written.flush()
        os.fsync(written.fileno())
        try:
            os.link(written.name, file)
        except FileExistsError:
            return


def _close_to_others(file: Path) -> None:
    if file.stat().st_mode & 0o077:
        try:
            file.chmod(0o600)
        except OSError as error:
            logger.warning("other users can read %s (%s): chmod 600 it", file, error.strerror)
