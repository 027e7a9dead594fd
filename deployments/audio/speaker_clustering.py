"""Who speaks when, from features of every frame of speech.

Stretches of audio are joined as long as one Gaussian describes both about as well as two do: the
Bayesian information criterion of S. Chen and P. Gopalakrishnan, Speaker, environment and channel
change detection and clustering via the BIC, 1998. Then every frame is given to the speaker whose
Gaussian fits it best, by a Viterbi search in which a change of speaker has its price.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Features = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (frames, features)."""
Labels = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, np.dtype[np.float64]]

PENALTY = 1.0
"""The weight of the criterion's penalty where it decides how many speakers there are."""
ORDER_PENALTY = 0.5
"""That where it only decides who is joined first."""
SPREAD = 0.1
"""Added to every variance: bands without any audio have none."""
STEP_FRAMES = 5
CHANGE_PRICE = 100.0
ROUNDS = 3
MOST_PIECES = 1_000
"""How many are compared each with each; more are joined in groups first."""


def cluster(
    features: Features, lengths: Labels, speakers: int | None, stop: Callable[[], bool]
) -> Labels:
    """The speaker of every frame, numbered from 0. `lengths` are the frames of stretches in which
    one person speaks. `speakers` None estimates how many; fewer than given are found where there is
    too little speech. Told to stop, it returns soon and says nothing of worth.
    """
    pieces = Clusters.of(features, lengths)
    owners = np.arange(len(lengths))
    if len(lengths) > MOST_PIECES:
        starts = range(0, len(lengths), MOST_PIECES)
        groups = [_joined(pieces[i : i + MOST_PIECES], None, stop) + i for i in starts]
        owners = np.unique(np.concatenate(groups), return_inverse=True)[1]
        pieces = pieces.grouped(owners)
    labels: Labels = np.repeat(_joined(pieces, speakers, stop)[owners], lengths)
    for _ in range(ROUNDS):
        if stop():
            break
        labels = _reassigned(features, labels)
    return labels


class Clusters:
    """Stretches of frames as Gaussians: how many frames, their sums and sums of squares, and half
    their number times the logarithm of their covariance's determinant.
    """

    def __init__(self, counts: Real, sums: Real, squares: Real) -> None:
        self.counts, self.sums, self.squares = counts, sums, squares
        self.costs = _costs(counts, sums, squares)

    @classmethod
    def of(cls, features: Features, lengths: Labels) -> "Clusters":
        """One per stretch of so many frames."""
        pieces = np.split(features.astype(np.float64), np.cumsum(lengths)[:-1])
        sums = np.stack([piece.sum(axis=0) for piece in pieces])
        return cls(lengths.astype(np.float64), sums, np.stack([p.T @ p for p in pieces]))

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, part: slice) -> "Clusters":
        return Clusters(self.counts[part].copy(), self.sums[part].copy(), self.squares[part].copy())

    def grouped(self, labels: Labels) -> "Clusters":
        """One per label, which are numbers from 0."""
        counts, sums, squares = (
            np.zeros((labels.max() + 1, *each.shape[1:]))
            for each in (self.counts, self.sums, self.squares)
        )
        np.add.at(counts, labels, self.counts)
        np.add.at(sums, labels, self.sums)
        np.add.at(squares, labels, self.squares)
        return Clusters(counts, sums, squares)

    def losses(self, one: int, others: Labels, weight: float) -> Real:
        """What joining `one` with each of `others` loses; below zero it gains. `weight` is that of
        the penalty.
        """
        size = self.sums.shape[1]
        counts = self.counts[one] + self.counts[others]
        costs = _costs(
            counts, self.sums[one] + self.sums[others], self.squares[one] + self.squares[others]
        )
        parameters = size + size * (size + 1) / 2
        penalty = weight / 2 * parameters * np.log(counts)
        return np.asarray(costs - self.costs[one] - self.costs[others] - penalty)

    def join(self, one: int, other: int) -> None:
        """`one` becomes both."""
        self.counts[one] += self.counts[other]
        self.sums[one] += self.sums[other]
        self.squares[one] += self.squares[other]
        here = slice(one, one + 1)
        self.costs[here] = _costs(self.counts[here], self.sums[here], self.squares[here])


def _joined(clusters: Clusters, speakers: int | None, stop: Callable[[], bool]) -> Labels:
    """Agglomerative clustering: the two that lose least become one, until joining would lose, or
    until as many are left as there are speakers. A label per cluster.
    """
    weight = PENALTY if speakers is None else ORDER_PENALTY
    labels = np.arange(len(clusters))
    losses = np.full((len(labels), len(labels)), np.inf)
    for one in range(len(labels)):
        losses[one, one + 1 :] = clusters.losses(one, labels[one + 1 :], weight)
    for left in range(len(labels), speakers or 1, -1):
        one, other = divmod(int(np.argmin(losses)), len(labels))
        if stop() or (speakers is None and losses[one, other] >= 0):
            break
        clusters.join(one, other)
        labels[labels == other] = one
        losses[other, :] = losses[:, other] = np.inf
        rest = np.setdiff1d(labels, [one])
        if left > 2:
            renewed = clusters.losses(one, rest, weight)
            losses[np.minimum(rest, one), np.maximum(rest, one)] = renewed
    return labels


def _reassigned(features: Features, labels: Labels) -> Labels:
    """Every tenth of a second to whom it fits best, given what each has said so far."""
    speakers = np.unique(labels)
    fits = np.stack([_fit(features, features[labels == who]) for who in speakers], axis=1)
    starts = np.arange(0, len(features), STEP_FRAMES)
    path = _cheapest_path(-np.add.reduceat(fits, starts, axis=0))
    return np.repeat(path, STEP_FRAMES)[: len(features)]


def _fit(features: Features, own: Features) -> Real:
    """The logarithm of each frame's probability under the Gaussian of `own`, without constants."""
    covariance = _covariances(
        np.array([len(own)]), own.sum(axis=0, dtype=np.float64)[None], _squares(own)[None]
    )[0]
    white = (features - own.mean(axis=0)) @ np.linalg.cholesky(np.linalg.inv(covariance))
    return np.asarray(-0.5 * (np.square(white).sum(axis=1) + np.linalg.slogdet(covariance)[1]))


def _cheapest_path(costs: Real) -> Labels:
    """Per row the column that costs least, where each change of column has a price too."""
    total = costs[0]
    came_from = np.empty(costs.shape, dtype=np.int64)
    columns = np.arange(costs.shape[1])
    for row, cost in enumerate(costs[1:], start=1):
        cheapest = int(np.argmin(total))
        stays = total <= total[cheapest] + CHANGE_PRICE
        came_from[row] = np.where(stays, columns, cheapest)
        total = np.minimum(total, total[cheapest] + CHANGE_PRICE) + cost
    path = np.empty(len(costs), dtype=np.int64)
    path[-1] = np.argmin(total)
    for row in range(len(costs) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path


def _squares(features: Features) -> Real:
    exact = features.astype(np.float64)
    return np.asarray(exact.T @ exact)


def _covariances(counts: Real, sums: Real, squares: Real) -> Real:
    means = sums / counts[:, None]
    covariances = squares / counts[:, None, None] - means[:, :, None] * means[:, None, :]
    return np.asarray(covariances + SPREAD * np.eye(sums.shape[1]))


def _costs(counts: Real, sums: Real, squares: Real) -> Real:
    return np.asarray(0.5 * counts * np.linalg.slogdet(_covariances(counts, sums, squares))[1])
