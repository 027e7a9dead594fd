"""Reads members of a wheel, which is a zip archive, into files of this server's own names."""

import fnmatch
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

CHUNK_BYTES = 1024**2


class UnfitPackage(Exception):
    """Says what is wrong with the archive."""


class Wheel:
    """An open archive. Its names are only compared: none becomes a path."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {each.filename: each for each in archive.infolist() if not each.is_dir()}

    def matching(self, pattern: str) -> str | None:
        """The member that a pattern means: of several, the one that is least deep. UnfitPackage
        where that is not one, or has a name that no honest archive has.
        """
        names = [
            name
            for name in self._members
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"/{name}", pattern)
        ]
        depths = sorted((name.count("/"), name) for name in names)
        if not depths:
            return None
        if len(depths) > 1 and depths[0][0] == depths[1][0]:
            raise UnfitPackage(f"has several members that {pattern!r} can mean")
        name = depths[0][1]
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise UnfitPackage(f"has a member whose name leads out of it: {name!r}")
        return name

    def size_bytes(self, name: str) -> int:
        """Of a member, unpacked; more than that never comes."""
        return self._members[name].file_size

    def unpack(self, name: str, target: Path) -> None:
        """Write a member, whole or not at all, and to the disk."""
        with self._archive.open(self._members[name]) as member:
            write_whole(target, lambda file: _copy(member, file))


@contextmanager
def opened_wheel(path: Path) -> Iterator[Wheel]:
    """UnfitPackage for what is no archive or a damaged one, also while it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Wheel(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnfitPackage("is damaged") from error


def write_whole(target: Path, write: Callable[[IO[bytes]], None]) -> None:
    """A file that has its name only once all of it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
