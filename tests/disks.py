"""Disks that are really small."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SMALL_DISK_BYTES = 3 * 1024**2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """`blobs` in the test's folder, with room for 3 MiB."""
    with _mounted(tmp_path / "blobs") as folder:
        yield folder


@pytest.fixture
def small_database_disk(tmp_path: Path) -> Iterator[Path]:
    """`database` in the test's folder, with room for 3 MiB."""
    with _mounted(tmp_path / "database") as folder:
        yield folder


@contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs")
    mounted = subprocess.run(("mount", *options, str(folder)), capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)
