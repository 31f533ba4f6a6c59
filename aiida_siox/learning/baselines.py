"""What a network has to beat: the training mean, three descriptors in a linear regression, kernel ridge regression.

Each takes a :class:`Problem` and returns predictions of shape (m, n_outputs). Test rows decide nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.splits import group_folds, site_folds
from aiida_siox.science.descriptors import descriptors

Array = NDArray[np.float64]
Baseline = Callable[..., Array]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Sites to learn from, and spectra to predict.

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: of the training sites, shape (n, n_e).
    :param targets: of the training sites, shape (n, n_outputs).
    :param groups: configuration of each training site, shape (n,).
    :param new: spectra to predict, shape (m, n_e).
    :param seed: of folds.
    """

    energy: Array
    spectra: Array
    targets: Array
    groups: NDArray[np.str_]
    new: Array
    seed: int


#: Rows from which :func:`kernel_ridge` chooses its two numbers at most: an eigendecomposition costs n³.
MOST_ROWS_TO_CHOOSE = 2000


def mean(problem: Problem) -> Array:
    """Predict the mean of the training sites: no skill."""
    return np.tile(problem.targets.mean(axis=0), (len(problem.new), 1))


def descriptor_regression(problem: Problem, *, window_eV: tuple[float, float]) -> Array:
    """Predict by ordinary least squares on white-line intensity, its integral and the edge position (Fig. S4).

    :param window_eV: limits of the integral relative to the edge.
    :raises ValueError: if a spectrum has no white line to read.
    """
    train, new = (descriptors(problem.energy, rows, window_eV) for rows in (problem.spectra, problem.new))
    scale = Scale.of(train, floor=0.0)
    centre = problem.targets.mean(axis=0)
    weights = np.linalg.lstsq(scale(train), problem.targets - centre, rcond=None)[0]
    return np.asarray(centre + scale(new) @ weights)


def kernel_ridge(
    problem: Problem, *, alphas: Sequence[float], gammas: Sequence[float], n_folds: int, scale_floor: float
) -> Array:
    """Predict by ridge regression with the kernel exp(−γ |a − b|²) on standardised spectra.

    γ and the ridge strength α come from cross-validation over configurations of the training sites.

    :param alphas: ridge strengths to choose from; the kernel of a spectrum with itself is 1.
    :param gammas: inverse squared widths to choose from, per squared distance of standardised spectra.
    :param n_folds: of configurations, inside the training sites.
    :param scale_floor: least spread of an energy as a part of the largest one.
    """
    scale = Scale.of(problem.spectra, scale_floor)
    train, new = scale(problem.spectra), scale(problem.new)
    centre = problem.targets.mean(axis=0)
    targets = problem.targets - centre
    rows = rows_to_choose(problem.groups, problem.seed)
    fold = inner_folds(problem.groups[rows], n_folds, problem.seed)
    distances = squared_distances(train[rows], train[rows])
    best, chosen = np.inf, (alphas[0], gammas[0])
    for gamma in gammas:
        errors = held_out_errors(np.exp(-gamma * distances), targets[rows], fold, alphas)
        if errors.min() < best:
            best, chosen = float(errors.min()), (alphas[int(errors.argmin())], gamma)
    alpha, gamma = chosen
    kernel = np.exp(-gamma * squared_distances(train, train))
    kernel[np.diag_indices_from(kernel)] += alpha
    weights = np.linalg.solve(kernel, targets)
    return np.asarray(centre + np.exp(-gamma * squared_distances(new, train)) @ weights)


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


#: By the names of the contract of the analysis.
BASELINES: dict[str, Baseline] = {
    "mean": mean,
    "descriptors": descriptor_regression,
    "kernel_ridge": kernel_ridge,
}


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


def rows_to_choose(groups: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """Return all rows, or those of whole configurations drawn until there are enough."""
    if len(groups) <= MOST_ROWS_TO_CHOOSE:
        return np.arange(len(groups))
    names, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    taken = order[: max(2, int(np.searchsorted(np.cumsum(counts[order]), MOST_ROWS_TO_CHOOSE, side="right")))]
    return np.flatnonzero(np.isin(groups, names[taken]))
