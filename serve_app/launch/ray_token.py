"""The token that Ray's own doors ask for: whoever passes them runs code on this machine.

Ray turns it on by itself for a new local cluster, unless the environment says otherwise, and writes
its file readable for everybody (2.60).
"""

import os
import secrets
import stat
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"


def token_notices(environment: MutableMapping[str, str]) -> list[str]:
    """Have the doors ask for a token unless the environment says otherwise, keep the token's file
    to its owner, making it when there is none, and tell what the user should know: that the doors
    are open, or that the file stays readable for others.
    """
    # Ray does so by itself only in the process that starts it.
    mode = environment.setdefault(MODE, "token")
    if mode.lower() != "token":
        return [
            f"{MODE}={mode} is set: Ray's own ports need no token, so whoever can reach this "
            f"machine can run code on it, whatever auth.required says; unset {MODE}"
        ]
    if environment.get(TOKEN):
        return []
    path = token_path(environment)
    with suppress(FileExistsError):
        _make(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        try:
            path.chmod(0o600)
        except OSError as error:
            problem = f"other users can read Ray's token in {path} ({error.strerror})"
            return [f"{problem}; run chmod 600 on it"]
    return []


def token_path(environment: Mapping[str, str]) -> Path:
    """Where Ray looks for its token."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get(TOKEN_PATH) or home / ".ray" / "auth_token")


def _make(path: Path) -> None:
    """Write a new token where there is none; whole or not at all, since two servers may start at
    once.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.link(file.name, path)
