"""A disk that is really small."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL_DISK_BYTES = 2 * 1024**2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """`blobs` in the test's folder, with room for 2 MiB."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs")
    mounted = subprocess.run(("mount", *options, str(folder)), capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)
