"""The checkpoints that the project makes by itself on first start, without a network.

The one for chat is a Llama-shaped model of a few megabytes with a real tokenizer and chat template.
Its weights are random: it answers at once, in real words, but in noise.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serve_app.core.errors import BackendUnavailable
from serve_app.runtime.extras import needed

logger = logging.getLogger(__name__)

RECIPE_FILE = "starter.json"


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: `build` writes it into an empty directory. `number` changes with
    what it writes.
    """

    number: int
    name: str
    build: Callable[[Path], None]


def ensure_starter(directory: Path) -> Path:
    """The checkpoint for chat; see `ensure_built`."""
    return ensure_built(directory, Recipe(2, "starter chat model", _build))


def ensure_built(directory: Path, recipe: Recipe) -> Path:
    """The checkpoint in `directory`, built first when it is missing or of another recipe.

    It appears whole or not at all; of several processes that build it at once, one wins. Takes a
    few seconds. Raises BackendUnavailable when a library is missing or the disk refuses.
    """
    if _is_current(directory, recipe):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            logger.info("making the %s (random weights)", recipe.name)
            with needed(f"the {recipe.name}"):
                recipe.build(temporary)
            _sign(temporary, recipe)
            _put_in_place(temporary, directory, recipe)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise BackendUnavailable(
            f"the {recipe.name} cannot be written ({error.strerror})",
            remedy="give storage.data_dir a writable place with 20 MB free",
        ) from error
    return directory


def _is_current(directory: Path, recipe: Recipe) -> bool:
    """The recipe file is written last, and the directory appears by one rename."""
    try:
        content = json.loads((directory / RECIPE_FILE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("recipe") == recipe.number


def _build(directory: Path) -> None:
    from deployments.text.starter_tokenizer import trained_tokenizer
    from deployments.text.starter_weights import starter_model

    tokenizer = trained_tokenizer()
    starter_model(tokenizer).save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _sign(directory: Path, recipe: Recipe) -> None:
    note = {"recipe": recipe.number, "note": "made by polyphony; the weights are random"}
    (directory / RECIPE_FILE).write_text(json.dumps(note))
    os.chmod(directory, 0o755)


def _put_in_place(built: Path, directory: Path, recipe: Recipe) -> None:
    """Rename onto `directory`; what stands there is replaced unless it is a current checkpoint."""
    while True:
        try:
            built.rename(directory)
            return
        except OSError:
            if _is_current(directory, recipe):
                return
            if not directory.exists():
                raise
        _set_aside(directory)


def _set_aside(directory: Path) -> None:
    """Rename before removing, so that nobody sees half of it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
    try:
        directory.rename(aside / "old")
    except FileNotFoundError:
        logger.debug("another process moved the old starter first")
    finally:
        shutil.rmtree(aside, ignore_errors=True)
