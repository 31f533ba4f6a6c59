"""Measures of error, and what no skill would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rmse(predicted: Array, reference: Array) -> float:
    """Return the root mean squared difference over sites and outputs, in the unit of the target."""
    return float(np.sqrt(((predicted - reference) ** 2).mean()))


def r_squared(predicted: Array, reference: Array) -> float | None:
    """Return 1 − SSE / SST, with SST about the mean of the reference in each output.

    :returns: None when the reference varies by less than 1e-4 of its size (a single site, or equivalent sites): what
        is left is the noise of the charges, and the ratio says nothing.
    """
    total = float(((reference - reference.mean(axis=0)) ** 2).mean())
    if total <= 1e-8 * float((reference**2).mean()):
        return None
    return 1.0 - float(((predicted - reference) ** 2).mean()) / total


def composition_mean(train_targets: Array, train_x: NDArray[np.str_], test_x: NDArray[np.str_]) -> tuple[Array, int]:
    """Predict the mean of the training sites of the same composition.

    :param train_targets: shape (n_train, n_outputs).
    :param train_x: composition of each training site, shape (n_train,).
    :param test_x: composition of each test site, shape (n_test,).
    :returns: predictions (n_test, n_outputs), and how many test sites have a composition that training has not:
        they get the mean of all training sites.
    """
    overall = train_targets.mean(axis=0)
    means = {name: train_targets[train_x == name].mean(axis=0) for name in np.unique(train_x)}
    predictions = np.stack([means.get(name, overall) for name in test_x])
    return predictions, sum(name not in means for name in test_x)


def total_variation(predicted: Array, reference: Array) -> Array:
    """Return half the sum of absolute differences between two distributions, shape (n,).

    :param predicted: fractions, shape (n, n_states).
    :param reference: the same.
    """
    return np.asarray(0.5 * np.abs(predicted - reference).sum(axis=-1))
