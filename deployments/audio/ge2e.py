"""GE2E, which tells what is peculiar to a voice (L. Wan et al., Generalized end-to-end loss for
speaker verification, 2018): its layers in numpy, so that who runs them needs no torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from deployments.audio.mel_energies import BANDS, HOP, mel_energies
from deployments.audio.speech_windows import Samples

Real = np.ndarray[Any, np.dtype[np.float32]]
LAYERS, WIDTH = 3, 256
SEEN_FRAMES = 160
"""The network is shown 1.6 s at a time."""
TARGET_DB = -30.0
"""Quieter speech is made as loud as this, of full scale."""
SHAPES = {
    "linear.weight": (WIDTH, WIDTH),
    "linear.bias": (WIDTH,),
    **{
        f"lstm.{kind}_l{layer}": shape
        for layer in range(LAYERS)
        for kind, shape in (
            ("weight_ih", (4 * WIDTH, WIDTH if layer else BANDS)),
            ("weight_hh", (4 * WIDTH, WIDTH)),
            ("bias_ih", (4 * WIDTH,)),
            ("bias_hh", (4 * WIDTH,)),
        )
    },
}


class UnfitVoiceEncoder(Exception):
    """Says what is wrong with them, without a path."""


class Ge2e:
    """A loaded network. UnfitVoiceEncoder for a file that is something else."""

    def __init__(self, file: Path) -> None:
        self._weights = _checked(file)

    def vectors(self, pieces: list[Samples]) -> Real:
        """One of length 1 per piece of mono speech at 16 kHz, shaped (pieces, WIDTH). Shorter ones
        than 1.6 s are repeated; of longer ones it is the mean of what is seen at both ends.
        """
        seen = [each for piece in pieces for each in _seen(piece)]
        found = self._found(np.stack(seen)).reshape(len(pieces), 2, WIDTH).mean(axis=1)
        return _normal(found)

    def _found(self, energies: Real) -> Real:
        """Of (voices, SEEN_FRAMES, BANDS)."""
        values = energies
        for layer in range(LAYERS):
            values = self._lstm(values, layer)
        raw = values[:, -1] @ self._weights["linear.weight"].T + self._weights["linear.bias"]
        return _normal(np.maximum(raw, 0))

    def _lstm(self, values: Real, layer: int) -> Real:
        """Shaped (voices, frames, WIDTH), of (voices, frames, …)."""
        own = {
            kind: self._weights[f"lstm.{kind}_l{layer}"]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        given = values @ own["weight_ih"].T + own["bias_ih"] + own["bias_hh"]
        back = np.ascontiguousarray(own["weight_hh"].T)
        hidden = cell = np.zeros((len(values), WIDTH), dtype=np.float32)
        outputs = np.empty((*values.shape[:2], WIDTH), dtype=np.float32)
        for frame in range(values.shape[1]):
            enters, keeps, new, leaves = np.split(given[:, frame] + hidden @ back, 4, axis=1)
            cell = _gate(keeps) * cell + _gate(enters) * np.tanh(new)
            hidden = _gate(leaves) * np.tanh(cell)
            outputs[:, frame] = hidden
        return outputs


def _seen(piece: Samples) -> tuple[Real, Real]:
    """The first and the last 1.6 s of a piece as energies."""
    shortest = SEEN_FRAMES * HOP
    level = float(np.sqrt(np.mean(np.square(piece, dtype=np.float64)))) if len(piece) else 0.0
    gain = max(1.0, 10 ** (TARGET_DB / 20) / level) if level else 1.0
    # `resize` repeats what is too short; padding would be a pause that the voice did not make.
    loud = np.resize(piece, max(shortest, len(piece))).astype(np.float32) * np.float32(gain)
    energies = mel_energies(loud)
    return energies[:SEEN_FRAMES], energies[-SEEN_FRAMES:]


def _gate(values: Real) -> Real:
    # The logistic function, in the form that does not overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), dtype=np.float32)


def _normal(vectors: Real) -> Real:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


def _checked(file: Path) -> Mapping[str, Real]:
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UnfitVoiceEncoder(f"its file cannot be read ({type(error).__name__})") from error
    for name, shape in SHAPES.items():
        if name not in weights:
            raise UnfitVoiceEncoder(f"it has no {name!r}")
        if weights[name].shape != shape:
            raise UnfitVoiceEncoder(f"{name!r} has the shape {weights[name].shape}, not {shape}")
    return {name: np.asarray(weights[name], dtype=np.float32) for name in SHAPES}
