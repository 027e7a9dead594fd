"""The words that image models have learned beside their weights, by textual inversion."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.config import Model
from serve_app.core.options.attachments import embeddings_in
from serve_app.family.embedding_files import EmbeddingShape, embedding_shape
from serve_app.family.model_configuration import known_configurations

ENCODERS = ("text_encoder/config.json", "text_encoder_2/config.json")


@dataclass(frozen=True)
class LearnedWord:
    """Of what shape it is where its file is here, and whether, as far as is known, it fits."""

    name: str
    shape: EmbeddingShape | None
    fits: bool


async def learned_words(catalog: Catalog, found: CatalogEntry) -> list[LearnedWord]:
    """Those that the model's options list."""
    files = embeddings_in(found.family.options)
    if not files:
        return []
    data_dir = catalog.config.storage.data_dir
    return await asyncio.to_thread(_read, files, found.model, data_dir)


def _read(files: Mapping[str, str], model: Model, data_dir: Path) -> list[LearnedWord]:
    width = _width(model, data_dir)
    words = []
    for name, source in files.items():
        shape = embedding_shape(source, data_dir)
        fits = shape is None or width is None or shape.width == width
        words.append(LearnedWord(name, shape, fits))
    return words


def _width(model: Model, data_dir: Path) -> int | None:
    """Of a vector, for all encoders together."""
    if model.place is None:
        return None
    known = known_configurations(model.place, ENCODERS, revision=model.revision, data_dir=data_dir)
    widths = [config.get("hidden_size") for config in known.values()]
    return sum(w for w in widths if isinstance(w, int)) or None
