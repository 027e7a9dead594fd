"""What checkpoints say of themselves where they are on this machine, and no network is asked."""

from pathlib import Path

import pytest

from serve_app.family.model_configuration import known_configuration

SHA = "c" * 40


def known(source: str, folder: Path, *, revision: str | None = None) -> object:
    return known_configuration(
        source, revision=revision, data_dir=folder / "data", cache_dir=folder / "cache"
    )


def test_a_directory_by_its_path_or_below_the_data(tmp_path: Path) -> None:
    for folder in (tmp_path / "here", tmp_path / "data/models/tiny"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"model_type": "dpt"}')
    assert known(str(tmp_path / "here"), tmp_path) == {"model_type": "dpt"}
    assert known("models/tiny", tmp_path) == {"model_type": "dpt"}


def test_what_the_hubs_cache_holds(tmp_path: Path) -> None:
    repository = tmp_path / "cache/models--org--tiny"
    (repository / "snapshots" / SHA).mkdir(parents=True)
    (repository / "snapshots" / SHA / "config.json").write_text('{"model_type": "zoedepth"}')
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(SHA)
    assert known("org/tiny", tmp_path) == {"model_type": "zoedepth"}
    assert known("org/tiny", tmp_path, revision=SHA) == {"model_type": "zoedepth"}
    assert known("org/tiny", tmp_path, revision="d" * 40) is None
    assert known("org/other", tmp_path) is None


@pytest.mark.parametrize(
    "source", ["/no/such/place", "builtin:starter", "a/b/c/d", "~nobody", "~no-such-user", ""]
)
def test_what_is_nowhere_is_not_known(tmp_path: Path, source: str) -> None:
    assert known(source, tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe{}"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert known(str(tmp_path), tmp_path) is None


def test_a_file_has_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"weights")
    assert known(str(tmp_path / "weights.pth"), tmp_path) is None
