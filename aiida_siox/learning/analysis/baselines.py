"""What a network has to beat: three descriptors in a linear regression, kernel ridge regression.

Each takes a :class:`Problem` and returns predictions of shape (m, n_outputs). Test rows decide nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning.analysis.parameters import DescriptorOptions, KernelRidgeOptions
from aiida_siox.learning.data.descriptors import descriptors
from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.ridge import Scale, held_out_errors, inner_folds, rows_to_choose, squared_distances

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Sites to learn from, and spectra to predict.

    :param train: spectra as networks normalise them, and what they stand for.
    :param new: spectra to predict, shape (m, n_e).
    :param seed: of folds.
    """

    train: Examples
    new: Array
    seed: int


def descriptor_regression(problem: Problem, options: DescriptorOptions) -> Array:
    """Predict by ordinary least squares on white-line intensity, its integral and the edge position (Fig. S4).

    :raises ValueError: if a spectrum has no white line to read.
    """
    energy, targets = problem.train.energy, problem.train.targets
    train, new = (descriptors(energy, rows, options.window_eV) for rows in (problem.train.spectra, problem.new))
    scale = Scale.of(train, floor=0.0)
    centre = targets.mean(axis=0)
    weights = np.linalg.lstsq(scale(train), targets - centre, rcond=None)[0]
    return np.asarray(centre + scale(new) @ weights)


def kernel_ridge(problem: Problem, options: KernelRidgeOptions) -> Array:
    """Predict by ridge regression with the kernel exp(−γ |a − b|²) on standardised spectra.

    γ and the ridge strength α come from cross-validation over configurations of the training sites.
    """
    scale = Scale.of(problem.train.spectra, options.scale_floor)
    train, new = scale(problem.train.spectra), scale(problem.new)
    centre = problem.train.targets.mean(axis=0)
    targets, groups = problem.train.targets - centre, problem.train.group
    rows = rows_to_choose(groups, options.most_rows, problem.seed)
    fold = inner_folds(groups[rows], options.n_folds, problem.seed)
    distances = squared_distances(train[rows], train[rows])
    best, chosen = np.inf, (options.alphas[0], options.gammas[0])
    for gamma in options.gammas:
        errors = held_out_errors(np.exp(-gamma * distances), targets[rows], fold, options.alphas)
        if errors.min() < best:
            best, chosen = float(errors.min()), (options.alphas[int(errors.argmin())], gamma)
    alpha, gamma = chosen
    kernel = np.exp(-gamma * squared_distances(train, train))
    kernel[np.diag_indices_from(kernel)] += alpha
    weights = np.linalg.solve(kernel, targets)
    return np.asarray(centre + np.exp(-gamma * squared_distances(new, train)) @ weights)


#: Baselines that learn, by name; their options are those of the same name in ``BaselineOptions``.
BASELINES: dict[str, Callable[[Problem, Any], Array]] = {
    "descriptors": descriptor_regression,
    "kernel_ridge": kernel_ridge,
}
