"""Where the files of models are: found, downloaded, or made.

The starters are made by engines, so this stands beside them.
"""

import logging
from pathlib import Path

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.loading import Report
from serve_app.core.model_sources import MODELS, PackageSource
from serve_app.core.settings import Storage

logger = logging.getLogger(__name__)

STARTER = "builtin:starter"
STARTER_IMAGES = "builtin:starter-images"


def model_path(storage: Storage, model: Model, report: Report) -> Path | None:
    """Where the model's files are, None where it is built in. They are downloaded, or made, where
    they are not there yet: from the first of its sources that has them.

    Raises BackendUnavailable, with what was wrong with each.
    """
    if not model.sources:
        return None
    problems = []
    for source in _in_turn(storage, model):
        try:
            return _path(storage, model, source, report)
        except BackendUnavailable as error:
            if len(model.sources) == 1:
                raise
            logger.warning("a source of model %r is not used: %s", model.id, error.message)
            problems.append(error)
    raise BackendUnavailable(
        f"model {model.id!r}: none of its sources can be used: "
        + ", ".join(f"({number}) {each.message}" for number, each in enumerate(problems, start=1)),
        remedy=problems[0].remedy,
    )


def located(storage: Storage, model: Model, source: str) -> Path:
    """The files of what an engine lays beside its model."""
    return _path(storage, Model(id=model.id), source, lambda _: None)


def _in_turn(storage: Storage, model: Model) -> list[str | PackageSource]:
    """What is on this machine comes first."""
    if len(model.sources) == 1:
        return list(model.sources)
    return sorted(model.sources, key=lambda source: not _is_here(storage, model, source))


def _is_here(storage: Storage, model: Model, source: str | PackageSource) -> bool:
    from serve_app.family.cached_models import whole_snapshot
    from serve_app.family.model_files import local_path
    from serve_app.family.packages.package_files import files_here

    if isinstance(source, PackageSource):
        return files_here(source, storage.data_dir / MODELS) is not None
    if local_path(source, storage.data_dir) is not None:
        return True
    try:
        return whole_snapshot(source, model.revision, None) is not None
    except (ImportError, ValueError, OSError):
        return False


def _path(storage: Storage, model: Model, source: str | PackageSource, report: Report) -> Path:
    models = storage.data_dir / MODELS
    if isinstance(source, PackageSource):
        from serve_app.family.packages.package_files import fetched_files

        return fetched_files(source, model_id=model.id, models=models, report=report)
    if source == STARTER:
        from deployments.text.starter import ensure_starter

        return ensure_starter(models / "starter")
    if source == STARTER_IMAGES:
        from deployments.image.starter_images import ensure_starter_images

        return ensure_starter_images(models / "starter-images")
    from serve_app.family.model_files import locate

    path = locate(
        source,
        revision=model.revision,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=report,
    )
    if model.packaged is not None:
        from serve_app.family.packages.package_files import check_same

        check_same(model.packaged, path, model_id=model.id, source=source)
    return path
