"""Image models as checkpoints: titles, hashes and file names, and the model that a text means."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.choices import explicit
from serve_app.core.errors import ModelNotFound

HASH_DIGITS = 10
FILE_TYPE = ".safetensors"
SHOWN = 100


@dataclass(frozen=True)
class Checkpoint:
    """An image model under the names that clients of this dialect know it by."""

    found: CatalogEntry

    @property
    def name(self) -> str:
        """The model's id."""
        return self.found.id

    @cached_property
    def hash(self) -> str:
        """Ten digits that are the same as long as the model is; not of its weights, which may not
        be here yet and are too large to be read for a list.
        """
        model = self.found.model
        identity = "\0".join((model.id, model.place or "", model.revision or ""))
        return hashlib.sha256(identity.encode()).hexdigest()[:HASH_DIGITS]

    @property
    def title(self) -> str:
        """What menus show, and what options name."""
        return f"{self.name} [{self.hash}]"

    @property
    def file_name(self) -> str:
        """As if it were one file; no directory of this machine is told."""
        return self.name.rpartition("/")[2] + FILE_TYPE

    def listed(self) -> dict[str, Any]:
        """The item of the list of models."""
        return {
            "title": self.title,
            "model_name": self.name,
            "hash": self.hash,
            "sha256": None,
            "filename": self.file_name,
            "config": None,
        }


def checkpoints(catalog: Catalog) -> list[Checkpoint]:
    """Every image model."""
    return [Checkpoint(found) for found in catalog.every("images")]


def checkpoint(catalog: Catalog, text: str | None) -> Checkpoint:
    """The one that a title, an id, an alias, a file name or a hash means; the default for none and
    for `auto`. ModelNotFound for every other text.
    """
    if explicit(text) is None:
        return Checkpoint(catalog.find("images", None))
    assert text is not None
    found = _named(catalog, text.strip())
    if found is None:
        names = ", ".join(repr(each.name) for each in checkpoints(catalog)) or "none is configured"
        raise ModelNotFound(
            f"unknown checkpoint {text[:SHOWN]!r}",
            remedy=f"checkpoints: {names}",
            param="sd_model_checkpoint",
        )
    return found


def _named(catalog: Catalog, text: str) -> Checkpoint | None:
    known = checkpoints(catalog)
    by_id = {each.name: each for each in known}
    name, mark, digits = text.removesuffix("]").rpartition("[")
    is_title = bool(mark) and text.endswith("]")
    parted = name.strip() if is_title else text
    for name in dict.fromkeys((text, parted, parted.removesuffix(FILE_TYPE))):
        with suppress(ModelNotFound):
            named = catalog.named(name, "images")
            if named.family.options.task == "images":
                return by_id.get(named.id) or Checkpoint(named)
    of_file = (each for each in known if each.file_name.lower() == parted.lower())
    wanted = (digits if is_title else text).lower()
    of_hash = (each for each in known if each.hash == wanted)
    return next(of_file, None) or next(of_hash, None)
