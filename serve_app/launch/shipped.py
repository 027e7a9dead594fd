"""The files that come with Polyphony beside its code, in a checkout or installed."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

AROUND = Path(__file__).parents[2]
LOCAL = "serve_config.local.yaml"
SHARED = "share/polyphony"


def shipped_file(name: str) -> Path:
    """Where it is. FileNotFoundError when this installation lacks it."""
    if (AROUND / "pyproject.toml").is_file():
        return AROUND / name
    for file in (*_recorded(name), AROUND / SHARED / name):
        if file.is_file():
            return file
    raise FileNotFoundError(f"{name} is not part of this installation")


def _recorded(name: str) -> Iterator[Path]:
    """Where the installation says it is. With `pip install --target`, that is wrong."""
    try:
        files = distribution("polyphony").files or []
    except PackageNotFoundError:
        return
    for file in files:
        if file.as_posix().endswith(f"{SHARED}/{name}"):
            yield Path(str(file.locate())).resolve()


def usual_configuration() -> Path:
    """That of the working directory, or else the one for a machine without a GPU."""
    here = Path(LOCAL)
    return here if here.is_file() else shipped_file(LOCAL)
