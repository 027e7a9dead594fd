"""Speakers, from what a trained model makes of short pieces of their speech."""

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

Labels = np.ndarray[Any, np.dtype[np.int64]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (pieces, size), each of length 1."""


def clustered(vectors: Vectors, num_speakers: int | None, similarity: float) -> Labels:
    """The speaker of every vector, by the mean likeness (cosine) of two speakers' vectors. None are
    as many speakers as are less alike than `similarity`.
    """
    if len(vectors) == 1:
        return np.zeros(1, dtype=np.int64)
    tree = linkage(vectors, method="average", metric="cosine")
    if num_speakers is None:
        found = fcluster(tree, 1 - similarity, criterion="distance")
    else:
        found = fcluster(tree, num_speakers, criterion="maxclust")
    return np.asarray(found, dtype=np.int64)
