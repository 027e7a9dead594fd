"""What lies beside a checkpoint, under the names that it has here: autoencoders, LoRAs, words."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from serve_app.api.automatic1111.checkpoints import Checkpoint
from serve_app.api.automatic1111.error_object import NameNotFound
from serve_app.catalog.learned_words import LearnedWord
from serve_app.core.options.attachments import loras_in, vaes_in

OWN = ("automatic", "none", "")
"""What means the checkpoint's own autoencoder."""


def vae_named(found: Checkpoint, text: str) -> str | None:
    """The registered name of an autoencoder, None for the checkpoint's own. NameNotFound."""
    if text.strip().lower() in OWN:
        return None
    names = vaes_of(found)
    folded = {name.lower(): name for name in names}
    name = folded.get(text.strip().lower())
    if name is None:
        raise NameNotFound("VAE not found", ["Automatic", "None", *names], param="sd_vae")
    return name


def vaes_of(found: Checkpoint) -> Mapping[str, str]:
    """Where each autoencoder is, by name."""
    return vaes_in(found.found.family.options)


def loras_of(found: Checkpoint) -> Mapping[str, str]:
    """Where each LoRA is, by name."""
    return loras_in(found.found.family.options)


def listed_vaes(found: Checkpoint) -> list[dict[str, Any]]:
    """The items of the list of autoencoders."""
    return [
        {"model_name": name, "filename": file_name(place)} for name, place in vaes_of(found).items()
    ]


def listed_loras(found: Checkpoint) -> list[dict[str, Any]]:
    """The items of the list of LoRAs."""
    return [
        {"name": name, "alias": name, "path": file_name(place), "metadata": {}}
        for name, place in loras_of(found).items()
    ]


def listed_embedding(word: LearnedWord) -> dict[str, Any]:
    """The value of a learned word in the list of them; how it was made is not known."""
    return {
        "step": None,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "shape": word.shape and word.shape.width,
        "vectors": word.shape and word.shape.vectors,
    }


def file_name(place: str) -> str:
    """The last part of a path or of a hub id."""
    return PurePath(place).name
