"""Ridge regression whose strength is chosen by held-out configurations: for baselines and for the novelty score."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.data.splits import group_folds, site_folds

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Mean and spread of the columns of training rows."""

    centre: Array
    spread: Array

    @classmethod
    def of(cls, rows: Array, floor: float) -> Scale:
        """Take them from training rows; no spread is below ``floor`` times the largest one."""
        spread = rows.std(axis=0)
        spread = np.maximum(spread, floor * spread.max())
        size = np.abs(rows).max(initial=0.0)
        return cls(rows.mean(axis=0), np.where(spread > 1e-12 * size, spread, 1.0))

    def __call__(self, rows: Array) -> Array:
        """Return standardised rows."""
        return np.asarray((rows - self.centre) / self.spread)


def rows_to_choose(groups: NDArray[np.generic], most: int, seed: int) -> NDArray[np.int64]:
    """Return all rows, or those of whole configurations drawn until there are enough.

    :param most: rows that are taken at most, but at least two configurations.
    """
    if len(groups) <= most:
        return np.arange(len(groups))
    names, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    taken = order[: max(2, int(np.searchsorted(np.cumsum(counts[order]), most, side="right")))]
    return np.flatnonzero(np.isin(groups, names[taken]))


def inner_folds(groups: ArrayLike, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return folds of training sites, shape (n,): of configurations, or of sites where there is one configuration."""
    labels = np.asarray(groups)
    if len(np.unique(labels)) == 1:
        return site_folds(len(labels), n_folds, seed)
    return group_folds(labels, n_folds, seed)


def held_out_errors(kernel: Array, targets: Array, fold: NDArray[np.int64], alphas: Sequence[float]) -> Array:
    """Return the mean squared error of held-out folds for each ridge strength, without training anew.

    With H = (K + α)⁻¹, the residuals of a fold F that is left out are (H_FF)⁻¹ (H y)_F: the formula of leave-one-out
    (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 5.12) for blocks. One eigendecomposition of K
    serves all α.

    :param kernel: shape (n, n), symmetric.
    :param targets: centred, shape (n, n_outputs).
    :param fold: shape (n,).
    :param alphas: ridge strengths, positive.
    :returns: shape (len(alphas),).
    """
    values, vectors = np.linalg.eigh(kernel)
    projected = vectors.T @ targets
    errors = np.zeros(len(alphas))
    for i, alpha in enumerate(alphas):
        inverse = 1 / (np.maximum(values, 0) + alpha)
        for k in np.unique(fold):
            part = vectors[fold == k]
            residual = np.linalg.solve((part * inverse) @ part.T, (part * inverse) @ projected)
            errors[i] += (residual**2).sum()
    return errors / targets.size


def squared_distances(a: Array, b: Array) -> Array:
    """Return the squared distance of every row of ``a`` (n, d) from every row of ``b`` (m, d), shape (n, m)."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)
