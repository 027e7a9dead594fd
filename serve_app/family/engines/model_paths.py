"""Where the files of models are: found, downloaded, or made.

The starters are made by engines, so this stands beside them.
"""

from pathlib import Path

from serve_app.core.config import Model
from serve_app.core.loading import Report
from serve_app.core.settings import Storage

STARTER = "builtin:starter"
STARTER_IMAGES = "builtin:starter-images"


def model_path(storage: Storage, model: Model, report: Report) -> Path | None:
    """Where the model's files are, None where it is built in. They are downloaded, or made, where
    they are not there yet.
    """
    if model.source is None:
        return None
    if model.source == STARTER:
        from deployments.text.starter import ensure_starter

        return ensure_starter(storage.data_dir / "models" / "starter")
    if model.source == STARTER_IMAGES:
        from deployments.image.starter_images import ensure_starter_images

        return ensure_starter_images(storage.data_dir / "models" / "starter-images")
    from serve_app.family.model_files import locate

    return locate(
        model.source,
        revision=model.revision,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=report,
    )


def located(storage: Storage, model: Model, source: str) -> Path:
    """The files of what an engine lays beside its model."""
    from serve_app.family.model_files import locate

    return locate(
        source,
        revision=None,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=lambda _: None,
    )
